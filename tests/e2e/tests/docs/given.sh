# The initial state of a page: the reader's variables and files, and the functions for `<!-- given: … -->`.

place=
at() { place=$1; }
trap 'status=$?; echo "FAILED at $place: $BASH_COMMAND (exit code $status)" >&2' ERR
set -E

# The example of the documents, also in the local Azure.
export TENANT_ID=72f988bf-0000-4000-8000-000000000001 CLIENT_ID=11111111-0000-4000-8000-000000000001
printf example-secret > client-secret.txt

# The namespaces of the examples. A page may omit `--namespace bi`, because `bi` is then the current one. The README creates it instead.
namespaces() {
  if kubectl get namespace bi > /dev/null 2>&1; then return; fi
  kubectl create namespace bi > /dev/null
  kubectl create namespace finance > /dev/null
  kubectl config set-context --current --namespace bi > /dev/null
}

# azure VERB PATH BODY: a request to the local Azure's control API.
azure() { curl --noproxy '*' --silent --show-error --fail --request "$1" "$AZURE_CONTROL$2" ${3:+--data "$3"}; }

# Sets the duration of operations of its model.
takes() { azure PATCH /models "{\"server\": \"asazure://westus.asazure.windows.net/myserver\", \"database\": \"AdventureWorks\", \"durationMillis\": $1, \"cancelMillis\": 500, \"outcome\": \"succeeded\"}" > /dev/null; }
quick() { takes 1000; }
slow() { takes 600000; }

# The ids of running operations at the service, one per line.
running() { azure GET /operations | jq -r '.[] | select(.status == "inProgress" or .status == "notStarted") | .operationId'; }

# until_true COMMAND…: waits until it succeeds.
until_true() { for _ in $(seq 240); do if "$@" > /dev/null 2>&1; then return; fi; sleep 0.25; done; echo "timed out waiting for: $*" >&2; "$@"; }
in_state() { until_true bash -c "[ \"\$(kubectl get $1 --namespace ${3:-bi} --output jsonpath='{.status.run.state}')\" = $2 ]"; }
has_reason() { until_true bash -c "kubectl get $1 --namespace ${3:-bi} --output jsonpath='{.status.conditions[?(@.type==\"Ready\")].reason}' | grep -qx $2"; }

# says TEXT COMMAND…: its output must contain the text.
says() {
  local wanted=$1 output
  shift
  output=$("$@" 2>&1) || true
  grep -qF -- "$wanted" <<< "$output" || { printf 'no "%s" in:\n%s\n' "$wanted" "$output" >&2; return 1; }
}

# refused TEXT COMMAND…: it must fail, and its output must contain the text.
refused() {
  local wanted=$1 output
  shift
  if output=$("$@" 2>&1); then printf 'not refused: %s\n' "$*" >&2; return 1; fi
  grep -qF -- "$wanted" <<< "$output" || { printf 'no "%s" in:\n%s\n' "$wanted" "$output" >&2; return 1; }
}

installed() {
  namespaces
  quick
  helm install tabular-operator charts/tabular-operator --namespace tabular-system --create-namespace --wait > /dev/null
  kubectl apply --namespace bi -f deploy/samples/secret-access.yaml > /dev/null
}

secret() {
  namespaces
  kubectl create secret generic aas-sp --namespace bi --from-literal=tenantId="$TENANT_ID" --from-literal=clientId="$CLIENT_ID" \
    --from-file=clientSecret=./client-secret.txt > /dev/null
}

# A refresh with one successful run.
refreshed() {
  secret
  kubectl apply --namespace bi -f deploy/samples/adventureworks.yaml > /dev/null
  kubectl wait mref/adventureworks --namespace bi --for=condition=Succeeded --timeout=60s > /dev/null
}

# A refresh that runs for ten minutes.
in_mid_run() {
  slow
  kubectl annotate mref adventureworks --namespace bi tabular-operator.dev/run-requested-at=given --overwrite > /dev/null
  in_state mref/adventureworks Running
}

# Makes the next operations of its model fail, until `quick` or `slow`.
fails() { azure PATCH /models '{"server": "asazure://westus.asazure.windows.net/myserver", "database": "AdventureWorks", "outcome": "failed"}' > /dev/null; }

# The definition of a WorkflowTemplate, which the API server then checks. It is too large for `kubectl apply`.
argo_workflows() {
  local built
  built=$("$(dirname "${BASH_SOURCE[0]}")/../../../tools/argo-workflows/build.sh")
  kubectl create -f "$built/crds/workflowtemplates.yaml" > /dev/null
  until_true kubectl get workflowtemplates
}

# The objects of an Argo CD installation.
argocd() {
  kubectl create namespace argocd > /dev/null
  kubectl create configmap argocd-cm --namespace argocd > /dev/null
}
