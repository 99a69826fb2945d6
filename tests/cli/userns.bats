# Files of containers with user namespaces: whoever looks at them from inside, through cp or in an
# archive sees the ids of inside.
load helper
setup_file() {
	suite_setup
	export BOX
	BOX=$(unique box)
	holm run -d --name "$BOX" --userns auto "$IMAGE" sleep 1000 > /dev/null
}
teardown_file() { suite_teardown; }
setup() {
	T=$BATS_TEST_TMPDIR
	W=/srv/$(unique) # inside
	holm start "$BOX" > /dev/null
	inside mkdir "$W"
}
inside() { holm exec "$BOX" "$@"; }
owner() { inside stat -c %u:%g "$@"; }
stop() { holm stop -t 0 "$BOX" > /dev/null; }
volume() {
	V=$(unique)
	holm volume create "$V" > /dev/null
}

# cap_dac_override=ep as an attribute (capabilities(7)), without an id of any root
CAPABILITY=0100000202000000000000000000000000000000
set_capability() {
	python3 -c 'import os, sys; os.setxattr(sys.argv[1], "security.capability", bytes.fromhex(sys.argv[2]))' \
		"$1" $CAPABILITY
}
capability() {
	python3 -c 'import os, sys; print(os.getxattr(sys.argv[1], "security.capability").hex())' "$1" 2> /dev/null
}

# source: a file of 7:8 with a capability, a link to it under another name, a directory with a file
source_tree() {
	mkdir -p "$T/d/sub"
	echo x > "$T/d/f"
	chown 7:8 "$T/d/f"
	ln "$T/d/f" "$T/d/hard"
	ln -s f "$T/d/soft"
	cp "$(command -v cat)" "$T/d/kitty"
	set_capability "$T/d/kitty"
	echo y > "$T/d/sub/y"
}
# check DIRECTORY OWNER: that it is all there, f with that owner
check_tree() {
	[ "$(owner "$1/f")" = "$2" ]
	[ "$(owner "$1/hard")" = "$2" ]
	[ "$(owner "$1" "$1/kitty" "$1/soft" "$1/sub" "$1/sub/y" | sort -u)" = 0:0 ]
	[ "$(inside cat "$1/f" "$1/sub/y")" = $'x\ny' ]
	# Its capability is one inside.
	[ -n "$(holm exec -u 5:6 "$BOX" "$1/kitty" /etc/shadow)" ]
}

@test "cp in, running" {
	source_tree
	holm cp "$T/d" "$BOX:$W/plain"
	check_tree "$W/plain" 0:0
	holm cp -a "$T/d" "$BOX:$W/all"
	check_tree "$W/all" 7:8
	inside mkdir "$W/tar"
	tar -C "$T/d" --xattrs --xattrs-include='*' -c . | holm cp - "$BOX:$W/tar"
	check_tree "$W/tar" 7:8
	# Over files, also ones that are mounted.
	inside chown 5:6 "$W/plain/f"
	holm cp "$T/d/f" "$BOX:$W/plain/f"
	[ "$(owner "$W/plain/f")" = 0:0 ]
	holm cp "$T/d/f" "$BOX:/etc/hosts"
	[ "$(inside cat /etc/hosts)" = x ]
	# Kept when it stops.
	stop
	holm start "$BOX" > /dev/null
	check_tree "$W/all" 7:8
	check_tree "$W/tar" 7:8
}

@test "cp in, stopped" {
	source_tree
	stop
	holm cp "$T/d" "$BOX:$W/plain"
	holm cp -a "$T/d" "$BOX:$W/all"
	tar -C "$T" --xattrs --xattrs-include='*' -c d | holm cp - "$BOX:$W"
	holm start "$BOX" > /dev/null
	check_tree "$W/plain" 0:0
	check_tree "$W/all" 7:8
	check_tree "$W/d" 7:8
}

@test "cp in: ids that it does not have are refused" {
	echo x > "$T/f"
	chown 70000:5 "$T/f"
	run holm cp -a "$T/f" "$BOX:$W/"
	assert_status 1
	assert_match "belongs to 70000:5"
	assert_one_line
	run holm cp - "$BOX:$W" < <(tar -C "$T" -c f)
	assert_status 1
	assert_match "belongs to 70000:5"
	holm cp "$T/f" "$BOX:$W/"
	[ "$(owner "$W/f")" = 0:0 ]
}

out() {
	local to=$T/$1
	mkdir "$to"
	holm cp "$BOX:$W/d" "$to/plain"
	[ "$(stat -c '%u:%g %a' "$to/plain/f")" = "0:0 755" ]
	[ -z "$(capability "$to/plain/kitty")" ]
	holm cp -a "$BOX:$W/d" "$to/all"
	[ "$(stat -c '%u:%g %a' "$to/all/f")" = "5:6 4755" ]
	[ "$(stat -c %u:%g "$to/all" "$to/all/sub" | sort -u)" = 0:0 ]
	[ "$(capability "$to/all/kitty")" = $CAPABILITY ]
	mkdir "$to/tar"
	holm cp "$BOX:$W/d" - | tar -C "$to/tar" --xattrs --xattrs-include='*' --numeric-owner -x
	[ "$(stat -c '%u:%g %a' "$to/tar/d/f")" = "5:6 4755" ]
	[ "$(capability "$to/tar/d/kitty")" = $CAPABILITY ]
	holm export "$BOX" > "$to/export.tar"
	[ "$(tar --numeric-owner -tvf "$to/export.tar" "${W#/}/d/f" | awk '{print $1, $2}')" = "-rwsr-xr-x 5/6" ]
	[ "$(tar --numeric-owner -tvf "$to/export.tar" etc/shadow | awk '{print $2}')" = 0/42 ]
	# Nothing has an id of the host's range.
	! tar --numeric-owner -tvf "$to/export.tar" | awk '{print $2}' | grep -E '[0-9]{6}'
}

@test "cp out and export, running and stopped" {
	source_tree
	holm cp "$T/d" "$BOX:$W/d"
	inside sh -c "chown 5:6 $W/d/f && chmod 4755 $W/d/f"
	out running
	stop
	out stopped
}

@test "diff tells what inside changed" {
	local before
	before=$(holm diff "$BOX")
	inside touch "$W/new"
	run comm -13 <(sort <<< "$before") <(holm diff "$BOX" | sort)
	assert_output "A $W/new"
	inside rm /etc/issue
	[[ "$(holm diff "$BOX")" == *"D /etc/issue"* ]]
}

@test "a volume belongs to root inside" {
	volume
	holm run --rm --userns auto -v "$V:/data" "$IMAGE" sh -c 'touch /data/x; touch /data/y; chown 5:6 /data/y'
	run stat -c '%n %u:%g' "$HOLM_ROOT/volumes/$V/_data"/*
	assert_output "$HOLM_ROOT/volumes/$V/_data/x 0:0"$'\n'"$HOLM_ROOT/volumes/$V/_data/y 5:6"
	run holm run --rm --userns auto -v "$V:/data:ro" "$IMAGE" touch /data/z
	assert_status 1
	assert_match "Read-only"
	holm run --rm --userns auto -v /anonymous "$IMAGE" touch /anonymous/x
	holm volume rm "$V" > /dev/null
}

@test "a volume is shared by containers of different ranges, and of none" {
	local a b
	a=$(unique a) b=$(unique b)
	volume
	holm run -d --name "$a" --userns auto -v "$V:/data" "$IMAGE" sleep 1000 > /dev/null
	holm run -d --name "$b" --userns 300000 -v "$V:/data" "$IMAGE" sleep 1000 > /dev/null
	holm exec "$a" sh -c 'mkdir -m 700 /data/d; echo a > /data/d/f; chown 5:6 /data/d/f'
	holm exec "$b" sh -c 'echo b >> /data/d/f'
	run holm exec "$b" stat -c %u:%g /data/d /data/d/f
	assert_output $'0:0\n5:6'
	run holm run --rm -v "$V:/data" "$IMAGE" sh -c 'echo c >> /data/d/f; cat /data/d/f; stat -c %u:%g /data/d/f'
	assert_output $'a\nb\nc\n5:6'
	# cp into and out of it.
	echo x > "$T/f"
	chown 7:8 "$T/f"
	holm cp "$T/f" "$a:/data/plain"
	holm cp -a "$T/f" "$a:/data/all"
	run holm exec "$b" stat -c %u:%g /data/plain /data/all
	assert_output $'0:0\n7:8'
	holm cp -a "$b:/data/all" "$T/all"
	[ "$(stat -c %u:%g "$T/all")" = 7:8 ]
	holm rm -f "$a" "$b" > /dev/null
	holm volume rm "$V" > /dev/null
}

@test "a volume is filled from the image with its owners" {
	volume
	run holm run --rm --userns auto -v "$V:/etc" "$IMAGE" sh -c 'stat -c %u:%g /etc/shadow; echo x >> /etc/shadow'
	assert_status 0
	assert_output 0:42
	holm volume rm "$V" > /dev/null
}

@test "a volume on a file system without idmapped mounts is refused, and says so" {
	local data
	volume
	data=$HOLM_ROOT/volumes/$V/_data
	mkdir "$T/lower" "$T/upper" "$T/work"
	mount -t overlay -o "lowerdir=$T/lower,upperdir=$T/upper,workdir=$T/work" none "$data"
	run holm run --rm --userns auto -v "$V:/data" "$IMAGE" true
	umount "$data"
	assert_status 125
	assert_match "$data.*no idmapped mounts"
	assert_one_line
	holm volume rm "$V" > /dev/null
}

@test "the host's directories keep the host's ids" {
	mkdir "$T/host"
	touch "$T/host/f"
	chmod 777 "$T/host"
	run holm run --rm --userns 300000 -v "$T/host:/host" "$IMAGE" \
		sh -c 'stat -c %u:%g /host/f; touch /host/new; touch /host/f'
	assert_status 1
	assert_match '^65534:65534'
	[ "$(stat -c %u:%g "$T/host/new")" = 300000:300000 ]
}

@test "hosts, hostname and resolv.conf belong to root inside" {
	run owner /etc/hosts /etc/hostname /etc/resolv.conf
	assert_output $'0:0\n0:0\n0:0'
	inside sh -c 'echo "10.1.2.3 there" >> /etc/hosts'
}

@test "users by number, working directories, tmpfs" {
	run holm run --rm --userns auto -u 5:6 --group-add 7 -w /made/for/it --tmpfs /t "$IMAGE" \
		sh -c 'id -u; id -g; id -G; pwd; touch /t/x && stat -c %u:%g /t/x; stat -c %u:%g /t /made/for/it'
	assert_output $'5\n6\n6 7\n/made/for/it\n5:6\n0:0\n0:0'
	run holm exec -u 5:6 -w "$W" "$BOX" sh -c 'id -u; id -g; pwd; touch x'
	assert_status 1
	assert_match $'^5\n6\n'"$W"
	run holm exec -u 70000:0 "$BOX" true
	assert_match "no user 70000"
	assert_one_line
}

@test "standard output can be opened by name" {
	run holm run --rm --userns auto "$IMAGE" sh -c 'echo out > /dev/stdout; echo error > /dev/stderr'
	assert_output $'out\nerror'
	run holm run --rm --userns auto -u 5:6 "$IMAGE" sh -c 'echo error > /dev/stderr'
	assert_output error
	run holm exec -u 5:6 "$BOX" sh -c 'echo out > /dev/stdout'
	assert_output out
	run holm run --rm -u 5:6 "$IMAGE" sh -c 'echo error > /dev/stderr'
	assert_output error
}
