//! Errors, as one sentence with a remedy.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use kube::client::AuthError;
use kube::core::Status;
use tabular_operator::api::Kind;
use tabular_operator::text::plain;

use crate::exit::Exit;

/// What an error means to a command that can continue with less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The API server rejects the credentials, such as an expired token, or there are none. Nothing was changed.
    Unauthorized,
    /// The user lacks a permission.
    Forbidden,
    /// The resource does not exist.
    NotFound,
    /// The cluster does not have the definitions of the resources.
    NotInstalled,
    /// A write was based on an older version of the resource. Nothing was changed.
    Conflict,
    /// The API server did not respond, or failed. A write may have been performed.
    Unanswered,
    /// Any other error.
    Other,
}

/// An error that ends a command, or its part for one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What the error means.
    pub cause: Cause,
    /// One sentence, in lower case, with a remedy.
    pub sentence: String,
}

impl Failure {
    /// An error with exit code 1.
    #[must_use]
    pub fn new(sentence: impl Into<String>) -> Self {
        Self { exit: Exit::Failure, cause: Cause::Other, sentence: plain(&redacted(&sentence.into())).into_owned() }
    }

    /// An error with another exit code.
    #[must_use]
    pub fn with_exit(exit: Exit, sentence: impl Into<String>) -> Self {
        Self { exit, ..Self::new(sentence) }
    }

    fn with_cause(cause: Cause, sentence: impl Into<String>) -> Self {
        Self { cause, ..Self::new(sentence) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

/// A request to the API server, as errors describe it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The verb of the permission: `get`, `list`, `watch`, `patch`.
    pub verb: &'a str,
    /// The resource of the permission, such as `modelrefreshes`.
    pub resource: &'a str,
    /// The namespace; `None` for all.
    pub namespace: Option<&'a str>,
    /// The name of the object, if the request is about one.
    pub name: Option<&'a str>,
}

impl<'a> Request<'a> {
    /// A request for the resources of a kind.
    #[must_use]
    pub fn new(verb: &'a str, kind: Kind, namespace: Option<&'a str>, name: Option<&'a str>) -> Self {
        Self { verb, resource: plural(kind), namespace, name }
    }

    /// What its timeout means.
    #[must_use]
    pub fn timed_out(&self, timeout: Duration) -> Failure {
        let seconds = timeout.as_secs_f64();
        let sentence = format!("the API server did not respond within {seconds} s: check the context, or raise --request-timeout");
        Failure::with_cause(Cause::Unanswered, sentence)
    }

    /// What an error of the client means.
    #[must_use]
    pub fn failed(&self, error: &kube::Error) -> Failure {
        match error {
            kube::Error::Api(status) => self.refused(status),
            _ if is_authentication(error) => {
                let sentence = format!("failed to authenticate with the kubeconfig: {}; log in again", root(error));
                Failure::with_cause(Cause::Unauthorized, sentence)
            }
            kube::Error::ProxyProtocolUnsupported { .. } | kube::Error::ProxyProtocolDisabled { .. } => {
                Failure::new("the proxy has an unsupported scheme: set an http:// or https:// proxy")
            }
            kube::Error::SerdeError(_) => {
                Failure::new(format!("failed to read the response of the API server: {}; check the versions", root(error)))
            }
            _ => {
                let sentence = format!("failed to reach the API server: {}; check the context and the network", root(error));
                Failure::with_cause(Cause::Unanswered, sentence)
            }
        }
    }

    /// What a response of the API server means.
    fn refused(&self, status: &Status) -> Failure {
        let place = self.namespace.map_or_else(|| "in all namespaces".to_owned(), |namespace| format!("in namespace {namespace}"));
        let message = plain(&status.message).into_owned();
        match (status.code, self.name) {
            (401, _) => Failure::with_cause(Cause::Unauthorized, "the API server rejects the credentials of the kubeconfig: log in again"),
            // RBAC: `User "x" cannot patch resource "…"`. Other refusals come from admission, and their message has the cause.
            (403, _) if message.contains(&format!("cannot {} ", self.verb)) => {
                let role = if matches!(self.verb, "get" | "list" | "watch") { "view" } else { "edit" };
                let sentence = format!("you may not {} {} {place}: ask for the role {role} there", self.verb, self.resource);
                Failure::with_cause(Cause::Forbidden, sentence)
            }
            // Without a name in its details, the API server does not know the resource itself.
            (404, Some(name)) if status.details.as_ref().is_some_and(|details| !details.name.is_empty()) => {
                let sentence = format!("{}/{name} not found {place}: list the names with the command `get` of the plugin", self.resource);
                Failure::with_cause(Cause::NotFound, sentence)
            }
            (404, _) if status.details.as_ref().is_some_and(|details| details.kind == "namespaces") => {
                Failure::with_cause(Cause::NotFound, format!("{message}: check --namespace"))
            }
            (404, _) => Failure::with_cause(Cause::NotInstalled, "the CRDs are not installed in this cluster: install the operator first"),
            (409, _) => {
                let sentence = format!("the resource changed meanwhile: {message}; check it and try again");
                Failure { exit: Exit::NoChange, ..Failure::with_cause(Cause::Conflict, sentence) }
            }
            (code, _) => {
                let cause = if code >= 500 { Cause::Unanswered } else { Cause::Other };
                Failure::with_cause(cause, format!("the API server refused to {} {}: {message}", self.verb, self.resource))
            }
        }
    }
}

/// The resource name of a kind in the API.
#[must_use]
pub fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::ModelRefresh => "modelrefreshes",
        Kind::ModelSync => "modelsyncs",
    }
}

/// Whether the client has no credentials for a request. An error of the program that renews them is one of the service.
fn is_authentication(error: &kube::Error) -> bool {
    match error {
        kube::Error::Auth(_) => true,
        kube::Error::Service(cause) => cause.is::<AuthError>(),
        _ => false,
    }
}

/// The innermost cause of an error, in one line.
fn root(error: &dyn StdError) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    plain(&inner.to_string()).into_owned()
}

/// A text without the user and the password of a URL.
fn redacted(text: &str) -> String {
    let mut parts = text.split("://");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| {
        let end = part.find(|c: char| c == '/' || c.is_whitespace()).unwrap_or(part.len());
        let (authority, rest) = part.split_at(end);
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        format!("{out}://{host}{rest}")
    })
}

#[cfg(test)]
mod tests {
    use kube::core::response::{StatusDetails, StatusSummary};

    use super::*;

    fn status(code: u16, name: &str) -> Status {
        let details: StatusDetails = serde_json::from_value(serde_json::json!({"name": name})).unwrap();
        Status { status: Some(StatusSummary::Failure), code, message: "no".to_owned(), details: Some(details), ..Status::default() }
    }

    #[test]
    fn refusals_name_the_permission_and_the_role() {
        let of = |verb, code, namespace, name: Option<&str>| {
            let mut status = status(code, name.unwrap_or_default());
            status.message = format!("User \"me\" cannot {verb} resource \"modelrefreshes\"");
            Request::new(verb, Kind::ModelRefresh, namespace, name).failed(&kube::Error::Api(Box::new(status)))
        };
        assert_eq!(
            of("list", 403, Some("bi"), None).sentence,
            "you may not list modelrefreshes in namespace bi: ask for the role view there"
        );
        let patch = of("patch", 403, Some("bi"), Some("a"));
        assert_eq!(patch.sentence, "you may not patch modelrefreshes in namespace bi: ask for the role edit there");
        assert_eq!((patch.cause, patch.exit), (Cause::Forbidden, Exit::Failure));
        assert_eq!(of("list", 403, None, None).sentence, "you may not list modelrefreshes in all namespaces: ask for the role view there");
        let unknown = of("get", 404, Some("bi"), Some("a"));
        let sentence = "modelrefreshes/a not found in namespace bi: list the names with the command `get` of the plugin";
        assert_eq!((unknown.cause, unknown.sentence.as_str()), (Cause::NotFound, sentence));
        let missing = of("list", 404, Some("bi"), None);
        assert!(missing.sentence.starts_with("the CRDs are not installed in this cluster"), "{missing}");
        let conflict = of("patch", 409, Some("bi"), Some("a"));
        assert_eq!((conflict.cause, conflict.exit), (Cause::Conflict, Exit::NoChange));
        assert_eq!(of("patch", 422, Some("bi"), Some("a")).cause, Cause::Other, "the patch was not performed");
        assert_eq!(of("patch", 504, Some("bi"), Some("a")).cause, Cause::Unanswered, "the patch may have been performed");
    }

    #[test]
    fn refusals_of_admission_keep_their_cause() {
        let mut denied = status(403, "a");
        denied.message = "admission webhook \"policy.example\" denied the request: no runs on Friday".to_owned();
        let patch = Request::new("patch", Kind::ModelRefresh, Some("bi"), Some("a"));
        let failure = patch.failed(&kube::Error::Api(Box::new(denied)));
        assert!(failure.sentence.ends_with("no runs on Friday"), "{failure}");
        let mut missing = status(404, "typo");
        missing.details = Some(serde_json::from_value(serde_json::json!({"name": "typo", "kind": "namespaces"})).unwrap());
        missing.message = "namespaces \"typo\" not found".to_owned();
        let create = Request::new("create", Kind::ModelRefresh, Some("typo"), None);
        assert_eq!(create.failed(&kube::Error::Api(Box::new(missing))).sentence, "namespaces \"typo\" not found: check --namespace");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert!(!Failure::new("failed to read a\u{1b}[2J.yaml").sentence.contains('\u{1b}'));
    }

    #[test]
    fn credentials_in_urls_are_removed() {
        let rows = [
            ("proxy http://me:secret@p:3128/x failed", "proxy http://p:3128/x failed"),
            ("https://me@host and ftp://a:b@c", "https://host and ftp://c"),
            ("https://host/a@b", "https://host/a@b"),
            ("no url", "no url"),
        ];
        for (text, expected) in rows {
            assert_eq!(Failure::new(text).sentence, expected);
        }
    }
}
