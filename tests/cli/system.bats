#!/usr/bin/env bats
# system df and prune over real containers, and completion of names from a real store.
load helper

setup_file() {
	suite_setup own
}

teardown_file() {
	suite_teardown
}

row() {
	holm system df --format "{{if eq .Type \"$1\"}}$2{{end}}" | grep .
}

@test "df counts images, containers and what could be had back" {
	[ "$(row Images '{{.TotalCount}} {{.Active}}')" = "1 0" ]
	holm run --name df-stopped "$IMAGE" sh -c 'head -c 3000000 /dev/urandom > /big'
	holm run -d --name df-running "$IMAGE" sleep 600
	[ "$(row Images '{{.TotalCount}} {{.Active}}')" = "1 1" ]
	[ "$(row Containers '{{.TotalCount}} {{.Active}}')" = "2 1" ]
	run row Containers '{{.Reclaimable}}'
	assert_match '^3(\.[0-9]*)?MB'
	run holm system df -v
	assert_match 'df-stopped'
	assert_match 'debian:12'
}

@test "completion offers names, and only running ones where that is meant" {
	run holm __complete -- rm df-
	assert_match 'df-stopped'
	assert_match 'df-running'
	run holm __complete -- exec df-
	assert_match 'df-running'
	refute_match 'df-stopped'
	run holm __complete -- run deb
	assert_match '^debian:12'
	run holm __complete -- run --network br
	assert_match '^bridge'
	run holm __complete -- run debian:12 d
	assert_output ""
	# The shell splits at the colon: what is offered is only what is behind it.
	run bash -c '
		source <("$HOLM" completion bash)
		COMP_LINE="$HOLM run debian:1" COMP_POINT=${#COMP_LINE}
		COMP_POINT=${#COMP_LINE}
		_holm
		printf "%s\n" "${COMPREPLY[@]}"'
	assert_output 12
}

@test "prune spares what runs, what is named, and what the filter does not match" {
	run holm system prune -f --filter label=nobody-has-it
	assert_status 0
	refute_match 'Deleted'
	run holm system prune -f --filter until=1h
	assert_status 0
	refute_match 'Deleted'
	run holm system prune -f
	assert_status 0
	assert_match 'Deleted Containers:'
	assert_match 'Total reclaimed space: [23]'
	run holm ps -a --format '{{.Names}}'
	assert_output df-running
	run holm images -q
	[ -n "$output" ]
}

@test "prune --volumes takes anonymous volumes that nobody uses" {
	holm run --name df-volume -v /data "$IMAGE" sh -c 'echo x > /data/x'
	holm rm df-volume
	[ "$(row 'Local Volumes' '{{.TotalCount}}')" -eq 1 ]
	run holm system prune -f
	[ "$(row 'Local Volumes' '{{.TotalCount}}')" -eq 1 ]
	run holm system prune -f --volumes
	assert_match 'Deleted Volumes:'
	[ "$(row 'Local Volumes' '{{.TotalCount}}')" -eq 0 ]
}

@test "prune -a takes images that nobody uses, and only those" {
	run holm system prune -af
	assert_status 0
	refute_match 'Deleted Images'
	holm rm -f df-running
	run holm system prune -af
	assert_status 0
	assert_match 'Deleted Images:'
	run holm images -q
	assert_output ""
}

@test "a full disk can be emptied" {
	local disk=$BATS_TEST_TMPDIR/disk
	mkdir "$disk" && mount -t tmpfs -o size=100m,mode=755 tmpfs "$disk"
	small() { holm --root "$disk/root" "$@"; }
	echo hello > "$BATS_TEST_TMPDIR/file"
	tar -C "$BATS_TEST_TMPDIR" -c file | small import - small:1 > /dev/null
	small create --name one -v data:/data small:1 /file > /dev/null
	head -c 200M /dev/zero > "$disk/fill" 2> /dev/null || true
	[ "$(df --output=avail -k "$disk" | tail -1)" -eq 0 ]
	run small ps -a
	assert_status 0
	assert_match one
	run small rm -f one
	assert_status 0
	run small rmi small:1
	assert_status 0
	run small volume rm data
	assert_status 0
	umount "$disk"
}

@test "sizes on disk are in the same units everywhere" {
	local tree=$BATS_TEST_TMPDIR/tree
	mkdir "$tree" && head -c 3000000 /dev/urandom > "$tree/big"
	tar -C "$tree" -c big | holm import - units:1
	holm create --name units units:1 /big
	run holm images --format '{{.Size}}' units
	assert_output 3MB
	run holm ps -as --format '{{.Size}}' --filter name=units
	assert_match '\(virtual 3(\.0[0-9])?MB\)$'
	run row Images '{{.Size}}'
	assert_match '^[0-9.]+MB$'
	holm rm units
	holm rmi units:1
}
