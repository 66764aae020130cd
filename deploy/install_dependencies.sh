#!/usr/bin/env bash
# Installs what Tributary needs on Debian 12: packages by apt, and Arrow C++ from the pinned pyarrow wheel.
# Fast and silent about the rest when everything is there already. See --help.
set -euo pipefail
export LC_ALL=C

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
DEPS_DIR=${TRIBUTARY_DEPS_DIR:-${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/tributary}

usage() {
  cat <<'EOF'
usage: deploy/install_dependencies.sh [option]...

Installs everything that building, running and testing Tributary needs on Debian 12, in two steps:
  1. packages, by apt-get: as root, or through sudo (only this step asks for it)
  2. Arrow C++ and Parquet: the libraries of the pyarrow wheel pinned in deploy/arrow/requirements.txt,
     unpacked into the dependency folder; skipped where CMake finds a system Arrow C++ of its own
Does nothing, and calls no network, for what is there already. Never asks a question.

options:
  --runtime-only  only what installed binaries load at run time: no compilers, no headers, no Kafka, no Maven
  --no-clang      leave out clang-16, which only the `fuzz` and `tidy` presets use (about 600 MB on disk)
  --no-arrow      leave out step 2
  --check         install nothing; list what is missing and exit 1, or exit 0
  --help          this text

environment:
  TRIBUTARY_DEPS_DIR  the dependency folder (default ${XDG_CACHE_HOME:-~/.cache}/tributary); give CMake the same
EOF
}

# What the built programs load.
RUNTIME_PACKAGES=(
  ca-certificates libgrpc++1.51 libprotobuf32 librocksdb7.8 librdkafka++1 libabsl20220623 libgoogle-glog0v6
  libprometheus-cpp-core1.0 libprometheus-cpp-pull1.0 libcpp-httplib0.11 libxxhash0 libzstd1 zlib1g libssl3
)
# Compilers, build tools, headers and static parts.
BUILD_PACKAGES=(
  g++ cmake ninja-build pkg-config git ccache mold
  protobuf-compiler libprotobuf-dev protobuf-compiler-grpc libgrpc++-dev
  librocksdb-dev librdkafka-dev libabsl-dev prometheus-cpp-dev libcpp-httplib-dev libeigen3-dev libcli11-dev
  libgoogle-glog-dev libxxhash-dev libzstd-dev zlib1g-dev libssl-dev
)
# What tests, sample data and the local Kafka need.
TEST_PACKAGES=(
  libgtest-dev libgmock-dev libbenchmark-dev
  openjdk-17-jre-headless maven kcat jq patch zstd curl rocksdb-tools
)
CLANG_PACKAGES=(clang-16 clang-tidy-16 libclang-rt-16-dev)
# What step 2 needs.
WHEEL_PACKAGES=(python3 python3-pip python3-venv unzip)

runtime_only=0 clang=1 arrow=1 check=0
while (($#)); do
  case $1 in
    --runtime-only) runtime_only=1 ;;
    --no-clang) clang=0 ;;
    --no-arrow) arrow=0 ;;
    --check) check=1 ;;
    -h | --help) usage; exit 0 ;;
    *) echo "install_dependencies.sh: unknown option: $1 (see --help)" >&2; exit 2 ;;
  esac
  shift
done

say() { printf 'install_dependencies: %s\n' "$*"; }
die() { printf 'install_dependencies: %s\n' "$*" >&2; exit 1; }

# ---- what is wanted -------------------------------------------------------------------------------------------------
packages=("${RUNTIME_PACKAGES[@]}")
if ((!runtime_only)); then
  packages+=("${BUILD_PACKAGES[@]}" "${TEST_PACKAGES[@]}")
  if ((clang)); then packages+=("${CLANG_PACKAGES[@]}"); fi
fi

arrow_version=$(sed -n 's/^pyarrow==\([0-9.]*\).*/\1/p' "$HERE/arrow/requirements.txt")
arrow_dir=$DEPS_DIR/arrow-$arrow_version
system_arrow() { # where Debian or the Arrow project's own packages put the CMake files
  compgen -G '/usr/lib/*/cmake/Parquet/ParquetConfig.cmake' >/dev/null ||
    compgen -G '/usr/local/lib*/cmake/Parquet/ParquetConfig.cmake' >/dev/null
}
arrow_wanted() { ((arrow)) && [[ ! -d $arrow_dir ]] && ! system_arrow; }
if arrow_wanted; then packages+=("${WHEEL_PACKAGES[@]}"); fi

# ---- what is missing ------------------------------------------------------------------------------------------------
declare -A installed=()
while read -r state name; do
  if [[ $state == installed ]]; then installed[$name]=1; fi
done < <(dpkg-query -W -f='${db:Status-Status} ${Package}\n')
missing=()
for p in "${packages[@]}"; do
  if [[ -z ${installed[$p]:-} ]]; then missing+=("$p"); fi
done

if ((check)); then
  rc=0
  if ((${#missing[@]})); then say "missing packages: ${missing[*]}"; rc=1; fi
  if arrow_wanted; then say "missing: Arrow C++ $arrow_version in $arrow_dir"; rc=1; fi
  exit "$rc"
fi

# ---- step 1: packages -----------------------------------------------------------------------------------------------
if ((${#missing[@]} == 0)); then
  say "all ${#packages[@]} packages are installed"
else
  command -v apt-get >/dev/null || die "no apt-get: this script knows Debian 12; install by hand: ${missing[*]}"
  # shellcheck source=/dev/null
  release=$(. /etc/os-release && echo "${ID:-unknown} ${VERSION_ID:-}")
  if [[ $release != 'debian 12' ]]; then say "this is $release; the package names below are those of Debian 12"; fi
  as_root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null || die "needs root for apt-get: run as root, or install sudo. Missing: ${missing[*]}"
    as_root=(sudo)
  fi
  apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive LC_ALL=C \
      apt-get -q=2 -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@"
  }
  say "installing ${#missing[@]} of ${#packages[@]} packages with apt-get: ${missing[*]}"
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  if ! { apt update && apt install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    die "apt-get failed (its last lines are above)"
  fi
  say "packages installed"
fi

# ---- step 2: Arrow C++ ----------------------------------------------------------------------------------------------
if ((!arrow)); then
  exit 0
elif system_arrow; then
  say "Arrow C++: the system's own"
elif [[ -d $arrow_dir ]]; then
  say "Arrow C++ $arrow_version: $arrow_dir"
else
  if ((EUID == 0)) && [[ -n ${SUDO_USER:-} ]]; then
    say "running under sudo: Arrow goes to $DEPS_DIR; a build by $SUDO_USER looks in that user's own cache" \
      "unless TRIBUTARY_DEPS_DIR says otherwise"
  fi
  mkdir -p "$DEPS_DIR"
  work=$(mktemp -d "$DEPS_DIR/arrow.XXXXXX")
  trap 'rm -rf "${log:-}" "$work"' EXIT
  say "downloading the pyarrow $arrow_version wheel for its Arrow C++ libraries (about 55 MB)"
  python3 -m pip download --quiet --disable-pip-version-check --no-cache-dir --retries 3 \
    --no-deps --require-hashes --only-binary=:all: \
    --implementation cp --python-version 3.11 --abi cp311 --platform "manylinux_2_28_$(uname -m)" \
    --dest "$work/wheel" --requirement "$HERE/arrow/requirements.txt" 2>"$work/pip.log" ||
    { cat "$work/pip.log" >&2; die "pip could not download pyarrow $arrow_version for $(uname -m)"; }
  unzip -q "$work"/wheel/*.whl 'pyarrow/include/*' 'pyarrow/libarrow.so.*' 'pyarrow/libarrow_acero.so.*' \
    'pyarrow/libarrow_compute.so.*' 'pyarrow/libparquet.so.*' '*/licenses/*' -d "$work"
  mkdir "$work/tree" "$work/tree/lib"
  mv "$work/pyarrow/include" "$work/tree/include"
  mv "$work"/pyarrow/*.so.* "$work/tree/lib/"
  mv "$work"/*.dist-info/licenses "$work/tree/licenses"
  # The folder appears whole or not at all; a second run that finished first wins.
  mv -T "$work/tree" "$arrow_dir" 2>/dev/null || [[ -d $arrow_dir ]] || die "could not create $arrow_dir"
  say "Arrow C++ $arrow_version: $arrow_dir"
fi
