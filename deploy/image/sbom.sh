#!/usr/bin/env bash
# Prints the components of the operator for a target as a CycloneDX document: `sbom.sh x86_64-unknown-linux-gnu`. A second argument is the
# directory of another package: `sbom.sh x86_64-unknown-linux-gnu plugin`.
# cargo-cyclonedx, which is built once into the user's cache, lists the crates. This script adds the two C libraries that no version of a
# crate identifies: the C library of the compiler, and AWS-LC, which the crate aws-lc-sys compiles.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
target=$1
package=${2:-.}
version=0.5.9

fail() { echo "deploy/image/sbom.sh: $*" >&2; exit 1; }

tool=${TABULAR_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tabular-operator}/cargo-cyclonedx-$version
if [ ! -x "$tool/bin/cargo-cyclonedx" ]; then
  echo "building cargo-cyclonedx $version (about a minute on two cores, once)…" >&2
  # In a separate directory, so that it does not wait for another build. Not optimized, because it runs for a second.
  building=$(mktemp -d)
  CARGO_TARGET_DIR=$building cargo install --quiet --debug --locked --version "$version" --root "$tool" cargo-cyclonedx >&2 ||
    fail "failed to build cargo-cyclonedx: see cargo's message above"
  rm -rf "$building"
fi

# It writes next to the manifest of each workspace member. Without the time and a random number, the same sources result in the same document.
name=.sbom-$$
trap 'find . -path ./target -prune -o -name "$name.json" -exec rm -f {} +' EXIT
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)} \
  "$tool/bin/cargo-cyclonedx" cyclonedx --quiet --format json --spec-version 1.5 --no-build-deps --target "$target" --override-filename "$name" >&2

# The C library: the version of its static file, from its Debian package, or else from its headers.
host=$(rustc -vV | sed -n 's/^host: //p')
cc=cc
[ "$target" = "$host" ] || cc=${target%%-*}-linux-gnu-gcc
release=$(printf '#include <features.h>\n__GLIBC__ . __GLIBC_MINOR__\n' | "$cc" -E -P -x c - | tr -d ' ')
[[ $release =~ ^[0-9]+\.[0-9]+$ ]] || fail "$cc does not name the version of its C library: is it the GNU C Library?"
archive=$(realpath "$("$cc" -print-file-name=libc.a)")
libc=$release purl=pkg:generic/glibc@$release
if debian=$(dpkg-query -S "$archive" 2>/dev/null || dpkg-query -S "${archive#/usr}" 2>/dev/null); then
  read -r debian version architecture source < <(dpkg-query -W -f '${Package} ${Version} ${Architecture} ${source:Package}\n' "${debian%%: *}")
  distribution=$(. /etc/os-release && echo "$ID-$VERSION_ID")
  libc=$version purl="pkg:deb/debian/$debian@${version//+/%2B}?arch=$architecture&distro=$distribution&upstream=$source"
fi

# AWS-LC: the version in the headers of the crate.
sys=$(sed -n 's/.*"purl": "pkg:cargo\/aws-lc-sys@\([^"]*\)".*/\1/p' "$package/$name.json")
header=$(echo "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/"aws-lc-sys-$sys/aws-lc/include/openssl/base.h")
tls=$(sed -n 's/^#define AWSLC_VERSION_NUMBER_STRING "\(.*\)"$/\1/p' "$header")
[ -n "$tls" ] || fail "no version of AWS-LC is in $header"

# Its license has an id, because the license file lists crates by their expressions.
component() { # NAME VERSION LICENSE PURL CPE
  local cpe=${5:+$'\n'"      \"cpe\": \"$5\","}
  cat <<END
    {
      "type": "library",
      "bom-ref": "$4",
      "name": "$1",
      "version": "$2",
      "scope": "required",
      "licenses": [
        {
          "license": {
            "id": "$3"
          }
        }
      ],$cpe
      "purl": "$4"
    },
END
}
native=$(component glibc "$libc" LGPL-2.1-or-later "$purl" "cpe:2.3:a:gnu:glibc:$release:*:*:*:*:*:*:*"
  component aws-lc "$tls" ISC "pkg:github/aws/aws-lc@v$tls")
dependencies=$(printf '    {\n      "ref": "%s"\n    },\n' "$purl" "pkg:github/aws/aws-lc@v$tls")

awk -v native="$native" -v dependencies="$dependencies" -v libc="$purl" -v tls="pkg:github/aws/aws-lc@v$tls" '
  { print }
  /^  "components": \[$/ { print native }
  /^  "dependencies": \[$/ { print dependencies; in_dependencies = 1 }
  # The program itself depends on the C library.
  in_dependencies && /"ref": "path\+file:/ { root = 1 }
  root && /"dependsOn": \[$/ { print "        \"" libc "\","; root = 0 }
' "$package/$name.json" | sed -e "s#file://$PWD#file:///src#g" \
  -e "/^      \"ref\": \".*#aws-lc-sys@[^\"]*\"\$/s#\$#,\n      \"dependsOn\": [\n        \"pkg:github/aws/aws-lc@v$tls\"\n      ]#"
