#!/usr/bin/env bash
# Builds the image from the Dockerfile and the output of dist.sh: `assemble.sh DIST OUTPUT` writes OUTPUT, an OCI layout with an image for
# each architecture in DIST/linux, and prints its digest. The builder is BuildKit, as in Docker, but it needs no Docker, registry or root,
# because the programs are already compiled. The same DIST and commit result in the same digest.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

fail() { echo "deploy/image/assemble.sh: $*" >&2; exit 1; }

[ $# = 2 ] || fail "usage: deploy/image/assemble.sh DIST OUTPUT"
[ "$(uname -s)" = Linux ] || fail "it needs Linux; elsewhere: docker build --tag tabular-operator ."
dist=$(cd "$1" && pwd)
mkdir -p "$2"
output=$(cd "$2" && pwd)
platforms=$(cd "$dist" && echo linux/*)
tools=$("$root/tests/tools/builder/build.sh")

version=$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$root/Cargo.toml")
revision=unknown epoch=${SOURCE_DATE_EPOCH:-0}
if commit=$(git -C "$root" rev-parse HEAD 2>/dev/null); then
  revision=$commit
  [ -z "$(git -C "$root" status --porcelain)" ] || revision=$commit-dirty
  epoch=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct)}
fi

# The state of this build. The path of its socket must be short.
state=$(mktemp -d /tmp/buildkit.XXXXXX)
daemon=''
finish() {
  [ -z "$daemon" ] || { kill "$daemon" 2>/dev/null && wait "$daemon" 2>/dev/null; } || true
  rm -rf "$state"
}
trap finish EXIT

# Ignores the settings and registry keys of the user.
clean=(env -i "PATH=$PATH" "HOME=$state")
as=() more=()
if [ "$(id -u)" != 0 ]; then
  as=(unshare --user --map-root-user --mount)
  more=(--rootless)
  "${as[@]}" true 2>"$state/error" || fail "only root may mount on this machine: $(cat "$state/error"); run it as root, or docker build --tag tabular-operator ."
fi
# This build runs no command, so it never calls the OCI worker's binary.
"${clean[@]}" "${as[@]}" "$tools/buildkitd" "${more[@]}" --config /dev/null --addr "unix://$state/socket" --root "$state/root" \
  --otel-socket-path "$state/otel" --containerd-worker=false --oci-worker=true --oci-worker-binary=/bin/false \
  --oci-worker-snapshotter=native > "$state/log" 2>&1 &
daemon=$!
buildctl() { "${clean[@]}" "$tools/buildctl" --addr "unix://$state/socket" "$@"; }
for _ in $(seq 300); do
  buildctl debug workers > "$state/workers" 2>&1 && break
  kill -0 "$daemon" 2>/dev/null || break
  sleep 0.1
done
grep -q native "$state/workers" || buildctl debug workers > /dev/null 2>&1 || fail "BuildKit did not start: $(tail -n 5 "$state/log")"

[ -f "$output/oci-layout" ] || rmdir "$output" 2>/dev/null || fail "$output is there already, and is no OCI layout"
rm -rf "$output"
buildctl build --progress plain --frontend dockerfile.v0 \
  --local "context=$root" --local "dockerfile=$root" \
  --local "dist=$dist" --opt context:dist=local:dist \
  --opt "platform=${platforms// /,}" \
  --opt "build-arg:VERSION=$version" --opt "build-arg:REVISION=$revision" --opt "build-arg:SOURCE_DATE_EPOCH=$epoch" \
  --output "type=oci,dest=$output,tar=false,rewrite-timestamp=true" > "$state/build" 2>&1 || { cat "$state/build" >&2; fail "failed to build the image: see above"; }
# The content of the layout: an image, or an index with an image for each architecture.
sed -n 's/.*"manifests":\[{[^}]*"digest":"\(sha256:[0-9a-f]*\)".*/\1/p' "$output/index.json"
echo
