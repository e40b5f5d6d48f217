#!/bin/bash
# Configures (once) and builds one preset. Usage: tools/build.sh release [target…]
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
shift
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1
[ -f "build/$preset/build.ninja" ] || cmake --preset "$preset" >"/tmp/weft-configure.$$" 2>&1 || {
  cat "/tmp/weft-configure.$$" >&2
  rm -f "/tmp/weft-configure.$$"
  exit 1
}
rm -f "/tmp/weft-configure.$$"
NINJA_STATUS="build($preset) [%f/%t] " exec ninja -C "build/$preset" "$@"
