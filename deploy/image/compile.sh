#!/usr/bin/env bash
# Compiles programs of this workspace for a release. No other file has these options.
#
#   compile.sh --bin tabular-operator --bin demo                            for this machine, in target/release
#   compile.sh --bin tabular-operator --target aarch64-unknown-linux-gnu    for another, in target/<target>/release
#   compile.sh --plugin                                                     the plugin kubectl-tabular, in a build of its own
#
# On Linux, a program is one static file without dependencies on its machine. Its bytes depend on the sources, the toolchain and the C
# library, but not on their paths. The script ignores RUSTFLAGS.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"

fail() { echo "deploy/image/compile.sh: $*" >&2; exit 1; }

# The features of a library depend on the packages of the same build. It is always these packages, so that the image contains the same
# program as the tests.
packages=(-p tabular-operator -p simulator -p e2e -p model)

arguments=() target=''
while [ $# -gt 0 ]; do
  case $1 in
    --target) target=${2:?--target needs a target}; shift 2 ;;
    # Never together with the operator: its libraries would get the features that the plugin needs.
    --plugin) packages=(-p kubectl-tabular); shift ;;
    *) arguments+=("$1"); shift ;;
  esac
done
host=$(rustc -vV | sed -n 's/^host: //p')
wanted=${target:-$host}
directory=${CARGO_TARGET_DIR:-$root/target}

flags=("--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo" "--remap-path-prefix=$root=/src")
case $wanted in
  *-linux-gnu)
    flags+=(-Ctarget-feature=+crt-static)
    # Random numbers come from the system call. By default, the library resolves it by name at run time, which a static program cannot do,
    # and then reads /dev/random and /dev/urandom.
    flags+=(--cfg 'getrandom_backend="linux_getrandom"')
    cc=cc
    if [ "$wanted" != "$host" ]; then
      cc=${wanted%%-*}-linux-gnu-gcc
      variable=$(tr 'a-z-' 'A-Z_' <<<"$wanted")
      export "CARGO_TARGET_${variable}_LINKER=$cc"
    fi
    echo 'int main(void) { return 0; }' | "$cc" -static -x c -o /dev/null - 2>/dev/null ||
      fail "$cc cannot make a static program: install the C library's static files (Debian and Ubuntu: libc6-dev, with $cc; Fedora: glibc-static)"
    # The relocations are a fifteenth of the file, and almost nothing if packed. A C library before 2.36 does not apply packed relocations,
    # and its program would crash at the start. A linker that cannot pack them for an architecture warns and continues.
    packed=-Wl,-z,pack-relative-relocs
    if said=$("$cc" -static-pie "$packed" -x c -o /dev/null - 2>&1 <<'END'
#include <features.h>
#if !__GLIBC_PREREQ(2, 36)
#error "older"
#endif
int main(void) { return 0; }
END
    ) && [ -z "$said" ]; then
      flags+=("-Clink-arg=$packed")
    fi
    ;;
esac
# The separator is a character that no path contains.
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f'; echo "${flags[*]}")
export CARGO_ENCODED_RUSTFLAGS

# The target is explicit even for the host, so that the flags do not apply to build scripts and macros, which cannot be static.
cargo build --release --locked --target "$wanted" "${packages[@]}" ${arguments[@]+"${arguments[@]}"}

if [ -z "$target" ]; then
  mkdir -p "$directory/release"
  find "$directory/$wanted/release" -maxdepth 1 -type f -perm -u+x -exec ln -f {} "$directory/release/" \;
fi
