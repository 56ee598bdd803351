//! Resolution of names to ids, with pages and all kinds of responses.

use super::fake_azure::{DATASET, FakeAzure, GROUP, OTHER_HOST, POWER_BI, Reply, power_bi_named, power_bi_of, reply};
use crate::azure::identity::{FieldNames, Identity};
use crate::azure::power_bi::ModelName;
use crate::operation::{CallKind, ModelExistence, ModelIds, ModelLookup, OperationKind, Request, ServiceErrorKind, SubmitResult};

const OTHER: &str = "11111111-1111-4111-8111-111111111111";

fn list(rows: &[(&str, &str)], next: Option<&str>) -> String {
    let rows: Vec<_> = rows.iter().map(|(id, name)| serde_json::json!({"id": id, "name": name, "isRefreshable": true})).collect();
    serde_json::json!({"@odata.context": "x", "value": rows, "@odata.nextLink": next}).to_string()
}

async fn resolve(response: impl Fn(&str) -> Option<Reply> + Send + Sync + 'static) -> (ModelLookup, FakeAzure) {
    let fake = FakeAzure::new(move |request| response(request.line.strip_prefix(&format!("GET {POWER_BI}/v1.0/myorg/groups"))?)).await;
    let name = ModelName::by_names("Sales & O'Brien", "Orders").unwrap();
    let call = power_bi_named(&fake.azure(fake.with_short_timeout()), name).prepare().await.unwrap();
    (call.resolve().await, fake)
}

const FILTER: &str = "?$filter=name%20eq%20%27Sales%20%26%20O%27%27Brien%27";

fn datasets() -> String {
    format!("/{GROUP}/datasets")
}

#[tokio::test]
async fn names_are_resolved_over_pages() {
    let (found, fake) = resolve(|rest| match rest {
        FILTER => Some(reply(200, &[], &list(&[(&GROUP.to_uppercase(), "Sales & O'Brien")], None))),
        rest if rest == datasets() => {
            let next = format!("https://{POWER_BI}/v1.0/myorg/groups/{GROUP}/datasets?$skip=1");
            Some(reply(200, &[], &list(&[(OTHER, "Others")], Some(&next))))
        }
        rest if rest == format!("{}?$skip=1", datasets()) => Some(reply(200, &[], &list(&[(DATASET, "orders")], None))),
        _ => None,
    })
    .await;
    assert_eq!(found, ModelLookup::Found(ModelIds { group_id: GROUP.to_owned(), dataset_id: DATASET.to_owned() }));
    assert_eq!(fake.count("GET "), 3);
}

#[tokio::test]
async fn missing_and_ambiguous_names_are_explained() {
    let (none, _stage) = resolve(|_| Some(reply(200, &[], &list(&[], None)))).await;
    assert!(matches!(&none, ModelLookup::Ambiguous(why) if why.contains("no workspace named \"Sales & O'Brien\"")), "{none:?}");
    // A service that ignores the filter is supported too.
    let (two, _stage) = resolve(|rest| {
        let groups = list(&[(GROUP, "Sales & O'Brien"), (OTHER, "Other")], None);
        let datasets = list(&[(DATASET, "Orders"), (OTHER, "Orders")], None);
        Some(reply(200, &[], if rest == FILTER { &groups } else { &datasets }))
    })
    .await;
    assert!(matches!(&two, ModelLookup::Ambiguous(why) if why.starts_with("2 semantic models are named \"Orders\"")), "{two:?}");
}

#[tokio::test]
async fn similar_names_are_shown_with_their_difference() {
    let workspaces = [
        ("Sales  & O'Brien", "\"Sales[U+0020][U+0020]& O'Brien\" is, which differs"),
        ("Sales & O'Brien ", "\"Sales & O'Brien[U+0020]\" is, which differs"),
        ("Sales &\u{a0}O'Brien", "\"Sales &[U+00A0]O'Brien\" is, which differs"),
        ("Sales & \u{200b}O'Brien", "\"Sales & [U+200B]O'Brien\" is, which differs"),
        ("SALES & O'BRIEN", "\"SALES & O'BRIEN\" is, which differs"),
    ];
    for (name, shown) in workspaces {
        let (result, fake) = resolve(move |rest| match rest {
            FILTER => Some(reply(200, &[], &list(&[], None))),
            "" => Some(reply(200, &[], &list(&[(OTHER, "Other"), (GROUP, name)], None))),
            _ => None,
        })
        .await;
        let ModelLookup::Ambiguous(why) = &result else { panic!("{name:?}: {result:?}") };
        assert!(why.starts_with("no workspace named \"Sales & O'Brien\" is visible") && why.contains(shown), "{why}");
        assert_eq!(fake.count("GET "), 2, "{name:?}");
    }
    for (name, shown) in [("Orders\u{ad}", "\"Orders[U+00AD]\""), ("Order s", "\"Order s\"")] {
        let (result, fake) = resolve(move |rest| {
            let (groups, datasets) = (list(&[(GROUP, "Sales & O'Brien")], None), list(&[(OTHER, "Other"), (DATASET, name)], None));
            Some(reply(200, &[], if rest == FILTER { &groups } else { &datasets }))
        })
        .await;
        let ModelLookup::Ambiguous(why) = &result else { panic!("{name:?}: {result:?}") };
        assert!(why.starts_with("no semantic model named \"Orders\" is visible") && why.contains(shown), "{why}");
        assert_eq!(fake.count("GET "), 2, "{name:?}");
    }
    // The name itself takes precedence over a similar one.
    let (result, _stage) = resolve(|rest| {
        let (groups, datasets) = (list(&[(GROUP, "Sales & O'Brien")], None), list(&[(OTHER, "Orders\u{ad}"), (DATASET, "orders")], None));
        Some(reply(200, &[], if rest == FILTER { &groups } else { &datasets }))
    })
    .await;
    assert_eq!(result, ModelLookup::Found(ModelIds { group_id: GROUP.to_owned(), dataset_id: DATASET.to_owned() }));
    // Without a list of all workspaces, the message is only less precise.
    for status in [403, 429, 503] {
        let (result, _stage) = resolve(move |rest| {
            Some(if rest == FILTER { reply(200, &[], &list(&[], None)) } else { reply(status, &[("retry-after", "1")], "") })
        })
        .await;
        let ModelLookup::Ambiguous(why) = &result else { panic!("{status}: {result:?}") };
        assert!(why.starts_with("no workspace named \"Sales & O'Brien\" is visible to this identity: check the name"), "{why}");
    }
}

#[tokio::test]
async fn invalid_list_of_names_is_an_error_and_sends_no_token() {
    let other_host = list(&[], Some(&format!("https://{OTHER_HOST}/v1.0/myorg/groups?$skip=1")));
    let rows = [
        (200, String::new(), ServiceErrorKind::InvalidResponse),
        (200, "<html>".to_owned(), ServiceErrorKind::InvalidResponse),
        (200, "{}".to_owned(), ServiceErrorKind::InvalidResponse),
        (200, r#"{"value":[{"id":"#.to_owned(), ServiceErrorKind::InvalidResponse),
        (200, format!(r#"{{"value":{}"#, "[".repeat(100_000)), ServiceErrorKind::InvalidResponse),
        (200, other_host, ServiceErrorKind::InvalidResponse),
        (401, String::new(), ServiceErrorKind::AccessDenied),
        (404, String::new(), ServiceErrorKind::NotFound),
        (503, String::new(), ServiceErrorKind::ServerError),
    ];
    for (status, body, expected) in rows {
        let shown = body.chars().take(80).collect::<String>();
        let (result, fake) = resolve(move |_| Some(reply(status, &[], &body))).await;
        assert!(matches!(&result, ModelLookup::Failed(error) if error.kind == expected), "{status} {shown}: {result:?}");
        assert_eq!(fake.count(&format!("GET {OTHER_HOST}")), 0);
    }
    let (result, fake) = resolve(|_| Some(reply(302, &[("location", &format!("https://{OTHER_HOST}/x"))], ""))).await;
    assert!(matches!(&result, ModelLookup::Failed(error) if error.kind == ServiceErrorKind::InvalidResponse), "{result:?}");
    assert_eq!(fake.count(&format!("GET {OTHER_HOST}")), 0);
}

#[tokio::test]
async fn throttled_resolution_delays_no_poll_or_cancellation() {
    let fake = FakeAzure::new(|request| {
        let groups = format!("GET {POWER_BI}/v1.0/myorg/groups?");
        request.line.starts_with(&groups).then(|| reply(429, &[("retry-after", "3392")], r#"{"message":"Retry in 3392 seconds."}"#))
    })
    .await;
    let azure = fake.azure(fake.settings());
    let named = power_bi_named(&azure, ModelName::by_names("Sales", "Orders").unwrap());
    let ModelLookup::Failed(error) = named.prepare_for(CallKind::Resolve).await.unwrap().resolve().await else { panic!() };
    assert_eq!(error.kind, ServiceErrorKind::Throttled);
    let until = error.message.split("the operator waits until ").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
    let until: jiff::Timestamp = until.parse().unwrap();
    assert!((3_380..=3_393).contains(&until.duration_since(jiff::Timestamp::now()).as_secs()), "{until}");
    for _ in 0..3 {
        let again = named.prepare_for(CallKind::Resolve).await.unwrap_err();
        assert_eq!((again.kind, &again.message), (error.kind, &error.message), "the message stays the same");
    }
    assert_eq!(fake.count("GET "), 1);
    for kind in [OperationKind::Refresh, OperationKind::Sync] {
        power_bi_of(&azure).prepare_for(CallKind::Poll(kind)).await.unwrap();
        power_bi_of(&azure).prepare_for(CallKind::Submit(kind)).await.unwrap();
    }
    power_bi_of(&azure).prepare_for(CallKind::Cancel).await.unwrap();
}

#[tokio::test]
async fn lists_are_bounded_in_pages_and_size() {
    let (result, fake) = resolve(|rest| Some(reply(200, &[], &list(&[], Some(&format!("{}x", rest.replace("?$filter", "?x"))))))).await;
    assert!(
        matches!(&result, ModelLookup::Ambiguous(why) if why.contains("groupId and datasetId"))
            || matches!(&result, ModelLookup::Failed(_)),
        "{result:?}"
    );
    assert!(fake.count("GET ") <= 20);
    let (result, _stage) = resolve(|_| {
        let row = format!(r#"{{"id":"{OTHER}","name":"x"}},"#).repeat(1000);
        Some(Reply::WriteEndlessly("HTTP/1.1 200 X\r\nconnection: close\r\n\r\n{\"value\":[".to_owned(), row))
    })
    .await;
    assert!(matches!(&result, ModelLookup::Failed(error) if error.kind == ServiceErrorKind::InvalidResponse), "{result:?}");
}

#[tokio::test]
async fn ids_need_no_resolution_and_names_have_no_url() {
    let fake = FakeAzure::new(|_| None).await;
    let azure = fake.azure(fake.settings());
    let ids = ModelIds { group_id: GROUP.to_owned(), dataset_id: DATASET.to_owned() };
    assert_eq!(power_bi_of(&azure).prepare().await.unwrap().resolve().await, ModelLookup::Found(ids));
    let named = power_bi_named(&azure, ModelName::by_names("Sales", "Orders").unwrap());
    let submission = named.prepare().await.unwrap().submit(&Request::Sync).await;
    assert!(matches!(submission, SubmitResult::NotStarted(_)), "{submission:?}");
    assert_eq!(fake.count("GET ") + fake.count(&format!("POST {POWER_BI}")), 0);
    let mut settings = fake.settings();
    settings.cloud.power_bi = None;
    let name = ModelName::by_ids(GROUP, DATASET).unwrap();
    let identity = Identity::service_principal_secret(GROUP, GROUP, "x", FieldNames::SECRET_KEYS).unwrap();
    let message = fake.azure(settings).power_bi(name, identity, "bi").unwrap_err();
    assert_eq!(message, "the operator's cloud (public) has no Power BI");
}

async fn find(
    model: impl Fn(&FakeAzure) -> crate::azure::ModelClient,
    response: impl Fn(&str) -> Option<Reply> + Send + Sync + 'static,
) -> (ModelExistence, FakeAzure) {
    let fake = FakeAzure::new(move |request| response(request.line.strip_prefix("GET ")?)).await;
    let call = model(&fake).prepare_for(CallKind::Resolve).await.unwrap();
    (call.find_model().await, fake)
}

#[tokio::test]
async fn workspace_list_distinguishes_deletion_from_lost_access() {
    let model = |fake: &FakeAzure| power_bi_of(&fake.azure(fake.with_short_timeout()));
    let datasets = format!("{POWER_BI}/v1.0/myorg/groups/{GROUP}/datasets");
    let page = |rows: &[(&str, &str)], next: Option<&str>| list(rows, next);
    let (here, there) = (page(&[(OTHER, "Orders"), (&DATASET.to_uppercase(), "")], None), page(&[(OTHER, "Orders")], None));
    let (empty, next) = (page(&[], None), page(&[(OTHER, "Orders")], Some(&format!("https://{datasets}?$skip=1"))));
    for (first, second, expected) in [
        (here.clone(), String::new(), Some(ModelExistence::Exists)),
        (there, String::new(), Some(ModelExistence::Absent)),
        (empty, String::new(), Some(ModelExistence::Absent)),
        (next.clone(), here, Some(ModelExistence::Exists)),
        // The second page is not a list.
        (next, String::new(), None),
        ("{}".to_owned(), String::new(), None),
    ] {
        let of = datasets.clone();
        let (result, _stage) = find(model, move |rest| Some(reply(200, &[], if rest == of { &first } else { &second }))).await;
        match expected {
            Some(expected) => assert_eq!(result, expected),
            None => {
                assert!(matches!(&result, ModelExistence::Failed(error) if error.kind == ServiceErrorKind::InvalidResponse), "{result:?}");
            }
        }
    }
    for (status, kind) in [
        (401, ServiceErrorKind::AccessDenied),
        (403, ServiceErrorKind::AccessDenied),
        (404, ServiceErrorKind::NotFound),
        (503, ServiceErrorKind::ServerError),
    ] {
        let (result, _stage) = find(model, move |rest| rest.ends_with("/datasets").then(|| reply(status, &[], ""))).await;
        assert!(matches!(&result, ModelExistence::Failed(error) if error.kind == kind), "{status}: {result:?}");
    }
}

#[tokio::test]
async fn database_is_gone_only_if_its_server_reports_it() {
    let model = |fake: &FakeAzure| fake.model();
    let code = |code: &str| format!(r#"{{"code":"{code}","message":"m"}}"#);
    for (status, body, expected) in [
        (200, "[]".to_owned(), Some(ModelExistence::Exists)),
        (404, code("DatabaseNotFound"), Some(ModelExistence::Absent)),
        (404, code("ModelNotFound"), Some(ModelExistence::Absent)),
        (404, code("ServerNotFound"), None),
        (404, String::new(), None),
        (404, "NotFound".to_owned(), None),
        (404, "DatabaseNotFound".to_owned(), None),
        (400, code("Unauthorized"), None),
        (403, code("Forbidden"), None),
        (404, "<html>".to_owned(), None),
        (500, code("InternalError"), None),
    ] {
        let shown = body.clone();
        let (result, _stage) = find(model, move |rest| rest.ends_with("/refreshes").then(|| reply(status, &[], &body))).await;
        match expected {
            Some(expected) => assert_eq!(result, expected, "{status} {shown}"),
            None => assert!(matches!(result, ModelExistence::Failed(_)), "{status} {shown}: {result:?}"),
        }
    }
}
