#!/bin/bash
# Builds OpenSSL for -DWEFT_OPENSSL=bundled: static, from the pinned crate `openssl-src`, into .cache/openssl. Needs cargo, perl and make;
# two to three CPU-minutes, once. Usage: tools/openssl.sh
set -euo pipefail
cd "$(dirname "$0")/.."

crate=300.6.1+3.6.3
sha256=46eb8fb9fb3b61ce1c0f8a026c4c1a0714d3a9e138e7fbde78753ce2babc3846
out=$PWD/.cache/openssl
[ "$(cat "$out/.made-of" 2>/dev/null)" != "$crate" ] || exit 0

for tool in cargo perl make clang-19; do
  command -v $tool >/dev/null || { echo "tools/openssl.sh: $tool is not on the PATH" >&2; exit 1; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/src"
touch "$work/src/lib.rs"
printf '[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2021"\n[dependencies]\nopenssl-src = "=%s"\n' "$crate" >"$work/Cargo.toml"
echo "openssl: fetching openssl-src $crate"
(cd "$work" && cargo vendor --quiet vendor >/dev/null)
grep -A2 "^name = \"openssl-src\"" "$work/Cargo.lock" >/dev/null
grep -q "checksum = \"$sha256\"" "$work/Cargo.lock" || { echo "tools/openssl.sh: openssl-src $crate is not what was pinned" >&2; exit 1; }

# Left out: what neither the mesh nor gRPC asks for. Hidden: no library of the system can be served by these symbols.
echo "openssl: building (two to three CPU-minutes, log in .cache/openssl.log)"
rm -rf "$out"
mkdir -p "$out"
(
  cd "$work/vendor/openssl-src/openssl"
  CC="${CCACHE-$(command -v ccache || true)} clang-19" ./Configure linux-x86_64 --prefix="$out" --libdir=lib --openssldir=/etc/ssl \
    no-shared no-tests no-apps no-docs no-module no-dso no-legacy no-quic no-dtls no-ssl3 no-tls1 no-tls1_1 no-comp no-psk no-srp no-srtp \
    no-cms no-ts no-cmp no-ui-console no-sm2 no-sm4 no-aria no-camellia no-seed no-idea no-cast no-bf no-rc2 no-rc4 no-md4 no-mdc2 \
    no-whirlpool no-siv no-ocb no-gost no-slh-dsa no-ec2m \
    -O2 -fvisibility=hidden -ffunction-sections -fdata-sections -fno-omit-frame-pointer
  make -j"$(nproc)" build_libs
  make install_dev
) >.cache/openssl.log 2>&1 || { tail -20 .cache/openssl.log >&2; exit 1; }
echo "$crate" >"$out/.made-of"
