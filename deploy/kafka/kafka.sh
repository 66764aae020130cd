#!/usr/bin/env bash
# Real Apache Kafka (KRaft, no ZooKeeper) on the loopback address, for the quickstart, tests and development.
# How to use it: --help, and deploy/README.md.
# shellcheck disable=SC2046 # $(all_brokers) is a list of numbers
set -euo pipefail
export LC_ALL=C # the class archive is valid for one order of the jars

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
SELF=$HERE/$(basename "${BASH_SOURCE[0]}")
DEPS_DIR=${TRIBUTARY_DEPS_DIR:-${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/tributary}
VERSION=$(sed -n 's|.*<kafka.version>\(.*\)</kafka.version>.*|\1|p' "$HERE/pom.xml")
JARS=$DEPS_DIR/kafka-$VERSION
ARCHIVE=$DEPS_DIR/kafka-$VERSION.jsa
CLUSTER_ID=4L6g3nShT-eMCtK--X86sw # any fixed UUID: clusters differ by their ports and folders
STOP_SECONDS=8                    # how long stop waits before it kills

usage() {
  cat <<'EOF'
usage: kafka.sh [option]... command

commands:
  get                download Kafka once (Maven), check its jars, and prepare a class archive for fast starts
  start [N]          start a cluster of N brokers (1 or 3; default: as many as its folder has, else 1), or those of
                     them that are down; wait until it is ready; print its address (bootstrap.servers)
  start-broker ID    start one broker of the cluster that is down; wait until it has rejoined
  stop [ID]          stop all brokers, or one: SIGTERM, after 8 s SIGKILL; data stays
  kill [ID]          SIGKILL all brokers, or one; data stays
  wipe               SIGKILL all brokers and delete their data
  ready              wait until every broker answers and knows every other
  status             one line a broker; exit 0 if all run, 3 if not
  address            print the address of the cluster

options:
  --dir DIR          the cluster's folder: data, configuration, logs (default TRIBUTARY_KAFKA_DIR, else kafka-data in
                     the dependency folder); clusters in folders of their own live side by side
  --port PORT        broker i listens on PORT + 2 (i - 1), its controller on the port after it (default
                     TRIBUTARY_KAFKA_PORT, else as before in this folder, else 19092); 0 takes free ports
  --owner PID        with start: when process PID ends, kill the brokers and delete their data
  --set KEY=VALUE    with start: one more line of server.properties (repeatable; kept for later starts)
  --timeout SECONDS  longest wait for readiness (default 60)
  --help             this text

environment:
  TRIBUTARY_DEPS_DIR         the dependency folder (default ${XDG_CACHE_HOME:-~/.cache}/tributary)
  TRIBUTARY_KAFKA_HEAP       heap of a broker (default 256m)
  TRIBUTARY_KAFKA_JAVA_OPTS  other JVM options (default -XX:TieredStopAtLevel=1, which starts fast; an empty string
                             lets the optimising compiler work, for load tests)
EOF
}

say() { printf 'kafka: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
usage_error() { say "$* (see --help)"; exit 2; }
is_number() { [[ $1 =~ ^[0-9]{1,9}$ ]]; }

# ---- the cluster's folder -------------------------------------------------------------------------------------------
# brokers: their number · port: of the first · extra.properties: from --set · owner: pid from --owner
# broker-ID/: server.properties, pid, log, format.log, data/

count() { cat "$DIR/brokers" 2>/dev/null || echo 0; }
port_of() { echo $(($(<"$DIR/port") + 2 * ($1 - 1))); }
all_brokers() { seq "$(count)"; }
address() {
  local id list=()
  for id in $(all_brokers); do list+=("127.0.0.1:$(port_of "$id")"); done
  (IFS=,; echo "${list[*]}")
}
need_cluster() { (($(count))) || die "no cluster in $DIR: start one first"; }
need_broker() {
  need_cluster
  if ! is_number "$1" || (($1 < 1 || $1 > $(count))); then die "no broker $1 in $DIR: it has 1 to $(count)"; fi
}

# Prints the process id of a running broker; fails if there is none. A pid file may outlive its process and the number
# go to a stranger, so the command line must name this broker's own configuration. (A zombie's is empty.)
running() {
  local pid
  pid=$(cat "$DIR/broker-$1/pid" 2>/dev/null) &&
    grep -qsF -- "$DIR/broker-$1/server.properties" "/proc/$pid/cmdline" && echo "$pid"
}
running_brokers() {
  local id
  for id in $(all_brokers); do
    if running "$id" >/dev/null; then echo "$id"; fi
  done
}

# ---- get ------------------------------------------------------------------------------------------------------------
get() {
  command -v java >/dev/null || die "no java: run deploy/install_dependencies.sh"
  if [[ -d $JARS && -f $ARCHIVE ]]; then return; fi
  mkdir -p "$DEPS_DIR"
  (
    flock 9 # one at a time; children that may outlive us do not inherit it (9>&-)
    if [[ ! -d $JARS ]]; then download 9>&-; fi
    if [[ ! -f $ARCHIVE ]]; then make_archive 9>&-; fi
  ) 9>"$DEPS_DIR/kafka.lock"
}

download() {
  command -v mvn >/dev/null || die "no mvn: run deploy/install_dependencies.sh"
  local work
  work=$(mktemp -d "$DEPS_DIR/kafka.XXXXXX")
  # shellcheck disable=SC2064 # the folder of now
  trap "rm -rf '$work'" EXIT
  say "downloading Apache Kafka $VERSION with Maven (about 70 MB, once)"
  if ! mvn -q -B -f "$HERE/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
    -DoutputDirectory="$work/jars" >"$work/log" 2>&1; then
    tail -n 40 "$work/log" >&2
    die "Maven could not download Kafka $VERSION (its last lines are above)"
  fi
  (cd "$work/jars" && sha256sum --quiet --strict --check "$HERE/jars.sha256" >&2) ||
    die "a jar is not the one that jars.sha256 pins"
  mv "$work/jars" "$JARS" # whole or not at all
  trap - EXIT
  rm -rf "$work"
}

# Runs a broker once and keeps the classes it loaded (AppCDS): later starts are about a second faster. Kafka works
# without, so failing here is not an error.
make_archive() {
  local scratch
  scratch=$(mktemp -d)
  say "preparing the class archive"
  if TRIBUTARY_KAFKA_JAVA_OPTS="-XX:TieredStopAtLevel=1 -XX:ArchiveClassesAtExit=$scratch/jsa" \
    start_without_get "$scratch/cluster" && "$SELF" --dir "$scratch/cluster" stop && [[ -s $scratch/jsa ]]; then
    mv "$scratch/jsa" "$ARCHIVE"
  else
    say "no class archive could be made; starts will be slower"
  fi
  "$SELF" --dir "$scratch/cluster" wipe
  rm -rf "$scratch"
}
start_without_get() { TRIBUTARY_KAFKA_NO_GET=1 "$SELF" --dir "$1" --port 0 start >/dev/null; }

# ---- start ----------------------------------------------------------------------------------------------------------
listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

ports_free() { # FIRST N
  local port
  for ((port = $1; port < $1 + 2 * $2; port++)); do
    if listening "$port"; then return 1; fi
  done
}

# A process that was killed loses its name before its sockets.
await_free() { # FIRST N
  local end=$((SECONDS + 5))
  until ports_free "$1" "$2"; do
    ((SECONDS < end)) || return 1
    sleep 0.1
  done
}

free_port() { # N: below the range from which the kernel gives ports to clients
  local port attempt
  for ((attempt = 0; attempt < 100; attempt++)); do
    port=$((20000 + RANDOM % 6000 * 2))
    if ports_free "$port" "$1"; then echo "$port"; return; fi
  done
  die "found no free ports between 20000 and 32000"
}

write_properties() { # ID
  local id=$1 n other voters="" text folder=$DIR/broker-$1
  n=$(count)
  for other in $(all_brokers); do voters+=${voters:+,}$other@127.0.0.1:$(($(port_of "$other") + 1)); done
  text=$(<"$HERE/server.properties.in")
  text=${text//@ID@/$id}
  text=${text//@PORT@/$(port_of "$id")}
  text=${text//@CONTROLLER_PORT@/$(($(port_of "$id") + 1))}
  text=${text//@VOTERS@/$voters}
  text=${text//@DATA@/"$folder/data"}
  text=${text//@REPLICAS@/$n}
  text=${text//@IN_SYNC@/$((n == 3 ? 2 : 1))}
  { printf '%s\n' "$text"; cat "$DIR/extra.properties"; } >"$folder/server.properties"
}

launch() { # ID: starts the broker, on a formatted folder; does not wait
  local id=$1 folder=$DIR/broker-$1 jvm=() options=() jars=("$JARS"/*.jar)
  mkdir -p "$folder"
  write_properties "$id"
  jvm=(java -XX:+UseSerialGC -Djava.awt.headless=true -cp "$(IFS=:; echo "${jars[*]}")")
  if [[ -f $ARCHIVE ]]; then jvm+=(-XX:SharedArchiveFile="$ARCHIVE" -Xshare:auto); fi
  if [[ ! -f $folder/data/meta.properties ]]; then
    "${jvm[@]}" -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=error kafka.tools.StorageTool format \
      --cluster-id "$CLUSTER_ID" --config "$folder/server.properties" >"$folder/format.log" 2>&1 </dev/null ||
      { cat "$folder/format.log" >&2; die "broker $id: could not format its data folder"; }
  fi
  read -ra options <<<"${TRIBUTARY_KAFKA_JAVA_OPTS--XX:TieredStopAtLevel=1}"
  # A session of its own: Ctrl-C in the caller's terminal is the caller's to handle.
  setsid "${jvm[@]}" -Xms"${TRIBUTARY_KAFKA_HEAP:-256m}" -Xmx"${TRIBUTARY_KAFKA_HEAP:-256m}" "${options[@]}" \
    -Dorg.slf4j.simpleLogger.defaultLogLevel=warn kafka.Kafka "$folder/server.properties" \
    >"$folder/log" 2>&1 </dev/null &
  echo $! >"$folder/pid"
  until running "$id" >/dev/null || ! kill -0 $! 2>/dev/null; do sleep 0.01; done # until it has become the JVM
}

# Waits until a running broker answers and knows all running ones. The port first: kcat waits a whole second after a
# refused connection.
await() { # ID DEADLINE
  local id=$1 deadline=$2 port known other complete
  port=$(port_of "$id")
  while ((SECONDS < deadline)); do
    if ! running "$id" >/dev/null; then
      tail -n 20 "$DIR/broker-$id/log" >&2 || true
      say "broker $id is down (the end of its log is above)"
      return 1
    fi
    if listening "$port"; then
      known=$(timeout 3 kcat -L -b "127.0.0.1:$port" -m 2 2>/dev/null) || known=""
      complete=1
      for other in $(running_brokers); do
        if [[ $known != *" broker $other at "* ]]; then complete=0; fi
      done
      if ((complete)); then return; fi
    fi
    sleep 0.02
  done
  say "broker $id is not ready after $timeout s; its log: $DIR/broker-$id/log"
  return 1
}

ready() {
  local id deadline=$((SECONDS + timeout))
  command -v kcat >/dev/null || die "no kcat: run deploy/install_dependencies.sh"
  for id in $(all_brokers); do await "$id" "$deadline" || return 1; done
}

# A start that fails or is interrupted leaves no process behind. (A launch is waited for: it may be about to become one.)
down="" starters=()
abandon_start() {
  local pid
  for pid in "${starters[@]}"; do wait "$pid" || true; done
  # shellcheck disable=SC2086 # a list of numbers
  kill_brokers $down
}

start() { # N, or empty
  local n=${1:-$(count)} id attempt wanted=$port pid failed
  if ((n == 0)); then n=1; fi
  [[ $n == 1 || $n == 3 ]] || usage_error "start takes 1 or 3 brokers, not $n"
  if (($(count) && $(count) != n)); then die "the cluster in $DIR has $(count) brokers, not $n: wipe it first"; fi
  if [[ -z ${TRIBUTARY_KAFKA_NO_GET:-} ]]; then get; fi
  mkdir -p "$DIR"

  if [[ -n $(running_brokers) ]]; then
    if [[ -n $wanted && $wanted != 0 && $wanted != "$(<"$DIR/port")" ]]; then
      die "the cluster in $DIR runs on port $(<"$DIR/port"), not $wanted: stop it first"
    fi
    wanted=keep
  fi
  if ((${#settings[@]})); then printf '%s\n' "${settings[@]}" >"$DIR/extra.properties"; fi
  touch "$DIR/extra.properties"
  watch_owner

  for attempt in 1 2 3 4 5; do
    case $wanted in
      keep) ;;
      0) free_port "$n" >"$DIR/port" ;;
      '') [[ -f $DIR/port ]] || echo 19092 >"$DIR/port" ;;
      *) echo "$wanted" >"$DIR/port" ;;
    esac
    if [[ $wanted != keep && $wanted != 0 ]] && ! await_free "$(<"$DIR/port")" "$n"; then
      die "something else listens on a port from $(<"$DIR/port") to $(($(<"$DIR/port") + 2 * n - 1)): choose another --port"
    fi
    echo "$n" >"$DIR/brokers"
    starters=() failed=0 down=$(comm -23 <(all_brokers) <(running_brokers))
    trap abandon_start EXIT
    for id in $down; do
      launch "$id" & starters+=($!)
    done
    for pid in "${starters[@]}"; do wait "$pid" || failed=1; done
    if ((!failed)) && ready; then break; fi
    # A free port can be taken between the look and the start.
    if [[ $wanted != 0 || attempt -eq 5 ]] || ! grep -qs 'Address already in use' "$DIR"/broker-*/log; then
      die "the cluster did not start"
    fi
    abandon_start
  done
  trap - EXIT
  address
}

start_broker() { # ID
  need_broker "$1"
  if ! running "$1" >/dev/null; then launch "$1"; fi
  # Without a majority of controllers no broker can join: then there is nothing to wait for yet.
  if (($(running_brokers | wc -l) * 2 > $(count))); then await "$1" $((SECONDS + timeout)); fi
}

# A process of its own that outlives this script and sees to it that the brokers do not outlive the owner.
watch_owner() {
  if [[ -z $owner || $(cat "$DIR/owner" 2>/dev/null) == "$owner" ]]; then return; fi
  kill -0 "$owner" 2>/dev/null || die "no process $owner (--owner)"
  echo "$owner" >"$DIR/owner"
  # shellcheck disable=SC2016 # expands in the child
  setsid bash -c 'tail --pid="$1" -f /dev/null; if [[ $(cat "$2/owner") == "$1" ]]; then exec "$3" --dir "$2" wipe; fi' \
    kafka-owner-watch "$owner" "$DIR" "$SELF" >/dev/null 2>&1 </dev/null &
}

# ---- stop -----------------------------------------------------------------------------------------------------------
signal() { # SIGNAL ID...: to those that run
  local pid id signal=$1
  shift
  for id; do
    if pid=$(running "$id"); then kill "-$signal" "$pid" 2>/dev/null || true; fi
  done
}

await_end() { # DEADLINE ID...: fails if one still runs then
  local deadline=$1 id
  shift
  for id; do
    while running "$id" >/dev/null; do
      if ((SECONDS >= deadline)); then return 1; fi
      sleep 0.02
    done
    rm -f "$DIR/broker-$id/pid"
  done
}

kill_brokers() { # ID...
  signal KILL "$@"
  await_end $((SECONDS + 30)) "$@" || die "a broker survives SIGKILL: $DIR"
}

stop_brokers() { # ID...
  signal TERM "$@"
  await_end $((SECONDS + STOP_SECONDS)) "$@" || kill_brokers "$@"
}

# Deletes what this script made and nothing else: DIR may be a folder with other things in it.
wipe() {
  kill_brokers $(all_brokers)
  rm -rf "$DIR"/broker-[0-9]* "$DIR/brokers" "$DIR/port" "$DIR/extra.properties" "$DIR/owner"
  rmdir "$DIR" 2>/dev/null || true
}

status() {
  local id pid rc=0
  (($(count))) || { echo "no cluster in $DIR"; return 3; }
  for id in $(all_brokers); do
    if pid=$(running "$id"); then
      echo "broker $id  127.0.0.1:$(port_of "$id")  running, pid $pid"
    else
      echo "broker $id  127.0.0.1:$(port_of "$id")  down"
      rc=3
    fi
  done
  return "$rc"
}

# ---- command line ---------------------------------------------------------------------------------------------------
DIR=${TRIBUTARY_KAFKA_DIR:-$DEPS_DIR/kafka-data}
port=${TRIBUTARY_KAFKA_PORT:-} owner="" timeout=60 settings=() words=()
while (($#)); do
  case $1 in
    --dir | --port | --owner | --set | --timeout)
      (($# >= 2)) || usage_error "$1 needs a value"
      case $1 in
        --dir) DIR=$2 ;;
        --port) port=$2 ;;
        --owner) owner=$2 ;;
        --timeout) timeout=$2 ;;
        --set) [[ $2 == ?*=* ]] || usage_error "--set takes KEY=VALUE, not $2"; settings+=("$2") ;;
      esac
      shift 2
      ;;
    -h | --help) usage; exit 0 ;;
    -*) usage_error "unknown option: $1" ;;
    *) words+=("$1"); shift ;;
  esac
done
DIR=$(realpath -m -- "$DIR")
[[ $DIR != *[,\\]* ]] || usage_error "Kafka cannot use a folder whose name has a comma or a backslash: $DIR"
is_number "$timeout" || usage_error "--timeout takes seconds, not $timeout"
[[ -z $owner ]] || is_number "$owner" || usage_error "--owner takes a process id, not $owner"
if [[ -n $port ]] && ! { is_number "$port" && ((port <= 65530)); }; then usage_error "not a port: $port"; fi

((${#words[@]})) || { usage >&2; exit 2; }
command=${words[0]} argument=${words[1]:-}
((${#words[@]} <= 2)) || usage_error "too many arguments: ${words[*]}"
case $command in
  get | wipe | ready | status | address) [[ -z $argument ]] || usage_error "$command takes no argument" ;;
esac

case $command in
  get) get ;;
  start) start "$argument" ;;
  start-broker) start_broker "$argument" ;;
  stop | kill)
    if [[ -n $argument ]]; then need_broker "$argument"; brokers=$argument; else brokers=$(all_brokers); fi
    # shellcheck disable=SC2086 # a list of numbers
    "${command}_brokers" $brokers
    ;;
  wipe) wipe ;;
  ready) need_cluster; ready ;;
  status) status ;;
  address) need_cluster; address ;;
  *) usage_error "unknown command: $command" ;;
esac
