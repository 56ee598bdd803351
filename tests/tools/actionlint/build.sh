#!/usr/bin/env bash
# Builds the linter of the workflows, once per state of this module, and prints the path of the program.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ../go.sh

build actionlint "actionlint $(version github.com/rhysd/actionlint) (seconds, once)" actionlint
compile -ldflags '-s -w' -o "$building/" github.com/rhysd/actionlint/cmd/actionlint
done_building
