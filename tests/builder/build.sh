#!/usr/bin/env bash
# Builds what the image is assembled and judged by, once for each state of this module, and prints the directory that it is in:
# buildkitd and buildctl (the builder that Docker has in it), crane (registries), schema (main.go), and in schemas/ those of CycloneDX.
# It is kept outside the tree, so that other clones and later checkouts of the same sources find it at once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

say() { echo "$*" >&2; }
fail() { say "tests/builder/build.sh: $*"; exit 1; }

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
directory=$cache/builder-$hash

# The directory's time is that of its last use: see the end.
found_it() { [ -d "$directory" ] && { touch "$directory"; echo "$directory"; exit 0; } || true; }
found_it

# Two builds at once would take twice as long, both. They do no harm otherwise: the directory appears whole or not at all.
mkdir -p "$cache"
if command -v flock >/dev/null; then
  exec 9>"$cache/builder.lock"
  flock --nonblock 9 || { say "waiting for another build of BuildKit…"; flock 9; }
  found_it
fi

version() { sed -n "s#^\t$1 v\([^ ]*\).*#\1#p" go.mod; }
say "building BuildKit $(version github.com/moby/buildkit) and crane $(version github.com/google/go-containerregistry)" \
  "(about a minute on two cores, once)…"
began=$SECONDS
building=$cache/.builder.building.$$
trap 'chmod -R u+w "$building" 2>/dev/null; rm -rf "$building"' EXIT
mkdir -p "$building/schemas"
build() { go build -trimpath -buildvcs=false -ldflags '-s -w' "$@" 1>&2 9>&- || fail "failed to build BuildKit: see go's message above"; }
build -o "$building/" $(go list tool)
build -o "$building/schema" .
schemas=$(go list -m -f '{{.Dir}}' github.com/CycloneDX/cyclonedx-go)/schema
install -m 0644 "$schemas"/{bom-1.5,spdx}.schema.json "$schemas"/jsf-*.json "$building/schemas" || fail "$schemas has no schemas"
mv "$building" "$directory" 2>/dev/null || [ -d "$directory" ] || fail "failed to move what was built to $directory"
say "… done in $((SECONDS - began)) s"

# What no checkout has asked for in a month goes.
find "$cache" -maxdepth 1 -type d -name 'builder-*' -mtime +30 -exec rm -rf {} + || true
echo "$directory"
