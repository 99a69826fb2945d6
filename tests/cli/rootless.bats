#!/usr/bin/env bats
# What is special to ordinary users: their ids, their networks, the process that keeps their namespaces.
# That all the rest works for them is what the other suites say, which tools/check runs as a user too.
load helper

# Two users of this file's own: what is left of their processes can be counted.
ALICE=65532 BOB=65531

setup_file() {
	needs_root "to become two users"
	fresh_user_root $ALICE
	export ALICE_ROOT=$HOLM_ROOT
	HOST_STATE=$(host_state)
	export HOST_STATE
}

teardown_file() {
	[ "$(id -u)" -eq 0 ] || return 0
	eventually nothing_of $ALICE
	eventually nothing_of $BOB
	no_leaks
	# shellcheck disable=SC2086
	rm -rf --one-file-system $FRESH_ROOTS /tmp/holm-user-$ALICE /tmp/holm-user-$BOB
}

# What a test that failed has left would fail the others.
teardown() {
	local ids
	[ "$(id -u)" -eq 0 ] && ! nothing_of $ALICE || return 0
	ids=$(alice ps -aq)
	# shellcheck disable=SC2086
	[ -z "$ids" ] || alice rm -f $ids > /dev/null
}

# alice [OPTION OF as-user...] VERB...
alice() {
	local options=()
	while [[ $1 = --no-* ]]; do
		options+=("$1")
		shift
	done
	as_user --uid $ALICE "${options[@]}" env -u HOLM_RUN HOLM_ROOT="${ROOT:-$ALICE_ROOT}" \
		timeout --foreground -k 5 "${HOLM_TIMEOUT:-60}" "$HOLM" "$@"
}

# Processes of a user, but for those that have ended and wait for PID 1 to notice.
processes_of() {
	ps -o pid=,stat=,args= -u "$1" | awk '$2 !~ /^Z/'
}
nothing_of() {
	[ -z "$(processes_of "$1")" ]
}
holder_of() {
	processes_of "$1" | awk '{ print $1 }' | while read -r pid; do
		[ "$(cat "/proc/$pid/comm" 2> /dev/null)" != holm-space ] || echo "$pid"
	done
}
pasta_of() {
	processes_of "$1" | awk '$3 ~ /pasta/ { print $1 }'
}

# shellcheck disable=SC2016 # of perl and of the inner shell
SERVER='use IO::Socket::INET; $s = IO::Socket::INET->new(Listen => 5, LocalPort => 80, ReuseAddr => 1);
	while ($c = $s->accept) { print $c "$ARGV[0]\n"; close $c }'
serve() {
	local name=$1
	shift
	alice run -d --rm --name "$name" "$@" "$IMAGE" perl -e "$SERVER" "$name" > /dev/null
}
ask() {
	timeout 3 bash -c 'exec 3<> /dev/tcp/$0/$1 && head -1 <&3' "$@"
}

# says TEXT ADDRESS PORT: before the server listens, its supervisor's connection ends with nothing.
says() {
	[ "$(ask "$2" "$3" 2> /dev/null)" = "$1" ]
}

in_another_network() {
	[ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]
}

free_port() {
	local port
	while :; do
		port=$((20000 + RANDOM % 10000))
		ss -Htuln "sport = :$port" | grep -q . || break
	done
	echo $port
}

@test "what a build fetches comes by the host's network, also from its loopback" {
	local dir=$BATS_FILE_TMPDIR/fetched server port
	mkdir -p "$dir/files"
	echo one > "$dir/files/a"
	echo two > "$dir/files/b"
	python3 -u -m http.server 0 --bind 127.0.0.1 --directory "$dir/files" > "$dir/server" 2> /dev/null 3>&- &
	server=$!
	eventually grep -q ' port ' "$dir/server"
	port=$(sed 's/.* port \([0-9]*\).*/\1/' "$dir/server")
	# Two at the same time: each gets its own socket.
	run alice build -q -o - - <<- END
		FROM scratch AS a
		ADD http://127.0.0.1:$port/a /
		FROM scratch
		ADD http://127.0.0.1:$port/b /
		COPY --from=a /a /
	END
	kill $server
	assert_status 0
	assert_match "one"
	assert_match "two"
}

@test "all ids: files keep their owners, and any user of the image can be" {
	run alice run --rm "$IMAGE" stat -c %U /var/cache/apt/archives/partial
	assert_status 0
	assert_output _apt
	run alice run --rm -u www-data "$IMAGE" id -un
	assert_output www-data
	run alice run --rm "$IMAGE" sh -c 'touch /f && chown 65000:65000 /f && stat -c %u:%g /f'
	assert_output 65000:65000
	run alice run --rm "$IMAGE" wc -l /proc/self/uid_map
	assert_output "2 /proc/self/uid_map"
}

@test "the image's root is the user: a bound directory's new files are his" {
	mkdir "$BATS_TEST_TMPDIR/shared"
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$BATS_TEST_TMPDIR" 2> /dev/null || true
	chown $ALICE "$BATS_TEST_TMPDIR/shared"
	alice run --rm -v "$BATS_TEST_TMPDIR/shared:/shared" "$IMAGE" touch /shared/new
	run stat -c %u "$BATS_TEST_TMPDIR/shared/new"
	assert_output $ALICE
	run alice run --rm -v /etc/shadow:/shadow:ro "$IMAGE" cat /shadow
	assert_status 1
	assert_match 'Permission denied'
}

@test "one id: without ranges, or without newuidmap" {
	ROOT=$BATS_TEST_TMPDIR/root
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$BATS_TEST_TMPDIR" 2> /dev/null || true
	install -d -o $ALICE "$ROOT"
	run --separate-stderr alice --no-ids load < "$HOLM_TEST_CACHE/debian-12.tar"
	assert_status 0
	[ "$(wc -l <<< "$stderr")" -eq 1 ]
	[[ $stderr = *"all files of images become yours"*"usermod --add-subuids"* ]]
	run alice --no-ids run --rm "$IMAGE" sh -c 'id; stat -c %U /var/cache/apt/archives/partial; cat /proc/self/uid_map'
	assert_status 0
	assert_match 'uid=0\(root\)'
	assert_match $'\nroot\n +0 +65532 +1$'
	run alice --no-ids run --rm -u www-data "$IMAGE" true
	assert_status 125
	assert_one_line
	assert_match 'no ids above 0.*usermod'
	eventually nothing_of $ALICE
	run alice --no-newuidmap run --rm "$IMAGE" wc -l /proc/self/uid_map
	assert_status 0
	assert_output "1 /proc/self/uid_map"
	eventually nothing_of $ALICE
	as_user --uid $ALICE chmod -R u+rwX "$ROOT"
}

@test "published ports: any address, a chosen one, taken ones, low ones" {
	local port
	port=$(free_port)
	serve open -p "$port:80" -p "127.0.0.1:$((port + 1)):80"
	eventually says open 127.0.0.1 "$port"
	run ask ::1 "$port"
	assert_output open
	run ask 127.0.0.1 $((port + 1))
	assert_output open
	run ask 127.0.0.2 $((port + 1))
	assert_status 1
	run alice run --rm -p "$port:80" "$IMAGE" true
	assert_status 125
	assert_one_line
	assert_match "port $port/tcp is already in use"
	run alice run --rm -p 80:80 "$IMAGE" true
	assert_status 125
	assert_one_line
	assert_match 'port 80/tcp: only root may publish ports below'
	run alice run --rm -p 203.0.113.7:8080:80 "$IMAGE" true
	assert_status 125
	assert_match 'the host has no address 203.0.113.7'
	# From another container, by the address of the way out.
	run alice run --rm "$IMAGE" timeout 3 bash -c 'exec 3<> /dev/tcp/10.210.0.1/'"$port"' && head -1 <&3'
	assert_output open
	alice stop -t 0 open > /dev/null
	run ask 127.0.0.1 "$port"
	assert_status 1
}

@test "networks of one's own: names, and no way between them" {
	alice network create front > /dev/null
	alice network create back > /dev/null
	serve api --network front
	run alice run --rm --network front "$IMAGE" timeout 5 bash -c 'exec 3<> /dev/tcp/api/80 && head -1 <&3'
	assert_output api
	run alice run --rm --network back "$IMAGE" timeout 2 bash -c "exec 3<> /dev/tcp/$(
		alice inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' api)/80 && head -1 <&3"
	refute_match api
	alice stop -t 0 api > /dev/null
	alice network rm front back
}

@test "the way out leads through pasta" {
	unshare -n sleep 1d 3>&- &
	local host=$!
	unshare -n sleep 1d 3>&- &
	local world=$!
	eventually in_another_network $host
	eventually in_another_network $world
	nsenter -t $host -n ip link set lo up
	nsenter -t $host -n ip link add out0 type veth peer name in0 netns $world
	nsenter -t $host -n ip addr add 198.51.100.1/24 dev out0
	nsenter -t $host -n ip link set out0 up
	nsenter -t $world -n ip addr add 198.51.100.2/24 dev in0
	nsenter -t $world -n ip link set in0 up
	nsenter -t $host -n ip route add default via 198.51.100.2
	nsenter -t $world -n perl -e "$SERVER" world 3>&- &
	local server=$!
	eventually nsenter -t $host -n bash -c ': < /dev/tcp/198.51.100.2/80' 2> /dev/null
	eventually nothing_of $ALICE # else the space of before would be used
	run nsenter -t $host -n "$PROJECT/tools/as-user" --uid $ALICE env -u HOLM_RUN HOLM_ROOT="$ALICE_ROOT" \
		"$HOLM" run --rm "$IMAGE" timeout 5 bash -c 'exec 3<> /dev/tcp/198.51.100.2/80 && head -1 <&3'
	kill $server $host $world
	assert_status 0
	assert_output world
	eventually nothing_of $ALICE
}

@test "without tun, or without pasta: one line says so, and containers run" {
	eventually nothing_of $ALICE
	run --separate-stderr alice --no-tun run --rm "$IMAGE" echo works
	assert_status 0
	assert_output works
	[ "$(wc -l <<< "$stderr")" -eq 1 ]
	[[ $stderr = *"not the outside"*"sudo chmod 0666 /dev/net/tun" ]]
	eventually nothing_of $ALICE
	run --separate-stderr alice --no-pasta run --rm "$IMAGE" echo works
	assert_output works
	[ "$(wc -l <<< "$stderr")" -eq 1 ]
	[[ $stderr = *"not the outside"*"apt-get install passt" ]]
	run --separate-stderr alice --no-pasta run --rm --network none "$IMAGE" echo works
	[ -z "$stderr" ]
	# The rest of networking needs neither.
	local port
	port=$(free_port)
	eventually nothing_of $ALICE
	alice --no-tun info -f '{{.NetworkOutside}}' | grep -q tun
	serve inner -p "$port:80" 2> /dev/null
	eventually says inner 127.0.0.1 "$port"
	alice stop -t 0 inner > /dev/null
	eventually nothing_of $ALICE
}

@test "--network host is the host's, also for who joins it" {
	alice run -d --name onhost --network host "$IMAGE" sleep 60
	run alice exec onhost readlink /proc/self/ns/net
	assert_output "$(readlink /proc/self/ns/net)"
	run alice run --rm --network container:onhost "$IMAGE" readlink /proc/self/ns/net
	assert_output "$(readlink /proc/self/ns/net)"
	echo words | {
		run alice run -i --rm --network host "$IMAGE" cat
		assert_output words
	}
	alice rm -f onhost
}

@test "no control groups: one warning for who asks for a limit, and clear words for the rest" {
	grep -q ' - cgroup2 ' /proc/self/mountinfo && ! grep -q ' - cgroup ' /proc/self/mountinfo &&
		skip "whether a group is delegated depends on who runs this"
	run --separate-stderr alice run -d --name nolimit "$IMAGE" sh -c 'sleep 60 & sleep 61'
	[ -z "$stderr" ]
	run --separate-stderr alice run --rm -m 64m --cpus 1 "$IMAGE" echo works
	assert_output works
	[ "$(wc -l <<< "$stderr")" -eq 1 ]
	[[ $stderr = *"limits are not enforced"* ]]
	run alice top nolimit
	assert_status 0
	assert_match 'sleep 60'
	assert_match 'sleep 61'
	run alice pause nolimit
	assert_status 1
	assert_one_line
	assert_match 'none is delegated'
	alice kill nolimit > /dev/null
	alice rm nolimit > /dev/null
}

@test "a delegated control group is used and left clean" {
	# Whatever this host has, in a mount namespace where v2 is all there is.
	grep -q ' - cgroup2 ' /proc/self/mountinfo || skip "no cgroup v2 is mounted here"
	eventually nothing_of $ALICE
	cat > "$BATS_TEST_TMPDIR/delegated" <<- 'END'
		mount -t cgroup2 cgroup2 /mnt && mount --move /mnt /sys/fs/cgroup || exit 99
		group=/sys/fs/cgroup/holm-delegated-$$
		mkdir "$group" "$group/leaf" || exit 99
		chown "$1" "$group" "$group"/cgroup.{procs,subtree_control,threads} "$group/leaf" "$group"/leaf/cgroup.*
		echo $$ > "$group/leaf/cgroup.procs"
		user() {
			"$PROJECT/tools/as-user" --uid "$1" env -u HOLM_RUN HOLM_ROOT="$ALICE_ROOT" "$HOLM" "${@:2}"
		}
		user "$1" run -d --name grouped debian:12 sleep 60
		find "$group" -name "$(user "$1" ps -q --no-trunc)" | grep -o 'holm-delegated.*' | wc -l
		user "$1" pause grouped
		user "$1" ps --format '{{.Status}}'
		user "$1" stats --no-stream --format '{{.CPUPerc}}' grouped
		user "$1" rm -f grouped
		for ((i = 0; i < 100; i++)); do
			[ "$(ps -o stat= -u "$1" | grep -vc ^Z)" -gt 0 ] || break
			sleep 0.1
		done
		find "$group" -mindepth 1 -type d ! -name leaf
		echo $$ > /sys/fs/cgroup/cgroup.procs
		rmdir "$group/leaf" "$group"
	END
	run --separate-stderr unshare --mount --propagation private bash "$BATS_TEST_TMPDIR/delegated" $ALICE
	[ "$status" -ne 99 ] || skip "cgroup v2 cannot be mounted or written here"
	assert_status 0
	assert_match $'^[0-9a-f]+\n1\ngrouped\nUp .*\\(Paused\\)\n[0-9.]+%\ngrouped$'
}

@test "the holder is killed: what runs runs on, and the next command finds it" {
	local port holder
	port=$(free_port)
	serve survivor -p "$port:80"
	eventually says survivor 127.0.0.1 "$port"
	holder=$(holder_of $ALICE)
	[ -n "$holder" ]
	kill -9 "$holder"
	run ask 127.0.0.1 "$port"
	assert_output survivor
	run alice exec survivor cat /proc/1/comm
	assert_status 0
	[ "$(holder_of $ALICE)" != "$holder" ]
	[ "$(holder_of $ALICE | wc -l)" -eq 1 ]
	# One network: another container reaches it.
	run alice run --rm "$IMAGE" timeout 3 bash -c "exec 3<> /dev/tcp/$(
		alice inspect -f '{{.NetworkSettings.IPAddress}}' survivor)/80 && head -1 <&3"
	assert_output survivor
	alice rm -f survivor
	eventually nothing_of $ALICE
}

@test "the holder is killed with all else: the next command starts afresh" {
	alice run -d --name lost "$IMAGE" sleep 60
	processes_of $ALICE | awk '{ print $1 }' | xargs kill -9
	eventually nothing_of $ALICE
	run alice ps -a --format '{{.Names}} {{.Status}}'
	assert_match 'lost Exited \(137\)'
	alice start lost
	alice rm -f lost
	eventually nothing_of $ALICE
}

@test "pasta is killed: the next container brings it back" {
	local before
	alice run -d --name first "$IMAGE" sleep 60
	before=$(pasta_of $ALICE)
	[ -n "$before" ]
	kill -9 "$before"
	alice run --rm "$IMAGE" true
	[ -n "$(pasta_of $ALICE)" ]
	[ "$(pasta_of $ALICE)" != "$before" ]
	alice rm -f first
	eventually nothing_of $ALICE
}

@test "two users side by side have nothing of each other" {
	BOB_HOME=/tmp/holm-user-$BOB
	bob() {
		as_user --uid $BOB env -u HOLM_RUN -u HOLM_ROOT "$HOLM" "$@"
	}
	as_user --uid $BOB "$HOLM" --root "$BOB_HOME/.local/share/holm" --run "/tmp/holm-run-$BOB" load -q \
		< "$HOLM_TEST_CACHE/debian-12.tar"
	run bob info -f '{{.HolmRootDir}} {{.HolmRunDir}} {{.Rootless}}'
	assert_output "$BOB_HOME/.local/share/holm /tmp/holm-run-$BOB true"
	alice run -d --name same "$IMAGE" sleep 60
	bob run -d --name same "$IMAGE" sleep 60
	run bob ps -q
	[ "$(wc -l <<< "$output")" -eq 1 ]
	run alice ps -q
	[ "$(wc -l <<< "$output")" -eq 1 ]
	# The other's socket is behind a directory of his, and would not answer anyway.
	run as_user --uid $BOB "$HOLM" --root "$ALICE_ROOT" --run "$ALICE_ROOT/run" ps
	assert_status 1
	assert_one_line
	chmod 755 "$ALICE_ROOT/run" "$ALICE_ROOT/run/space"
	chmod 777 "$ALICE_ROOT/run/space/holder"
	run as_user --uid $BOB perl -MSocket -e 'socket(S, AF_UNIX, SOCK_SEQPACKET, 0); alarm 3;
		connect(S, pack_sockaddr_un($ARGV[0])) or die "no: $!"; sysread(S, $b, 100); print length($b)' \
		"$ALICE_ROOT/run/space/holder"
	assert_status 0
	assert_output 0
	chmod 700 "$ALICE_ROOT/run" "$ALICE_ROOT/run/space"
	bob rm -f same
	alice rm -f same
	eventually nothing_of $BOB
	rm -rf "/tmp/holm-run-$BOB"
}

@test "a run directory that others can write is refused" {
	install -d -m 777 -o $ALICE "$ALICE_ROOT/open"
	run as_user --uid $ALICE "$HOLM" --root "$ALICE_ROOT" --run "$ALICE_ROOT/open" ps
	assert_status 1
	assert_one_line
	assert_match 'can be written by others'
	rm -rf "$ALICE_ROOT/open"
}

@test "oci: bundles run, with the ids that they name, and commands find them" {
	local bundle=/tmp/holm-user-$ALICE/bundle state=/tmp/holm-user-$ALICE/oci
	oci() {
		(cd "$bundle" && as_user --uid $ALICE "$HOLM" oci --root "$state" "$@")
	}
	command -v busybox > /dev/null || skip "needs busybox"
	install -d -o $ALICE "/tmp/holm-user-$ALICE" "$bundle" "$bundle"/rootfs{,/bin,/proc,/dev,/sys}
	cp "$(command -v busybox)" "$bundle/rootfs/bin/sh"
	oci spec --rootless
	jq '.process.terminal = false | .process.args = ["/bin/sh", "-c", "id -u; exec sleep 1000"]
		| .linux.resources.memory.limit = 100000000' "$bundle/config.json" > "$bundle/config.new"
	mv "$bundle/config.new" "$bundle/config.json"
	oci create --pid-file pid box < /dev/null > "$bundle/out" 2> "$bundle/err"
	[ "$(oci state box | jq -r .status)" = created ]
	[ "$(stat -c %u "/proc/$(cat "$bundle/pid")")" = $ALICE ]
	oci start box
	eventually grep -qx 0 "$bundle/out"
	run oci exec box /bin/sh -c 'id -u; cat /proc/self/uid_map'
	assert_status 0
	assert_match "^0"$'\n'" +0 +$ALICE +1\$"
	run oci ps box
	assert_match 'sleep 1000'
	oci kill box KILL
	eventually oci delete box
	run oci list -q
	assert_output ""
	# A limit that cannot be set is said once, and no reason to fail.
	[ "$(grep -c 'limits are not enforced' "$bundle/err")" -le 1 ]
	jq 'del((.linux.namespaces[] | select(.type == "user")), .linux.uidMappings, .linux.gidMappings)' "$bundle/config.json" > "$bundle/config.new"
	mv "$bundle/config.new" "$bundle/config.json"
	run oci run box
	assert_status 1
	assert_match 'rootless container requires user namespaces'
}

@test "oci: a mapping of subordinate ids" {
	local bundle=/tmp/holm-user-$ALICE/bundle state=/tmp/holm-user-$ALICE/oci start
	command -v busybox > /dev/null || skip "needs busybox"
	start=$((65536 * (ALICE % 1000) + (1 << 30)))
	(cd "$bundle" && rm config.json && as_user --uid $ALICE "$HOLM" oci --root "$state" spec --rootless)
	jq --argjson start $start '.process.terminal = false | .process.args = ["/bin/sh", "-c", "id -u; id -g"]
		| .process.user = {uid: 1000, gid: 1000}
		| .linux.uidMappings += [{containerID: 1, hostID: $start, size: 65536}]
		| .linux.gidMappings += [{containerID: 1, hostID: $start, size: 65536}]' \
		"$bundle/config.json" > "$bundle/config.new"
	mv "$bundle/config.new" "$bundle/config.json"
	run --separate-stderr as_user --uid $ALICE bash -c 'cd "$0" && "$HOLM" oci --root "$1" run box' "$bundle" "$state"
	assert_status 0
	assert_output $'1000\n1000'
}

@test "what needs root says so" {
	run alice run --rm --userns auto "$IMAGE" true
	assert_status 125
	assert_one_line
	assert_match 'needs root'
	run alice doctor
	assert_status 0
	assert_match 'privileges +ok .*user 65532'
	assert_match 'ids +ok +.*65536'
	eventually nothing_of $ALICE
	run alice --no-tun --no-pasta doctor
	assert_match 'pasta +limited'
	assert_match 'apt-get install passt'
}

@test "nothing is left of them" {
	eventually nothing_of $ALICE
	eventually nothing_of $BOB
}
