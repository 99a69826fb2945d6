#!/usr/bin/env bats
# What the command table makes: help, suggestions, completion, manual pages.
load helper

setup_file() {
	fresh_root
}

teardown_file() {
	rm -rf --one-file-system "$HOLM_ROOT"
}

# All verbs in the table, one full name a line.
verbs() {
	holm --help | sed -n '/^Options:/q; s/^  \([a-z][a-z-]*\( [a-z]\+\)\?\)  .*/\1/p'
}

@test "no arguments, --help, -h and help print the commands and succeed" {
	run holm
	assert_status 0
	all=$output
	assert_match '^Usage: holm'
	for arg in --help -h help; do
		run holm $arg
		assert_status 0
		assert_output "$all"
	done
}

@test "every verb has help at both spellings, with usage first" {
	# All rows of the table but those of oci, which its own help lists: those that are hidden are its
	# last, behind completion.
	rows=$(sed -n '/&cmd_oci_/d; /&cmd_/p; /&cmd_completion,/q' "$PROJECT/src/main.c" | wc -l)
	[ "$(verbs | wc -l)" -eq "$rows" ]
	while read -r verb; do
		# shellcheck disable=SC2086
		run holm $verb --help
		assert_status 0
		assert_match "^Usage: holm $verb"
		text=$output
		# shellcheck disable=SC2086
		run holm help $verb
		assert_status 0
		assert_output "$text"
	done < <(verbs)
}

@test "help lines keep to 100 columns" {
	while read -r verb; do
		# shellcheck disable=SC2086
		run awk 'length > 100 { print FILENAME ": " $0; bad = 1 } END { exit bad }' <(holm $verb --help)
		assert_status 0
	done < <(verbs)
}

@test "a noun alone lists its verbs" {
	for noun in network volume image container system; do
		run holm "$noun"
		assert_status 0
		assert_match "^Usage: holm $noun COMMAND"
		alone=$output
		run holm "$noun" --help
		assert_status 0
		assert_output "$alone"
	done
	run holm network --help
	assert_match 'connect'
}

@test "another full name of a verb is the same verb" {
	run holm container run --help
	assert_match '^Usage: holm run'
	run holm image ls --help
	assert_match '^Usage: holm images'
	run holm container ls --help
	assert_match '^Usage: holm ps'
}

@test "unknown commands name the near one" {
	run holm stpo
	assert_status 1
	assert_output "holm: unknown command 'stpo': did you mean 'stop'?"
	run holm network craete
	assert_status 1
	assert_output "holm: unknown command 'network craete': did you mean 'network create'?"
	run holm quite-unlike-anything
	assert_status 1
	assert_output "holm: unknown command 'quite-unlike-anything' (see 'holm --help')"
	run holm network quite-unlike
	assert_status 1
	assert_one_line
}

@test "unknown options name the near one" {
	run holm run --memroy 1g debian:12
	assert_status 125
	assert_output "holm run: unknown option '--memroy': did you mean '--memory'?"
	run holm ps --zzzzzz
	assert_status 125
	assert_output "holm ps: unknown option '--zzzzzz'"
	run holm --ruut /x ps
	assert_status 125
	assert_one_line
}

@test "wrong values of options are one line that names option, value and form" {
	run holm run --memory 12x debian:12
	assert_status 125
	assert_output "holm run: --memory: '12x' is not a size (like 512m or 2g)"
	run holm run --cpus lots debian:12
	assert_status 125
	assert_output "holm run: --cpus: 'lots' is not a number (like 1.5)"
	run holm run --rm=maybe debian:12
	assert_status 125
	assert_output "holm run: --rm: 'maybe' is not true or false"
	run holm run --name
	assert_status 125
	assert_match '^holm run: --name: needs a value'
}

@test "a wrong number of arguments is one line with the usage" {
	run holm pause
	assert_status 1
	assert_one_line
	assert_match '^holm pause: needs at least 1 argument: holm pause'
	run holm version extra
	assert_status 1
	assert_one_line
}

@test "version in each form" {
	run holm -v
	assert_status 0
	assert_match '^holm version [0-9]'
	version=${output##* }
	run holm --version
	assert_output "holm version $version"
	run holm version --format '{{.Client.Version}} {{.Server.Os}}'
	assert_output "$version linux"
	run jq -r .Client.Version <(holm version --format json)
	assert_output "$version"
	run holm version --format '{{.Nope}}'
	assert_status 1
	assert_one_line
	run holm version --format '{{.Client'
	assert_status 1
	assert_one_line
}

@test "output that cannot be written is an error" {
	run bash -c '"$HOLM" version > /dev/full'
	assert_status 1
	assert_output "holm: write to standard output: No space left on device"
}

complete() {
	holm __complete -- "$@" | cut -f1
}

@test "completion: verbs, nouns, options and their values" {
	run complete ver
	assert_output version
	run complete network cr
	assert_output create
	run complete run --memory-sw
	assert_match "^--memory-swap"
	run complete version --form
	assert_output --format
	run complete completion ""
	assert_status 0
	run complete run --pull ""
	assert_match always
	run complete run --pull=al
	assert_output --pull=always
	run complete --root /tmp ver
	assert_output version
	run complete nothing-like-it ""
	assert_status 0
	assert_output ""
}

@test "completion: hidden verbs stay hidden" {
	run complete ""
	refute_match '__complete|^man$'
	run holm --help
	refute_match '__complete'
}

@test "completion: silent where there is no store" {
	run --separate-stderr holm --root "$BATS_TEST_TMPDIR/none" __complete -- stop ""
	assert_status 0
	assert_output ""
	[ -z "$stderr" ]
}

# bash_complete LINE: what bash would offer.
bash_complete() {
	bash -c '
		source <("$HOLM" completion bash)
		COMP_LINE=$1 COMP_POINT=${#1}
		_holm
		printf "%s\n" "${COMPREPLY[@]}"' _ "$HOLM $1" 2> /dev/null
}

@test "completion for bash" {
	run bash -n <(holm completion bash)
	assert_status 0
	run bash_complete "vers"
	assert_output version
	run bash_complete "network "
	assert_match connect
	# Behind '=' bash replaces only what follows it.
	run bash_complete "run --pull=al"
	assert_output always
}

@test "completion for zsh" {
	command -v zsh > /dev/null || skip "no zsh here"
	run zsh -n <(holm completion zsh)
	assert_status 0
	ln -s "$HOLM" "$BATS_TEST_TMPDIR/holm"
	run env PATH="$BATS_TEST_TMPDIR:$PATH" zsh -fc '
		compdef() { :; }
		source <(holm completion zsh)
		words=(holm network conn) CURRENT=3
		_describe() { print -l -- "${(P@)${@[-1]}}"; }
		_holm'
	assert_match '^connect:'
}

@test "completion for fish" {
	command -v fish > /dev/null || skip "no fish here"
	run fish -n <(holm completion fish)
	assert_status 0
	ln -s "$HOLM" "$BATS_TEST_TMPDIR/holm"
	run env PATH="$BATS_TEST_TMPDIR:$PATH" HOME="$BATS_TEST_TMPDIR" \
		fish -c 'holm completion fish | source; complete -C "holm network conn"'
	assert_match '^connect'
}

@test "completion for a shell that is not known" {
	run holm completion tcsh
	assert_status 1
	assert_one_line
}

@test "manual pages for every verb, without a warning" {
	command -v man > /dev/null || skip "no man here"
	holm man "$BATS_TEST_TMPDIR/man"
	[ -s "$BATS_TEST_TMPDIR/man/holm.1" ]
	while read -r verb; do
		[ -s "$BATS_TEST_TMPDIR/man/holm-${verb// /-}.1" ]
	done < <(verbs)
	# All of them by the formatter that man uses, which so begins once.
	run groff -man -Tutf8 -ww -z "$BATS_TEST_TMPDIR"/man/*.1
	assert_status 0
	assert_output ""
	run man --warnings -l "$BATS_TEST_TMPDIR/man/holm.1"
	assert_match 'EXIT STATUS'
}

@test "run: the help of --log-opt says the defaults" {
	run holm run --help
	assert_match 'max-size \(20m\) and max-file \(5\)'
}
