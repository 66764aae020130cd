#!/usr/bin/env bash
# From a bare Debian 12 machine to live recommendations on a real shop's data. What it does: --help.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: deploy/quickstart.sh [start] [option]...     install, build, run, show; leaves everything running
       deploy/quickstart.sh stop [--dir DIR]        stop everything that it left running
       deploy/quickstart.sh status [--dir DIR]      say what runs

Installs what is missing, builds, starts a private Apache Kafka, imports the first eleven months of Online Retail as
history, runs the batch layer, starts the speed and the serving layer, replays the following week through Kafka, and shows
what one customer is recommended before and after a view, a purchase and a dislike. Ctrl-C stops everything; so does `stop`.

options:
  --broker=HOST:PORT   use this Kafka instead of a private one (topics get a prefix of their own)
  --user=ID            the customer to show (default 12748)
  --json               one JSON object on stdout at the end, for machines; progress goes to stderr
  --dir=DIR            where data, logs and process ids go (default build/quickstart); emptied at the start
  --bin=DIR            the binaries (default build/release/bin)
  --port=PORT          of the serving layer (default 8470; 0: a free one)
  --kafka-port=PORT    of the private Kafka (default 19092; 0: a free one)
  --no-install         do not look for missing dependencies
  --no-build           the binaries are built already
USAGE
}

cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
command=start broker='' user=12748 json=0 dir=$ROOT/build/quickstart bin=$ROOT/build/release/bin port=8470 kafka_port=19092
install=1 build=1
for argument in "$@"; do
  case $argument in
    start | stop | status) command=$argument ;;
    --broker=*) broker=${argument#*=} ;;
    --user=*) user=${argument#*=} ;;
    --json) json=1 ;;
    --dir=*) dir=${argument#*=} ;;
    --bin=*) bin=${argument#*=} ;;
    --port=*) port=${argument#*=} ;;
    --kafka-port=*) kafka_port=${argument#*=} ;;
    --no-install) install=0 ;;
    --no-build) build=0 ;;
    -h | --help) usage; exit 0 ;;
    *) echo "quickstart: unknown option: $argument (see --help)" >&2; exit 2 ;;
  esac
done
kafka() { "$ROOT/deploy/kafka/kafka.sh" --dir "$dir/kafka" "$@"; }
config=$dir/tributary.textproto
tributary() { "$bin/tributary" --config "$config" "$@"; }

say() { printf '%s\n' "$*" >&2; }
started=$SECONDS
step() { printf '\n\033[1m[%3d s] %s\033[0m\n' $((SECONDS - started)) "$*" >&2; }
die() { say "quickstart: $*"; exit 1; }

# ---- the processes it left running --------------------------------------------------------------------------------

is_ours() { # NAME: the process of the pid file runs and is that program
  [[ -f $dir/$1.pid ]] && [[ $(ps -o comm= -p "$(cat "$dir/$1.pid")" 2>/dev/null) == "$(cut -c1-15 <<<"$1")" ]]
}

stop_all() {
  local name
  for name in tributary-serving tributary-speed; do
    if is_ours $name; then
      kill "$(cat "$dir/$name.pid")" 2>/dev/null || true
      for _ in $(seq 100); do is_ours $name || break; sleep 0.1; done
      if is_ours $name; then kill -9 "$(cat "$dir/$name.pid")"; fi
      say "stopped $name"
    fi
    rm -f "$dir/$name.pid"
  done
  if [[ -d $dir/kafka ]]; then kafka stop && say "stopped Kafka"; fi
}

status_all() {
  local name all=0
  for name in tributary-serving tributary-speed; do
    if is_ours $name; then say "$name runs, pid $(cat "$dir/$name.pid")"; else say "$name does not run"; all=3; fi
  done
  if [[ -d $dir/kafka ]]; then kafka status || all=3; fi
  return $all
}

case $command in
  stop) stop_all; exit 0 ;;
  status) status_all; exit $? ;;
esac

launch() { # NAME ARGUMENT...: starts one of our programs for good
  local name=$1
  shift
  setsid "$bin/$name" --config "$config" "$@" >"$dir/$name.log" 2>&1 </dev/null &
  echo $! >"$dir/$name.pid"
}

free_port() {
  local candidate
  for _ in $(seq 100); do
    candidate=$((20000 + RANDOM % 10000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$candidate") 2>/dev/null; then echo "$candidate"; return; fi
  done
  die "no free port found"
}

# ---- install, build, start ------------------------------------------------------------------------------------------

if ((install)); then
  step "Dependencies"
  deploy/install_dependencies.sh >&2
fi
if ((build)); then
  step "Build (release; about five minutes the first time)"
  [[ -f build/release/build.ninja ]] || cmake --preset release >&2
  cmake --build build/release --target tributary tributary-batch tributary-speed tributary-serving >&2
fi
started=$SECONDS

if [[ -d $dir ]]; then stop_all; fi
if [[ -d $dir/kafka ]]; then kafka wipe; fi
rm -rf "$dir"
mkdir -p "$dir/snapshots" "$dir/history"
trap 'say; say "quickstart: stopping"; trap - INT TERM EXIT; stop_all; exit 130' INT TERM
trap 'status=$?; if ((status)); then say "quickstart: failed, logs are in $dir"; stop_all; fi' EXIT

prefix=
if [[ -z $broker ]]; then
  step "Kafka"
  "$ROOT/deploy/kafka/kafka.sh" get >&2
  broker=$(kafka --port "$kafka_port" start)
  say "Apache Kafka listens on $broker"
else
  prefix=quickstart-$(date +%s).
fi
if [[ $port == 0 ]]; then port=$(free_port); fi

cat >"$config" <<CONFIG
kafka { brokers: "$broker" topic_prefix: "$prefix" }
storage { snapshots_dir: "$dir/snapshots" history_dir: "$dir/history" }
serving { listen_address: "127.0.0.1:$port" }
CONFIG
tributary topics create >&2

# ---- history, batch, live ----------------------------------------------------------------------------------------------

data=$ROOT/deploy/sample_data
from=2011-11-01 until=2011-11-08
step "Import: Online Retail up to $from, a real shop's purchases and returns"
"$bin/tributary-batch" --config "$config" import "$data/online_retail.csv.zst" \
  --mapping "$data/online_retail.mapping.textproto" --until "$from" --rejects "$dir/rejected.jsonl" >&2

step "Batch: models and a snapshot from $from"
"$bin/tributary-batch" --config "$config" run >&2

step "Speed and serving"
launch tributary-speed --instance quickstart
launch tributary-serving
tributary health --wait 30 >&2

step "Replay: the shop's week from $from on, shifted to now, through Kafka"
"$bin/tributary-batch" convert "$data/online_retail.csv.zst" \
  --mapping "$data/online_retail.mapping.textproto" --from "$from" --until "$until" >"$dir/week.jsonl"
tributary replay "$dir/week.jsonl" --shift-to-now --speed 0 >&2

# ---- one customer ---------------------------------------------------------------------------------------------------------

recommend() { # FILE [TOKEN]: asks, keeps the JSON in FILE and shows the table
  tributary recommend "$user" --limit 20 --json ${2:+--after-token "$2"} >"$1"
  if ((!json)); then tributary recommend "$user" --limit 10 >&2; fi
}
# publish TYPE ITEM FILE: publishes, waits until visible, keeps {position, visibleMs} in FILE
publish() { tributary publish --user "$user" --type "$1" --item "$2" --wait --json >"$3"; }
token() { jq -r '"\(.position.partition // 0):\(.position.offset // 0)"' "$1"; }
visible() { say "visible after $(jq -r .visibleMs "$1") ms"; }

step "Customer $user before"
# Their week is visible once an event behind it is: an impression changes nothing else.
publish IMPRESSION 22423 "$dir/impression.json"
recommend "$dir/before.json"
# The item from further down that a boost of its category lifts most: by its own part of the score, since what comes from
# the session changes with the view itself.
viewed=$(jq -r '[.items[] | {id: .itemId, score, own: ([.reasons[] | select(.source == "PERSONAL").part] | add // 0)}] as $i
  | [range(5; $i | length) | {id: $i[.].id, margin: ($i[.].own * 1.3 / $i[. - 1].score)}] | max_by(.margin).id' \
  "$dir/before.json")
bought=$(jq -r '.items[0].itemId' "$dir/before.json")
disliked=$(jq -r '.items[1].itemId' "$dir/before.json")

step "The customer views $viewed: its category moves up"
publish VIEW "$viewed" "$dir/view.json"
visible "$dir/view.json"
recommend "$dir/after_view.json" "$(token "$dir/view.json")"

step "The customer buys $bought: it is gone for 30 days"
publish PURCHASE "$bought" "$dir/purchase.json"
visible "$dir/purchase.json"
recommend "$dir/after_purchase.json" "$(token "$dir/purchase.json")"

step "The customer dislikes $disliked: it is gone for good, and its category sinks"
publish DISLIKE "$disliked" "$dir/dislike.json"
visible "$dir/dislike.json"
recommend "$dir/after_dislike.json" "$(token "$dir/dislike.json")"

jq -n --arg user "$user" --arg viewed "$viewed" --arg bought "$bought" --arg disliked "$disliked" \
  --argjson seconds $((SECONDS - started)) \
  --slurpfile before "$dir/before.json" --slurpfile view "$dir/view.json" --slurpfile after_view "$dir/after_view.json" \
  --slurpfile purchase "$dir/purchase.json" --slurpfile after_purchase "$dir/after_purchase.json" \
  --slurpfile dislike "$dir/dislike.json" --slurpfile after_dislike "$dir/after_dislike.json" '
  def rank($answer; $item): [$answer.items[].itemId] | index($item);
  {
    user: $user, seconds: $seconds,
    viewed: {item: $viewed, event: $view[0], rankBefore: rank($before[0]; $viewed), rankAfter: rank($after_view[0]; $viewed)},
    bought: {item: $bought, event: $purchase[0], rankAfter: rank($after_purchase[0]; $bought)},
    disliked: {item: $disliked, event: $dislike[0], rankAfter: rank($after_dislike[0]; $disliked)},
    before: $before[0], afterView: $after_view[0], afterPurchase: $after_purchase[0], afterDislike: $after_dislike[0]
  }' >"$dir/result.json"
jq -e '.bought.rankAfter == null and .disliked.rankAfter == null and .viewed.rankAfter != null
  and .viewed.rankAfter < .viewed.rankBefore' \
  "$dir/result.json" >/dev/null || die "the lists did not follow the customer: $dir/result.json"

jq -r '"\nWhat changed for customer \(.user) (rank from 1 of 20):
  viewed   \(.viewed.item): rank \(.viewed.rankBefore + 1) -> \(.viewed.rankAfter + 1), visible after \(.viewed.event.visibleMs) ms
  bought   \(.bought.item): gone, visible after \(.bought.event.visibleMs) ms
  disliked \(.disliked.item): gone, visible after \(.disliked.event.visibleMs) ms"' "$dir/result.json" >&2
step "Everything runs (the steps after the build took $((SECONDS - started)) s)"
cat >&2 <<NEXT
Ask:   $bin/tributary --config $config recommend 17841
       $bin/tributary --config $config similar 22423
       grpcurl -plaintext -d '{"user_id": "17841", "limit": 5}' 127.0.0.1:$port tributary.v1.RecommendationService/Recommend
Tell:  $bin/tributary --config $config publish --user 17841 --type VIEW --item 22423 --wait
Look:  $dir (configuration, logs, history as Parquet, snapshots)
Stop:  deploy/quickstart.sh stop$([[ $dir == "$ROOT/build/quickstart" ]] || echo " --dir=$dir")
NEXT
if ((json)); then cat "$dir/result.json"; fi
