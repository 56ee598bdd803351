#!/usr/bin/env bash
# Builds tools of other projects that check the chart and the manifests, once per state of this module, and prints their directory: helm,
# helm3, helm-unittest, kubeconform, prometheus, promtool, gojq, and definitions of other projects in crds/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ../go.sh

build third-party "helm $(version helm.sh/helm/v4) and $(version helm.sh/helm/v3), helm-unittest $(version github.com/helm-unittest/helm-unittest), \
kubeconform $(version github.com/yannh/kubeconform), prometheus and promtool $(version github.com/prometheus/prometheus), gojq $(version github.com/itchyny/gojq) (about 5 minutes on two cores, once)"
helm3=helm.sh/helm/v3/cmd/helm # built separately, because both are named helm
# Prometheus discovers its targets in files here: the libraries of all clouds are excluded.
compile -ldflags '-s -w' -tags remove_all_sd -o "$building/" $(go list tool | grep -vx "$helm3")
compile -ldflags '-s -w' -o "$building/helm3" "$helm3"

# The kinds in apis.go: those of other projects that the chart and deploy/ create.
mkdir "$building/crds"
for package in $(sed -n 's/^\t_ "\(.*\)"$/\1/p' apis.go); do
  "$building/controller-gen" crd paths="$package" output:crd:dir="$building/all" 1>&2 9>&- ||
    fail "failed to generate the definitions of $package: see the message above"
done
for kind in gitrepositories helmreleases kustomizations podmonitors prometheusrules servicemonitors; do
  mv "$building"/all/*_"$kind.yaml" "$building/crds/$kind.yaml" || fail "no definition of $kind was generated"
done
rm -rf "$building/all" "$building/controller-gen"
done_building
