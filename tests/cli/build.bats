# `holm build` and `holm commit`: what is special about each; tests/build/ has what Dockerfiles mean.
load helper

setup_file() {
	fresh_root
	HOST_STATE=$(host_state)
	export HOST_STATE
	small_image small
}

teardown_file() {
	suite_teardown
}

setup() {
	context=$BATS_TEST_TMPDIR/context
	mkdir "$context"
}

# dockerfile: standard input becomes the context's Dockerfile.
dockerfile() {
	cat > "$context/Dockerfile"
}

# in_image IMAGE COMMAND...
in_image() {
	holm run --rm --network none --entrypoint "" "$@"
}

@test "a no-change rebuild runs nothing and gives the same image" {
	dockerfile <<- 'END'
		FROM small
		WORKDIR /srv/app
		COPY a /srv/app/
		RUN cat a > b && cat /proc/sys/kernel/random/uuid > now
		ENV X=1
	END
	echo one > "$context/a"
	run -0 holm build -t cached:1 "$context"
	first=${lines[-1]}
	now=$(in_image cached:1 cat /srv/app/now)
	# Times do not count.
	touch "$context/a"
	run -0 holm build -t cached:1 "$context"
	[ "${lines[-1]}" = "$first" ]
	[[ $output = *"#4 CACHED"* ]]
	# Contents do, whatever the times.
	touch -r "$context/a" "$BATS_TEST_TMPDIR/time"
	echo two > "$context/a"
	touch -r "$BATS_TEST_TMPDIR/time" "$context/a"
	run -0 holm build -t cached:1 "$context"
	[ "${lines[-1]}" != "$first" ]
	[ "$(in_image cached:1 cat /srv/app/b)" = two ]
	# So does a mode.
	run -0 holm build -q "$context"
	second=$output
	chmod 755 "$context/a"
	run -0 holm build -q "$context"
	[ "$output" != "$second" ]
	run -0 holm build -q --no-cache -t cached:1 "$context"
	[ "$(in_image cached:1 cat /srv/app/now)" != "$now" ]
}

@test "what only changes the configuration runs no RUN again; an ARG does where it is declared" {
	for value in a b; do
		dockerfile <<- END
			FROM small
			LABEL stage=$value
			RUN cat /proc/sys/kernel/random/uuid > /first
			CMD ["$value"]
			ARG V
			RUN echo \$V > /second
		END
		run -0 holm build -t config:$value --build-arg V=$value "$context"
	done
	[ "$(in_image config:a cat /first)" = "$(in_image config:b cat /first)" ]
	[ "$(in_image config:b cat /second)" = b ]
	[ "$(holm image inspect -f '{{index .Config.Labels "stage"}} {{.Config.Cmd}}' config:b)" = "b [b]" ]
}

@test "a failing RUN: its output, the line, the exit code; nothing gets the name" {
	dockerfile <<- 'END'
		FROM small
		RUN true
		RUN echo about to fail && \
		    exit 3
	END
	run -1 holm build --progress quiet -t failing "$context"
	[[ $output = *"about to fail"* ]]
	[[ ${lines[-1]} = "holm: Dockerfile:3: RUN echo about to fail "*": exit code 3" ]]
	run -1 holm image inspect failing
	dockerfile <<- 'END'
		FROM small
		RUN ["/nowhere"]
	END
	run -1 holm build -q "$context"
	[[ $output = *"Dockerfile:2: "*"/nowhere"* ]]
}

@test "errors name the line" {
	local text what
	while IFS='|' read -r text what; do
		printf 'FROM small\n# a comment\n%b\n' "$text" | dockerfile
		run -1 holm build -q "$context"
		[[ $output = *"Dockerfile:3: "*"$what"* ]] || { echo "$text: $output"; false; }
	done <<- 'END'
		RUNN true|did you mean RUN
		COPY missing /|'missing' is not there
		COPY one|expected sources and a destination
		RUN --what true|no option '--what'
		RUN <<EOF\nnever|heredoc 'EOF' has no end
		ENV one|needs a value
		EXPOSE seventy|is no port
		SHELL /bin/sh|JSON array
		ADD --chmod=9 a /|octal
		ONBUILD FROM x|ONBUILD takes one
		COPY --from=nothing-like-it a /|nothing-like-it
		COPY --from=\$WHERE a /|from=\$WHERE: variables do not count here
		RUN --mount=from=\$WHERE,target=/x true|from=\$WHERE: variables do not count here
		COPY --link=perhaps a /|--link=perhaps: expected true or false
		COPY --parents=2 a /|--parents=2: expected true or false
		ADD --unpack=maybe a /|--unpack=maybe: expected true or false
		RUN --mount=type=tmpfs,target=/x,mode=8 true|'mode=8' is not understood
		RUN --security=insecure true|rights of an ordinary container
		USER ${x:?must be given}|must be given
	END
	printf 'RUN true\n' | dockerfile
	run -1 holm build -q "$context"
	[[ $output = *"there is no FROM"* ]]
	rm "$context/Dockerfile"
	run -1 holm build -q "$context"
	[[ $output = *"there is no Dockerfile in"* ]]
	printf 'FROM small AS one\n' | dockerfile
	run -1 holm build -q --target two "$context"
	[[ $output = *"has no stage 'two': it has one"* ]]
}

@test "only the stages that the target needs are built" {
	dockerfile <<- 'END'
		FROM small AS base
		RUN echo base > /base
		FROM small AS broken
		RUN false
		FROM base AS good
		COPY --from=base /base /copy
		FROM broken
	END
	run -0 holm build -q --target good -t good "$context"
	[ "$(in_image good cat /copy)" = base ]
	run -1 holm build -q "$context"
}

@test "SOURCE_DATE_EPOCH: two builds have one digest" {
	dockerfile <<- 'END'
		FROM small
		COPY a /d/
		RUN echo x > /d/b && mkdir /d/c && ln -s b /d/l
		WORKDIR /e/f
	END
	echo > "$context/a"
	run -0 holm build -q --no-cache --build-arg SOURCE_DATE_EPOCH=1000000000 "$context"
	first=$output
	sleep 1.1 # what is not clamped differs by a second now
	touch "$context/a"
	run -0 env SOURCE_DATE_EPOCH=1000000000 "$HOLM" build -q --no-cache -t epoch "$context"
	[ "$output" = "$first" ]
	[ "$(in_image epoch stat -c %Y /d/b /d/c /e/f | sort -u)" = 1000000000 ]
	[ "$(holm image inspect -f '{{.Created}}' epoch)" = 2001-09-09T01:46:40.000000000Z ]
}

@test "--mount: bind, cache, tmpfs, secret, and nothing of them in the image" {
	dockerfile <<- 'END'
		FROM small AS from
		RUN echo of a stage > /file
		FROM small
		RUN --mount=type=bind,target=/ctx cat /ctx/a && ! touch /ctx/a 2>/dev/null
		RUN --mount=type=bind,rw,target=/ctx touch /ctx/new
		RUN --mount=type=bind,from=from,source=/file,target=/f cat /f > /copied
		RUN --mount=type=cache,target=/cache echo x >> /cache/log
		RUN --mount=type=cache,target=/cache,id=/cache wc -l < /cache/log > /count
		RUN --mount=type=tmpfs,target=/t touch /t/x && mount | grep ' /t '
		RUN --mount=type=secret,id=token cp /run/secrets/token /leaked
		RUN --mount=type=secret,id=token,env=TOKEN,uid=5 test "$TOKEN" = hush
		RUN --mount=type=secret,id=none test ! -e /run/secrets/none
	END
	echo a > "$context/a"
	printf hush > "$BATS_TEST_TMPDIR/token"
	run -0 holm build -t mounts --secret id=token,src="$BATS_TEST_TMPDIR/token" "$context"
	[ ! -e "$context/new" ]
	run -0 in_image mounts sh -c 'cat /copied /count /leaked; ls /ctx /cache /t /f /run 2>/dev/null; true'
	[ "${lines[*]}" = "of a stage 1 hush" ] || { echo "$output"; false; }
	printf 'FROM small\nRUN --mount=type=secret,id=z,required true\n' | dockerfile
	run -1 holm build -q "$context"
	[[ $output = *"secret 'z' is required"* ]]
}

@test "outputs: a directory, a tar, an archive, several names, an id file" {
	dockerfile <<- 'END'
		FROM scratch
		COPY a /bin/
	END
	echo a > "$context/a"
	run -0 holm build -q -o "$BATS_TEST_TMPDIR/out" "$context"
	[ "$(cat "$BATS_TEST_TMPDIR/out/bin/a")" = a ]
	holm build -q -o - "$context" | tar -t | grep -qx bin/a
	run -0 holm build -q -t out:1 -t out:2 --iidfile "$BATS_TEST_TMPDIR/id" "$context"
	[ "$(cat "$BATS_TEST_TMPDIR/id")" = "$output" ]
	[ "$(holm image inspect -f '{{len .RepoTags}}' out:2)" = 2 ]
	run -0 holm build -q -t out:3 -o type=oci,dest="$BATS_TEST_TMPDIR/oci.tar" "$context"
	tar -tf "$BATS_TEST_TMPDIR/oci.tar" | grep -qx index.json
	holm build -q --progress json "$context" > "$BATS_TEST_TMPDIR/json" || true
	run -0 holm build --progress json "$context"
	jq -e 'select(.event == "done")' <<< "$output" > /dev/null
}

@test "contexts: .dockerignore, standard input as a tar and as a Dockerfile, others by name" {
	dockerfile <<- 'END'
		FROM scratch
		COPY . /
	END
	mkdir -p "$context"/{keep,drop/in}
	touch "$context"/{a.log,keep/b.log,keep/c,drop/d,drop/in/e}
	printf '%s\n' '# not these' '**/*.log' drop '!drop/in' Dockerfile .dockerignore > "$context/.dockerignore"
	holm build -q -o "$BATS_TEST_TMPDIR/out" "$context"
	[ "$(cd "$BATS_TEST_TMPDIR/out" && find . -type f | sort | xargs)" = "./drop/in/e ./keep/c" ]
	tar -C "$context" -cz . | holm build -q -t tarred -
	printf 'FROM small\nRUN echo x > /y\n' | holm build -q -t piped -
	[ "$(in_image piped cat /y)" = x ]
	mkdir "$BATS_TEST_TMPDIR/other"
	echo other > "$BATS_TEST_TMPDIR/other/f"
	printf 'FROM small\nCOPY --from=more f /\n' | dockerfile
	holm build -q -t named --build-context more="$BATS_TEST_TMPDIR/other" "$context"
	[ "$(in_image named cat /f)" = other ]
}

# serve DIRECTORY: over HTTP at $SERVED, which $SERVER_PID ends; the requests are in $BATS_TEST_TMPDIR/requests.
serve() {
	python3 -u -m http.server 0 --bind 127.0.0.1 --directory "$1" > "$BATS_TEST_TMPDIR/server" \
		2> "$BATS_TEST_TMPDIR/requests" 3>&- &
	SERVER_PID=$!
	eventually grep -q ' port ' "$BATS_TEST_TMPDIR/server"
	SERVED=http://127.0.0.1:$(sed 's/.* port \([0-9]*\).*/\1/' "$BATS_TEST_TMPDIR/server")
}

teardown() {
	[ -z "${SERVER_PID:-}" ] || kill "$SERVER_PID"
}

requests() {
	grep -c '"GET ' "$BATS_TEST_TMPDIR/requests" || true
}

@test "ADD of URLs: names, modes, times, archives only with --unpack; again when they change" {
	local files=$BATS_TEST_TMPDIR/files
	mkdir "$files"
	echo one > "$files/a [b].txt"
	touch -d @1000000000 "$files/a [b].txt"
	echo in > "$BATS_TEST_TMPDIR/in"
	tar -C "$BATS_TEST_TMPDIR" -czf "$files/t.tgz" in
	serve "$files"
	dockerfile <<- END
		FROM small
		ARG AT
		ADD \${AT}/a%20%5Bb%5D.txt?x=/y#z /d/
		ADD --chmod=644 $SERVED/t.tgz /renamed
		ADD --unpack $SERVED/t.tgz /unpacked/
		ADD local $SERVED/t.tgz <<X /all/
		text
		X
	END
	echo local > "$context/local"
	run -0 holm build -q -t fetched --build-arg "AT=$SERVED" "$context"
	first=$output
	in_image fetched stat -c '%a %u %Y %n' "/d/a [b].txt" /renamed | diff - <(
		echo "600 0 1000000000 /d/a [b].txt"
		echo "644 0 $(stat -c %Y "$files/t.tgz") /renamed"
	)
	[ "$(in_image fetched sh -c 'cat /unpacked/* /all/X /all/local; ls /all /unpacked' | xargs)" = \
		"in text local /all: X local t.tgz /unpacked: in" ]
	run -0 holm build -q --build-arg "AT=$SERVED" "$context"
	[ "$output" = "$first" ]
	echo two > "$files/a [b].txt"
	run -0 holm build -q -t fetched --build-arg "AT=$SERVED" "$context"
	[ "$(in_image fetched cat "/d/a [b].txt")" = two ]
}

@test "ADD --checksum: what is known is not fetched, what is another file is refused; so is what is no file" {
	local files=$BATS_TEST_TMPDIR/files sum text what
	mkdir "$files"
	echo one > "$files/a"
	sum=sha256:$(sha256sum < "$files/a" | cut -d' ' -f1)
	serve "$files"
	printf 'FROM small\nARG SUM\nADD --checksum=$SUM %s/a /\n' "$SERVED" | dockerfile
	run -0 holm build -q -t checked --build-arg "SUM=$sum" "$context"
	[ "$(in_image checked cat /a)" = one ]
	[ "$(requests)" -eq 1 ]
	run -0 holm build -q --build-arg "SUM=$sum" "$context"
	[ "$(requests)" -eq 1 ]
	run -1 holm build -q --build-arg "SUM=sha256:$(printf %064d 0)" "$context"
	[[ $output = *"Dockerfile:3: "*"is another file: expected sha256:"*", got $sum"* ]]
	echo two > "$files/a"
	run -1 holm build -q --no-cache --build-arg "SUM=$sum" "$context"
	[[ $output = *"is another file"* ]]
	while IFS='|' read -r text what; do
		printf 'FROM small\n%s\n' "$text" | dockerfile
		run -1 holm build -q "$context"
		[[ $output = *"Dockerfile:2: "*"$what"* ]] || { echo "$text: $output"; false; }
	done <<- END
		ADD --checksum=sha256:1 $SERVED/a /|expected sha256: and 64 digits
		ADD --checksum=$sum $SERVED/a $SERVED/a /|--checksum is that of one URL
		ADD --checksum=$sum Dockerfile /|--checksum is that of one URL
		ADD $SERVED/missing /|no such thing
		ADD $SERVED/ /|does not end with a file's name
		ADD $SERVED /|does not end with a file's name
		ADD $SERVED/a/..%2f.. /|does not end with a file's name
		ADD $SERVED/a/x.git#main /|git repositories is not supported
		ADD git@host:a/x /|git repositories is not supported
		COPY $SERVED/a /|is not there
	END
}

@test "what is left out, and what is unpacked, is part of a step's key" {
	echo a > "$context/a"
	echo b > "$context/b"
	tar -C "$context" -cf "$context/t.tar" a
	for value in a b; do
		dockerfile <<- 'END'
			FROM small AS files
			COPY a b /d/
			FROM small
			ARG WITHOUT
			COPY --from=files --exclude=$WITHOUT /d /d
		END
		run -0 holm build -q -t without:$value --build-arg WITHOUT=$value "$context"
	done
	[ "$(in_image without:a ls /d)" = b ]
	[ "$(in_image without:b ls /d)" = a ]
	for step in "COPY --link" "ADD --link" "ADD --link --unpack=false"; do
		printf 'FROM small\n%s t.tar /d/\n' "$step" | dockerfile
		run -0 holm build -q -t linked "$context"
		run -0 in_image linked ls /d
		[ "$step: $output" = "$step: $([ "$step" = "ADD --link" ] && echo a || echo t.tar)" ]
	done
}

@test "no link leads out of the context or the image" {
	dockerfile <<- 'END'
		FROM small
		RUN ln -s /../../../.. /up && ln -s /tmp/inside /gone
		COPY f /up/tmp/f
		COPY out /copied
	END
	echo f > "$context/f"
	ln -s ../../../../../../../../../etc/shadow "$context/out"
	run -1 holm build -q "$context"
	[[ $output = *"Dockerfile:4: "*"'out' is not there"* ]]
	[ ! -e /tmp/f ]
}

@test "ctrl-c ends a build, and leaves nothing but its cache" {
	dockerfile <<- 'END'
		FROM small
		RUN echo kept > /kept
		RUN sleep 1000
	END
	"$HOLM" build --progress plain "$context" > "$BATS_TEST_TMPDIR/log" 2>&1 3>&- &
	pid=$!
	eventually grep -q '^#3 \[3/3\]' "$BATS_TEST_TMPDIR/log"
	kill -INT $pid
	status=0
	wait $pid || status=$?
	[ $status -eq 130 ]
	no_leaks
	sed -i 's/sleep 1000/true/' "$context/Dockerfile"
	run -0 holm build "$context"
	[[ $output = *"#2 CACHED"* ]]
}

@test "kill -9: the next build takes down what was left, and has the steps before" {
	# A step that took no time may be kept together with the next only.
	printf 'FROM small\nRUN echo > /kept; sleep 1.1\nRUN sleep 1000\n' | dockerfile
	"$HOLM" build --progress plain "$context" > "$BATS_TEST_TMPDIR/log" 2>&1 3>&- &
	pid=$!
	eventually grep -q '^#3 ' "$BATS_TEST_TMPDIR/log"
	kill -9 $pid
	wait $pid || true
	# Who ran the container for it takes that down by himself; then what he has kept can be had.
	eventually no_process_of_builds
	sed -i 's/sleep 1000/true/' "$context/Dockerfile"
	run -0 holm build "$context"
	[[ $output = *"#2 CACHED"* ]]
	[ -z "$(ls -A "$HOLM_ROOT/run/builds")" ]
	no_leaks
	run -0 holm image verify -q
}

@test "commit: a stopped and a running container" {
	holm run --name one small sh -c 'echo x > /x; rm /etc/passwd; mkdir /d'
	run -0 holm commit -a me -m words -c 'CMD ["cat", "/x"]' one committed:1
	[ "$(holm run --rm committed:1)" = x ]
	run -0 holm image inspect -f '{{.Author}} {{.Config.Cmd}} {{len .RootFS.Layers}}' committed:1
	[ "$output" = "me [cat /x] 2" ]
	run -1 in_image committed:1 test -e /etc/passwd
	# What is only a mount's place is not in it.
	holm save committed:1 | tar -xO --wildcards 'blobs/*' > /dev/null
	holm run -d --name two small sh -c 'echo y > /y; exec sleep 1000'
	eventually in_running two test -s /y
	run -0 holm commit two committed:2
	[ "$(holm inspect -f '{{.State.Status}}' two)" = running ]
	[ "$(in_image committed:2 cat /y)" = y ]
	holm rm -f one two
}

@test "the corpus of Dockerfiles: files and configuration are as expected" {
	HOLM_TIMEOUT=600 run "$PROJECT/tests/build/run"
	assert_status 0
}

@test "the cache is counted, and pruned by itself; images stay" {
	printf 'FROM small\nRUN --mount=type=cache,target=/c echo x > /c/x; echo y > /y\n' | dockerfile
	holm build -q -t kept "$context"
	[ "$(holm system df --format json | jq -r 'select(.Type == "Build Cache") | .TotalCount')" -ge 1 ]
	[ -n "$(ls -A "$HOLM_ROOT/build-cache")" ]
	run -0 holm builder prune -f --filter until=1h
	[[ $output = *"objects: 0"* ]]
	run -0 holm builder prune -f
	[ -z "$(ls -A "$HOLM_ROOT/build-cache")" ]
	[ "$(in_image kept cat /y)" = y ]
	# What an image had gone with it is gone now.
	run -0 holm build "$context"
	[[ $output = *"#2 DONE"* ]]
	# The layers of a cache alone stay until it is pruned, also when the image is removed.
	holm rmi -f kept
	holm gc -f > /dev/null 2>&1 || true
	run -0 holm build "$context"
	[[ $output = *"#2 CACHED"* ]]
}

# cache_used WHEN: in the cache's rows; those of before.
cache_used() {
	python3 - "$HOLM_ROOT/holm.db" "$1" <<- 'END'
		import sqlite3, sys
		db = sqlite3.connect(sys.argv[1])
		print(*[row[0] for row in db.execute("SELECT used FROM layer_cache")])
		db.execute("UPDATE layer_cache SET used = ?", (int(sys.argv[2]),))
		db.commit()
	END
}

@test "what the cache has not had a use for in 30 days goes; what is in use stays" {
	local now
	now=$(date +%s)
	holm builder prune -f
	printf 'FROM small\nRUN echo x > /aged\n' | dockerfile
	holm build -q "$context"
	cache_used $(((now - 86400 * 29) * 1000000000))
	holm gc
	run -0 holm build "$context"
	[[ $output = *"#2 CACHED"* ]]
	[ "$(cache_used $(((now - 86400 * 31) * 1000000000)) | tr ' ' '\n' | sort -n | tail -n 1)" -ge $((now * 1000000000)) ]
	holm gc
	[ -z "$(cache_used 0)" ]
}

@test "a step of another network, or with other hosts, is another one" {
	printf 'FROM small\nRUN cat /etc/hosts > /hosts\n' | dockerfile
	run -0 holm build -q -t net:1 --network none "$context"
	run -0 holm build --network none "$context"
	[[ $output = *"#2 CACHED"* ]]
	run -0 holm build -q -t net:2 --network none --add-host there:10.1.2.3 "$context"
	[[ $(in_image net:2 cat /hosts) = *there* ]]
	run -0 holm build "$context"
	[[ $output = *"#2 DONE"* ]]
}

no_process_of_builds() {
	! host_state | grep -q '^process:'
}

in_running() {
	holm exec "$@"
}
