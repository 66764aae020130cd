#!/usr/bin/env bash
# What tests and the quickstart rely on in deploy/kafka/kafka.sh.
# usage: kafka_sh_test.sh PATH-OF-kafka.sh
set -euo pipefail

kafka_sh=$1
scratch=$(mktemp -d)
one="$scratch/one & only" # a name with everything that careless quoting breaks on
three=$scratch/three
owner=""
finish() {
  if [[ -n $owner ]]; then kill -9 "$owner" 2>/dev/null || true; fi
  "$kafka_sh" --dir "$one" wipe
  "$kafka_sh" --dir "$three" wipe
  rm -rf "$scratch"
}
trap finish EXIT
cd /

fail() { echo "FAILED: $*" >&2; exit 1; }
expect_exit() { # CODE COMMAND...
  local code=0 wanted=$1
  shift
  "$@" >/dev/null 2>&1 || code=$?
  ((code == wanted)) || fail "exit $code instead of $wanted: $*"
}
eventually() { # COMMAND...: within 60 s
  local deadline=$((SECONDS + 60))
  until "$@"; do ((SECONDS < deadline)) || fail "did not come about: $*"; done
}
one() { "$kafka_sh" --dir "$one" "$@"; }
three() { "$kafka_sh" --dir "$three" "$@"; }
pid_of() { sed -n "s/^broker $1 .*pid //p"; }

echo "an unknown command, option or cluster is refused"
expect_exit 2 "$kafka_sh" frobnicate
expect_exit 2 "$kafka_sh" --frobnicate start
expect_exit 2 one start 2
expect_exit 3 one status
expect_exit 1 one ready
expect_exit 0 one wipe

echo "a broker starts on a free port, keeps it and its data over a stop and a kill"
address=$(one --port 0 --set auto.create.topics.enable=true start)
[[ $address == 127.0.0.1:* && $(one address) == "$address" ]] || fail "address: $address"
echo 'first' | kcat -P -b "$address" -t durable
first=$(one status | pid_of 1)
[[ $(one start) == "$address" && $(one status | pid_of 1) == "$first" ]] || fail "a second start is not a no-op"
one stop
expect_exit 3 one status
[[ $(one start) == "$address" ]] || fail "the port changed"
one kill
[[ $(one start) == "$address" ]] || fail "the port changed"
[[ $(kcat -C -b "$address" -t durable -o beginning -e -q) == first ]] || fail "the record is lost"

echo "topics take the time of the broker"
now_ms=$(date +%s%3N)
stamp=$(kcat -C -b "$address" -t durable -o beginning -e -q -f '%T')
((stamp > now_ms - 600000 && stamp <= now_ms)) || fail "timestamp $stamp at $now_ms"

echo "a cluster that cannot start says so and leaves nothing running"
expect_exit 1 "$kafka_sh" --dir "$three" --port "${address##*:}" start
expect_exit 1 "$kafka_sh" --dir "$three" --port 0 --set num.io.threads=none start
[[ -z $(three status | pid_of 1) ]] || fail "a broker runs"
three wipe
[[ ! -e $three ]] || fail "wipe left $(ls "$three")"

echo "three brokers live beside it; one is killed and rejoins"
sleep infinity & owner=$!
brokers=$(three --port 0 --owner "$owner" start 3)
[[ $brokers == *,*,* ]] || fail "addresses: $brokers"
expect_exit 1 three start 1
three kill 2
expect_exit 3 three status
three start-broker 2
three ready
expect_exit 0 three status
one ready

echo "the brokers do not outlive their owner"
pid=$(three status | pid_of 3)
alive() { grep -qs . "/proc/$pid/cmdline"; }
gone() { [[ ! -e $three ]] && ! alive; }
alive || fail "broker 3 does not run"
kill -9 "$owner"
eventually gone
one ready

echo "a folder's other files survive wipe"
touch "$one/mine"
one wipe
[[ $(ls "$one") == mine ]] || fail "left: $(ls "$one")"
echo passed
