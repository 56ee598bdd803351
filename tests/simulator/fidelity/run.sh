#!/usr/bin/env bash
# Runs third-party clients against the local Azure: `make fidelity`. Their packages are installed once per version of requirements.txt,
# below Cargo's target directory.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
target="${CARGO_TARGET_DIR:-$(cd "$here/../../.." && pwd)/target}"

python=""
for candidate in python3.11 python3.12 python3.13 python3; do
  # The supported versions of Airflow 3.1; it refuses to install on others.
  if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2> /dev/null; then
    python="$candidate"
    break
  fi
done
if [ -z "$python" ]; then
  echo "error: no Python 3.11, 3.12 or 3.13 on PATH: install one with its venv module" >&2
  exit 1
fi

version="$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
packages="$target/fidelity/python$version-$(cksum < "$here/requirements.txt" | cut -d ' ' -f 1)"
if [ ! -e "$packages/complete" ]; then
  echo "installing the clients into $packages (400 MB, a minute or two)"
  rm -rf "$packages"
  mkdir -p "$target/fidelity"
  "$python" -m venv "$packages"
  "$packages/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$here/requirements.txt"
  touch "$packages/complete"
fi

exec "$packages/bin/python" -B "$here/main.py" --simulator "${TABULAR_SIMULATOR_BINARY:-$target/release/simulator}" --directory "$target/fidelity" "$@"
