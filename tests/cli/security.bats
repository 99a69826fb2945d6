# What holds a hostile image or process in. Each known escape is tried by its mechanism.
load helper

setup_file() {
	suite_setup
	export PROBE=$BATS_FILE_TMPDIR/probe
	static_program probe.c "$PROBE"
	victim_setup
}
teardown_file() { suite_teardown; }
setup() { T=$BATS_TEST_TMPDIR; }
teardown() { remove_made; }

# A small image whose /bin/probe is all there is, with these links: hostile_image NAME [LINK=TARGET]...
hostile_image() {
	local name=$1
	shift
	images+=" $name"
	"$PROJECT/tests/cli/hostile.py" rootfs "$T/$name.tar" "$PROBE" "$@"
	holm import "$T/$name.tar" "$name" > /dev/null
	rm "$T/$name.tar"
}

probe() {
	holm run --rm --network none -v "$PROBE:/probe:ro" "$@"
}

# ---- the program itself

@test "a process that joins cannot be opened: neither holm nor the init program can be overwritten" {
	local name before i
	name=$(unique)
	containers=$name
	before=$(sha256sum < "$HOLM")
	holm run -d --name "$name" -v "$PROBE:/probe:ro" "$IMAGE" sh -c '/probe hunt 4 > /found; sleep 100'
	eventually holm exec "$name" grep -q hunting /found
	for ((i = 0; i < 15; i++)); do
		# "Text file busy" while the hunt has it open to be written to.
		eventually holm exec "$name" true
	done
	eventually holm exec "$name" grep -q '^seen' /found
	run holm exec "$name" cat /found
	# It did see them come and go, if not all on a busy machine; what it could open are programs of the image.
	[[ $output =~ seen\ ([0-9]+) ]]
	[ "${BASH_REMATCH[1]}" -ge 3 ]
	assert_match 'read [0-9:]+ /usr/bin/'
	refute_match "$(stat -c '%Hd:%Ld:%i' "$HOLM") "
	refute_match "$HOLM"
	# Files of the image only, in their writable layer: the init program is sealed.
	refute_match 'write [0-9:]+ /memfd'
	[ "$(sha256sum < "$HOLM")" = "$before" ]
}

@test "#!/proc/self/exe runs nothing of the host's" {
	local name before
	name=$(unique)
	containers=$name
	before=$(sha256sum < "$HOLM")
	printf '#!/proc/self/exe\n' > "$T/script"
	chmod 755 "$T/script"
	run holm run --rm --network none -v "$T/script:/script" "$IMAGE" /script
	[ "$status" -ne 0 ]
	refute_match "Usage: holm|unknown verb"
	holm run -d --name "$name" -v "$T/script:/bin/evil" "$IMAGE" sleep 100
	run holm exec "$name" evil
	[ "$status" -ne 0 ]
	refute_match "Usage: holm|unknown verb"
	[ "$(sha256sum < "$HOLM")" = "$before" ]
	# The init program is sealed in memory.
	run holm run --rm --init -v "$PROBE:/probe:ro" "$IMAGE" /probe put /proc/1/exe evil
	assert_status 1
}

@test "no descriptor but 0, 1 and 2 reaches the process" {
	local name
	name=$(unique)
	containers=$name
	holm run -d --init --name "$name" "$IMAGE" sleep 100
	# Some of our own open, too.
	exec 11< / 12< "$VICTIM/file"
	for how in "run --rm" "run --rm -i" "run --rm --init" "exec $name" "exec -i $name"; do
		case $how in
		run*) what="$how $IMAGE" ;;
		*) what=$how ;;
		esac
		# shellcheck disable=SC2086
		run holm $what sh -c 'ls /proc/$$/fd /proc/1/fd; true'
		# Of the process and of process 1, ours or the init program.
		[[ $output =~ ^/proc/[0-9]+/fd:$'\n'0$'\n'1$'\n'2($'\n\n'/proc/[0-9]+/fd:$'\n'0$'\n'1$'\n'2)?$ ]]
	done
	exec 11<&- 12<&-
	run holm exec "$name" sh -c 'ls -l /proc/1/fd/'
	refute_match "$HOLM_ROOT|holm-|memfd|/sys/fs|cgroup"
}

@test "no working directory outside: /proc/self/fd/N, by option, image and link" {
	local name n
	name=$(unique)
	containers=$name
	hostile_image fd-link "cwd=/proc/self/fd/8"
	holm run -d --name "$name" -v "$PROBE:/probe:ro" "$IMAGE" sh -c 'for n in 3 4 5 6 7 8 9 10 11 12; do ln -s /proc/self/fd/$n /$n; done; sleep 100'
	eventually holm exec "$name" test -L /12
	exec 8< /
	for n in 3 4 5 6 7 8 9 10 11 12; do
		run holm run --rm --network none -w "/proc/self/fd/$n" "$IMAGE" ls
		[ "$status" -ge 125 ]
		assert_one_line
		run holm exec -w "/proc/self/fd/$n" "$name" ls
		[ "$status" -ge 125 ]
		assert_one_line
		run holm exec -w "/$n" "$name" ls
		[ "$status" -ge 125 ]
	done
	run holm run --rm --network none -w /cwd fd-link /bin/probe ls .
	[ "$status" -ge 125 ]
	images+=" fd-work"
	"$PROJECT/tests/cli/hostile.py" rootfs "$T/w.tar" "$PROBE"
	holm import -c 'WORKDIR /proc/self/fd/8' "$T/w.tar" fd-work
	run holm run --rm --network none fd-work /bin/probe ls .
	exec 8<&-
	[ "$status" -ge 125 ]
	assert_one_line
}

# ---- links in the image where the runtime mounts and writes

@test "mount targets that are links lead nowhere but inside" {
	local up=../../../../../../../../../.. host
	host=$(cat /proc/sys/kernel/hostname)
	hostile_image abs-etc "etc=$VICTIM"
	run holm run --rm abs-etc /bin/probe ls "$VICTIM"
	assert_status 0
	assert_match hosts
	hostile_image rel-etc "etc=$up$VICTIM"
	run holm run --rm rel-etc /bin/probe ls /etc/
	assert_status 0
	assert_match resolv.conf
	hostile_image dev-link "dev=$VICTIM" "sys/fs=$up$VICTIM" "tmp=$up/$VICTIM"
	run holm run --rm --network none --tmpfs /tmp/x -v "$PROBE:/tmp/y/z" dev-link /bin/probe ls "$VICTIM"
	victim_whole
	[ "$(cat /proc/sys/kernel/hostname)" = "$host" ]
	hostile_image hosts-link "etc/hosts=$VICTIM/file" "etc/resolv.conf=$up$VICTIM/file" "etc/hostname=/proc/1/root$VICTIM/file"
	run holm run --rm hosts-link /bin/probe ls "$VICTIM"
	victim_whole
	# Named by the user, through a link of the image.
	hostile_image user-link "way=$up$VICTIM" "loop=loop" "self=/proc/self/root$VICTIM"
	run holm run --rm --network none -v "$PROBE:/way/new" user-link /bin/probe ls "$VICTIM"
	assert_output new
	run holm run --rm --network none -v "$PROBE:/loop/new" user-link /bin/probe ls /
	assert_status 125
	assert_one_line
	run holm run --rm --network none -v "$PROBE:/self/new" user-link /bin/probe ls /
	assert_status 125
	assert_one_line
	run holm run --rm --network none -v "$PROBE:/../../../x/new" user-link /bin/probe ls /x
	assert_output new
	victim_whole
}

@test "/proc and /sys that are links are refused" {
	hostile_image proc-link "proc=$VICTIM"
	run holm run --rm --network none proc-link /bin/probe ls /proc
	assert_status 125
	assert_one_line
	assert_match "/proc.*must be mounted on ordinary directory"
	hostile_image proc-here "proc=other" "sys=/"
	run holm run --rm --network none proc-here /bin/probe ls /
	assert_status 125
	assert_one_line
	hostile_image sys-link "sys=$VICTIM"
	run holm run --rm --network none sys-link /bin/probe ls /
	assert_status 125
	assert_one_line
	assert_match "/sys.*must be mounted on ordinary directory"
	victim_whole
	run holm ps -aq --filter ancestor=proc-link
	assert_output ""
}

@test "mounts over /proc are refused, but for those that tell of resources" {
	local what
	for what in /proc /proc/self /proc/sys /proc/1/attr /proc/self/exe /proc/sys/kernel/core_pattern; do
		run holm run --rm --network none -v "$VICTIM:$what" "$IMAGE" true
		assert_status 125
		assert_one_line
	done
	echo "fake" > "$T/uptime"
	run holm run --rm --network none -v "$T/uptime:/proc/uptime:ro" "$IMAGE" cat /proc/uptime
	assert_output fake
}

@test "masked paths are masked whatever the image or a volume puts in /dev" {
	local before
	before=$(cat /proc/sys/kernel/core_pattern)
	hostile_image dev-null "dev/null=/proc/sys/kernel/core_pattern"
	run holm run --rm --network none dev-null /bin/probe cat /proc/keys
	assert_output ""
	run holm run --rm --network none dev-null /bin/probe put /proc/keys evil
	run holm run --rm --network none dev-null /bin/probe put /dev/null evil
	[ "$(cat /proc/sys/kernel/core_pattern)" = "$before" ]
	# A directory of the user's upon /dev, in which the null device is a link.
	mkdir "$T/dev"
	ln -s /proc/sys/kernel/core_pattern "$T/dev/null"
	run holm run --rm --network none -v "$T/dev:/dev" dev-null /bin/probe put /proc/keys evil
	[ "$(cat /proc/sys/kernel/core_pattern)" = "$before" ]
	run holm run --rm --network none "$IMAGE" sh -c 'cat /proc/keys /proc/timer_list; ls /proc/acpi /sys/firmware'
	assert_output $'/proc/acpi:\n\n/sys/firmware:'
}

@test "what masks a file is the host's null device, and cannot be changed" {
	local before
	before=$(stat -c '%a %u %g' /dev/null)
	run holm run --rm --network none "$IMAGE" sh -c 'chmod 600 /proc/keys; chown 1:1 /proc/keys; chmod 600 /proc/timer_list'
	# Put right before anything fails because of it.
	[ "$(stat -c '%a %u %g' /dev/null)" = "$before" ] || {
		chmod 666 /dev/null
		chown 0:0 /dev/null
		false
	}
	[ "$status" -ne 0 ]
	assert_match "Read-only file system"
}

@test "users and groups are those of the image, also when its files are links to the host's" {
	mkdir "$T/etc"
	echo "victim:x:4242:4242::/:/bin/sh" > "$T/etc/passwd"
	chmod 755 "$T" "$T/etc"
	hostile_image passwd-link "etc/passwd=$T/etc/passwd" "etc/group=../../../../../../../../..$T/etc/passwd"
	run holm run --rm --network none -u victim passwd-link /bin/probe ls /
	assert_status 125
	assert_one_line
	run holm run --rm --network none --group-add victim passwd-link /bin/probe ls /
	assert_status 125
	assert_one_line
	# One that would never end.
	hostile_image passwd-zero "etc/passwd=/dev/zero" "etc/group=/proc/kmsg"
	run holm run --rm --network none -u 5 passwd-zero /bin/probe ls /bin
	assert_status 0
}

@test "a new volume takes its files from the image alone" {
	volumes=$(unique)
	hostile_image volume-link "data=$VICTIM" "more=../../../../../../../../..$VICTIM"
	run holm run --rm --network none -v "$volumes:/data" volume-link /bin/probe ls /data
	refute_match file
	holm volume rm -f "$volumes"
	run holm run --rm --network none -v "$volumes:/more" volume-link /bin/probe ls "$VICTIM"
	refute_match file
	victim_whole
}

# ---- archives

@test "layers that reach out: refused in one line or kept inside, by import and by load" {
	local kind how
	fresh_root
	# What is only odd comes out harmless.
	harmless=" absolute over_link hardlink_to_link attribute "
	for kind in $("$PROJECT/tests/cli/hostile.py" kinds); do
		for how in layer image; do
			"$PROJECT/tests/cli/hostile.py" $how "$kind" "$VICTIM" "$T/x.tar"
			if [ $how = layer ]; then
				run holm import "$T/x.tar" hostile:1
			else
				run holm load -q -i "$T/x.tar"
			fi
			echo "$kind $how: $output" >&2
			victim_whole
			[ -z "$(ls -A "$HOLM_ROOT/tmp")" ]
			if [[ $harmless == *" $kind "* ]]; then
				assert_status 0
				[ -z "$(getfattr -Rhdm 'overlay' "$HOLM_ROOT/layers" 2> /dev/null | grep overlay)" ]
				holm rmi -f hostile:1 > /dev/null
			else
				assert_status 1
				assert_one_line
			fi
			run holm images -aq
			assert_output ""
			[ -z "$(ls -A "$HOLM_ROOT/layers")" ]
			[ -z "$(find "$HOLM_ROOT/blobs" -type f)" ]
		done
	done
	drop_root
}

@test "archives whose digests are wrong, that end early or lie: refused in one line, nothing kept" {
	fresh_root
	local at size refused=0
	"$PROJECT/tests/cli/hostile.py" image over_link "$VICTIM" "$T/good.tar"
	size=$(stat -c %s "$T/good.tar")
	# A byte changed here and there: refused, or of no meaning.
	for ((at = 0; at < size; at += 509)); do
		cp "$T/good.tar" "$T/bad.tar"
		printf '\377' | dd of="$T/bad.tar" bs=1 seek=$at conv=notrunc status=none
		run holm load -q -i "$T/bad.tar"
		if [ "$status" -ne 0 ]; then
			refused=$((refused + 1))
			assert_status 1
			assert_one_line
			run holm images -aq
			assert_output ""
			[ -z "$(ls -A "$HOLM_ROOT/tmp" "$HOLM_ROOT/layers" | grep -v :)" ]
		else
			holm rmi -f $(holm images -q | sort -u) > /dev/null
		fi
	done
	[ $refused -gt 5 ]
	# Without the zeros at the end it is whole.
	size=$(python3 -c 'import sys, tarfile; m = tarfile.open(sys.argv[1]).getmembers()[-1]; print(m.offset_data + m.size)' "$T/good.tar")
	for ((at = 0; at < size; at += 1900)); do
		head -c $at "$T/good.tar" > "$T/short.tar"
		run holm load -q -i "$T/short.tar"
		assert_status 1
		assert_one_line
		[ -z "$(ls -A "$HOLM_ROOT/tmp" "$HOLM_ROOT/layers" | grep -v :)" ]
	done
	drop_root
}

# ---- rights

caps() {
	holm run --rm --network none "$@" "$IMAGE" sed -n 's/^Cap\(Inh\|Prm\|Eff\|Bnd\|Amb\):\t/\1 /p' /proc/self/status
}

@test "capabilities: Docker's fourteen, no inheritable ones" {
	# chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service net_raw sys_chroot
	# mknod audit_write setfcap: bits 0 1 3 4 5 6 7 8 10 13 18 27 29 31
	run caps
	assert_output $'Inh 0000000000000000\nPrm 00000000a80425fb\nEff 00000000a80425fb\nBnd 00000000a80425fb\nAmb 0000000000000000'
	run caps -u 1000
	assert_output $'Inh 0000000000000000\nPrm 0000000000000000\nEff 0000000000000000\nBnd 00000000a80425fb\nAmb 0000000000000000'
	run caps --cap-drop ALL
	assert_output $'Inh 0000000000000000\nPrm 0000000000000000\nEff 0000000000000000\nBnd 0000000000000000\nAmb 0000000000000000'
	run caps --cap-drop ALL --cap-add NET_ADMIN --cap-add cap_chown
	assert_match 'Eff 0000000000001001'
	assert_match 'Bnd 0000000000001001'
	run caps --cap-drop MKNOD --cap-add SYS_TIME
	assert_match 'Eff 00000000a20425fb'
	run caps --cap-add ALL --cap-drop SYS_ADMIN
	[ $((0x$(sed -n 's/^Eff //p' <<< "$output") & 1 << 21)) -eq 0 ]
	[ $((0x$(sed -n 's/^Eff //p' <<< "$output") & 1 << 25)) -ne 0 ]
}

@test "capabilities: privileged has all of holm's own; exec has the container's, or with --privileged all" {
	local own name
	name=$(unique)
	containers=$name
	own=$(sed -n 's/^CapPrm:\t//p' /proc/self/status)
	run --separate-stderr caps --privileged
	assert_match "Eff $own"
	holm run -d --name "$name" --cap-drop ALL --cap-add KILL "$IMAGE" sleep 100
	run holm exec "$name" grep -E 'Cap(Eff|Bnd)' /proc/self/status
	assert_output $'CapEff:\t0000000000000020\nCapBnd:\t0000000000000020'
	run --separate-stderr holm exec --privileged "$name" grep CapEff /proc/self/status
	assert_match "$own"
	run holm exec -u 5 "$name" grep CapEff /proc/self/status
	assert_match "0000000000000000"
}

@test "system calls: the default profile" {
	run probe "$IMAGE" /probe add-key clone-user fsopen io-uring keyctl keyctl-i386 kexec module mount no-aslr \
		open-by-handle open-tree perf remount-sys seccomp-off setns settime socket-alg socket-vsock swapon \
		umount unshare-user userfaultfd
	assert_status 0
	[ "$(grep -c ': EPERM$' <<< "$output")" -eq 23 ]
	# A C library falls back to clone.
	run probe "$IMAGE" /probe clone3
	assert_output "clone3: ENOSYS"
	run probe "$IMAGE" /probe ptrace chroot socket-inet socket-packet setuid
	assert_output $'ptrace: ok\nchroot: ok\nsocket-inet: ok\nsocket-packet: ok\nsetuid: ok'
	# And so for who joins.
	containers=$(unique)
	holm run -d --name "$containers" -v "$PROBE:/probe:ro" "$IMAGE" sleep 100
	run holm exec "$containers" /probe keyctl unshare-user seccomp-off clone3
	assert_output $'keyctl: EPERM\nunshare-user: EPERM\nseccomp-off: EPERM\nclone3: ENOSYS'
}

@test "system calls: capabilities open what they are for" {
	run probe --cap-add SYS_ADMIN "$IMAGE" /probe mount clone3 unshare-user keyctl
	assert_output $'mount: ok\nclone3: ok\nunshare-user: ok\nkeyctl: EPERM'
	run probe --cap-add SYS_PTRACE --cap-add SYS_BOOT "$IMAGE" /probe reboot keyctl
	assert_output $'reboot: EINVAL\nkeyctl: EPERM'
	run probe --cap-drop SYS_CHROOT "$IMAGE" /probe chroot
	assert_output "chroot: EPERM"
}

@test "system calls: unconfined, privileged, and profiles of one's own" {
	run probe --security-opt seccomp=unconfined "$IMAGE" /probe keyctl keyctl-i386 unshare-user clone3 seccomp-off no-aslr mount
	assert_output $'keyctl: ok\nkeyctl-i386: ok\nunshare-user: ok\nclone3: ok\nseccomp-off: ok\nno-aslr: ok\nmount: EPERM'
	run --separate-stderr probe --privileged "$IMAGE" /probe keyctl seccomp-off mount
	assert_output $'keyctl: ok\nseccomp-off: ok\nmount: ok'
	cat > "$T/profile.json" <<- 'END'
		{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
			{"names": ["keyctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
			{"names": ["unshare", "no_such_call_at_all"], "action": "SCMP_ACT_ERRNO"},
			{"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 97,
			 "args": [{"index": 0, "value": 17, "op": "SCMP_CMP_EQ"}]}]}
	END
	run probe --security-opt "seccomp=$T/profile.json" "$IMAGE" /probe keyctl unshare-user socket-packet socket-inet add-key
	assert_output $'keyctl: ENOSYS\nunshare-user: EPERM\nsocket-packet: EAFNOSUPPORT\nsocket-inet: ok\nadd-key: ok'
	echo '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["keyctl"], "action": "SCMP_ACT_SHRUG"}]}' > "$T/odd.json"
	run probe --security-opt "seccomp=$T/odd.json" "$IMAGE" /probe keyctl
	assert_status 125
	assert_one_line
	assert_match SCMP_ACT_SHRUG
}

@test "no-new-privileges: a set-user-id program gives nothing" {
	cp "$PROBE" "$T/suid"
	chmod 4755 "$T/suid"
	chmod 755 "$T"
	run holm run --rm --network none -u 1000 -v "$T/suid:/suid" "$IMAGE" /suid setuid
	assert_output "setuid: ok"
	run holm run --rm --network none -u 1000 --security-opt no-new-privileges -v "$T/suid:/suid" "$IMAGE" /suid setuid
	assert_output "setuid: EPERM"
	run holm run --rm --network none --security-opt no-new-privileges "$IMAGE" grep NoNewPrivs /proc/self/status
	assert_match 1
	containers=$(unique)
	holm run -d --name "$containers" -u 1000 --security-opt no-new-privileges=true -v "$T/suid:/suid" "$IMAGE" sleep 100
	run holm exec "$containers" /suid setuid
	assert_output "setuid: EPERM"
}

# ---- the kernel's files, devices

@test "/proc/sys, /sys and the cgroups are read-only; none can be made writable" {
	run holm run --rm --network none "$IMAGE" sh -c '
		for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/irq/default_smp_affinity \
			/sys/kernel/profiling /sys/power/state; do
			[ -e $f ] || continue
			if echo 1 2> /dev/null > $f; then echo "wrote $f"; fi
		done
		find /sys/fs/cgroup /proc/sys /sys/devices/system -xdev -type f -perm -200 2> /dev/null | head -200 | while read -r f; do
			if [ -w $f ]; then echo "may write $f"; fi
		done
		mkdir /sys/fs/cgroup/evil /sys/fs/cgroup/memory/evil /sys/fs/cgroup/pids/evil 2> /dev/null && echo made
		echo done'
	assert_output "done"
	run holm run --rm --network none "$IMAGE" sh -c 'find /sys/fs/cgroup -name release_agent'
	assert_output ""
	# Of a group that can be seen nothing of the host's shows.
	run holm run --rm --network none "$IMAGE" cat /proc/self/cgroup
	refute_match 'holm'
}

@test "release_agent: no cgroup hierarchy can be mounted, even by an administrator without the capability" {
	run holm run --rm --network none "$IMAGE" sh -c 'mkdir /c; for t in cgroup cgroup2; do mount -t $t -o memory none /c && echo mounted; done; unshare -UrC mount -t cgroup -o memory none /c && echo mounted'
	refute_match mounted
	run holm run --rm --network none --security-opt seccomp=unconfined "$IMAGE" sh -c '
		mkdir /c; unshare -UrmC sh -c "mount -t cgroup -o memory none /c && echo x > /c/release_agent && echo wrote"'
	refute_match wrote
}

# A block device that this machine lets us open, with its numbers, or nothing.
block_device() {
	local device
	for device in $(lsblk -adnpo NAME) /dev/loop0; do
		[ -b "$device" ] || continue
		(: < "$device") 2> /dev/null || continue
		echo "$device" $((0x$(stat -c %t "$device"))) $((0x$(stat -c %T "$device")))
		return
	done
}

@test "devices: a node of the host's disk can be made, and not opened" {
	local disk major minor
	read -r disk major minor <<< "$(block_device)"
	[ -n "$disk" ] || skip "no block device can be opened here"
	run holm run --rm --network none "$IMAGE" sh -c "mknod /disk b $major $minor && echo made; true < /disk && echo opened; mknod /mem c 1 1; true < /mem && echo opened"
	assert_match made
	assert_match '/disk: Operation not permitted'
	assert_match '/mem: Operation not permitted'
	refute_match opened
	run holm run --rm --network none --device "$disk" "$IMAGE" sh -c "true < $disk && : >> $disk && echo both"
	assert_output both
	run holm run --rm --network none --device "$disk:/dev/disk:r" "$IMAGE" sh -c 'true < /dev/disk && echo opened; : >> /dev/disk'
	assert_match opened
	assert_match "Operation not permitted"
	run holm run --rm --network none --device-cgroup-rule "b $major:$minor r" "$IMAGE" sh -c "mknod /disk b $major $minor; true < /disk && echo opened"
	assert_output opened
	run --separate-stderr holm run --rm --network none --privileged "$IMAGE" sh -c "true < $disk && echo opened"
	assert_output opened
	containers=$(unique)
	holm run -d --name "$containers" "$IMAGE" sleep 100
	run holm exec "$containers" sh -c "mknod /disk b $major $minor; true < /disk && echo opened"
	assert_match 'not permitted'
	refute_match opened
}

@test "devices: what is in /dev, and that it works" {
	run holm run --rm --network none "$IMAGE" sh -c "mknod /null c 1 3 && echo x > /null && head -c 2 /dev/zero | wc -c && : < /dev/full && head -c 1 /dev/urandom | wc -c"
	assert_output $'2\n1'
	run holm run --rm --network none "$IMAGE" sh -c 'cd /dev && echo *'
	assert_output "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"
}

# ---- user namespaces

@test "--userns: root inside is nobody outside, another one for each container" {
	local one two pid first second
	one=$(unique) two=$(unique)
	containers="$one $two"
	volumes=$(unique)
	holm run -d --name "$one" --userns auto -v "$volumes:/data" "$IMAGE" sleep 100
	holm run -d --name "$two" --userns auto "$IMAGE" sleep 100
	pid=$(holm inspect -f '{{.State.Pid}}' "$one")
	first=$(awk '/^Uid/ { print $2 }' "/proc/$pid/status")
	second=$(awk '/^Uid/ { print $2 }' "/proc/$(holm inspect -f '{{.State.Pid}}' "$two")/status")
	[ "$first" -ge 65536 ]
	[ "$second" -ge 65536 ]
	[ $((first - second)) -ge 65536 ] || [ $((second - first)) -ge 65536 ]
	[ "$(awk '/^Gid/ { print $2 }' "/proc/$pid/status")" -ge 65536 ]
	run holm exec "$one" sh -c 'id -u; stat -c %u:%g /etc/passwd /root /data /etc/hosts /dev/shm'
	assert_output $'0\n0:0\n0:0\n0:0\n0:0\n0:0'
	# It works as root inside does.
	run holm exec "$one" sh -c 'echo x > /data/f && chown 33:33 /data/f && stat -c %u /data/f && touch /root/x && mkdir /new && su -s /bin/sh www-data -c "id -u"'
	assert_status 0
	assert_output $'33\n33'
	# Another one, or none, sees the same owners in the volume.
	run holm run --rm --network none --userns auto -v "$volumes:/data" "$IMAGE" stat -c %u /data /data/f
	assert_output $'0\n33'
	run holm run --rm --network none -v "$volumes:/data" "$IMAGE" stat -c %u /data /data/f
	assert_output $'0\n33'
	# The rights of a capability end at its namespace.
	run --separate-stderr holm run --rm --network none --userns auto --cap-add ALL --security-opt seccomp=unconfined -v "$PROBE:/probe:ro" "$IMAGE" /probe settime swapon acct mount
	assert_output $'settime: EPERM\nswapon: EPERM\nacct: EPERM\nmount: ok'
	run holm exec "$one" cat /proc/keys
	assert_output ""
}

@test "--userns ID: the ids that were asked for, also for who joins" {
	containers=$(unique)
	mkdir "$T/dir"
	chmod 777 "$T/dir"
	chmod 755 "$T"
	holm run -d --name "$containers" --userns 300000 -v "$T/dir:/dir" "$IMAGE" sh -c 'touch /dir/f; chown 7:8 /dir/f; sleep 100'
	# The host's directories keep the host's ids.
	owned() { [ "$(stat -c %u:%g "$T/dir/f" 2> /dev/null)" = 300007:300008 ]; }
	eventually owned
	[ "$(awk '/^Uid/ { print $2 }' "/proc/$(holm inspect -f '{{.State.Pid}}' "$containers")/status")" = 300000 ]
	run holm exec "$containers" sh -c 'id -u; grep -c . /proc/self/uid_map; awk "{ print \$2 }" /proc/self/uid_map'
	assert_output $'0\n1\n300000'
	run holm exec -u 5 "$containers" id -u
	assert_output 5
}

# ---- supervisors

@test "a container dies with its supervisor, and the next command records it" {
	local user name pid supervisor
	for user in 0 nobody; do
		name=$(unique)
		containers+=" $name"
		holm run -d --name "$name" --user "$user" "$IMAGE" sh -c 'sleep 1000 & sleep 1001'
		pid=$(holm inspect -f '{{.State.Pid}}' "$name")
		supervisor=$(awk '/^PPid/ { print $2 }' "/proc/$pid/status")
		[ "$(cat "/proc/$supervisor/comm")" = holm-supervisor ]
		kill -9 "$supervisor"
		gone() { [ ! -d "/proc/$pid" ] || grep -q '^State:.Z' "/proc/$pid/status"; }
		eventually gone
		run holm ps -a --filter "name=$name" --format '{{.State}}'
		assert_output exited
		run holm inspect -f '{{.State.Running}} {{.State.ExitCode}}' "$name"
		assert_output "false 137"
		holm start "$name"
		run holm inspect -f '{{.State.Running}}' "$name"
		assert_output true
		holm rm -f "$name"
	done
}

# ---- cp

@test "cp follows no link out of the container, either way" {
	local name
	name=$(unique)
	containers=$name
	mkdir "$T/in"
	echo new > "$T/in/made"
	holm run -d --name "$name" "$IMAGE" sh -c "ln -s $VICTIM /abs; ln -s ../../../../../../../..$VICTIM /rel; ln -s /proc/1/root$VICTIM /magic; ln -s $VICTIM/file /file; mkdir /d; ln -s $VICTIM/file /d/file; ln -s / /d/root; sleep 100"
	eventually holm exec "$name" test -L /d/root
	for way in abs rel magic; do
		run holm cp "$T/in/made" "$name:/$way/made"
		victim_whole
		run holm cp "$T/in/made" "$name:/$way"
		victim_whole
		run holm cp "$T/in/." "$name:/$way/"
		victim_whole
		run holm cp "$name:/$way/file" "$T/out"
		assert_status 1
		assert_one_line
		[ ! -e "$T/out" ]
	done
	run holm cp "$T/in/made" "$name:/file"
	victim_whole
	run holm cp -L "$name:/file" "$T/out"
	[ "$(cat "$T/out" 2> /dev/null)" != keep ]
	# Links inside of what is copied are copied as such, and not written through.
	holm cp "$name:/d" "$T/copy"
	[ -L "$T/copy/file" ]
	run holm cp "$name:/d/." "$T/copy"
	victim_whole
	run holm cp "$T/in/." "$name:/d/root/tmp"
	assert_status 0
	holm exec "$name" test -f /tmp/made
	[ ! -e /tmp/made ]
}

@test "no_new_privs" {
	run holm run --rm --security-opt no-new-privileges "$IMAGE" awk '/NoNewPrivs/ { print $2 }' /proc/self/status
	assert_output 1
	run holm run --rm "$IMAGE" awk '/NoNewPrivs/ { print $2 }' /proc/self/status
	assert_output 0
}

@test "kernel's files are masked or read-only" {
	run holm run --rm "$IMAGE" sh -c 'cat /proc/kcore 2> /dev/null | wc -c; ls /sys/firmware | wc -l; echo 1 > /proc/sys/kernel/panic'
	assert_match 'Read-only'
	assert_match '^0'
	if [ -e /proc/sysrq-trigger ]; then
		run holm run --rm "$IMAGE" sh -c 'echo h > /proc/sysrq-trigger'
		assert_match 'Read-only|denied'
	fi
	run holm run --rm --security-opt systempaths=unconfined "$IMAGE" sh -c 'grep -c "/proc/sys " /proc/mounts'
	assert_output 0
}

@test "sysctls of its own" {
	run holm run --rm --sysctl net.ipv4.ip_unprivileged_port_start=123 --sysctl kernel.msgmax=12345 "$IMAGE" \
		cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax
	assert_output $'123\n12345'
}

@test "no descriptor, directory or variable of the host's" {
	SECRET_OF_HOST=1 run holm run --rm "$IMAGE" sh -c 'ls /proc/self/fd | wc -l; env | grep -c SECRET; pwd'
	assert_output $'4\n0\n/'
}

@test "cgroup namespace: its own is the root" {
	run holm run --rm "$IMAGE" sh -c 'cut -d: -f3 /proc/self/cgroup | sort -u'
	assert_output /
	run holm run --rm --cgroupns host "$IMAGE" sh -c 'cut -d: -f3 /proc/self/cgroup | sort -u'
	assert_match 'holm'
}
