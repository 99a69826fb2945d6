# A TAP result against the list of tests that are expected to fail: "NAME # REASON" lines. Fails when another
# one failed, and when one of the list passed: then the list is to be mended.
BEGIN {
	while ((getline line < expected) > 0) {
		if (line ~ /^[ \t]*(#|$)/)
			continue
		at = index(line, " # ")
		reasons[substr(line, 1, at - 1)] = substr(line, at + 3)
	}
}
/^(not )?ok [0-9]+ / {
	failed = /^not /
	name = $0
	sub(/^(not )?ok [0-9]+ /, "", name)
	if (!failed && name ~ / # skip/) {
		skipped++
		sub(/.* # skip */, "", name)
		why[name]++
	} else if (!failed) {
		passed++
		if (name in reasons) {
			print "passed, but is expected to fail: " name
			bad = 1
		}
	} else if (name in reasons) {
		known++
		print "failed as expected: " name ": " reasons[name]
	} else {
		unknown++
		print "failed: " name
		bad = 1
	}
}
END {
	for (w in why)
		print "skipped " why[w] ": " w
	if (!passed)
		bad = 1
	printf "%d passed, %d failed, %d skipped\n", passed, known + unknown, skipped
	exit bad
}
