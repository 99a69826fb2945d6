# holm run: output, status, input, terminal, and what the options make of the process.
load helper

setup_file() { suite_setup; }
teardown_file() { suite_teardown; }

terminal() { "$PROJECT/tests/cli/terminal.py" "$HOLM" "$@"; }

@test "output goes where it belongs" {
	run --separate-stderr holm run --rm "$IMAGE" sh -c 'echo out; echo err >&2'
	assert_status 0
	assert_output out
	# shellcheck disable=SC2154
	[ "$stderr" = err ]
}

@test "the exit status is the command's" {
	run holm run --rm "$IMAGE" sh -c 'exit 42'
	assert_status 42
	run holm run --rm --init "$IMAGE" sh -c 'kill -9 $$'
	assert_status 137
	run -127 holm run --rm "$IMAGE" no-such-program
	assert_one_line
	assert_match "exec 'no-such-program'"
	run holm run --rm "$IMAGE" /etc/passwd
	assert_status 126
	assert_one_line
	run holm run --rm --entrypoint "" "$IMAGE"
	assert_status 125
	assert_one_line
}

@test "no output is lost, however much and however late" {
	run bash -c "timeout 60 '$HOLM' run --rm '$IMAGE' sh -c 'head -c 3000000 /dev/zero; printf end' | tail -c 3"
	assert_output end
	run bash -c "timeout 60 '$HOLM' run --rm '$IMAGE' sh -c 'head -c 3000000 /dev/zero' | wc -c"
	assert_output 3000000
}

@test "input: with -i it is ours and ends, without it is empty" {
	run bash -c "echo hello | timeout 60 '$HOLM' run --rm -i '$IMAGE' cat"
	assert_output hello
	run bash -c "echo hello | timeout 60 '$HOLM' run --rm '$IMAGE' cat"
	assert_output ""
	run bash -c "head -c 2000000 /dev/zero | timeout 60 '$HOLM' run --rm -i '$IMAGE' sh -c 'cat | wc -c'"
	assert_output 2000000
	run bash -c "timeout 60 '$HOLM' run --rm -i '$IMAGE' cat < /etc/hostname"
	assert_output "$(cat /etc/hostname)"
}

@test "streams chosen with --attach" {
	run --separate-stderr holm run --rm -a stderr "$IMAGE" sh -c 'echo out; echo err >&2'
	assert_output ""
	[ "$stderr" = err ]
}

@test "detached: the id is printed and the container runs on" {
	local name
	name=$(unique)
	run holm run -d --name "$name" --cidfile "$BATS_TEST_TMPDIR/cid" "$IMAGE" sleep 100
	assert_status 0
	assert_match '^[0-9a-f]{64}$'
	[ "$output" = "$(cat "$BATS_TEST_TMPDIR/cid")" ]
	run holm inspect -f '{{.State.Running}}' "$name"
	assert_output true
	holm rm -f "$name"
}

@test "--rm leaves nothing; without it the container stays" {
	local name
	name=$(unique)
	holm run --rm --name "$name" "$IMAGE" true
	run holm inspect "$name"
	assert_status 1
	holm run --name "$name" "$IMAGE" true
	run holm inspect -f '{{.State.Status}} {{.State.ExitCode}}' "$name"
	assert_output "exited 0"
	holm rm "$name"
	run -127 holm run --rm --name "$name" "$IMAGE" no-such-program
	run holm inspect "$name"
	assert_status 1
}

@test "the process: environment, directory, user, names" {
	printf 'FROM_FILE=file\nBOTH=file\n' > "$BATS_TEST_TMPDIR/env"
	OURS=ours run holm run --rm -e A=1 -e OURS -e ABSENT_HERE --env-file "$BATS_TEST_TMPDIR/env" -e BOTH=option \
		"$IMAGE" sh -c 'echo "$A $OURS $FROM_FILE $BOTH ${ABSENT_HERE-unset}"'
	assert_output "1 ours file option unset"
	run holm run --rm -e PATH "$IMAGE" sh -c 'echo $PATH'
	assert_output "$PATH"
	run holm run --rm -w /var/tmp "$IMAGE" pwd
	assert_output /var/tmp
	run holm run --rm -u 1000:2000 --group-add 3000 "$IMAGE" sh -c 'id -u; id -G'
	assert_output $'1000\n2000 3000'
	run holm run --rm -u www-data "$IMAGE" id -un
	assert_output www-data
	run holm run --rm -h box --domainname nis.example "$IMAGE" sh -c 'hostname; cat /proc/sys/kernel/domainname'
	assert_output $'box\nnis.example'
	run holm run --rm --entrypoint echo "$IMAGE" from entrypoint
	assert_output "from entrypoint"
	run holm run --rm "$IMAGE" sh -c 'echo $$'
	assert_output 1
}

@test "--init: orphans are reaped and signals passed on" {
	run holm run --rm --init "$IMAGE" sh -c 'echo $$; (sleep 0.1 &) ; sleep 0.4; set -- /proc/[0-9]*; echo $#'
	assert_match '^[2-9]'
	# init and sh: no zombie of sleep
	assert_match '2$'
}

@test "labels, hosts, resolver" {
	local name
	name=$(unique)
	printf 'from=file\n' > "$BATS_TEST_TMPDIR/labels"
	holm run --name "$name" -l one=1 -l two --label-file "$BATS_TEST_TMPDIR/labels" "$IMAGE" true
	run holm inspect -f '{{index .Config.Labels "one"}},{{index .Config.Labels "two"}},{{.Config.Labels.from}}' "$name"
	assert_output "1,,file"
	holm rm "$name"
	run holm run --rm --add-host db:10.1.2.3 "$IMAGE" grep db /etc/hosts
	assert_match '10\.1\.2\.3[[:space:]]+db'
	run holm run --rm --network none --dns 9.9.9.9 --dns-search example.org --dns-option ndots:2 "$IMAGE" cat /etc/resolv.conf
	assert_match 'nameserver 9\.9\.9\.9'
	assert_match 'search example\.org'
	assert_match 'ndots:2'
}

@test "options end at the image" {
	run holm run --rm "$IMAGE" echo --rm -it -- x
	assert_output "--rm -it -- x"
}

@test "namespaces of another container are shared" {
	local name
	name=$(unique)
	holm run -d --name "$name" "$IMAGE" sleep 100
	run holm run --rm --pid "container:$name" "$IMAGE" sh -c 'tr "\0" " " </proc/1/cmdline'
	assert_match '^sleep 100'
	local theirs
	theirs=$(holm exec "$name" readlink /proc/self/ns/net)
	run holm run --rm --network "container:$name" "$IMAGE" readlink /proc/self/ns/net
	assert_output "$theirs"
	holm rm -f "$name"
	run holm run --rm --pid host --network host --uts host --ipc host "$IMAGE" \
		sh -c 'readlink /proc/self/ns/pid /proc/self/ns/net /proc/self/ns/uts /proc/self/ns/ipc'
	assert_output "$(readlink /proc/self/ns/pid /proc/self/ns/net /proc/self/ns/uts /proc/self/ns/ipc)"
}

@test "a shared network brings its names along" {
	local name
	name=$(unique)
	holm run -d --name "$name" --hostname first --add-host other:192.0.2.7 "$IMAGE" sleep 100
	run holm run --rm --network "container:$name" "$IMAGE" sh -c 'hostname; cat /etc/hostname; getent hosts other first'
	assert_match '^first
first
192\.0\.2\.7 '
	assert_match ' first$'
	# Known by id: a name that another takes is not followed.
	holm create --name "$name-2" --network "container:$name" "$IMAGE" true
	holm rename "$name" "$name-3"
	run holm start -a "$name-2"
	assert_status 0
	holm rm -f "$name-2" "$name-3"
}

@test "a shared IPC namespace brings its shared memory along, and nothing of the host" {
	local name
	name=$(unique)
	holm run -d --name "$name" --shm-size 1m "$IMAGE" sh -c 'echo theirs > /dev/shm/x; exec sleep 100'
	eventually holm exec "$name" test -s /dev/shm/x
	run holm run --rm --ipc "container:$name" "$IMAGE" sh -c 'cat /dev/shm/x; df -k /dev/shm | tail -n 1; echo ours > /dev/shm/y'
	assert_match '^theirs
.* 1024 '
	run holm exec "$name" cat /dev/shm/y
	assert_output ours
	# A link in its place leads nowhere but into the other container.
	holm exec --privileged "$name" sh -c 'umount /dev/shm && rmdir /dev/shm && ln -s /etc /dev/shm && echo inside > /etc/mark'
	run holm run --rm --ipc "container:$name" "$IMAGE" cat /dev/shm/mark
	assert_output inside
	holm rm -f "$name"
	holm run -d --name "$name" --ipc private "$IMAGE" sleep 100
	run holm run --rm --ipc "container:$name" "$IMAGE" true
	assert_status 125
	assert_one_line
	assert_match 'its IPC namespace is private'
	holm rm -f "$name"
}

@test "a reader that goes away ends us, not the container" {
	local name
	name=$(unique)
	run bash -c "timeout 60 '$HOLM' run --name $name '$IMAGE' sh -c 'while sleep 0.05; do echo y; done' | head -n 1"
	assert_output y
	run holm inspect -f '{{.State.Running}}' "$name"
	assert_output true
	holm rm -f "$name"
}

@test "signals are passed on" {
	local name pid
	name=$(unique)
	"$HOLM" run --name "$name" "$IMAGE" sh -c 'trap "exit 33" TERM; echo ready; while :; do sleep 0.05; done' \
		> "$BATS_TEST_TMPDIR/out" 3>&- &
	pid=$!
	eventually grep -q ready "$BATS_TEST_TMPDIR/out"
	kill -TERM "$pid"
	wait "$pid" && status=0 || status=$?
	assert_status 33
	holm rm "$name"
}

@test "-t without a terminal to read from" {
	run bash -c "timeout 60 '$HOLM' run --rm -it '$IMAGE' true < /dev/null"
	assert_status 1
	assert_one_line
	assert_match 'not a TTY'
	run bash -c "timeout 60 '$HOLM' run --rm -t '$IMAGE' tty < /dev/null"
	assert_status 0
	assert_match '/dev/'
}

@test "terminal: size, resize, status, and raw mode while it lasts" {
	terminal run --rm -it "$IMAGE" bash <<- 'END'
		expect [$#]
		send stty size\r
		expect 24 80
		resize 50 132
		send stty size\r
		expect 50 132
		raw yes
		send exit 3\r
		status 3
	END
}

@test "terminal: ctrl-c reaches the process inside alone" {
	terminal run --rm -it "$IMAGE" bash <<- 'END'
		expect [$#]
		send sleep 100\r
		sleep 0.3
		send \x03
		expect [$#]
		send echo still $((40+2))\r
		expect still 42
		send exit\r
		status 0
	END
}

@test "terminal: detach, attach again, end" {
	local name
	name=$(unique)
	terminal run -it --name "$name" "$IMAGE" bash <<- 'END'
		expect [$#]
		send echo first $((40+2))\r
		expect first 42
		send \x10\x11
		status 0
	END
	run holm inspect -f '{{.State.Running}}' "$name"
	assert_output true
	terminal attach "$name" <<- 'END'
		send echo second $((40+2))\r
		expect second 42
		send \x10
		sleep 0.1
		send \x11
		status 0
	END
	terminal attach --detach-keys ctrl-a,d "$name" <<- 'END'
		send echo third $((40+2))\r
		expect third 42
		send \x01d
		status 0
	END
	terminal attach "$name" <<- 'END'
		send exit 9\r
		status 9
	END
	holm rm "$name"
}

@test "terminal: it is put back when we are killed" {
	local name
	name=$(unique)
	"$PROJECT/tests/cli/terminal.py" bash -c "'$HOLM' run -it --init --name $name '$IMAGE' sleep 100; stty -a" <<- 'END'
		raw yes
		sleep 0.3
		send \x03
		expect  icanon
		status 0
	END
	holm rm -f "$name" > /dev/null
	"$PROJECT/tests/cli/terminal.py" "$HOLM" run -it --name "$name" "$IMAGE" sleep 100 <<- 'END'
		raw yes
		signal SIGTERM
		raw no
		status 143
	END
	run holm inspect -f '{{.State.Running}}' "$name"
	assert_output true
	holm rm -f "$name"
}

@test "terminal: ctrl-c ends an attach without input, and only that" {
	local name
	name=$(unique)
	holm run -dt --name "$name" "$IMAGE" sh -c 'while :; do echo tick; sleep 0.2; done' > /dev/null
	terminal attach --no-stdin "$name" <<- 'END'
		expect tick
		send \x03
		status 130
	END
	run holm inspect -f '{{.State.Running}}' "$name"
	assert_output true
	holm rm -f "$name"
}

@test "run --rm killed at any moment leaves nothing for the next command" {
	local n pid
	for n in 1 2 3 4 5 6 7 8; do
		holm run --rm --name "early$n" "$IMAGE" true > /dev/null 2>&1 3>&- &
		pid=$!
		sleep "0.00$n"
		pkill -KILL -P $pid || true
		wait $pid || true
	done
	none_left() {
		[ -z "$(holm ps -aq --filter name=early)" ]
	}
	eventually none_left
}

@test "limits and niceness that are not given are the caller's" {
	run bash -c 'ulimit -n 333; nice -n 7 "$HOLM" run --rm --ulimit core=0 "$IMAGE" sh -c "ulimit -n; ulimit -c; nice"'
	assert_output $'333\n0\n7'
}
