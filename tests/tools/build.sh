#!/usr/bin/env bash
# Builds the tools of other projects that the chart and the manifests are judged by, once for each state of this module,
# and prints the directory that they are in: helm, helm3, helm-unittest, kubeconform, promtool,
# and in crds/ other projects' definitions.
# It is kept outside the tree, so that other clones and later checkouts of the same sources find it at once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

say() { echo "$*" >&2; }
fail() { say "tests/tools/build.sh: $*"; exit 1; }

# No downloaded toolchain, no C compiler, and none of the user's own settings, in a way that go.mod might be changed.
export GOTOOLCHAIN=local CGO_ENABLED=0 GOFLAGS='' GOWORK=off

wanted=$(sed -n 's/^go //p' go.mod)
command -v go >/dev/null || fail "go is not on PATH: install Go $wanted or newer (https://go.dev/dl/)"
go=$(go version) # "go version go1.26.0 linux/amd64"
found=$(sed -n 's/^go version go\([0-9][0-9.]*\).*/\1/p' <<<"$go") # empty for a development version, which is taken as it is
if [ -n "$found" ] && [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" != "$wanted" ]; then
  fail "go is version $found, which is too old: install Go $wanted or newer (https://go.dev/dl/)"
fi

checksum() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi; }
hash=$({ echo "$go"; for file in go.mod go.sum build.sh *.go; do echo "$file"; cat "$file"; done; } | checksum | cut -c 1-16)
cache=${TABULAR_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tabular-operator}
directory=$cache/tools-$hash

# The directory's time is that of its last use: see the end.
found_it() { [ -d "$directory" ] && { touch "$directory"; echo "$directory"; exit 0; } || true; }
found_it

# Two builds at once would take twice as long, both. They do no harm otherwise: the directory appears whole or not at all.
mkdir -p "$cache"
if command -v flock >/dev/null; then
  exec 9>"$cache/tools.lock"
  flock --nonblock 9 || { say "waiting for another build of the tools…"; flock 9; }
  found_it
fi

version() { sed -n "s#^\t$1 v\([^ ]*\).*#\1#p" go.mod; }
say "building helm $(version helm.sh/helm/v4) and $(version helm.sh/helm/v3), helm-unittest $(version github.com/helm-unittest/helm-unittest)" \
  "kubeconform $(version github.com/yannh/kubeconform) and promtool $(version github.com/prometheus/prometheus) (about 5 minutes on two cores, once)…"
began=$SECONDS
building=$cache/.tools.building.$$
trap 'rm -rf "$building"' EXIT
mkdir -p "$building/crds"
build() { go build -trimpath -buildvcs=false -ldflags '-s -w' "$@" 1>&2 9>&- || fail "failed to build the tools: see go's message above"; }
helm3=helm.sh/helm/v3/cmd/helm # in a call of its own, as both are named helm
build -o "$building/" $(go list tool | grep -vx "$helm3")
build -o "$building/helm3" "$helm3"

# What apis.go names: the kinds that the chart and deploy/ make, of those that others define.
for package in $(sed -n 's/^\t_ "\(.*\)"$/\1/p' apis.go); do
  "$building/controller-gen" crd paths="$package" output:crd:dir="$building/all" 1>&2 9>&- ||
    fail "failed to generate the definitions of $package: see the message above"
done
for kind in gitrepositories helmreleases kustomizations podmonitors prometheusrules servicemonitors; do
  mv "$building"/all/*_"$kind.yaml" "$building/crds/$kind.yaml" || fail "no definition of $kind was generated"
done
rm -rf "$building/all" "$building/controller-gen"
mv "$building" "$directory" 2>/dev/null || [ -d "$directory" ] || fail "failed to move what was built to $directory"
say "… done in $((SECONDS - began)) s"

# What no checkout has asked for in a month goes.
find "$cache" -maxdepth 1 -type d -name 'tools-*' -mtime +30 -exec rm -rf {} + || true
echo "$directory"
