# Restart policies and the restart verb: what starts again, when, how often, and what is final.
load helper

setup_file() { suite_setup; }
teardown_file() { suite_teardown; }
setup() {
	T=$BATS_TEST_TMPDIR
	chmod 755 "$T"
	name=$(unique)
}
teardown() {
	holm rm -f "$name" > /dev/null 2>&1 || true
}

start() { # POLICY COMMAND, more options in OPTIONS
	# shellcheck disable=SC2086
	holm run -d --network none --name "$name" -v "$T:/t" --restart "$1" ${OPTIONS:-} "$IMAGE" sh -c "$2" > /dev/null
}
inspect() { holm inspect -f "{{$1}}" "$name"; }
is() { [ "$(inspect .State.Status)" = "$1" ]; }
count() { inspect .RestartCount; }
counted() { [ "$(count)" -ge "$1" ]; }
runs() { cat "$T/runs" 2> /dev/null | wc -l; }
ran() { [ "$(runs)" -ge "$1" ]; }

@test "no: an exit is final, whatever its code" {
	start no 'echo x >> /t/runs; exit 3'
	eventually is exited
	sleep 0.5
	[ "$(runs)" -eq 1 ]
	[ "$(inspect .State.ExitCode)" -eq 3 ]
	[ "$(count)" -eq 0 ]
}

@test "always: started again whatever the code, and counted" {
	start always 'echo x >> /t/runs; sleep 0.05'
	eventually ran 3
	eventually counted 2
	run inspect .State.Status
	assert_match 'running|restarting'
}

@test "on-failure:N: so many times and no more" {
	start on-failure:2 'echo x >> /t/runs; exit 5'
	eventually is exited
	[ "$(runs)" -eq 3 ]
	[ "$(count)" -eq 2 ]
	[ "$(inspect .State.ExitCode)" -eq 5 ]
	run inspect '.HostConfig.RestartPolicy.Name'
	assert_output on-failure
	run inspect '.HostConfig.RestartPolicy.MaximumRetryCount'
	assert_output 2
	# Counted anew when somebody starts it.
	holm start "$name"
	eventually ran 6
	eventually is exited
	[ "$(runs)" -eq 6 ]
	[ "$(count)" -eq 2 ]
}

@test "on-failure: success is final, and so is a failure's end in success" {
	start on-failure 'echo x >> /t/runs; test $(wc -l < /t/runs) -ge 3'
	eventually is exited
	[ "$(runs)" -eq 3 ]
	[ "$(inspect .State.ExitCode)" -eq 0 ]
	[ "$(count)" -eq 2 ]
}

@test "on-failure: a signal from inside or outside is a failure" {
	OPTIONS=--init start on-failure 'echo x >> /t/runs; [ $(wc -l < /t/runs) -gt 1 ] || kill -9 $$; sleep 100'
	eventually ran 2
	eventually is running
	# holm kill is the user's word.
	holm kill "$name"
	eventually is exited
	sleep 0.4
	[ "$(runs)" -eq 2 ]
	[ "$(inspect .State.ExitCode)" -eq 137 ]
}

@test "the time between starts doubles" {
	start always 'date +%s%N >> /t/runs'
	EVENTUALLY=20 eventually ran 6
	holm stop -t 0 "$name"
	mapfile -t at < "$T/runs"
	# 100, 200, 400, 800, 1600 ms, and what a start takes.
	for ((i = 1; i < 6; i++)); do
		gap=$(((at[i] - at[i - 1]) / 1000000))
		least=$((100 << (i - 1)))
		[ $gap -ge $((least - 20)) ]
		[ $gap -le $((least + 3000)) ]
	done
}

@test "stop and kill are final for every policy" {
	local policy
	for policy in always unless-stopped on-failure; do
		start $policy 'echo x >> /t/runs; sleep 100'
		eventually is running
		holm stop -t 0 "$name"
		is exited
		sleep 0.4
		is exited
		[ "$(runs)" -eq 1 ]
		holm start "$name"
		is running
		holm kill "$name"
		eventually is exited
		sleep 0.4
		is exited
		[ "$(runs)" -eq 2 ]
		holm rm -f "$name"
		rm -f "$T/runs"
	done
}

@test "stop between two runs: at once, and final" {
	start always 'echo x >> /t/runs; exit 1'
	EVENTUALLY=30 eventually ran 6
	eventually is restarting
	[ "$(inspect .State.Restarting)" = true ]
	run holm ps --filter "name=$name" --format '{{.Status}}'
	assert_match '^Restarting \(1\)'
	local before=$SECONDS
	holm stop "$name"
	[ $((SECONDS - before)) -le 2 ]
	is exited
	local n
	n=$(runs)
	sleep 2
	[ "$(runs)" -eq "$n" ]
	[ "$(inspect .State.ExitCode)" -eq 1 ]
}

@test "between two runs: kill and rm -f end it, restart starts it, exec and pause say no" {
	start always 'echo x >> /t/runs; [ $(wc -l < /t/runs) -gt 6 ] || exit 1; sleep 100'
	EVENTUALLY=30 eventually ran 6
	eventually is restarting
	run holm exec "$name" true
	assert_status 1
	assert_one_line
	assert_match "restarting"
	run holm pause "$name"
	assert_status 1
	assert_one_line
	holm restart "$name"
	is running
	[ "$(runs)" -eq 7 ]
	holm rm -f "$name"
	run holm inspect "$name"
	assert_status 1
	rm "$T/runs"
	start always 'echo x >> /t/runs; exit 1'
	EVENTUALLY=20 eventually ran 5
	eventually is restarting
	holm kill "$name"
	eventually is exited
	holm rm "$name"
}

@test "restart: the same container again, stopped first" {
	start no 'trap "echo term >> /t/log; exit 0" TERM; echo x >> /t/runs; touch /inside; while :; do sleep 0.05; done'
	eventually ran 1
	local pid id
	pid=$(inspect .State.Pid)
	id=$(inspect .Id)
	run holm restart "$name"
	assert_status 0
	assert_output "$name"
	eventually ran 2
	[ "$(cat "$T/log")" = term ]
	[ "$(inspect .Id)" = "$id" ]
	[ "$(inspect .State.Pid)" != "$pid" ]
	[ ! -d "/proc/$pid" ] || [ "$(awk '/^State/ { print $2 }' "/proc/$pid/status")" = Z ]
	holm exec "$name" test -e /inside
	# Not one of the policy's.
	[ "$(count)" -eq 0 ]
	# Of one that has ended it is a start.
	holm stop -t 0 "$name"
	holm restart "$name"
	is running
	run holm restart "$name" "$(unique)"
	assert_status 1
	assert_match "no such container"
	is running
}

@test "restart kills what does not stop in time" {
	start no 'trap "" TERM; echo x >> /t/runs; while :; do sleep 0.05; done'
	eventually ran 1
	local before=$SECONDS
	holm restart -t 1 "$name"
	[ $((SECONDS - before)) -ge 1 ]
	[ $((SECONDS - before)) -le 5 ]
	eventually ran 2
}

@test "restart of one that goes when it ends: it stays" {
	holm run -d --rm --network none --name "$name" -v "$T:/t" "$IMAGE" sh -c 'echo x >> /t/runs; touch /inside; sleep 100'
	eventually ran 1
	holm restart -t 0 "$name"
	eventually ran 2
	is running
	holm exec "$name" test -e /inside
	holm stop -t 0 "$name"
	gone() { ! holm inspect "$name" > /dev/null 2>&1; }
	eventually gone
}

@test "restart of a paused one" {
	needs_root "no control group is delegated to the user here"
	start no 'echo x >> /t/runs; sleep 100'
	eventually ran 1
	holm pause "$name"
	holm restart -t 1 "$name"
	eventually ran 2
	is running
}

@test "update --restart while it runs: what counts is the latest" {
	start no 'echo x >> /t/runs; sleep 0.3; exit 4'
	holm update --restart on-failure:2 "$name"
	run inspect '.HostConfig.RestartPolicy.Name'
	assert_output on-failure
	eventually ran 3
	eventually is exited
	[ "$(count)" -eq 2 ]
	holm rm -f "$name"
	rm "$T/runs"
	start always 'echo x >> /t/runs; sleep 0.2'
	eventually ran 2
	holm update --restart no "$name"
	eventually is exited
	local n
	n=$(runs)
	sleep 1
	[ "$(runs)" -eq "$n" ]
	run holm update --restart sometimes "$name"
	[ "$status" -ne 0 ]
	assert_one_line
}

@test "address, ports, files and names stay over a restart" {
	local port address
	port=$((20000 + RANDOM % 20000))
	holm run -d --name "$name" --restart always -p "127.0.0.1:$port:80" "$IMAGE" \
		perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(LocalPort => 80, Listen => 5, ReuseAddr => 1); while ($c = $s->accept) { $l = <$c>; print $c "hello\n"; close $c; exit 1 if $l =~ /die/ }' > /dev/null
	ask() {
		exec 7<> "/dev/tcp/127.0.0.1/$port" || return
		echo "$1" >&7
		read -r answer <&7
		exec 7<&-
		[ "$answer" = hello ]
	} 2> /dev/null
	eventually ask hi
	address=$(inspect .NetworkSettings.IPAddress)
	[ -n "$address" ]
	ask die
	eventually counted 1
	eventually ask hi
	[ "$(inspect .NetworkSettings.IPAddress)" = "$address" ]
	holm restart -t 0 "$name"
	eventually ask hi
	[ "$(inspect .NetworkSettings.IPAddress)" = "$address" ]
	run holm port "$name"
	assert_output "80/tcp -> 127.0.0.1:$port"
	holm stop -t 0 "$name"
	run ask hi
	[ "$status" -ne 0 ]
}

@test "a program that is not there is not started over and over by run" {
	run -127 holm run -d --network none --name "$name" --restart always "$IMAGE" /no/such/program
	assert_status 127
	sleep 0.5
	run inspect .State.Status
	assert_match 'created|exited'
}

@test "one that goes missing while it restarts: tried as often as the policy says" {
	start on-failure:2 'echo x >> /t/runs; rm -f /bin/sh /usr/bin/sh; exit 1'
	EVENTUALLY=20 eventually is exited
	[ "$(runs)" -eq 1 ]
	run inspect .State.Error
	assert_match 'sh'
	run inspect .State.ExitCode
	assert_output 127
}

@test "wait and logs go on over restarts; attach sees the end of a run" {
	start on-failure:2 'echo "run"; sleep 0.3; exit 6'
	run holm wait "$name"
	assert_output 6
	eventually is exited
	run holm logs "$name"
	assert_output $'run\nrun\nrun'
}

@test "events: die and start of each run" {
	local since
	since=$(date +%s)
	start on-failure:1 'exit 2'
	eventually is exited
	run holm events --since "$since" --until 0s --filter "container=$name" --format '{{.Action}}'
	assert_match $'create\n(.*\n)?start\ndie\nstart\ndie'
}

@test "a supervisor that is killed: recorded, and startable" {
	needs_root "no control group is delegated to the user here"
	start always 'echo x >> /t/runs; sleep 1000'
	eventually ran 1
	local supervisor
	supervisor=$(awk '/^PPid/ { print $2 }' "/proc/$(inspect .State.Pid)/status")
	kill -9 "$supervisor"
	ended() { ! holm ps -q --no-trunc | grep -q "$(inspect .Id)"; }
	eventually ended
	holm start "$name"
	is running
	# Also when it was frozen.
	holm pause "$name"
	supervisor=$(awk '/^PPid/ { print $2 }' "/proc/$(inspect .State.Pid)/status")
	kill -9 "$supervisor"
	eventually ended
	holm start "$name"
	is running
}

@test "killed from outside it comes back" {
	local pid
	holm run -d --name "$name" --restart unless-stopped "$IMAGE" sleep 1000
	pid=$(holm inspect -f '{{.State.Pid}}' "$name")
	kill -9 "$pid"
	eventually counted 1
	eventually is running
	[ "$(holm inspect -f '{{.State.Pid}}' "$name")" != "$pid" ]
	holm rm -f "$name"
}
