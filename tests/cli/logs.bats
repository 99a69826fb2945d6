# What containers wrote: streams, tail, times, following, rotation.
load helper
setup_file() { suite_setup; }
teardown_file() { suite_teardown; }
setup() { name=$(unique); }
teardown() { holm rm -f "$name" > /dev/null 2>&1 || true; }

@test "standard output and standard error stay apart" {
	holm run --name "$name" "$IMAGE" sh -c 'echo out; echo bad >&2' > /dev/null 2>&1
	[ "$(holm logs "$name" 2> /dev/null)" = out ]
	[ "$(holm logs "$name" 2>&1 > /dev/null)" = bad ]
}

@test "tail, since, until and times" {
	holm run --name "$name" "$IMAGE" sh -c 'for i in 1 2 3 4 5; do echo $i; done; sleep 1; echo 6' > /dev/null
	run holm logs --tail 2 "$name"
	assert_output $'5\n6'
	run holm logs -n 0 "$name"
	assert_output ""
	run holm logs --tail all "$name"
	[ "${#lines[@]}" -eq 6 ]
	run holm logs -t -n 1 "$name"
	assert_match '^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{9}Z 6$'
	local last=${lines[0]% *}
	run holm logs --since "$last" "$name"
	assert_output 6
	run holm logs --until "$last" -n 1 "$name"
	assert_output 6
	run holm logs --since 1h --until 30m "$name"
	assert_output ""
}

@test "follow ends with the container and misses nothing" {
	holm run -d --name "$name" "$IMAGE" sh -c 'for i in $(seq 200); do echo line $i; done; sleep 1; printf end' > /dev/null
	run holm logs -f "$name"
	assert_status 0
	[ "${#lines[@]}" -eq 201 ]
	[ "${lines[200]}" = end ]
}

@test "follow ends when the container is killed" {
	holm run -d --name "$name" "$IMAGE" sh -c 'echo up; sleep 60' > /dev/null
	eventually grep -q up <(holm logs "$name")
	(
		sleep 0.5
		holm kill "$name" > /dev/null
	) &
	HOLM_TIMEOUT=20 run holm logs -f "$name"
	assert_status 0
	assert_output up
}

@test "rotation bounds them, and nothing recent is lost" {
	local dir
	holm run --name "$name" --log-opt max-size=10k --log-opt max-file=3 "$IMAGE" \
		sh -c 'for i in $(seq 2000); do echo line $i; done' > /dev/null
	dir=$HOLM_ROOT/instances/$(holm inspect -f '{{.Id}}' "$name")
	[ "$(ls "$dir" | grep -c '^log\.json')" -eq 3 ]
	[ "$(cat "$dir"/log.json* | wc -c)" -le 30720 ]
	run holm logs -n 200 "$name"
	[ "${#lines[@]}" -eq 200 ]
	[ "${lines[0]}" = "line 1801" ]
	[ "${lines[199]}" = "line 2000" ]
}

@test "bytes that are no text, long lines, no newline at the end" {
	holm run --name "$name" "$IMAGE" \
		sh -c 'printf "a\377b\000c\n"; head -c 40000 /dev/zero | tr "\0" x; echo; printf tail' > /dev/null
	holm logs "$name" | head -1 | grep -aq $'^a\xef\xbf\xbdb'
	[ "$(holm logs "$name" | sed -n 2p | wc -c)" -eq 40001 ]
	[ "$(holm logs "$name" | tail -c 4)" = tail ]
}

@test "without a log" {
	holm run --name "$name" --log-driver none "$IMAGE" echo x > /dev/null
	run holm logs "$name"
	assert_status 1
	assert_one_line
}

@test "wrong use is one clear line" {
	run holm logs "$name"
	assert_status 1
	assert_match "no such container"
	run holm logs --tail many "$name"
	assert_status 1
	assert_one_line
	run holm logs --since tomorrowish "$name"
	assert_status 1
	assert_one_line
	run holm run --rm --log-opt max-size=big "$IMAGE" true
	assert_status 125
	run holm run --rm --log-driver syslog "$IMAGE" true
	assert_status 125
}

@test "every control character comes back as it was written" {
	holm run --name "$name" "$IMAGE" awk 'BEGIN { for (i = 0; i < 128; i++) printf "%c", i }' > "$BATS_TEST_TMPDIR/run"
	[ "$(stat -c %s "$BATS_TEST_TMPDIR/run")" -eq 128 ]
	holm logs "$name" | cmp "$BATS_TEST_TMPDIR/run"
	python3 -c 'import json, sys; [json.loads(line) for line in sys.stdin]' < "$HOLM_ROOT"/instances/"$(holm inspect -f '{{.Id}}' "$name")"/log.json
}

@test "output is not held up by its log, though each byte is six there" {
	local start=$SECONDS
	[ "$(holm run --rm "$IMAGE" head -c 67108864 /dev/zero | wc -c)" -eq 67108864 ]
	[ $((SECONDS - start)) -lt 15 ]
}
