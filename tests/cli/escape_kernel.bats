# Ways out through the kernel's own files, devices and identities.
load helper

setup_file() {
	suite_setup
	export ESCAPE=$BATS_FILE_TMPDIR/escape
	static_program escape.c "$ESCAPE"
}
teardown_file() { suite_teardown; }
setup() {
	T=$BATS_TEST_TMPDIR
	chmod 755 "$T"
}
teardown() { remove_made; }

escape() { holm run --rm --network none -v "$ESCAPE:/escape:ro" "$@"; }

@test "of all files in /proc, /sys and /dev none that is the host's opens for writing" {
	# Pressure triggers are for everybody, as on the host.
	run escape "$IMAGE" sh -c '/escape writable /proc /sys /dev | grep -v "^/proc/pressure/"'
	assert_output "done"
	run escape --cap-add SYS_PTRACE --cap-add NET_ADMIN --tmpfs /tmp "$IMAGE" sh -c '/escape writable /proc /sys /dev | grep -v "^/proc/pressure/"'
	assert_output "done"
	# Who joins, and later, too.
	containers=$(unique)
	holm run -d --name "$containers" --network none -v "$ESCAPE:/escape:ro" "$IMAGE" sleep 100
	run holm exec "$containers" sh -c '/escape writable /proc /sys /dev | grep -v "^/proc/pressure/"'
	assert_output "done"
	# Unprotected, the most dangerous ones are there, for root.
	[ "$(id -u)" -eq 0 ] || return 0
	run escape --security-opt systempaths=unconfined "$IMAGE" /escape writable /proc/sys/kernel /proc/sysrq-trigger
	assert_match /proc/sys/kernel/core_pattern
}

@test "secrets of the kernel's are masked: memory, keys, timers, firmware" {
	run escape "$IMAGE" sh -c 'for f in kcore keys timer_list timer_stats sched_debug latency_stats interrupts; do
		[ ! -e /proc/$f ] || head -c 1 /proc/$f; done; ls -A /proc/acpi /proc/asound /proc/scsi /sys/firmware /sys/devices/virtual/powercap 2> /dev/null | grep -v "^/\|^$"'
	assert_output ""
	run escape "$IMAGE" sh -c 'cat /proc/kallsyms | head -3 | cut -c1-16 | sort -u; dmesg 2>&1 | head -1; cat /proc/kmsg 2>&1 | head -c 100'
	assert_match '^0000000000000000'
	assert_match 'dmesg: read kernel buffer failed: Operation not permitted'
	assert_match '/proc/kmsg: (Operation not permitted|Permission denied)'
}

@test "no fresh copy of what is protected can be mounted, nor the protection taken away" {
	# Without rights, and with those of a user namespace of one's own, where the filter would allow that.
	run escape --security-opt seccomp=unconfined "$IMAGE" sh -c '
		mkdir /m
		for t in proc sysfs cgroup cgroup2 debugfs tracefs securityfs bpf binfmt_misc devpts mqueue configfs efivarfs fusectl devtmpfs overlay; do
			mount -t $t $t /m 2> /dev/null && echo "mounted $t"
		done
		for m in /proc/sys /proc/kcore /sys/firmware /proc/keys; do umount $m 2> /dev/null && echo "unmounted $m"; done
		mount -o remount,rw,bind /proc/sys 2> /dev/null && echo remounted
		echo done'
	assert_output "done"
	run escape --security-opt seccomp=unconfined "$IMAGE" unshare -UrmpfC sh -c '
		for t in proc sysfs debugfs tracefs securityfs configfs efivarfs devtmpfs; do
			mount -t $t $t /mnt 2> /dev/null && echo "mounted $t" && umount /mnt
		done
		for m in /proc/sys /proc/keys /proc/kcore /sys/firmware; do umount $m 2> /dev/null && echo "unmounted $m"; done
		mount -o remount,rw,bind /proc/sys 2> /dev/null && echo remounted
		mount -t cgroup -o memory c /mnt 2> /dev/null && echo x > /mnt/release_agent && echo "release agent"
		mount -t binfmt_misc b /mnt 2> /dev/null && ls /mnt | grep -v "register\|status"
		for f in core_pattern modprobe; do echo x > /proc/sys/kernel/$f && echo "wrote $f"; done 2> /dev/null
		echo done'
	assert_match 'done$'
	refute_match 'mounted|release agent|wrote'
	# A namespace in which nothing is masked may have its own.
	run escape --security-opt seccomp=unconfined --security-opt systempaths=unconfined "$IMAGE" unshare -Urmpf sh -c 'mount -t proc proc /mnt && echo mounted'
	assert_output mounted
}

@test "of all device numbers, those of Docker's nodes open and no other" {
	needs_root "an ordinary user makes no nodes"
	run escape "$IMAGE" sh -c '/escape devices | grep -v "^c 136:" | tr "\n" " "'
	assert_output "c 1:3 c 1:5 c 1:7 c 1:8 c 1:9 c 5:0 c 5:1 c 5:2 done "
	# The device group, not the capability, is what refuses.
	run escape --cap-add SYS_ADMIN --cap-add SYS_RAWIO --cap-add DAC_READ_SEARCH "$IMAGE" sh -c '/escape devices | grep -v "^c 136:" | tr "\n" " "'
	assert_output "c 1:3 c 1:5 c 1:7 c 1:8 c 1:9 c 5:0 c 5:1 c 5:2 done "
	run escape --device-cgroup-rule 'c 10:200 r' "$IMAGE" sh -c '/escape devices | grep -v "^c 136:" | tr "\n" " "'
	assert_match 'c 5:2 c 10:200 '
	containers=$(unique)
	holm run -d --name "$containers" --network none -v "$ESCAPE:/escape:ro" "$IMAGE" sleep 100
	run --separate-stderr holm exec --privileged "$containers" sh -c '/escape devices | grep -v "^c 136:" | tr "\n" " "'
	assert_output "c 1:3 c 1:5 c 1:7 c 1:8 c 1:9 c 5:0 c 5:1 c 5:2 done "
	# A volume's nodes are as good as those made inside.
	mknod "$T/mem" c 1 1
	run escape -v "$T:/t" "$IMAGE" sh -c ': < /t/mem'
	assert_match 'Operation not permitted'
}

# ---- who one is

@test "file capabilities and set-id programs give no more than the bounding set; none are inherited" {
	needs_root "files with capabilities"
	cat > "$T/file.c" <<- 'END'
		#include <stdio.h>
		#include <string.h>
		int main(void)
		{
			char line[256];
			FILE *f = fopen("/proc/self/status", "r");
			while (fgets(line, sizeof(line), f))
				if (strncmp(line, "Cap", 3) == 0)
					fputs(line, stdout);
			return 0;
		}
	END
	"${CC:-cc}" -static -O1 -o "$T/file" "$T/file.c"
	cp "$T/file" "$T/inherits"
	cp "$T/file" "$T/all"
	chmod 755 "$T"/*
	# CVE-2022-24769: with an inheritable set, a file with inheritable capabilities would gain them.
	python3 - "$T/inherits" "$T/all" <<- 'END'
		import os, struct, sys
		def caps(permitted, inheritable, effective):
		    return struct.pack("<IIIII", 0x02000000 | effective, permitted & 0xffffffff, inheritable & 0xffffffff,
		                       permitted >> 32, inheritable >> 32)
		os.setxattr(sys.argv[1], "security.capability", caps(0, (1 << 41) - 1, 1))
		# What may be had, so that exec does not fail: Docker's fourteen.
		os.setxattr(sys.argv[2], "security.capability", caps(0xa80425fb, 0, 1))
	END
	run holm run --rm --network none -u 1000 -v "$T:/t:ro" "$IMAGE" /t/inherits
	assert_match 'CapEff:	0000000000000000'
	run holm run --rm --network none -u 1000 -v "$T:/t:ro" "$IMAGE" /t/all
	assert_match 'CapEff:	00000000a80425fb'
	run holm run --rm --network none -u 1000 --security-opt no-new-privileges -v "$T:/t:ro" "$IMAGE" /t/all
	assert_match 'CapEff:	0000000000000000'
	run holm run --rm --network none -u 1000 --cap-drop ALL -v "$T:/t:ro" "$IMAGE" /t/all
	refute_match 'CapEff:	0*[1-9a-f]'
	containers=$(unique)
	holm run -d --name "$containers" --network none -v "$T:/t:ro" "$IMAGE" sleep 100
	run holm exec -u 1000 "$containers" /t/inherits
	assert_match 'CapEff:	0000000000000000'
	assert_match 'CapInh:	0000000000000000'
}

@test "what a mode denies to a group stays denied: the primary group cannot be shed" {
	needs_root "files of other groups"
	cat > "$T/shed.c" <<- 'END'
		#include <stdio.h>
		#include <unistd.h>
		/* Set-group-id to another group: it takes that one for good, and with it leaves its own. */
		int main(void)
		{
			setresgid(getegid(), getegid(), getegid());
			puts(access("/t/secret", R_OK) == 0 ? "read" : "denied");
			return 0;
		}
	END
	"${CC:-cc}" -static -O1 -o "$T/shed" "$T/shed.c"
	chown 0:2000 "$T/shed"
	chmod 2755 "$T/shed"
	echo secret > "$T/secret"
	chown 0:1000 "$T/secret"
	chmod 604 "$T/secret"
	run holm run --rm --network none -u 1000:1000 -v "$T:/t:ro" "$IMAGE" sh -c '/t/shed; cat /t/secret'
	assert_match '^denied'
	assert_match 'Permission denied'
	containers=$(unique)
	holm run -d --name "$containers" --network none -v "$T:/t:ro" "$IMAGE" sleep 100
	run holm exec -u 1000:1000 "$containers" /t/shed
	assert_output denied
	# Others may.
	run holm exec -u 1001:1001 "$containers" /t/shed
	assert_output read
}

@test "users: ids that overflow, and files that are made to confuse" {
	needs_root "ids of the host's"
	local id
	for id in 4294967295 4294967296 18446744073709551616 -1 0x0 "0 " "+0" 1.0 $'0\n'; do
		run holm run --rm --network none -u "$id" "$IMAGE" id -u
		assert_status 125
		assert_one_line
		run holm run --rm --network none -u "7:$id" "$IMAGE" id -u
		assert_status 125
		assert_one_line
	done
	containers=$(unique)
	holm run -d --name "$containers" --network none "$IMAGE" sh -c '
		{ echo "big:x:4294967296:0::/:/bin/sh"; echo "minus:x:-1:-1::/:/bin/sh"; echo "all:x:4294967295:0::/:/bin/sh"
		printf "cut:x:7"; printf "\ntwo:x:8:8:GECOS\nroot2:x:0:0::/:/bin/sh\n"
		printf "long:x:9:9:%0100000d:/:/bin/sh\n" 0
		printf "dots:x:10:10::../../..:/bin/sh\nhome:x:11:11::/h=o\tm:/bin/sh\n\n::::\n:x:0:0:::\n"; } >> /etc/passwd
		{ echo "gbig:x:4294967296:two"; echo "gall:x:4294967295:two,long"; i=0; while [ $i -lt 5000 ]; do echo "g$i:x:$((100000 + i)):long"; i=$((i + 1)); done; } >> /etc/group
		echo ready > /ready; sleep 100'
	eventually holm exec "$containers" test -s /ready
	for id in big minus all cut two:gbig two:gall two:nothing :0 nobody:; do
		run holm exec -u "$id" "$containers" id -u
		case $id in
		# An empty group is none.
		nobody:) [ "$status" -ne 0 ] || assert_output 65534 ;;
		*)
			[ "$status" -ne 0 ]
			assert_one_line
			;;
		esac
	done
	run holm exec -u two "$containers" sh -c 'id -u; id -G'
	assert_output $'8\n8'
	run holm exec -u long "$containers" sh -c 'id -u; id -G | wc -w'
	[[ $output =~ ^9$'\n'1[0-9][0-9][0-9]$ ]]
	run holm exec -u dots "$containers" sh -c 'id -u; pwd'
	assert_output $'10\n/'
	run holm exec -u home "$containers" sh -c 'echo "$HOME"'
	assert_output $'/h=o\tm'
}

# ---- what an image's configuration says

# image NAME JSON: debian's files are not needed, a shell that is this suite's program is.
configured() {
	images+=" $1"
	python3 - "$1" "$2" "$ESCAPE" "$T/$1.tar" <<- 'END'
		import hashlib, io, json, os, sys, tarfile
		name, text, program, out = sys.argv[1:]
		layer = io.BytesIO()
		with tarfile.open(fileobj=layer, mode="w") as t:
		    t.add(program, "bin/escape")
		layer = layer.getvalue()
		config = {"architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine), "os": "linux",
		          "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
		          "config": eval(text)}
		config = json.dumps(config).encode()
		id = hashlib.sha256(config).hexdigest() + ".json"
		with tarfile.open(out, "w") as t:
		    for n, data in ((id, config), ("l/layer.tar", layer), ("manifest.json", json.dumps(
		            [{"Config": id, "RepoTags": [name + ":latest"], "Layers": ["l/layer.tar"]}]).encode())):
		        info = tarfile.TarInfo(n)
		        info.size = len(data)
		        t.addfile(info, io.BytesIO(data))
	END
	run holm load -q -i "$T/$1.tar"
}

@test "configurations that confuse: control characters, newlines, wrong types, enormous ones" {
	configured odd '{"Cmd": ["/bin/escape", "fds"], "Env": ["A=1\nLD_PRELOAD=/x", "=", "B", "PATH"], "WorkingDir": "/a\nb",
		"Labels": {"x\u001b]0;evil\u0007": "y\n\u001b[2J", "": ""}, "User": "0", "StopSignal": "99", "ExposedPorts": {"x/y": {}, "-1/tcp": {}},
		"Volumes": {"relative": {}, "/../../../../v": {}}}'
	if [ "$status" -eq 0 ]; then
		run holm run --rm --network none odd
		[ "$status" -eq 0 ] || assert_one_line
		# Nothing of it reaches the terminal as it is.
		holm image inspect odd > "$T/inspect" || true
		holm image history odd >> "$T/inspect" 2>&1 || true
		holm images >> "$T/inspect"
		! grep -q $'\e' "$T/inspect"
	else
		assert_one_line
	fi
	for text in '{"Cmd": "text", "Env": {}}' '{"Env": ["A=\u0000B"]}' '{"User": "a:b:c", "Cmd": ["x"]}' '{"WorkingDir": "../../..", "Cmd": ["/bin/escape", "fds"]}' \
		'{"Healthcheck": {"Test": "x", "Interval": -1, "Retries": "many"}, "Cmd": ["x"]}' '{"Entrypoint": [1, None], "Cmd": ["x"]}' '{"Cmd": ["x"], "Labels": {"a": 5}}'; do
		configured wrong "$text"
		if [ "$status" -eq 0 ]; then
			run holm run --rm --network none wrong
			[ "$status" -eq 0 ] || assert_one_line
			holm rmi -f wrong > /dev/null
		else
			assert_one_line
		fi
	done
	configured long '{"Cmd": ["/bin/escape", "fds"] + ["x" * 1000] * 4000}'
	if [ "$status" -eq 0 ]; then
		run holm run --rm --network none long
		[ "$status" -ne 0 ]
		[ "$(wc -c <<< "$output")" -lt 2000 ]
	fi
	configured deep '[[[{"a": 1}]]] if 0 else __import__("functools").reduce(lambda a, b: [a], range(900), 1)'
	[ "$status" -ne 0 ]
	assert_one_line
	# Larger than any that means well.
	configured huge '{"Labels": {"k%d" % n: "v" * 1000 for n in range(9000)}}'
	[ "$status" -ne 0 ]
	assert_one_line
}

@test "names and commands with control characters are shown as text" {
	containers=$(unique)
	holm run -d --name "$containers" --network none -l $'k=\e[31m' -e $'X=\e]0;a\a' "$IMAGE" bash -c $'exec -a "\e]0;evil\a" sleep 100 # \e[2J' > /dev/null
	running() { holm top "$containers" | grep -q sleep\\\|evil; }
	eventually running
	{
		holm ps -a --no-trunc
		holm top "$containers"
		holm inspect "$containers"
		holm ps -a --format '{{.Command}} {{.Labels}}'
		holm run --rm --network none "$IMAGE" $'/no\e[2J' || true
		holm exec "$containers" $'/no\e[2J' || true
		holm cp "$containers:/no"$'\e[2J' /tmp || true
		timeout 1 holm events --since 1m --until 0s || true
	} > "$T/out" 2>&1
	! grep -n $'[\e\a]' "$T/out"
}
