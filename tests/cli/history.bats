# What tags have pointed to: log, revert, gc; diff of images; verify. Images here are a file or two, made by
# `holm import`.

load helper

setup_file() { suite_setup own; }
teardown_file() { suite_teardown; }

setup() {
	fresh_root
	TREE=$BATS_TEST_TMPDIR/tree
	mkdir -p "$TREE"
}
teardown() { drop_root; }

# An image with the file /a that holds $2, under the name $1; its id.
image() {
	echo "$2" > "$TREE/a"
	tar -C "$TREE" -c . | holm import - "$1"
}

states() { holm log --no-trunc --format '{{.State}} {{.ID}}' "$1"; }

@test "log says what a tag pointed to, newest first, and why" {
	local one two
	one=$(image x:1 one)
	two=$(image x:1 two)
	[ "$(states x:1)" = "0 $two
1 $one" ]
	run -0 holm log x:1
	[[ ${lines[1]} == *imported* ]]
	[[ ${lines[1]} == *now* ]]
	holm tag "$one" x:1
	run -0 holm log --format '{{.Why}}' x:1
	[[ ${lines[0]} == "tagged, was $one" ]]
	# To the same image once more: nothing happened.
	holm tag "$one" x:1
	[ "$(states x:1 | wc -l)" -eq 3 ]
	[ "$(holm log -q x:1 | head -n 1)" = "${one:7:12}" ]
}

@test "log without a tag shows all of them" {
	image x:1 one > /dev/null
	image y:1 two > /dev/null
	run -0 holm log --format '{{.Tag}}'
	[ "$output" = "y:1
x:1" ]
}

@test "log and revert of a tag that is not there say so" {
	run -1 holm log nothing:1
	[[ $output == *"no such tag: nothing:1"* ]]
	run -1 holm revert nothing:1
	[[ $output == *"no such tag: nothing:1"* ]]
	run -1 holm log 'No!'
	[[ $output == *"No!"* ]]
	image x:1 one > /dev/null
	run -1 holm revert x:1
	[[ $output == *"nothing to go back to"* ]]
	run -1 holm revert x:1 7
	[[ $output == *"no state '7'"* ]]
}

@test "revert goes back, and reverting that forth again" {
	local one two
	one=$(image x:1 one)
	two=$(image x:1 two)
	[ "$(holm revert x:1)" = "$one" ]
	[ "$(holm image inspect -f '{{.Id}}' x:1)" = "$one" ]
	[ "$(holm revert x:1)" = "$two" ]
	image x:1 three > /dev/null
	[ "$(holm revert x:1 "${one:7:9}")" = "$one" ]
	[ "$(holm revert x:1 4)" = "$two" ]
	run -0 holm log --format '{{.Why}}' x:1
	[[ ${lines[0]} == "reverted to state"* ]]
}

@test "what a log reaches is not collected, whichever way it lost its name" {
	local one two
	one=$(image x:1 one)
	holm tag x:1 also:1
	two=$(image x:1 two)
	# Its other name goes, everything that prunes is run, and still it is there.
	holm rmi also:1
	holm image prune -f
	holm system prune -f
	holm gc
	run -1 holm rmi "$one"
	[[ $output == *"x:1 pointed to it"* ]]
	[ "$(holm revert x:1)" = "$one" ]
	holm gc --expire now
	[ "$(holm images -q --no-trunc | sort -u)" = "$one" ]
	run -1 holm image inspect "$two"
	[ -z "$(ls "$HOLM_ROOT/tmp")" ]
	[ "$(ls "$HOLM_ROOT/layers" | wc -l)" -eq 1 ]
}

@test "gc says what it keeps, what went, and refuses other durations" {
	image x:1 one > /dev/null
	image x:1 two > /dev/null
	run -0 holm gc
	[[ $output == *"1 image is kept"* ]]
	run -0 holm gc --expire 100h
	[[ $output == *"1 image is kept"* ]]
	run -0 holm gc --expire never
	[[ $output == *"1 image is kept"* ]]
	run -1 holm gc --expire yesterday
	[[ $output == *"expected a duration"* ]]
	run -0 holm gc -q --expire now
	[ -z "$output" ]
	[ "$(states x:1 | wc -l)" -eq 1 ]
}

@test "rmi -f of an image that only a log reaches removes it" {
	local one
	one=$(image x:1 one)
	image x:1 two > /dev/null
	holm rmi -f "$one"
	run -1 holm image inspect "$one"
	[ "$(states x:1 | wc -l)" -eq 1 ]
}

@test "a removed tag's log goes with it" {
	image x:1 one > /dev/null
	image x:1 two > /dev/null
	holm rmi x:1
	run -1 holm log x:1
	run -0 holm gc
	[ -z "$(holm images -q)" ]
	[ -z "$(ls "$HOLM_ROOT/layers")" ]
}

@test "diff of two images lists what was added, changed and removed" {
	local tree=$TREE
	mkdir -p "$tree/dir/below"
	echo one > "$tree/dir/changes"
	echo gone > "$tree/dir/below/goes"
	echo same > "$tree/stays"
	ln -s a "$tree/link"
	image x:1 one > /dev/null
	echo two > "$tree/dir/changes"
	rm -r "$tree/dir/below"
	echo new > "$tree/new"
	ln -sfn b "$tree/link"
	chmod 600 "$tree/stays"
	touch -d 2001-01-01 "$tree/a"
	tar -C "$tree" -c . | holm import - x:2
	run -0 holm diff x:1 x:2
	[ "$output" = "D /dir/below
D /dir/below/goes
C /dir/changes
C /link
A /new
C /stays" ]
	run -0 holm diff x:2 x:1
	[[ $output == *"A /dir/below/goes"* ]]
	run -0 holm diff --stat x:1 x:2
	[[ ${lines[-1]} == "1 added, 3 changed, 2 removed; +4B -5B" ]]
	run -0 holm diff x:1 x:1
	[ -z "$output" ]
	[ "$(holm diff --format '{{.Kind}}{{.After}}' x:1 x:2 | tail -n 2 | head -n 1)" = A4 ]
	run -1 holm diff x:1 nothing:1
	[[ $output == *"no such image: nothing:1"* ]]
}

# What is unpacked of a layer, of the image with one.
files_of() { echo "$HOLM_ROOT/layers/$(holm image inspect -f '{{index .RootFS.Layers 0}}' "$1" | cut -d: -f2)"; }

@test "verify finds files that are not what they were, and mends them from the blob" {
	local files one
	image x:1 one > /dev/null
	run -0 holm image verify
	[[ $output == "1 images, 1 layers: 0 damaged, 0 mended" ]]
	files=$(files_of x:1)
	for damage in "echo ONE > $files/a" "rm $files/a" "chmod 600 $files/a" "touch $files/more" \
		"touch -d 2001-01-01 $files/a" "rm -r $files"; do
		eval "$damage"
		run -1 holm image verify x:1
		[[ $output == "x:1 ("*"): layer ${files: -64:12}: its files are"*"1 damaged, 0 mended" ]]
		run -0 holm image verify -q --repair
		[[ $output == *"mended from the layer's blob"* ]]
		run -0 holm image verify
		[ "$(cat "$files/a")" = one ]
	done
	[ -z "$(ls "$HOLM_ROOT/tmp")" ]
}

@test "verify finds damaged and missing blobs, manifests and configurations" {
	local blob
	image x:1 one > /dev/null
	blob=$(echo "$HOLM_ROOT"/blobs/sha256/*)
	cp "$blob" "$BATS_TEST_TMPDIR/blob"
	printf x >> "$blob"
	run -1 holm image verify
	[[ $output == *"blob ${blob: -64:12}: "*"1 damaged, 0 mended" ]]
	head -c 20 "$BATS_TEST_TMPDIR/blob" > "$blob"
	run -1 holm image verify
	[[ $output == *"1 damaged, 0 mended" ]]
	rm "$blob"
	run -1 holm image verify
	[[ $output == *"blob ${blob: -64:12}: it is missing"* ]]
	cp "$BATS_TEST_TMPDIR/blob" "$blob"
	run -0 holm image verify
	python3 - "$HOLM_ROOT/holm.db" <<- 'EOF'
		import sqlite3, sys
		with sqlite3.connect(sys.argv[1]) as db:
		    db.execute("UPDATE image SET config = replace(config, 'linux', 'Linux'), manifest_text = manifest_text || ' '")
	EOF
	run -1 holm image verify
	[[ $output == *"configuration "*"manifest "*"2 damaged, 0 mended" ]]
}
