//! The active faults: which requests each one affects, and how often.

pub mod action;

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use self::action::Action;

/// A rule for a fault, as the control API takes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultRule {
    /// The affected requests. Default: all.
    #[serde(default, rename = "match")]
    pub pattern: Pattern,
    /// Number of matching requests to skip first. Default 0.
    #[serde(default)]
    pub skip: u64,
    /// Number of matching requests to affect after that; 0 for all. Default 1, or one for each action of a script.
    #[serde(default)]
    pub times: Option<u64>,
    /// The effect.
    pub action: Action,
}

/// Pattern of requests: all given fields must match.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Pattern {
    /// The method.
    pub method: Option<String>,
    /// A substring of the host's name, or the whole name with `*` as a wildcard.
    pub host: Option<String>,
    /// A substring of path and query, or the whole text with `*` as a wildcard.
    pub path: Option<String>,
    /// The application.
    pub client_id: Option<String>,
    /// The route's name in the ledger: `refreshes`, `token`, …
    pub route: Option<String>,
}

/// The properties of a request that a pattern compares.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The request's method.
    pub method: &'a str,
    /// The addressed host.
    pub host: &'a str,
    /// Its path and query.
    pub path: &'a str,
    /// The application, if the request names one.
    pub client_id: Option<&'a str>,
    /// The route's name in the ledger.
    pub route: &'a str,
}

impl Pattern {
    /// Whether the request matches.
    #[must_use]
    pub fn matches(&self, subject: Subject<'_>) -> bool {
        self.method.as_ref().is_none_or(|method| method.eq_ignore_ascii_case(subject.method))
            && self.host.as_ref().is_none_or(|host| text_matches(host, subject.host))
            && self.path.as_ref().is_none_or(|path| text_matches(path, subject.path))
            && self.client_id.as_ref().is_none_or(|id| subject.client_id.is_some_and(|seen| id.eq_ignore_ascii_case(seen)))
            && self.route.as_ref().is_none_or(|route| route.eq_ignore_ascii_case(subject.route))
    }
}

/// Whether `text` contains `pattern`, or matches it as a whole if it contains a `*`. Case-insensitive.
fn text_matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_lowercase(), text.to_lowercase());
    if pattern.contains('*') { glob_matches(pattern.as_bytes(), text.as_bytes()) } else { text.contains(&pattern) }
}

fn glob_matches(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|start| glob_matches(rest, &text[start..])),
        Some((letter, rest)) => text.split_first().is_some_and(|(first, after)| first == letter && glob_matches(rest, after)),
    }
}

/// An active fault.
pub struct Fault {
    /// Its id.
    pub id: Arc<str>,
    rule: FaultRule,
    times: u64,
    seen: AtomicU64,
    hits: AtomicU64,
    held: AtomicU64,
    releases: watch::Sender<u64>,
}

/// A fault, as shown by the control API.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// Its id.
    pub fault_id: Arc<str>,
    /// Number of requests affected so far.
    pub hits: u64,
    /// Number of requests on hold.
    pub held: u64,
    /// The rule.
    #[serde(flatten)]
    pub rule: FaultRule,
}

impl Fault {
    /// Counts a matching request and returns the zero-based number of the hit, if it is one.
    fn next_hit(&self) -> Option<u64> {
        let number = self.seen.fetch_add(1, Ordering::Relaxed).checked_sub(self.rule.skip)?;
        let is_hit = self.times == 0 || number < self.times;
        if is_hit {
            self.hits.fetch_add(1, Ordering::Relaxed);
        }
        is_hit.then_some(number)
    }

    /// Holds the caller until the next release or the removal of the fault.
    pub async fn hold(&self) {
        let mut releases = self.releases.subscribe();
        let _held = Held::new(&self.held);
        // An error means that the fault was removed, which also releases the request.
        let _ = releases.changed().await;
    }

    fn view(&self) -> View {
        View {
            fault_id: Arc::clone(&self.id),
            hits: self.hits.load(Ordering::Relaxed),
            held: self.held.load(Ordering::Relaxed),
            rule: self.rule.clone(),
        }
    }
}

/// A fault that applies to a request.
#[derive(Clone)]
pub struct MatchedFault {
    /// The fault.
    pub fault: Arc<Fault>,
    number: u64,
}

impl MatchedFault {
    /// The effect on the request.
    #[must_use]
    pub fn action(&self) -> &Action {
        self.fault.rule.action.at(self.number)
    }
}

/// Counts a held request until it is dropped.
struct Held<'a>(&'a AtomicU64);

impl<'a> Held<'a> {
    fn new(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All active faults, in the order of their creation.
#[derive(Default)]
pub struct Faults {
    active: Mutex<Vec<Arc<Fault>>>,
    // Checked before the lock: usually there are no faults.
    count: AtomicUsize,
    created: AtomicU64,
}

impl Faults {
    /// Activates a fault and returns its id.
    pub fn add(&self, mut rule: FaultRule) -> Arc<str> {
        rule.action.pin(Timestamp::now());
        let times = *rule.times.get_or_insert_with(|| rule.action.requests());
        let id: Arc<str> = (self.created.fetch_add(1, Ordering::Relaxed) + 1).to_string().into();
        let fault = Fault {
            id: Arc::clone(&id),
            rule,
            times,
            seen: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            held: AtomicU64::new(0),
            releases: watch::Sender::new(0),
        };
        let mut faults = self.active.lock();
        faults.push(Arc::new(fault));
        self.count.store(faults.len(), Ordering::Release);
        id
    }

    /// The fault that applies to this request: the first that matches and has hits left.
    pub fn match_request(&self, subject: Subject<'_>) -> Option<MatchedFault> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.active.lock().iter().filter(|fault| fault.rule.pattern.matches(subject)).find_map(|fault| {
            let number = fault.next_hit()?;
            Some(MatchedFault { fault: Arc::clone(fault), number })
        })
    }

    /// Releases the requests held by `id`; returns whether the fault exists.
    pub fn release(&self, id: &str) -> bool {
        let fault = self.find(id);
        if let Some(fault) = &fault {
            fault.releases.send_modify(|count| *count += 1);
        }
        fault.is_some()
    }

    /// Removes a fault and releases the requests it holds; returns whether it existed.
    pub fn remove(&self, id: &str) -> bool {
        let mut faults = self.active.lock();
        let before = faults.len();
        faults.retain(|fault| {
            let keep = *fault.id != *id;
            if !keep {
                fault.releases.send_modify(|count| *count += 1);
            }
            keep
        });
        self.count.store(faults.len(), Ordering::Release);
        faults.len() < before
    }

    /// Removes all faults.
    pub fn clear(&self) {
        let removed = std::mem::take(&mut *self.active.lock());
        self.count.store(0, Ordering::Release);
        for fault in removed {
            fault.releases.send_modify(|count| *count += 1);
        }
    }

    /// The current state of a fault.
    #[must_use]
    pub fn view(&self, id: &str) -> Option<View> {
        self.find(id).map(|fault| fault.view())
    }

    /// The current state of all faults.
    #[must_use]
    pub fn views(&self) -> Vec<View> {
        self.active.lock().iter().map(|fault| fault.view()).collect()
    }

    fn find(&self, id: &str) -> Option<Arc<Fault>> {
        self.active.lock().iter().find(|fault| *fault.id == *id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBJECT: Subject<'static> = Subject {
        method: "POST",
        host: "westus.asazure.windows.net",
        path: "/servers/s/models/M/refreshes",
        client_id: Some("ab-c"),
        route: "refreshes",
    };

    fn rule(json: serde_json::Value) -> FaultRule {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn patterns_match_substrings_or_globs() {
        for (pattern, text, expected) in [
            ("refreshes", "/m/refreshes/1", true),
            ("*/refreshes", "/m/refreshes/1", false),
            ("*/refreshes", "/m/refreshes", true),
            ("/m/*/1", "/m/refreshes/1", true),
            ("*refresh*", "/m/Refreshes/1", true),
            ("a*a", "a", false),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c", false),
            ("a*c*c", "a-c", false),
            ("*", "", true),
        ] {
            assert_eq!(text_matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn pattern_requires_all_given_fields() {
        let matches = |json| serde_json::from_value::<Pattern>(json).unwrap().matches(SUBJECT);
        assert!(matches(serde_json::json!({})));
        assert!(matches(serde_json::json!({"method": "post", "host": "*.windows.net", "path": "models/m", "clientId": "AB-C"})));
        assert!(!matches(serde_json::json!({"method": "GET"})));
        assert!(!matches(serde_json::json!({"clientId": "other"})));
        assert!(matches(serde_json::json!({"route": "refreshes"})) && !matches(serde_json::json!({"route": "refresh"})));
    }

    #[test]
    fn fault_hits_ordered_count_after_skipped_requests() {
        let faults = Faults::default();
        let once = faults.add(rule(serde_json::json!({"skip": 1, "action": {"dropBefore": {}}})));
        let hits: Vec<_> = (0..3).map(|_| faults.match_request(SUBJECT).is_some()).collect();
        assert_eq!(hits, [false, true, false]);
        assert_eq!(faults.view(&once).unwrap().hits, 1);
        let always = faults.add(rule(serde_json::json!({"times": 0, "action": {"hang": {"after": true}}})));
        assert!((0..5).all(|_| faults.match_request(SUBJECT).is_some_and(|matched| matched.fault.id == always)));
        assert!(faults.remove(&always) && !faults.remove(&always));
        assert!(faults.match_request(SUBJECT).is_none());
    }

    #[test]
    fn script_has_action_per_request_and_repeats_last() {
        let faults = Faults::default();
        let matched = |count| -> Vec<_> {
            let action =
                |matched: MatchedFault| serde_json::to_value(matched.action()).unwrap().as_object().unwrap().keys().next().unwrap().clone();
            (0..count).map(|_| faults.match_request(SUBJECT).map(action).unwrap_or_default()).collect()
        };
        faults.add(rule(serde_json::json!({"skip": 1, "action": {"responses": [{"pass": {}}, {"dropAfter": {}}]}})));
        assert_eq!(matched(4), ["", "pass", "dropAfter", ""]);
        faults.add(rule(serde_json::json!({"times": 3, "action": {"responses": [{"pass": {}}, {"dropAfter": {}}]}})));
        assert_eq!(matched(4), ["pass", "dropAfter", "dropAfter", ""]);
    }

    #[test]
    fn invalid_rule_is_refused() {
        for json in [
            serde_json::json!({"action": {"dropBefor": {}}}),
            serde_json::json!({"action": {"dropAfter": {}}, "tims": 1}),
            serde_json::json!({"action": {"responses": []}}),
            serde_json::json!({"action": {"responses": [{"responses": [{"pass": {}}]}]}}),
            serde_json::json!({"action": {"body": "{now-4}"}}),
            serde_json::json!({"match": {"verb": "GET"}, "action": {"dropAfter": {}}}),
        ] {
            assert!(serde_json::from_value::<FaultRule>(json.clone()).is_err(), "{json}");
        }
    }
}
