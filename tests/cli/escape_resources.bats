# Using up what is the host's: processes, memory, files, and whoever reads a container's output.
load helper

setup_file() { suite_setup; }
teardown_file() { suite_teardown; }
setup() { T=$BATS_TEST_TMPDIR; }
teardown() { [ -z "${containers:-}" ] || holm rm -f $containers > /dev/null 2>&1 || true; }

supervisor_of() { awk '/^PPid/ { print $2 }' "/proc/$(holm inspect -f '{{.State.Pid}}' "$1")/status"; }
peak_of() { awk '/^VmHWM/ { print $2 }' "/proc/$1/status"; }

@test "a fork bomb ends at the limit, and the container can still be told to end" {
	local name
	name=$(unique)
	containers=$name
	holm run -d --name "$name" --network none --pids-limit 40 "$IMAGE" bash -c 'echo on; f() { f 2> /dev/null | f 2> /dev/null & }; f; while :; do sleep 1; done 2> /dev/null'
	full() { [ "$(holm stats --no-stream --format '{{.PIDs}}' "$name")" -ge 35 ]; }
	eventually full
	[ "$(holm stats --no-stream --format '{{.PIDs}}' "$name")" -le 40 ]
	# Nobody can join it then, which is said.
	run timeout 20 "$HOLM" exec "$name" true
	[ "$status" -eq 0 ] || assert_one_line
	run holm kill "$name"
	assert_status 0
	gone() { [ "$(holm inspect -f '{{.State.Running}}' "$name")" = false ]; }
	eventually gone
}

@test "files in memory count: /dev/shm, /dev and tmpfs end at their size or at the container's limit" {
	local free
	run holm run --rm --network none --memory 64m --memory-swap 64m "$IMAGE" sh -c 'head -c 100M /dev/zero > /dev/shm/x; stat -c %s /dev/shm/x'
	[ "$status" -ne 0 ] || [ "$(tail -1 <<< "$output")" -le $((64 << 20)) ]
	run holm run --rm --network none --shm-size 1m "$IMAGE" sh -c 'head -c 2M /dev/zero > /dev/shm/x || stat -c %s /dev/shm/x'
	assert_match "$((1 << 20))\$"
	# Names alone, whose inodes are the kernel's memory: the group pays, not the host.
	run timeout 60 "$HOLM" run --rm --network none --memory 32m --memory-swap 32m "$IMAGE" perl -e 'mkdir "/dev/shm/d"; for ($n = 0; $n < 200000; $n++) { open(F, ">", "/dev/shm/d/$n") or do { print "stopped at $n\n"; exit 7 }; close F } print "all\n"'
	refute_match '^all'
	[ "$status" -eq 137 ] || [ "$status" -eq 7 ]
}

@test "output without an end, a newline or a reader: the supervisor's memory stays small" {
	local name
	name=$(unique)
	containers=$name
	holm run -d --name "$name" --network none --log-opt max-size=5m --log-opt max-file=2 "$IMAGE" sh -c 'head -c 30M /dev/zero | tr "\0" x; printf "\033]0;t\a\000\n"; echo done >&2; sleep 100'
	written() { holm logs --tail 1 "$name" 2>&1 > /dev/null | grep -q '^done'; }
	EVENTUALLY=30 eventually written
	[ "$(peak_of "$(supervisor_of "$name")")" -lt 20000 ]
	# The log has its bounds, also within one line.
	[ "$(du -sk "$HOLM_ROOT/instances/$(holm inspect -f '{{.Id}}' "$name")" | cut -f1)" -lt 16000 ]
	holm rm -f "$name" > /dev/null
	# A reader that does not read.
	name=$(unique)
	containers=$name
	holm run --name "$name" --network none "$IMAGE" sh -c 'head -c 30M /dev/zero | tr "\0" x; echo; sleep 100' > >(sleep 3) 3>&- &
	running() { [ "$(holm inspect -f '{{.State.Running}}' "$name" 2> /dev/null)" = true ]; }
	eventually running
	sleep 1
	[ "$(peak_of "$(supervisor_of "$name")")" -lt 20000 ]
	holm kill "$name" > /dev/null
	wait
}

@test "exec: a flood of output in bounded memory, also where the reader is slow" {
	local name
	name=$(unique)
	containers=$name
	holm run -d --name "$name" --network none "$IMAGE" sleep 100
	run bash -c "ulimit -v 200000; '$HOLM' exec '$name' head -c 100M /dev/zero | { sleep 1; wc -c; }"
	assert_output $((100 << 20))
	# Both streams at once.
	run bash -c "ulimit -v 200000; '$HOLM' exec '$name' sh -c 'head -c 20M /dev/zero >&2 & head -c 20M /dev/zero; wait' 2>&1 | wc -c"
	assert_output $((40 << 20))
}

@test "a health check that never stops talking is ended in time, and nothing else waits for it" {
	local name
	name=$(unique)
	containers=$name
	holm run -d --name "$name" --network none --health-cmd 'yes' --health-interval 1s --health-timeout 1s --health-retries 1 "$IMAGE" sleep 100
	checked() { [ "$(holm inspect -f '{{.State.Health.Status}}' "$name")" = unhealthy ]; }
	eventually checked
	[ "$(peak_of "$(supervisor_of "$name")")" -lt 20000 ]
	[ "$(holm inspect "$name" | wc -c)" -lt 100000 ]
	run timeout 10 "$HOLM" stop -t 0 "$name"
	assert_status 0
}

@test "what holm keeps while a container runs cannot be filled from inside" {
	local name run
	name=$(unique)
	containers=$name
	holm run -d --name "$name" --network none "$IMAGE" sh -c 'for i in $(seq 5000); do echo "line $i"; done >> /etc/hosts; mkdir -p $(seq -f /run/d%g 500); echo ready > /ready; sleep 100'
	eventually holm exec "$name" test -s /ready
	run=$(find "${HOLM_RUN:-$HOLM_ROOT/run}/instances/$(holm inspect -f '{{.Id}}' "$name")" | wc -l)
	[ "$run" -lt 20 ]
	# Its /etc/hosts is its own, and does no harm to who reads it.
	run timeout 10 "$HOLM" exec "$name" getent hosts localhost
	assert_status 0
	run timeout 10 "$HOLM" restart -t 0 "$name"
	assert_status 0
}
