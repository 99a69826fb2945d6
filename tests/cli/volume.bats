# Volumes: their verbs, how containers use them, what fills them.
load helper
setup_file() { suite_setup; }
teardown_file() { suite_teardown; }
teardown() {
	[ -z "${volumes:-}" ] || holm volume rm -f $volumes > /dev/null 2>&1 || true
}

@test "create, ls, inspect and rm" {
	volumes=$(unique)
	run holm volume create --label tier=db "$volumes"
	assert_status 0
	assert_output "$volumes"
	run holm volume create "$volumes" # as in Docker: it is there
	assert_status 0
	run holm volume ls -q -f "name=$volumes"
	assert_output "$volumes"
	run holm volume ls -q -f label=tier=db -f "name=$volumes"
	assert_output "$volumes"
	run holm volume ls -q -f label=tier=web -f "name=$volumes"
	assert_output ""
	run holm volume inspect -f '{{.Driver}} {{.Labels.tier}}' "$volumes"
	assert_output "local db"
	run holm volume rm "$volumes"
	assert_output "$volumes"
	run holm volume inspect "$volumes"
	assert_status 1
	assert_match "no such volume: $volumes"
}

@test "one without a name gets one, and prune takes it" {
	local name keep
	keep=$(unique)
	volumes=$keep
	name=$(holm volume create)
	[ ${#name} -eq 64 ]
	holm volume create "$keep"
	run holm volume prune -f
	assert_status 0
	assert_match "$name"
	refute_match "$keep"
	run holm volume prune -af --filter label=none
	refute_match "$keep"
	run holm volume inspect "$name"
	assert_status 1
}

@test "files stay when the container goes" {
	volumes=$(unique)
	holm run --rm -v "$volumes:/data" "$IMAGE" sh -c 'echo kept > /data/file'
	run holm run --rm -v "$volumes:/data:ro" "$IMAGE" cat /data/file
	assert_output kept
	run holm run --rm -v "$volumes:/data:ro" "$IMAGE" sh -c 'echo x > /data/file'
	[ "$status" -ne 0 ]
	assert_match "[Rr]ead-only"
}

@test "an empty volume is filled from the image" {
	volumes=$(unique)
	run holm run --rm -v "$volumes:/etc" "$IMAGE" cat /etc/passwd
	assert_status 0
	assert_match "^root:"
	# Not again: what is missing now was removed by someone.
	holm run --rm -v "$volumes:/mnt" "$IMAGE" rm /mnt/passwd
	run holm run --rm -v "$volumes:/etc" "$IMAGE" cat /etc/passwd
	[ "$status" -ne 0 ]
	holm volume rm "$volumes"
	run holm run --rm --mount "type=volume,source=$volumes,target=/etc,volume-nocopy" "$IMAGE" test -e /etc/passwd
	[ "$status" -ne 0 ]
}

@test "one in use cannot be removed" {
	local container
	volumes=$(unique)
	container=$(unique)
	holm create --name "$container" -v "$volumes:/data" "$IMAGE" true
	run holm volume rm "$volumes"
	assert_status 1
	assert_match "volume is in use"
	run holm volume ls -q -f dangling=true -f "name=$volumes"
	assert_output ""
	holm rm "$container"
	run holm volume ls -q -f dangling=true -f "name=$volumes"
	assert_output "$volumes"
	holm volume rm "$volumes"
}

@test "anonymous ones go with --rm and rm -v, not with rm" {
	local container name before
	before=$(holm volume ls -q | wc -l)
	holm run --rm -v /data "$IMAGE" true
	[ "$(holm volume ls -q | wc -l)" -eq "$before" ]
	container=$(unique)
	holm create --name "$container" -v /data "$IMAGE" true
	name=$(holm inspect -f '{{(index .Mounts 0).Name}}' "$container")
	holm rm "$container"
	volumes=$name
	holm volume inspect "$name"
	holm create --name "$container" -v /data "$IMAGE" true
	holm rm -v "$container"
	[ "$(holm volume ls -q | wc -l)" -eq $((before + 1)) ]
}

@test "wrong use is one clear line" {
	run holm volume create ../escape
	assert_status 1
	assert_one_line
	run holm volume create -o colour=red "$(unique)"
	assert_status 1
	assert_one_line
	run holm volume rm "$(unique)"
	assert_status 1
	assert_match "no such volume"
	run holm volume rm -f "$(unique)"
	assert_status 0
	run holm volume ls -f colour=red
	assert_status 1
	assert_one_line
}

@test "a volume made while another of its name is removed has its directory" {
	volumes=$(unique)
	holm volume create "$volumes" > /dev/null
	for i in $(seq 25); do
		holm volume rm "$volumes" > /dev/null 2>&1 &
		holm volume create "$volumes" > /dev/null
		wait
		dir=$(holm volume inspect -f '{{.Mountpoint}}' "$volumes" 2> /dev/null) || continue
		[ -d "$dir" ]
	done
}
