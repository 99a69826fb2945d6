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

# machine CPU INPUT ARG...: a kernel that is given these letters. What is said of a KVM that is of no use is left out.
machine() {
	local cpu=$1 input=$2
	shift 2
	machine_from "$cpu" "$@" < <(printf %s "$input")
}

# The same with the letters from standard input.
machine_from() {
	local cpu=$1
	shift
	holm machine run --cpu "$cpu" --memory 64m "$@" 2> >(grep -v "running on cpu 'kvm'" >&2)
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
		run machine_from "$cpu" --kernel "$KERNELS/pvh" --append x \
			< <(printf r; sleep 1; printf o)
		assert_status 0
		assert_output "pvh x >pvh x >"
	done
}

@test "a second processor is started by the guest" {
	for cpu in $CPUS; do
		run machine_from "$cpu" --cpus 2 --kernel "$KERNELS/multiboot" --append x \
			< <(printf 2; sleep 1; printf o)
		assert_status 0
		assert_output "multiboot x >2"
	done
}

@test "a virtio console has the terminal's size, also when that changes" {
	for cpu in $CPUS; do
		"$PROJECT/tests/cli/terminal.py" "$HOLM" machine run --cpu "$cpu" --memory 64m --kernel "$KERNELS/pvh" \
			--console virtio --append columns <<- 'END'
			expect pvh P
			resize 24 90
			expect Z
			status 0
		END
	done
}

@test "all devices can be made and taken down in the jail" {
	truncate -s 1m "$KERNELS/a" "$KERNELS/b"
	for cpu in $CPUS; do
		run machine "$cpu" o --kernel "$KERNELS/pvh" --append x --disk "$KERNELS/a" --disk "$KERNELS/b:ro" --net none --rng \
			--balloon 1m --vsock "5:$KERNELS/v" --test-devices
		assert_status 0
		assert_output "pvh x >"
		[ ! -e "$KERNELS/v" ]
	done
}

@test "a machine is ended by the second signal" {
	for cpu in $CPUS; do
		"$HOLM" machine run --cpu "$cpu" --memory 64m --kernel "$KERNELS/pvh" < /dev/null > "$KERNELS/out" 2> "$KERNELS/said" 3>&- &
		local pid=$!
		for _ in $(seq 50); do
			grep -q '>' "$KERNELS/out" && break
			sleep 0.1
		done
		kill -TERM $pid
		eventually grep -q "pressed the machine's power button" "$KERNELS/said"
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
	assert_match "open kernel '/nonexistent': No such file"
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
	assert_match "--cpu is auto, kvm or soft"
	run holm machine run
	assert_status 125
	assert_match "which --kernel"
	refused() {
		run holm machine run --cpu soft --kernel "$KERNELS/pvh" "${@:2}"
		assert_status 125
		assert_one_line
		assert_match "$1"
	}
	refused "a machine has 1 to 64" --cpus 0
	refused "512m is 512 MiB" --memory 512
	refused "2m at least" --memory 0
	refused "16t of memory at most" --memory 99t
	refused "nothing would be left to the guest" --memory 64m --balloon 64m
	refused "two ports from 1 to 65535" --net user,port=0:80
	refused "two ports from 1 to 65535" --net user,port=80
	refused "is there, and is no socket" --vsock "5:$KERNELS/pvh"
	refused "neither a file nor a block device$" --disk /dev/null
}

# Debian's cloud kernel, from its package, unpacked once into the cache. Its path in KERNEL, its modules in MODULES.
debian_kernel() {
	local dir=$HOLM_TEST_CACHE/kernel package
	if ! compgen -G "$dir/x/boot/vmlinuz-*" > /dev/null; then
		package=$(apt-cache depends linux-image-cloud-amd64 2> /dev/null | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
		[ -n "$package" ] || skip "apt knows no linux-image-cloud-amd64"
		mkdir -p "$dir"
		(cd "$dir" && apt-get download "$package" > /dev/null 2>&1) || skip "cannot download $package"
		dpkg-deb -x "$dir"/linux-image-*.deb "$dir/x.$$"
		mv "$dir/x.$$" "$dir/x"
	fi
	KERNEL=$(compgen -G "$dir/x/boot/vmlinuz-*")
	MODULES=$dir/x/lib/modules
}

# Connects to port 80 of the host, prints what it is told.
VSOCK_CLIENT='
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void)
{
	struct sockaddr_vm to = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = 80 };
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
	char text[64];
	ssize_t n;

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		perror("vsock");
		return 1;
	}
	while ((n = read(fd, text, sizeof(text))) > 0)
		write(1, text, n);
	return 0;
}'

@test "Debian's kernel on two processors of the software cpu uses all devices and switches the machine off" {
	local tree=$KERNELS/tree name net=()
	command -v cpio busybox > /dev/null || skip "needs cpio and busybox"
	debian_kernel
	local modules="virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk failover net_failover
		virtio_net virtio-rng virtio_balloon virtio_console vsock vmw_vsock_virtio_transport_common vmw_vsock_virtio_transport"
	mkdir -p "$tree"/{bin,dev,m,sys}
	cp "$(command -v busybox)" "$tree/bin/"
	cc -static -O1 -x c -o "$tree/bin/client" - <<< "$VSOCK_CLIENT"
	for name in $modules; do
		find "$MODULES" -name "$name.ko" -exec cp {} "$tree/m/" \;
	done
	cat > "$tree/init" <<- END
		#!/bin/busybox sh
		modules="$(echo $modules)"
	END
	cat >> "$tree/init" <<- 'END'
		b=/bin/busybox
		$b mount -t devtmpfs dev /dev
		$b mount -t sysfs sys /sys
		for m in $modules; do
			$b insmod /m/$m.ko
		done
		echo "processors: $($b nproc)"
		$b head -n 1 /dev/vda
		echo from the guest | $b dd of=/dev/vda bs=512 seek=8 conv=fsync 2> /dev/null
		echo no | $b dd of=/dev/vdb 2> /dev/null || echo vdb cannot be written to
		/bin/client
		echo "entropy: $($b cat /sys/class/misc/hw_random/rng_current) $($b head -c 16 /dev/hwrng | $b wc -c)"
		for d in /sys/bus/virtio/drivers/virtio_balloon/virtio*; do echo "balloon: $($b basename $d)"; done
		$b ip link set eth0 up
		$b udhcpc -i eth0 -n -q -f -s /bin/true > /dev/null 2>&1 && echo leased
		echo "by virtio" > /dev/hvc0
		if $b ip link set eth1 up; then
			$b udhcpc -i eth1 -n -q -s /lease -t 20 > /dev/null
			$b ping -c 1 -w 60 10.231.7.1 > /dev/null && echo the gateway answers
			$b nslookup guest 10.231.7.1 | $b grep -A 1 'Name:.*guest'
		fi
		$b poweroff -f
	END
	cat > "$tree/lease" <<- 'END'
		#!/bin/busybox sh
		[ "$1" != bound ] || exec /bin/busybox ip addr add "$ip/$mask" dev "$interface"
	END
	chmod +x "$tree/init" "$tree/lease"
	(cd "$tree" && find . | cpio --quiet -o -H newc) > "$KERNELS/tree.cpio"
	echo from the host > "$KERNELS/disk"
	truncate -s 4m "$KERNELS/disk" "$KERNELS/other"
	perl -e 'use IO::Socket::UNIX; $s = IO::Socket::UNIX->new(Local => "$ARGV[0]", Listen => 1); print {$s->accept} "told by the host\n"' \
		"$KERNELS/v_80" 3>&- &
	local server=$!
	if [ "$(id -u)" -eq 0 ] && [ -w /dev/net/tun ]; then
		holm network create --subnet 10.231.7.0/24 machines
		net=(--net "bridge/machines,ip=10.231.7.9" --name guest)
	fi
	HOLM_TIMEOUT=600 run holm machine run --cpu soft --memory 256m --cpus 2 --kernel "$KERNEL" --initrd "$KERNELS/tree.cpio" \
		--disk "$KERNELS/disk" --disk "$KERNELS/other:ro" --net user "${net[@]}" --vsock "5:$KERNELS/v" --rng --balloon 0 \
		--console virtio \
		--append "console=ttyS0 quiet" < /dev/null
	kill $server 2> /dev/null || true
	assert_status 0
	assert_match 'processors: 2'
	assert_match 'from the host'
	assert_match 'vdb cannot be written to'
	assert_match 'told by the host'
	[ ! -e "$KERNELS/v" ]
	assert_match 'entropy: virtio_rng.0 16'
	assert_match 'balloon: virtio'
	assert_match 'leased'
	assert_match 'by virtio'
	if [ ${#net[@]} -gt 0 ]; then
		assert_match 'the gateway answers'
		assert_match 'Address: 10.231.7.9'
		holm network rm machines
	fi
	assert_match 'Power down'
	run dd if="$KERNELS/disk" bs=512 skip=8 count=1 status=none
	assert_match 'from the guest'
}

@test "a card in user mode has passt, and without it the reason is said" {
	command -v passt > /dev/null || skip "needs passt"
	run env PATH=/nonexistent "$HOLM" machine run --cpu soft --memory 64m --kernel "$KERNELS/pvh" --net user
	assert_status 125
	assert_match "needs passt, which is not installed"
	# passt takes its addresses from a link with a default route.
	[ -n "$(ip route show default)" ] || skip "the host has no default route"
	run machine soft o --kernel "$KERNELS/pvh" --append x --net user --net none
	assert_status 0
	assert_output "pvh x >"
}

@test "wrong --net options are refused" {
	local net
	for net in nonsense user,ip=10.0.0.1 bridge,port=1:2 user,mac=1 bridge/ "user,"; do
		run holm machine run --cpu soft --memory 64m --kernel "$KERNELS/pvh" --net "$net"
		assert_status 125
		assert_match "holm: --net: '"
	done
	for vsock in 2:/tmp/x 7 7: x:/tmp/x; do
		run holm machine run --cpu soft --memory 64m --kernel "$KERNELS/pvh" --vsock "$vsock"
		assert_match "is not CID:PATH"
	done
}

# The pid of a machine in the background, which waits for input that does not come.
waiting_machine() {
	"$HOLM" machine run --cpu soft --memory 64m --kernel "$KERNELS/pvh" "$@" < /dev/null > "$KERNELS/out" 2>&1 3>&- &
	PID=$!
	prompt() { grep -q '>' "$KERNELS/out"; }
	EVENTUALLY=60 eventually prompt
}

@test "ports of the host lead to a machine in user mode, and are free again when it was killed" {
	local port=$((20000 + RANDOM % 10000))
	command -v passt > /dev/null || skip "needs passt"
	[ -n "$(ip route show default)" ] || skip "the host has no default route"
	listens() { ss -ltn "sport = :$port" | grep -q LISTEN; }
	is_free() { ! listens; }
	waiting_machine --net "user,port=$port:80"
	listens
	kill -9 $PID
	wait $PID || true
	EVENTUALLY=60 eventually is_free
}

@test "the place of a machine that was killed is given back" {
	needs_root "for a network of holm's"
	[ -w /dev/net/tun ] || skip "no /dev/net/tun here"
	holm network create --subnet 10.231.8.0/24 killed
	waiting_machine --net bridge/killed
	run holm network rm killed
	assert_status 1
	kill -9 $PID
	wait $PID || true
	holm network rm killed
}

@test "a disk that is in use, or is none, is refused" {
	truncate -s 1m "$KERNELS/used"
	: > "$KERNELS/nothing"
	run flock "$KERNELS/used" "$HOLM" machine run --cpu soft --kernel "$KERNELS/pvh" --disk "$KERNELS/used"
	assert_status 125
	assert_match "warning: disk '$KERNELS/used' is in use: waiting a moment"
	assert_match "is in use by another machine"
	run machine soft "" --kernel "$KERNELS/pvh" --disk "$KERNELS/nothing"
	assert_status 125
	assert_match "is empty"
	run machine soft "" --kernel "$KERNELS/pvh" --disk /nonexistent
	assert_status 125
	assert_match "open disk '/nonexistent': No such file"
}
