#!/bin/bash
# Configures (once) and builds one preset. Usage: tools/build.sh release [target…]
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
shift
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1
# OPENSSL=system|bundled sticks to the build directory until the other is asked for.
if [ -n "${OPENSSL:-}" ] && ! grep -qs "^WEFT_OPENSSL:.*=$OPENSSL\$" "build/$preset/CMakeCache.txt"; then
  cmake --preset "$preset" "-DWEFT_OPENSSL=$OPENSSL" >"/tmp/weft-configure.$$" 2>&1 || { cat "/tmp/weft-configure.$$" >&2; exit 1; }
fi
[ -f "build/$preset/build.ninja" ] || cmake --preset "$preset" >"/tmp/weft-configure.$$" 2>&1 || {
  cat "/tmp/weft-configure.$$" >&2
  rm -f "/tmp/weft-configure.$$"
  exit 1
}
rm -f "/tmp/weft-configure.$$"
NINJA_STATUS="build($preset) [%f/%t] " exec ninja -C "build/$preset" "$@"
