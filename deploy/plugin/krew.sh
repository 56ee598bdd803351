#!/usr/bin/env bash
# Renders .krew.yaml for a version: `krew.sh VERSION DIRECTORY` prints the manifest with the digests of the archives in DIRECTORY.
# It does what krew-release-bot does with the template, so that a release has a manifest without the bot.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

fail() { echo "deploy/plugin/krew.sh: $*" >&2; exit 1; }

[ $# = 2 ] || fail "usage: krew.sh VERSION DIRECTORY"
tag=v$1 archives=$2
while IFS= read -r line; do
  line=${line//'{{ .TagName }}'/$tag}
  if [[ $line =~ ^(\ *)\{\{addURIAndSha\ \"([^\"]+)\"\ \.TagName\ \}\}$ ]]; then
    indent=${BASH_REMATCH[1]} uri=${BASH_REMATCH[2]}
    archive=$archives/${uri##*/}
    [ -f "$archive" ] || fail "$archive does not exist: build it with deploy/plugin/archive.sh"
    read -r digest _ < <(sha256sum "$archive")
    printf '%suri: %s\n%ssha256: %s\n' "$indent" "$uri" "$indent" "$digest"
  else
    printf '%s\n' "$line"
  fi
done < .krew.yaml
