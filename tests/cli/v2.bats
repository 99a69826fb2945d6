# Control groups, as they are here: pure v2 is what tests/vm/run is for, v1 and hybrid pass too. Where
# a test is about v2 or systemd alone it is skipped.
load helper

setup_file() {
	suite_setup
	PURE=
	[ "$(stat -fc %T /sys/fs/cgroup)" != cgroup2fs ] || PURE=yes
	export PURE
	DISK=$(find /dev -maxdepth 1 -type b -name '[vsn][dv]*' | sort | head -n 1)
	export DISK
	# One that the defaults do not allow and that opening does no harm.
	for NODE in "$DISK" /dev/loop-control /dev/rtc0; do
		if [ -e "$NODE" ] && (: 3<> "$NODE") 2> /dev/null; then
			DEVICE="$([ -b "$NODE" ] && echo b || echo c) $((0x$(stat -c %t "$NODE"))) $((0x$(stat -c %T "$NODE")))"
			break
		fi
	done
	export NODE DEVICE
}
teardown_file() { suite_teardown; }

pure() { [ -n "$PURE" ] || skip "cgroups are not pure v2 here"; }
systemd() { [ -d /run/systemd/system ] || skip "systemd does not run here"; }
disk() { [ -n "$DISK" ] || skip "no disk here"; }

setup() { NAME=$(unique); }
teardown() {
	[ -z "${HOLM_ROOT:-}" ] || holm rm -f "$NAME" > /dev/null 2>&1 || true
	[ -z "$PURE" ] || [ ! -d /run/systemd/system ] || systemctl stop "$NAME" holmtest.slice 2> /dev/null || true
}

start() {
	holm run -d --name "$NAME" "$@" "$IMAGE" sleep 1000 > /dev/null
}

# The host's directory of a running container's group, in v2 or that hierarchy of v1.
group() {
	local pid
	pid=$(holm inspect -f '{{.State.Pid}}' "$NAME")
	if [ -n "$PURE" ]; then
		echo "/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$pid/cgroup")"
	else
		echo "/sys/fs/cgroup/$1$(sed -n "s/^[0-9]*:$1://p" "/proc/$pid/cgroup")"
	fi
}

# limit V2-FILE V1-CONTROLLER/FILE: what is in that file of the container's group.
limit() {
	local file=$1
	[ -n "$PURE" ] || file=${2#*/}
	cat "$(group "${2%%/*}")/$file"
}

# First, as it is about what all others might spoil.
@test "the host's own cgroup file system stays as it is" {
	pure
	local before
	before=$(grep ' cgroup2 ' /proc/self/mountinfo)
	[[ $before = *nsdelegate* ]] || skip "there are no options to lose"
	holm run --rm "$IMAGE" true
	holm run --rm --cgroupns host "$IMAGE" true
	holm run --rm --privileged "$IMAGE" true
	[ "$(grep ' cgroup2 ' /proc/self/mountinfo)" = "$before" ]
	run holm run --rm --privileged "$IMAGE" grep -c ' cgroup2 rw,' /proc/mounts
	assert_output 1
}

@test "limits are in the group" {
	start -m 64m --memory-swap 64m --memory-reservation 32m --pids-limit 50 --cpus 0.5 -c 1024 --cpuset-cpus 0
	[ "$(limit memory.max memory/memory.limit_in_bytes)" = 67108864 ]
	[ "$(limit memory.low memory/memory.soft_limit_in_bytes)" = 33554432 ]
	[ "$(limit pids.max pids/pids.max)" = 50 ]
	[ "$(limit cpuset.cpus cpuset/cpuset.cpus)" = 0 ]
	[ "$(holm exec "$NAME" nproc)" = 1 ]
	if [ -n "$PURE" ]; then
		[ "$(limit cpu.max -)" = "50000 100000" ]
		[ "$(limit cpu.weight -)" = 100 ]
		[ "$(limit memory.swap.max -)" = 0 ]
	fi
}

@test "no limit is no limit" {
	start
	run limit memory.max memory/memory.limit_in_bytes
	assert_match '^(max|9223372036854771712)$'
	[ -z "$PURE" ] || [ "$(limit cgroup.freeze -)" = 0 ]
}

@test "limits of block I/O" {
	disk
	start --device-read-bps "$DISK:1mb" --device-write-iops "$DISK:100"
	if [ -n "$PURE" ]; then
		run limit io.max -
		assert_match 'rbps=1048576 wbps=max riops=max wiops=100'
	else
		run limit - blkio/blkio.throttle.read_bps_device
		assert_match ' 1048576$'
	fi
	holm rm -f "$NAME"
	# Kernels without a scheduler for weights say so, in a line.
	run holm run --rm --blkio-weight 500 "$IMAGE" true
	[ "$status" -eq 0 ] || assert_one_line
}

@test "the limit of processes holds, and exec counts" {
	start --pids-limit 8
	run holm exec "$NAME" sh -c 'for i in 1 2 3 4 5 6 7 8; do sleep 100 & done; wait'
	[ "$status" -ne 0 ]
	assert_match 'ork'
}

@test "devices: forbidden ones cannot be opened, whatever node is made" {
	local node="mknod /node $DEVICE" open='(: < /node) && echo reads; (: 3>> /node) && echo writes; true'
	[ -n "$DEVICE" ] || skip "no device here that can be opened"
	run holm run --rm "$IMAGE" sh -c "$node; $open"
	assert_match 'not permitted'
	refute_match 'reads|writes'
	run holm run --rm --device "$NODE:/node:r" "$IMAGE" sh -c "$open"
	assert_match 'reads'
	refute_match 'writes'
	run holm run --rm --device "$NODE:/node" "$IMAGE" sh -c "$open"
	assert_output $'reads\nwrites'
	run holm run --rm --device-cgroup-rule "${DEVICE% *}:* r" "$IMAGE" sh -c "$node; $open"
	assert_match 'reads'
	refute_match 'writes'
	run holm run --rm --privileged "$IMAGE" sh -c "$node; $open"
	assert_match $'reads\nwrites$'
	run holm run --rm "$IMAGE" sh -c 'head -c 1 /dev/zero | wc -c; : > /dev/null; : < /dev/urandom && echo ok'
	assert_output $'1\nok'
}

@test "devices: also for exec, and after an update" {
	[ -n "$DEVICE" ] || skip "no device here that can be opened"
	start
	run holm exec "$NAME" sh -c "mknod /node $DEVICE; : < /node"
	assert_match 'not permitted'
	holm update -m 64m --memory-swap -1 "$NAME"
	run holm exec --privileged "$NAME" sh -c ': < /node'
	assert_match 'not permitted'
}

@test "pause stops all and unpause goes on" {
	local before after
	holm run -d --name "$NAME" "$IMAGE" sh -c 'while :; do echo; sleep 0.05; done' > /dev/null
	eventually sh -c "[ \$('$HOLM' logs '$NAME' | wc -l) -gt 2 ]"
	holm pause "$NAME"
	run holm inspect -f '{{.State.Status}}' "$NAME"
	assert_output paused
	[ -z "$PURE" ] || grep -qx 'frozen 1' "$(group pids)/cgroup.events"
	before=$(holm logs "$NAME" | wc -l)
	sleep 0.5
	after=$(holm logs "$NAME" | wc -l)
	[ $((after - before)) -le 1 ]
	run holm exec "$NAME" true
	[ "$status" -ne 0 ]
	assert_one_line
	holm unpause "$NAME"
	eventually sh -c "[ \$('$HOLM' logs '$NAME' | wc -l) -gt $((after + 2)) ]"
	holm pause "$NAME"
}

@test "stats count" {
	holm run -d --name "$NAME" -m 64m --pids-limit 20 "$IMAGE" sh -c 'head -c 20000000 /dev/zero | md5sum; sleep 1000' > /dev/null
	eventually sh -c "'$HOLM' logs '$NAME' | grep -q ."
	run holm stats --no-stream --format '{{.PIDs}} {{.MemUsage}} {{.CPUPerc}}' "$NAME"
	assert_match '^2 [0-9.]+[KM]i?B / 64(\.0)?MiB '
	grep -q . <<< "$(limit cpu.stat cpuacct/cpuacct.stat)"
	[ -z "$PURE" ] || [ "$(awk '/^usage_usec/ { print $2 }' "$(group pids)/cpu.stat")" -gt 1000 ]
}

@test "who is killed for want of memory is reported" {
	run holm run --name "$NAME" -m 16m --memory-swap 16m "$IMAGE" tail /dev/zero
	assert_status 137
	run holm inspect -f '{{.State.OOMKilled}} {{.State.ExitCode}}' "$NAME"
	assert_output "true 137"
	holm rm "$NAME"
}

@test "update changes a running container" {
	start -m 64m --memory-swap 128m
	holm update -m 96m --memory-swap 160m --cpus 0.25 --cpuset-cpus 0 --pids-limit 33 "$NAME"
	[ "$(limit memory.max memory/memory.limit_in_bytes)" = 100663296 ]
	[ "$(limit pids.max pids/pids.max)" = 33 ]
	[ "$(limit cpuset.cpus cpuset/cpuset.cpus)" = 0 ]
	if [ -n "$PURE" ]; then
		[ "$(limit cpu.max -)" = "25000 100000" ]
		[ "$(limit memory.swap.max -)" = 67108864 ]
	fi
	holm update --memory-swap -1 --pids-limit -1 "$NAME"
	[ "$(limit pids.max pids/pids.max)" = max ]
}

@test "exec joins the group" {
	local pid
	start
	holm exec -d "$NAME" sleep 777
	eventually sh -c "[ \$(wc -l < '$(group memory)/cgroup.procs') -eq 2 ]"
	run holm exec "$NAME" cat /proc/self/cgroup
	[ -z "$PURE" ] || assert_output 0::/
}

@test "inside: its own group alone, and read-only" {
	pure
	run holm run --rm "$IMAGE" sh -c 'cat /proc/self/cgroup; grep cgroup /proc/mounts; ls -d /sys/fs/cgroup/*/; mkdir /sys/fs/cgroup/x'
	[ "$status" -ne 0 ]
	assert_match '^0::/'
	assert_match ' /sys/fs/cgroup cgroup2 ro,nosuid,nodev,noexec'
	assert_match 'Read-only'
	refute_match 'system.slice'
	run holm run --rm "$IMAGE" cat /sys/fs/cgroup/cgroup.controllers /sys/fs/cgroup/cgroup.procs
	assert_match 'memory'
	assert_match $'\n''1'
	run holm run --rm --cgroupns host "$IMAGE" sh -c 'cat /proc/self/cgroup; grep cgroup /proc/mounts'
	assert_match '^0::/holm[^/]*/[0-9a-f]{64}'
	assert_match ' cgroup2 ro,'
}

@test "a user namespace: ids of the layers are mapped, the group is its own" {
	mkdir -m 777 "$BATS_TEST_TMPDIR/host"
	# shellcheck disable=SC2016
	run holm run --rm --userns 200000 -m 64m -v "$BATS_TEST_TMPDIR/host:/host" "$IMAGE" sh -ec '
		id -u; stat -c %u /etc/passwd; touch /new /host/new; stat -c %u /new; awk "{ print \$2 }" /proc/self/uid_map
		grep -c "/sys/fs/cgroup.* cgroup2* ro," /proc/mounts | sed "s/^[1-9].*/ro/"; rm -r /usr/share/doc'
	assert_output $'0\n0\n0\n200000\nro'
	[ "$(stat -c %u "$BATS_TEST_TMPDIR/host/new")" = 200000 ]
	if [ -n "$PURE" ]; then
		run holm run --rm --userns 200000 -m 64m "$IMAGE" cat /proc/self/cgroup /sys/fs/cgroup/memory.max
		assert_output $'0::/\n67108864'
	fi
	start --userns 200000 --pids-limit 30
	run holm exec "$NAME" sh -c 'id -u; cat /proc/1/comm'
	assert_output $'0\nsleep'
}

@test "groups that the container makes: exec, pause, stats and the end know them" {
	pure
	start --privileged --cgroupns private
	# shellcheck disable=SC2016
	holm exec "$NAME" sh -ec 'cd /sys/fs/cgroup; mkdir main other
		for p in $(cat cgroup.procs); do echo $p > main/cgroup.procs 2> /dev/null || true; done
		echo +memory +pids > cgroup.subtree_control; mkdir -p other/deep'
	run holm exec "$NAME" cat /proc/self/cgroup
	assert_output 0::/main
	holm exec -d "$NAME" sh -c 'echo $$ > /sys/fs/cgroup/other/deep/cgroup.procs; exec sleep 888'
	eventually sh -c "'$HOLM' top '$NAME' | grep -q 'sleep 888'"
	holm pause "$NAME"
	holm unpause "$NAME"
	run holm stats --no-stream --format '{{.PIDs}}' "$NAME"
	assert_output 2
	holm stop -t 0 "$NAME"
	holm rm "$NAME"
}

@test "a container with many processes ends at once" {
	# shellcheck disable=SC2016
	holm run -d --name "$NAME" "$IMAGE" sh -c 'for i in $(seq 60); do sleep 1000 & done; wait' > /dev/null
	eventually sh -c "[ \$(wc -l < '$(group memory)/cgroup.procs') -eq 61 ]"
}

@test "a parent group of systemd's" {
	pure
	systemd
	systemd-run --quiet --unit="$NAME" --slice=holmtest.slice -p Delegate=yes sleep 1000
	run holm run --rm --cgroup-parent /holmtest.slice -m 32m --cpus 0.5 --pids-limit 9 "$IMAGE" \
		cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max /sys/fs/cgroup/pids.max
	assert_output $'33554432\n50000 100000\n9'
	run holm run --rm --cgroup-parent holmtest.slice "$IMAGE" true
	assert_status 0
	# That very group has a process: no controllers can be handed down.
	run holm run --rm --cgroup-parent "/holmtest.slice/$NAME.service" -m 32m "$IMAGE" true
	[ "$status" -ne 0 ]
	assert_one_line
	assert_match 'memory'
	run find "/sys/fs/cgroup/holmtest.slice/$NAME.service" -mindepth 1 -type d
	assert_output ""
	systemctl is-active --quiet "$NAME"
	systemctl stop "$NAME"
	systemctl stop holmtest.slice
}

@test "systemd leaves limits alone" {
	pure
	systemd
	start -m 64m --cpus 0.5 --cpuset-cpus 0
	systemctl daemon-reload
	systemctl set-property --runtime system.slice CPUWeight=200
	systemd-run --quiet --wait -p MemoryMax=100M -p CPUQuota=10% true
	[ "$(limit memory.max -)" = 67108864 ]
	[ "$(limit cpu.max -)" = "50000 100000" ]
	[ "$(limit cpuset.cpus -)" = 0 ]
}

@test "a container outlives the service that started it" {
	systemd
	systemd-run --quiet --wait -E HOLM_ROOT="$HOLM_ROOT" "$HOLM" run -d --name "$NAME" "$IMAGE" sleep 1000
	run holm inspect -f '{{.State.Status}}' "$NAME"
	assert_output running
	run holm exec "$NAME" echo here
	assert_output here
}

@test "holm.service stops containers in order, and starts them again" {
	local unit=/run/systemd/system/$NAME.service
	systemd
	[ -n "${HOLM_VM:-}" ] || skip "would stop all containers of this machine"
	holm run -d --name "$NAME" --restart always "$IMAGE" sh -c 'trap "exit 4" TERM; while :; do sleep 0.1; done'
	sed "s,/usr/local/bin/holm,$HOLM,; /ExecStart/i Environment=HOLM_ROOT=$HOLM_ROOT" "$PROJECT/tools/holm.service" > "$unit"
	systemctl daemon-reload
	systemctl start "$NAME"
	systemctl stop "$NAME"
	run holm inspect -f '{{.State.Status}} {{.State.ExitCode}}' "$NAME"
	assert_output "exited 4"
	systemctl start "$NAME"
	run holm inspect -f '{{.State.Status}}' "$NAME"
	assert_output running
	systemctl stop "$NAME"
	rm "$unit"
	systemctl daemon-reload
}

@test "nothing is left under /sys/fs/cgroup" {
	holm run --rm --name "$NAME" -m 32m --cpus 0.5 --cpuset-cpus 0 "$IMAGE" true
	run -127 holm run --rm --name "$NAME" -m 32m "$IMAGE" no-such-program
	eventually no_leaks
}
