# For every suite of tests/cli: `load helper`.
#
#	setup_file() { suite_setup; }        # a root with debian:12 in it, shared by the suites
#	teardown_file() { suite_teardown; }  # removes what the file left, then looks for leaks
#
# or, where a file needs a root of its own: suite_setup own. The variables are those of
# tools/check, which runs everything; by hand, `bats tests/cli/ps.bats` does as well.

export PROJECT=${BATS_TEST_DIRNAME%/tests/cli}
export HOLM=${HOLM:-$PROJECT/build/holm}
export HOLM_TEST_CACHE=${HOLM_TEST_CACHE:-${HOME:-/root}/.cache/holm-test}
export IMAGE=debian:12
bats_require_minimum_version 1.5.0

# The program, never for longer than a minute (HOLM_TIMEOUT seconds).
holm() {
	timeout --foreground -k 5 "${HOLM_TIMEOUT:-60}" "$HOLM" "$@"
}

# A root of this file's own, or of this test's own; empty. Its path in HOLM_ROOT.
fresh_root() {
	HOLM_ROOT=$(mktemp -d "${TMPDIR:-/tmp}/holm-root.XXXXXX")
	export HOLM_ROOT
	chmod 755 "$HOLM_ROOT"
	unset HOLM_RUN
	FRESH_ROOTS+=" $HOLM_ROOT"
	export FRESH_ROOTS
}

# Removes everything in a root and the root itself.
drop_root() {
	local root=${1:-$HOLM_ROOT} ids
	ids=$(holm --root "$root" ps -aq 2> /dev/null) || true
	# shellcheck disable=SC2086
	[ -z "$ids" ] || holm --root "$root" rm -f $ids > /dev/null 2>&1 || true
	# An ordinary user cannot remove by himself what belongs to his other ids.
	if [ "$(id -u)" -ne 0 ]; then
		holm --root "$root" image prune -af > /dev/null 2>&1 || true
		holm --root "$root" gc --expire now > /dev/null 2>&1 || true
		holm --root "$root" builder prune -f > /dev/null 2>&1 || true
	fi
	rm -rf --one-file-system "$root"
}

# debian:12 as an archive in the cache: bootstrapped once per machine.
base_archive() {
	local archive=$HOLM_TEST_CACHE/debian-12.tar
	[ ! -s "$archive" ] || return 0
	mkdir -p "$HOLM_TEST_CACHE"
	# One suite makes it, and others that run beside it wait.
	(
		flock 9
		[ ! -s "$archive" ] || exit 0
		HOLM_TIMEOUT=600 holm image bootstrap "$IMAGE" > /dev/null 9>&- || exit
		HOLM_TIMEOUT=600 holm save -o "$archive.$$" "$IMAGE" 9>&- || exit
		mv "$archive.$$" "$archive"
	) 9> "$HOLM_TEST_CACHE/lock"
}

# debian:12 into HOLM_ROOT.
base_image() {
	! holm image inspect "$IMAGE" > /dev/null 2>&1 || return 0
	base_archive || return
	! holm image inspect "$IMAGE" > /dev/null 2>&1 || return 0
	HOLM_TIMEOUT=600 holm load -q -i "$HOLM_TEST_CACHE/debian-12.tar" > /dev/null
}

# small_image NAME [OPTION of import...]: busybox with a link for each of its programs, for tests that make an
# image of their own: two megabytes.
small_image() {
	local tree=$BATS_FILE_TMPDIR/small name=$1 program
	shift
	if [ ! -e "$tree.tar" ]; then
		mkdir -p "$tree"/{bin,dev,etc,proc,sys,tmp,root}
		cp "$(command -v busybox)" "$tree/bin/busybox"
		echo root:x:0:0:root:/root:/bin/sh > "$tree/etc/passwd"
		for program in $(busybox --list); do
			[ "$program" = busybox ] || ln -s busybox "$tree/bin/$program"
		done
		tar -C "$tree" --owner=0 --group=0 --mode=u=rwX,go=rX -cf "$tree.tar" .
	fi
	holm import "$@" "$tree.tar" "$name" > /dev/null
}

# What holm has on the host for HOLM_ROOT, which is nothing when nothing runs: mounts,
# links, cgroups, rules, processes. Other roots' things are none of our business.
host_state() {
	local root tag bridge exe
	root=$(realpath -m "$HOLM_ROOT")
	tag=holm-$(printf %s "$root" | sha256sum | cut -c1-8)
	[ "$root" != /var/lib/holm ] || tag=holm
	# Field 5 of mountinfo is where, and the rest may name layers below the root.
	grep -F "$root/" /proc/self/mountinfo | sed 's/^/mount: /' || true
	for bridge in $(ip -o link show type bridge | sed -n "s/^[0-9]*: \([^:@]*\).*alias $tag:.*/\1/p"); do
		echo "link: $bridge"
		ip -o link show master "$bridge" | sed 's/^[0-9]*: /link: /; s/@.*//'
	done
	ip -o link show type veth nomaster | sed 's/^[0-9]*: /link: /; s/@.*//'
	find /sys/fs/cgroup -type d -path "*/$tag/*" 2> /dev/null | sed 's/^/cgroup: /'
	find /sys/fs/cgroup -type d -name "$tag" 2> /dev/null | sed 's/^/cgroup: /'
	nft list tables 2> /dev/null | grep -w -- "$tag" | sed 's/^/rules: /' || true
	for exe in /proc/[0-9]*/exe; do
		[ "$(readlink "$exe" 2> /dev/null)" = "$HOLM" ] || continue
		tr '\0' '\n' < "${exe%/exe}/environ" 2> /dev/null | grep -qxF "HOLM_ROOT=$root" || continue
		echo "process: ${exe//[!0-9]/}: $(tr '\0' ' ' < "${exe%/exe}/cmdline" 2> /dev/null)"
	done
	return 0
}

# Nothing on the host that was not there at suite_setup, within five seconds (EVENTUALLY).
no_leaks() {
	local left i
	for ((i = 0; i < 10 * ${EVENTUALLY:-5}; i++)); do
		left=$(comm -13 <(sort <<< "$HOST_STATE") <(host_state | sort))
		[ -n "$left" ] || return 0
		sleep 0.1
	done
	printf 'left behind on the host:\n%s\n' "$left" >&2
	return 1
}

suite_setup() {
	if [ "${1:-}" = own ] || [ -z "${HOLM_TEST_ROOT:-}" ]; then
		fresh_root
	else
		export HOLM_ROOT=$HOLM_TEST_ROOT
	fi
	HOST_STATE=$(host_state)
	export HOST_STATE
	base_image
}

suite_teardown() {
	local root ids
	ids=$(holm ps -aq 2> /dev/null) || true
	# shellcheck disable=SC2086
	[ -z "$ids" ] || holm rm -f $ids > /dev/null
	for root in ${FRESH_ROOTS:-}; do
		drop_root "$root"
	done
	no_leaks
}

# as_user [OPTION...] COMMAND...: as an ordinary user, whose home is UHOME and whose store is that of
# HOLM_ROOT in the environment; options of tools/as-user, such as --no-ids. By one who is no root, as himself.
as_user() {
	if [ "$(id -u)" -eq 0 ]; then
		"$PROJECT/tools/as-user" "$@"
	else
		while [[ ${1:-} = --* ]]; do
			[[ $1 = --no-* ]] && skip "as_user $1 needs root"
			shift 2
		done
		"$@"
	fi
}

# A store of an ordinary user's own (UID, 65533): its path in HOLM_ROOT, with debian:12 in it. Options as
# above. Removed at the end with what runs in it, as those of fresh_root.
fresh_user_root() {
	local uid=${1:-65533}
	fresh_root
	chown "$uid:$uid" "$HOLM_ROOT"
	base_archive || return
	shift $(($# ? 1 : 0))
	HOLM_TIMEOUT=600 as_user --uid "$uid" "$@" "$HOLM" load -q > /dev/null < "$HOLM_TEST_CACHE/debian-12.tar"
}

# In setup_file: a directory of the host's, VICTIM, that nobody may touch.
victim_setup() {
	export VICTIM=$BATS_FILE_TMPDIR/victim
	mkdir "$VICTIM"
	echo keep > "$VICTIM/file"
	chmod 755 "$BATS_FILE_TMPDIR" "$VICTIM"
}

# It is as it was.
victim_whole() {
	[ "$(cd "$VICTIM" && find . -printf '%p %y %m %U\n' | sort)" = ". d 755 $(id -u)"$'\n'"./file f 644 $(id -u)" ]
	[ "$(cat "$VICTIM/file")" = keep ]
	! grep -qF "$VICTIM" /proc/self/mountinfo
}

# In setup_file: static_program SOURCE OUT.
static_program() {
	"${CC:-cc}" -static -O1 -o "$2" "$PROJECT/tests/cli/$1"
	chmod 755 "$BATS_FILE_TMPDIR"
}

# In teardown: what the test has in `containers`, `images` and `volumes`.
# shellcheck disable=SC2086 # lists of names
remove_made() {
	[ -z "${containers:-}" ] || holm rm -f $containers > /dev/null 2>&1 || true
	[ -z "${images:-}" ] || holm rmi -f $images > /dev/null 2>&1 || true
	[ -z "${volumes:-}" ] || holm volume rm -f $volumes > /dev/null 2>&1 || true
}

# For tests of what only root has.
needs_root() {
	[ "$(id -u)" -eq 0 ] || skip "needs root${1:+: $1}"
}

# A name that no other test uses.
unique() {
	echo "t${1:+-$1}-$BATS_SUITE_TEST_NUMBER-$RANDOM"
}

# eventually COMMAND...: until it succeeds, for at most ten seconds (EVENTUALLY).
eventually() {
	local deadline=$((SECONDS + ${EVENTUALLY:-10}))
	until "$@"; do
		if [ $SECONDS -ge $deadline ]; then
			echo "not within ${EVENTUALLY:-10} s: $*" >&2
			return 1
		fi
		sleep 0.05
	done
}

# After `run`: what a person would want to see when it fails.
assert_status() {
	[ "$status" -eq "$1" ] || {
		echo "status $status, not $1; output: $output" >&2
		return 1
	}
}
assert_output() {
	[ "$output" = "$1" ] || {
		printf 'output:   %s\nexpected: %s\n' "$output" "$1" >&2
		return 1
	}
}
assert_match() {
	[[ $output =~ $1 ]] || {
		printf 'output:   %s\nmatching: %s\n' "$output" "$1" >&2
		return 1
	}
}
refute_match() {
	! [[ $output =~ $1 ]] || {
		printf 'output:     %s\nnot wanted: %s\n' "$output" "$1" >&2
		return 1
	}
}
# The one clear line on standard error that every wrong use ends in.
assert_one_line() {
	if [ -z "$output" ] || [ "$(printf '%s\n' "$output" | wc -l)" -ne 1 ]; then
		echo "not one line: $output" >&2
		return 1
	fi
	assert_match '^holm( [a-z]|:)'
}
