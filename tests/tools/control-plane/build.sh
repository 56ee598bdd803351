#!/usr/bin/env bash
# Builds the local control plane, once per state of its sources, and prints the path of the program on stdout.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ../go.sh

kubernetes=$(version k8s.io/kubernetes)
build control-plane "the local control plane (Kubernetes $kubernetes, about 6 minutes on two cores, once)" control-plane
IFS=. read -r major minor _ <<<"$kubernetes"
# Helm and other clients require a server version.
of=k8s.io/component-base/version
compile -o "$building/" -ldflags "-s -w \
  -X $of.gitVersion=v$kubernetes -X $of.gitMajor=$major -X $of.gitMinor=$minor -X $of.gitTreeState=clean" .
done_building
