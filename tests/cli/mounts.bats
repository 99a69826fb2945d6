# What is mounted in a container: directories of the host, volumes, tmpfs, and the files that name hosts.
load helper

setup_file() { suite_setup; }
teardown_file() { suite_teardown; }
setup() {
	T=$BATS_TEST_TMPDIR
	chmod 755 "$T"
}
teardown() {
	[ -z "${containers:-}" ] || holm rm -f $containers > /dev/null 2>&1 || true
	[ -z "${images:-}" ] || holm rmi -f $images > /dev/null 2>&1 || true
	[ -z "${volumes:-}" ] || holm volume rm -f $volumes > /dev/null 2>&1 || true
	awk -v at="$T/" 'index($5, at) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r at; do
		umount "$at"
	done
}

box() { holm run --rm --network none "$@"; }

@test "bind: both sides see what the other does, and ro is ro" {
	mkdir "$T/d"
	echo host > "$T/d/f"
	run box -v "$T/d:/d" "$IMAGE" sh -c 'cat /d/f; echo inside > /d/new'
	assert_output host
	[ "$(cat "$T/d/new")" = inside ]
	for how in "-v $T/d:/d:ro" "--mount type=bind,src=$T/d,dst=/d,readonly" "--mount type=bind,source=$T/d,target=/d,ro=true"; do
		# shellcheck disable=SC2086
		run box $how "$IMAGE" sh -c 'cat /d/f; echo x > /d/f; rm /d/f; mkdir /d/e; chmod 700 /d'
		assert_match host
		[ "$(grep -c 'Read-only file system' <<< "$output")" -eq 4 ]
		[ "$(cat "$T/d/f")" = host ]
	done
}

@test "bind: ro also for what is mounted below, unless that was not asked for" {
	needs_root "mounts are made on the host"
	mkdir -p "$T/d/sub"
	mount -t tmpfs none "$T/d/sub"
	echo x > "$T/d/sub/f"
	run box -v "$T/d:/d:ro" "$IMAGE" sh -c 'cat /d/sub/f; echo y > /d/sub/f'
	local first=$output
	run box --mount "type=bind,src=$T/d,dst=/d,bind-recursive=disabled" "$IMAGE" ls /d/sub
	local second=$output
	run box --mount "type=bind,src=$T/d,dst=/d,readonly,bind-recursive=writable" "$IMAGE" sh -c 'echo w > /d/sub/f; touch /d/x'
	local writable=$output
	run box -v "$T/d:/d" "$IMAGE" sh -c 'echo y > /d/sub/f'
	local third
	third=$(cat "$T/d/sub/f")
	[[ $writable =~ /d/x.*Read-only ]]
	[[ ! $writable =~ sub ]]
	[[ $first =~ ^x ]]
	[[ $first =~ Read-only ]]
	[ "$second" = "" ]
	[ "$third" = y ]
}

@test "bind: an absent source is made by -v and refused by --mount" {
	run box -v "$T/new/er:/d" "$IMAGE" sh -c 'ls -A /d; touch /d/f'
	assert_status 0
	assert_output ""
	[ -f "$T/new/er/f" ]
	run box --mount "type=bind,src=$T/absent,dst=/d" "$IMAGE" true
	assert_status 125
	assert_one_line
	assert_match "$T/absent"
	[ ! -e "$T/absent" ]
	containers=$(unique)
	run holm create --name "$containers" --mount "type=bind,src=$T/absent,dst=/d" "$IMAGE" true
	[ "$status" -ne 0 ]
	assert_one_line
}

@test "bind: relative sources are those of the caller's directory" {
	mkdir -p "$T/a/b"
	echo here > "$T/a/b/f"
	cd "$T/a"
	run box -v ./b:/d "$IMAGE" cat /d/f
	assert_output here
	run box -v .:/d "$IMAGE" cat /d/b/f
	assert_output here
	run box -v ../a/b:/d "$IMAGE" cat /d/f
	assert_output here
	containers=$(unique)
	holm create --name "$containers" -v ./b:/d "$IMAGE" cat /d/f
	cd /
	run holm start -a "$containers"
	assert_output here
	run holm inspect -f '{{(index .Mounts 0).Source}} {{(index .Mounts 0).Destination}} {{(index .Mounts 0).RW}} {{(index .Mounts 0).Type}}' "$containers"
	assert_output "$T/a/b /d true bind"
}

@test "bind: files on files, in new places, and never a file on a directory" {
	echo one > "$T/f"
	run box -v "$T/f:/etc/motd" -v "$T/f:/new/deep/file" "$IMAGE" cat /etc/motd /new/deep/file
	assert_output $'one\none'
	run box -v "$T/f:/etc/motd:ro" "$IMAGE" sh -c 'echo two > /etc/motd'
	assert_match "Read-only"
	[ "$(cat "$T/f")" = one ]
	run box -v "$T/f:/etc" "$IMAGE" true
	assert_status 125
	assert_one_line
	run box -v "$T:/etc/passwd" "$IMAGE" true
	assert_status 125
	assert_one_line
	# A link of the host's is what it points at.
	ln -s f "$T/link"
	run box -v "$T/link:/x" "$IMAGE" cat /x
	assert_output one
	mkfifo "$T/fifo"
	run box -v "$T/fifo:/x" "$IMAGE" sh -c 'test -p /x && echo fifo'
	assert_output fifo
}

@test "names with spaces, commas, quotes and letters of all kinds" {
	mkdir "$T/with space" "$T/ünï" "$T/com,ma" "$T/q'uote" "$T/back\\slash"
	for d in "with space" ünï "q'uote" "back\\slash"; do
		echo "in $d" > "$T/$d/f"
		run box -v "$T/$d:/to $d/x" "$IMAGE" cat "/to $d/x/f"
		assert_output "in $d"
	done
	echo comma > "$T/com,ma/f"
	run box --mount "type=bind,\"src=$T/com,ma\",\"dst=/a,b\"" "$IMAGE" cat /a,b/f
	assert_output comma
	run box --tmpfs "/t m p" "$IMAGE" sh -c 'stat -f -c %T "/t m p"'
	assert_output tmpfs
	run box -w "/work dir/ü" "$IMAGE" pwd
	assert_output "/work dir/ü"
}

@test "bind: propagation" {
	needs_root "mounts are made on the host"
	mkdir -p "$T/s/sub" "$T/src"
	mount --bind "$T/s" "$T/s"
	mount --make-shared "$T/s"
	local one two result=()
	one=$(unique) two=$(unique)
	containers="$one $two"
	holm run -d --network none --name "$one" -v "$T/s:/s" "$IMAGE" sleep 100 > /dev/null
	holm run -d --network none --name "$two" -v "$T/s:/s:rslave" "$IMAGE" sleep 100 > /dev/null
	echo x > "$T/src/f"
	mount --bind "$T/src" "$T/s/sub"
	result+=("$(holm exec "$one" ls /s/sub)" "$(holm exec "$two" ls /s/sub)")
	umount "$T/s/sub"
	result+=("$(holm exec "$two" ls /s/sub)")
	# Back to the host: with rshared alone.
	box --cap-add SYS_ADMIN -v "$T/s:/s:rslave" "$IMAGE" mount -t tmpfs none /s/sub
	result+=("$(grep -c "$T/s/sub" /proc/self/mountinfo || true)")
	box --cap-add SYS_ADMIN -v "$T/s:/s:rshared" "$IMAGE" sh -c 'mount -t tmpfs none /s/sub'
	result+=("$(grep -c "$T/s/sub" /proc/self/mountinfo || true)")
	[ "${result[*]}" = " f  0 1" ]
	# A mount that shares with nobody cannot.
	umount --lazy "$T/s"
	mount --bind "$T/s" "$T/s"
	mount --make-private "$T/s"
	run box -v "$T/s:/s:rshared" "$IMAGE" true
	assert_status 125
	assert_one_line
	assert_match "'$T/s' is on a mount that is not shared"
	run box -v "$T/s:/s:rslave" "$IMAGE" true
	assert_status 0
}

@test "nested mounts: in order of depth, however they are given" {
	mkdir -p "$T/outer/in" "$T/inner"
	echo inner > "$T/inner/f"
	echo hidden > "$T/outer/in/f"
	volumes=$(unique)
	run box -v "$T/inner:/m/in" -v "$T/outer:/m" --tmpfs /m/in/t -v "$volumes:/m/in/t/v" "$IMAGE" \
		sh -c 'cat /m/in/f; stat -f -c %T /m/in/t; touch /m/in/t/v/x; ls /m'
	assert_output $'inner\ntmpfs\nin'
	[ "$(cat "$T/outer/in/f")" = hidden ]
	run box -v "$volumes:/v" "$IMAGE" ls /v
	assert_output x
	run box -v "$T/inner:/m" -v "$T/outer:/m/" "$IMAGE" true
	assert_status 125
	assert_match "mounted at /m already"
}

@test "a path through links of the image" {
	run box -v "$T:/var/run/here" "$IMAGE" sh -c 'ls -d /run/here && awk "\$5 == \"/run/here\"" /proc/self/mountinfo | wc -l'
	assert_output $'/run/here\n1'
	run box -v "$T:/bin/deep/er" "$IMAGE" ls -d /usr/bin/deep/er
	assert_output /usr/bin/deep/er
}

@test "tmpfs: options, size, mode, and Docker's defaults" {
	run box --tmpfs /t "$IMAGE" grep ' /t ' /proc/self/mounts
	assert_match '^tmpfs /t tmpfs rw,nosuid,nodev,noexec'
	run box --tmpfs /t:size=1m,mode=750,uid=5,gid=6,exec "$IMAGE" sh -c 'stat -c "%a %u %g" /t; df -k /t | awk "END { print \$2 }"; cp /bin/true /t/true && /t/true && echo ran; head -c 2000000 /dev/zero > /t/big || echo full'
	assert_match $'^750 5 6\n1024\nran\n.*No space left.*\nfull'
	run box --tmpfs /t:ro "$IMAGE" touch /t/x
	assert_match "Read-only"
	run box --mount type=tmpfs,target=/t,tmpfs-size=2097152,tmpfs-mode=1777 "$IMAGE" sh -c 'stat -c %a /t; df -k /t | awk "END { print \$2 }"'
	assert_output $'1777\n2048'
	# Over a directory that has files: they are not there.
	run box --tmpfs /etc/apt "$IMAGE" sh -c 'ls /etc/apt | wc -l'
	assert_output 0
	# Gone with the container's end.
	containers=$(unique)
	holm run --network none --name "$containers" --tmpfs /t "$IMAGE" touch /t/x
	run holm start -a "$containers"
	assert_output ""
	run holm cp "$containers:/t/x" "$T/x"
	assert_status 1
}

@test "named volumes: filled from the image with owners, modes and links, once" {
	local image
	volumes=$(unique)
	containers=$(unique)
	image=$(unique image)
	images="$image $image:empty"
	small_image "$image:empty"
	holm run --network none --name "$containers" "$image:empty" sh -c 'mkdir -p /data/sub && cd /data && echo x > f && chown 33:34 f sub && chmod 2750 sub && chmod 4755 f && ln -s f l && ln f h && chown 7:8 /data && chmod 711 /data'
	holm export "$containers" > "$T/x.tar"
	holm import "$T/x.tar" "$image" > /dev/null
	rm "$T/x.tar"
	run box -v "$volumes:/data" "$image" sh -c 'cd /data; stat -c "%a %u:%g %n %F" . f sub l; [ f -ef h ] && echo linked; rm h'
	assert_output $'711 7:8 . directory\n4755 33:34 f regular file\n2750 33:34 sub directory\n777 0:0 l symbolic link\nlinked'
	# Not a second time.
	run box -v "$volumes:/data" "$image" ls /data
	assert_output $'f\nl\nsub'
	holm volume rm "$volumes" > /dev/null
	run box -v "$volumes:/data:nocopy" "$image" ls -A /data
	assert_output ""
	holm volume rm "$volumes" > /dev/null
	# One that has something is left as it is.
	box -v "$volumes:/other" "$image" touch /other/mine
	run box -v "$volumes:/data" "$image" ls /data
	assert_output mine
	# Directories of the host are never filled.
	mkdir "$T/empty"
	run box -v "$T/empty:/data" "$image" ls -A /data
	assert_output ""
}

@test "anonymous volumes: of options and of the image, removed with --rm and rm -v alone" {
	local count name
	count() { holm volume ls -q | wc -l; }
	images=$(unique image)
	containers=$(unique)
	small_image "$images" -c 'VOLUME /var/lib/thing /bin'
	local before
	before=$(count)
	box -v /mine "$images" sh -c 'touch /mine/x /var/lib/thing/x /bin/x; ls /bin/sh > /dev/null'
	[ "$(count)" -eq "$before" ]
	holm run --network none --name "$containers" -v /mine "$images" touch /mine/x /var/lib/thing/x
	[ "$(count)" -eq $((before + 3)) ]
	# They are the container's also at its next start.
	holm start -a "$containers"
	[ "$(count)" -eq $((before + 3)) ]
	run holm inspect -f '{{len .Mounts}}' "$containers"
	assert_output 3
	volumes=$(holm inspect -f '{{range .Mounts}}{{.Name}} {{end}}' "$containers")
	holm rm "$containers" > /dev/null
	[ "$(count)" -eq $((before + 3)) ]
	# shellcheck disable=SC2086
	holm volume rm $volumes > /dev/null
	holm create --name "$containers" -v /mine "$images" true > /dev/null
	holm rm -v "$containers" > /dev/null
	[ "$(count)" -eq "$before" ]
	# A named one stays, in every case.
	volumes=$(unique)
	box -v "$volumes:/var/lib/thing" "$images" true
	holm run --network none --name "$containers" -v "$volumes:/var/lib/thing" "$images" true
	holm rm -v "$containers" > /dev/null
	holm volume inspect "$volumes" > /dev/null
	[ "$(count)" -eq $((before + 1)) ]
}

@test "volumes shared by two containers, and --volumes-from" {
	local one two
	one=$(unique) two=$(unique)
	volumes=$(unique)
	containers="$one $two"
	holm run -d --network none --name "$one" -v "$volumes:/data" -v "$T:/host:ro" --tmpfs /t "$IMAGE" sleep 100 > /dev/null
	holm run -d --network none --name "$two" -v "$volumes:/elsewhere" "$IMAGE" sleep 100 > /dev/null
	holm exec "$one" sh -c 'echo shared > /data/f'
	run holm exec "$two" cat /elsewhere/f
	assert_output shared
	run box --volumes-from "$one" "$IMAGE" sh -c 'cat /data/f; touch /data/g; touch /host/g; stat -f -c %T /t'
	assert_match '^shared'
	assert_match 'host.*Read-only'
	assert_match "'/t'.*No such file"
	holm exec "$one" test -e /data/g
	run box --volumes-from "$one:ro" "$IMAGE" touch /data/x
	assert_match "Read-only"
	run holm volume rm "$volumes"
	assert_status 1
	assert_match "in use"
	run holm volume rm -f "$volumes"
	assert_status 1
}

@test "--read-only: the root is, volumes and tmpfs are not" {
	volumes=$(unique)
	run box --read-only --tmpfs /run -v "$volumes:/data" -v "$T:/host" "$IMAGE" sh -c 'touch /x; touch /etc/x; for d in /run /data /host /dev/shm; do touch $d/x || echo "not $d"; done; echo x >> /etc/hosts && echo hosts; mkdir /run/y && echo made'
	[ "$(grep -c "Read-only file system" <<< "$output")" -eq 2 ]
	refute_match 'not /'
	assert_match made
	[ -e "$T/x" ]
	# The working directory and mount points are made all the same.
	run box --read-only -w /absent "$IMAGE" pwd
	assert_output /absent
	run box --read-only -v "$T:/no/such/place" "$IMAGE" ls /no/such/place
	assert_output x
	containers=$(unique)
	holm run -d --read-only --network none --name "$containers" "$IMAGE" sleep 100 > /dev/null
	run holm exec "$containers" touch /x
	assert_match "Read-only"
	run holm cp "$T/x" "$containers:/x"
	assert_status 1
	assert_one_line
}

@test "/dev/shm: 64m, or as asked, or the user's own" {
	run box "$IMAGE" sh -c 'df -k /dev/shm | awk "END { print \$2 }"; stat -c %a /dev/shm'
	assert_output $'65536\n1777'
	run box --shm-size 1m "$IMAGE" sh -c 'df -k /dev/shm | awk "END { print \$2 }"'
	assert_output 1024
	run box -v "$T:/dev/shm" "$IMAGE" touch /dev/shm/x
	[ -e "$T/x" ]
	run box --tmpfs /dev/shm:size=2m "$IMAGE" sh -c 'df -k /dev/shm | awk "END { print \$2 }"'
	assert_output 2048
}

@test "/etc/hosts and /etc/hostname: names and addresses, and what was added" {
	run holm run --rm -h box --add-host db:10.1.2.3 --add-host six:fe80::1 --add-host gate:host-gateway "$IMAGE" \
		sh -c 'cat /etc/hostname; hostname; cat /etc/hosts; echo; perl -e "use Socket; print inet_ntoa(inet_aton(q(box))), qq(\n)"; awk "\$2 == \"00000000\" { print \$3 }" /proc/net/route'
	[ "${lines[0]}" = box ]
	[ "${lines[1]}" = box ]
	assert_match $'127\\.0\\.0\\.1\tlocalhost'
	assert_match $'\n10\\.1\\.2\\.3\tdb'
	assert_match $'\nfe80::1\tsix'
	assert_match $'\n[0-9.]+\tgate'
	assert_match $'\n[0-9.]+\tbox\n'
	local route gate
	route=${lines[-1]}
	gate=$(sed -n 's/\tgate$//p' <<< "$output")
	[ "$(printf '%d.%d.%d.%d' 0x${route:6:2} 0x${route:4:2} 0x${route:2:2} 0x${route:0:2})" = "$gate" ]
	# The host name of one that has none is the beginning of its id.
	containers=$(unique)
	holm run --network none --name "$containers" "$IMAGE" sh -c 'cat /etc/hostname' > "$T/name"
	[ "$(cat "$T/name")" = "$(holm inspect -f '{{.Id}}' "$containers" | cut -c1-12)" ]
	# They can be changed inside, and belong to one container alone.
	run box "$IMAGE" sh -c 'echo 1.2.3.4 mine >> /etc/hosts && grep -c mine /etc/hosts'
	assert_output 1
	run box "$IMAGE" grep -c mine /etc/hosts
	assert_output 0
	# With the user's own file in place.
	echo "9.9.9.9 own" > "$T/hosts"
	run box -v "$T/hosts:/etc/hosts" "$IMAGE" cat /etc/hosts
	assert_output "9.9.9.9 own"
}

@test "/etc/resolv.conf: the host's, or what was asked for" {
	run holm run --rm --dns 9.9.9.9 --dns 1.1.1.1 --dns-search example.org --dns-search b.example --dns-option ndots:3 --dns-option rotate "$IMAGE" cat /etc/resolv.conf
	assert_output $'nameserver 9.9.9.9\nnameserver 1.1.1.1\nsearch example.org b.example\noptions ndots:3 rotate'
	run holm run --rm --dns 9.9.9.9 --dns-search . "$IMAGE" cat /etc/resolv.conf
	refute_match search
	run holm run --rm "$IMAGE" cat /etc/resolv.conf
	assert_match 'nameserver '
	refute_match 'nameserver (127|::1)'
	run holm run --rm --network host "$IMAGE" cat /etc/resolv.conf
	[ "$(grep nameserver <<< "$output")" = "$(grep ^nameserver /etc/resolv.conf)" ]
}

@test "the working directory is made, also below mounts and through links" {
	run box -w /a/b/c "$IMAGE" sh -c 'pwd; stat -c "%u %a" .'
	assert_output $'/a/b/c\n0 755'
	run box -w /var/run/x "$IMAGE" pwd -P
	assert_output /run/x
	run box -v "$T:/d" -w /d/new/er "$IMAGE" touch here
	[ -e "$T/new/er/here" ]
	run box -w /etc/passwd "$IMAGE" pwd
	[ "$status" -ge 125 ]
	assert_one_line
}

@test "inspect shows each mount; the paths are those of the host" {
	containers=$(unique)
	volumes=$(unique)
	holm create --name "$containers" -v "$T:/b:ro,rslave" -v "$volumes:/v" --tmpfs /t "$IMAGE" true > /dev/null
	run holm inspect -f '{{range .Mounts}}{{.Type}} {{.Destination}} {{.RW}};{{end}}' "$containers"
	assert_match 'bind /b false;'
	assert_match 'volume /v true;'
	run holm inspect -f '{{range .Mounts}}{{if eq .Type "volume"}}{{.Name}} {{.Source}}{{end}}{{end}}' "$containers"
	assert_output "$volumes $(holm volume inspect -f '{{.Mountpoint}}' "$volumes")"
	run holm inspect -f '{{range .Mounts}}{{if eq .Type "bind"}}{{.Propagation}} {{.Source}}{{end}}{{end}}' "$containers"
	assert_output "rslave $T"
}

@test "the container cannot lead a mount out of its root" {
	local name
	name=$(unique)
	holm create --name "$name" -v "$T:/link/inside" "$IMAGE" sh -c 'cat /link/inside/file'
	rm -rf "$HOLM_ROOT"/instances/"$(holm inspect -f '{{.Id}}' "$name")"/upper/link
	ln -s / "$HOLM_ROOT/instances/$(holm inspect -f '{{.Id}}' "$name")/upper/link"
	run holm start -a "$name"
	[ ! -e /inside ]
	holm rm -f "$name"
}

@test "the caller's umask hides nothing from the users of a container" {
	run bash -c "umask 077; '$HOLM' run --rm -u 1000 -v $(unique):/vol '$IMAGE' sh -c 'cat /etc/hosts /etc/hostname /etc/resolv.conf > /dev/null && stat -c %a / /vol /etc/hosts'"
	assert_output $'755\n755\n644'
}
