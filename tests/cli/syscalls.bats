# The default system-call profile, by every call there is: syscalls.c asks the filter, syscalls.py knows the
# answers, of capabilities as well.
load helper

setup_file() {
	suite_setup
	[ "$(uname -m)" = x86_64 ] || skip "the tables are x86-64's"
	export ASKER=$BATS_FILE_TMPDIR/syscalls CALLS=$BATS_FILE_TMPDIR/calls
	"${CC:-cc}" -static -O1 -o "$ASKER" "$PROJECT/tests/cli/syscalls.c"
	"$PROJECT/tests/cli/syscalls.py" ask > "$CALLS"
	chmod 755 "$BATS_FILE_TMPDIR"
}
teardown_file() { suite_teardown; }
setup() { T=$BATS_TEST_TMPDIR; }
teardown() { [ -z "${containers:-}" ] || holm rm -f $containers > /dev/null 2>&1 || true; }

# ask OPTION...: what a container with these options may call, to $T/answers.
ask() {
	holm run -i --rm --network none "$@" -v "$ASKER:/syscalls:ro" "$IMAGE" /syscalls < "$CALLS" > "$T/answers"
}
check() {
	run "$PROJECT/tests/cli/syscalls.py" check "$T/answers" "$@"
	assert_status 0
	assert_match '2[0-9]{3} calls, 0 wrong'
}

@test "every call of the three ABIs, and the arguments that matter: Docker's profile" {
	ask
	check
	ask -u 1000
	check
	ask --init --security-opt no-new-privileges
	check
}

@test "without capabilities, and with each one that opens something" {
	local cap
	ask --cap-drop ALL
	check CAP=none
	for cap in BPF DAC_READ_SEARCH PERFMON SYSLOG SYS_ADMIN SYS_BOOT SYS_MODULE SYS_NICE SYS_PACCT \
		SYS_PTRACE SYS_RAWIO SYS_TIME SYS_TTY_CONFIG; do
		# What this host does not have itself is not given, and so opens nothing.
		ask --cap-add $cap 2> "$T/warnings" || {
			cat "$T/warnings"
			false
		}
		check $cap
	done
	# Others open nothing.
	ask --cap-add NET_ADMIN --cap-add IPC_LOCK --cap-add AUDIT_CONTROL
	check
}

@test "the same for who joins, in a user namespace, and not without the profile" {
	containers=$(unique)
	holm run -d --name "$containers" --network none --cap-add SYS_PTRACE -v "$ASKER:/syscalls:ro" "$IMAGE" sleep 100
	holm exec -i "$containers" /syscalls < "$CALLS" > "$T/answers"
	check SYS_PTRACE
	holm exec -i -u 7 "$containers" /syscalls < "$CALLS" > "$T/answers"
	check SYS_PTRACE
	ask --userns auto
	check
	# What this suite would say of no filter.
	ask --security-opt seccomp=unconfined
	run "$PROJECT/tests/cli/syscalls.py" check "$T/answers"
	assert_status 1
	run grep -vc ' allow$' "$T/answers"
	assert_output 0
}

@test "a socket's family is looked at whole: no bit of the upper half hides AF_ALG or AF_VSOCK" {
	"${CC:-cc}" -static -O1 -x c -o "$T/high" - <<- 'END'
		#include <errno.h>
		#include <stdio.h>
		#include <sys/socket.h>
		#include <sys/syscall.h>
		#include <unistd.h>
		int main(void)
		{
			const long families[] = { AF_INET, 38, 40, 38 | 1L << 32, 40 | 1L << 32, 40 | 1L << 63 };
			for (int i = 0; i < 6; i++) {
				errno = 0;
				syscall(SYS_socket, families[i], SOCK_DGRAM, 0);
				printf("%d ", errno == EPERM);
			}
			return 0;
		}
	END
	chmod 755 "$T"
	run holm run --rm --network none -v "$T/high:/high:ro" "$IMAGE" /high
	assert_output "0 1 1 1 1 1 "
	# The kernel takes them for the families, or does not have these, but refuses none by right.
	run holm run --rm --network none --security-opt seccomp=unconfined -v "$T/high:/high:ro" "$IMAGE" /high
	assert_output "0 0 0 0 0 0 "
}
