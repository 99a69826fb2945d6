#!/usr/bin/env bats
# holm machine run: small kernels of our own on every cpu that is here.
load helper

# soft is everywhere; KVM where it opens: one that is of no use for Linux runs these too.
setup_file() {
	fresh_root
	KERNELS=$(mktemp -d "${TMPDIR:-/tmp}/holm-kernels.XXXXXX")
	export KERNELS
	local flags=(-m32 -nostdlib -static -fno-pie -no-pie -Wl,--build-id=none -Wl,-z,noseparate-code -Wl,-Ttext-segment=0x100000)
	cc "${flags[@]}" -DPVH -o "$KERNELS/pvh" "$BATS_TEST_DIRNAME/machine_kernel.S"
	cc "${flags[@]}" -o "$KERNELS/multiboot" "$BATS_TEST_DIRNAME/machine_kernel.S"
	printf 'initial' > "$KERNELS/initrd"
	CPUS=soft
	[ ! -w /dev/kvm ] || CPUS+=" kvm"
	export CPUS
}

teardown_file() {
	rm -rf --one-file-system "$HOLM_ROOT" "$KERNELS"
}

# machine CPU INPUT ARG...: a kernel that is given these letters.
machine() {
	local cpu=$1 input=$2
	shift 2
	holm machine run --cpu "$cpu" --memory 64m "$@" < <(printf %s "$input")
}

@test "a PVH and a multiboot kernel get their command line and initial RAM disk" {
	for cpu in $CPUS; do
		for kernel in pvh multiboot; do
			run machine "$cpu" o --kernel "$KERNELS/$kernel" --append "a=b c" --initrd "$KERNELS/initrd"
			assert_status 0
			assert_output "$kernel a=b c module initial>"
			run machine "$cpu" mo --kernel "$KERNELS/$kernel" --append x
			assert_status 0
			assert_output "$kernel x >m"
		done
	done
}

@test "how a machine ended is said, by a line and the exit status" {
	for cpu in $CPUS; do
		run machine "$cpu" t --kernel "$KERNELS/pvh"
		assert_status 3
		assert_match 'the machine shut down: processor 0 had a triple fault'
		run machine "$cpu" p --kernel "$KERNELS/pvh"
		assert_status 4
		assert_match "the guest's kernel panicked"
	done
}

@test "a reset boots again" {
	for cpu in $CPUS; do
		run holm machine run --cpu "$cpu" --memory 64m --kernel "$KERNELS/pvh" --append x \
			< <(printf r; sleep 1; printf o)
		assert_status 0
		assert_output "pvh x >pvh x >"
	done
}

@test "a second processor is started by the guest" {
	for cpu in $CPUS; do
		run holm machine run --cpu "$cpu" --memory 64m --cpus 2 --kernel "$KERNELS/multiboot" --append x \
			< <(printf 2; sleep 1; printf o)
		assert_status 0
		assert_output "multiboot x >2"
	done
}

@test "a machine is ended by the second signal" {
	for cpu in $CPUS; do
		"$HOLM" machine run --cpu "$cpu" --memory 64m --kernel "$KERNELS/pvh" < /dev/null > "$KERNELS/out" 3>&- &
		local pid=$!
		for _ in $(seq 50); do
			grep -q '>' "$KERNELS/out" && break
			sleep 0.1
		done
		kill -TERM $pid
		sleep 0.3
		kill -0 $pid
		kill -TERM $pid
		status=0
		wait $pid || status=$?
		[ "$status" -eq 6 ]
	done
}

@test "what cannot be booted is refused with the reason" {
	local cpu=${CPUS##* }
	run machine "$cpu" "" --kernel /nonexistent
	assert_status 125
	assert_match "read kernel '/nonexistent': No such file"
	run machine "$cpu" "" --kernel "$KERNELS/initrd"
	assert_status 125
	assert_match "is no kernel that can be booted"
	run machine "$cpu" "" --kernel "$KERNELS/pvh" --initrd /dev/zero
	assert_status 125
	assert_match "is no file"
	truncate -s 100m "$KERNELS/large"
	run machine "$cpu" "" --kernel "$KERNELS/pvh" --initrd "$KERNELS/large"
	assert_status 125
	assert_match "does not fit: give the machine more --memory"
	run holm machine run --cpu "$cpu" --memory 1m --kernel "$KERNELS/pvh"
	assert_status 125
	run holm machine run --cpu abacus --kernel "$KERNELS/pvh"
	assert_status 125
	assert_match "no cpu 'abacus'"
	run holm machine run
	assert_status 1
	assert_match "which --kernel"
}
