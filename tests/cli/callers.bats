#!/usr/bin/env bats
# Those who call an OCI runtime, with holm in runc's place: containerd by ctr, and podman. Each has a root, a
# state directory and (containerd) a socket of its own.
load helper

SMALL=callers:1

setup_file() {
	suite_setup
	export CALLERS ARCHIVE
	CALLERS=$(mktemp -d /tmp/holm-callers.XXXXXX)
	ARCHIVE=$CALLERS/image.tar
	ln -s "$HOLM" "$CALLERS/holm-oci"
	small_image "$SMALL"
	holm save -o "$ARCHIVE" "$SMALL"
}

teardown_file() {
	[ ! -e "$CALLERS/containerd.pid" ] || kill "$(cat "$CALLERS/containerd.pid")"
	pod rm -af > /dev/null 2>&1 || true
	grep -o " $CALLERS/[^ ]*" /proc/self/mountinfo | sort -ru | xargs -r umount || true
	rm -rf --one-file-system "$CALLERS"
	suite_teardown
}

needs() {
	local program
	for program; do
		command -v "$program" > /dev/null || skip "$program is not installed"
	done
}

pod() {
	timeout --foreground -k 5 60 podman --root "$CALLERS/pod" --runroot "$CALLERS/podrun" --cgroup-manager cgroupfs \
		--events-backend file --log-level error --runtime "$CALLERS/holm-oci" "$@" 3>&- 2> "$CALLERS/stderr"
}

start_containerd() {
	cat > "$CALLERS/containerd.toml" <<- END
		version = 2
		root = "$CALLERS/root"
		state = "$CALLERS/state"
		disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
		[grpc]
		  address = "$CALLERS/containerd.sock"
	END
	containerd -c "$CALLERS/containerd.toml" > "$CALLERS/containerd.log" 2>&1 3>&- &
	echo $! > "$CALLERS/containerd.pid"
	eventually ctr_ version
}

ctr_() {
	timeout --foreground -k 5 60 ctr -a "$CALLERS/containerd.sock" "$@" 3>&- 2> "$CALLERS/stderr"
}

task_is() {
	ctr_ task ls | grep -q "^$1 .*$2"
}

@test "podman: run, exit codes, limits, exec, pause, top, stop, rm" {
	needs podman conmon
	HOLM_TIMEOUT=300 pod load -q -i "$ARCHIVE" > /dev/null
	run pod run --rm --network none "$SMALL" sh -c 'echo hi; exit 7'
	assert_status 7
	assert_output hi
	run -127 pod run --rm --network none "$SMALL" /absent
	run -127 pod run --rm --network none "$SMALL" absent
	run pod run --rm --network none "$SMALL" /etc/passwd
	assert_status 126
	pod run -d --name p1 --network none -m 64m -v "$CALLERS:/host:ro" "$SMALL" sleep 300 > /dev/null
	run pod exec p1 sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2> /dev/null; ls /host/image.tar; exit 3'
	assert_status 3
	assert_output $'67108864\n/host/image.tar'
	# It is holm that runs it.
	run "$CALLERS/holm-oci" --root "$(dirname "$(find /run/holm-oci /run/user/0/holm-oci /run/holm -maxdepth 1 -name "$(pod inspect -f '{{.Id}}' p1)" 2> /dev/null)")" list
	assert_match "$(pod inspect -f '{{.Id}}' p1)"
	pod pause p1
	run pod inspect -f '{{.State.Status}}' p1
	assert_output paused
	pod unpause p1
	run pod top p1 args
	assert_match 'sleep 300'
	pod stop -t 0 p1
	run pod inspect -f '{{.State.Status}} {{.State.ExitCode}}' p1
	assert_output 'exited 137'
	pod rm p1
	run pod ps -aq
	assert_output ""
}

@test "containerd: run, exit codes, exec, pause, ps, metrics, kill, rm" {
	needs containerd ctr skopeo
	start_containerd
	skopeo copy -q "docker-archive:$ARCHIVE" "oci-archive:$CALLERS/oci.tar:docker.io/library/$SMALL"
	ctr_ images import "$CALLERS/oci.tar" > /dev/null
	local image=docker.io/library/$SMALL runtime=(--runc-binary "$CALLERS/holm-oci")
	run ctr_ run --rm "${runtime[@]}" $image c0 sh -c 'echo hi; exit 5'
	assert_status 5
	assert_output hi
	ctr_ run -d "${runtime[@]}" --memory-limit 67108864 $image c1 sleep 300
	eventually task_is c1 RUNNING
	run ctr_ task exec --exec-id e1 c1 sh -c 'echo in; exit 4'
	assert_status 4
	assert_output in
	ctr_ task pause c1
	task_is c1 PAUSED
	ctr_ task resume c1
	task_is c1 RUNNING
	run ctr_ task ps c1
	assert_match "$(ctr_ task ls | sed -n 's/^c1 *\([0-9]*\).*/\1/p')"
	run ctr_ task metrics c1
	assert_match 'memory.*67108864|67108864'
	ctr_ task kill -s KILL c1
	eventually task_is c1 STOPPED
	ctr_ task rm c1 || [ $? -eq 137 ]
	ctr_ containers rm c1
	run ctr_ containers ls -q
	assert_output ""
	run "$HOLM" oci --root "$CALLERS/none" run -b "$CALLERS" absent
	assert_status 1
}
