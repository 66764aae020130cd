#!/usr/bin/env bash
# The one test command: installs what is missing, builds, and runs the tests against a real Kafka of its own.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: tests/run.sh [option]...

Installs missing dependencies (deploy/install_dependencies.sh), configures and builds the preset in build/PRESET,
starts one Kafka broker on free ports for the run, and runs the tests with ctest, whose summary comes last.
The broker and its data are gone at the end, also after a failure or Ctrl-C.

options:
  --full          after the preset, build and run everything with the presets asan (ASan + UBSan) and tsan too, and the
                  deliberate bugs that the simulation must find (tests/simulation/mutants)
  --preset P      the CMake preset (default release)
  --label L       only tests whose label matches the regular expression L (ctest -L): unit, integration, simulation,
                  chaos, fuzz, bench, threads
  --filter REGEX  only tests whose name matches (ctest -R)
  --no-install    do not look for missing dependencies
  --help          this text

environment:
  TRIBUTARY_JOBS  how many compilers, and how many tests, run at once (default: the number of processors)

What tests find in their environment:
  TRIBUTARY_KAFKA_SH     deploy/kafka/kafka.sh, for tests that start, stop and kill brokers of their own
  TRIBUTARY_TEST_BROKER  127.0.0.1:PORT of the broker of this run; make topics of your own in it
EOF
}

presets=(release) full=0 install=1 selection=()
while (($#)); do
  case $1 in
    --preset | --label | --filter)
      (($# >= 2)) || { echo "tests/run.sh: $1 needs a value" >&2; exit 2; }
      case $1 in
        --preset) presets=("$2") ;;
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
if ((full)); then presets+=(asan tsan); fi
jobs=${TRIBUTARY_JOBS:-$(nproc)}

cd "$(dirname "${BASH_SOURCE[0]}")/.."
export TRIBUTARY_KAFKA_SH=$PWD/deploy/kafka/kafka.sh

if ((install)); then deploy/install_dependencies.sh; fi
"$TRIBUTARY_KAFKA_SH" get

for preset in "${presets[@]}"; do
  cmake --preset "$preset"
  cmake --build "build/$preset" --parallel "$jobs"
done

kafka_dir=$(mktemp -d)
trap '"$TRIBUTARY_KAFKA_SH" --dir "$kafka_dir" wipe' EXIT
TRIBUTARY_TEST_BROKER=$("$TRIBUTARY_KAFKA_SH" --dir "$kafka_dir" --port 0 --owner $$ start)
export TRIBUTARY_TEST_BROKER

export UBSAN_OPTIONS=print_stacktrace=1
# gRPC, RocksDB and librdkafka come uninstrumented: their own locking looks like races. Ours is still checked.
export TSAN_OPTIONS=ignore_noninstrumented_modules=1:second_deadlock_stack=1
for preset in "${presets[@]}"; do
  ctest --test-dir "build/$preset" --parallel "$jobs" --output-on-failure --no-tests=error "${selection[@]}"
done
if ((full)); then tests/simulation/mutants/run.sh --jobs "$jobs"; fi
