#!/usr/bin/env bash
# Prints what CHANGELOG.md says of a version: `release-notes.sh 0.1.0`. It fails where there is no such section, or an empty one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

fail() { echo ".github/scripts/release-notes.sh: $*" >&2; exit 1; }

[ $# = 1 ] || fail "usage: release-notes.sh VERSION"
# Up to the next section, without the addresses of the headings' links at the end of the file.
text=$(awk -v heading="## [$1]" '
  /^## / { inside = index($0, heading) == 1; next }
  /^\[[^]]+\]: / { next }
  inside { print }' CHANGELOG.md)
[ -n "${text//[[:space:]]/}" ] || fail "CHANGELOG.md has nothing about $1: move what is under Unreleased to a section of that version"
# Without the empty lines before it.
sed '/./,$!d' <<< "$text"
