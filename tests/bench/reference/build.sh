#!/usr/bin/env bash
# Builds the reference of the benchmark, once per state of this module, and prints the path of the program.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ../../tools/go.sh

build reference "the reference operator with controller-runtime $(version sigs.k8s.io/controller-runtime) (about 2 minutes on two cores, once)" reference
compile -ldflags '-s -w' -o "$building/" .
done_building
