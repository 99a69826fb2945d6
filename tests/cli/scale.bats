#!/usr/bin/env bats
# Many containers: what a supervisor costs, several at a time, and where the host's bounds are.
load helper

setup_file() { suite_setup; }
teardown_file() { suite_teardown; }

setup() { name=$(unique scale); }
teardown() {
	# shellcheck disable=SC2046
	holm rm -f $(holm ps -aq --filter "name=$name") > /dev/null 2>&1 || true
	holm network rm "$name" > /dev/null 2>&1 || true
}

# The supervisor's process id.
supervisor_of() {
	pgrep -f -- "supervise $(holm inspect -f '{{.Id}}' "$1") "
}

# Its memory that is nobody else's, in KiB.
private_of() {
	awk '/^Private_(Clean|Dirty):/ { sum += $2 } END { print sum }' "/proc/$(supervisor_of "$1")/smaps_rollup"
}
is_slim() {
	[ "$(private_of "$1")" -le 340 ] # 300, and some slack for other machines
}

@test "a waiting supervisor keeps some 300 KiB to itself" {
	if nm -D "$HOLM" | grep -q __asan_init || nm "$HOLM" 2> /dev/null | grep -q __asan_init; then
		skip "AddressSanitizer needs memory of its own"
	fi
	holm network create "$name" > /dev/null
	# Two of each: what both have executed is the page cache's and nobody's own.
	for i in 1 2; do
		holm run -d --name "$name-b$i" "$IMAGE" sleep 100 > /dev/null
		holm run -d --name "$name-n$i" --network "$name" "$IMAGE" sleep 100 > /dev/null
	done
	# One that has written a lot meanwhile is as small again.
	holm run -d --name "$name-log" "$IMAGE" sh -c 'seq 200000; sleep 100' > /dev/null
	for i in b1 b2 n1 n2 log; do
		EVENTUALLY=20 eventually is_slim "$name-$i" || {
			echo "$i: $(private_of "$name-$i") KiB"
			return 1
		}
	done
	[ "$(holm logs "$name-log" | tail -1)" = 200000 ]
}

@test "after its rest a supervisor does all it did before" {
	holm network create "$name" > /dev/null
	holm run -d --name "$name-a" --network "$name" -i "$IMAGE" sh -c 'read x; echo "got $x"; sleep 100' > /dev/null
	sleep 1.5
	echo hello | timeout 5 "$HOLM" attach --sig-proxy=false "$name-a" > /dev/null 2>&1 || true
	eventually eval '[ "$(holm logs '"$name-a"')" = "got hello" ]'
	holm run --rm --network "$name" "$IMAGE" getent hosts "$name-a"
	sleep 1.5
	holm restart -t 0 "$name-a"
	[ "$(holm inspect -f '{{.State.Status}}' "$name-a")" = running ]
}

@test "stop: several at a time, told in the arguments' order" {
	local names=() begin
	for i in 1 2 3 4 5 6; do
		names+=("$name-$i")
		holm run -d --name "$name-$i" "$IMAGE" sh -c 'trap "" TERM; while :; do sleep 1; done' > /dev/null
	done
	begin=$SECONDS
	# The first takes longest, the missing one no time at all.
	run holm stop -t 2 "${names[@]:0:3}" "$name-missing" "${names[@]:3}"
	[ $((SECONDS - begin)) -lt 8 ] # 12 one after the other
	assert_status 1
	[ "$(grep -v '^holm' <<< "$output")" = "$(printf '%s\n' "${names[@]}")" ]
	assert_match "no such container: $name-missing"
	for i in "${names[@]}"; do
		[ "$(holm inspect -f '{{.State.Status}} {{.State.ExitCode}}' "$i")" = "exited 137" ]
	done
}

@test "rm -f and kill: several at a time, told in the arguments' order" {
	local names=()
	for i in 1 2 3 4 5 6 7 8; do
		names+=("$name-$i")
		holm run -d --name "$name-$i" "$IMAGE" sleep 100 > /dev/null
	done
	run holm kill "${names[@]:0:4}"
	assert_status 0
	assert_output "$(printf '%s\n' "${names[@]:0:4}")"
	run holm rm "${names[@]}"
	assert_status 1 # four still run
	[ "$(grep -c '^holm: ' <<< "$output")" -eq 4 ]
	[ "$(grep -v '^holm: ' <<< "$output")" = "$(printf '%s\n' "${names[@]:0:4}")" ]
	run holm rm -f "${names[@]}"
	assert_status 0
	[ "$(grep -c '^holm: no such container' <<< "$output")" -eq 4 ]
	[ "$(grep -v '^holm: ' <<< "$output")" = "$(printf '%s\n' "${names[@]:4}")" ]
	[ -z "$(holm ps -aq --filter "name=$name")" ]
}

@test "links without IPv6 stay silent about it" {
	# Else each start sends packets to all others on the bridge.
	holm run -d --name "$name" "$IMAGE" sleep 100 > /dev/null
	sleep 0.3
	run holm exec "$name" cat /proc/net/if_inet6
	refute_match eth0
	run holm exec "$name" cat /sys/class/net/eth0/statistics/tx_packets
	assert_output 0
	holm network create --ipv6 "$name" > /dev/null
	run holm run --rm --network "$name" "$IMAGE" cat /proc/net/if_inet6
	assert_match 'fe80[0-9a-f]* [^l]* eth0'
}

@test "a full bridge is said to be full, and the rest goes on" {
	local bridge ports room
	holm network create --subnet 10.247.0.0/20 "$name" > /dev/null
	holm run -d --name "$name-first" --network "$name" "$IMAGE" sleep 100 > /dev/null
	bridge=$(ip -o link show type bridge | grep -F ":$(holm network inspect -f '{{.Id}}' "$name")" | sed 's/^[0-9]*: \([^:]*\):.*/\1/')
	[ -n "$bridge" ]
	room=$name-room
	ip netns add "$room"
	# A bridge takes 1023 links, whoever made them.
	for ((i = 0; i < 1022; i++)); do
		echo "link add hs$i master $bridge type veth peer name p$i netns $room"
	done | ip -batch -
	run holm run --rm --network "$name" "$IMAGE" true
	ports=$status:$output
	run holm run --rm "$IMAGE" echo elsewhere
	ip netns delete "$room"
	assert_output elsewhere
	status=${ports%%:*} output=${ports#*:}
	assert_status 125
	assert_one_line
	assert_match "bridge '$bridge' is full.*another network"
	[ "$(holm ps -q --filter "name=$name" | wc -l)" -eq 1 ]
	gone() { ! ip link show hs0 > /dev/null 2>&1 && ! ip link show hs1021 > /dev/null 2>&1; }
	EVENTUALLY=60 eventually gone
	run holm run --rm --network "$name" "$IMAGE" echo room
	assert_output room
}

@test "a container without a name gets one that is free" {
	local i
	fresh_root
	base_image
	holm ps > /dev/null
	# Every other name that could be made is taken.
	python3 - "$PROJECT/src/base/ident.c" "$HOLM_ROOT/holm.db" <<- 'EOF'
		import re, sqlite3, sys
		source = open(sys.argv[1]).read()
		first, second = (re.findall(r'"(\w+)"', re.search(r"\b" + which + r"\[\] = \{(.*?)\}", source, re.S)[1])
		                 for which in ("first", "second"))
		db = sqlite3.connect(sys.argv[2])
		db.executemany("INSERT INTO instance (id, name, created) VALUES (?, ?, 0)",
		               ((f"{a}{b}{n}", f"{a}_{b}{n}") for a in first for b in second for n in range(0, 1000, 2)))
		db.commit()
	EOF
	for ((i = 0; i < 16; i++)); do
		holm create "$IMAGE" true > /dev/null
	done
	python3 -c 'import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute("DELETE FROM instance WHERE created = 0"); db.commit()' "$HOLM_ROOT/holm.db"
	[ "$(holm ps -aq | wc -l)" -eq 16 ]
	drop_root
}

@test "rm: what is copied into a container meanwhile goes as well" {
	local dir
	for i in 1 2 3 4 5; do
		holm create --name "$name" "$IMAGE" true > /dev/null
		dir=$HOLM_ROOT/instances/$(holm inspect -f '{{.Id}}' "$name")
		(for ((n = 0; n < 3000; n++)); do mkdir "$dir/upper/$n" || break; done) 2> /dev/null &
		sleep 0.02
		run holm rm "$name"
		assert_status 0
		wait
		[ ! -e "$dir" ]
	done
}

@test "pause between two runs: it is not running" {
	local id
	holm run -d --name "$name" --restart always "$IMAGE" false > /dev/null
	id=$(holm inspect -f '{{.Id}}' "$name")
	waits() { [ "$(holm inspect -f '{{.State.Status}} {{.RestartCount}}' "$name")" = "restarting 3" ]; }
	eventually waits
	# As one does who saw it run just before.
	cd "${HOLM_RUN:-$HOLM_ROOT/run}/instances/$id" # a socket's address is short
	run socat -t 5 - UNIX-CONNECT:./ctl <<< '{"do":"pause"}'
	assert_match '"it is not running"'
}

@test "no more processes: one line says so, and what runs goes on" {
	local group=/sys/fs/cgroup/pids/$name
	[ -d /sys/fs/cgroup/pids ] || skip "needs the pids controller of cgroup v1"
	holm run -d --name "$name" "$IMAGE" sleep 100 > /dev/null
	mkdir "$group"
	echo 4 > "$group/pids.max"
	# The shell, the timeout, holm, and none for a supervisor's child.
	run bash -c "echo \$\$ > $group/cgroup.procs; for i in 1 2 3 4; do $HOLM run -d --name $name-\$i $IMAGE sleep 100 || exit; done"
	assert_status 125
	assert_match 'holm: .*the host allows no more .*: stop some'
	[ "$(grep -c '^holm' <<< "$output")" -eq 1 ]
	run holm exec "$name" echo usable
	assert_output usable
	# shellcheck disable=SC2046
	holm rm -f $(holm ps -aq --filter "name=$name") > /dev/null
	gone() { rmdir "$group"; }
	eventually gone
}

@test "rm -f does not wait for what somebody else starts meanwhile" {
	for i in 1 2 3 4 5; do
		holm run -d --name "$name" "$IMAGE" sleep 100 > /dev/null
		(for n in 1 2 3 4 5 6; do "$HOLM" start "$name"; done) > /dev/null 2>&1 &
		HOLM_TIMEOUT=20 holm rm -f "$name"
		wait
		! holm inspect "$name" > /dev/null 2>&1
	done
}

@test "networks joined at the same time get links of their own" {
	holm network create "$name" > /dev/null
	holm network create "$name-2" > /dev/null
	for i in 1 2 3 4; do
		holm run -d --name "$name" --network none "$IMAGE" sleep 100 > /dev/null
		holm network connect "$name" "$name" &
		holm network connect "$name-2" "$name" &
		wait
		run holm exec "$name" ls /sys/class/net
		assert_match eth0
		assert_match eth1
		# Both are remembered.
		holm restart -t 0 "$name"
		run holm exec "$name" ls /sys/class/net
		assert_match eth1
		holm rm -f "$name" > /dev/null
	done
	holm network rm "$name-2" > /dev/null
}

@test "names are there for who joins while a network is swept" {
	holm network create "$name" > /dev/null
	for i in 1 2 3 4 5 6; do
		# Each end of the first looks for what nobody uses any more.
		holm run --rm --network "$name" --name "$name-a$i" "$IMAGE" true &
		run holm run --rm --network "$name" --name "$name-b$i" "$IMAGE" getent hosts "$name-b$i"
		assert_status 0
		assert_match "$name-b$i"
		wait
	done
}

# many_rows CREATED COUNT: a created container, named first, COUNT - 1 copies of it, and what crashes leave.
many_rows() {
	python3 - "$HOLM_ROOT" "${HOLM_RUN:-$HOLM_ROOT/run}" "$1" "$2" <<- 'EOF'
		import os, sqlite3, sys
		root, run, first, count = *sys.argv[1:4], int(sys.argv[4])
		db = sqlite3.connect(root + "/holm.db")
		created, = db.execute("SELECT created FROM instance WHERE id = ?", (first,)).fetchone()
		files = {}
		for name in ("config.json", "state.json"):
		    with open(f"{root}/instances/{first}/{name}") as f:
		        files[name] = f.read()
		def copy(n, name, state=files["state.json"], row=True):
		    new = f"{n:064x}"
		    to = f"{root}/instances/{new}/"
		    os.mkdir(to)
		    with open(to + "config.json", "w") as f:
		        f.write(files["config.json"].replace(first, new).replace('"name":"first"', f'"name":"{name}"'))
		    with open(to + "state.json", "w") as f:
		        f.write(state)
		    if row:
		        db.execute("INSERT INTO instance (id, name, created) VALUES (?, ?, ?)", (new, name, created - n))
		for n in range(1, count):
		    copy(n, f"copy{n}")
		copy(1000, "damaged", "{")
		copy(1001, "rebooted", '{"status":"running"}')
		copy(1002, "orphan", row=False)
		copy(1003, "unborn", row=False)
		os.makedirs(f"{run}/instances/{1003:064x}")
		os.makedirs(f"{run}/instances/{1004:064x}")
		db.commit()
	EOF
}

@test "a hundred are listed in order, and what the dead left is set right" {
	local first runs killed held run_dir
	fresh_root
	small_image small
	first=$(holm create --name first small sleep 100)
	many_rows "$first" 130
	runs=$(holm run -d --name runs small sleep 100)
	killed=$(holm run -d --name killed small sleep 100)
	name=killed
	kill -9 "$(supervisor_of "$name")"
	run_dir=${HOLM_RUN:-$HOLM_ROOT/run}/instances
	held=$(printf %064x 1003) # somebody makes it just now
	exec 9> "$run_dir/$held/lock"
	flock 9
	run --separate-stderr holm ps -a --no-trunc --format '{{.ID}} {{.Names}} {{.State}}'
	assert_status 0
	# shellcheck disable=SC2154 # of run
	[ "$(grep -c . <<< "$stderr")" -eq 1 ]
	[[ $stderr == *damaged* ]]
	diff <(
		echo "$killed killed exited"
		echo "$runs runs running"
		echo "$first first created"
		for ((i = 1; i < 130; i++)); do printf '%064x copy%d created\n' "$i" "$i"; done
		printf '%064x rebooted exited\n' 1001
	) <(echo "$output")
	[ "$(holm ps --format '{{.Names}}')" = runs ]
	[ ! -e "$HOLM_ROOT/instances/$(printf %064x 1002)" ]
	[ ! -e "$run_dir/$(printf %064x 1004)" ]
	[ -e "$HOLM_ROOT/instances/$held/config.json" ]
	[ "$(find "$run_dir" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort)" = "$(printf '%s\n' "$held" "$runs" | sort)" ]
	# Who made it died.
	exec 9>&-
	holm ps > /dev/null 2>&1
	[ ! -e "$HOLM_ROOT/instances/$held" ]
	[ "$(ls "$run_dir")" = "$runs" ]
	drop_root
}
