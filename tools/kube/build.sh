#!/bin/bash
# Builds a real Kubernetes for the tests from the Go modules pinned beside this file, by package name, into a cache outside the tree, once.
# Usage: tools/kube/build.sh [api|all]   api: etcd and kube-apiserver; all: the whole cluster. The last line of stdout is the directory.
#        tools/kube/build.sh crds        no build: the last line of stdout is a directory with gateway-api/ and istio/, the CRDs' YAML
# Needs Go 1.24 or newer; with an older one (Debian 12 has 1.19) a newer one is fetched as a module. Cold: about 300 CPU-seconds for `api`,
# 600 for `all`, 3 GB of memory; 130 MB and 510 MB stay.
set -euo pipefail
cd "$(dirname "$0")"

go_fetched=1.26.8
go_fetched_sum='h1:ZOmGe1OnfREDMIdb1Qi4G9JSuDPBLGExZMQ4nis1RXM='
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/weft
progress_s=15

say() { echo "kube: $*" >&2; }
die() { say "$*"; exit 1; }
go_version() { GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null | sed 's/^go//'; }
new_enough() { [ -n "$1" ] && [ "$(printf '1.24\n%s\n' "$1" | sort -V | head -1)" = 1.24 ]; }

find_go() { # sets go: the one on the PATH, the usual place, or one fetched by an old one
  local one old=
  for one in $(command -v go || true) /usr/local/go/bin/go "$cache/go-$go_fetched/bin/go"; do
    [ -x "$one" ] || continue
    if new_enough "$(go_version "$one")"; then go=$one; return; fi
    old=${old:-$one}
  done
  [ -n "$old" ] || die "no Go: install golang-go (make deps does), or Go 1.24 or newer"
  say "fetching Go $go_fetched ($old is $(go_version "$old"))"
  local answer module=golang.org/toolchain@v0.0.1-go$go_fetched.linux-amd64
  answer=$(cd / && GO111MODULE=on "$old" mod download -json "$module") || die "$module: $answer"
  grep -qF "\"Sum\": \"$go_fetched_sum\"" <<<"$answer" || die "$module is not what was pinned"
  rm -rf "$cache/go.part"
  cp -r --no-preserve=mode "$(sed -n 's/.*"Dir": "\(.*\)",/\1/p' <<<"$answer")" "$cache/go.part"
  chmod +x "$cache"/go.part/bin/* "$cache"/go.part/pkg/tool/*/*
  mv "$cache/go.part" "$cache/go-$go_fetched"
  go=$cache/go-$go_fetched/bin/go
}

binary_of() { case $1 in go.etcd.io/etcd/server/v3) echo etcd ;; *) basename "$1" ;; esac; }

build() { # build MODULE-DIRECTORY LDFLAGS PACKAGE…: those that are not there yet
  local directory=$1 flags=$2 one packages=() names=() target=$out/part/ started=$SECONDS told=$SECONDS count=0 line
  shift 2
  for one in "$@"; do [ -x "$out/$(binary_of "$one")" ] || { packages+=("$one"); names+=("$(binary_of "$one")"); }; done
  [ ${#packages[@]} -gt 0 ] || return 0
  [ ${#packages[@]} -gt 1 ] || target+=${names[0]}
  say "building ${names[*]} from Go modules (once; log $out/log)"
  rm -rf "$out/part"
  mkdir -p "$out/part"
  # -v names each package that is compiled: one line of it now and then says that it moves.
  while read -r line; do
    echo "$line" >>"$out/log"
    count=$((count + 1))
    [ $((SECONDS - told)) -lt $progress_s ] || { told=$SECONDS; say "$count packages, $((SECONDS - started)) s"; }
  done < <(cd "$directory" && nice -n 5 "$go" build -v -ldflags "-s -w $flags" -o "$target" "${packages[@]}" 2>&1 || echo "go build failed")
  for one in "${names[@]}"; do [ -x "$out/part/$one" ] || { tail -20 "$out/log" >&2; die "$one was not built"; }; done
  for one in "${names[@]}"; do mv "$out/part/$one" "$out/$one"; done
  rm -rf "$out/part"
  say "done after $((SECONDS - started)) s"
}

build_all() {
  local version minor flags="" package commands=kube-apiserver one list=()
  [ "$what" = api ] || commands="kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl"
  version=$(sed -n 's#^\tk8s.io/kubernetes \(v[0-9.]*\).*#\1#p' kubernetes/go.mod | head -1)
  minor=${version#v1.}
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*} -X $package.gitTreeState=clean"
    flags+=" -X $package.gitCommit=0000000000000000000000000000000000000000 -X $package.buildDate=1970-01-01T00:00:00Z"
  done
  build etcd "" go.etcd.io/etcd/server/v3
  for one in $commands; do list+=("k8s.io/kubernetes/cmd/$one"); done
  build kubernetes "$flags" "${list[@]}" # one graph: what the six share is compiled once
}

link_crds() {
  local answer
  answer=$(cd crds && "$go" mod download -json istio.io/api sigs.k8s.io/gateway-api) || die "$answer"
  sed -n 's/.*"Dir": "\(.*\)",/\1/p' <<<"$answer" | while read -r directory; do
    case $directory in
      */istio.io/api@*) ln -sfn "$directory/kubernetes" "$out/istio" ;;
      */gateway-api@*) ln -sfn "$directory/config/crd/standard" "$out/gateway-api" ;;
    esac
  done
  [ -f "$out/istio/customresourcedefinitions.gen.yaml" ] && [ -f "$out/gateway-api/gateway.networking.k8s.io_gateways.yaml" ] ||
    die "the modules in crds/go.mod have no CRDs where they are looked for"
}

what=${1:-api}
case $what in api | all | crds) ;; *) echo "usage: tools/kube/build.sh [api|all|crds]" >&2; exit 64 ;; esac
mkdir -p "$cache"
exec 9>"$cache/kube.lock"
flock -n 9 || { say "another build runs, waiting for it"; flock 9; }
find_go
export CGO_ENABLED=0 GOTOOLCHAIN=local GOWORK=off GOFLAGS="-mod=readonly -trimpath -buildvcs=false"
key=$( (cat build.sh */go.mod */go.sum; go_version "$go") | sha256sum | cut -c1-16)
out=$cache/kube-$key
mkdir -p "$out"
touch "$out"
if [ "$what" = crds ]; then link_crds; else build_all; fi
# What nobody used for a month goes.
find "$cache" -maxdepth 1 -name 'kube-*' -type d -mtime +30 ! -path "$out" -exec rm -rf {} +
echo "$out"
