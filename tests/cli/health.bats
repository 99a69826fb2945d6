# Health checks: states, counting, times, what is kept of them, and what they lead to.
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
	[ -z "${images:-}" ] || holm rmi -f $images > /dev/null 2>&1 || true
}

# Runs $name with these options of run; the probe's command sees $T as /t.
start() {
	holm run -d --network none --name "$name" -v "$T:/t" "$@" "$IMAGE" sleep 1000 > /dev/null
}

health() { holm inspect -f '{{.State.Health.Status}}' "$name"; }
is() { [ "$(health)" = "$1" ]; }
streak() { holm inspect -f '{{.State.Health.FailingStreak}}' "$name"; }
probes() { cat "$T/probes" 2> /dev/null | wc -l; }
probed() { [ "$(probes)" -ge "$1" ]; }
restarts() { holm inspect -f '{{.RestartCount}}' "$name"; }
is_over() { [ "$(holm inspect -f '{{.State.Status}}' "$name")" = exited ]; }
restarted() { [ "$(restarts)" -ge "$1" ]; }

@test "starting, healthy, unhealthy and healthy again" {
	start --health-cmd 'test -e /t/good' --health-interval 1s --health-retries 2
	[ "$(health)" = starting ]
	run holm ps --filter "name=$name" --format '{{.Status}}'
	assert_match '\(health: starting\)'
	touch "$T/good"
	eventually is healthy
	[ "$(streak)" -eq 0 ]
	run holm ps --filter "name=$name" --format '{{.Status}}'
	assert_match '\(healthy\)'
	rm "$T/good"
	eventually is unhealthy
	[ "$(streak)" -ge 2 ]
	run holm ps --filter "name=$name" --format '{{.Status}}'
	assert_match '\(unhealthy\)'
	touch "$T/good"
	eventually is healthy
	[ "$(streak)" -eq 0 ]
	run holm inspect -f '{{.State.Running}}' "$name"
	assert_output true
}

@test "retries: only so many failures in a row count" {
	# Every third succeeds: two in a row are too few.
	start --health-cmd 'echo x >> /t/probes; test $(($(wc -l < /t/probes) % 3)) -eq 0' --health-interval 100ms --health-retries 3
	eventually probed 9
	is healthy
	holm rm -f "$name"
	rm "$T/probes"
	start --health-cmd 'echo x >> /t/probes; false' --health-interval 100ms --health-retries 4
	eventually is unhealthy
	# Not one sooner.
	[ "$(probes)" -ge 4 ]
}

@test "start period: failures in it do not count, success in it ends it" {
	start --health-cmd 'echo x >> /t/probes; test -e /t/good' --health-interval 200ms --health-start-interval 100ms \
		--health-start-period 3s --health-retries 1
	eventually probed 5
	is starting
	[ "$(streak)" -eq 0 ]
	eventually is unhealthy
	holm rm -f "$name"
	rm "$T/probes"
	touch "$T/good"
	start --health-cmd 'test -e /t/good' --health-interval 200ms --health-start-interval 100ms \
		--health-start-period 60s --health-retries 1
	eventually is healthy
	rm "$T/good"
	eventually is unhealthy
}

@test "start interval: the first probes come quickly, the rest in their own time" {
	start --health-cmd 'echo x >> /t/probes; test -e /t/good' --health-interval 60s --health-start-interval 100ms \
		--health-start-period 60s
	eventually probed 3
	is starting
	touch "$T/good"
	eventually is healthy
	local n
	n=$(probes)
	sleep 0.7
	[ "$(probes)" -eq "$n" ]
}

@test "timeout: the probe is killed, and all that it started" {
	start --health-cmd 'echo begun; sleep 1234 & sleep 1235' --health-interval 1s --health-timeout 500ms --health-retries 1
	eventually is unhealthy
	run holm inspect -f '{{(index .State.Health.Log 0).ExitCode}} {{(index .State.Health.Log 0).Output}}' "$name"
	assert_match '^-1 .*timeout \(500ms\)'
	# Between two probes there is nothing of them.
	nothing() { ! pgrep -xf 'sleep 123[45]' > /dev/null; }
	eventually nothing
	holm stop -t 0 "$name"
	run pgrep -xf 'sleep 123[45]'
	assert_status 1
}

@test "a probe that ends leaves nothing behind, and does not hang on what it left" {
	start --health-cmd 'echo x >> /t/probes; sleep 1236 & echo started' --health-interval 200ms
	eventually probed 4
	is healthy
	count=$(holm exec "$name" sh -c 'cat /proc/[0-9]*/cmdline | tr "\0" " " | grep -o "sleep 123[6]" | wc -l')
	[ "$count" -le 1 ]
}

@test "what the last five probes said is kept" {
	needs_root "no control group is delegated to the user here"
	start --health-cmd 'echo x >> /t/probes; echo "probe $(wc -l < /t/probes)"; echo problem >&2; exit 7' --health-interval 100ms --health-retries 50
	eventually probed 8
	holm pause "$name"
	run holm inspect -f '{{len .State.Health.Log}}' "$name"
	assert_output 5
	run holm inspect -f '{{range .State.Health.Log}}{{.ExitCode}} {{end}}' "$name"
	assert_output "7 7 7 7 7 "
	run holm inspect -f '{{(index .State.Health.Log 4).Output}}' "$name"
	assert_match '^probe [0-9]+.problem'
	local first last
	first=$(holm inspect -f '{{(index .State.Health.Log 0).Output}}' "$name" | sed -n 's/^probe //p')
	last=$(holm inspect -f '{{(index .State.Health.Log 4).Output}}' "$name" | sed -n 's/^probe //p')
	[ $((last - first)) -eq 4 ]
	run holm inspect -f '{{(index .State.Health.Log 0).Start}} {{(index .State.Health.Log 0).End}}' "$name"
	assert_match '^20[0-9-]+T[0-9:.]+Z 20[0-9-]+T[0-9:.]+Z$'
	holm unpause "$name"
}

@test "output without end is cut, not waited for" {
	start --health-cmd 'head -c 1000000 /dev/zero | tr "\0" x; echo; true' --health-interval 200ms --health-timeout 5s
	eventually is healthy
	run holm inspect -f '{{len (index .State.Health.Log 0).Output}}' "$name"
	assert_output 4096
}

@test "a probe that cannot be run counts as failed and says why" {
	images=$(unique)
	small_image "$images" -c 'HEALTHCHECK --interval=200ms --retries=1 CMD ["/no/such/probe"]'
	holm run -d --network none --name "$name" "$images" sleep 1000
	eventually is unhealthy
	run holm inspect -f '{{(index .State.Health.Log 0).ExitCode}} {{(index .State.Health.Log 0).Output}}' "$name"
	assert_match "no/such/probe"
	run holm inspect -f '{{.State.Running}}' "$name"
	assert_output true
	# The image's times are kept where the options say nothing of them.
	holm rm -f "$name"
	holm run -d --network none --name "$name" --health-cmd true "$images" sleep 1000
	run holm inspect -f '{{.Config.Healthcheck.Interval}} {{.Config.Healthcheck.Retries}} {{json .Config.Healthcheck.Test}}' "$name"
	assert_output '200000000 1 ["CMD-SHELL","true"]'
	eventually is healthy
	# Or only its times are changed.
	holm rm -f "$name"
	holm run -d --network none --name "$name" --health-retries 9 "$images" sleep 1000
	run holm inspect -f '{{.Config.Healthcheck.Retries}} {{json .Config.Healthcheck.Test}}' "$name"
	assert_output '9 ["CMD","/no/such/probe"]'
	holm rm -f "$name"
	holm run -d --network none --name "$name" --no-healthcheck "$images" sleep 1000
	sleep 0.5
	run holm inspect -f '{{json .State.Health}}' "$name"
	assert_output null
	run holm ps --filter "name=$name" --format '{{.Status}}'
	refute_match health
}

@test "probes run as the container's user, in its directory and environment" {
	start -u www-data -w /var/tmp -e COLOUR=red --health-cmd 'echo "$(id -un) $(pwd) $COLOUR $HOME"' --health-interval 100ms
	eventually is healthy
	run holm inspect -f '{{(index .State.Health.Log 0).Output}}' "$name"
	assert_match "^www-data /var/tmp red "
}

@test "ps --filter health" {
	start --health-cmd 'test -e /t/good' --health-interval 200ms --health-retries 1
	only() {
		local health
		for health in starting healthy unhealthy none; do
			run holm ps -q --no-trunc --filter "name=$name" --filter "health=$health"
			if [ $health = "$1" ]; then
				assert_match '^[0-9a-f]{64}$'
			else
				assert_output ""
			fi
		done
	}
	eventually is unhealthy
	only unhealthy
	touch "$T/good"
	eventually is healthy
	only healthy
	holm rm -f "$name"
	start
	only none
	run holm ps --filter health=odd
	assert_status 1
	assert_one_line
}

@test "events tell of each change, once" {
	local since
	since=$(date +%s)
	start --health-cmd 'test -e /t/good' --health-interval 200ms --health-retries 2
	eventually is unhealthy
	touch "$T/good"
	eventually is healthy
	sleep 0.5
	run holm events --since "$since" --until 0s --filter "container=$name" --filter event=health_status --format '{{.Action}}'
	assert_output $'health_status: unhealthy\nhealth_status: healthy'
}

@test "restart on unhealthy: as a policy" {
	start --health-cmd 'echo x >> /t/probes; test ! -e /t/bad' --health-interval 200ms --health-retries 2 --restart on-unhealthy --stop-timeout 1
	eventually is healthy
	[ "$(restarts)" -eq 0 ]
	local pid
	pid=$(holm inspect -f '{{.State.Pid}}' "$name")
	touch "$T/bad"
	eventually restarted 1
	rm "$T/bad"
	eventually is healthy
	[ "$(holm inspect -f '{{.State.Pid}}' "$name")" != "$pid" ]
	run holm inspect -f '{{.State.Status}}' "$name"
	assert_output running
	# The exit of its own is final for this policy.
	holm exec "$name" sh -c 'kill -9 -1; true' || true
	holm stop -t 0 "$name"
	run holm inspect -f '{{.State.Status}}' "$name"
	assert_output exited
}

@test "restart on unhealthy: besides another policy" {
	start --health-cmd 'test ! -e /t/bad' --health-interval 200ms --health-retries 1 --restart unless-stopped --restart-on-unhealthy --stop-timeout 1
	eventually is healthy
	touch "$T/bad"
	eventually restarted 1
	eventually restarted 2
	rm "$T/bad"
	eventually is healthy
	holm stop -t 0 "$name"
	run holm inspect -f '{{.State.Status}}' "$name"
	assert_output exited
	run holm run --restart-on-unhealthy --restart no "$IMAGE" true
	assert_status 125
	run holm run --restart on-unhealthy --no-healthcheck "$IMAGE" true
	assert_status 125
	assert_one_line
}

@test "restart on unhealthy: kill and rm -f have the last word" {
	name=$(unique)
	holm run -d --network none --name "$name" --health-cmd false --health-interval 100ms --health-retries 1 \
		--restart on-unhealthy --stop-timeout 60 "$IMAGE" sh -c 'trap "" TERM; while :; do sleep 0.1; done'
	# It has been told to stop, and does not.
	eventually is unhealthy
	HOLM_TIMEOUT=20 holm kill "$name"
	eventually is_over
	holm start "$name"
	eventually is unhealthy
	HOLM_TIMEOUT=20 holm rm -f "$name"
	run holm inspect "$name"
	assert_status 1
}

@test "without it an unhealthy container is left alone" {
	start --health-cmd false --health-interval 100ms --health-retries 1 --restart always
	eventually is unhealthy
	sleep 0.7
	[ "$(restarts)" -eq 0 ]
	holm restart -t 0 "$name"
	# Its health begins anew.
	run holm inspect -f '{{.State.Running}}' "$name"
	assert_output true
}

@test "stop ends a probe that runs, and the health with it" {
	start --health-cmd 'echo x >> /t/probes; sleep 1237' --health-interval 100ms
	eventually probed 1
	holm stop -t 0 "$name"
	run pgrep -xf 'sleep 1237'
	assert_status 1
	run holm inspect -f '{{.State.Status}}' "$name"
	assert_output exited
	run holm ps -a --filter "name=$name" --format '{{.Status}}'
	refute_match health
	# What the last probes said is still to be seen.
	holm start "$name"
	[ "$(health)" = starting ]
}

@test "a paused container is not probed" {
	needs_root "no control group is delegated to the user here"
	start --health-cmd 'echo x >> /t/probes' --health-interval 100ms --health-timeout 300ms --health-retries 1
	eventually is healthy
	holm pause "$name"
	local n
	n=$(probes)
	sleep 1
	[ "$(probes)" -le $((n + 1)) ]
	is healthy
	holm unpause "$name"
	eventually probed $((n + 3))
	is healthy
}
