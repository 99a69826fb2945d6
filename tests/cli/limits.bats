# Limits on memory, CPU, processes, devices and resources, as the process inside meets them.
load helper

setup_file() { suite_setup; }
teardown_file() { suite_teardown; }

# A file of the container's own cgroup, by v1's name or v2's: cgroup_file NAME CONTROLLER V1 V2
cgroup_file() {
	local pid path
	pid=$(holm inspect -f '{{.State.Pid}}' "$1")
	path=$(awk -F: -v c="$2" '{ n = split($2, s, ","); for (i = 1; i <= n; i++) if (s[i] == c) print $3 }' "/proc/$pid/cgroup")
	if [ -n "$path" ]; then
		cat "/sys/fs/cgroup/$2$path/$3"
	else
		cat "/sys/fs/cgroup$(awk -F: '$1 == 0 { print $3 }' "/proc/$pid/cgroup")/$4"
	fi
}

sleeper() {
	NAME=$(unique)
	holm run -d --name "$NAME" "$@" "$IMAGE" sleep 1000
}

@test "memory: the limit is set, and exceeding it is told" {
	sleeper --memory 64m
	run cgroup_file "$NAME" memory memory.limit_in_bytes memory.max
	assert_output $((64 << 20))
	run holm stats --no-stream --format '{{.MemUsage}}' "$NAME"
	assert_match '/ 64\.0MiB|/ 64MiB'
	holm rm -f "$NAME"
	NAME=$(unique)
	run holm run --name "$NAME" --memory 16m --memory-swap 16m "$IMAGE" sh -c 'x=$(head -c 100000000 /dev/zero | tr "\0" x); echo ${#x}'
	assert_status 137
	run holm inspect -f '{{.State.OOMKilled}} {{.State.ExitCode}}' "$NAME"
	assert_output "true 137"
	holm rm "$NAME"
}

@test "cpus: a quota, and it is kept" {
	sleeper --cpus 0.5
	run cgroup_file "$NAME" cpu cpu.cfs_quota_us cpu.max
	assert_match '^50000( 100000)?$'
	holm rm -f "$NAME"
}

@test "cpu shares and sets" {
	sleeper --cpu-shares 512 --cpuset-cpus 0
	run holm exec "$NAME" nproc
	assert_output 1
	run cgroup_file "$NAME" cpu cpu.shares cpu.weight
	assert_match '^(512|59)$'
	holm rm -f "$NAME"
}

@test "pids" {
	run holm run --rm --pids-limit 10 "$IMAGE" sh -c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1 & done; wait'
	assert_match 'fork'
	sleeper --pids-limit 20
	run cgroup_file "$NAME" pids pids.max pids.max
	assert_output 20
	holm rm -f "$NAME"
}

@test "resource limits" {
	run holm run --rm --ulimit nofile=123:456 --ulimit core=0 --ulimit nproc=100 "$IMAGE" \
		bash -c 'ulimit -Sn; ulimit -Hn; ulimit -c; ulimit -u'
	assert_output $'123\n456\n0\n100'
}

@test "shm size" {
	run holm run --rm --shm-size 32m "$IMAGE" sh -c "df -k /dev/shm | awk 'NR == 2 { print \$2 }'"
	assert_output 32768
}

@test "devices: none but the usual, unless given" {
	[ -c /dev/net/tun ] || skip "no /dev/net/tun"
	run holm run --rm "$IMAGE" sh -c 'mknod /tun c 10 200 && exec 3<>/tun'
	refute_match '^$'
	run holm run --rm --device /dev/net/tun:/dev/tun "$IMAGE" sh -c 'exec 3<>/dev/tun && echo open'
	assert_output open
	run holm run --rm --device-cgroup-rule 'c 10:200 rwm' "$IMAGE" sh -c 'mknod /tun c 10 200 && exec 3<>/tun && echo open'
	assert_output open
	run holm run --rm --device /dev/net/tun:/dev/tun:r "$IMAGE" sh -c 'exec 3<>/dev/tun && echo open'
	refute_match '^open$'
}

@test "update: while running, and seen by the kernel" {
	sleeper --memory 64m --cpus 1
	run holm update --memory 128m --memory-swap 256m --cpus 0.25 --pids-limit 33 "$NAME"
	assert_output "$NAME"
	run cgroup_file "$NAME" memory memory.limit_in_bytes memory.max
	assert_output $((128 << 20))
	run cgroup_file "$NAME" cpu cpu.cfs_quota_us cpu.max
	assert_match '^25000( 100000)?$'
	run cgroup_file "$NAME" pids pids.max pids.max
	assert_output 33
	run holm inspect -f '{{.HostConfig.Memory}}' "$NAME"
	assert_output $((128 << 20))
	holm restart -t 0 "$NAME"
	run cgroup_file "$NAME" pids pids.max pids.max
	assert_output 33
	holm rm -f "$NAME"
}

@test "oom score: set, or clamped with one warning" {
	run --separate-stderr holm run --rm --oom-score-adj 500 "$IMAGE" cat /proc/self/oom_score_adj
	assert_output 500
}
