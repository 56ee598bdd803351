//! The installation of the holder in the Lease, so that a drain request to one installation does not apply to the next.
//!
//! If the `ServiceAccount` outlives an uninstall, or the operator does not use one, the request ([`super::drain_signal`]) expires.

use k8s_openapi::api::coordination::v1::Lease;

use super::drain_signal;

/// The annotation of the Lease with the installation of its last holder, to which drain requests are addressed.
pub(crate) const ANNOTATION: &str = "tabular-operator.dev/installation";

/// Records the installation of a new holder in the Lease, and removes a drain request to other installations.
pub(super) fn record_holder(lease: &mut Lease, ours: Option<&str>) {
    let annotations = lease.metadata.annotations.get_or_insert_default();
    let Some(ours) = ours else {
        annotations.remove(ANNOTATION);
        return;
    };
    annotations.insert(ANNOTATION.to_owned(), ours.to_owned());
    if annotations.get(drain_signal::ANNOTATION).is_some_and(|request| drain_signal::addresses_only_others(request, ours)) {
        annotations.remove(drain_signal::ANNOTATION);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drain_request_to_others_is_removed() {
        let kept = |to: &[&str], ours: Option<&str>| {
            let mut lease = Lease::default();
            let request = drain_signal::request(crate::engine::DrainMode::Cancel, 1, to);
            lease.metadata.annotations =
                Some([(drain_signal::ANNOTATION.to_owned(), request), (ANNOTATION.to_owned(), "a".to_owned())].into());
            record_holder(&mut lease, ours);
            let annotations = lease.metadata.annotations.unwrap();
            assert_eq!(annotations.get(ANNOTATION).map(String::as_str), ours);
            annotations.contains_key(drain_signal::ANNOTATION)
        };
        assert!(kept(&[], Some("b")) && kept(&["a"], None) && kept(&["a"], Some("a")) && kept(&["a", "b"], Some("b")));
        assert!(!kept(&["a"], Some("b")) && !kept(&["a", "b"], Some("c")));
    }
}
