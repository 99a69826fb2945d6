#!/usr/bin/env bats
# The jail of a machine's process, from inside: what hostile code that came over a guest would have.
load helper

setup_file() {
	needs_root "to act in another's place"
	# Where an ordinary user gets, too.
	DIR=$(mktemp -d "${TMPDIR:-/tmp}/holm-jail.XXXXXX")
	export DIR INTRUDER=$DIR/intruder KERNEL=$DIR/kernel DISK=$DIR/disk
	"${CC:-cc}" -O1 -o "$INTRUDER" "$PROJECT/tests/cli/intruder.c"
	"${CC:-cc}" -m32 -nostdlib -static -fno-pie -no-pie -Wl,--build-id=none -Wl,-z,noseparate-code \
		-Wl,-Ttext-segment=0x100000 -DPVH -o "$KERNEL" "$PROJECT/tests/cli/machine_kernel.S"
	truncate -s 1m "$DISK"
	chmod 755 "$DIR"
	chmod 666 "$DISK"
}

teardown_file() {
	rm -rf --one-file-system "$DIR"
}

setup() {
	OUT=$BATS_TEST_TMPDIR/out
	FRONT=''
}

teardown() {
	[ -z "$FRONT" ] || { kill -9 "$FRONT" && wait "$FRONT"; } 2> /dev/null || true
}

# start [COMMAND...]: a machine that waits for input; holm's process in FRONT, the machine's in PID.
start() {
	# Open for writing, too: it never ends.
	[ -e "$BATS_TEST_TMPDIR/in" ] || mkfifo -m 666 "$BATS_TEST_TMPDIR/in"
	: > "$OUT"
	"$@" "$HOLM" machine run --cpu soft --memory 64m --kernel "$KERNEL" --disk "$DISK" \
		0<> "$BATS_TEST_TMPDIR/in" > "$OUT" 2>&1 3>&- &
	FRONT=$!
	eventually grep -q '>' "$OUT" || { cat "$OUT"; return 1; }
	PID=$(pgrep -P "$FRONT")
}

refused() {
	run "$INTRUDER" "$PID" "$1"
	assert_output "$1: $2"
}

# It goes, and holm says so.
deadly() {
	local status=0
	run "$INTRUDER" "$PID" "$1"
	assert_output "$1: killed by SIGSYS"
	wait "$FRONT" || status=$?
	FRONT=''
	[ "$status" -eq 5 ]
	grep -q 'did what its jail does not allow, and was killed' "$OUT"
}

has() {
	run grep -E "^$1:" "/proc/$PID/status"
	assert_output "$1:	$2"
}

@test "it has no privilege, no file, no namespace and no descriptor but its own" {
	local name
	start
	for name in CapInh CapPrm CapEff CapBnd CapAmb; do
		has $name 0000000000000000
	done
	has NoNewPrivs 1
	has Seccomp 2
	run awk '$1 == "Uid:" || $1 == "Gid:" { print ($2 >= 1879048192 && $2 == $3 && $3 == $4 && $4 == $5) }' "/proc/$PID/status"
	assert_output $'1\n1'
	run ls -A "/proc/$PID/root/"
	assert_output ""
	for name in mnt net ipc uts; do
		[ "$(readlink "/proc/$PID/ns/$name")" != "$(readlink "/proc/self/ns/$name")" ]
	done
	# Its serial port, its disk, guest memory, what wakes it, and its socket to holm.
	run bash -c 'readlink "$0"/* | grep -vE "^(pipe:|socket:|anon_inode:\[eventfd\]|anon_inode:\[io_uring\]|/memfd:guest-memory)|^$1$|^$2$|^$3$"' \
		"/proc/$PID/fd" "$BATS_TEST_TMPDIR/in" "$OUT" "$DISK"
	assert_output ""
	[ "$(find "/proc/$PID/fd" -lname 'socket:*' | wc -l)" -eq 1 ]
}

@test "what it opens is refused, and it runs on" {
	start
	refused getpid ok
	refused open EACCES
	refused type-at-terminal ENOTTY
	refused getpid ok
}

@test "what it has no business with ends it" {
	local word
	for word in exec execveat socket unix-socket kill-init signal-init fork user-namespace mount code ptrace setuid bpf io-uring; do
		start
		deadly $word
	done
}

@test "an ordinary user's is as tight" {
	start "$PROJECT/tools/as-user"
	has CapEff 0000000000000000
	has NoNewPrivs 1
	has Seccomp 2
	run ls -A "/proc/$PID/root/"
	assert_output ""
	refused open EACCES
	run "$INTRUDER" "$PID" socket
	assert_output "socket: killed by SIGSYS"
}

@test "it goes with holm, and holm with it" {
	start
	kill -9 "$FRONT"
	gone() { ! kill -0 "$PID" 2> /dev/null; }
	eventually gone
	FRONT=''
	start
	kill -9 "$PID"
	local status=0
	wait "$FRONT" || status=$?
	FRONT=''
	[ "$status" -eq 5 ]
	grep -q "the machine's process was killed by SIGKILL" "$OUT"
}
