# holm compose: a project comes up in order, stays what its files say, and goes without a trace.
load helper

setup_file() { suite_setup; }
teardown_file() { suite_teardown; }

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	mkdir app
	cd app || return
	export COMPOSE_PROJECT_NAME
	COMPOSE_PROJECT_NAME=$(unique c)
	cat > compose.yaml <<- 'END'
		services:
		  web:
		    image: debian:12
		    init: true
		    command: ["sh", "-c", "echo $$PASSWORD; getent hosts db; cat /run/secrets/key; exec sleep 1000"]
		    environment: {PASSWORD: "${PASSWORD:-usual}"}
		    depends_on: {db: {condition: service_healthy}}
		    secrets: [key]
		  db:
		    image: debian:12
		    init: true
		    command: sh -c "touch /data/up; exec sleep 1000"
		    volumes: [data:/data]
		    healthcheck: {test: test -e /data/up, interval: 200ms}
		  extra:
		    image: debian:12
		    profiles: [more]
		volumes: {data: }
		secrets: {key: {file: ./key}}
	END
	echo the-key > key
}

teardown() {
	holm compose down -v > /dev/null 2>&1 || true
}

logged() { holm compose logs --no-log-prefix web | grep -q "$1"; }

@test "up in order, found by name; a second time nothing happens; what changed is made anew; down leaves nothing" {
	local p=$COMPOSE_PROJECT_NAME
	run holm compose up -d
	assert_status 0
	assert_match "$p-db-1  Started.*$p-web-1  Started"
	run holm compose ps --format '{{.Name}} {{.Service}} {{.State}} {{.Health}}'
	assert_output "$p-db-1 db running healthy"$'\n'"$p-web-1 web running "
	eventually logged '[0-9.]* *db'
	eventually logged the-key
	logged usual
	run holm compose logs db
	assert_output ""
	run holm ps -aq --filter "label=com.docker.compose.project=$p"
	[ "${#lines[@]}" -eq 2 ]
	run holm compose up -d
	assert_output " Container $p-db-1  Running"$'\n'" Container $p-web-1  Running"
	run holm compose exec web sh -c 'cat /run/secrets/key; exit 3'
	assert_status 3
	assert_output the-key
	run holm compose stop
	assert_match "$p-web-1  Stopped.*$p-db-1  Stopped"
	run holm compose ps -q
	assert_output ""
	run holm compose exec web true
	assert_match "is not running"
	run holm compose start
	assert_match "$p-db-1  Started.*$p-web-1  Started"
	PASSWORD=other run holm compose up -d
	assert_match "$p-db-1  Running.*$p-web-1  Removed.*$p-web-1  Started"
	eventually logged other
	run holm compose down -v
	assert_status 0
	assert_match "Network ${p}_default  Removed.*Volume ${p}_data  Removed"
	run holm ps -aq --filter "label=com.docker.compose.project=$p"
	assert_output ""
}

@test "config: variables, .env, later files, profiles" {
	echo PASSWORD=dotenv > .env
	printf 'services: {db: {user: "7"}}\n' > over.yaml
	run holm compose -f compose.yaml -f over.yaml config --format json
	assert_status 0
	[ "$(jq -r '.services.web.environment.PASSWORD, .services.db.user, (.services | has("extra"))' <<< "$output")" = $'dotenv\n7\nfalse' ]
	run holm compose --profile more config --services
	assert_output $'db\nweb\nextra'
	# What is printed says the same when it is read.
	holm compose config > again.yaml
	[ "$(holm compose -f again.yaml config)" = "$(cat again.yaml)" ]
}

@test "a container is made anew when its env_file says something else" {
	local p=$COMPOSE_PROJECT_NAME hash
	echo WHO=me > some.env
	printf 'services: {a: {image: "debian:12", init: true, command: sleep 1000, env_file: some.env, environment: [TOO]}}\n' > envs.yaml
	hash=$(holm compose -f envs.yaml config --hash)
	holm compose -f envs.yaml up -d
	echo '# a comment' >> some.env
	run holm compose -f envs.yaml up -d
	assert_output " Container $p-a-1  Running"
	echo WHO=you > some.env
	run holm compose -f envs.yaml up -d --no-recreate
	assert_output " Container $p-a-1  Running"
	run holm compose -f envs.yaml up -d
	assert_match "$p-a-1  Removed.*$p-a-1  Started"
	[ "$(holm compose -f envs.yaml exec a printenv WHO)" = you ]
	[ "$(holm compose -f envs.yaml config --hash)" != "$hash" ]
	TOO=also run holm compose -f envs.yaml up -d
	assert_match "$p-a-1  Removed.*$p-a-1  Started"
	rm some.env
	run holm compose -f envs.yaml up -d
	assert_status 1
	assert_match "envs.yaml:1: env_file '.*some.env': No such file"
	[ "$(holm ps -q --filter "label=com.docker.compose.project=$p" | wc -l)" -eq 1 ]
	touch some.env
	holm compose -f envs.yaml down
}

# Two of them do not say that they depend on it.
@test "what shares another service's network, pid or ipc namespace comes after it, and is made anew with it" {
	local p=$COMPOSE_PROJECT_NAME
	cat > shared.yaml <<- 'END'
		services:
		  main: &s {image: "debian:12", init: true, command: sleep 1000, environment: {A: "${A:-1}"}, ipc: shareable}
		  beside: {<<: *s, environment: {}, ipc: private, network_mode: "service:main"}
		  pid: {<<: *s, environment: {}, ipc: private, pid: "service:main"}
		  ipc: {<<: *s, environment: {}, ipc: "service:main", depends_on: [main]}
	END
	holm compose -f shared.yaml up -d
	run holm compose -f shared.yaml up -d
	assert_status 0
	[ "$(grep -c Running <<< "$output")" -eq 4 ]
	A=2 run holm compose -f shared.yaml up -d
	assert_status 0
	local service
	for service in main beside pid ipc; do
		assert_match "$p-$service-1  Removed"
		assert_match "$p-$service-1  Started"
	done
	[ "$(holm compose -f shared.yaml exec beside readlink /proc/self/ns/net)" = "$(holm compose -f shared.yaml exec main readlink /proc/self/ns/net)" ]
	holm compose -f shared.yaml down
}

@test "what is wrong is said with its place" {
	printf 'services:\n  web:\n    imag: x\n' > bad.yaml
	run holm compose -f bad.yaml config
	assert_status 1
	assert_one_line
	assert_match "bad.yaml:3: services.web.imag: unknown member: did you mean 'image'"
	printf 'services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [a]}\n' > circle.yaml
	run holm compose -f circle.yaml config
	assert_match "in a circle: a -> b -> a"
	printf 'services: {a: {image: "debian:12", mem_limit: 1m}}\n' > small.yaml
	run holm compose -f small.yaml up -d
	assert_status 1
	assert_match "small.yaml:1: a: --memory: 1.00MiB is below the least, 6m"
	run holm compose nothing
	assert_status 1
	run holm compose up --build --no-build
	assert_match "exclude each other"
	run holm compose up --force-recreate --no-recreate
	assert_match "exclude each other"
}

@test "what nothing acts on is said, each with its place, and what would mean something else is refused" {
	cat > idle.yaml <<- 'END'
		services:
		  a:
		    build: {context: ., privileged: true, no_cache: false, ssh: [default], cache_from: [debian]}
		    develop: {watch: []}
		    depends_on: {b: {condition: service_started}}
		    secrets: [{source: key, mode: 0400}]
		  b:
		    image: debian:12
		    pull_policy: always
		    build: {context: ., privileged: false}
		    deploy: {placement: {}, resources: {limits: {cpus: 1}, reservations: {cpus: 1}}}
		    networks: {default: {priority: 3}}
		    volumes: ["./x:/x:ro,z", {type: bind, source: /x, target: /y, bind: {selinux: z}}]
		secrets: {key: {file: ./key}}
	END
	run holm compose -f idle.yaml config -q
	assert_status 0
	local f=$PWD/idle.yaml not="holm does nothing about it" expected="" at
	for at in 3:a.build.privileged 3:a.build.ssh 3:a.build.cache_from 4:a.develop 6:a.secrets[0].mode \
		11:b.deploy.placement 11:b.deploy.resources.reservations.cpus 12:b.networks.default.priority; do
		expected+="$f:${at%%:*}: services.${at#*:}: $not"$'\n'
	done
	expected+="$f:13: services.b.volumes: 'z' and 'Z': $not"$'\n'
	expected+="$f:13: services.b.volumes[1].bind.selinux: $not"$'\n'
	expected+="$f:9: services.b: 'pull_policy: always': $not beside 'build'"$'\n'
	[ "$(sed 's/^[^/]*//' <<< "$output")" = "${expected%$'\n'}" ]
	printf 'services: {a: {image: x}}\nnetworks:\n  default: {enable_ipv4: false}\n' > six.yaml
	run holm compose -f six.yaml config
	assert_status 1
	assert_match "six.yaml:3: networks.default.enable_ipv4: not supported: every network has IPv4"
	printf 'services: {a: {image: "debian:12", command: "true", deploy: {restart_policy: {condition: any, max_attempts: 3}}}}\n' > any.yaml
	run holm compose -f any.yaml up -d --no-start
	assert_status 0
	assert_match "any.yaml:1: deploy.restart_policy.max_attempts: $not unless the condition is on-failure"
	sed -i 's/any, max_attempts: 3/on-failure/' any.yaml
	run holm compose -f any.yaml up -d --no-start
	assert_status 0
	[[ "$output" != *warning* ]]
	[ "$(holm inspect -f '{{.HostConfig.RestartPolicy.Name}}' "$COMPOSE_PROJECT_NAME-a-1")" = on-failure ]
	holm compose -f any.yaml down
	printf 'services: {a: {image: "debian:12", runtime: none-such}}\n' > runtime.yaml
	run holm compose -f runtime.yaml up -d
	assert_status 1
	assert_match "runtime.yaml:1: a: --runtime: .*none-such"
}

@test "a dependency that fails stops what waits for it" {
	printf 'services:\n  job: {image: "debian:12", command: "false"}\n  after: {image: "debian:12", command: "true", depends_on: {job: {condition: service_completed_successfully}}}\n' > fails.yaml
	run holm compose -f fails.yaml up -d
	assert_status 1
	assert_match "after waits for job: .*-job-1 has ended with status 1"
	run holm compose -f fails.yaml ps -a --format '{{.Service}} {{.ExitCode}}'
	assert_output "job 1"
	holm compose -f fails.yaml down
}

@test "build: an image that is missing is made, by its Dockerfile or the text in the file" {
	local p=$COMPOSE_PROJECT_NAME
	mkdir ctx
	printf 'FROM debian:12\nARG WHO\nRUN echo hello $WHO > /hello\n' > ctx/Dockerfile
	printf 'services:\n  a: {build: {context: ctx, args: {WHO: you}}, init: true, command: sleep 1000}\n' > built.yaml
	run holm compose -f built.yaml up -d
	assert_status 0
	assert_match "Image $p-a  Built"
	run holm compose -f built.yaml exec a cat /hello
	assert_output "hello you"
	[ "$(holm compose -f built.yaml config --images)" = "$p-a" ]
	run holm compose -f built.yaml up -d
	assert_output " Container $p-a-1  Running"
	sed -i 's/a: {/a: {pull_policy: build, /' built.yaml
	run holm compose -f built.yaml up -d
	assert_status 0
	assert_match "Image $p-a  Built"
	holm compose -f built.yaml down
	holm rmi "$p-a"
}

@test "up in the foreground: what all write is shown, and a signal stops them" {
	local p=$COMPOSE_PROJECT_NAME pid code=0
	printf 'services:\n  a: &s {image: "debian:12", init: true, command: sh -c "echo from $$HOSTNAME; exec sleep 1000", hostname: one}\n  b: {<<: *s, hostname: two}\n' > two.yaml
	"$HOLM" compose -f two.yaml up > out 2>&1 3>&- &
	pid=$!
	eventually grep -q "^$p-a-1  | from one" out
	eventually grep -q "^$p-b-1  | from two" out
	kill -INT $pid
	wait $pid || code=$?
	cat out
	[ "$code" -eq 130 ]
	grep -q "$p-a-1 exited with code 143" out
	grep -q "Container $p-b-1  Stopped" out
	run holm compose -f two.yaml ps -q
	assert_output ""
	run holm compose -f two.yaml logs -f b
	assert_output "$p-b-1  | from two"
	run holm compose -f two.yaml rm a
	assert_output " Container $p-a-1  Removed"
	holm compose -f two.yaml down
}

@test "up in the foreground: a second signal kills" {
	local p=$COMPOSE_PROJECT_NAME pid code=0
	printf 'services: {a: {image: "debian:12", stop_grace_period: 50s, command: ["sh", "-c", "trap : TERM; echo up; while :; do sleep 0.1; done"]}}\n' > stays.yaml
	"$HOLM" compose -f stays.yaml up > out 2>&1 3>&- &
	pid=$!
	eventually grep -q "| up" out
	kill -TERM $pid
	eventually grep -q "once more kills" out
	kill -TERM $pid
	wait $pid || code=$?
	cat out
	[ "$code" -eq 143 ]
	grep -q "$p-a-1 exited with code 137" out
	holm compose -f stays.yaml down
}

@test "up --exit-code-from: the first to end stops all, and the status is that service's" {
	local p=$COMPOSE_PROJECT_NAME
	printf 'services: {job: {image: "debian:12", command: sh -c "echo done; exit 7"}, a: {image: "debian:12", init: true, command: sleep 1000}}\n' > job.yaml
	run holm compose -f job.yaml up --exit-code-from job
	assert_status 7
	assert_match "$p-job-1  | done"
	assert_match "$p-a-1  Stopped"
	run holm compose -f job.yaml up --exit-code-from none
	assert_status 1
	assert_match "'none' is not among the services"
	holm compose -f job.yaml start a
	run holm compose -f job.yaml kill
	assert_output " Container $p-a-1  Killed"
	holm compose -f job.yaml down
}

@test "up in the foreground: what a service writes is shown while others still wait" {
	local p=$COMPOSE_PROJECT_NAME pid
	cat > slow.yaml <<- 'END'
		services:
		  first: {image: "debian:12", init: true, command: sh -c "echo one; exec sleep 1000", healthcheck: {test: test -e /go, interval: 200ms, retries: 1000}}
		  quiet: {image: "debian:12", init: true, command: sh -c "echo silence; exec sleep 1000", attach: false}
		  second: {image: "debian:12", init: true, command: sh -c "echo two; exec sleep 1000", depends_on: {first: {condition: service_healthy}, quiet: {condition: service_started}}}
	END
	"$HOLM" compose -f slow.yaml up > out 2>&1 3>&- &
	pid=$!
	eventually grep -q "^$p-first-1   | one" out
	[ "$(grep -c "$p-second-1  Started" out)" -eq 0 ]
	holm compose -f slow.yaml exec first touch /go
	eventually grep -q "^$p-second-1  | two" out
	kill -INT $pid
	wait $pid || true
	cat out
	[ "$(grep -c '| one' out)" -eq 1 ]
	grep -q "$p-quiet-1 exited with code" out
	[ "$(grep -c silence out)" -eq 0 ]
	holm compose -f slow.yaml down
}

@test "up in the foreground: a dependency that fails is shown, and what runs goes on" {
	local p=$COMPOSE_PROJECT_NAME
	printf 'services:\n  stays: {image: "debian:12", init: true, command: sleep 1000}\n  job: {image: "debian:12", command: sh -c "echo why; exit 4", depends_on: [stays]}\n  after: {image: "debian:12", command: "true", depends_on: {job: {condition: service_completed_successfully}}}\n' > fails.yaml
	run holm compose -f fails.yaml up
	assert_status 1
	assert_match "$p-job-1    | why"
	assert_match "after waits for job: .*-job-1 has ended with status 4"
	[ "$(holm compose -f fails.yaml ps --services)" = stays ]
	holm compose -f fails.yaml down
}

@test "up --abort-on-container-exit: what was to end well first does not stop the others" {
	local p=$COMPOSE_PROJECT_NAME
	cat > once.yaml <<- 'END'
		services:
		  migrate: {image: "debian:12", command: echo migrated}
		  web: {image: "debian:12", init: true, command: sh -c "sleep 1; echo served; exit 5", depends_on: {migrate: {condition: service_completed_successfully}}}
		  other: {image: "debian:12", init: true, command: sleep 1000, depends_on: {migrate: {condition: service_completed_successfully}}}
	END
	run holm compose -f once.yaml up --abort-on-container-exit
	assert_status 5
	assert_match "$p-migrate-1  | migrated"
	assert_match "$p-web-1      | served"
	assert_match "$p-other-1 exited with code 143"
	run holm compose -f once.yaml up --exit-code-from migrate
	assert_status 0
	assert_match "Container $p-other-1  Stopped"
	holm compose -f once.yaml down
}

@test "what does not depend on each other comes up and goes at the same time" {
	local p=$COMPOSE_PROJECT_NAME pid wait
	# Each waits for the other at its end.
	wait='trap "touch /v/$$HOSTNAME; until [ -e /v/a -a -e /v/b ]; do sleep 0.1; done; exit 0" TERM; echo up; while :; do sleep 0.1; done'
	cat > two.yaml <<- END
		services:
		  slow: {image: "debian:12", init: true, command: sleep 1000, healthcheck: {test: test -e /go, interval: 200ms, retries: 1000}}
		  after: {image: "debian:12", init: true, command: sleep 1000, depends_on: {slow: {condition: service_healthy}}}
		  a: &s {image: "debian:12", hostname: a, stop_grace_period: 50s, volumes: [v:/v], command: ['sh', '-c', '$wait']}
		  b: {<<: *s, hostname: b}
		volumes: {v: }
	END
	"$HOLM" compose -f two.yaml up -d > out 2>&1 3>&- &
	pid=$!
	eventually grep -q "$p-b-1  Started" out
	eventually grep -q "$p-a-1  Started" out
	eventually grep -q "$p-slow-1  Started" out
	[ "$(grep -c "$p-after-1" out)" -eq 0 ]
	holm compose -f two.yaml exec slow touch /go
	wait $pid
	grep -q "$p-after-1  Started" out
	eventually sh -c "[ \$($HOLM compose -f two.yaml logs a b | grep -c up) -eq 2 ]"
	run holm compose -f two.yaml stop
	assert_status 0
	[ "$(holm inspect -f '{{.State.ExitCode}}' "$p-a-1" "$p-b-1")" = $'0\n0' ]
	holm compose -f two.yaml down -v
}

@test "one that fails is named, what needs it is left out, the others come up" {
	local p=$COMPOSE_PROJECT_NAME
	cat > bad.yaml <<- 'END'
		services:
		  bad: {image: "debian:12", command: /none/such}
		  after: {image: "debian:12", command: sleep 1000, depends_on: [bad]}
		  more: {image: "debian:12", command: sleep 1000, depends_on: [after]}
		  fine: {image: "debian:12", init: true, command: sleep 1000}
	END
	run holm compose -f bad.yaml up -d
	assert_status 1
	assert_match "holm: .*$p-bad-1.*/none/such"
	assert_match "Container $p-after-1  Left out, since what it depends on has failed"
	assert_match "Container $p-more-1  Left out"
	assert_match "Container $p-fine-1  Started"
	[ "$(holm compose -f bad.yaml ps --services)" = fine ]
	[ "$(holm compose -f bad.yaml ps -aq | wc -l)" -eq 2 ]
	holm compose -f bad.yaml down
}

@test "up -d that is interrupted leaves what down cleans up" {
	local p=$COMPOSE_PROJECT_NAME pid code=0
	cat > never.yaml <<- 'END'
		services:
		  never: {image: "debian:12", init: true, command: sleep 1000, healthcheck: {test: "false", interval: 200ms, retries: 100000}}
		  after: {image: "debian:12", command: sleep 1000, depends_on: {never: {condition: service_healthy}}}
		  later: {image: "debian:12", command: sleep 1000, depends_on: {never: {condition: service_healthy}}}
	END
	"$HOLM" compose -f never.yaml up -d > out 2>&1 3>&- &
	pid=$!
	eventually grep -q "$p-never-1  Started" out
	kill -TERM $pid
	wait $pid || code=$?
	[ "$code" -eq 143 ]
	run holm compose -f never.yaml ps --services
	assert_output never
	run holm compose -f never.yaml down
	assert_status 0
	assert_match "Network ${p}_default  Removed"
	[ -z "$(holm ps -aq --filter "label=com.docker.compose.project=$p")" ]
}

@test "restart: what asks to be restarted with a service is; pause, unpause, kill -s, rm -s" {
	local p=$COMPOSE_PROJECT_NAME
	cat > life.yaml <<- 'END'
		services:
		  db: &s {image: "debian:12", init: true, command: sleep 1000, environment: {A: "${A:-1}"}}
		  web: {<<: *s, environment: {}, depends_on: {db: {condition: service_started, restart: true}}}
		  other: {<<: *s, environment: {}, depends_on: [db]}
	END
	holm compose -f life.yaml up -d
	run holm compose -f life.yaml restart db
	assert_output " Container $p-db-1  Restarted"$'\n'" Container $p-web-1  Restarted"
	run holm compose -f life.yaml restart --no-deps db
	assert_output " Container $p-db-1  Restarted"
	A=2 run holm compose -f life.yaml up -d
	assert_match "$p-db-1  Started.*$p-web-1  Restarted"
	assert_match "$p-other-1  Running"
	run holm compose -f life.yaml pause web
	assert_output " Container $p-web-1  Paused"
	[ "$(holm inspect -f '{{.State.Status}}' "$p-web-1")" = paused ]
	run holm compose -f life.yaml unpause
	assert_output " Container $p-web-1  Unpaused"
	run holm compose -f life.yaml kill -s TERM other
	assert_output " Container $p-other-1  Killed"
	run holm compose -f life.yaml kill -s NONE other
	assert_status 1
	assert_match "unknown signal 'NONE'"
	run holm compose -f life.yaml rm -fsv
	assert_status 0
	[ "$(grep -c Removed <<< "$output")" -eq 3 ]
	run holm compose -f life.yaml start
	assert_status 1
	assert_match "no container to start"
	holm compose -f life.yaml down
}

@test "run: a container of its own for one command, with what the service depends on" {
	local p=$COMPOSE_PROJECT_NAME
	cat > one.yaml <<- 'END'
		services:
		  db: {image: "debian:12", init: true, command: sleep 1000}
		  web: {image: "debian:12", init: true, command: sleep 1000, depends_on: [db], ports: ["127.0.0.1::80"], environment: {A: file, B: file}, volumes: [v:/v]}
		volumes: {v: }
	END
	run holm compose -f one.yaml run --rm -T -e A=line -w /tmp -v ./:/here web sh -c 'echo $A $B $PWD; getent hosts db > /dev/null && ls /here/one.yaml; exit 7'
	assert_status 7
	assert_match "$p-db-1  Started.*line file /tmp.*/here/one.yaml"
	[ "$(echo in | holm compose -f one.yaml run --rm -T --no-deps --entrypoint 'cat -' web 2> /dev/null)" = in ]
	run holm compose -f one.yaml run -d --name "$p-own" -u 7 web sleep 1000
	assert_status 0
	[ "$(holm inspect -f '{{.Config.User}} {{len .HostConfig.PortBindings}} {{index .Config.Labels "com.docker.compose.oneoff"}}' "$p-own")" = "7 0 True" ]
	# It is none of the service's, but goes with the project.
	[ "$(holm compose -f one.yaml ps --services)" = db ]
	run holm compose -f one.yaml up -d
	assert_match "$p-web-1  Started"
	run holm compose -f one.yaml run --rm none true
	assert_status 1
	assert_match "no such service: none"
	run holm compose -f one.yaml down -v
	assert_status 0
	assert_match "$p-own  Removed"
	[ -z "$(holm ps -aq --filter "label=com.docker.compose.project=$p")" ]
}

@test "create, --scale, images, top, port, ls, cp; down of one service, and of images" {
	local p=$COMPOSE_PROJECT_NAME port
	cat > many.yaml <<- END
		services:
		  a: {image: "debian:12", init: true, command: sleep 1000, ports: ["127.0.0.1::80"]}
		  b: {init: true, command: sleep 1000, build: {context: ., dockerfile_inline: "FROM debian:12"}}
		  c: {image: "debian:12", container_name: $p-named, init: true, command: sleep 1000}
	END
	holm compose -f many.yaml create
	[ "$(holm compose -f many.yaml ps -a --format '{{.State}}' | sort -u)" = created ]
	[ "$(holm compose ls -q --filter name="$p")" = "" ]
	run holm compose -f many.yaml up -d --scale b=3
	assert_status 0
	assert_match "$p-b-3  Started"
	[ "$(holm compose ls --filter name="$p" --format '{{.Name}} {{.Status}}')" = "$p running(5)" ]
	run holm compose -f many.yaml up -d --scale c=2
	assert_status 1
	assert_match "several containers cannot have one 'container_name'"
	run holm compose -f many.yaml up -d --scale c=2000
	assert_match "'c=2000' is not SERVICE=NUMBER, of at most 1000"
	port=$(holm compose -f many.yaml port a 80)
	[[ $port = 127.0.0.1:* ]]
	run holm compose -f many.yaml top a
	assert_match "$p-a-1.*sleep 1000"
	[ "$(holm compose -f many.yaml images --format '{{.ContainerName}} {{.Repository}}:{{.Tag}}' b | head -1)" = "$p-b-1 $p-b:latest" ]
	echo hello > file
	holm compose -f many.yaml cp --index 2 file b:/tmp/file
	[ "$(holm compose -f many.yaml exec --index 2 b cat /tmp/file)" = hello ]
	run holm compose -f many.yaml down a
	assert_output " Container $p-a-1  Removed"
	run holm compose -f many.yaml down --rmi local
	assert_status 0
	assert_match "Image $p-b  Removed"
	run holm image inspect "$p-b"
	assert_status 1
}
