//! Which tool applies a resource from Git, by its labels and annotations.

use kube::Resource as _;

use crate::objects::Object;
use crate::output::shown;

/// The tool that applies a resource from Git, and its own resource, such as `Flux (Kustomization flux-system/apps)`.
#[must_use]
pub fn manager(object: &Object) -> Option<String> {
    let meta = object.resource.meta();
    let label = |name: &str| meta.labels.as_ref().and_then(|labels| labels.get(name)).map(|value| shown(value));
    let annotation = |name: &str| object.annotation(name).map(shown);
    for (group, kind) in [("kustomize", "Kustomization"), ("helm", "HelmRelease")] {
        let part = |part: &str| label(&format!("{group}.toolkit.fluxcd.io/{part}"));
        if let Some(name) = part("name") {
            let namespace = part("namespace").map(|namespace| format!("{namespace}/")).unwrap_or_default();
            return Some(format!("Flux ({kind} {namespace}{name})"));
        }
    }
    // Helm itself sets this label too, with an annotation that Argo CD does not have.
    let is_helm = annotation("meta.helm.sh/release-name").is_some();
    let tracked = annotation("argocd.argoproj.io/tracking-id").and_then(|id| id.split(':').next().map(str::to_owned));
    let labeled = || label("argocd.argoproj.io/instance").or_else(|| label("app.kubernetes.io/instance").filter(|_| !is_helm));
    tracked.or_else(labeled).map(|application| format!("Argo CD (application {application})"))
}

#[cfg(test)]
mod tests {
    use kube::Resource as _;
    use serde_json::json;

    use super::*;
    use crate::fixture::refresh;

    fn managed(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> Option<String> {
        let owned = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut object = refresh("orders", "Orders", json!({}), json!({}));
        let meta = object.resource.meta_mut();
        (meta.labels, meta.annotations) = (Some(owned(labels)), Some(owned(annotations)));
        manager(&object)
    }

    #[test]
    fn manager_follows_from_labels_and_annotations() {
        let flux = managed(&[("kustomize.toolkit.fluxcd.io/name", "apps"), ("kustomize.toolkit.fluxcd.io/namespace", "flux-system")], &[]);
        assert_eq!(flux.as_deref(), Some("Flux (Kustomization flux-system/apps)"));
        let helm = managed(&[("helm.toolkit.fluxcd.io/name", "models"), ("app.kubernetes.io/instance", "models")], &[]);
        assert_eq!(helm.as_deref(), Some("Flux (HelmRelease models)"));
        let tracked = managed(&[], &[("argocd.argoproj.io/tracking-id", "bi:tabular-operator.dev/ModelRefresh:bi/orders")]);
        assert_eq!(tracked.as_deref(), Some("Argo CD (application bi)"));
        assert_eq!(managed(&[("app.kubernetes.io/instance", "bi")], &[]).as_deref(), Some("Argo CD (application bi)"));
        assert_eq!(managed(&[("app.kubernetes.io/instance", "bi")], &[("meta.helm.sh/release-name", "bi")]), None);
        assert_eq!(managed(&[("tier", "gold")], &[]), None);
    }
}
