# The unit tests that ask something of the kernel, as built: there is no Meson in the machine.

@test "units: cgroup, container, container_mounts, engine, layer, net, seccomp, store, volume" {
	local name failed=
	for name in cgroup container container_mounts engine layer net seccomp store volume; do
		"$PWD/build/tests/unit/test-$name" > "$BATS_TEST_TMPDIR/$name" 2>&1 || {
			failed+=" $name"
			grep -vE 'RUN|OK \]|=====' "$BATS_TEST_TMPDIR/$name" >&2
		}
	done
	[ -z "$failed" ] || {
		echo "failed:$failed" >&2
		return 1
	}
}
