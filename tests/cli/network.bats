#!/usr/bin/env bats
# Networks, by real packets. The "host" is a network namespace made here, with a world outside of it:
# nothing is done to the network of the machine that runs the tests.
load helper

setup_file() {
	suite_setup own
	unshare -n sleep 1d 3>&- &
	export HOST_NS=$!
	unshare -n sleep 1d 3>&- &
	export WORLD_NS=$!
	eventually namespaces_differ
	on_host ip link set lo up
	on_host ip link add out0 type veth peer name in0 netns "$WORLD_NS"
	on_host ip addr add 198.51.100.1/24 dev out0
	on_host ip link set out0 up
	in_world ip addr add 198.51.100.2/24 dev in0
	in_world ip link set in0 up
	in_world ip link set lo up
}

teardown_file() {
	local ids
	ids=$(net ps -aq)
	# shellcheck disable=SC2086
	[ -z "$ids" ] || net rm -f $ids > /dev/null
	kill "$HOST_NS" "$WORLD_NS"
	suite_teardown
}

namespaces_differ() {
	[ "$(readlink /proc/$HOST_NS/ns/net)" != "$(readlink /proc/self/ns/net)" ] &&
		[ "$(readlink /proc/$WORLD_NS/ns/net)" != "$(readlink /proc/self/ns/net)" ]
}

on_host() {
	nsenter -t "$HOST_NS" -n "$@"
}

in_world() {
	nsenter -t "$WORLD_NS" -n "$@"
}

net() {
	on_host timeout --foreground -k 5 "${HOLM_TIMEOUT:-60}" "$HOLM" "$@"
}

# A container that says its name to whoever connects to its port 80.
SERVER='use IO::Socket::INET; $s = IO::Socket::INET->new(Listen => 5, LocalPort => 80, ReuseAddr => 1);
	while ($c = $s->accept) { print $c "$ARGV[0] to " . $c->peerhost . "\n"; close $c }'
serve() {
	local name=$1
	shift
	net run -d --rm --name "$name" "$@" "$IMAGE" perl -e "$SERVER" "$name"
}

# ask ADDRESS PORT, by bash alone.
ASK='exec 3<> /dev/tcp/$0/$1 && head -1 <&3'
ask_from_world() {
	in_world timeout 3 bash -c "$ASK" "$@"
}
ask_from_host() {
	on_host timeout 3 bash -c "$ASK" "$@"
}
# ask_from CONTAINER ADDRESS PORT
ask_from() {
	local from=$1
	shift
	net exec "$from" timeout 3 bash -c "$ASK" "$@"
}

address() {
	net inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$1"
}

supervisor_gone() {
	[ ! -e "/proc/$1/exe" ]
}

clean() {
	[ -z "$(on_host nft list ruleset)" ] && [ -z "$(on_host ip -o link show type bridge)" ] &&
		[ "$(on_host ip -o link show type veth | wc -l)" -eq 1 ]
}

@test "the built-in networks are there and cannot be removed" {
	run -0 net network ls --format '{{.Name}} {{.Driver}} {{.Scope}}'
	assert_output $'bridge bridge local\nhost host local\nnone null local'
	for name in bridge host none; do
		run -1 net network rm $name
		assert_output "holm: network '$name' is built in and cannot be removed"
	done
}

@test "network create, ls, inspect, rm" {
	run -0 net network create --subnet 10.77.0.0/24 --subnet fd77::/64 --gateway 10.77.0.254 \
		--ip-range 10.77.0.128/25 --aux-address printer=10.77.0.200 --label a=b -o mtu=1400 \
		--internal --attachable full
	[[ $output =~ ^[0-9a-f]{64}$ ]]
	local id=$output
	run -0 net network ls -q --no-trunc --filter name=full
	assert_output "$id"
	run -0 net network ls -q --filter label=a=b --filter driver=bridge
	assert_output "${id:0:12}"
	run -0 net network ls -q --filter type=custom
	assert_output "${id:0:12}"
	run -0 net network inspect -f '{{(index .IPAM.Config 0).Gateway}} {{(index .IPAM.Config 1).Gateway}} {{.Internal}} {{index .Labels "a"}}' "${id:0:7}"
	assert_output "10.77.0.254 fd77::1 true b"
	run -0 net network rm full
	assert_output full
	run -1 net network inspect full
	assert_match "no such network: full"
	run -0 net network rm -f full
}

@test "wrong networks end in one clear line" {
	net network create --subnet 10.78.0.0/24 taken > /dev/null
	run -1 net network create taken
	assert_output "holm: network 'taken' exists already"
	run -1 net network create --subnet 10.78.0.0/16 wide
	assert_one_line
	assert_match "overlaps with network 'taken'"
	run -1 net network create --subnet 198.51.100.0/25 host-part
	assert_one_line
	assert_match "which the host uses"
	run -1 net network create --subnet 10.79.0.1/24 bits
	assert_one_line
	assert_match "did you mean 10.79.0.0/24"
	run -1 net network create -d macvlan other
	assert_output "holm: network driver 'macvlan' is not supported: use bridge"
	run -1 net network create -o color=red other
	assert_one_line
	run -1 net network create --subnet 10.79.0.0/24 --gateway 10.80.0.1 other
	assert_one_line
	run -1 net network create 'a b'
	assert_one_line
	net network rm taken
}

@test "a container reaches the world, by the host's address" {
	in_world perl -e "$SERVER" world 3>&- &
	local server=$!
	eventually in_world bash -c 'exec 3<> /dev/tcp/127.0.0.1/80'
	run -0 net run --rm "$IMAGE" timeout 5 bash -c "$ASK" 198.51.100.2 80
	kill $server
	assert_output "world to 198.51.100.1"
	eventually clean
}

@test "published ports: from the world, from the host, in use" {
	serve web -p 8080:80 -p 127.0.0.1:8081:80 -p 80
	eventually ask_from_world 198.51.100.1 8080
	run -0 ask_from_world 198.51.100.1 8080
	assert_output "web to 198.51.100.2"
	run -0 ask_from_host 127.0.0.1 8080
	run -0 ask_from_host 198.51.100.1 8080
	run -0 ask_from_host 127.0.0.1 8081
	run ! ask_from_world 198.51.100.1 8081
	run ! ask_from_world "$(address web)" 80
	run -0 ask_from web 198.51.100.1 8080
	local port
	port=$(net port web 80 | sed -n 's/^0.0.0.0://p' | grep -vxE '8080' | head -1)
	run -0 ask_from_world 198.51.100.1 "$port"
	run -125 net run --rm -p 8080:80 "$IMAGE" true
	assert_match "port 8080/tcp is already in use on 0.0.0.0"
	run -125 net run --rm -p 80:99999 "$IMAGE" true
	assert_match "port 99999 is out of range 1-65535"
	net rm -f web
	eventually clean
}

@test "containers of one network find each other by name, others do not reach them" {
	net network create front
	net network create back
	serve db --network back --network-alias store
	run -0 net network inspect -f '{{len .Containers}}' back
	assert_output 1
	serve app --network front
	run ! ask_from app "$(address db)" 80
	run ! ask_from app db 80
	net network connect --alias application back app
	run -0 ask_from app db 80
	run -0 ask_from app store 80
	run -0 ask_from app db.back 80
	run -0 ask_from db application 80
	run -1 net network rm back
	assert_match "network 'back' is in use by app, db:"
	net network disconnect back app
	run ! ask_from app db 80
	net rm -f app db
	run -0 net network prune -f
	assert_output $'Deleted Networks:\nback\nfront'
	eventually clean
}

@test "an internal network has no way out" {
	net network create --internal inner
	serve in --network inner
	run -0 net exec in cat /proc/net/route
	refute_match $'eth0\t00000000\t'
	run ! ask_from in 198.51.100.2 80
	net rm -f in
	net network rm inner
	eventually clean
}

@test "a wanted address is given, or refused with the reason" {
	net network create --subnet 10.81.0.0/24 --subnet fd81::/64 fixed
	serve one --network fixed --ip 10.81.0.77 --ip6 fd81::77
	run -0 address one
	assert_output 10.81.0.77
	run -125 net run --rm --network fixed --ip 10.81.0.77 "$IMAGE" true
	assert_match "address 10.81.0.77 is in use by 'one'"
	run -125 net run --rm --network fixed --ip 10.82.0.1 "$IMAGE" true
	assert_match "10.82.0.1 is not in the subnet 10.81.0.0/24"
	net rm -f one
	net network rm fixed
	eventually clean
}

@test "a supervisor that is killed leaves no rule, link or address" {
	serve victim -p 8090:80
	eventually ask_from_world 198.51.100.1 8090
	local id supervisor
	id=$(net inspect -f '{{.Id}}' victim)
	supervisor=$(sed -n 's/.*"supervisorPid": *\([0-9]*\).*/\1/p' "$HOLM_ROOT/instances/$id/state.json")
	kill -9 "$supervisor"
	eventually supervisor_gone "$supervisor"
	net ps -a > /dev/null
	net network prune -f > /dev/null
	eventually clean
}

@test "leaving the first network moves ports and the way out to the next; a new name is found at once" {
	net network create first
	net network create second
	net run -d --name mover --network first -p 18141:80 "$IMAGE" sleep 300
	net network connect second mover
	net network disconnect first mover
	address=$(net inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' mover)
	run on_host nft list ruleset
	[[ $output == *"18141 : $address . 80"* ]]
	# The gateway of the default route, as little-endian hex.
	run net exec mover awk '$2 == "00000000" { print $1 }' /proc/net/route
	assert_output eth1
	net rename mover moved
	run net run --rm --network second "$IMAGE" getent hosts moved
	assert_status 0
	run net run --rm --network second "$IMAGE" getent hosts mover
	assert_status 2
	net rm -f moved
	net network rm first second
}

@test "a restart takes its link back from a namespace that is still there" {
	local name
	name=$(unique)
	net network create "$name" > /dev/null
	net run -d --name "$name" --network "$name" "$IMAGE" sleep 100
	net run -d --name "$name-guest" --network "container:$name" "$IMAGE" sleep 100
	net restart -t 0 "$name"
	run net exec "$name" sh -c 'cat /sys/class/net/eth0/carrier'
	assert_output 1
	# Many times in a row: the kernel is slower than we are.
	for _ in $(seq 10); do
		net restart -t 0 "$name"
	done
	run net inspect -f '{{.State.Running}}' "$name"
	assert_output true
	net rm -f "$name" "$name-guest"
	net network rm "$name"
}

restarts_to_come() { [ "$(net inspect -f '{{.State.Status}}' "$1")" = restarting ]; }

@test "a network is joined and left between two runs, and the next run is on it" {
	local name
	name=$(unique)
	net network create "$name" > /dev/null
	net run -d --name "$name" --restart always "$IMAGE" sh -c 'ls /sys/class/net; exit 3'
	eventually eval "[ \$(net inspect -f '{{.RestartCount}}' $name) -ge 4 ]"
	eventually restarts_to_come "$name"
	run net network connect "$name" "$name"
	assert_status 0
	assert_output ""
	run net network disconnect bridge "$name"
	assert_status 0
	eventually eval "net logs --tail 3 $name | grep -q eth1"
	run net logs --tail 2 "$name"
	assert_output $'eth1\nlo'
	net rm -f "$name"
	net network rm "$name"
}
