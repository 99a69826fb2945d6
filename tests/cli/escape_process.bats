# Ways out through processes: descriptors, programs and memory of the runtime that a container gets to see.
load helper

setup_file() {
	suite_setup
	export ESCAPE=$BATS_FILE_TMPDIR/escape EVIL=$BATS_FILE_TMPDIR/evil.so
	"${CC:-cc}" -static -O1 -o "$ESCAPE" "$PROJECT/tests/cli/escape.c"
	# Runs in every program that loads it, before main(): says where, and overwrites what it runs in.
	"${CC:-cc}" -shared -fPIC -O1 -x c -o "$EVIL" - <<- 'END'
		#include <fcntl.h>
		#include <stdio.h>
		#include <unistd.h>
		__attribute__((constructor)) static void evil(void)
		{
			char exe[256] = "?", ns[64] = "?", self[64];
			int log = open("/log", O_WRONLY | O_APPEND | O_CREAT, 0666), fd;
			readlink("/proc/self/exe", exe, sizeof(exe) - 1);
			readlink("/proc/self/ns/pid", ns, sizeof(ns) - 1);
			dprintf(log, "%s %s\n", ns, exe);
			fd = open("/proc/self/exe", O_RDONLY);
			snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
			fd = open(self, O_WRONLY);
			if (fd >= 0)
				dprintf(log, "wrote %s\n", exe);
		}
	END
	chmod 755 "$BATS_FILE_TMPDIR"
}
teardown_file() { suite_teardown; }
setup() { T=$BATS_TEST_TMPDIR; }
teardown() { remove_made; }

null_device() { stat -c '%a %u %g' /dev/null; }

# Put right before anything fails because of it.
null_whole() {
	[ "$(null_device)" = "666 0 0" ] || {
		chmod 666 /dev/null
		chown 0:0 /dev/null
		return 1
	}
}

@test "the host's null device cannot be changed through standard input or output" {
	local name touch='for fd in 0 1 2; do chmod 600 /proc/self/fd/$fd; chown 5:5 /proc/self/fd/$fd; done 2> /dev/null; true'
	name=$(unique)
	containers=$name
	holm run --rm --network none "$IMAGE" sh -c "$touch"
	null_whole
	holm run -d --name "$name" --network none --health-cmd "$touch" --health-interval 1s "$IMAGE" sh -c "$touch; chmod 666 /dev/null; echo ran > /ran; sleep 100"
	eventually holm exec "$name" test -s /ran
	null_whole
	holm exec "$name" sh -c "$touch"
	null_whole
	holm exec -d "$name" sh -c "$touch; echo did > /did"
	eventually holm exec "$name" test -s /did
	null_whole
	checked() { [ "$(holm inspect -f '{{.State.Health.Status}}' "$name")" = healthy ]; }
	eventually checked
	null_whole
	# It may do with its own what it likes; an ordinary user's is the host's, mounted.
	[ "$(id -u)" -eq 0 ] || return 0
	holm exec "$name" rm /dev/null
	run holm exec "$name" sh -c 'cat; echo read'
	assert_output read
	run holm exec -d "$name" true
	[ "$status" -ne 0 ]
	assert_one_line
}

@test "no process inside has a descriptor of the host's, in all ways of starting one" {
	local name
	name=$(unique)
	containers=$name
	exec 8< / 9> "$T/file"
	holm run -d --init --name "$name" --network none -v "$ESCAPE:/escape:ro" "$IMAGE" sleep 100 8< / < /
	for how in "exec" "exec -i" "exec -d" "exec -u 7" "exec -w /tmp"; do
		# Its files are not those of our standard input.
		run holm $how "$name" /escape fds < "$T/file"
		assert_status 0
		[ "$how" = "exec -d" ] || assert_output "done"
	done
	run holm run --rm -i --network none -v "$ESCAPE:/escape:ro" "$IMAGE" /escape fds < /proc/self/ns/mnt
	assert_output "done"
	exec 8<&- 9>&-
	# It would find one.
	run holm exec "$name" sh -c 'exec 5< /etc; /escape fds'
	assert_match 'fd/5 -> /etc mode 40'
}

@test "a library's constructor runs in nothing of ours: not at start, exec, health check, cp or top" {
	local name before pidns
	name=$(unique)
	containers=$name
	before=$(sha256sum < "$HOLM")
	holm run -d --init --name "$name" -e LD_PRELOAD=/evil.so -v "$EVIL:/evil.so:ro" --health-cmd "id -u" --health-interval 1s \
		"$IMAGE" sh -c 'echo /evil.so > /etc/ld.so.preload; sleep 100'
	eventually holm exec "$name" test -s /etc/ld.so.preload
	for i in 1 2 3 4 5; do
		holm exec -u www-data "$name" id -u
	done
	# What a program might want of names: users, hosts.
	holm exec "$name" sh -c 'mkdir -p /lib/x86_64-linux-gnu; for n in files dns evil; do cp /evil.so /lib/x86_64-linux-gnu/libnss_$n.so.2; done; echo "passwd: evil files" > /etc/nsswitch.conf; : > /log; chmod 666 /log'
	echo text > "$T/file"
	holm cp "$T/file" "$name:/tmp/file"
	holm cp -a "$name:/etc/passwd" "$T/passwd"
	holm cp - "$name:/tmp" < <(tar -C "$T" -c file)
	holm cp "$name:/tmp/file" - > "$T/out.tar"
	holm top "$name" > /dev/null
	holm diff "$name" > /dev/null
	holm export "$name" > /dev/null
	holm logs "$name" > /dev/null
	eventually holm exec "$name" sh -c 'grep -q /usr/bin/id /log'
	pidns=$(readlink "/proc/$(holm inspect -f '{{.State.Pid}}' "$name")/ns/pid")
	run holm exec -e LD_PRELOAD= "$name" cat /log
	[[ $output == *"$pidns /usr/bin/"* ]]
	[ -z "$(grep -v '^wrote ' <<< "$output" | grep -vF "$pidns /usr/bin/")" ]
	[ "$(sha256sum < "$HOLM")" = "$before" ]
	[ ! -e /log ]
}

@test "#!/proc/self/exe as entry point, health check and command of exec, with --init as well" {
	local name before
	name=$(unique)
	containers=$name
	before=$(sha256sum < "$HOLM")
	printf '#!/proc/self/exe run --privileged --pid host\n' > "$T/evil"
	chmod 755 "$T/evil" "$T"
	for how in "" "--init" "-u 7" "--entrypoint /evil"; do
		run holm run --rm --network none $how -v "$T/evil:/evil:ro" "$IMAGE" /evil
		[ "$status" -ne 0 ]
		refute_match "Usage|unknown verb|holm run"
	done
	holm run -d --name "$name" --network none -v "$T/evil:/evil:ro" --health-cmd /evil --health-interval 1s --health-retries 1 "$IMAGE" sleep 100
	run holm exec "$name" /evil
	[ "$status" -ne 0 ]
	refute_match "Usage|unknown verb|holm run"
	checked() { [ "$(holm inspect -f '{{.State.Health.Status}}' "$name")" = unhealthy ]; }
	eventually checked
	[ "$(sha256sum < "$HOLM")" = "$before" ]
}

# stalked NAME: what the process that watches found, while we join fifteen times.
stalked() {
	local i
	eventually holm exec "$1" sh -c "grep -q stalking < /found"
	for ((i = 0; i < 15; i++)); do
		holm exec "$1" true
	done
	eventually holm exec "$1" sh -c "grep -q ^seen < /found"
	run holm exec "$1" sh -c "cat < /found"
	# Not all: on a busy machine some come and go while it waits for its turn.
	[[ $output =~ seen\ ([0-9]+) ]]
	[ "${BASH_REMATCH[1]}" -ge 3 ]
}

@test "who joins cannot be traced, read or robbed of descriptors" {
	local name ways=("" "--userns auto" "--userns auto --cap-add SYS_PTRACE --security-opt seccomp=unconfined")
	# Without that one, there is one namespace for an ordinary user's containers.
	[ "$(id -u)" -eq 0 ] || ways=("")
	for how in "${ways[@]}"; do
		name=$(unique)
		containers+=" $name"
		holm run -d --name "$name" --network none $how -v "$ESCAPE:/escape:ro" "$IMAGE" sh -c '/escape stalk 2 > /found; sleep 100'
		stalked "$name"
		refute_match 'opened|took|seized'
		holm rm -f "$name"
	done
	# With the right to trace, and no user namespace, it is what docs/threat-model.md warns of. Now and then all
	# of them are too quick for it.
	[ "$(id -u)" -eq 0 ] || return 0
	for _ in {1..5}; do
		name=$(unique)
		containers+=" $name"
		holm run -d --name "$name" --network none --cap-add SYS_PTRACE -v "$ESCAPE:/escape:ro" "$IMAGE" sh -c '/escape stalk 2 > /found; sleep 100'
		stalked "$name"
		holm rm -f "$name" > /dev/null
		! [[ $output =~ opened|took|seized ]] || return 0
	done
	return 1
}

@test "signals stay inside: all, the parent's, the first process's" {
	local supervisor pid name
	name=$(unique)
	containers=$name
	holm run -d --init --name "$name" --network none "$IMAGE" sleep 100
	pid=$(holm inspect -f '{{.State.Pid}}' "$name")
	supervisor=$(awk '/^PPid/ { print $2 }' "/proc/$pid/status")
	run holm exec "$name" bash -c 'awk "/^PPid/" /proc/1/status; kill -9 -1; kill -9 1; kill -9 0'
	assert_match 'PPid:	0'
	sleep 0.2
	[ "$(cat "/proc/$supervisor/comm")" = holm-supervisor ]
	run holm exec "$name" ps -o comm= -p 1
	# Its own first process is not to be killed from inside, and the rest is.
	[ "$(holm inspect -f '{{.State.Status}}' "$name")" = exited ] || assert_match holm-init
	# Numbers of the host's mean nothing inside.
	run holm run --rm --network none "$IMAGE" bash -c "kill -0 $supervisor; kill -0 $$; ls -d /proc/[0-9]*"
	assert_match '^.*No such process.*No such process.*/proc/1$|kill: .*'
	refute_match "/proc/$supervisor"
}

@test "characters pushed into the terminal do not reach the caller's" {
	# typed COMMAND...: what a shell reads from its terminal when the command has ended.
	typed() {
		TERM=xterm timeout 20 python3 - "$@" <<- 'END'
			import os, pty, sys
			out = b""
			pid, fd = pty.fork()
			if pid == 0:
			    os.execvp("bash", ["bash", "-c", '"$@"; read -t 0.4 line; echo "typed:$line."', "bash"] + sys.argv[1:])
			while True:
			    try:
			        data = os.read(fd, 4096)
			    except OSError:
			        break
			    if not data:
			        break
			    out += data
			os.waitpid(pid, 0)
			sys.stdout.write(out.decode(errors="replace"))
		END
	}
	run typed "$ESCAPE" sti $'evil\n'
	assert_match 'typed:'
	[[ $output == *typed:evil.* ]] || skip "this kernel lets nobody push characters (dev.tty.legacy_tiocsti)"
	run typed "$HOLM" run --rm -it --network none -v "$ESCAPE:/escape:ro" "$IMAGE" /escape sti $'evil\n'
	assert_match 'typed:\.'
	name=$(unique)
	containers=$name
	holm run -d --name "$name" --network none -v "$ESCAPE:/escape:ro" "$IMAGE" sleep 100
	run typed "$HOLM" exec -it "$name" /escape sti $'evil\n'
	assert_match 'typed:\.'
}

@test "abstract sockets of the host's are not there" {
	local name=holm-test-$RANDOM server
	python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind("\0" + sys.argv[1])
s.listen(9)
while True: s.accept()' "$name" 3>&- &
	server=$!
	listening() { "$ESCAPE" abstract "$name" > /dev/null 2>&1; }
	eventually listening
	for net in none bridge; do
		run holm run --rm --network $net -v "$ESCAPE:/escape:ro" "$IMAGE" sh -c "/escape abstract $name; cat /proc/net/unix"
		assert_match 'Connection refused'
		refute_match "@$name"
		refute_match "$HOLM_ROOT|/ctl"
	done
	run holm run --rm --network host -v "$ESCAPE:/escape:ro" "$IMAGE" /escape abstract "$name"
	kill $server
	assert_output connected
}

@test "a supervisor keeps nothing of who started it: descriptors, directory, session" {
	local supervisor before
	containers=$(unique)
	exec 7< /etc
	(cd "$T" && holm run -d --name "$containers" --network none "$IMAGE" sleep 100)
	exec 7<&-
	supervisor=$(awk '/^PPid/ { print $2 }' "/proc/$(holm inspect -f '{{.State.Pid}}' "$containers")/status")
	[ "$(readlink "/proc/$supervisor/cwd")" = / ]
	[ "$(awk '{ print $6 }' "/proc/$supervisor/stat")" = "$supervisor" ]
	run bash -c "for f in /proc/$supervisor/fd/*; do readlink \$f; done"
	assert_match 'anon_inode:.eventpoll'
	# Its own files, and nothing else that has a name.
	before=$(grep '^/' <<< "$output" | grep -v '^/dev/null$' | grep -vF -e "$HOLM_ROOT/" -e "${HOLM_RUN:-$HOLM_ROOT/run}/" || true)
	[ -z "$before" ]
}
