#!/usr/bin/env bash
# build.sh DIR: gets Kafka Streams (Maven, once) and compiles StreamsPeer into DIR; then prints the class path.
set -euo pipefail
[[ $# -eq 1 ]] || { echo "usage: build.sh DIR" >&2; exit 2; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
proto=$here/../../../../proto
mkdir -p "$1"
dir=$(cd "$1" && pwd)
if [[ ! -e $dir/complete ]]; then
  rm -rf "$dir/jars" "$dir/java" "$dir/classes"
  mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$dir/jars" >&2
  (cd "$dir/jars" && sha256sum --quiet --strict --check "$here/jars.sha256" >&2)
  touch "$dir/complete"
fi
if [[ ! $dir/classes/StreamsPeer.class -nt $here/StreamsPeer.java ]]; then
  mkdir -p "$dir/java" "$dir/classes"
  protoc -I "$proto" --java_out="$dir/java" tributary/v1/event.proto
  javac -nowarn -d "$dir/classes" -cp "$dir/jars/*" "$dir/java/tributary/v1/EventOuterClass.java" "$here/StreamsPeer.java" >&2
fi
echo "$dir/classes:$dir/jars/*"
