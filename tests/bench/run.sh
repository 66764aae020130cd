#!/usr/bin/env bash
# Runs one benchmark and keeps what it measured in build/bench/NAME.jsonl.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: tests/bench/run.sh NAME [--smoke] [--bin DIR] [option of the benchmark]...

Runs DIR/bench_NAME (default build/release/bin). Each line on stdout is a JSON object {bench, metric, value, unit, peer,
peer_value, ratio}; the same goes to build/bench/NAME.jsonl. With --smoke the run is short, and the form of the lines is
checked: at least one line, every value a number above 0.

`freshness` starts its Kafka with the optimising compiler, a heap of 2 GiB and its log in TMPDIR (default /dev/shm).
`globo` is measured in process and through a Kafka that is run like that, but with its log on disk.
`speed` is measured beside Kafka Streams, which the first run gets with Maven into build/bench/kafka_streams; its Kafka is
run like that of `freshness`, but with its log on disk.
`training` and `batch` are measured beside implicit: the first run puts tests/bench/peers/requirements.txt into build/bench/peers.
`training --beside-spark` is measured beside Spark MLlib's ALS at d = 64 instead, from spark_requirements.txt (450 MB, wants Java 17).

Data sets that a benchmark wants are looked for in TRIBUTARY_DATA, else in ../shared/data; it says which one is missing.
USAGE
}

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
[[ $# -ge 1 && $1 != --help ]] || { usage; exit 2; }
name=$1
shift
bin=build/release/bin smoke=0 spark=0 arguments=()
while (($#)); do
  case $1 in
    --bin) bin=$2; shift ;;
    --smoke) smoke=1; arguments+=("$1") ;;
    --beside-spark) spark=1 ;;
    *) arguments+=("$1") ;;
  esac
  shift
done

program=$bin/bench_$name
[[ -x $program ]] || { echo "tests/bench/run.sh: no such benchmark: $program (built with the preset release?)" >&2; exit 2; }
if [[ -z ${TRIBUTARY_DATA:-} && -d ../shared/data ]]; then
  TRIBUTARY_DATA=$(cd ../shared/data && pwd)
  export TRIBUTARY_DATA
fi
mkdir -p build/bench
# Latency through a broker as it is run for load: compiled code, rare collections, a log on no disk that others write to.
if [[ $name == freshness || $name == globo || $name == speed ]] && ! ((smoke)); then
  export TRIBUTARY_KAFKA_JAVA_OPTS=${TRIBUTARY_KAFKA_JAVA_OPTS-} TRIBUTARY_KAFKA_HEAP=${TRIBUTARY_KAFKA_HEAP:-2g}
  if [[ $name == freshness && -z ${TMPDIR:-} && -w /dev/shm ]]; then export TMPDIR=/dev/shm; fi
fi
# python_peer DIR REQUIREMENTS [option of pip]...: a peer from PyPI, once.
python_peer() {
  local dir=$1 requirements=tests/bench/peers/$2
  shift 2
  if [[ ! -e $dir/complete ]]; then
    python3 -m venv --clear "$dir"
    PIP_CONSTRAINT=tests/bench/peers/build_constraints.txt "$dir/bin/pip" install --quiet --disable-pip-version-check "$@" \
      --require-hashes --requirement "$requirements"
    touch "$dir/complete"
  fi
}
if [[ $name == training ]] && ((spark)) && ! ((smoke)); then
  python_peer build/bench/spark spark_requirements.txt
  arguments=(--peer "build/bench/spark/bin/python tests/bench/peers/spark_als.py" --peer-name "Spark MLlib"
    --dimensions 64 --lists-dimensions 64 --cholesky-dimensions 0 "${arguments[@]}")
elif [[ $name == training || $name == batch ]] && ! ((smoke)); then
  python_peer build/bench/peers requirements.txt --only-binary :all:
  arguments+=(--peer "build/bench/peers/bin/python tests/bench/peers/implicit_als.py")
fi
# The peer of the speed layer. Without it the benchmark says that it has none.
if [[ $name == speed ]] && ! ((smoke)) && [[ "${arguments[*]}" != *--peer* ]]; then
  if class_path=$(tests/bench/peers/kafka_streams/build.sh build/bench/kafka_streams); then
    arguments+=(--peer "$class_path")
  else
    echo "tests/bench/run.sh: Kafka Streams could not be had, the speed layer is measured without a peer" >&2
  fi
fi
out=build/bench/$name$( ((spark)) && echo -spark || true)$( ((smoke)) && echo -smoke || true).jsonl
"$program" "${arguments[@]}" | tee "$out"

if ((smoke)); then
  jq -es 'length > 0 and all(.[];
    (.bench | type == "string") and (.metric | type == "string") and (.unit | type == "string")
    and (.value | type == "number" and . >= 0)
    and (has("peer") as $p | ($p | not) or ((.peer_value | type == "number" and . > 0) and (.ratio | type == "number" and . > 0))))' \
    "$out" >/dev/null || { echo "tests/bench/run.sh: malformed output in $out" >&2; exit 1; }
fi
