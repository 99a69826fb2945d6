# Ways out through the network. The "host" is a network namespace made here: nothing is done to the network of
# the machine that runs the tests.
load helper

setup_file() {
	suite_setup own
	export ESCAPE=$BATS_FILE_TMPDIR/escape
	"${CC:-cc}" -static -O1 -o "$ESCAPE" "$PROJECT/tests/cli/escape.c"
	chmod 755 "$BATS_FILE_TMPDIR"
	unshare -n sleep 1d 3>&- &
	export HOST_NS=$!
	differs() { [ "$(readlink /proc/$HOST_NS/ns/net)" != "$(readlink /proc/self/ns/net)" ]; }
	eventually differs
	on_host ip link set lo up
}
teardown_file() {
	local ids
	ids=$(net ps -aq)
	# shellcheck disable=SC2086
	[ -z "$ids" ] || net rm -f $ids > /dev/null
	kill "$HOST_NS"
	suite_teardown
}
setup() { T=$BATS_TEST_TMPDIR; }
teardown() {
	local pid
	for pid in ${listeners:-}; do kill "$pid" 2> /dev/null || true; done
	[ -z "${containers:-}" ] || net rm -f $containers > /dev/null 2>&1 || true
	[ -z "${networks:-}" ] || net network rm $networks > /dev/null 2>&1 || true
}

on_host() { nsenter -t "$HOST_NS" -n "$@"; }
net() { on_host timeout --foreground -k 5 "${HOLM_TIMEOUT:-60}" "$HOLM" "$@"; }
address() { net inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$1"; }
gateway() { net inspect -f '{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}' "$1"; }

# listen FILE ADDRESS PORT COMMAND...: datagrams to FILE, one a line; COMMAND says where: on_host, in NAME.
LISTEN='
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], int(sys.argv[2])))
print("ready", flush=True)
while True:
    data, peer = s.recvfrom(2000)
    print(data.decode(errors="replace"), "from", peer[0], flush=True)
'
listen_on_host() {
	on_host python3 -c "$LISTEN" "$2" "$3" > "$1" 3>&- &
	listeners+=" $!"
	ready() { grep -q ready "$file"; }
	file=$1
	eventually ready
}

sender() {
	SENDER=$(unique sender)
	containers+=" $SENDER"
	net run -d --name "$SENDER" -v "$ESCAPE:/escape:ro" "$@" "$IMAGE" sleep 300 > /dev/null
	# So that the gateway's link address is known.
	net exec "$SENDER" bash -c "echo > /dev/udp/$(gateway "$SENDER")/9; sleep 0.2; cat /proc/net/arp" > /dev/null
}

@test "frames to the host's loopback through the bridge are dropped" {
	listen_on_host "$T/got" 127.0.0.1 7777
	sender
	run net exec "$SENDER" /escape udp 127.0.0.1 7777 "$(address "$SENDER")"
	assert_output sent
	run net exec "$SENDER" /escape udp 127.0.0.1 7777 127.0.0.1
	assert_output sent
	run net exec "$SENDER" /escape udp 127.0.0.53 7777 127.0.0.2
	assert_output sent
	# The right to change its own routes does not help.
	net run --rm --cap-add NET_ADMIN -v "$ESCAPE:/escape:ro" "$IMAGE" sh -c "perl -e 'exit 0'; bash -c 'echo evil > /dev/udp/127.0.0.1/7777'" || true
	sleep 0.3
	run cat "$T/got"
	assert_output ready
	# Without the rule they arrive.
	on_host nft flush ruleset
	net exec "$SENDER" /escape udp 127.0.0.1 7777 "$(address "$SENDER")"
	arrived() { grep -q evil "$T/got"; }
	eventually arrived
}

@test "frames to another network's container are dropped, whatever their source says" {
	local a b target source
	a=$(unique a) b=$(unique b)
	networks="$a $b"
	net network create "$a" > /dev/null
	net network create "$b" > /dev/null
	target=$(unique target)
	containers="$target"
	net run -d --name "$target" --network "$b" "$IMAGE" perl -MIO::Socket -e '$s = IO::Socket::INET->new(Proto => "udp", LocalPort => 7777); print "ready\n"; $| = 1; while ($s->recv($d, 99)) { print "$d\n" }' > /dev/null
	sender --network "$a"
	for source in "$(address "$SENDER")" "$(gateway "$target")" "$(gateway "$SENDER")" 127.0.0.1 8.8.8.8; do
		run net exec "$SENDER" /escape udp "$(address "$target")" 7777 "$source"
		assert_output sent
	done
	sleep 0.3
	run net logs "$target"
	refute_match evil
	# From its own network they arrive.
	sender --network "$b"
	got() { net exec "$SENDER" bash -c "echo evil > /dev/udp/$(address "$target")/7777" && net logs "$target" | grep -q evil; }
	eventually got
}

@test "the host takes no router advertisement from a container" {
	local name bridge
	name=$(unique six)
	networks=$name
	net network create --subnet fd42:7::/64 --subnet 10.91.0.0/24 "$name" > /dev/null
	sender --network "$name"
	bridge=$(on_host ip -o link show type bridge | sed -n 's/^[0-9]*: \([^:@]*\).*/\1/p' | while read -r l; do on_host ip -o addr show dev "$l" | grep -q fd42:7: && echo "$l"; done)
	[ -n "$bridge" ]
	[ "$(on_host cat /proc/sys/net/ipv6/conf/"$bridge"/accept_ra)" = 0 ]
	for i in 1 2 3; do
		run net exec "$SENDER" /escape advertise
		assert_output sent
	done
	sleep 0.3
	run on_host ip -6 route show
	refute_match 'default|fdba:d'
	run on_host ip -6 addr show dev "$bridge"
	refute_match 'fdba:d'
	# Nor a redirect.
	[ "$(on_host cat /proc/sys/net/ipv6/conf/"$bridge"/accept_redirects)" = 0 ]
	[ "$(on_host cat /proc/sys/net/ipv4/conf/"$bridge"/accept_redirects)" = 0 ]
	# A host that accepts them would have had a way through the container.
	on_host bash -c "echo 2 > /proc/sys/net/ipv6/conf/$bridge/accept_ra"
	taken() { net exec "$SENDER" /escape advertise > /dev/null && on_host ip -6 route show | grep -q default; }
	eventually taken
}

@test "netlink from inside changes nothing; with NET_ADMIN nothing but its own" {
	local links
	sender
	links=$(on_host ip -o link | sed 's/ state.*//')
	run net exec "$SENDER" perl -e '
		use Socket; socket(my $s, 16, 3, 0) or die; # NETLINK_ROUTE
		# RTM_DELLINK of link 2, RTM_NEWADDR
		for my $m (pack("LSSLL CCSiLL", 32, 17, 5, 1, 0, 0, 0, 0, 2, 0, 0), pack("LSSLL CCCCL", 24, 20, 5, 2, 0, 2, 24, 0, 0, 2)) {
			send($s, $m, 0); sysread($s, my $r, 4096); my @f = unpack("LSSLL l", $r); print "$f[5] ";
		}'
	assert_match '^-1 -1 $'
	[ "$(on_host ip -o link | sed 's/ state.*//')" = "$links" ]
	# Neither can it see the host's links and sockets.
	run net exec "$SENDER" cat /proc/net/dev /proc/net/tcp /proc/net/route
	refute_match 'br-|holm|veth'
	net run --rm --cap-add NET_ADMIN "$IMAGE" perl -e '
		socket(my $s, 16, 3, 0) or die;
		send($s, pack("LSSLL CCSiLL", 32, 17, 5, 1, 0, 0, 0, 0, 2, 0, 0), 0); sysread($s, my $r, 4096);'
	on_host ip -o link show type bridge | grep -q .
}

# ---- the resolver

@test "the resolver outlives a flood of malformed queries, in bounded memory and time" {
	local name supervisor before after peak
	name=$(unique dns)
	networks=$name
	net network create "$name" > /dev/null
	sender --network "$name"
	supervisor=$(awk '/^PPid/ { print $2 }' "/proc/$(net inspect -f '{{.State.Pid}}' "$SENDER")/status")
	before=$(awk '{ print $14 + $15 }' "/proc/$supervisor/stat")
	run net exec "$SENDER" /escape flood 2
	assert_match 'sent [0-9]{4,}'
	after=$(awk '{ print $14 + $15 }' "/proc/$supervisor/stat")
	[ "$(cat "/proc/$supervisor/comm")" = holm-supervisor ]
	# A fifth of a processor at most, ticks of 10 ms, though the sender has one to itself.
	echo "ticks: $((after - before))" >&2
	[ $((after - before)) -lt 100 ]
	peak=$(awk '/^VmHWM/ { print $2 }' "/proc/$supervisor/status")
	echo "peak: $peak KiB" >&2
	[ "$peak" -lt 20000 ]
	run net exec "$SENDER" getent hosts "$SENDER"
	assert_status 0
	# And it still does as it is told.
	run net stop -t 0 "$SENDER"
	assert_status 0
}
