#!/usr/bin/env bash
# Builds the local control plane, once per state of its sources, and prints the path of the program on stdout. KUBERNETES_VERSION selects
# another minor version, such as 1.34.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ../go.sh

default=$(version k8s.io/kubernetes)
minor=${KUBERNETES_VERSION:-${default%.*}} tags=()
if [ "$minor" != "${default%.*}" ]; then
  modfile=versions/$minor
  [ -f "$modfile.mod" ] || fail "no Kubernetes version $minor: there are ${default%.*} and $(cd versions && echo *.mod | sed 's/\.mod//g')"
  # Sources that only this version needs have this tag.
  tags=(-tags "kubernetes_${minor//./_}")
fi
kubernetes=$(version k8s.io/kubernetes)
build control-plane "the local control plane (Kubernetes $kubernetes, about 6 minutes on two cores, once)" control-plane
# Helm and other clients require a server version.
of=k8s.io/component-base/version
compile -o "$building/" ${tags[@]+"${tags[@]}"} -ldflags "-s -w \
  -X $of.gitVersion=v$kubernetes -X $of.gitMajor=${minor%.*} -X $of.gitMinor=${minor#*.} -X $of.gitTreeState=clean" .
done_building
