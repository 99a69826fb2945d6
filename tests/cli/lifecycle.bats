# create, start, stop, kill, restart, pause, rm, ps, inspect, top, stats, wait, port, rename, update.
load helper

setup_file() { suite_setup; }
teardown_file() { suite_teardown; }

sleeper() {
	NAME=$(unique)
	holm run -d --name "$NAME" "$@" "$IMAGE" sleep 1000
}

status_of() { holm inspect -f '{{.State.Status}}' "$1"; }

@test "created, started, stopped, started again, removed" {
	local name
	name=$(unique)
	holm create --name "$name" "$IMAGE" sleep 1000
	run status_of "$name"
	assert_output created
	run holm start "$name"
	assert_output "$name"
	run status_of "$name"
	assert_output running
	run holm stop -t 1 "$name"
	assert_output "$name"
	run holm inspect -f '{{.State.Status}} {{.State.ExitCode}} {{.State.Running}}' "$name"
	assert_output "exited 137 false"
	holm start "$name"
	run holm rm "$name"
	assert_status 1
	assert_one_line
	assert_match "stop it first|holm rm -f"
	holm rm -f "$name"
	run holm inspect "$name"
	assert_status 1
}

@test "start -a follows and tells the status; -i gives input" {
	local name
	name=$(unique)
	holm create -i --name "$name" "$IMAGE" sh -c 'cat; exit 4'
	run bash -c "echo hello | '$HOLM' start -ai $name"
	assert_status 4
	assert_output hello
	run holm start -a "$name" x
	assert_status 1
	assert_match "at a time"
	holm rm -f "$name"
}

@test "stop sends the stop signal, kill any" {
	local name
	name=$(unique)
	holm run -d --name "$name" --stop-signal USR1 "$IMAGE" \
		sh -c 'trap "exit 21" USR1; trap "exit 22" TERM; trap "exit 23" HUP; while :; do sleep 0.05; done'
	holm stop "$name"
	run holm wait "$name"
	assert_output 21
	holm start "$name"
	holm stop -s TERM "$name"
	run holm wait "$name"
	assert_output 22
	holm start "$name"
	holm kill -s HUP "$name"
	run holm wait "$name"
	assert_output 23
	run holm kill "$name"
	assert_status 1
	assert_match "not running"
	holm rm "$name"
}

@test "stop waits as long as it was told to" {
	local name
	name=$(unique)
	holm run -d --name "$name" --stop-timeout 0 "$IMAGE" sleep 1000
	SECONDS=0
	holm stop "$name"
	[ $SECONDS -lt 5 ]
	holm rm "$name"
	holm run -d --name "$name" --stop-timeout -1 "$IMAGE" \
		sh -c 'trap "sleep 0.5; exit 9" TERM; while :; do sleep 0.05; done'
	holm stop "$name"
	run holm wait "$name"
	assert_output 9
	holm rm "$name"
}

@test "wait: for the end, and for those that have ended" {
	local name
	name=$(unique)
	holm run -d --name "$name" "$IMAGE" sh -c 'sleep 0.3; exit 5'
	run holm wait "$name"
	assert_output 5
	run holm wait "$name"
	assert_output 5
	holm rm "$name"
}

@test "wait and stop: when the supervisor is just finishing" {
	local name holder
	name=$(unique)
	holm run -d --name "$name" "$IMAGE" sh -c 'until [ -e /go ]; do sleep 0.05; done; exit 5'
	# It cannot give its address back, which it does when it takes no requests any more.
	python3 -c 'import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(2)' "$(echo "$HOLM_ROOT"/*.db)" > "$BATS_TEST_TMPDIR/held" 3>&- &
	holder=$!
	eventually grep -q held "$BATS_TEST_TMPDIR/held"
	holm exec "$name" touch /go
	sleep 0.5
	run holm wait "$name"
	assert_output 5
	wait "$holder"
	holm rm "$name"
}

@test "restart: another process, the same container" {
	local before
	sleeper
	before=$(holm inspect -f '{{.State.Pid}}' "$NAME")
	holm exec "$NAME" touch /kept
	holm restart -t 0 "$NAME"
	[ "$before" != "$(holm inspect -f '{{.State.Pid}}' "$NAME")" ]
	holm exec "$NAME" test -e /kept
	holm stop -t 0 "$NAME"
	holm restart "$NAME"
	run status_of "$NAME"
	assert_output running
	holm rm -f "$NAME"
}

@test "pause stops time inside, unpause lets it go on" {
	needs_root "no control group is delegated to the user here"
	local before
	NAME=$(unique)
	holm run -d --name "$NAME" "$IMAGE" sh -c 'while :; do echo x >> /count; sleep 0.02; done'
	holm pause "$NAME"
	run holm ps --filter name="$NAME" --format '{{.Status}}'
	assert_match 'Paused'
	run holm exec "$NAME" true
	assert_status 1
	assert_match "unpause"
	run holm pause "$NAME"
	assert_status 1
	holm unpause "$NAME"
	before=$(holm exec "$NAME" sh -c 'wc -l < /count')
	sleep 0.3
	[ "$(holm exec "$NAME" sh -c 'wc -l < /count')" -gt "$before" ]
	holm rm -f "$NAME"
}

@test "rm: several, anonymous volumes with -v, missing ones with -f" {
	local a b volumes
	a=$(unique a)
	b=$(unique b)
	holm create --name "$a" -v /data "$IMAGE" true
	holm create --name "$b" "$IMAGE" true
	volumes=$(holm inspect -f '{{range .Mounts}}{{.Name}}{{end}}' "$a")
	run holm rm -v "$a" "$b"
	assert_output "$a"$'\n'"$b"
	[ ! -e "$HOLM_ROOT/volumes/$volumes" ]
	run holm rm -f nobody-at-all
	assert_status 0
}

@test "ids: whole, short, ambiguous" {
	local id
	id=$(holm create "$IMAGE" true)
	run holm inspect -f '{{.Id}}' "${id:0:12}"
	assert_output "$id"
	holm rm "${id:0:9}"
}

@test "rename" {
	local other
	sleeper
	other=$(unique other)
	holm rename "$NAME" "$other"
	run status_of "$other"
	assert_output running
	run holm inspect "$NAME"
	assert_status 1
	run holm rename "$other" "a b"
	assert_status 1
	assert_one_line
	holm rm -f "$other"
}

@test "ps: columns, -a, -q, -l, -n, -s, --no-trunc" {
	local id
	NAME=$(unique)
	id=$(holm run -d --name "$NAME" "$IMAGE" sh -c 'sleep 1000; echo a rather long command')
	run holm ps
	assert_match 'CONTAINER ID +IMAGE +COMMAND +CREATED +STATUS +PORTS +NAMES'
	run holm ps --filter name="^$NAME\$"
	assert_match "${id:0:12} +$IMAGE +\"sh -c 'sleep 1000; |${id:0:12} +$IMAGE +\"sh -c sleep 1000; e…\" +.* ago +Up .* +$NAME"
	run holm ps -q --no-trunc --filter name="^$NAME\$"
	assert_output "$id"
	run holm ps -s --filter name="^$NAME\$" --format '{{.Size}}'
	assert_match 'B \(virtual .*[MG]i?B\)'
	holm stop -t 0 "$NAME"
	run holm ps -q --filter name="^$NAME\$"
	assert_output ""
	run holm ps -aq --filter name="^$NAME\$"
	assert_output "${id:0:12}"
	run holm ps -a --filter name="^$NAME\$" --format '{{.Status}}'
	assert_match '^Exited \(137\) .* ago$'
	run holm ps -lq
	assert_output "${id:0:12}"
	run holm ps -n 1 --format '{{.Names}}'
	assert_output "$NAME"
	run holm ps -a --format json --filter name="^$NAME\$"
	[ "$(echo "$output" | jq -r .State)" = exited ]
	holm rm "$NAME"
}

@test "ps: filters" {
	local a b
	a=$(unique a)
	b=$(unique b)
	holm create --name "$a" -l tier=front --expose 8080 -v "vol-$a:/data" "$IMAGE" true
	holm run --name "$b" -l tier=back "$IMAGE" sh -c 'exit 3' || true
	names() { holm ps -a --format '{{.Names}}' "$@" | grep -E "^($a|$b)\$" | sort | tr '\n' ' '; }
	both="$(printf '%s\n' "$a" "$b" | sort | tr '\n' ' ')"
	[ "$(names)" = "$both" ]
	[ "$(names --filter label=tier=front)" = "$a " ]
	[ "$(names --filter label=tier)" = "$both" ]
	[ "$(names --filter status=created)" = "$a " ]
	[ "$(names --filter exited=3)" = "$b " ]
	[ "$(names --filter before="$b")" = "$a " ]
	[ "$(names --filter since="$a")" = "$b " ]
	[ "$(names --filter ancestor="$IMAGE")" = "$both" ]
	[ "$(names --filter ancestor=nosuch)" = "" ]
	[ "$(names --filter volume="vol-$a")" = "$a " ]
	[ "$(names --filter volume=/data)" = "$a " ]
	[ "$(names --filter expose=8080)" = "$a " ]
	[ "$(names --filter network=bridge)" = "$both" ]
	[ "$(names --filter health=none)" = "$both" ]
	[ "$(names --filter name="$a" --filter name="$b")" = "$both" ]
	holm rm "$a" "$b"
}

@test "inspect: JSON, templates, sizes, what is known despite what is not" {
	NAME=$(unique)
	holm create --name "$NAME" "$IMAGE" echo hi
	run holm inspect "$NAME"
	[ "$(echo "$output" | jq -r '.[0].Name')" = "/$NAME" ]
	[ "$(echo "$output" | jq -r '.[0].Path + " " + .[0].Args[0]')" = "echo hi" ]
	run holm inspect -s -f '{{.SizeRootFs}}' "$NAME"
	assert_match '^[0-9]{8,}$'
	run --separate-stderr holm inspect -f '{{.Name}}' "$NAME" nobody
	assert_status 1
	assert_output "/$NAME"
	run holm inspect --type image -f '{{.Id}}' "$NAME"
	assert_status 1
	run holm inspect -f '{{.Id}}' "$IMAGE"
	assert_match '^sha256:'
	run holm inspect -f '{{.Name}}' bridge
	assert_output bridge
	run holm inspect --type network -f '{{.Name}}' "$NAME"
	assert_status 1
	assert_one_line
	holm rm "$NAME"
}

@test "top and stats" {
	needs_root "no control group is delegated to the user here"
	sleeper
	run holm top "$NAME"
	assert_match 'UID +PID +PPID +C +STIME +TTY +TIME +CMD'
	assert_match 'root .* sleep 1000'
	run holm top "$NAME" -o pid,args
	assert_match 'PID +COMMAND'
	run holm top "$NAME" aux
	assert_match 'USER +PID +%CPU'
	run holm stats --no-stream "$NAME"
	assert_match 'CONTAINER ID +NAME +CPU % +MEM USAGE / LIMIT +MEM % +NET I/O +BLOCK I/O +PIDS'
	run holm stats --no-stream --format '{{.Name}} {{.PIDs}}' "$NAME"
	assert_output "$NAME 1"
	holm rm -f "$NAME"
}

@test "stats: work is seen" {
	needs_root "no control group is delegated to the user here"
	NAME=$(unique)
	holm run -d --name "$NAME" "$IMAGE" sh -c 'while :; do :; done'
	run holm stats --no-stream --format '{{.CPUPerc}}' "$NAME"
	assert_match '^[1-9][0-9]*\.'
	holm rm -f "$NAME"
}

@test "port" {
	sleeper -p 127.0.0.1::80 -p 127.0.0.1::53/udp
	run holm port "$NAME" 80
	assert_match '^127\.0\.0\.1:[0-9]+$'
	run holm port "$NAME"
	assert_match '80/tcp -> 127\.0\.0\.1:[0-9]+'
	assert_match '53/udp -> 127\.0\.0\.1:[0-9]+'
	run holm port "$NAME" 81
	assert_status 1
	run holm ps --filter name="^$NAME\$" --format '{{.Ports}}'
	assert_match '127\.0\.0\.1:[0-9]+->80/tcp'
	holm rm -f "$NAME"
}

@test "container prune removes what is stopped and no more" {
	local stopped
	sleeper -l "suite=prune-$BATS_SUITE_TEST_NUMBER"
	stopped=$(holm create -l "suite=prune-$BATS_SUITE_TEST_NUMBER" "$IMAGE" true)
	run holm container prune --filter "label=suite=prune-$BATS_SUITE_TEST_NUMBER" < /dev/null
	assert_status 1
	run holm container prune -f --filter "label=suite=prune-$BATS_SUITE_TEST_NUMBER"
	assert_match "Deleted Containers:"
	assert_match "$stopped"
	assert_match "Total reclaimed space: "
	run status_of "$NAME"
	assert_output running
	holm rm -f "$NAME"
}

@test "many at once" {
	local names=() n i
	n=8
	for ((i = 0; i < n; i++)); do
		names+=("$(unique "$i")")
		holm run -d --name "${names[$i]}" "$IMAGE" sleep 1000 3>&- &
	done
	wait
	run bash -c "'$HOLM' ps -q --filter name=^t-[0-7]-$BATS_SUITE_TEST_NUMBER- | wc -l"
	assert_output "$n"
	run holm rm -f "${names[@]}"
	assert_status 0
}

@test "inspect has what scripts ask for, of containers and images that lack it" {
	local name
	name=$(unique)
	holm run -d --name "$name" --network none -v /data -v "$BATS_TEST_TMPDIR:/host:ro" --tmpfs /t:size=1m --expose 99 "$IMAGE" sleep 100
	run holm inspect -f '{{range .Mounts}}{{.Type}}:{{.Mode}}:{{len .Name}} {{end}}{{.Config.ExposedPorts}} {{.Config.Volumes}} {{.HostConfig.Tmpfs}} {{.HostConfig.CapAdd}} {{.HostConfig.Devices}}' "$name"
	assert_output 'volume::64 bind:ro:0 tmpfs::0 map[99/tcp:map[]] map[/data:map[]] map[/t:size=1048576] [] []'
	run holm inspect -f '{{json (index .NetworkSettings.Ports "99/tcp")}} {{.NetworkSettings.SandboxKey}} {{slice .Id 0 12}}' "$name"
	assert_output "null /proc/$(holm inspect -f '{{.State.Pid}}' "$name")/ns/net $(holm ps -q --filter "name=$name")"
	[ -d "$(holm inspect -f '{{.GraphDriver.Data.UpperDir}}' "$name")" ]
	run holm image inspect -f '{{.Config.Labels}} {{.Config.User}} {{.Config.Entrypoint}} {{.Config.Volumes}} {{.Config.WorkingDir}}{{index .Config.Labels "x"}}' "$IMAGE"
	assert_output 'map[]  [] map[] '
	run holm container inspect "$IMAGE"
	assert_status 1
	assert_match 'no such container'
	holm rm -f -v "$name"
}

# waits_for DIRECTORY: somebody waits for the lock of it.
waits_for() { grep -q -- "-> FLOCK .*:$(stat -c %i "$1") " /proc/locks; }

@test "who removes or starts a container waits for who changes its configuration, and heeds it" {
	local name id dir
	name=$(unique)
	id=$(holm create --name "$name" -e "WORD=before" "$IMAGE" sh -c 'echo $WORD')
	dir=$HOLM_ROOT/instances/$id
	exec 9< "$dir"
	flock 9
	holm start -a "$name" > "$BATS_TEST_TMPDIR/out" 9<&- 3>&- &
	eventually waits_for "$dir"
	sed -i.old s/WORD=before/WORD=after/ "$dir/config.json"
	flock -u 9
	wait $!
	[ "$(cat "$BATS_TEST_TMPDIR/out")" = after ]
	flock 9
	holm rm "$name" 9<&- 3>&- &
	eventually waits_for "$dir"
	[ -e "$dir/config.json" ]
	run holm inspect -f '{{.Name}}' "$name"
	assert_output "/$name"
	# Who waits behind it is told that there is nothing left to change.
	holm update --restart no "$name" 9<&- 3>&- 2> "$BATS_TEST_TMPDIR/update" &
	flock -u 9
	exec 9<&-
	wait $! || true
	[ ! -s "$BATS_TEST_TMPDIR/update" ] || grep -q "no such container" "$BATS_TEST_TMPDIR/update"
	eventually eval "[ ! -e $dir ]"
}

@test "a request that comes just after the end is not answered by what is no more" {
	local name id option
	for option in "" --rm; do
		name=$(unique)
		# shellcheck disable=SC2086
		id=$(holm run -d $option --memory 64m --name "$name" "$IMAGE" sleep 1000)
		run python3 "$PROJECT/tests/cli/late.py" "$HOLM_ROOT/instances/$id" "${HOLM_RUN:-$HOLM_ROOT/run}/instances/$id"
		assert_status 0
		assert_output ""
		run holm wait "$name"
		[ -z "$option" ] || eventually eval "[ ! -e $HOLM_ROOT/instances/$id ]"
	done
	holm rm "$(holm ps -lq)"
}

# The file was made, and what was to be in it not yet written out.
@test "what the host's own end has left empty is a container that has ended" {
	local id
	NAME=$(unique)
	id=$(holm create --name "$NAME" "$IMAGE" true)
	: > "$HOLM_ROOT/instances/$id/state.json"
	run holm ps -a --filter name="^$NAME\$" --format '{{.Status}}'
	assert_match '^Exited \(137\)'
	run holm start -a "$NAME"
	assert_status 0
	run holm inspect --format '{{.State.Status}} {{.State.ExitCode}}' "$NAME"
	assert_output "exited 0"
	holm rm "$NAME"
}

# Its supervisor is there already when the bundle cannot be made.
@test "a start that fails early leaves no supervisor" {
	local id dir
	NAME=$(unique)
	dir=$(mktemp -d "$BATS_TEST_TMPDIR/gone.XXXXXX")
	id=$(holm create --name "$NAME" --mount "type=bind,src=$dir,dst=/data" "$IMAGE" true)
	rmdir "$dir"
	run holm start "$NAME"
	assert_status 1
	nobody_supervises() { ! pgrep -f "supervise $1" > /dev/null; }
	eventually nobody_supervises "$id"
	mkdir "$dir"
	holm start -a "$NAME"
	holm rm "$NAME"
}
