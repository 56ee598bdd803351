#!/usr/bin/env bash
# Compiles programs of this workspace as they are released; no other place says how.
#
#   compile.sh --bins                                                       all, for this machine, in target/release
#   compile.sh --bin tabular-operator --target aarch64-unknown-linux-gnu    one, for another, in target/<target>/release
#
# On Linux a program is one static file, which needs nothing of the machine that it runs on. Its bytes come of the sources, the
# toolchain and the C library, and not of where they lie. RUSTFLAGS are not heeded.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"

fail() { echo "deploy/image/compile.sh: $*" >&2; exit 1; }

# What a library is built with depends on who else is built with it: always these, so that an image has the very program that
# the tests run.
packages=(-p tabular-operator -p simulator -p demo -p prove)

arguments=() target=''
while [ $# -gt 0 ]; do
  case $1 in
    --target) target=${2:?--target needs a target}; shift 2 ;;
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
    # Randomness comes of the system call. By default it is looked for by name at run time, which a static program cannot, and then
    # read of /dev/random and /dev/urandom.
    flags+=(--cfg 'getrandom_backend="linux_getrandom"')
    cc=cc
    if [ "$wanted" != "$host" ]; then
      cc=${wanted%%-*}-linux-gnu-gcc
      variable=$(tr 'a-z-' 'A-Z_' <<<"$wanted")
      export "CARGO_TARGET_${variable}_LINKER=$cc"
    fi
    echo 'int main(void) { return 0; }' | "$cc" -static -x c -o /dev/null - 2>/dev/null ||
      fail "$cc cannot make a static program: install the C library's static files (Debian and Ubuntu: libc6-dev, with $cc; Fedora: glibc-static)"
    # The addresses to be put right at the start are a fifteenth of the file, and packed next to nothing. A C library before 2.36 would leave
    # them wrong, and its program would be dead at once; a linker that cannot pack them for an architecture says so, and goes on.
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
# Separated by a character that no path has.
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f'; echo "${flags[*]}")
export CARGO_ENCODED_RUSTFLAGS

# The target is named even where it is the host: so the flags are not those of build scripts and macros, which cannot be static.
cargo build --release --locked --target "$wanted" "${packages[@]}" "${arguments[@]}"

if [ -z "$target" ]; then
  mkdir -p "$directory/release"
  find "$directory/$wanted/release" -maxdepth 1 -type f -perm -u+x -exec ln -f {} "$directory/release/" \;
fi
