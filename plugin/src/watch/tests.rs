//! A watch by its events: what is kept, reported and refused.

use kube::client::AuthError;
use kube::core::Status;
use serde_json::{Value, json};
use tokio::time::advance;

use super::*;
use crate::exit::Exit;

fn watch() -> Watch {
    Watch {
        objects: BTreeMap::new(),
        events: SelectAll::new(),
        listing: BTreeMap::new(),
        lost: BTreeSet::new(),
        listed: BTreeSet::new(),
        refusals: BTreeMap::new(),
        required: Kind::ALL.iter().copied().collect(),
        left_out: BTreeSet::new(),
        undecodable: BTreeSet::new(),
        namespace: Some("bi".to_owned()),
    }
}

fn object(name: &str, spec: &Value) -> DynamicObject {
    serde_json::from_value(json!({"metadata": {"name": name, "namespace": "bi"}, "spec": spec})).unwrap()
}

fn failed(code: u16) -> watcher::Error {
    watcher::Error::WatchError(Box::new(Status { code, ..Status::default() }))
}

fn names(watch: &Watch) -> Vec<String> {
    watch.objects().iter().map(Object::name).collect()
}

#[test]
fn new_list_removes_what_it_lacks() {
    let (mut watch, kind, spec) = (watch(), Kind::ModelRefresh, json!({"model": {}}));
    assert_eq!(watch.apply(kind, Ok(Event::Apply(object("old", &spec)))), Some(Change::Objects));
    watch.apply(Kind::ModelSync, Ok(Event::Apply(object("sync", &spec))));
    assert_eq!(watch.apply(kind, Ok(Event::Init)), None);
    assert_eq!(watch.apply(kind, Ok(Event::InitApply(object("new", &spec)))), None);
    assert_eq!(names(&watch), ["new", "old", "msync/sync"]);
    assert_eq!(watch.apply(kind, Ok(Event::InitDone)), Some(Change::Objects));
    assert_eq!(names(&watch), ["new", "msync/sync"]);
    // A newer version that cannot be decoded does not hide the resource.
    watch.apply(kind, Ok(Event::Apply(object("new", &json!({"model": 1})))));
    assert_eq!(names(&watch), ["new", "msync/sync"]);
    watch.apply(kind, Ok(Event::Delete(object("new", &json!({"model": 1})))));
    assert_eq!(names(&watch), ["msync/sync"]);
}

#[test]
fn undecodable_version_is_reported_once() {
    let (mut watch, kind) = (watch(), Kind::ModelRefresh);
    let (good, bad) = (json!({"model": {}}), json!({"model": 1}));
    watch.apply(kind, Ok(Event::Apply(object("orders", &good))));
    let Some(Change::Undecodable(undecodable)) = watch.apply(kind, Ok(Event::Apply(object("orders", &bad)))) else {
        panic!("nothing is reported");
    };
    assert!(undecodable.sentence().starts_with("ModelRefresh bi/orders cannot be read: "), "{undecodable:?}");
    assert!(watch.leaves_out() && names(&watch) == ["orders"], "the last readable version stays");
    watch.apply(kind, Ok(Event::Init));
    assert_eq!(watch.apply(kind, Ok(Event::InitApply(object("orders", &bad)))), None);
    assert!(matches!(watch.apply(kind, Ok(Event::InitApply(object("other", &bad)))), Some(Change::Undecodable(_))));
    watch.apply(kind, Ok(Event::InitDone));
    watch.apply(kind, Ok(Event::Delete(object("other", &bad))));
    assert!(watch.leaves_out() && names(&watch) == ["orders"]);
    assert_eq!(watch.apply(kind, Ok(Event::Apply(object("orders", &good)))), Some(Change::Objects));
    assert!(!watch.leaves_out());
    assert!(matches!(watch.apply(kind, Ok(Event::Apply(object("orders", &bad)))), Some(Change::Undecodable(_))));
}

#[test]
fn lost_connection_is_reported_once_until_restored() {
    let (mut watch, refresh, sync) = (watch(), Kind::ModelRefresh, Kind::ModelSync);
    assert_eq!(watch.apply(refresh, Err(failed(410))), None, "a new list follows");
    assert!(matches!(watch.apply(refresh, Err(failed(503))), Some(Change::Lost(_))));
    assert_eq!(watch.apply(sync, Err(failed(503))), None);
    assert_eq!(watch.apply(refresh, Err(failed(503))), None);
    assert_eq!(watch.apply(refresh, Ok(Event::InitDone)), Some(Change::Objects));
    assert_eq!(watch.apply(sync, Ok(Event::InitDone)), Some(Change::Restored));
    assert!(matches!(watch.apply(sync, Err(failed(500))), Some(Change::Lost(_))));
}

fn refused(verb: &str, code: u16) -> Box<Status> {
    let message = format!("User \"me\" cannot {verb} resource \"modelrefreshes\"");
    Box::new(Status { code, message, ..Status::default() })
}

#[test]
fn refused_watch_ends_with_its_cause() {
    let kind = Kind::ModelRefresh;
    let sentence = |change: Option<Change>| match change {
        Some(Change::Refused(failure)) => (failure.exit, failure.sentence),
        other => panic!("{other:?}"),
    };
    let list = watch().apply(kind, Err(watcher::Error::InitialListFailed(kube::Error::Api(refused("list", 403)))));
    assert_eq!(sentence(list), (Exit::Failure, "you may not list modelrefreshes in namespace bi: ask for the role view there".to_owned()));
    let mut watch = watch();
    let denied = || Err(watcher::Error::WatchStartFailed(kube::Error::Api(refused("watch", 403))));
    assert_eq!(watch.apply(kind, Ok(Event::InitDone)), Some(Change::Objects));
    // An API server that has just started.
    assert_eq!([watch.apply(kind, denied()), watch.apply(kind, denied())], [None, None]);
    assert_eq!(watch.apply(kind, Ok(Event::InitDone)), Some(Change::Objects));
    assert_eq!([watch.apply(kind, denied()), watch.apply(kind, denied())], [None, None]);
    let (exit, text) = sentence(watch.apply(kind, denied()));
    assert_eq!((exit, text.as_str()), (Exit::Failure, "you may not watch modelrefreshes in namespace bi: ask for the role view there"));
    let gone = watch.apply(Kind::ModelSync, Err(watcher::Error::WatchError(refused("watch", 404))));
    assert!(sentence(gone).1.starts_with("the CRDs are not installed in this cluster"));
}

#[tokio::test(start_paused = true)]
async fn expired_credentials_end_the_watch() {
    let kind = Kind::ModelRefresh;
    let rejected: fn() -> kube::Error = || kube::Error::Api(Box::new(Status { code: 401, ..Status::default() }));
    let login: fn() -> kube::Error = || kube::Error::Service(Box::new(AuthError::AuthExec("logged out".to_owned())));
    let rows = [
        (rejected, true, "the API server rejects the credentials of the kubeconfig: log in again"),
        (rejected, false, "the API server rejects the credentials of the kubeconfig: log in again"),
        (login, true, "failed to authenticate with the kubeconfig: failed exec auth: logged out; log in again"),
    ];
    for (error, is_listed, sentence) in rows {
        let expired = || Err(watcher::Error::WatchStartFailed(error()));
        let mut watch = watch();
        if is_listed {
            watch.apply(kind, Ok(Event::InitDone));
        }
        // An API server that has just started.
        for _ in 0..2 * MOST_REFUSALS {
            assert_eq!(watch.apply(kind, expired()), None);
            advance(Duration::from_secs(4)).await;
        }
        advance(LONGEST_REJECTION).await;
        let Some(Change::Refused(failure)) = watch.apply(kind, expired()) else { panic!("the watch continues") };
        assert_eq!(failure.sentence, sentence);
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_that_are_far_apart_do_not_end_the_watch() {
    let kind = Kind::ModelRefresh;
    for code in [401, 403] {
        let mut watch = watch();
        watch.apply(kind, Ok(Event::InitDone));
        // Without a change in between, a watch has no events.
        for _ in 0..2 * MOST_REFUSALS {
            let denied = watcher::Error::WatchStartFailed(kube::Error::Api(refused("watch", code)));
            assert_eq!(watch.apply(kind, Err(denied)), None, "{code}");
            advance(REFUSALS_APART + Duration::from_secs(1)).await;
        }
    }
}

#[test]
fn refused_kind_that_is_not_required_is_left_out() {
    let (refresh, sync, spec) = (Kind::ModelRefresh, Kind::ModelSync, json!({"model": {}}));
    let denied = || Err(watcher::Error::InitialListFailed(kube::Error::Api(refused("list", 403))));
    let mut watch = Watch { required: [refresh].into(), ..watch() };
    watch.apply(refresh, Ok(Event::Apply(object("orders", &spec))));
    watch.apply(sync, Ok(Event::Apply(object("replicas", &spec))));
    assert_eq!([watch.apply(sync, denied()), watch.apply(sync, denied())], [Some(Change::Objects), None]);
    assert!(watch.leaves_out() && names(&watch) == ["orders"]);
    // The permission is granted.
    watch.apply(sync, Ok(Event::Init));
    watch.apply(sync, Ok(Event::InitApply(object("replicas", &spec))));
    assert_eq!(watch.apply(sync, Ok(Event::InitDone)), Some(Change::Objects));
    assert!(!watch.leaves_out() && names(&watch) == ["orders", "msync/replicas"]);
    // A watch that is lost and then refused is lost no longer.
    assert!(matches!(watch.apply(sync, Err(failed(503))), Some(Change::Lost(_))));
    let changes = [watch.apply(sync, denied()), watch.apply(sync, denied()), watch.apply(sync, denied())];
    assert_eq!(changes, [None, None, Some(Change::Restored)]);
    assert!(matches!(watch.apply(refresh, denied()), Some(Change::Refused(_))));
}
