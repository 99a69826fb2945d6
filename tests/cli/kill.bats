#!/usr/bin/env bats
# Sudden death of anything, and a disk that fills up: tests/soak, with rounds enough for every day.

load helper

setup_file() { suite_setup own; }
teardown_file() { suite_teardown; }

@test "SIGKILL at random points leaves the store whole and nothing behind" {
	run "$PROJECT/tests/soak/kill" 120
	[ "$status" -eq 0 ] || echo "$output"
	[ "$status" -eq 0 ]
}

@test "a full disk fails with a line, and afterwards everything works" {
	HOLM_ROOT=$BATS_TEST_TMPDIR/root small_image "$IMAGE"
	HOLM_ROOT=$BATS_TEST_TMPDIR/root holm save -o "$BATS_TEST_TMPDIR/image.tar" "$IMAGE"
	run "$PROJECT/tests/soak/full-disk" "$BATS_TEST_TMPDIR/image.tar" 20
	[ "$status" -eq 0 ] || echo "$output"
	[ "$status" -eq 0 ]
}
