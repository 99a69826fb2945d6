# pull, push, login: against Debian's docker-registry on loopback, and through a server between the two that does
# what registries should not (registry.py). Images here are small; two layers, made by hand.

load helper

setup_file() {
	command -v docker-registry > /dev/null || skip "there is no docker-registry (Debian's package)"
	# A process that is forked while another thread allocates may wait for ever in AddressSanitizer's allocator.
	! grep -qa __asan_init "$HOLM" || skip "AddressSanitizer's allocator does not survive a fork beside threads"
	suite_setup own
	WORK=$(mktemp -d)
	# Nobody's credentials, for skopeo and podman; an ordinary user has no place for theirs here.
	echo '{}' > "$WORK/auth.json"
	export WORK HOLM_HTTP_TIMEOUT=3 REGISTRY_AUTH_FILE=$WORK/auth.json
	start_registry "$WORK/plain"
	export REGISTRY=127.0.0.1:$PORT
	"$BATS_TEST_DIRNAME/registry.py" "http://$REGISTRY" "$WORK/port" 3>&- > "$WORK/between.log" 2>&1 &
	echo $! >> "$WORK/pids"
	eventually [ -s "$WORK/port" ]
	BETWEEN=127.0.0.1:$(cat "$WORK/port")
	export BETWEEN
	make_image
}

teardown_file() {
	[ -z "$WORK" ] || xargs -r kill < "$WORK/pids" || true
	[ -z "$WORK" ] || rm -rf "$WORK"
	suite_teardown
}

setup() {
	fresh_root
	export DOCKER_CONFIG=$BATS_TEST_TMPDIR/docker HOLM_CONFIG=$BATS_TEST_TMPDIR/holm.json
	rm -f "$WORK"/port.*
}
teardown() { drop_root; }

# start_registry DIRECTORY [YAML of "auth" and "tls"]: a registry on a free port; PORT.
start_registry() {
	local tries pid
	mkdir -p "$1"
	# A port that is free now may not be in a moment.
	for tries in 1 2 3 4 5; do
		PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
		cat > "$1/config.yml" <<- EOF
			version: 0.1
			storage: { filesystem: { rootdirectory: $1 }, delete: { enabled: true } }
			http: { addr: "127.0.0.1:$PORT"${3:-} }
			${2:-}
		EOF
		# Variables of that name would be taken for its configuration.
		env -u REGISTRY -u REGISTRY_AUTH_FILE docker-registry serve "$1/config.yml" 3>&- > "$1/log" 2>&1 &
		pid=$!
		eventually answers_or_ended "$pid" "${4:-http}"
		! kill -0 "$pid" 2> /dev/null || break
	done
	echo "$pid" >> "$WORK/pids"
	kill -0 "$pid" || { cat "$1/log"; return 1; }
}
answers_or_ended() {
	curl -sk -o /dev/null "$2://127.0.0.1:$PORT/v2/" || ! kill -0 "$1" 2> /dev/null
}

# An image of two gzip layers as an OCI layout, and by skopeo in the registry: app:1; ID, CONFIG.
make_image() {
	mkdir -p "$WORK/one/bin" "$WORK/two"
	cp "$(command -v busybox)" "$WORK/one/bin/sh"
	head -c 300000 /dev/urandom > "$WORK/two/random"
	for n in one two; do tar -C "$WORK/$n" --owner 0 --group 0 -cf "$WORK/$n.tar" .; done
	python3 - "$WORK" <<- 'EOF'
		import gzip, hashlib, json, os, sys
		work = sys.argv[1]
		os.makedirs(work + "/layout/blobs/sha256")
		def blob(data, **more):
		    name = hashlib.sha256(data).hexdigest()
		    with open(work + "/layout/blobs/sha256/" + name, "wb") as f:
		        f.write(data)
		    return dict(digest="sha256:" + name, size=len(data), **more)
		layers, diff_ids = [], []
		for n in ("one", "two"):
		    with open("%s/%s.tar" % (work, n), "rb") as f:
		        tar = f.read()
		    diff_ids.append("sha256:" + hashlib.sha256(tar).hexdigest())
		    layers.append(blob(gzip.compress(tar, 1, mtime=0),
		        mediaType="application/vnd.oci.image.layer.v1.tar+gzip"))
		config = blob(json.dumps(dict(architecture="amd64", os="linux", config=dict(Cmd=["/bin/sh", "-c", "echo app"]),
		    rootfs=dict(type="layers", diff_ids=diff_ids))).encode(),
		    mediaType="application/vnd.oci.image.config.v1+json")
		manifest = dict(schemaVersion=2, mediaType="application/vnd.oci.image.manifest.v1+json",
		    config=config, layers=layers)
		with open(work + "/manifest.json", "w") as f:
		    json.dump(manifest, f)
		index = dict(schemaVersion=2, manifests=[blob(json.dumps(manifest).encode(), mediaType=manifest["mediaType"],
		    annotations={"org.opencontainers.image.ref.name": "1"})])
		with open(work + "/layout/index.json", "w") as f:
		    json.dump(index, f)
		with open(work + "/layout/oci-layout", "w") as f:
		    f.write('{"imageLayoutVersion": "1.0.0"}')
	EOF
	skopeo copy -q --dest-tls-verify=false "oci:$WORK/layout:1" "docker://$REGISTRY/app:1"
	ID=$(jq -r .config.digest "$WORK/manifest.json")
	CONFIG=${ID#sha256:}
	DIGEST=$(jq -r '.manifests[0].digest' "$WORK/layout/index.json")
	export ID CONFIG DIGEST
}

# The server between the two does this from now on.
between() {
	echo "$CONFIG" > "$WORK/port.config"
	echo "$*" > "$WORK/port.how"
}

# Nothing of the image is to be seen, and nothing stays but what the next pull can use.
nothing_here() {
	[ -z "$(holm images -q)" ]
	[ -z "$(ls "$HOLM_ROOT/layers")" ]
	[ -z "$(ls "$HOLM_ROOT/blobs/sha256")" ]
}

# One line, in time, and then a pull without disturbance gets the image.
fails_then_works() {
	run -1 holm pull -q "$BETWEEN/app:1"
	[ "${#lines[@]}" -eq 1 ]
	[[ $output == *"$1"* ]]
	nothing_here
	between
	run -0 holm pull -q "$BETWEEN/app:1"
	[ "$(holm images -q --no-trunc)" = "$ID" ]
	run -0 holm image verify -q
}

@test "pull gets an image, by tag and by digest, and run gets it by itself" {
	run -0 holm pull "$REGISTRY/app:1"
	[ "$output" = "Digest: $DIGEST
Status: Downloaded newer image for $REGISTRY/app:1
$REGISTRY/app:1" ]
	[ "$(holm images -q --no-trunc)" = "$ID" ]
	run -0 holm pull "$REGISTRY/app:1"
	[[ $output == *"Image is up to date for $REGISTRY/app:1"* ]]
	run -0 holm run --rm --network none "$REGISTRY/app:1"
	[ "$output" = app ]
	run -0 holm image verify -q
	[ "$(holm log --format '{{.Why}}' "$REGISTRY/app:1")" = "pulled from $REGISTRY" ]
	holm rmi -f "$ID"
	run -0 holm pull -q "$REGISTRY/app@$DIGEST"
	[ "$output" = "$REGISTRY/app@$DIGEST" ]
	run -0 holm run --rm --network none --pull never "$REGISTRY/app@$DIGEST"
	[ "$output" = app ]
	holm image prune -f
	run -0 holm image inspect "$REGISTRY/app@$DIGEST"
	holm rmi "$REGISTRY/app@$DIGEST"
	run -125 holm run --rm --pull never "$REGISTRY/app:1"
	[[ $output == *"no such image: $REGISTRY/app:1"* ]]
	run -0 holm run --rm --network none "$REGISTRY/app:1"
	[ "$output" = app ]
	# always asks the registry, which has another one by now.
	holm import "$WORK/two.tar" "$REGISTRY/moves:1"
	holm push -q "$REGISTRY/moves:1"
	holm tag "$ID" "$REGISTRY/moves:1"
	holm create --name cc --pull always "$REGISTRY/moves:1" true
	[ "$(holm image inspect -f '{{.Id}}' "$REGISTRY/moves:1")" != "$ID" ]
}

@test "pull of what is not there, or from nowhere, says so" {
	run -1 holm pull "$REGISTRY/app:2"
	[[ $output == "holm: pull '$REGISTRY/app:2': no such image: $REGISTRY has no such thing: manifest unknown" ]]
	run -1 holm pull 127.0.0.1:1/app
	[[ $output == *"127.0.0.1:1: "*"onnect"* ]]
	run -1 holm pull 'No!'
	[[ $output == *"'No!'"* ]]
	run -1 holm pull --platform linux/riscv64 "$REGISTRY/app:1"
	[[ $output == *"there only for linux/amd64"* ]]
	nothing_here
}

@test "json progress is a line for each step, and the image" {
	run -0 holm pull --progress json "$REGISTRY/app:1"
	[ "$(jq -r 'select(.status == "done") | .layer' <<< "$output" | wc -l)" -eq 2 ]
	[ "$(tail -n 1 <<< "$output" | jq -r .id)" = "$ID" ]
}

@test "a layer that is here is not fetched" {
	between
	holm pull -q "$BETWEEN/app:1"
	holm rmi "$BETWEEN/app:1"
	# Another image with the first layer and one of its own.
	holm pull -q "$REGISTRY/app:1"
	rm "$WORK/port.log"
	holm pull -q "$BETWEEN/app:1"
	[ "$(grep -c blobs "$WORK/port.log")" -eq 1 ]
	grep "blobs/sha256:$CONFIG" "$WORK/port.log"
}

@test "pulls of one image at once wait for each other, never in a circle" {
	local first second pid pids=()
	{ read -r first && read -r second; } < <(jq -r '.layers[].digest[7:]' "$WORK/manifest.json" | sort)
	# Who waits for a layer has none of those that come after it.
	mkdir -p "$HOLM_ROOT/partial"
	exec 7> "$HOLM_ROOT/partial/$first"
	flock 7
	holm pull -q "$REGISTRY/app:1" 7>&- 3>&- > "$BATS_TEST_TMPDIR/out" 2>&1 &
	pid=$!
	waits() { grep -q -- "-> FLOCK.*:$(stat -c %i "$HOLM_ROOT/partial/$first") " /proc/locks; }
	eventually waits
	[ ! -e "$HOLM_ROOT/partial/$second" ]
	exec 7>&-
	wait "$pid"
	holm rmi -f "$ID"
	holm image prune -f
	rm -f "$WORK/port.log"
	between
	for _ in 1 2 3; do
		holm pull -q "$BETWEEN/app:1" 3>&- > /dev/null &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do wait "$pid"; done
	[ "$(grep -c "blobs/sha256:\($first\|$second\)" "$WORK/port.log")" -eq 2 ]
	run -0 holm image verify -q
	[ -z "$(ls "$HOLM_ROOT/partial")" ]
}

@test "a pull that breaks off goes on where it was" {
	between cut 100000 1
	run -0 holm pull -q "$BETWEEN/app:1"
	grep -E 'blobs.* bytes=[1-9][0-9]*-$' "$WORK/port.log"
	run -0 holm image verify -q
	holm rmi -f "$ID"
	# And one that was given up.
	between stop 100000
	run -1 holm pull -q "$BETWEEN/app:1"
	[ "${#lines[@]}" -eq 1 ]
	nothing_here
	[ -n "$(ls "$HOLM_ROOT/partial")" ]
	rm "$WORK/port.log"
	between
	run -0 holm pull -q "$BETWEEN/app:1"
	grep -E 'blobs.* bytes=[1-9][0-9]*-$' "$WORK/port.log"
	[ -z "$(ls "$HOLM_ROOT/partial")" ]
	run -0 holm image verify -q
	# Parts that nobody comes back for: after a day, or when one collects.
	touch "$HOLM_ROOT/partial/recent"
	touch -d '2 days ago' "$HOLM_ROOT/partial/old"
	holm rmi -f "$ID"
	[ "$(ls "$HOLM_ROOT/partial")" = recent ]
	holm gc
	[ -z "$(ls "$HOLM_ROOT/partial")" ]
}

@test "blobs cut at any byte, or damaged, never make an image" {
	local offset
	for offset in 0 1 17 150000; do
		between corrupt $offset
		run -1 holm pull -q "$BETWEEN/app:1"
		[ "${#lines[@]}" -eq 1 ]
		nothing_here
	done
	fails_then_works layer
}

@test "a partial layer that is damaged is fetched anew" {
	local layer
	layer=$(jq -r '.layers[1].digest' "$WORK/manifest.json")
	mkdir -p "$HOLM_ROOT/partial"
	head -c 1000 /dev/urandom > "$HOLM_ROOT/partial/${layer#sha256:}"
	run -0 holm pull -q "$REGISTRY/app:1"
	run -0 holm image verify -q
}

@test "blobs of another length are refused" {
	between short
	fails_then_works layer
	holm rmi -f "$ID"
	between long
	fails_then_works "more than"
}

@test "a blob without an end is refused" {
	between endless
	fails_then_works "layer"
}

@test "a server that says nothing is not waited for" {
	between silent
	export HOLM_HTTP_TIMEOUT=1
	fails_then_works layer
}

@test "a server that sends a byte now and then is not waited for" {
	between slow
	export HOLM_HTTP_TIMEOUT=1
	run -1 holm pull -q "$BETWEEN/app:1"
	[ "${#lines[@]}" -eq 1 ]
	nothing_here
}

@test "a part of a layer that is another one than asked for is not taken: the whole is fetched" {
	local layer
	layer=$(jq -r '.layers[1].digest[7:]' "$WORK/manifest.json")
	mkdir -p "$HOLM_ROOT/partial"
	head -c 1000 "$WORK/layout/blobs/sha256/$layer" > "$HOLM_ROOT/partial/$layer"
	rm -f "$WORK/port.log"
	between range
	run -0 holm pull -q "$BETWEEN/app:1"
	[ "$(grep -c "blobs/sha256:$layer bytes=1000-\$" "$WORK/port.log")" -eq 1 ]
	[ "$(grep -c "blobs/sha256:$layer \$" "$WORK/port.log")" -eq 1 ]
	run -0 holm image verify -q
}

@test "run --platform gets an image that is here for another one only" {
	holm import --platform linux/arm64 "$WORK/two.tar" "$REGISTRY/app:1"
	run -125 holm run --rm --network none --platform linux/amd64 --pull never "$REGISTRY/app:1"
	run -0 holm run -q --rm --network none --platform linux/amd64 "$REGISTRY/app:1"
	[ "$output" = app ]
	[ "$(holm image inspect -f '{{.Architecture}}' "$REGISTRY/app:1")" = amd64 ]
}

@test "429 and 5xx are tried again, a few times" {
	between status 503 2
	run -0 holm pull -q "$BETWEEN/app:1"
	holm rmi -f "$ID"
	between status 429
	fails_then_works "too many requests"
	holm rmi -f "$ID"
	between status 500
	fails_then_works "status 500: as it was told"
}

@test "redirects are followed, not for ever, not to other protocols" {
	between loop
	fails_then_works "redirects more than"
	holm rmi -f "$ID"
	between away
	fails_then_works "redirects to where it may not"
	holm rmi -f "$ID"
	between elsewhere
	run -0 holm pull -q "$BETWEEN/app:1"
	[ "$(sort -u "$WORK/port.told")" = None ]
}

@test "manifests that lie are refused" {
	local bad=$BATS_TEST_TMPDIR/manifest
	jq '.layers[0].digest = "sha256:'"$(printf '%064d' 0)"'"' "$WORK/manifest.json" > "$bad"
	between manifest "$bad"
	fails_then_works "layer 1 of 2"
	holm rmi -f "$ID"
	jq '.layers[0].size += 1' "$WORK/manifest.json" > "$bad"
	between manifest "$bad"
	fails_then_works "layer 1 of 2"
	holm rmi -f "$ID"
	jq '.layers |= reverse' "$WORK/manifest.json" > "$bad"
	between manifest "$bad"
	fails_then_works "configuration says"
	holm rmi -f "$ID"
	jq 'del(.layers[1])' "$WORK/manifest.json" > "$bad"
	between manifest "$bad"
	fails_then_works "1 layers"
	holm rmi -f "$ID"
	jq '.config.size = 1' "$WORK/manifest.json" > "$bad"
	between manifest "$bad"
	fails_then_works "another blob"
	holm rmi -f "$ID"
	jq '.layers[0].size = -5' "$WORK/manifest.json" > "$bad"
	between manifest "$bad"
	fails_then_works "layer 1"
	holm rmi -f "$ID"
	echo '{"schemaVersion": 1}' > "$bad"
	between manifest "$bad"
	fails_then_works "first format"
	holm rmi -f "$ID"
	# By digest another manifest is none.
	between manifest "$bad"
	run -1 holm pull -q "$BETWEEN/app@$DIGEST"
	[[ $output == *"another manifest"* ]]
}

@test "an index of itself, and one for other platforms, are refused" {
	local bad=$BATS_TEST_TMPDIR/index
	jq -n '{schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: [{mediaType:
		"application/vnd.oci.image.index.v1+json", size: 1, digest: "'"$DIGEST"'", platform: {os: "linux", architecture: "amd64"}}]}' > "$bad"
	between manifest "$bad"
	fails_then_works "another manifest"
	holm rmi -f "$ID"
	sed -i s/amd64/s390x/ "$bad"
	between manifest "$bad"
	fails_then_works "only for: linux/s390x"
}

@test "a decompression bomb does not go off" {
	local dir=$BATS_TEST_TMPDIR/bomb
	mkdir "$dir"
	# 8 GiB of zeros in a file, twice compressed: some kilobytes.
	python3 - "$dir" "$WORK/manifest.json" "$REGISTRY" <<- 'EOF'
		import hashlib, json, subprocess, sys, urllib.request
		header = subprocess.run("f=$(mktemp) && truncate -s 8G $f && tar --sparse-version=1.0 -cf - -P $f | head -c 512; rm -f $f",
		    shell=True, stdout=subprocess.PIPE).stdout
		z = subprocess.Popen(["zstd", "-q", "-1", "-c"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
		import threading
		def feed():
		    z.stdin.write(header)
		    for _ in range(64 * 6):
		        z.stdin.write(bytes(16 << 20))
		    z.stdin.close()
		threading.Thread(target=feed).start()
		bomb = z.stdout.read()
		manifest = json.load(open(sys.argv[2]))
		manifest["layers"][1] = dict(mediaType="application/vnd.oci.image.layer.v1.tar+zstd", size=len(bomb),
		    digest="sha256:" + hashlib.sha256(bomb).hexdigest())
		json.dump(manifest, open(sys.argv[1] + "/manifest", "w"))
		start = urllib.request.urlopen(urllib.request.Request("http://%s/v2/app/blobs/uploads/" % sys.argv[3], method="POST"))
		where = start.headers["Location"]
		urllib.request.urlopen(urllib.request.Request(where + "&digest=" + manifest["layers"][1]["digest"], data=bomb,
		    method="PUT", headers={"Content-Type": "application/octet-stream"}))
	EOF
	between manifest "$dir/manifest"
	fails_then_works "layer 2 of 2"
}

@test "push sends what the registry lacks, and others can use it" {
	holm pull -q "$REGISTRY/app:1"
	holm tag "$ID" "$BETWEEN/pushed/app:2"
	between
	rm -f "$WORK/port.log"
	run -0 holm push "$BETWEEN/pushed/app:2"
	# Byte for byte what came.
	[ "$output" = "2: digest: $DIGEST" ]
	[ "$(grep -c '^PUT.*blobs' "$WORK/port.log")" -eq 3 ]
	rm "$WORK/port.log"
	run -0 holm push -q "$BETWEEN/pushed/app:2"
	[ "$output" = "$BETWEEN/pushed/app:2" ]
	! grep '^PUT.*blobs' "$WORK/port.log"
	# To another repository: mounted.
	holm tag "$ID" "$BETWEEN/mounted:1"
	rm "$WORK/port.log"
	run -0 holm push "$BETWEEN/mounted:1"
	! grep '^PUT.*blobs/uploads/.*digest=' "$WORK/port.log" | grep -v "$CONFIG"
	grep '^POST.*mount=' "$WORK/port.log"
	[ "$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$REGISTRY/pushed/app:2")" = "$DIGEST" ]
	run -1 holm push nothing:1
	[[ $output == *"no such image"* ]]
	holm tag "$ID" "$BETWEEN/pushed/app:3"
	run -0 holm push -a "$BETWEEN/pushed/app"
	[ "${#lines[@]}" -eq 2 ]
}

@test "what holm has made goes to skopeo and podman, and comes back, by the same digest" {
	local digest back
	holm import -c 'CMD ["/bin/sh", "-c", "echo made"]' "$WORK/one.tar" "$REGISTRY/made:1"
	digest=$(holm push "$REGISTRY/made:1" | sed 's/.*digest: //')
	skopeo copy -q --src-tls-verify=false --dest-tls-verify=false "docker://$REGISTRY/made:1" "docker://$REGISTRY/copied:1"
	holm rmi "$REGISTRY/made:1"
	back=$(holm pull "$REGISTRY/copied:1" | sed -n 's/Digest: //p')
	[ "$back" = "$digest" ]
	[ "$(holm run --rm --network none "$REGISTRY/copied:1")" = made ]
	command -v podman > /dev/null || skip "there is no podman"
	[ "$(id -u)" -eq 0 ] || skip "an ordinary user's podman leaves a process of its own behind"
	unset DOCKER_CONFIG
	podman=(podman --root "$BATS_TEST_TMPDIR/podman" --runroot "$BATS_TEST_TMPDIR/podman.run" --storage-driver vfs)
	"${podman[@]}" pull -q --tls-verify=false "$REGISTRY/copied:1"
	[ "$("${podman[@]}" image inspect --format '{{.Digest}}' "$REGISTRY/copied:1")" = "$digest" ]
	"${podman[@]}" rmi -af > /dev/null
}

@test "Docker's own formats: a v2 manifest, and a list of them" {
	skopeo copy -q --src-tls-verify=false --dest-tls-verify=false -f v2s2 "docker://$REGISTRY/app:1" "docker://$REGISTRY/docker:1"
	run -0 holm pull -q "$REGISTRY/docker:1"
	digest=$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$REGISTRY/docker:1")
	size=$(skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/docker:1" | wc -c)
	jq -n '{schemaVersion: 2, mediaType: "application/vnd.docker.distribution.manifest.list.v2+json", manifests: [{mediaType:
		"application/vnd.docker.distribution.manifest.v2+json", size: '"$size"', digest: "'"$digest"'",
		platform: {os: "linux", architecture: "amd64"}}]}' > "$BATS_TEST_TMPDIR/list"
	curl -sf -X PUT -H 'Content-Type: application/vnd.docker.distribution.manifest.list.v2+json' \
		--data-binary "@$BATS_TEST_TMPDIR/list" "http://$REGISTRY/v2/docker/manifests/list"
	run -0 holm pull "$REGISTRY/docker:list"
	[[ $output == *"Digest: sha256:$(sha256sum < "$BATS_TEST_TMPDIR/list" | cut -d' ' -f1)"* ]]
	# What was pulled as Docker's is pushed as Docker's.
	holm tag "$REGISTRY/docker:1" "$REGISTRY/docker:again"
	[[ $(holm push "$REGISTRY/docker:again") == *"$digest" ]]
}

@test "login: basic, with passwords kept as Docker keeps them" {
	htpasswd -Bbn me secret > "$BATS_TEST_TMPDIR/users" 2> /dev/null ||
		python3 -c 'import crypt; print("me:" + crypt.crypt("secret", crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)))' > "$BATS_TEST_TMPDIR/users"
	start_registry "$WORK/auth" "auth: { htpasswd: { realm: test, path: $BATS_TEST_TMPDIR/users } }"
	local host=127.0.0.1:$PORT
	holm pull -q "$REGISTRY/app:1"
	holm tag "$ID" "$host/app:1"
	run -1 holm push "$host/app:1"
	[[ $output == *"holm login $host"* ]]
	run -1 holm login -u me --password-stdin "$host" <<< wrong
	[[ $output == *"does not take this name and password"* ]]
	[ ! -e "$DOCKER_CONFIG/config.json" ]
	mkdir "$DOCKER_CONFIG"
	echo '{"other": [1], "auths": {"x.example": {"auth": "eDp5"}}}' > "$DOCKER_CONFIG/config.json"
	run -0 holm login -u me --password-stdin "$host" <<< secret
	[[ $output == *"Login Succeeded"* ]]
	[ "$(stat -c %a "$DOCKER_CONFIG/config.json")" = 600 ]
	[ "$(jq -c .other "$DOCKER_CONFIG/config.json")" = "[1]" ]
	[ "$(jq -r ".auths.\"$host\".auth" "$DOCKER_CONFIG/config.json" | base64 -d)" = me:secret ]
	run -0 holm push -q "$host/app:1"
	holm rmi "$host/app:1"
	run -0 holm pull -q "$host/app:1"
	run -0 holm logout "$host"
	[ "$(jq -c .auths "$DOCKER_CONFIG/config.json")" = '{"x.example":{"auth":"eDp5"}}' ]
	run -1 holm pull "$host/app:1"
	[[ $output == *"holm login $host"* ]]
	run -1 holm login "$host" < /dev/null
	[[ $output == *"--password-stdin"* ]]
}

@test "login: a token server, and a credential helper" {
	between token
	run -1 holm pull "$BETWEEN/app:1"
	[[ $output == *"holm login $BETWEEN"* ]]
	mkdir -p "$BATS_TEST_TMPDIR/bin" "$DOCKER_CONFIG"
	cat > "$BATS_TEST_TMPDIR/bin/docker-credential-test" <<- EOF
		#!/bin/sh
		case \$1 in
		store) cat > "$BATS_TEST_TMPDIR/kept" ;;
		get) [ -e "$BATS_TEST_TMPDIR/kept" ] && cat "$BATS_TEST_TMPDIR/kept" || { echo credentials not found in native keychain; exit 1; } ;;
		erase) rm "$BATS_TEST_TMPDIR/kept" ;;
		esac
	EOF
	chmod +x "$BATS_TEST_TMPDIR/bin/docker-credential-test"
	PATH=$BATS_TEST_TMPDIR/bin:$PATH
	echo '{"credsStore": "test"}' > "$DOCKER_CONFIG/config.json"
	run -0 holm login -u me --password-stdin "$BETWEEN" <<< secret
	[ "$output" = "Login Succeeded" ]
	[ "$(jq -r .Secret "$BATS_TEST_TMPDIR/kept")" = secret ]
	[ "$(cat "$DOCKER_CONFIG/config.json")" = '{"credsStore": "test"}' ]
	run -0 holm pull -q "$BETWEEN/app:1"
	grep 'scope=repository:app:pull$' "$WORK/port.scopes"
	holm tag "$ID" "$BETWEEN/token/app:1"
	run -0 holm push -q "$BETWEEN/token/app:1"
	grep 'scope=repository:token/app:pull%2Cpush' "$WORK/port.scopes"
	run -0 holm logout "$BETWEEN"
	[ ! -e "$BATS_TEST_TMPDIR/kept" ]
}

@test "HTTPS with an authority of one's own" {
	local name=registry.holm.test certs
	[ "$(id -u)" -eq 0 ] || skip "certificates are in /etc/docker/certs.d, which root alone can fill"
	mkdir -p "$BATS_TEST_TMPDIR/ca"
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$name" -addext "subjectAltName=IP:127.0.0.1" \
		-keyout "$BATS_TEST_TMPDIR/ca/key" -out "$BATS_TEST_TMPDIR/ca/crt" 2> /dev/null
	start_registry "$WORK/tls" "" ", tls: { certificate: $BATS_TEST_TMPDIR/ca/crt, key: $BATS_TEST_TMPDIR/ca/key }" https
	# On loopback a certificate that nobody vouches for does, as with Docker.
	holm pull -q "$REGISTRY/app:1"
	holm tag "$ID" "127.0.0.1:$PORT/app:1"
	run -0 holm push -q "127.0.0.1:$PORT/app:1"
	# Not where there is an authority for it: another's certificate is refused, its own is taken.
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=other" \
		-keyout "$BATS_TEST_TMPDIR/ca/other.key" -out "$BATS_TEST_TMPDIR/ca/other" 2> /dev/null
	certs=/etc/docker/certs.d/127.0.0.1:$PORT
	mkdir -p "$certs"
	cp "$BATS_TEST_TMPDIR/ca/other" "$certs/ca.crt"
	run holm push -q "127.0.0.1:$PORT/app:1"
	cp "$BATS_TEST_TMPDIR/ca/crt" "$certs/ca.crt"
	local refused=$status why=$output
	run holm push -q "127.0.0.1:$PORT/app:1"
	rm -r "$certs"
	rmdir -p --ignore-fail-on-non-empty /etc/docker/certs.d
	[ "$status" -eq 0 ]
	[ "$refused" -eq 1 ]
	[[ $why == *certificate* ]]
}

@test "mirrors of docker.io are asked first, insecure registries are configured" {
	skopeo copy -q --src-tls-verify=false --dest-tls-verify=false "docker://$REGISTRY/app:1" "docker://$REGISTRY/library/thing:7"
	echo '{"registry-mirrors": ["http://127.0.0.1:1", "http://'"$REGISTRY"'"]}' > "$HOLM_CONFIG"
	run -0 --separate-stderr holm pull thing:7
	[[ $output == *"Downloaded newer image for thing:7"*"docker.io/library/thing:7" ]]
	[[ $stderr == *"127.0.0.1:1: "*"asking $REGISTRY"* ]]
	[ "$(holm images --format '{{.Repository}}:{{.Tag}}')" = thing:7 ]
	echo '{"registry-mirrors": "no list"}' > "$HOLM_CONFIG"
	run -1 holm pull thing:7
	[[ $output == *"registry-mirrors: expected a list"* ]]
	echo 'no JSON' > "$HOLM_CONFIG"
	run -1 holm pull thing:7
	[[ $output == *"$HOLM_CONFIG"* ]]
}

@test "verify --repair fetches what is damaged again" {
	local blob
	holm pull -q "$REGISTRY/app:1"
	for blob in "$HOLM_ROOT"/blobs/sha256/*; do echo x >> "$blob"; done
	run -1 holm image verify
	[[ $output == *"2 damaged, 0 mended" ]]
	run -0 holm image verify --repair
	[[ $output == *"fetched again"*"2 damaged, 2 mended" ]]
	rm "$HOLM_ROOT"/blobs/sha256/*
	rm -r "$HOLM_ROOT"/layers/*
	run -0 holm image verify --repair
	run -0 holm image verify -q
	[ "$(holm run --rm --network none "$REGISTRY/app:1")" = app ]
	# Not under a container that runs, and without becoming an image that was asked for by its digest.
	holm run -d --name holds --network none "$REGISTRY/app:1" sh -c 'sleep 100'
	for blob in "$HOLM_ROOT"/blobs/sha256/*; do echo x >> "$blob"; done
	run -1 holm image verify --repair
	[[ $output == *"while a container runs from it"*"2 damaged, 0 mended" ]]
	holm rm -f holds
	run -0 holm image verify --repair
	[ "$(holm images --format '{{.Repository}}:{{.Tag}}')" = "$REGISTRY/app:1" ]
}

@test "build and compose pull what is not here" {
	mkdir "$BATS_TEST_TMPDIR/build"
	printf 'FROM %s/app:1\nENV built=yes\n' "$REGISTRY" > "$BATS_TEST_TMPDIR/build/Dockerfile"
	run -0 holm build -q -t built "$BATS_TEST_TMPDIR/build"
	[ "$(holm run --rm --network none built sh -c 'echo $built')" = yes ]
	printf 'FROM %s/app:none\n' "$REGISTRY" > "$BATS_TEST_TMPDIR/build/Dockerfile"
	run -1 holm build -q "$BATS_TEST_TMPDIR/build"
	[[ $output == *"no such image"* ]]
	holm rmi -f "$ID" built > /dev/null
	cat > "$BATS_TEST_TMPDIR/compose.yaml" <<- EOF
		name: pulled
		services:
		  one: { image: "$REGISTRY/app:1", network_mode: none, command: [sh, -c, "sleep 100"] }
	EOF
	run -0 holm compose -f "$BATS_TEST_TMPDIR/compose.yaml" up -d
	[ -n "$(holm ps -q)" ]
	holm compose -f "$BATS_TEST_TMPDIR/compose.yaml" down -t 0
	sed -i 's/app:1/app:none/' "$BATS_TEST_TMPDIR/compose.yaml"
	run -1 holm compose -f "$BATS_TEST_TMPDIR/compose.yaml" up -d
	[[ $output == *"service one: no such image: $REGISTRY/app:none"* ]]
}
