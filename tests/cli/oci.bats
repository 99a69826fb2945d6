#!/usr/bin/env bats
# `holm oci`: the life of OCI bundles through runc's command line.

load helper

setup_file() {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	fresh_root
	export BUNDLE_ROOTFS=$HOLM_ROOT/rootfs
	mkdir -p "$BUNDLE_ROOTFS"/{bin,proc,sys,dev,tmp,mnt,etc}
	cp "$(command -v busybox)" "$BUNDLE_ROOTFS/bin/busybox"
	for applet in sh sleep cat ls id echo true false env touch stty ps kill ip; do
		ln "$BUNDLE_ROOTFS/bin/busybox" "$BUNDLE_ROOTFS/bin/$applet"
	done
}

teardown_file() {
	rm -rf --one-file-system "$HOLM_ROOT"
	! find /sys/fs/cgroup -type d -name 'oci-test-*' | grep .
}

setup() {
	cd "$BATS_TEST_TMPDIR"
	ID=oci-test-$BATS_TEST_NUMBER-$RANDOM
	ln -s "$BUNDLE_ROOTFS" rootfs
	oci spec
	config '.process.terminal = false | .process.args = ["/bin/sleep", "1000"]'
}

teardown() {
	oci delete -f "$ID" || true
}

oci() {
	timeout --foreground -k 5 60 "$HOLM" oci --root "$BATS_TEST_TMPDIR/state" "$@"
}

config() {
	jq "$@" config.json > config.new
	mv config.new config.json
}

status_is() {
	[ "$(oci state "$ID" | jq -r .status)" = "$1" ]
}

@test "create, start, state, kill, delete" {
	oci create --pid-file pid "$ID" < /dev/null > /dev/null
	status_is created
	[ "$(cat pid)" = "$(oci state "$ID" | jq .pid)" ]
	[ "$(oci state "$ID" | jq -r .bundle)" = "$PWD" ]
	run oci delete "$ID-not"
	[ "$status" -eq 1 ]
	[[ $output == *'msg="container does not exist"' ]]
	oci start "$ID"
	status_is running
	run oci start "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *"cannot start an already running container"* ]]
	run oci delete "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *"cannot delete container $ID that is not stopped: running"* ]]
	oci kill "$ID" KILL
	eventually status_is stopped
	[ "$(oci state "$ID" | jq .pid)" = 0 ]
	run oci kill "$ID" TERM
	[ "$status" -eq 1 ]
	[[ $output == *"container not running"* ]]
	oci delete "$ID"
	run oci state "$ID"
	[ "$status" -eq 1 ]
}

@test "an id is taken once, and must be a name" {
	oci run -d "$ID" < /dev/null > /dev/null
	run oci create "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *"container with given ID already exists"* ]]
	status_is running
	run oci create "../$ID"
	[ "$status" -eq 1 ]
	[[ $output == *"invalid container ID format"* ]]
}

@test "run: output, exit status, nothing left" {
	config '.process.args = ["/bin/sh", "-c", "echo out; echo err >&2; exit 7"]'
	run --separate-stderr oci run "$ID"
	[ "$status" -eq 7 ]
	[ "$output" = out ]
	[ "$stderr" = err ]
	run oci state "$ID"
	[ "$status" -eq 1 ]
	run oci run --keep "$ID"
	status_is stopped
}

@test "run: a program that cannot be executed is told in runc's words" {
	config '.process.args = ["no-such-program"]'
	run oci run "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *'exec: \"no-such-program\": executable file not found in $PATH'* ]]
	config '.process.args = ["/etc"]'
	run oci run "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *'exec: \"/etc\": permission denied'* ]]
}

# create_fails TEXT PROGRAM: it is refused by create already, and nothing stays.
create_fails() {
	local text=$1
	config '.process.args = [$program]' --arg program "$2"
	run oci create "$ID" < /dev/null
	[ "$status" -eq 1 ]
	[[ $output == *"runc create failed: unable to start container process: exec: $text"* ]]
	run oci state "$ID"
	[[ $output == *"container does not exist"* ]]
	[ ! -e "state/$ID" ]
	[ -z "$(find /sys/fs/cgroup -type d -name "*$ID*")" ]
}

@test "create: a program that cannot be executed is told by create, as its user would find it" {
	mkdir -p tools/closed
	cp /bin/busybox tools/mine 2> /dev/null || cp /bin/true tools/mine
	cp tools/mine tools/closed/mine
	chmod 700 tools/closed
	touch tools/text
	config '.mounts += [{"destination": "/tools", "type": "bind", "source": $dir, "options": ["bind", "ro"]}]' \
		--arg dir "$PWD/tools"
	create_fails '\"no-such-program\": executable file not found in $PATH' no-such-program
	create_fails '\"/absent\": stat /absent: no such file or directory' /absent
	create_fails '\"./sh\": stat ./sh: no such file or directory' ./sh
	create_fails '\"/tools/text\": permission denied' /tools/text
	create_fails '\"/tools\": permission denied' /tools
	# Only where this user may look.
	config '.process.env = ["PATH=/tools/closed"]'
	config '.process.args = ["mine"]'
	oci create "$ID" < /dev/null > /dev/null
	oci delete -f "$ID"
	config '.process.user = {"uid": 1000, "gid": 1000}'
	create_fails '\"mine\": permission denied' mine
	config '.process.env = ["PATH=/tools/closed:/tools"]'
	config '.process.args = ["mine"]'
	oci create "$ID" < /dev/null > /dev/null
	# The one who looked was root again afterwards, with all groups.
	[ "$(sed -n 's/^\(Uid\|Gid\):\s*//p' "/proc/$(oci state "$ID" | jq .pid)/status" | tr -s '\t\n' ' ')" = "0 0 0 0 0 0 0 0 " ]
	oci delete -f "$ID"
	# From the working directory, which this user may be in but not walk to.
	config '.process.user = {"uid": 0, "gid": 0} | .process.cwd = "/tools/closed"'
	config '.process.args = ["./mine"]'
	oci create "$ID" < /dev/null > /dev/null
}

@test "run: signals reach the container" {
	config '.process.args = ["/bin/sh", "-c", "trap \"exit 9\" TERM; echo ready; while :; do sleep 0.1; done"]'
	oci run "$ID" > out &
	pid=$!
	eventually grep -q ready out
	kill -TERM "$(pgrep -P "$pid" || echo "$pid")"
	wait "$pid" || status=$?
	[ "$status" -eq 9 ]
}

@test "exec: exit status, options, process file" {
	oci run -d "$ID" < /dev/null > /dev/null
	run oci exec "$ID" sh -c 'exit 42'
	[ "$status" -eq 42 ]
	run oci exec --cwd /bin -e A=b -u 5:6 -g 7 "$ID" sh -c 'pwd; echo $A; id -u; id -G'
	[ "$output" = $'/bin\nb\n5\n6 7' ]
	run oci exec "$ID" no-such-program
	[ "$status" -eq 255 ]
	[[ $output == *'exec failed: '*'executable file not found in $PATH'* ]]
	echo '{"args": ["/bin/sh", "-c", "echo from file"], "cwd": "/"}' > process.json
	run oci exec --process process.json "$ID"
	[ "$output" = "from file" ]
	oci exec -d --pid-file exec.pid "$ID" sleep 1000 < /dev/null > /dev/null
	oci ps -f json "$ID" | jq -e "index($(cat exec.pid))"
	oci ps "$ID" | grep -q 'sleep 1000'
}

@test "exec: not in what is stopped or paused" {
	oci run -d "$ID" < /dev/null > /dev/null
	oci pause "$ID"
	status_is paused
	run oci exec "$ID" true
	[ "$status" -eq 255 ]
	[[ $output == *"cannot exec in a paused container"* ]]
	oci resume "$ID"
	status_is running
	oci exec "$ID" true
	oci kill "$ID" KILL
	eventually status_is stopped
	run oci exec "$ID" true
	[ "$status" -eq 255 ]
	[[ $output == *"cannot exec in a stopped container"* ]]
}

@test "preserve-fds: those and no others" {
	config '.process.args = ["/bin/sh", "-c", "cat <&3; ls /proc/self/fd"]'
	echo kept > file
	run oci run --preserve-fds 1 "$ID" 3< file 9< file
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = kept ]
	[[ $output != *9* ]]
	run oci run --preserve-fds 3 "$ID" 3< file 4>&- 5>&-
	[ "$status" -eq 1 ]
	[[ $output == *"unable to stat preserved-fd 1 (of 3)"* ]]
}

@test "a created container keeps none of its maker's descriptors" {
	local pid
	oci create "$ID" < /dev/null > /dev/null 2>&1 7< config.json
	pid=$(oci state "$ID" | jq .pid)
	run ls -l "/proc/$pid/fd"
	assert_status 0
	[[ $output != *config.json* && $output != *"$BATS_TEST_TMPDIR/state"* ]]
	oci start "$ID"
	status_is running
}

@test "list: table, json, ids" {
	oci run -d "$ID" < /dev/null > /dev/null
	run oci list
	[[ ${lines[0]} =~ ^ID\ +PID\ +STATUS\ +BUNDLE\ +CREATED\ +OWNER$ ]]
	[[ ${lines[1]} == "$ID "*" running "*"$PWD"*" root" ]]
	[ "$(oci list -q)" = "$ID" ]
	[ "$(oci list -f json | jq -r '.[0].id')" = "$ID" ]
}

@test "features and spec" {
	oci features | jq -e '.ociVersionMin == "1.0.0" and (.hooks | length == 6) and
		(.linux.namespaces | index("time")) and .linux.mountExtensions.idmap.enabled and
		(.mountOptions | index("ridmap")) and (.linux.seccomp.actions | index("SCMP_ACT_NOTIFY"))'
	"$HOLM" features | jq -e .ociVersionMax
	run oci spec
	[ "$status" -eq 1 ]
	[[ $output == *"File config.json exists. Remove it first"* ]]
	mkdir other
	oci spec -b other --rootless
	jq -e '.linux.uidMappings[0].size == 1 and (.linux.resources | not)' other/config.json
}

@test "events: statistics" {
	oci run -d "$ID" < /dev/null > /dev/null
	oci events --stats "$ID" | jq -e ".type == \"stats\" and .id == \"$ID\" and
		.data.pids.current == 1 and .data.memory.usage.usage > 0 and .data.cpu.usage.total > 0"
	run oci events --interval 0s "$ID"
	[ "$status" -eq 1 ]
}

@test "update: limits by options and from a file" {
	oci run -d "$ID" < /dev/null > /dev/null
	oci update --pids-limit 20 --memory 64M "$ID"
	[ "$(oci events --stats "$ID" | jq .data.pids.limit)" = 20 ]
	[ "$(oci events --stats "$ID" | jq .data.memory.usage.limit)" = 67108864 ]
	echo '{"pids": {"limit": 30}}' | oci update -r - "$ID"
	[ "$(oci events --stats "$ID" | jq .data.pids.limit)" = 30 ]
	[ "$(oci events --stats "$ID" | jq .data.memory.usage.limit)" = 67108864 ]
	run oci update --memory lots "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *'invalid value for memory'* ]]
	oci update --pids-limit 0 "$ID"
	[ "$(oci events --stats "$ID" | jq .data.pids.limit)" = 1 ]
	oci update --pids-limit -1 "$ID"
	[ "$(oci events --stats "$ID" | jq .data.pids.limit)" = 0 ]
}

@test "hooks: their order, and what a failing one does" {
	for hook in prestart createRuntime createContainer poststart poststop; do
		config --arg h "$hook" --arg log "$PWD/log" \
			'.hooks[$h] = [{path: "/bin/sh", args: ["sh", "-c", "cat > /dev/null; echo \($h) >> \($log)"]}]'
	done
	config '.root.readonly = false | .process.args = ["/bin/true"]'
	oci run "$ID"
	[ "$(cat log)" = $'prestart\ncreateRuntime\ncreateContainer\npoststart\npoststop' ]
	config '.hooks = {createRuntime: [{path: "/bin/true"}, {path: "/bin/false"}]}'
	run oci create "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *"error running createRuntime hook #1:"* ]]
	run oci state "$ID"
	[ "$status" -eq 1 ]
}

@test "hooks: startContainer runs with the process's rights and environment" {
	config '.process.args = ["/bin/true"] | .process.env += ["ONE=two"] | .process.user.uid = 5 |
		.hooks.startContainer = [{path: "/bin/sh", args: ["sh", "-c", "id -u; echo $ONE"]}]'
	run oci run "$ID"
	[ "$status" -eq 0 ]
	[ "$output" = $'5\ntwo' ]
}

@test "wrong usage is one clear line" {
	run oci frobnicate
	[ "$status" -ne 0 ]
	[[ $output == *"No help topic for 'frobnicate'"* ]]
	run oci create
	[ "$status" -eq 1 ]
	[[ $output == *'\"create\" requires exactly 1 argument(s)'* ]]
	run oci run --no-such "$ID"
	[ "$status" -eq 1 ]
	[[ ${lines[0]} == *"unknown option '--no-such'"* ]]
	rm config.json
	run oci create "$ID"
	[ "$status" -eq 1 ]
	[[ ${lines[0]} == *"JSON specification file config.json not found"* ]]
	run oci --systemd-cgroup create "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *"systemd cgroup flag passed"* ]]
}

@test "--log: errors in a file, as text or JSON" {
	run oci --log log.json --log-format json state nobody
	[ "$status" -eq 1 ]
	[ "$output" = "container does not exist" ]
	jq -e '.level == "error" and .msg == "container does not exist" and .time' log.json
	run oci --log log.text state nobody
	grep -q '^time="20.*" level=error msg="container does not exist"$' log.text
}

@test "a link named holm-oci is the same" {
	ln -s "$HOLM" holm-oci
	run ./holm-oci --version
	[[ ${lines[0]} =~ ^holm-oci\ version\ [0-9]+\.[0-9]+\.[0-9]+ ]]
	[[ ${lines[2]} =~ ^spec:\ 1\.3\. ]]
	mkdir state
	[ "$(./holm-oci --root "$PWD/state" list -q)" = "" ]
	run ./holm-oci --root "$PWD/nowhere" list
	[ "$status" -eq 1 ]
	run ./holm-oci create -h
	[[ ${lines[1]} == *"holm-oci create"* ]]
}

@test "run: a terminal without carriage returns, on which lines come out as they went in" {
	config '.process.terminal = true | .process.args = ["/bin/sh", "-c", "echo one; echo two"]'
	run oci run "$ID" < /dev/null
	[ "$status" -eq 0 ]
	[ "$output" = $'one\ntwo' ]
}

@test "a tmpfs looks like the directory that it covers" {
	mkdir -p "$BUNDLE_ROOTFS/cover"
	chmod 710 "$BUNDLE_ROOTFS/cover"
	ln -f "$BUNDLE_ROOTFS/bin/busybox" "$BUNDLE_ROOTFS/bin/stat"
	config '.mounts += [{destination: "/cover", type: "tmpfs", source: "tmpfs"}] |
		.process.args = ["stat", "-c", "%a", "/cover"]'
	run oci run "$ID"
	[ "$output" = 710 ]
	config '.mounts[-1].options = ["mode=1500"]'
	run oci run "$ID"
	[ "$output" = 1500 ]
}

@test "environment: the last value counts, HOME is never empty" {
	config '.process.env += ["A=1", "A=2", "HOME="] | .process.args = ["env"]'
	run oci run "$ID"
	[[ $output == *A=2* && $output != *A=1* && $output == *HOME=/* ]]
}

receive() { # SOCKET tty|SIGNAL: in the background, listening already
	"$BATS_TEST_DIRNAME/receive.py" "$@" > received 3>&- &
	RECEIVER=$!
	eventually test -S "$1"
}

@test "the terminal goes to --console-socket" {
	config '.process.terminal = true | .process.args = ["sh", "-c", "echo shown; stty size"] |
		.process.consoleSize = {height: 31, width: 107}'
	run oci create "$ID"
	assert_status 1
	assert_match 'cannot allocate tty if runc will detach without setting console socket'
	receive socket tty
	oci create --console-socket socket "$ID"
	eventually grep -x /dev/ptmx received
	oci start "$ID"
	wait "$RECEIVER"
	[ "$(tr -d '\r' < received)" = $'/dev/ptmx\nshown\n31 107' ]
}

@test "a descriptor of the process goes to --pidfd-socket" {
	receive first SIGTERM
	oci create --pidfd-socket first "$ID" < /dev/null > /dev/null
	wait "$RECEIVER"
	# Not even started, it does not survive what would end a program.
	eventually status_is stopped
	oci delete "$ID"
	oci run -d "$ID" < /dev/null > /dev/null
	receive second SIGKILL
	run oci exec --pidfd-socket second "$ID" sleep 1000
	assert_status 137
	wait "$RECEIVER"
	status_is running
}

say() { # SOCKET TEXT
	python3 -c 'import socket, sys
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(sys.argv[2].encode(), sys.argv[1])' "$@"
}

@test "NOTIFY_SOCKET: starting waits until the program is ready, and the caller is told" {
	local notify=$BATS_TEST_TMPDIR/state/$ID/notify/notify.sock pid run
	config '.process.args = ["sh", "-c", "[ -S $NOTIFY_SOCKET ] && ! echo 2> /dev/null > /run/notify/x && echo here; exec sleep 1000"]'
	receive told 2
	NOTIFY_SOCKET=$PWD/told oci run -d "$ID" < /dev/null > out 3>&- &
	run=$!
	eventually grep -x here out
	say "$notify" $'STATUS=Soon\nREADY=0'
	say "$notify" $'STATUS=Up\nREADY=1'
	wait "$run"
	wait "$RECEIVER"
	pid=$(oci state "$ID" | jq .pid)
	[ "$(cat received)" = $'READY=1\nMAINPID='"$pid" ]
	oci delete -f "$ID"

	# One that ends without a word is waited for no longer; in the foreground the program is what is followed.
	config '.process.args = ["true"]'
	NOTIFY_SOCKET=$PWD/told oci run -d "$ID" < /dev/null > /dev/null
	oci delete "$ID"
	NOTIFY_SOCKET=$PWD/told oci run "$ID" < /dev/null
}

is_gone() {
	! ip link show "$1"
}

@test "linux.netDevices: a link moves in with its addresses, MTU and hardware address" {
	local link=holmt$RANDOM
	ip link add "$link" type veth peer name "p$link"
	ip link set "$link" mtu 1789 address 00:11:22:33:44:55
	ip address add 169.254.169.77/32 dev "$link"
	ip address add 127.0.0.33/8 scope host dev "$link"
	ip -6 address add fd00:7::7/64 dev "$link" nodad
	config --arg link "$link" '.linux.netDevices = {($link): {name: "inside0"}} |
		.process.args = ["ip", "address", "show", "dev", "inside0"]'
	run oci run "$ID"
	assert_status 0
	assert_match 'inside0.*UP.* mtu 1789 '
	assert_match 'link/ether 00:11:22:33:44:55 '
	assert_match 'inet 169.254.169.77/32 scope global'
	assert_match 'inet6 fd00:7::7/64 scope global'
	[[ $output != *127.0.0.33* ]]
	# It went with the namespace.
	eventually is_gone "p$link"

	run oci run "$ID"
	assert_status 1
	assert_match "link not found for interface $link on runtime namespace"
	config '.linux.netDevices = {"a/b": {}}'
	run oci run "$ID"
	assert_status 1
	assert_match 'invalid network device name ..a/b'
	config '.linux.netDevices = {eth0: {}} | del(.linux.namespaces[] | select(.type == "network"))'
	run oci run "$ID"
	assert_status 1
	assert_match 'unable to move network devices without a NET namespace'
}

@test "pids.limit: 0 leaves room for one process, -1 for any number" {
	config '.linux.resources.pids.limit = 0'
	oci run -d "$ID" < /dev/null > /dev/null
	[ "$(oci events --stats "$ID" | jq .data.pids.limit)" = 1 ]
	oci delete -f "$ID"
	config '.linux.resources.pids.limit = -1'
	oci run -d "$ID" < /dev/null > /dev/null
	[ "$(oci events --stats "$ID" | jq .data.pids.limit)" = 0 ]
}

@test "a time namespace in a user namespace, and both joined by another container" {
	local pid
	config '.linux.namespaces += [{type: "user"}, {type: "time"}] |
		.linux.uidMappings = [{containerID: 0, hostID: 100000, size: 100}] |
		.linux.gidMappings = .linux.uidMappings |
		.linux.timeOffsets = {boottime: {secs: 1337, nanosecs: 3141519}}'
	oci run -d "$ID" < /dev/null > /dev/null
	run oci exec "$ID" cat /proc/self/timens_offsets
	assert_match 'boottime +1337 +3141519'
	pid=$(oci state "$ID" | jq .pid)
	config --arg ns "/proc/$pid/ns/" '.process.args = ["cat", "/proc/self/timens_offsets"] |
		.linux |= (del(.uidMappings) | del(.gidMappings) | del(.timeOffsets)) |
		.linux.namespaces |= map(select(.type | IN("user", "time")).path = $ns + .type)'
	run oci run "$ID-2"
	assert_status 0
	assert_match 'boottime +1337 +3141519'
}

@test "a deadline scheduler is told that it takes all processors" {
	[ "$(nproc)" -gt 1 ] || skip "one processor is all of them"
	config '.linux.resources.cpu.cpus = "0" |
		.process.scheduler = {policy: "SCHED_DEADLINE", runtime: 42000, deadline: 1000000, period: 1000000}'
	run oci run "$ID"
	assert_status 1
	assert_match "process scheduler can.t be used together with AllowedCPUs"
}

@test "flags of a seccomp filter: what they come to is in the debug log" {
	config '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW"} | .process.args = ["true"]'
	run oci --debug run "$ID"
	assert_match 'seccomp filter flags: 4"'
	config '.linux.seccomp.flags = []'
	run oci --debug run "$ID"
	assert_match 'seccomp filter flags: 0"'
	config '.linux.seccomp.flags = ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG"]'
	run oci --debug run "$ID"
	assert_match 'seccomp filter flags: 2"'
}

bound() { # OPTION...: runs with a bind mount of a restricted file system; prints the options that it has
	local options
	options=$(printf '%s\n' bind "$@" | jq -R . | jq -cs .)
	mkdir -p source
	config --arg source "$PWD/source" --argjson options "$options" '.mounts |= map(select(.destination != "/mnt")) |
		.mounts += [{destination: "/mnt", type: "bind", source: $source, options: $options}] |
		.process.args = ["sh", "-c", "while read -r _ at _ options _; do [ $at = /mnt ] && echo $options; done < /proc/mounts"]'
	# shellcheck disable=SC2016
	run timeout -k 5 60 unshare -m sh -c 'mount -t tmpfs tmpfs source &&
		mount -o remount,bind,nosuid,nodev,noatime source && exec "$@"' sh \
		"$HOLM" oci --root "$BATS_TEST_TMPDIR/state" run "$ID"
}

@test "bind mounts have the options that are asked for, and in a user namespace those of their source" {
	bound
	assert_match '^rw,nosuid,nodev,noatime'
	bound ro
	assert_match '^ro,noatime'
	bound suid relatime noexec
	assert_match '^rw,noexec,relatime'
	config '.linux.namespaces += [{type: "user"}] |
		.linux.uidMappings = [{containerID: 0, hostID: 100000, size: 100}] | .linux.gidMappings = .linux.uidMappings'
	bound ro
	assert_match '^ro,nosuid,nodev,noatime'
	bound suid
	assert_status 1
	assert_match 'error mounting ..*/source.* to rootfs at ../mnt.*: cannot clear options .*operation not permitted'
	bound relatime
	assert_status 1
	assert_match 'cannot change the access times .*operation not permitted'
}

@test "bind mounts of what was mounted in the container before, by their paths on the host" {
	mkdir -p source/deep
	echo here > source/deep/file
	config --arg dir "$PWD" '.mounts += [
		{destination: "/tmp", type: "bind", source: ($dir + "/source"), options: ["bind"]},
		{destination: ($dir + "/rootfs/mnt"), type: "bind", source: ($dir + "/rootfs/tmp/deep"), options: ["bind"]}] |
		.process.args = ["cat", "/mnt/file"]'
	run oci run "$ID"
	assert_output here
}

@test "rootfsPropagation: a slave of the host's" {
	config '.linux.rootfsPropagation = "slave" |
		.process.args = ["sh", "-c", "read -r line < /proc/self/mountinfo; echo $line"]'
	# shellcheck disable=SC2016
	run timeout -k 5 60 unshare -m sh -c 'mount --make-rshared / && exec "$@"' sh \
		"$HOLM" oci --root "$BATS_TEST_TMPDIR/state" run "$ID"
	assert_match ' / r.* master:'
}

@test "memory policy, and one that makes no sense" {
	config '.linux.memoryPolicy = {mode: "MPOL_INTERLEAVE", nodes: "0"} |
		.process.args = ["sh", "-c", "read -r _ policy _ < /proc/self/numa_maps; echo $policy"]'
	run oci run "$ID"
	[ "$output" = interleave:0 ]
	config '.linux.memoryPolicy = {mode: "MPOL_NONE"}'
	run oci run "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *"invalid memory policy mode 'MPOL_NONE'"* ]]
}

@test "exec: groups below the container's own" {
	config --arg p "/$ID" '.linux.cgroupsPath = $p'
	oci run -d "$ID" < /dev/null > /dev/null
	run oci exec --cgroup .. "$ID" true
	[ "$status" -eq 255 ]
	[[ $output == *"bad sub cgroup path: .. is not a sub cgroup path"* ]]
	run oci exec --cgroup nothere "$ID" true
	[ "$status" -eq 255 ]
	[[ $output == *" adding pid "*"/nothere/cgroup.procs: no such file or directory"* ]]
	[ "$(oci exec "$ID" cat /proc/self/cgroup | grep -vc ":/$ID\$")" = 0 ]
}

@test "control groups are found by the id with limits, and seen without a namespace of them" {
	config '.linux.resources.pids.limit = 100'
	oci run -d "$ID" < /dev/null > /dev/null
	[ -n "$(find /sys/fs/cgroup -type d -name "$ID")" ]
	oci delete -f "$ID"
	[ -z "$(find /sys/fs/cgroup -type d -name "*$ID")" ]
	[ -e /sys/fs/cgroup/pids/cgroup.procs ] || skip "the rest needs control groups v1"
	config 'del(.linux.resources) | .linux.namespaces -= [{"type": "cgroup"}]'
	oci run -d "$ID" < /dev/null > /dev/null
	run oci exec "$ID" cat /sys/fs/cgroup/pids/cgroup.procs
	[ "$status" -eq 0 ]
	[[ $output == *1* ]]
}

@test "what is not supported is refused, and nothing is left" {
	config '.linux.intelRdt = {"closID": "x"}'
	run oci run "$ID"
	assert_status 1
	assert_match 'linux.intelRdt: .*not supported'
	run oci list -q
	assert_output ""
}
