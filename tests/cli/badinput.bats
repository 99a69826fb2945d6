# Wrong values: one clear line, the right exit status, nothing made.
load helper

setup_file() { suite_setup; }
teardown_file() { suite_teardown; }

# All that a failed `run` could leave behind.
everything() {
	holm ps -aq
	holm volume ls -q
	holm network ls -q
	find "$HOLM_ROOT" -path '*/instances/*' -prune -print | sort
}

# refused STATUS PATTERN ARGUMENT...: the program says no in one line that matches.
refused() {
	local expected=$1 pattern=$2
	shift 2
	output=$(holm "$@" 2>&1 > /dev/null) && status=0 || status=$?
	if ! assert_status "$expected" || ! assert_one_line || ! assert_match "$pattern"; then
		echo "of: holm $*" >&2
		return 1
	fi
}

# A table of "OPTION<TAB>VALUE<TAB>PATTERN", each tried with run.
each_refused() {
	local before after option value pattern
	before=$(everything)
	while IFS=$'\t' read -r option value pattern; do
		[ -n "$option" ] || continue
		refused 125 "$pattern" run --name never "$option=$value" "$IMAGE" true
	done
	after=$(everything)
	[ "$before" = "$after" ] || {
		diff <(echo "$before") <(echo "$after") >&2
		return 1
	}
}

@test "limits out of range are refused" {
	each_refused <<- 'END'
		--memory	1m	--memory: .*6m
		--memory	lots	--memory: 'lots' is not a size
		--memory	-5	--memory: '-5' is not a size
		--memory-reservation	1k	--memory-reservation: .*6m
		--memory-swap	x	--memory-swap: 'x' is neither
		--memory-swap	1g	--memory-swap: needs --memory
		--memory-swappiness	101	--memory-swappiness: 101 is not from 0 to 100
		--memory-swappiness	-2	--memory-swappiness
		--cpus	0.001	--cpus: 0.001 is not from 0.01
		--cpus	4096	--cpus: 4096 is not from 0.01
		--cpus	many	--cpus: 'many' is not a number
		--cpu-shares	1	--cpu-shares: 1 is not from 2
		--cpu-period	10	--cpu-period: 10 is not from 1000
		--cpu-quota	10	--cpu-quota: 10 is not from 1000
		--cpuset-cpus	zero	--cpuset-cpus: 'zero' is not a list
		--cpuset-cpus	3-1	--cpuset-cpus: '3-1' is not a list
		--cpuset-cpus	0-4095	--cpuset-cpus: .*this host's CPUs are
		--cpuset-mems	99	--cpuset-mems: .*this host's memory nodes are
		--pids-limit	-7	--pids-limit: -7
		--pids-limit	few	--pids-limit: 'few' is not a whole number
		--blkio-weight	5	--blkio-weight: 5 is not from 10 to 1000
		--blkio-weight-device	/dev/null:500	--blkio-weight-device: .*not a block device
		--device-read-bps	/dev/sda	--device-read-bps: .*RATE
		--device-read-bps	sda:1m	--device-read-bps
		--device-write-bps	/dev/null:1m	--device-write-bps: .*not a block device
		--device-read-iops	/dev/null:x	--device-read-iops
		--device-write-iops	/nonexistent:5	--device-write-iops: .*No such file
		--oom-score-adj	2000	--oom-score-adj: 2000 is not from -1000
		--shm-size	0	--shm-size
		--ulimit	files=10	--ulimit: 'files' is not a limit
		--ulimit	nofile	--ulimit: 'nofile' is not NAME=SOFT
		--ulimit	nofile=20:10	--ulimit: .*above the hard
		--ulimit	nofile=ten	--ulimit: .*not a number
		--device	null	--device: .*absolute
		--device	/dev/nonexistent	--device: .*No such file
		--device	/etc/passwd	--device: .*neither a device
		--device	/dev/null:/dev/x:rwz	--device: .*'rwz' is not made of
		--device-cgroup-rule	c 1:3	--device-cgroup-rule
		--device-cgroup-rule	x 1:3 r	--device-cgroup-rule
	END
	refused 125 "less than --memory" run --memory 64m --memory-swap 32m "$IMAGE" true
	refused 125 "more than --memory" run --memory 64m --memory-reservation 128m "$IMAGE" true
	refused 125 "exclude each other" run --cpus 1 --cpu-quota 5000 "$IMAGE" true
	refused 125 "needs --memory" run --oom-kill-disable "$IMAGE" true
}

@test "mounts that make no sense are refused" {
	each_refused <<- 'END'
		--volume	relative/dir:/x	'relative/dir' is no volume's name
		--volume	/tmp:x	target 'x' is not an absolute path
		--volume	/tmp:/	target cannot be /
		--volume	relative:/x:zz	'zz' is not an option
		--volume	/tmp:/x:ro,rw	'rw' contradicts
		--volume	/tmp:/x:nocopy	'nocopy' goes with a volume
		--volume	data:/x:rshared	'rshared' goes with a directory
		--volume	/a:/b:ro:more	is not \[SOURCE:\]PATH
		--volume	:/x	is not \[SOURCE:\]PATH
		--mount	type=bind,target=/x	needs source
		--mount	type=bind,source=/nonexistent,target=/x	No such file
		--mount	type=bind,source=here,target=/x	not an absolute path
		--mount	type=nfs,target=/x	'nfs' is not a value of 'type'
		--mount	type=tmpfs	no target
		--mount	type=tmpfs,source=/x,target=/y	has no source
		--mount	type=volume,target=/x,tmpfs-size=1m	goes with type=tmpfs
		--mount	type=tmpfs,target=/x,tmpfs-mode=9	'9' is not a value of 'tmpfs-mode'
		--mount	type=bind,source=/tmp,target=/x,bind-propagation=odd	'odd' is not a value
		--mount	type=volume,target=/x,colour=red	unknown key 'colour'
		--mount	type=volume,target=/x,readonly=perhaps	'perhaps' is not a value
		--mount	type=volume,source=a/b,target=/x	no volume's name
		--tmpfs	run	not an absolute path
		--tmpfs	/run:size=big	'size=big' is not an option
		--tmpfs	/run:mode=999	'mode=999' is not an option
		--tmpfs	/run:loud	'loud' is not an option
		--volumes-from	nobody	no such container
	END
	refused 125 "mounted at /x already" run -v /tmp:/x --tmpfs /x "$IMAGE" true
	refused 125 "neither ro nor rw" run --volumes-from "x:odd" "$IMAGE" true
}

@test "network options that make no sense are refused" {
	each_refused <<- 'END'
		--network	no-such-network	no-such-network
		--network	name=bridge,colour=red	unknown key 'colour'
		--network	alias=x	no name=NETWORK
		--network	name=bridge,ip=1.2.3	'1.2.3' is not an IPv4
		--network	name=none,ip=10.0.0.9	takes no addresses
		--network	container:nobody	no such container
		--network	a b	'a b' is not a network's name
		--ip	300.1.1.1	--ip: '300.1.1.1' is not an IPv4
		--ip6	10.0.0.1	--ip6: '10.0.0.1' is not an IPv6
		--mac-address	02:42:zz:00:00:01	--mac-address
		--mac-address	03:42:00:00:00:01	--mac-address
		--network-alias	a/b	--network-alias: 'a/b'
		--publish	99999:80	99999
		--publish	x:80	--publish
		--publish	80-90:80-81	--publish
		--publish	8080:80/icmp	icmp
		--expose	70000	--expose: '70000'
		--expose	80/sctp	neither tcp nor udp
		--expose	90-80	--expose
		--dns	dns.example	--dns: 'dns.example' is not an IP
		--dns-search	a b	--dns-search
		--add-host	db	--add-host: 'db' is not HOST:IP
		--add-host	db:nowhere	--add-host
	END
	refused 125 "excludes further networks" run --network host --network bridge "$IMAGE" true
	refused 125 "excludes further networks" run --network bridge --network none "$IMAGE" true
	refused 125 "given twice" run --network bridge --network bridge "$IMAGE" true
	refused 125 "does not go with" run --network host --ip 10.0.0.9 "$IMAGE" true
}

@test "security options and namespaces that make no sense are refused" {
	each_refused <<- 'END'
		--cap-add	NET_ADMN	did you mean 'NET_ADMIN'
		--cap-add	CAP_WHATEVER_ELSE	not a capability
		--cap-drop	everything	not a capability
		--security-opt	nonsense	--security-opt: 'nonsense'
		--security-opt	colour=red	unknown option 'colour'
		--security-opt	no-new-privileges:maybe	neither true nor false
		--security-opt	seccomp=/nonexistent	/nonexistent
		--security-opt	seccomp=/etc/passwd	seccomp profile
		--security-opt	systempaths=none	not unconfined
		--userns	0	--userns: '0'
		--userns	me	--userns: 'me'
		--pid	child	--pid: 'child' is not one of
		--ipc	shared	--ipc: 'shared' is not one of
		--uts	container:x	--uts: 'container:x' is not one of
		--cgroupns	mine	--cgroupns: 'mine' is not one of
		--cgroup-parent	../..	leads out
		--sysctl	kernel.panic=1	'kernel.panic' is the host's
		--sysctl	net.ipv4.ip_forward	is not KEY=VALUE
		--sysctl	net../../kernel/panic=1	not a parameter's name
	END
	refused 125 "does not go with --network host" \
		run --network host --sysctl net.ipv4.ip_forward=1 "$IMAGE" true
	refused 125 "does not go with" run --uts host --hostname x "$IMAGE" true
}

@test "other options with wrong values are refused" {
	each_refused <<- 'END'
		--hostname	-x	--hostname: '-x' is not a host name
		--hostname	a_b/c	--hostname
		--domainname	a b	--domainname
		--workdir	here	--workdir: 'here' is not an absolute path
		--env	=x	--env: '=x' has no name
		--env-file	/nonexistent	--env-file: .*No such file
		--label	=x	--label: '=x' has no name
		--label-file	/nonexistent	--label-file
		--user	nobody-of-that-name	unable to find user
		--user	:	user
		--group-add	no-such-group	unable to find group
		--restart	sometimes	'sometimes' is not one of
		--restart	always:3	on-failure alone
		--restart	on-failure:x	'x' is not a number
		--stop-signal	SIGWHAT	--stop-signal: 'SIGWHAT' is not a signal
		--stop-timeout	soon	--stop-timeout
		--stop-timeout	-5	--stop-timeout
		--health-interval	1us	--health-interval: .*1ms
		--health-interval	often	'often' is not a duration
		--health-retries	-1	--health-retries
		--log-driver	syslog	'syslog' is not one of
		--log-opt	colour=red	'colour=red' is neither
		--log-opt	max-size=x	max-size 'x'
		--log-opt	max-file=0	max-file '0'
		--log-opt	max-file=3	max-file needs max-size
		--platform	plan9/mips	does not run here
		--pull	often	'often' is not one of
		--isolation	vm	not in this version
		--isolation	jail	'jail' is not one of
		--runtime	kata	'kata' is not one of
		--attach	stdlog	'stdlog' is not one of
		--detach-keys	ctrl-1	'ctrl-1' is neither
		--detach	perhaps	'perhaps' is not true or false
		--cidfile	/nonexistent/cid	--cidfile
		--nonsense	1	unknown option '--nonsense'
	END
	refused 125 "exclude each other" run --rm --restart always "$IMAGE" true
	refused 125 "exclude each other" run -d -a stdout "$IMAGE" true
	refused 125 "exclude each other" run --no-healthcheck --health-cmd true "$IMAGE" true
	refused 125 "health check" run --no-healthcheck --restart on-unhealthy "$IMAGE" true
	refused 125 "is not a name" run --name "-x" "$IMAGE" true
	refused 125 "is not a name" run --name "a/b" "$IMAGE" true
	refused 125 "is not a name" run --name "x" "$IMAGE" true
}

@test "env files: the line is named" {
	local file="$BATS_TEST_TMPDIR/env"
	printf 'GOOD=1\n# a comment\n\nBAD NAME=2\n' > "$file"
	refused 125 "line 4: white space" run --env-file "$file" "$IMAGE" true
	printf '=2\n' > "$file"
	refused 125 "line 1: no name" run --env-file "$file" "$IMAGE" true
	printf 'A=\0b\n' > "$file"
	refused 125 "not a text file" run --env-file "$file" "$IMAGE" true
}

@test "absent images, names in use, cidfiles that are there" {
	local name
	name=$(unique)
	refused 125 "nosuchimage" run nosuchimage:1 true
	refused 125 "image" run --pull never nosuchimage:1 true
	refused 125 "." run "UPPER:case" true
	holm create --name "$name" "$IMAGE" true
	refused 125 "'$name' is in use" create --name "$name" "$IMAGE" true
	echo x > "$BATS_TEST_TMPDIR/cid"
	refused 125 "is there already" create --cidfile "$BATS_TEST_TMPDIR/cid" "$IMAGE" true
	[ "$(cat "$BATS_TEST_TMPDIR/cid")" = x ]
	refused 125 "image" create --cidfile "$BATS_TEST_TMPDIR/new" nosuchimage true
	[ ! -e "$BATS_TEST_TMPDIR/new" ]
	holm rm "$name"
}

@test "verbs on containers that are not there" {
	local verb
	for verb in start stop kill restart rm pause unpause wait port top attach inspect; do
		refused 1 "nobody" "$verb" nobody
	done
	refused 1 "nobody" exec nobody true
	refused 1 "nobody" rename nobody other
	refused 1 "nobody" update --memory 64m nobody
	refused 1 "nobody" stats --no-stream nobody
	refused 1 "nobody" ps --filter before=nobody
}

@test "wrong values of the other verbs" {
	refused 1 "not a signal" stop -s WHAT x
	refused 1 "not a signal" kill -s 99 x
	refused 1 "not a number of seconds" stop -t -9 x
	refused 1 "nothing to update" update x
	refused 1 "6m" update --memory 1m x
	refused 1 "not one of" update --restart perhaps x
	refused 1 "unknown filter|not a filter|colour" ps --filter colour=red
	refused 1 "not one of its values" ps --filter status=lost
	refused 1 "not an exit code" ps --filter exited=x
	refused 1 "unknown column" top x -o colour
	refused 125 "absolute" exec -w here x true
	refused 1 "PORT" port x 99999
}

@test "what docker has and holm has not is said, not guessed at" {
	local verb
	for verb in search swarm manifest plugin context; do
		refused 1 "^holm: '$verb' is not in this version: " "$verb" x
	done
	refused 1 "'image search' is not in this version" image search debian
}

@test "a port without a number, a duration without a unit, a cut-off option, a long root" {
	refused 125 "'80:': the container's port is missing" run -p 80: "$IMAGE" true
	refused 125 "'-1' is not a port number, nor a range" run -p -1 "$IMAGE" true
	refused 125 "missing unit in duration '1'" run --health-interval 1 "$IMAGE" true
	refused 125 "did you mean '--memory'" run --mem 1g "$IMAGE" true
	refused 125 "is not true or false" ps --help=maybe
	refused 1 "is too long" --root "/tmp/$(printf %0500d 1)" ps
	run holm ps --help=false
	assert_status 0
	assert_match "CONTAINER ID"
}

@test "a current directory that is gone is no way to the host's root" {
	local name
	name=$(unique)
	mkdir "$BATS_TEST_TMPDIR/gone"
	run bash -c "cd '$BATS_TEST_TMPDIR/gone' && rmdir ../gone && '$HOLM' run --rm --name '$name' -v .:/x '$IMAGE' ls /x"
	assert_status 125
	assert_one_line
	assert_match 'the current directory is gone'
	run bash -c "cd '$BATS_TEST_TMPDIR' && mkdir gone && cd gone && rmdir ../gone && '$HOLM' run --rm --name '$name' --mount type=bind,src=./sub,dst=/x '$IMAGE' ls /x"
	assert_status 125
	[ ! -e /sub ]
}
