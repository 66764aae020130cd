#!/usr/bin/env bash
# Shows that the simulation can fail: builds each deliberate bug and runs it until it is found.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: tests/simulation/mutants/run.sh [option]... [NAME]...

Copies the sources, and for each mutant (a patch beside this script; without names all of them) applies it there, builds
the simulation and runs it from --first-seed 1 on, at most as many seeds as the patch says. A mutant whose patch does not
apply, that does not build or is not found fails the run. Without a patch the same copy must pass.

options:
  --apply-only   only look whether every patch applies
  --table        at the end the table of tests/PROMISES.md on stdout
  --jobs N       compilers at once (default: the number of processors)
EOF
}

apply_only=0 table=0 jobs=${TRIBUTARY_JOBS:-$(nproc)} names=()
while (($#)); do
  case $1 in
    --apply-only) apply_only=1 ;;
    --table) table=1 ;;
    --jobs) jobs=$2; shift ;;
    -h | --help) usage; exit 0 ;;
    -*) echo "tests/simulation/mutants/run.sh: unknown option: $1 (see --help)" >&2; exit 2 ;;
    *) names+=("$1") ;;
  esac
  shift
done

mutants=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$mutants/../../.." && pwd)
if ((${#names[@]} == 0)); then
  for patch in "$mutants"/*.patch; do names+=("$(basename "$patch" .patch)"); done
fi

if ((apply_only)); then
  for name in "${names[@]}"; do
    patch --dry-run --quiet --force -p1 -d "$root" <"$mutants/$name.patch" >/dev/null ||
      { echo "FAILED $name: the patch does not apply" >&2; exit 1; }
  done
  echo "${#names[@]} patches apply"
  exit 0
fi

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
tar -C "$root" --exclude=./build --exclude=./.git -cf - . | tar -C "$copy" -xf -
export CCACHE_BASEDIR=$copy CCACHE_NOHASHDIR=1   # Compilations of other copies fit here too.
build() { ninja -C "$copy/build/release" -j "$jobs" simulation >"$copy/build.log" 2>&1; }
(cd "$copy" && cmake --preset release >"$copy/configure.log") || { cat "$copy/configure.log" >&2; exit 1; }
build || { tail -30 "$copy/build.log" >&2; exit 1; }
"$copy/build/release/bin/simulation" --first-seed 1 --seeds 5 >"$copy/run.log" ||
  { echo "FAILED: not even without a bug does it pass" >&2; cat "$copy/run.log" >&2; exit 1; }

found=0 rows=()
for name in "${names[@]}"; do
  what=$(sed -n 's/^What: \(.*\)\.$/\1/p' "$mutants/$name.patch")
  seeds=$(sed -n 's/^Seeds: //p' "$mutants/$name.patch")
  if ! patch --quiet --force -p1 -d "$copy" <"$mutants/$name.patch" >/dev/null; then
    echo "FAILED $name: the patch does not apply"
    exit 1
  elif ! build; then
    echo "FAILED $name: does not build"
    tail -20 "$copy/build.log"
  elif "$copy/build/release/bin/simulation" --first-seed 1 --seeds "$seeds" --shrink-seconds 0 >"$copy/run.log"; then
    echo "FAILED $name: not found within $seeds seeds"
  else
    needed=$(($(sed -n 's/^seeds that passed before: //p' "$copy/run.log") + 1))
    check=$(sed -n 's/^FAILED.* check=//p' "$copy/run.log")
    echo "found $name: $needed of $seeds seeds, check $check"
    rows+=("| \`$name\` | $what | $needed | \`$check\` |")
    found=$((found + 1))
  fi
  patch --quiet --force --reverse -p1 -d "$copy" <"$mutants/$name.patch" >/dev/null
done
if ((table)); then printf '%s\n' '| mutant | what is wrong | seeds to find it | found by |' '| --- | --- | ---: | --- |' "${rows[@]}"; fi
echo "deliberate bugs found: $found of ${#names[@]}"
((found == ${#names[@]}))
