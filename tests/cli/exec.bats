# holm exec.
load helper

setup_file() {
	suite_setup
	export NAME=exec-$RANDOM
	holm run -d --name "$NAME" -e FROM_RUN=1 "$IMAGE" sleep 100000
}
teardown_file() {
	holm rm -f "$NAME"
	suite_teardown
}

terminal() { "$PROJECT/tests/cli/terminal.py" "$HOLM" "$@"; }

@test "output, errors and status" {
	run --separate-stderr holm exec "$NAME" sh -c 'echo out; echo err >&2; exit 5'
	assert_status 5
	assert_output out
	# shellcheck disable=SC2154
	[ "$stderr" = err ]
	run holm exec "$NAME" sh -c 'kill -9 $$'
	assert_status 137
}

@test "programs that are not there or cannot be run" {
	run -127 holm exec "$NAME" no-such-program
	assert_one_line
	run holm exec "$NAME" /etc/passwd
	assert_status 126
	assert_one_line
}

@test "input with -i, none without" {
	run bash -c "echo hello | '$HOLM' exec -i '$NAME' cat"
	assert_output hello
	run bash -c "echo hello | '$HOLM' exec '$NAME' cat"
	assert_output ""
	run bash -c "head -c 2000000 /dev/zero | timeout 60 '$HOLM' exec -i '$NAME' cat | wc -c"
	assert_output 2000000
	run bash -c "yes | timeout 60 '$HOLM' exec -i '$NAME' head -n 1"
	assert_output y
}

@test "environment, user, directory" {
	run holm exec -e A=1 -e FROM_RUN=2 "$NAME" sh -c 'echo $A $FROM_RUN'
	assert_output "1 2"
	run holm exec "$NAME" sh -c 'echo $FROM_RUN'
	assert_output 1
	run env -u FROM_RUN "$HOLM" exec -e FROM_RUN "$NAME" sh -c 'echo ${FROM_RUN-unset}'
	assert_output unset
	run holm exec -u www-data "$NAME" id -un
	assert_output www-data
	run holm exec -u 1234:5678 "$NAME" sh -c 'id -u; id -g'
	assert_output $'1234\n5678'
	run holm exec -w /usr "$NAME" pwd
	assert_output /usr
	run holm exec -u nobody-of-that-name "$NAME" true
	assert_status 126
	assert_one_line
}

@test "in the container's namespaces and cgroup, without more rights than it has" {
	run holm exec "$NAME" sh -c 'tr "\0" " " < /proc/1/cmdline'
	assert_output "sleep 100000 "
	run holm exec "$NAME" sh -c 'readlink /proc/self/ns/net /proc/self/ns/pid /proc/self/ns/mnt'
	assert_output "$(readlink "/proc/$(holm inspect -f '{{.State.Pid}}' "$NAME")"/ns/{net,pid,mnt})"
	run holm exec "$NAME" grep -E 'CapEff|Seccomp:' /proc/self/status
	assert_output "$(holm exec "$NAME" grep -E 'CapEff|Seccomp:' /proc/1/status)"
	run holm exec --privileged "$NAME" grep CapEff /proc/self/status
	refute_match 'a80425fb'
	run diff <(holm exec "$NAME" cat /proc/self/cgroup) <(holm exec "$NAME" cat /proc/1/cgroup)
	assert_status 0
}

@test "no descriptor of ours goes in" {
	run holm exec -i "$NAME" sh -c 'ls /proc/self/fd | tr "\n" " "; readlink /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2' < /etc/passwd
	assert_match '^0 1 2 3 '
	refute_match 'passwd'
	assert_match 'pipe.*pipe.*pipe'
}

@test "detached" {
	run holm exec -d "$NAME" sh -c 'sleep 0.2; echo done > /detached'
	assert_status 0
	assert_output ""
	eventually holm exec "$NAME" test -s /detached
}

@test "a process in the background does not hold us" {
	SECONDS=0
	run holm exec "$NAME" sh -c 'sleep 30 & echo started'
	assert_output started
	[ $SECONDS -lt 10 ]
}

@test "terminal: size, resize, status" {
	terminal exec -it "$NAME" bash <<- 'END'
		expect [$#]
		send stty size; tty\r
		expect 24 80
		expect /dev/
		resize 40 100
		send stty size\r
		expect 40 100
		raw yes
		send exit 6\r
		status 6
	END
}

@test "terminal: detached processes live on" {
	terminal exec -it "$NAME" bash <<- 'END'
		expect [$#]
		send exec sleep 4321\r
		sleep 0.5
		send \x10\x11
		status 0
	END
	run holm top "$NAME" -o args
	assert_match 'sleep 4321'
	holm exec "$NAME" sh -c 'for p in /proc/[0-9]*; do grep -qz 4321 $p/cmdline && kill ${p#/proc/}; done; true' || true
}

@test "terminal wanted, but there is none" {
	run bash -c "'$HOLM' exec -it '$NAME' true < /dev/null"
	assert_status 1
	assert_one_line
	assert_match 'not a TTY'
}

@test "signals go to the process" {
	"$HOLM" exec "$NAME" sh -c 'trap "exit 44" TERM; echo ready; while :; do sleep 0.05; done' \
		> "$BATS_TEST_TMPDIR/out" 3>&- &
	eventually grep -q ready "$BATS_TEST_TMPDIR/out"
	kill -TERM $!
	wait $! && status=0 || status=$?
	assert_status 44
}
