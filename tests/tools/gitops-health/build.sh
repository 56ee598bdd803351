#!/usr/bin/env bash
# Builds the program that evaluates resources with the libraries of Flux and Argo CD, once per state of this module, and prints the path
# of the program.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ../go.sh

build gitops-health "the GitOps health program of Argo CD $(version github.com/argoproj/argo-cd/v3), Flux's runtime $(version github.com/fluxcd/pkg/runtime) \
and kstatus $(version github.com/fluxcd/cli-utils) (about 2 minutes on two cores, once)" gitops-health
compile -ldflags '-s -w' -o "$building/" .
done_building
