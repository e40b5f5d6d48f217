#!/bin/bash
# Prints where Zipkin's exec jar is, for tests/netns/test_tracing.py: fetched once with Maven into .cache/zipkin, pinned by hash.
# Needs java (17 or newer) and mvn on the PATH; when one is absent it says so and exits 1. Usage: tools/zipkin.sh
set -euo pipefail
cd "$(dirname "$0")/.."

version=3.4.4
sha256=45530b0d895d7b56fffa5f6385f4bd45a6b8aa3c57e1c2bda4b4bb1225881333
out=$PWD/.cache/zipkin
jar=$out/zipkin-server-$version-exec.jar

command -v java >/dev/null || { echo "tools/zipkin.sh: java is not on the PATH: Zipkin needs a Java runtime, 17 or newer" >&2; exit 1; }
if [ ! -f "$jar" ]; then
  command -v mvn >/dev/null || { echo "tools/zipkin.sh: mvn is not on the PATH: Zipkin is fetched with Maven" >&2; exit 1; }
  mkdir -p "$out"
  work=$(mktemp -d "$out/fetch.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  echo "zipkin: fetching io.zipkin:zipkin-server:$version (87 MB, log in .cache/zipkin.log)" >&2
  mvn -B -q dependency:copy -Dartifact=io.zipkin:zipkin-server:$version:jar:exec -DoutputDirectory="$work" -Dmdep.useBaseVersion=true \
    >.cache/zipkin.log 2>&1 || { tail -20 .cache/zipkin.log >&2; echo "tools/zipkin.sh: mvn failed, see .cache/zipkin.log" >&2; exit 1; }
  got=$work/zipkin-server-$version-exec.jar
  echo "$sha256  $got" | sha256sum --check --quiet >&2 || { echo "tools/zipkin.sh: zipkin-server $version is not what was pinned" >&2; exit 1; }
  mv "$got" "$jar"
fi
echo "$jar"
