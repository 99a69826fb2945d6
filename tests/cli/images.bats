#!/usr/bin/env bats
# Images: listed, named, removed, imported, saved, loaded, bootstrapped; and what is wrong with some.
load helper

setup_file() {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	export WORK=$(mktemp -d "${TMPDIR:-/tmp}/holm-images.XXXXXX")
	mkdir -p "$WORK/tree/bin" "$WORK/tree/etc"
	echo hello > "$WORK/tree/etc/hello"
	ln -s hello "$WORK/tree/etc/link"
	tar -C "$WORK/tree" --sort=name --owner=0 --group=0 -cf "$WORK/tree.tar" .
}

teardown_file() {
	rm -rf "$WORK"
}

setup() {
	fresh_root
}

teardown() {
	drop_root
}

layers() {
	find "$HOLM_ROOT/layers" -mindepth 1 -maxdepth 1 | wc -l
}

blobs() {
	find "$HOLM_ROOT/blobs/sha256" -type f | wc -l
}

nothing_left_in_tmp() {
	[ -z "$(ls -A "$HOLM_ROOT/tmp")" ]
}

@test "import from a file, a pipe, gzip and zstd makes the same layer" {
	for how in "cat" "gzip -c" "zstd -qc"; do
		run holm import - "x:${how%% *}" < <($how "$WORK/tree.tar")
		assert_status 0
		assert_match '^sha256:[0-9a-f]{64}$'
	done
	holm import "$WORK/tree.tar" x:file
	[ "$(layers)" -eq 1 ]
	run holm images -q
	[ "${#lines[@]}" -eq 4 ]
	nothing_left_in_tmp
}

@test "import --change, --message and --platform end up in the configuration" {
	holm import -c 'CMD ["a", "b c"]' -c 'ENV X=1 Y="2 3"' -c 'EXPOSE 80 53/udp' -c 'USER 7:8' \
		-c 'WORKDIR /srv' -c 'LABEL k=v' -c 'VOLUME /data' -c 'STOPSIGNAL SIGINT' -c 'ENTRYPOINT run' \
		-m 'why not' --platform linux/arm64/v8 "$WORK/tree.tar" x:1
	inspect() {
		run holm image inspect -f "$1" x:1
		assert_output "$2"
	}
	inspect '{{json .Config.Cmd}}' '["a","b c"]'
	inspect '{{json .Config.Env}}' '["X=1","Y=2 3"]'
	inspect '{{json .Config.Entrypoint}}' '["/bin/sh","-c","run"]'
	inspect '{{.Config.User}} {{.Config.WorkingDir}} {{.Config.StopSignal}}' '7:8 /srv SIGINT'
	inspect '{{json .Config.ExposedPorts}}' '{"80/tcp":{},"53/udp":{}}'
	inspect '{{.Config.Labels.k}} {{.Comment}}' 'v why not'
	inspect '{{.Os}}/{{.Architecture}}/{{.Variant}}' 'linux/arm64/v8'
	inspect '{{len .RootFS.Layers}}' 1
}

@test "import refuses what is wrong, and changes nothing" {
	refuse() {
		local text=$1
		shift
		run holm import "$@" < /dev/null
		assert_status 1
		assert_one_line
		assert_match "$text"
	}
	refuse "'FOO': unknown instruction|unknown instruction" -c FOO "$WORK/tree.tar" x:1
	refuse 'is no port' -c 'EXPOSE x' "$WORK/tree.tar" x:1
	refuse 'no platform' --platform a/b/c/d "$WORK/tree.tar" x:1
	refuse 'must be lowercase' "$WORK/tree.tar" Bad:1
	refuse 'No such file' "$WORK/nothere" x:1
	refuse 'not a tar archive' /etc/passwd x:1
	refuse 'fetch it first' http://example.com/x.tar x:1
	head -c 2000 "$WORK/tree.tar" > "$WORK/cut.tar"
	refuse "import '" "$WORK/cut.tar" x:1
	run holm images -aq
	assert_output ""
	nothing_left_in_tmp
}

@test "images lists names newest first, and filters them" {
	SOURCE_DATE_EPOCH=1000000000 holm import -c 'LABEL team=a' "$WORK/tree.tar" old:1
	SOURCE_DATE_EPOCH=1600000000 holm import -c 'LABEL team=b' "$WORK/tree.tar" registry.example:5000/x/new:2
	SOURCE_DATE_EPOCH=1300000000 holm import "$WORK/tree.tar"
	holm tag old:1 old:also
	run holm images --format '{{.Repository}}:{{.Tag}}'
	assert_output $'registry.example:5000/x/new:2\n<none>:<none>\nold:1\nold:also'
	run holm images
	[[ ${lines[0]} =~ ^REPOSITORY\ +TAG\ +IMAGE\ ID\ +CREATED\ +SIZE$ ]]
	[[ ${lines[1]} =~ years\ ago ]]
	only() {
		local expected=$1
		shift
		run holm images --format '{{.Repository}}:{{.Tag}}' "$@"
		assert_output "$expected"
	}
	only '<none>:<none>' --filter dangling=true
	only $'registry.example:5000/x/new:2\nold:1\nold:also' --filter dangling=false
	only 'registry.example:5000/x/new:2' --filter label=team=b
	only $'old:1\nold:also' --filter 'reference=old'
	only 'old:also' 'old:a*'
	only $'old:1\nold:also' docker.io/library/old
	only $'registry.example:5000/x/new:2\n<none>:<none>' --filter since=old:1
	only $'<none>:<none>\nold:1\nold:also' --filter before=registry.example:5000/x/new:2
	only '' nothing
	run holm images -q --no-trunc old:1
	assert_match '^sha256:[0-9a-f]{64}$'
	run holm images --format json old:1
	[ "$(jq -r '.Repository + " " + .Tag + " " + .Size' <<< "$output")" = "old 1 6B" ]
	run holm images --digests
	assert_match 'DIGEST'
	run holm images --filter foo=1
	assert_status 1
	assert_one_line
	run holm images --filter dangling=perhaps
	assert_status 1
	assert_one_line
	run holm images --filter since=nothere
	assert_status 1
	assert_one_line
}

@test "tag moves a name; an unnamed image is found by its id" {
	local one two
	one=$(holm import "$WORK/tree.tar" a:1)
	two=$(holm import "$WORK/tree.tar" b:1)
	holm tag a:1 b:1
	run holm image inspect -f '{{.Id}}' b:1
	assert_output "$one"
	run holm image inspect -f '{{json .RepoTags}}' "${two:7:12}"
	assert_output "[]"
	run holm tag nothere x:1
	assert_status 1
	assert_match "no such image: nothere"
	run holm tag a:1 'x y'
	assert_status 1
	assert_one_line
}

@test "rmi takes names away, and the image with its last one" {
	local id
	id=$(holm import "$WORK/tree.tar" a:1)
	holm tag a:1 b:1
	run holm rmi "$id"
	assert_status 1
	assert_match 'several names'
	run holm rmi a:1
	assert_output "Untagged: a:1"
	run holm rmi nothere b:1
	assert_status 1
	assert_match "no such image: nothere"
	assert_match "Deleted: $id"
	[ "$(layers)" -eq 0 ]
	[ "$(blobs)" -eq 0 ]
	id=$(holm import "$WORK/tree.tar" a:1)
	holm tag a:1 b:1
	run holm rmi -f "${id:7:12}"
	assert_output "$(printf 'Untagged: a:1\nUntagged: b:1\nDeleted: %s' "$id")"
}

@test "an absent image is named with what is near and how to get one" {
	holm import "$WORK/tree.tar" debian:12
	run holm rmi debain:12
	assert_status 1
	assert_one_line
	assert_match 'no such image: debain:12; did you mean debian:12'
	assert_match 'holm image bootstrap'
}

@test "prune removes what has no name, with -a what nothing uses" {
	holm import "$WORK/tree.tar" a:1
	holm import "$WORK/tree.tar"
	run holm image prune -f < /dev/null
	assert_status 0
	assert_match 'deleted: sha256:'
	assert_match 'Total reclaimed space: 0B' # the layer is a:1's, too
	run holm image prune < /dev/null
	assert_status 1
	assert_one_line
	run holm image prune -af --filter until=24h
	refute_match deleted
	run holm image prune -af
	assert_match 'untagged: a:1'
	assert_match 'Total reclaimed space: [1-9]'
	[ "$(layers)" -eq 0 ]
}

@test "save and load: the same images, the same bytes" {
	local id
	id=$(holm import -c 'CMD ["x"]' "$WORK/tree.tar" a:1)
	holm tag a:1 host:5000/b/c:2
	holm save -o "$WORK/s.tar" a:1 host:5000/b/c:2
	holm save a:1 host:5000/b/c:2 | cmp - "$WORK/s.tar"
	holm rmi -f "$id"
	for how in "cat" "gzip -c" "zstd -qc"; do
		run holm load < <($how "$WORK/s.tar")
		assert_status 0
		assert_output $'Loaded image: a:1\nLoaded image: host:5000/b/c:2'
	done
	run holm image inspect -f '{{.Id}} {{json .RepoTags}}' a:1
	assert_output "$id [\"a:1\",\"host:5000/b/c:2\"]"
	[ "$(cat "$HOLM_ROOT"/layers/*/etc/hello)" = hello ]
	run holm save nothere
	assert_status 1
	assert_one_line
	run holm save -o "$WORK/none.tar" nothere
	assert_status 1
	[ ! -e "$WORK/none.tar" ]
	run holm save -o /dev/full a:1
	assert_status 1
	assert_match 'No space left'
	nothing_left_in_tmp
}

@test "what skopeo makes is loaded, and what holm saves skopeo takes" {
	command -v skopeo > /dev/null || skip "skopeo is not installed"
	local id copy=(skopeo --insecure-policy copy -q)
	id=$(holm import -c 'CMD ["x"]' "$WORK/tree.tar" a:1)
	holm save -o "$WORK/k.tar" a:1
	rm -rf "$WORK"/{d1,d2,o1}.tar "$WORK/oci"
	"${copy[@]}" "docker-archive:$WORK/k.tar" "docker-archive:$WORK/d1.tar:from/docker:1"
	"${copy[@]}" "oci-archive:$WORK/k.tar" "docker-archive:$WORK/d2.tar:from/oci:1"
	"${copy[@]}" "docker-archive:$WORK/k.tar" "oci-archive:$WORK/o1.tar:to/oci:1"
	"${copy[@]}" "docker-archive:$WORK/k.tar" "oci:$WORK/oci:layout:1"
	holm rmi a:1
	holm load -i "$WORK/d1.tar"
	run holm image inspect -f '{{.Id}}' from/docker:1
	assert_output "$id"
	holm load -i "$WORK/d2.tar"
	holm load -i "$WORK/o1.tar"
	tar -C "$WORK/oci" -cf - . | holm load
	run holm images --format '{{.Repository}}:{{.Tag}}'
	for name in from/docker:1 from/oci:1 to/oci:1 layout:1; do
		assert_match "$name"
	done
	[ "$(layers)" -eq 1 ]
}

@test "a damaged archive: one line says which layer, nothing changes" {
	holm import "$WORK/tree.tar" a:1
	holm save -o "$WORK/good.tar" a:1
	holm rmi a:1
	# One byte of the file inside of the layer.
	sed 's/hello$/hEllo/' "$WORK/good.tar" > "$WORK/bad.tar"
	run cmp -s "$WORK/good.tar" "$WORK/bad.tar"
	assert_status 1
	run holm load -i "$WORK/bad.tar"
	assert_status 1
	assert_one_line
	assert_match "layer 'blobs/sha256/[0-9a-f]{64}': expected sha256:[0-9a-f]{64}, got sha256:[0-9a-f]{64}"
	run holm load -i "$WORK/tree.tar"
	assert_status 1
	assert_match "holm import"
	head -c 5000 "$WORK/good.tar" > "$WORK/short.tar"
	run holm load -i "$WORK/short.tar"
	assert_status 1
	assert_one_line
	run holm load -i "$WORK/nothere.tar"
	assert_status 1
	assert_one_line
	run holm images -q
	assert_output ""
	[ "$(layers)" -eq 0 ]
	[ "$(blobs)" -eq 0 ]
	nothing_left_in_tmp
}

@test "a layer that climbs out of its root is refused" {
	echo evil > "$WORK/evil"
	tar -C "$WORK" -P --transform='s,^evil$,../../../evil,' -cf "$WORK/climb.tar" evil
	run holm import "$WORK/climb.tar" x:1
	assert_status 1
	assert_one_line
	[ ! -e "$HOLM_ROOT/evil" ]
	run holm images -q
	assert_output ""
	nothing_left_in_tmp
}

@test "a store without a layer, without a blob, with a broken row says what to do" {
	holm import "$WORK/tree.tar" a:1
	holm import "$WORK/tree.tar" b:1
	rm -r "$HOLM_ROOT"/layers/*
	run holm image inspect a:1
	assert_status 1
	assert_match "the store is damaged: image 'a:1' lacks its layer"
	rm "$HOLM_ROOT"/blobs/sha256/*
	run holm save -o "$WORK/x.tar" a:1
	assert_status 1
	assert_one_line
	assert_match "the store is damaged"
	run holm rmi a:1 b:1
	assert_status 0
}

@test "killed while it adds an image, it leaves only what the next one removes" {
	mkfifo "$WORK/slow"
	"$HOLM" import - a:1 < "$WORK/slow" &
	local pid=$!
	exec 9> "$WORK/slow"
	head -c 3000 "$WORK/tree.tar" >&9
	begun() { ls "$HOLM_ROOT"/tmp/* > /dev/null 2>&1; }
	eventually begun
	# Nobody else takes it away while it is in use.
	holm import "$WORK/tree.tar" b:1
	holm rmi b:1
	[ "$(ls -A "$HOLM_ROOT/tmp" | wc -l)" -eq 1 ]
	kill -9 $pid
	wait $pid || true
	exec 9>&-
	rm "$WORK/slow"
	holm import "$WORK/tree.tar" c:1
	nothing_left_in_tmp
	run holm images --format '{{.Repository}}'
	assert_output c
	[ "$(layers)" -eq 1 ]
}

# A stand-in for mmdebstrap that takes the same arguments.
fake_mmdebstrap() {
	mkdir -p "$WORK/path"
	printf '#!/bin/sh\n%s\n' "$1" > "$WORK/path/mmdebstrap"
	chmod +x "$WORK/path/mmdebstrap"
}

@test "bootstrap takes what mmdebstrap makes, and its suite from the name" {
	fake_mmdebstrap "printf '%s\n' \"\$@\" > $WORK/args; echo 'I: working' >&2; cat $WORK/tree.tar"
	PATH=$WORK/path:$PATH run holm image bootstrap --package curl,git --package less --mirror http://m.example/debian debian:12
	assert_status 0
	assert_match '^sha256:[0-9a-f]{64}$'
	run holm image inspect -f '{{json .Config.Cmd}} {{.Comment}}' debian:12
	assert_output '["bash"] mmdebstrap bookworm'
	run cat "$WORK/args"
	assert_match $'--variant=minbase\n'
	assert_match $'--include=curl,git,less\n--\nbookworm\n-\nhttp://m.example/debian'
	nothing_left_in_tmp
	[ ! -e "$HOLM_ROOT/bootstrap.log" ]
}

@test "bootstrap that fails, late or early, says why and changes nothing" {
	fake_mmdebstrap "echo 'E: no such suite' >&2; echo 'E: giving up' >&2; exit 25"
	PATH=$WORK/path:$PATH run holm image bootstrap debian:12
	assert_status 1
	assert_one_line
	assert_match "mmdebstrap could not make 'debian:12': no such suite .*bootstrap.log"
	grep -q 'giving up' "$HOLM_ROOT/bootstrap.log"
	# A whole tar, and only then a failure.
	fake_mmdebstrap "cat $WORK/tree.tar; echo 'E: late' >&2; exit 1"
	PATH=$WORK/path:$PATH run holm image bootstrap debian:12
	assert_status 1
	assert_match ': late'
	run holm images -q
	assert_output ""
	[ "$(layers)" -eq 0 ]
	nothing_left_in_tmp
}

@test "bootstrap refuses what it cannot know" {
	refuse() {
		local text=$1
		shift
		run holm image bootstrap "$@"
		assert_status 1
		assert_one_line
		assert_match "$text"
	}
	refuse 'such as --suite bookworm' mine:1
	refuse 'say where it is with --mirror' --suite nonesuch mine:1
	refuse 'is no architecture' --arch z80 debian:12
	refuse 'is no variant' --variant ../x debian:12
	refuse 'is no list of packages' --package 'a b' debian:12
	refuse 'expected a URL' --mirror nowhere debian:12
	refuse 'is no suite' --suite --evil debian:12
	PATH=/nonexistent run "$HOLM" image bootstrap debian:12
	assert_status 1
	assert_match "'apt-get install mmdebstrap'"
}

@test "bootstrap does not wait for daemons that mmdebstrap leaves, nor leave them" {
	fake_mmdebstrap "setsid sleep 1235.5 & cat $WORK/tree.tar"
	PATH=$WORK/path:$PATH HOLM_TIMEOUT=20 run holm image bootstrap debian:12
	assert_status 0
	run pgrep -xf 'sleep 1235.5'
	assert_status 1
}

@test "a killed bootstrap takes mmdebstrap along" {
	fake_mmdebstrap "echo \$\$ > $WORK/started; sleep 1234.5 & wait"
	PATH=$WORK/path:$PATH "$HOLM" image bootstrap debian:12 &
	local pid=$!
	eventually test -s "$WORK/started"
	kill -9 $pid
	wait $pid || true
	gone() { ! pgrep -xf 'sleep 1234.5' > /dev/null; }
	eventually gone
	rm "$WORK/started"
	holm import "$WORK/tree.tar" a:1
	nothing_left_in_tmp
}

@test "history shows how an image was made" {
	holm import -m 'by hand' "$WORK/tree.tar" a:1
	run holm history a:1
	assert_match 'IMAGE +CREATED +CREATED BY +SIZE +COMMENT'
	assert_match '6B +by hand'
	run holm history nothere
	assert_status 1
}

@test "rmi -f of what is gone is no failure" {
	run holm rmi -f nosuch
	assert_status 0
	assert_match "no such image: nosuch"
	run holm rmi nosuch
	assert_status 1
}

@test "a save that is interrupted leaves nothing" {
	local dir=$BATS_TEST_TMPDIR/save
	mkdir "$dir"
	head -c 300M /dev/zero > "$BATS_TEST_TMPDIR/zeros"
	tar -C "$BATS_TEST_TMPDIR" -c zeros | holm import - big:1
	"$HOLM" save -o "$dir/image.tar" big:1 &
	sleep 0.1
	kill -TERM $! && ! wait $!
	[ -z "$(ls -A "$dir")" ]
	echo old > "$dir/image.tar"
	holm save -o "$dir/image.tar" big:1
	[ "$(ls -A "$dir")" = image.tar ]
	tar -tf "$dir/image.tar" | grep -qx manifest.json
	holm rmi big:1
}
