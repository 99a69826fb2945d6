# What happened: the journal, its filters and forms.
load helper
setup_file() { suite_setup; }
teardown_file() { suite_teardown; }
setup() { name=$(unique); }
past() { holm events --since 1m --until 0s "$@"; }

@test "a container's life" {
	holm run --name "$name" "$IMAGE" sh -c 'exit 3' || true
	holm rm "$name"
	run past -f "container=$name" --format '{{.Type}} {{.Action}}'
	assert_status 0
	assert_match "container create"
	assert_match "container start"
	assert_match "container die"
	assert_match "container destroy"
	run past -f "container=$name" -f event=die --format '{{.Actor.Attributes.exitCode}} {{.Actor.Attributes.image}}'
	assert_output "3 $IMAGE"
}

@test "Docker's line, and JSON" {
	holm volume create "$name"
	holm volume rm "$name"
	run past -f "volume=$name" -f event=create
	assert_match "^20[0-9-]{8}T[0-9:]{8}\.[0-9]{9}[+-][0-9]{2}:[0-9]{2} volume create $name \(driver=local\)$"
	run past -f "volume=$name" -f event=destroy --format json
	assert_match '"Type":"volume"'
	assert_match "\"ID\":\"$name\""
}

@test "filters: by type, by any of several values, by label" {
	holm run --rm --name "$name" --label "test=$name" "$IMAGE" true
	run past -f type=container -f "label=test=$name" -f event=create -f event=die --format '{{.Action}}'
	assert_output $'create\ndie'
	run past -f type=network -f "container=$name-other"
	assert_output ""
}

@test "new ones come as they happen, until the time given" {
	(
		sleep 0.5
		holm volume create "$name" > /dev/null
		holm volume rm "$name" > /dev/null
	) &
	run holm events --until "$(date -u -d '+3 seconds' +%Y-%m-%dT%H:%M:%SZ)" -f "volume=$name" --format '{{.Action}}'
	assert_status 0
	assert_output $'create\ndestroy'
}

@test "wrong use is one clear line" {
	run holm events --since someday
	assert_status 1
	assert_one_line
	run holm events -f colour=red
	assert_status 1
	assert_one_line
}
