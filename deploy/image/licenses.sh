#!/usr/bin/env bash
# Prints the licenses of the components in FILE, the output of sbom.sh, each text once: `licenses.sh FILE`.
set -euo pipefail

# "name version: license". All libraries have the same depth in the document, each with these three fields in this order.
crates=$(awk -F '"' '
  /^      "name":/ { name = $4 }
  /^      "version":/ { version = $4 }
  # Not the packages of this workspace.
  /^          "expression":/ && name !~ /^(tabular-operator|kubectl-tabular|screen)$/ { print name " " version ": " $4 }' "$1" | LC_ALL=C sort -u)

cat <<HEAD
This program is under the Apache License 2.0. Linked into it are, with some that only its macros need:

$(sed 's/^/  /' <<<"$crates")
  The standard library of Rust: MIT OR Apache-2.0
  The GNU C Library: LGPL-2.1-or-later (https://www.gnu.org/licenses/old-licenses/lgpl-2.1.txt). It is linked statically: the program's
  sources and their deploy/image/compile.sh rebuild the program with any other version of it.

Their texts follow, each after the names of those that have it.
HEAD

# The license files of each crate, by their content.
files=$(while read -r name version _; do
  source=$(echo "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/"$name-${version%:}")
  find "$source" -maxdepth 1 -type f \
    \( -iname 'licen[cs]e*' -o -iname 'unlicense*' -o -iname 'copying*' -o -iname 'copyright*' -o -iname 'notice*' \)
done <<<"$crates" | xargs -d '\n' sha256sum | LC_ALL=C sort)

last="" text=""
while read -r sum file; do
  if [ "$sum" != "$last" ]; then
    [ -z "$text" ] || { echo; cat "$text"; }
    printf '\n%s\n' '--------------------------------------------------------------------------------'
  fi
  basename "$(dirname "$file")"
  last=$sum text=$file
done <<<"$files"
echo
cat "$text"
