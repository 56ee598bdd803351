# Sourced by the build.sh of each Go module below tests, in the directory of the module.
# A module is built once per state of its sources, into a directory of the user's cache outside the tree. Other clones and later checkouts
# of the same sources share the build.
#
#  build NAME WHAT PRODUCT  starts: prints the path of PRODUCT and exits if it is already built. NAME is the module's name in the cache,
#                           WHAT describes the build in messages. Afterwards $building is the output directory.
#  compile ARGUMENT…        runs go build with the common flags.
#  $modfile                 the module file of the build, without its suffix; go by default.
#  done_building            finishes: moves $building to its place, and prints the path of PRODUCT.

say() { echo "$*" >&2; }
fail() { say "$module/build.sh: $*"; exit 1; }

# The path of the module from the root of the repository.
module=tests/${PWD##*/tests/}

# No downloaded toolchain, no C compiler, and no user settings that could change go.mod.
export GOTOOLCHAIN=local CGO_ENABLED=0 GOFLAGS='' GOWORK=off

# The version of a module that the module file requires, without its v.
version() { sed -n "s#^\t$1 v\([^ ]*\).*#\1#p" "${modfile:-go}.mod"; }

checksum() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi; }

# The version of Go, which must be that of go.mod or newer.
go_version() {
  local wanted go found
  wanted=$(sed -n 's/^go //p' "${modfile:-go}.mod")
  command -v go >/dev/null || fail "go is not on PATH: install Go $wanted or newer (https://go.dev/dl/)"
  go=$(go version) # "go version go1.26.0 linux/amd64"
  found=$(sed -n 's/^go version go\([0-9][0-9.]*\).*/\1/p' <<<"$go") # empty for a development version, which is accepted
  if [ -n "$found" ] && [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" != "$wanted" ]; then
    fail "go is version $found, which is too old: install Go $wanted or newer (https://go.dev/dl/)"
  fi
  echo "$go"
}

# The modification time of the directory is that of its last use: see done_building.
found_it() { [ -d "$directory" ] && { touch "$directory"; echo "$product"; exit 0; } || true; }

build() {
  local go hash
  name=$1
  go=$(go_version)
  hash=$({ echo "$go"; for file in "${modfile:-go}".mod "${modfile:-go}".sum build.sh "${BASH_SOURCE[0]}" *.go; do echo "$file"; cat "$file"; done; } | checksum | cut -c 1-16)
  cache=${TABULAR_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tabular-operator}
  directory=$cache/$name-$hash
  product=$directory${3:+/$3}
  found_it

  # Two concurrent builds would take twice as long each. Otherwise they are harmless: the directory is moved into place atomically.
  mkdir -p "$cache"
  if command -v flock >/dev/null; then
    exec 9>"$cache/$name.lock"
    flock --nonblock 9 || { say "waiting for another build of $module…"; flock 9; }
    found_it
  fi

  say "building $2…"
  began=$SECONDS
  building=$cache/.$name.building.$$
  trap 'rm -rf "$building"' EXIT
  mkdir -p "$building"
}

compile() { go build -modfile="${modfile:-go}.mod" -trimpath -buildvcs=false "$@" 1>&2 9>&- || fail "failed to build: see go's message above"; }

done_building() {
  mv "$building" "$directory" 2>/dev/null || [ -d "$directory" ] || fail "failed to move the build to $directory"
  say "… done in $((SECONDS - began)) s"
  # Removes builds that were not used for a month.
  find "$cache" -maxdepth 1 -type d -name "$name-*" -mtime +30 -exec rm -rf {} + || true
  echo "$product"
}
