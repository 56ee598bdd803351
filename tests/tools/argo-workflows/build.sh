#!/usr/bin/env bash
# Builds the program that checks and evaluates WorkflowTemplates with the libraries of Argo Workflows, once per state of this module, and
# prints its directory: argo-workflows, and the definition of the kind in crds/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ../go.sh

argo=github.com/argoproj/argo-workflows/v4
build argo-workflows "the program of Argo Workflows $(version $argo) (about 2 minutes on two cores, once)"
compile -ldflags '-s -w' -o "$building/" .
mkdir "$building/crds"
cp "$(go list -m -f '{{.Dir}}' $argo)/manifests/base/crds/full/argoproj.io_workflowtemplates.yaml" "$building/crds/workflowtemplates.yaml"
chmod u+w "$building/crds/workflowtemplates.yaml"
done_building
