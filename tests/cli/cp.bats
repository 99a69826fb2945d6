# Files in and out of containers: cp, diff, export.
load helper
setup_file() {
	suite_setup
	export BOX
	BOX=$(unique box)
	holm run -d --name "$BOX" "$IMAGE" sleep 1000 > /dev/null
}
teardown_file() { suite_teardown; }
setup() {
	T=$BATS_TEST_TMPDIR
	W=/tmp/$(unique) # inside
	holm exec "$BOX" mkdir "$W"
}
inside() { holm exec "$BOX" "$@"; }

@test "a file: new, over a file, into a directory" {
	echo one > "$T/file"
	holm cp "$T/file" "$BOX:$W/new"
	[ "$(inside cat "$W/new")" = one ]
	echo two > "$T/file"
	holm cp "$T/file" "$BOX:$W/new"
	[ "$(inside cat "$W/new")" = two ]
	holm cp "$T/file" "$BOX:$W"
	[ "$(inside cat "$W/file")" = two ]
	run holm cp "$T/file" "$BOX:$W/absent/"
	assert_status 1
	assert_one_line
	run holm cp "$T/file" "$BOX:$W/absent/file"
	assert_status 1
	assert_one_line
	run holm cp "$T/file" "$BOX:$W/new/"
	assert_status 1
}

@test "a directory: new, into one, its contents" {
	mkdir -p "$T/d/sub"
	echo x > "$T/d/sub/x"
	holm cp "$T/d" "$BOX:$W/made"
	[ "$(inside cat "$W/made/sub/x")" = x ]
	holm cp "$T/d" "$BOX:$W/made"
	[ "$(inside cat "$W/made/d/sub/x")" = x ]
	inside mkdir "$W/there"
	holm cp "$T/d/." "$BOX:$W/there"
	[ "$(inside cat "$W/there/sub/x")" = x ]
	inside touch "$W/plain"
	run holm cp "$T/d" "$BOX:$W/plain"
	assert_status 1
	assert_match "cannot copy a directory"
}

@test "out, with modes and times, owned by the caller" {
	needs_root "owners of the host's files are checked"
	inside sh -c "cd $W && mkdir d && echo x > d/f && chown 5:6 d/f && chmod 4751 d/f && touch -d 2001-02-03T04:05:06Z d/f"
	holm cp "$BOX:$W/d" "$T/out"
	[ "$(stat -c '%a %u %g' "$T/out/f")" = "751 0 0" ]
	[ "$(stat -c %Y "$T/out/f")" = 981173106 ]
	holm cp -a "$BOX:$W/d" "$T/all"
	[ "$(stat -c '%a %u %g' "$T/all/f")" = "4751 5 6" ]
	mkdir "$T/into"
	holm cp "$BOX:$W/d/." "$T/into"
	[ -f "$T/into/f" ]
}

@test "in: owned by root, or as they were" {
	needs_root "owners of the host's files are checked"
	echo x > "$T/f"
	chown 7:8 "$T/f"
	holm cp "$T/f" "$BOX:$W/f"
	[ "$(inside stat -c %u:%g "$W/f")" = 0:0 ]
	holm cp -a "$T/f" "$BOX:$W/f"
	[ "$(inside stat -c %u:%g "$W/f")" = 7:8 ]
}

@test "links are copied as links, or followed" {
	inside sh -c "cd $W && echo real > target && ln -s target link && ln -s $W dir"
	holm cp "$BOX:$W/link" "$T/link"
	[ "$(readlink "$T/link")" = target ]
	holm cp -L "$BOX:$W/link" "$T/file"
	[ "$(cat "$T/file")" = real ]
	# A destination that is a link to a directory is entered.
	echo y > "$T/y"
	holm cp "$T/y" "$BOX:$W/dir"
	[ "$(inside cat "$W/y")" = y ]
}

@test "no link leads out of the container" {
	local secret=$T/secret
	echo secret > "$secret"
	mkdir "$T/host"
	inside sh -c "cd $W && ln -s $secret out && ln -s $T/host dir && ln -s ../../../../../../.. up"
	run holm cp -L "$BOX:$W/out" "$T/stolen"
	assert_status 1
	[ ! -e "$T/stolen" ]
	run holm cp "$secret" "$BOX:$W/dir/planted"
	[ ! -e "$T/host/planted" ]
	run holm cp "$secret" "$BOX:$W/up$T/host/planted"
	[ ! -e "$T/host/planted" ]
	run holm cp "$BOX:../../../../..$secret" "$T/stolen"
	assert_status 1
}

@test "as a tar stream" {
	inside sh -c "cd $W && mkdir -p d/e && echo x > d/e/x"
	run bash -c "'$HOLM' cp '$BOX:$W/d' - | tar -t"
	assert_output $'d/\nd/e/\nd/e/x'
	mkdir -p "$T/s"
	echo from-tar > "$T/s/t"
	tar -C "$T/s" -c t | holm cp - "$BOX:$W/d"
	[ "$(inside cat "$W/d/t")" = from-tar ]
	run bash -c "echo garbage | '$HOLM' cp - '$BOX:$W/d'"
	assert_status 1
	assert_one_line
	run bash -c "tar -C '$T/s' -c t | '$HOLM' cp - '$BOX:$W/d/t'"
	assert_status 1
}

@test "a container that does not run" {
	local name
	name=$(unique)
	holm create --name "$name" "$IMAGE" cat /in > /dev/null
	echo given > "$T/in"
	holm cp "$T/in" "$name:/in"
	run holm start -a "$name"
	assert_output given
	holm cp "$name:/etc/passwd" "$T/passwd"
	grep -q ^root: "$T/passwd"
	holm rm "$name"
}

@test "/etc/hosts, which is mounted, keeps its identity" {
	echo "192.0.2.1 mine" > "$T/hosts"
	holm cp "$T/hosts" "$BOX:/etc/hosts"
	[ "$(inside cat /etc/hosts)" = "192.0.2.1 mine" ]
	mkdir "$T/etc" && echo "192.0.2.2 more" > "$T/etc/hosts"
	holm cp "$T/etc/." "$BOX:/etc"
	[ "$(inside cat /etc/hosts)" = "192.0.2.2 more" ]
	run bash -c "tar cf - -C '$T/etc' hosts | '$HOLM' cp - '$BOX:/etc'"
	assert_status 1
	assert_match 'busy'
	[ "$(inside cat /etc/hosts)" = "192.0.2.2 more" ]
	inside grep -q ' /etc/hosts ' /proc/self/mountinfo
}

@test "diff tells what was added, changed and deleted" {
	local name
	name=$(unique)
	holm run --name "$name" -v /made/by/us "$IMAGE" sh -c \
		'rm /etc/issue; echo x >> /etc/passwd; mkdir -p /new/dir; echo y > /new/dir/f; rm -r /opt; mkdir /opt; echo 1 > /opt/a'
	run holm diff "$name"
	assert_status 0
	for line in "C /etc" "D /etc/issue" "C /etc/passwd" "A /new" "A /new/dir" "A /new/dir/f" "A /opt/a"; do
		grep -qxF "$line" <<< "$output"
	done
	refute_match "/etc/hosts"
	refute_match "/made/by/us"
	refute_match "/proc"
	[ "$output" = "$(LC_ALL=C sort -k2 <<< "$output")" ]
	holm rm -v "$name"
}

@test "export is the whole root without what is mounted" {
	echo marker > "$T/marker"
	holm cp "$T/marker" "$BOX:/marker"
	holm export -o "$T/all.tar" "$BOX"
	tar -tf "$T/all.tar" > "$T/list"
	grep -qx marker "$T/list"
	grep -qx etc/passwd "$T/list"
	! grep -q '^proc/.' "$T/list"
	! grep -q '^sys/.' "$T/list"
}

@test "wrong use is one clear line" {
	run holm cp "$T/a" "$T/b"
	assert_status 1
	assert_one_line
	run holm cp one:/a two:/b
	assert_status 1
	assert_one_line
	run holm cp "$T/absent" "$BOX:$W"
	assert_status 1
	assert_one_line
	run holm cp "$BOX:/absent" "$T"
	assert_status 1
	assert_one_line
	run holm cp "$(unique):/x" "$T"
	assert_status 1
	assert_one_line
}

@test "a stopped container: its volumes and binds are where it sees them" {
	local name
	name=$(unique)
	mkdir -p "$T/bind/sub" && echo host > "$T/bind/sub/x" && echo new > "$T/new"
	holm create --name "$name" -v "$name:/data" -v "$T/bind:/data/deep/er" -v "$T/new:/one:ro" "$IMAGE" \
		sh -c 'cat /data/in; cat /data/deep/er/in' > /dev/null
	holm cp "$T/new" "$name:/data/in"
	holm cp "$T/new" "$name:/data/deep/er/in"
	[ "$(cat "$T/bind/in")" = new ]
	[ "$(holm cp "$name:/data/deep/er/sub/x" - | tar xO)" = host ]
	echo other > "$T/other"
	run holm cp "$T/other" "$name:/one"
	assert_status 1
	assert_one_line
	[ "$(cat "$T/new")" = new ]
	run holm start -a "$name"
	assert_output $'new\nnew'
	# And once more now that it has run.
	holm cp "$name:/data/in" "$T/out"
	[ "$(cat "$T/out")" = new ]
	# What is exported is the container alone.
	run bash -c "'$HOLM' export '$name' | tar t | grep -E '^data/(in|deep/er/in)'"
	assert_output ""
	holm rm -f "$name" && holm volume rm "$name"
}

@test "a stopped container: who reads it is in nobody's way" {
	local name copy
	name=$(unique)
	holm create --name "$name" "$IMAGE" sleep 1000 > /dev/null
	mkfifo "$T/pipe"
	holm cp "$name:/usr" - > "$T/pipe" 3>&- &
	copy=$!
	exec 8< "$T/pipe"
	dd bs=512 count=1 iflag=fullblock status=none <&8 > "$T/tar" # it has begun, and waits for us
	holm start "$name"
	holm exec "$name" true
	cat <&8 >> "$T/tar"
	exec 8<&-
	wait "$copy"
	tar -tf "$T/tar" > "$T/list"
	grep -q '^usr/bin/' "$T/list"
}

@test "a stopped container: while it is written to it is not started" {
	local name id copy lock
	name=$(unique)
	id=$(holm create --name "$name" "$IMAGE" sleep 1000)
	lock=$HOLM_ROOT/run/instances/$id/lock
	locked() { [ -e "$lock" ] && grep -q ":$(stat -c %i "$lock") " /proc/locks; }
	echo written > "$T/file"
	tar -C "$T" -cf "$T/tar" file
	mkfifo "$T/pipe"
	holm cp - "$name:/tmp" < "$T/pipe" 3>&- &
	copy=$!
	exec 8> "$T/pipe"
	eventually locked
	run timeout 2 "$HOLM" start "$name"
	[ "$status" -eq 124 ]
	[ "$(holm inspect -f '{{.State.Status}}' "$name")" = created ]
	cat "$T/tar" >&8
	exec 8>&-
	wait "$copy"
	holm start "$name"
	[ "$(holm exec "$name" cat /tmp/file)" = written ]
}

@test "a stopped container: links in the way of a volume stay inside" {
	local name
	name=$(unique)
	mkdir -p "$T/bind" && echo x > "$T/x"
	holm run --name "$name" -v "$T/bind:/mnt/data" "$IMAGE" sh -c 'ln -s /etc /mnt/link' > /dev/null
	holm cp "$T/x" "$name:/mnt/link/holm-escaped"
	[ ! -e /etc/holm-escaped ]
	[ "$(holm cp "$name:/etc/holm-escaped" - | tar xO)" = x ]
	holm rm -f "$name" > /dev/null
}
