# Ways out through files: mounts, copies and archives, while somebody exchanges what they go through.
load helper

setup_file() {
	suite_setup
	export ESCAPE=$BATS_FILE_TMPDIR/escape
	static_program escape.c "$ESCAPE"
	victim_setup
}
teardown_file() { suite_teardown; }
setup() { T=$BATS_TEST_TMPDIR; }
teardown() { remove_made; }

# swapper SETUP A B OPTION...: a container that exchanges A and B all the time, once SETUP has made them.
swapper() {
	local made=$1 a=$2 b=$3
	shift 3
	SWAPPER=$(unique swap)
	containers+=" $SWAPPER"
	holm run -d --name "$SWAPPER" --network none -v "$ESCAPE:/escape:ro" "$@" "$IMAGE" \
		sh -c "$made; exec /escape swap $a $b" > /dev/null
	swapping() { holm logs "$SWAPPER" | grep -q swapping; }
	eventually swapping
}
still_swapping() { [ "$(holm inspect -f '{{.State.Running}}' "$SWAPPER")" = true ]; }

UP=../../../../../../../../../../../..

@test "a mount in a shared volume, while its target is exchanged with a link (CVE-2021-30465)" {
	local i inside=0
	volumes=$(unique)
	swapper "mkdir -p /v/d/x; ln -s $UP$VICTIM /v/link; mkdir -p $VICTIM" /v/d /v/link -v "$volumes:/v"
	mkdir "$T/evil"
	for ((i = 0; i < 5 || (inside == 0 && i < 60); i++)); do
		# At a place that is there, and at one that is to be made.
		if run holm run --rm --network none -v "$volumes:/v" -v "$T/evil:/v/d/x" -v "$T/evil:/v/d/made$i" -w "/v/d/work$i" "$IMAGE" true; then
			[ "$status" -ne 0 ] || inside=$((inside + 1))
		fi
		victim_whole
	done
	still_swapping
	# Some starts came through, so that the race was one.
	[ $inside -gt 0 ]
}

@test "tmpfs, devices, volumes' first files and a terminal through what is exchanged" {
	local i before node="mknod /v/d/null c 1 3"
	[ "$(id -u)" -eq 0 ] || node="touch /v/d/null"
	volumes=$(unique)
	before=$(stat -c '%a %u' /dev/null /dev/pts/ptmx /etc/passwd)
	swapper "mkdir -p /v/d/x; $node; ln -s $UP/dev /v/link" /v/d /v/link -v "$volumes:/v"
	for ((i = 0; i < 2; i++)); do
		run holm run --rm --network none -v "$volumes:/v" --tmpfs /v/d/pts --tmpfs /v/d/x --device "/dev/null:/v/d/null" "$IMAGE" true
		run holm run --rm -t --network none -v "$volumes:/v" --device "/dev/zero:/v/d/made$i" "$IMAGE" true
		[ "$(stat -c '%a %u' /dev/null /dev/pts/ptmx /etc/passwd)" = "$before" ]
		[ ! -e "/dev/made$i" ]
		! grep -E ' /dev/(null|x|made|zero) ' /proc/self/mountinfo
	done
	still_swapping
	holm rm -f "$SWAPPER" > /dev/null
	# The node itself, at the moment when its mode is set; an ordinary user's container makes none.
	[ "$(id -u)" -eq 0 ] || return 0
	swapper "mknod /v/node c 1 5; chmod 600 /v/node; ln -s $UP$VICTIM/file /v/way" /v/node /v/way -v "$volumes:/v"
	for ((i = 0; i < 4; i++)); do
		run holm run --rm --network none -v "$volumes:/v" --device "/dev/zero:/v/node" "$IMAGE" true
		victim_whole
	done
}

@test "masks and protections lie on the real /proc, whatever is in the volumes (CVE-2025-31433, CVE-2025-52881)" {
	local before i
	before=$(cat /proc/sys/kernel/core_pattern)
	volumes=$(unique)
	# A /dev of the attacker's, in which what masks, and the terminal, are links to the kernel's files.
	swapper "mkdir /v/pts; for f in null console tty ptmx; do ln -s /proc/sys/kernel/core_pattern /v/\$f; touch /v/\$f.real; done; mknod /v/null.real c 1 3" /v/null /v/null.real -v "$volumes:/v"
	for ((i = 0; i < 2; i++)); do
		run holm run --rm -t --network none -v "$volumes:/dev" "$IMAGE" sh -c 'cat /proc/keys /proc/timer_list; echo x > /proc/sysrq-trigger; echo x > /proc/sys/kernel/core_pattern; for f in /dev/*; do echo evil > $f; done'
		refute_match 'keyring|clock'
		[ "$(cat /proc/sys/kernel/core_pattern)" = "$before" ]
	done
	still_swapping
	# What the runtime writes to /proc is the kernel's: a link of the image's is refused, see security.bats; nor
	# does a volume come to lie on it.
	for target in /proc /proc/self /proc/thread-self/attr /proc/sys/net /; do
		run holm run --rm --network none -v "$volumes:$target" --sysctl net.ipv4.ip_forward=1 "$IMAGE" true
		assert_status 125
		assert_one_line
	done
}

# ---- cp

@test "cp out: what is exchanged meanwhile gives nothing of the host's away (CVE-2018-15664)" {
	local i
	swapper "mkdir /a /b; echo mine > /a/file; ln -s $UP$VICTIM /w; ln -s $VICTIM/file /b/file; mkdir /top; mv /a /top/a" /top/a /w
	for ((i = 0; i < 4; i++)); do
		rm -rf "$T/out"
		run holm cp "$SWAPPER:/top/a/file" "$T/out"
		! grep -rqs keep "$T/out"
		rm -rf "$T/out"
		run holm cp -L "$SWAPPER:/top/a" "$T/out"
		! grep -rqs keep "$T/out"
		run holm cp "$SWAPPER:/top/." "$T/tree"
		! grep -rqs keep "$T/tree"
		rm -rf "$T/tree"
		! holm cp "$SWAPPER:/top/a/file" - 2> /dev/null | grep -qa keep
	done
	holm export "$SWAPPER" > "$T/export.tar"
	! grep -qa '^keep$' "$T/export.tar"
	still_swapping
}

@test "cp in: what is exchanged meanwhile leads to no file of the host's (CVE-2018-15664)" {
	local i
	mkdir -p "$T/in/deep"
	echo evil > "$T/in/file"
	echo evil > "$T/in/deep/made"
	tar -C "$T/in" -cf "$T/in.tar" .
	swapper "mkdir -p /a/deep; ln -s $UP$VICTIM /w" /a /w
	for ((i = 0; i < 4; i++)); do
		run holm cp "$T/in/file" "$SWAPPER:/a/file"
		run holm cp "$T/in/file" "$SWAPPER:/a/"
		run holm cp -a "$T/in/." "$SWAPPER:/a/"
		run holm cp - "$SWAPPER:/a" < "$T/in.tar"
		run holm cp "$T/in" "$SWAPPER:/a/deep"
		victim_whole
	done
	still_swapping
	holm rm -f "$SWAPPER" > /dev/null
	# The last part of the name, and a directory in the middle of what is copied.
	swapper "mkdir -p /t/deep; touch /t/file; ln -s $UP$VICTIM /t/w" /t/deep /t/w
	for ((i = 0; i < 4; i++)); do
		run holm cp "$T/in/." "$SWAPPER:/t/"
		run holm cp - "$SWAPPER:/t" < "$T/in.tar"
		victim_whole
	done
}

@test "cp out copies no device, no set-id bit and no socket to the host, and names stay below" {
	local name
	name=$(unique)
	containers=$name
	holm run -d --name "$name" --network none "$IMAGE" sh -c 'mkdir /d; cd /d; mknod disk b 8 0; mknod mem c 1 1; cp /bin/sh suid; chmod 6755 suid; mkfifo fifo; ln -s /etc/passwd link; ln suid hard; mkdir "..x" "a
b"; touch "$(printf "\033[2J")"; touch ready; sleep 100'
	eventually holm exec "$name" test -e /d/ready
	holm cp "$name:/d" "$T/out"
	[ ! -e "$T/out/disk" ] && [ ! -e "$T/out/mem" ]
	[ "$(stat -c %a "$T/out/suid")" = 755 ]
	[ "$(stat -c %a "$T/out/hard")" = 755 ]
	[ "$(readlink "$T/out/link")" = /etc/passwd ]
	[ -d "$T/out/..x" ]
	run holm cp "$name:/d/../../../../etc/hostname" "$T/name"
	assert_status 0
	[ "$(cat "$T/name")" = "$(holm exec "$name" cat /etc/hostname)" ]
	run holm cp "$name:/proc/1/root/etc/hostname" "$T/name2"
	[ ! -e "$T/name2" ]
	run holm cp "$name:/proc/self/exe" "$T/exe"
	[ ! -e "$T/exe" ] || [ -L "$T/exe" ]
}

# ---- archives into a running container

@test "a tar stream into a container, whose entries lead out: refused or kept inside" {
	local kind name
	name=$(unique)
	containers=$name
	holm run -d --name "$name" --network none --tmpfs /t "$IMAGE" sleep 100
	for kind in $("$PROJECT/tests/cli/hostile.py" kinds); do
		"$PROJECT/tests/cli/hostile.py" layer "$kind" "$VICTIM" "$T/x.tar"
		run timeout 20 "$HOLM" cp - "$name:/t" < "$T/x.tar"
		victim_whole
	done
}

# A bomb: bomb FORMAT, of nothing but zeros or of entries without end, on standard output.
bomb() {
	python3 - "$1" <<- 'END'
		import gzip, io, sys, tarfile
		if sys.argv[1] == "zeros":
		    t = tarfile.TarInfo("zeros")
		    t.size = 1 << 44
		    with gzip.open(sys.stdout.buffer, "wb", 1) as f:
		        f.write(t.tobuf(tarfile.GNU_FORMAT))
		        for n in range(60):
		            f.write(bytes(1 << 20))
		elif sys.argv[1] == "depth":
		    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.PAX_FORMAT) as f:
		        for n in range(1, 60):
		            t = tarfile.TarInfo("d/" * 200 * n)
		            t.type = tarfile.DIRTYPE
		            f.addfile(t)
		elif sys.argv[1] == "header":
		    # An extended header of more than anybody's memory.
		    t = tarfile.TarInfo("x")
		    t.type, t.size = tarfile.XHDTYPE, 1 << 40
		    sys.stdout.buffer.write(t.tobuf(tarfile.GNU_FORMAT))
		    try:
		        for n in range(60):
		            sys.stdout.buffer.write(b"30 comment=" + b"x" * 18 + b"\n" + bytes(1 << 20))
		    except BrokenPipeError:
		        pass
	END
}

@test "archives that are bombs end early, in bounded memory, with nothing kept" {
	local kind
	fresh_root
	for kind in zeros depth header; do
		bomb $kind > "$T/bomb" 2> /dev/null || true
		# 400 MB of addresses are enough to refuse them, or to take what is harmless.
		run bash -c "ulimit -v 400000; timeout 50 '$HOLM' import '$T/bomb' bomb:1"
		if [ "$status" -eq 0 ]; then
			[ $kind = depth ]
			holm rmi -f bomb:1 > /dev/null
		else
			assert_status 1
			assert_one_line
		fi
		[ -z "$(ls -A "$HOLM_ROOT/tmp" "$HOLM_ROOT/layers" | grep -v :)" ]
		rm -f "$T/bomb"
	done
	drop_root
}
