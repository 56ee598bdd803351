//! The first day of a new user with the README: installation, a refresh whose Secret is wrong in several ways, each diagnosed with
//! `kubectl describe` and corrected, an upgrade and an uninstall during a run.

use crate::page::{Block, Page, Part};
use crate::run;

/// The README's block that contains this text.
fn block<'a>(page: &'a Page, words: &str) -> &'a Block {
    page.blocks().find(|block| block.text.contains(words)).unwrap_or_else(|| panic!("the README has no block with {words}"))
}

#[tokio::test]
async fn new_user_succeeds_with_readme_and_kubectl_describe() {
    let readme = Page::read("README.md");
    let secret = block(&readme, "kubectl create secret generic aas-sp").commands();
    let install = block(&readme, "helm install tabular-operator").commands();
    let refresh = &block(&readme, "kind: ModelRefresh").text;
    let again = block(&readme, "run-requested-at").commands();
    let script = format!(
        r#"
describe() {{ kubectl describe mref adventureworks --namespace bi; }}
quick
at 'install as in the README'
{install}
cat > refresh.yaml <<'END'
{refresh}END
kubectl apply -f refresh.yaml

at 'no Secret'
has_reason mref/adventureworks SecretNotFound
says 'Secret aas-sp not found in namespace bi' describe
says 'create it' describe

at 'a Secret without a key'
kubectl create secret generic aas-sp --namespace bi --from-literal=tenantId="$TENANT_ID" --from-literal=clientId="$CLIENT_ID"
has_reason mref/adventureworks SecretInvalid
says clientSecret describe
kubectl delete secret aas-sp --namespace bi

at 'a wrong secret'
printf mistyped > client-secret.txt
{secret}
has_reason mref/adventureworks CredentialsRefused
says 'clientSecret' describe
says 'AADSTS7000215' describe
! describe | grep -q mistyped

at 'corrected as reported'
kubectl delete secret aas-sp --namespace bi
printf example-secret > client-secret.txt
{secret}
kubectl wait mref/adventureworks --namespace bi --for=condition=Succeeded --timeout=120s
says 'succeeded' describe
[ "$(azure GET /operations | jq length)" = 1 ]

at 'an upgrade during a run'
slow
{again}
in_state mref/adventureworks Running
helm upgrade tabular-operator charts/tabular-operator --namespace tabular-system --reset-then-reuse-values --set log.level=debug --wait
sleep 3
in_state mref/adventureworks Running
[ "$(azure GET /operations | jq length)" = 2 ]

at 'an uninstall during a run'
helm uninstall tabular-operator --namespace tabular-system
[ -z "$(running)" ]
[ "$(azure GET /operations | jq length)" = 2 ]
says 'about to be uninstalled' describe
kubectl get mref adventureworks --namespace bi
until_true bash -c '! kubectl get deployment tabular-operator --namespace tabular-system'

at 'removal as in the README'
kubectl delete crd modelrefreshes.tabular-operator.dev modelsyncs.tabular-operator.dev --timeout=120s
"#
    );
    let parts = vec![Part::Then(0, script)];
    run::run(&Page::of("the first day of a new user", parts)).await;
}
