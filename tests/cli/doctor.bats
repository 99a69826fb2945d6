#!/usr/bin/env bats
# What holm says about the host: doctor, info.
load helper

setup_file() {
	fresh_root
	HOST_STATE=$(host_state)
	export HOST_STATE
}

teardown_file() {
	rm -rf --one-file-system "$HOLM_ROOT"
	no_leaks
}

@test "doctor finds what containers need here and says so" {
	needs_root
	run holm doctor
	assert_status 0
	assert_match 'container +yes'
	assert_match 'vm +no +not in this version'
	assert_match 'emulated +no +not in this version'
	for check in overlay seccomp cgroups links nftables mmdebstrap; do
		assert_match "$check +(ok|limited)"
	done
}

@test "doctor as JSON and through a template" {
	needs_root
	run jq -r '.Isolations[] | select(.Available == "yes").Isolation' <(holm doctor --format json)
	assert_output container
	run holm doctor --format '{{range .Checks}}{{.Check}} {{end}}'
	assert_status 0
	assert_match overlay
}

@test "doctor leaves nothing behind" {
	needs_root
	holm doctor > /dev/null
	run find "$HOLM_ROOT" -name 'doctor.*'
	assert_output ""
	run grep -c "$HOLM_ROOT" /proc/self/mountinfo
	assert_output 0
	no_leaks
}

@test "doctor names a missing program and the command that brings it" {
	needs_root
	run env PATH=/nowhere "$HOLM" doctor
	assert_status 0
	assert_match 'mmdebstrap +limited'
	assert_match 'apt-get install mmdebstrap'
}

@test "doctor fails where overlay cannot be used, and says what else to do" {
	needs_root
	grep -qw overlay /proc/filesystems || skip "no overlay here at all"
	# An overlay cannot hold the upper directory of another one.
	mkdir -p "$BATS_TEST_TMPDIR"/{l,u,w,m}
	run unshare -m bash -c '
		cd "$1" && mount -t overlay overlay -o lowerdir=l,upperdir=u,workdir=w m &&
		"$HOLM" --root "$1/m/root" doctor' _ "$BATS_TEST_TMPDIR"
	assert_status 1
	assert_match 'container +no +overlay'
	assert_match 'overlay +missing'
	assert_match 'To mend it:'
	assert_match 'on ext4, xfs or btrfs'
}

@test "doctor tells an ordinary user what is missing, and what mends it" {
	needs_root
	export HOLM_ROOT=$BATS_TEST_TMPDIR/root
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$BATS_TEST_TMPDIR" 2> /dev/null || true
	install -d -o 65533 "$HOLM_ROOT"
	run as_user --no-ids --no-tun "$HOLM" doctor
	assert_status 0
	assert_match 'container +yes'
	assert_match 'privileges +ok .*user 65533'
	assert_match 'ids +limited'
	assert_match 'sudo usermod --add-subuids [0-9]+-[0-9]+ --add-subgids [0-9]+-[0-9]+ u65533'
	assert_match 'sudo chmod 0666 /dev/net/tun'
	EVENTUALLY=5 eventually no_user_processes
}

no_user_processes() {
	! ps -o stat= -u 65533 | grep -qv '^Z'
}

@test "doctor reports a store that cannot be made" {
	needs_root
	touch "$BATS_TEST_TMPDIR/file"
	run holm --root "$BATS_TEST_TMPDIR/file/root" doctor
	assert_status 1
	assert_match 'overlay +missing'
}

@test "info counts and describes" {
	needs_root
	run holm info
	assert_status 0
	assert_match 'Containers: +0'
	assert_match "Root: +$HOLM_ROOT"
	assert_match 'Isolation: +container: available'
	run holm info --format '{{.Images}} {{.Driver}} {{.OSType}}'
	assert_output "0 overlay linux"
	run jq -r .KernelVersion <(holm info --format json)
	assert_output "$(uname -r)"
}

@test "system df of an empty store" {
	needs_root
	run holm system df
	assert_status 0
	assert_match 'Images +0 +0 +0B +0B \(0%\)'
	run jq -rs 'map(.Type) | join(",")' <(holm system df --format json)
	assert_output "Images,Containers,Local Volumes,Build Cache"
	run holm system df -v
	assert_status 0
	assert_match 'VOLUME NAME'
}

@test "system prune asks, and checks its filters first" {
	needs_root
	run holm system prune < /dev/null
	assert_status 1
	assert_match 'there is no answer to read: add --force'
	run holm system prune <<< n
	assert_status 0
	refute_match 'Total reclaimed'
	run holm system prune <<< y
	assert_status 0
	assert_match 'Total reclaimed space: 0B'
	run holm system prune -f
	assert_status 0
	assert_output "Total reclaimed space: 0B"
	run holm system prune -f --filter colour=red
	assert_status 1
	assert_output "holm: --filter: unknown key 'colour': there are label, until"
	run holm system prune -f --filter until=soon
	assert_status 1
	assert_one_line
}

@test "a store that another program damaged is one clear line" {
	needs_root
	mkdir "$BATS_TEST_TMPDIR/root"
	head -c 8192 /dev/urandom > "$BATS_TEST_TMPDIR/root/holm.db"
	run holm --root "$BATS_TEST_TMPDIR/root" info
	assert_status 1
	assert_one_line
	assert_match damaged
	run holm --root "$BATS_TEST_TMPDIR/root" version
	assert_status 0
}

@test "doctor says which cpu a machine would have, and remembers what it measured of KVM" {
	needs_root
	run holm doctor
	assert_match 'machine cpu +(ok|limited) +machine run +cpu (kvm|soft)'
	[ -w /dev/kvm ] || skip "no /dev/kvm to measure"
	# One line: this boot, and the verdict; another boot's, or none, is measured again.
	local file=$HOLM_ROOT/run/kvm
	run cat "$file"
	assert_match "^$(cat /proc/sys/kernel/random/boot_id) ."
	echo "$(cat /proc/sys/kernel/random/boot_id) good" > "$file"
	run holm doctor
	assert_match 'machine cpu +ok +machine run +cpu kvm'
	echo "$(cat /proc/sys/kernel/random/boot_id) guest kernel code is lame" > "$file"
	run holm doctor
	assert_match 'machine cpu +limited +machine run +cpu soft: KVM is of no use here: guest kernel code is lame'
	echo "another good" > "$file"
	run holm doctor
	run cat "$file"
	assert_match "^$(cat /proc/sys/kernel/random/boot_id) ."
}
