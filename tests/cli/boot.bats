#!/usr/bin/env bats
# `start --boot`: what the host's start calls.

load helper

setup_file() { suite_setup own; }
teardown_file() { suite_teardown; }

supervisor_of() {
	pgrep -f "supervise $(holm inspect -f '{{.Id}}' "$1")"
}

exited() {
	[ "$(holm inspect -f '{{.State.Status}}' "$1")" = exited ]
}

@test "a supervisor asked to end stops its container in order, and --boot starts it again" {
	holm run -d --name never --stop-timeout 1 debian:12 sleep 300
	holm run -d --name ever --restart always debian:12 sh -c 'trap "exit 4" TERM; while :; do sleep 0.1; done'
	holm run -d --name unless --restart unless-stopped debian:12 sh -c 'trap "exit 4" TERM; while :; do sleep 0.1; done'
	for name in never ever unless; do
		kill "$(supervisor_of $name)"
	done
	eventually exited ever
	eventually exited unless
	[ "$(holm inspect -f '{{.State.ExitCode}}' ever)" -eq 4 ]
	EVENTUALLY=20 eventually exited never
	run holm start --boot
	assert_status 0
	[ "$(sort <<< "$output" | paste -sd' ')" = "ever unless" ]
}

@test "what a person stopped stays down unless its policy is always" {
	holm stop -t 5 ever unless
	run holm start --boot
	assert_status 0
	assert_output ever
}

@test "stop --boot stops all in order, for start --boot to start again" {
	holm start unless never
	run holm stop --boot
	assert_status 0
	run holm ps -q
	assert_output ""
	[ "$(holm inspect -f '{{.State.ExitCode}}' unless)" -eq 4 ]
	run holm start --boot
	[ "$(sort <<< "$output" | paste -sd' ')" = "ever unless" ]
}

@test "--boot takes no containers" {
	run holm start --boot ever
	assert_status 1
	assert_one_line
}
