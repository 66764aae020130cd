#!/usr/bin/env bash
# The one test command: installs what is missing, builds, and runs the tests against a real Kafka of its own.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: tests/run.sh [option]...

Installs missing dependencies (deploy/install_dependencies.sh), starts one Kafka broker on free ports for the run, and
builds (in build/PRESET) and tests in three parts, the last of which is everything:
  tsan     with ThreadSanitizer, the tests labelled threads
  asan     with AddressSanitizer and UndefinedBehaviorSanitizer, those labelled unit, simulation, fuzz and asan
  release  all tests
Each part closes with ctest's summary; the first part with a failed test ends the run. The broker and its data are gone at
the end, also after a failure or Ctrl-C.

options:
  --full          before that, fresh seeds of the simulation, the bugs of tests/simulation/mutants, which must be found; all
                  tests with asan too, and the fuzz targets with libFuzzer (preset fuzz). ThreadSanitizer sees those
                  labelled threads here as well: the others rest on threads and locks of libraries that it cannot see
  --preset P      all tests with this CMake preset and nothing else (release, asan, tsan, dev)
  --label L       of the preset P (release), only tests whose label matches the regular expression L (ctest -L): unit,
                  integration, simulation, chaos, fuzz, bench, threads, asan
  --filter REGEX  of the preset P (release), only tests whose name matches (ctest -R)
  --no-install    do not look for missing dependencies
  --help          this text

environment:
  TRIBUTARY_JOBS  how many compilers, and how many tests, run at once (default: the number of processors)

What tests find in their environment:
  TRIBUTARY_KAFKA_SH     deploy/kafka/kafka.sh, for tests that start, stop and kill brokers of their own
  TRIBUTARY_TEST_BROKER  127.0.0.1:PORT of the broker of this run; make topics of your own in it
EOF
}

preset="" full=0 install=1 selection=()
while (($#)); do
  case $1 in
    --preset | --label | --filter)
      (($# >= 2)) || { echo "tests/run.sh: $1 needs a value" >&2; exit 2; }
      case $1 in
        --preset) preset=$2 ;;
        --label) selection+=(-L "$2") ;;
        --filter) selection+=(-R "$2") ;;
      esac
      shift
      ;;
    --full) full=1 ;;
    --no-install) install=0 ;;
    -h | --help) usage; exit 0 ;;
    *) echo "tests/run.sh: unknown option: $1 (see --help)" >&2; exit 2 ;;
  esac
  shift
done
jobs=${TRIBUTARY_JOBS:-$(nproc)}

# The presets of this run, and the labels that one of them is built and tested for where that is not everything.
declare -A labels=()
if ((full)); then
  presets=(fuzz tsan asan release)
  labels[fuzz]="fuzz"
  labels[tsan]="threads"
elif [[ -n $preset || ${#selection[@]} -gt 0 ]]; then
  presets=("${preset:-release}")
else
  presets=(tsan asan release)
  labels[tsan]="threads"
  labels[asan]="unit simulation fuzz asan"
fi

cd "$(dirname "${BASH_SOURCE[0]}")/.."
export TRIBUTARY_KAFKA_SH=$PWD/deploy/kafka/kafka.sh

if ((install)); then deploy/install_dependencies.sh; fi
"$TRIBUTARY_KAFKA_SH" get

for preset in "${presets[@]}"; do
  targets=(all)
  if [[ -n ${labels[$preset]:-} ]]; then
    read -ra targets <<<"${labels[$preset]}"
    targets=("${targets[@]/%/_tests}")
  fi
  begun=$SECONDS
  cmake --preset "$preset"
  cmake --build "build/$preset" --parallel "$jobs" --target "${targets[@]}"
  echo "tests/run.sh: built $preset in $((SECONDS - begun)) s"
done

if ((full)); then
  export TRIBUTARY_CHAOS_FAULTS=${TRIBUTARY_CHAOS_FAULTS:-60}
  build/release/bin/simulation --seeds 1000
  tests/simulation/mutants/run.sh --jobs "$jobs"
fi

kafka_dir=$(mktemp -d)
trap '"$TRIBUTARY_KAFKA_SH" --dir "$kafka_dir" wipe' EXIT
TRIBUTARY_TEST_BROKER=$("$TRIBUTARY_KAFKA_SH" --dir "$kafka_dir" --port 0 --owner $$ start)
export TRIBUTARY_TEST_BROKER

export UBSAN_OPTIONS=print_stacktrace=1
# gRPC, RocksDB and librdkafka come uninstrumented: their own locking looks like races. Ours is still checked.
export TSAN_OPTIONS="ignore_noninstrumented_modules=1:second_deadlock_stack=1:suppressions='$PWD/tests/sanitizers/tsan.supp'"
for preset in "${presets[@]}"; do
  echo "tests/run.sh: testing $preset"
  of_part=()
  if [[ -n ${labels[$preset]:-} ]]; then of_part=(-L "^(${labels[$preset]// /|})\$"); fi
  ctest --test-dir "build/$preset" --parallel "$jobs" --output-on-failure --no-tests=error \
    "${of_part[@]}" "${selection[@]}"
done
