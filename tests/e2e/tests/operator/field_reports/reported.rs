//! Reports of a service: error texts, limits of capacities and of callers, and error responses of the metadata service.

use jiff::{SignedDuration, Timestamp};

use super::*;

/// The message of the condition `Ready`.
fn ready_message(object: &AnyObject) -> &str {
    let conditions = object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let ready = conditions.iter().find(|condition| format!("{:?}", condition.r#type) == "Ready");
    ready.map_or("", |condition| condition.message.as_str())
}

/// A failed refresh of a semantic model with this `serviceExceptionJson`.
async fn failed_with(world: &World, name: &str, exception: &Value) -> AnyObject {
    let settings = json!({
        "outcome": "failed", "durationMillis": 300,
        "rowPatch": {"serviceExceptionJson": exception},
        "detailPatch": {"messages": null, "refreshAttempts": null, "serviceExceptionJson": exception},
    });
    let (_, spec, _) = semantic_model(world, &settings).await;
    world.apply(name, &spec).await;
    world.until_state(name, RunState::Failed).await
}

// ---- every error text reaches the user, in any shape ----

#[tokio::test]
async fn exceptions_of_every_shape_are_reported() {
    let (world, _operator) = World::running("exceptions", TestSetup::default()).await;
    let world = &world;
    let sentence = "The column 'Region' was not found.";
    let wrapped = json!({"error": {"code": "DM_GWPipeline", "pbi.error": {
        "code": "DM_GWPipeline", "parameters": {}, "exceptionCulprit": 1,
        "details": [{"code": "DM_ErrorDetailNameCode", "detail": {"type": 1, "value": sentence}}],
    }}});
    let cases = [
        ("code-alone", r#"{"error":{"code":"Premium_ASWL_Error"}}"#.to_owned(), "Premium_ASWL_Error"),
        ("plain", "boom".to_owned(), "boom"),
        ("bare-code", "ModelRefreshFailed_CredentialsNotSpecified".to_owned(), "ModelRefreshFailed_CredentialsNotSpecified"),
        ("long", json!({"errorCode": "Broken", "errorDescription": format!("{sentence} {}", "x".repeat(9_000))}).to_string(), sentence),
        ("wrapped", wrapped.to_string(), sentence),
        ("message", json!({"error": {"code": "A", "message": sentence}}).to_string(), sentence),
        ("details", json!({"error": {"code": "A", "details": [{"code": "B", "message": sentence}]}}).to_string(), sentence),
    ];
    each(cases.map(async |(name, exception, wanted)| {
        let failed = failed_with(world, name, &exception.into()).await;
        let run = run(&failed);
        let shown = |message: &str, code: Option<&str>| message.contains(wanted) || code.is_some_and(|code| code.contains(wanted));
        assert!(run.messages.iter().any(|message| shown(&message.message, message.code.as_deref())), "{name}: {:?}", run.messages);
        assert!(ready_message(&failed).contains(wanted), "{name}: {}", ready_message(&failed));
    }))
    .await;
    world.assert_kstatus();
}

#[tokio::test]
async fn unknown_refusal_is_quoted_and_wait_ends() {
    let (world, _operator) = World::running("refusals", TestSetup::default()).await;
    let world = &world;
    let sentence = "Der Vorgang ist nicht möglich.";
    let detail = json!({"code": "B", "detail": {"type": 1, "value": sentence}});
    let cases = [
        ("message", json!({"error": {"code": "SomethingNew", "message": sentence}})),
        ("details", json!({"error": {"code": "SomethingNew", "details": [{"code": "B", "message": sentence}]}})),
        ("pbi-error", json!({"error": {"code": "A", "pbi.error": {"code": "A", "details": [detail]}}})),
        ("upper-case", json!({"Message": sentence})),
        ("lower-case", json!({"message": sentence})),
        ("plain", json!(sentence)),
    ];
    each(cases.map(async |(name, body)| {
        // Another client refreshed the model today, so its quota may be exhausted.
        let times = json!({"startTime": "{now-2h}", "endTime": "{now-1h}"});
        let row = merged(&times, &json!({"requestId": theirs(), "refreshType": "ViaApi", "status": "Completed"}));
        let (model, spec, _) = semantic_model(world, &json!({"rows": ["{own}", row]})).await;
        world.azure.fault_at(&model, "POST", "refreshes", json!({"times": 0, "action": {"status": {"code": 400, "body": body}}})).await;
        world.apply(name, &merged(&spec, &json!({"waitDeadlineSeconds": 12}))).await;
        let fits = |object: &AnyObject| run_state(object).is_some_and(RunState::ended) || has_reason(object, &["QuotaExceeded"]);
        world.until(name, "an end", fits).await;
        let shown = messages(world, name);
        assert!(shown.iter().any(|message| message.contains(sentence)), "{name}: {shown:#?}");
        assert!(
            !shown.iter().any(|message| message.contains("24 h") || message.contains("24-hour") || message.contains("quota")),
            "{name}: {shown:#?}"
        );
        world.until(name, "an end", |object| run_state(object).is_some_and(RunState::ended)).await;
        assert!(world.azure.refreshes(&model).await.is_empty());
    }))
    .await;
}

#[tokio::test]
async fn quota_wait_ends_at_deadline() {
    let (world, _operator) = World::running("quota-deadline", TestSetup::default()).await;
    let (model, spec, _) = semantic_model(&world, &json!({"powerBI": {"dailyLimit": 0}})).await;
    world.apply("orders", &merged(&spec, &json!({"waitDeadlineSeconds": 12}))).await;
    world.until("orders", "QuotaExceeded", |object| has_reason(object, &["QuotaExceeded"])).await;
    let ended = world.until("orders", "an end", |object| run_state(object).is_some_and(RunState::ended)).await;
    assert_eq!(run(&ended).reason, "WaitDeadlineExceeded");
    assert!(world.azure.refreshes(&model).await.is_empty());
}

// ---- causes come before consequences ----

#[tokio::test]
async fn cause_of_failed_transaction_is_shown_first() {
    let consequence = json!({
        "code": "0xC11C0006", "type": "Error",
        "message": "The current operation was cancelled because another operation in the transaction failed.",
    });
    let cause = json!({"code": "0xC112001C", "message": "Login failed for user.", "type": "Error"});
    let mut shown = vec![consequence; 11];
    shown.push(cause);
    let setup = TestSetup::with_model(json!({"outcome": "failed", "messages": shown}));
    let (world, _operator) = World::running("cause", setup).await;
    world.apply("orders", &json!({})).await;
    let failed = world.until_state("orders", RunState::Failed).await;
    let messages = &run(&failed).messages;
    assert!(ready_message(&failed).contains("Login failed for user"), "{}", ready_message(&failed));
    assert!(messages[0].message.contains("Login failed for user"), "{messages:?}");
    assert_eq!(messages.iter().filter(|message| message.message.contains("another operation")).count(), 1, "{messages:?}");
    world.assert_kstatus();
}

// ---- a capacity limit is neither the caller's throttle nor the daily quota ----

#[tokio::test]
async fn capacity_limit_delays_no_other_capacity() {
    let (world, _operator) = World::running("capacity", TestSetup::default()).await;
    let world = &world;
    let sentence = "Cannot complete the action because your organization's capacity has exceeded its limits. Try again later.";
    let older =
        "You've exceeded the capacity limit for semantic model refreshes. Try again when fewer semantic models are being processed.";
    let cases = [
        ("limit", json!({"code": 429, "body": {"error": {"code": "CapacityLimitExceeded", "message": sentence}}})),
        ("bare", json!({"code": 429, "body": {"code": "CapacityLimitExceeded", "message": sentence}})),
        ("text", json!({"code": 400, "body": {"error": {"code": "InvalidRequest", "message": older}}})),
        ("header", json!({"code": 429, "headers": {"x-ms-error-code": "RejectedDueToResourceConstraints"}})),
        ("unavailable", json!({"code": 503, "headers": {"x-ms-error-code": "RejectedDueToResourceConstraints"}})),
    ];
    each(cases.map(async |(name, refusal)| {
        let (model, spec, _) = semantic_model(world, &json!({})).await;
        world.azure.fault_at(&model, "POST", "refreshes", json!({"times": 0, "action": {"status": refusal}})).await;
        world.apply(name, &merged(&spec, &json!({"waitDeadlineSeconds": 12}))).await;
        let fits = |object: &AnyObject| has_reason(object, &["CapacityExceeded"]) || run_state(object).is_some_and(RunState::ended);
        let waits = world.until(name, "CapacityExceeded", fits).await;
        assert_eq!((run(&waits).reason.as_str(), run(&waits).state), ("CapacityExceeded", RunState::Waiting), "{name}");
        let (other, spec, _) = semantic_model(world, &json!({})).await;
        let free = format!("{name}-free");
        world.apply(&free, &spec).await;
        world.until_state(&free, RunState::Succeeded).await;
        let ended = world.until(name, "an end", |object| run_state(object).is_some_and(RunState::ended)).await;
        assert_eq!((run(&ended).state, run(&ended).reason.as_str()), (RunState::TimedOut, "WaitDeadlineExceeded"), "{name}");
        assert_eq!((world.azure.refreshes(&model).await.len(), world.azure.refreshes(&other).await.len()), (0, 1));
    }))
    .await;
    world.assert_kstatus();
}

// ---- 404 does not always mean "not found" ----

#[tokio::test]
async fn missing_owner_is_reported_with_remedy() {
    let (world, _operator) = World::running("owner", TestSetup::default()).await;
    let (model, spec, _) = semantic_model(&world, &json!({})).await;
    let code = "DMTS_UserNotFoundInADGraphError";
    let body = json!({"error": {"code": code, "pbi.error": {"code": code, "parameters": {}, "details": [], "exceptionCulprit": 1}}});
    world.azure.fault_at(&model, "POST", "refreshes", json!({"times": 0, "action": {"status": {"code": 404, "body": body}}})).await;
    world.apply("orders", &spec).await;
    let message = world.until("orders", "the code", |object| ready_message(object).contains(code)).await;
    let message = ready_message(&message).to_lowercase();
    assert!(["take over", "take-over", "takeover"].iter().any(|remedy| message.contains(remedy)), "{message}");
    assert!(!message.contains("check the ids"), "{message}");
}

// ---- a throttle applies to an identity and a kind of API ----

#[tokio::test]
async fn catalog_throttle_delays_no_poll_or_delete() {
    const SECONDS: i64 = 3_392;
    let (world, _operator) = World::running("throttle", TestSetup::default()).await;
    let (running, by_ids, _) = semantic_model(&world, &json!({"durationMillis": 600_000})).await;
    world.apply("running", &by_ids).await;
    world.until_state("running", RunState::Running).await;
    let text = format!(
        "You have exceeded the amount of requests allowed in the current time frame and further requests will fail. Retry in {SECONDS} seconds."
    );
    let throttle = json!({"code": 429, "headers": {"Retry-After": SECONDS.to_string()}, "body": {"message": text}});
    let groups = json!({"route": "groups", "clientId": world.client_id});
    let fault = world.azure.fault(json!({"match": groups, "times": 0, "action": {"status": throttle}})).await;
    let (_, _, by_names) = semantic_model(&world, &json!({})).await;
    let before = Timestamp::now();
    world.apply("named", &by_names).await;
    fault.has_hit(1).await;
    let until = |at: Timestamp| at.checked_add(SignedDuration::from_secs(SECONDS)).unwrap().strftime("%H:%M").to_string();
    let waits = world.until("named", "its wait", |object| has_reason(object, &["Retrying", "Throttled"])).await;
    let (earliest, latest) = (until(before), until(Timestamp::now()));
    let polls = world.azure.count_of(&running, "GET", "refresh").await;
    eventually("further polls", async || (world.azure.count_of(&running, "GET", "refresh").await > polls + 1).then_some(())).await;
    world.delete("running").await;
    world.until_gone("running").await;
    assert_eq!(world.azure.refreshes(&running).await[0].status, "cancelled");
    assert_eq!(fault.hits().await, 1, "the catalog is not called again");
    assert!([earliest, latest].iter().any(|time| ready_message(&waits).contains(time)), "{}", ready_message(&waits));
}

// ---- the metadata service's 400 responses ----

#[tokio::test]
async fn metadata_service_errors_are_distinguished() {
    let world = World::with("imds", TestSetup::default()).await;
    let mut settings = world.operator_settings().clone();
    settings.arguments.push(format!("--operator-identity-namespace={}", world.namespace));
    let mut operator = Operator::start(&settings, world.environment.guard());
    operator.ready().await;
    let client = || json!({"clientId": uuid::Uuid::new_v4().to_string()});
    let unknown = "AADSTS500011: The resource principal named https://*.asazure.windows.net was not found in the tenant named Contoso.";
    // The expected words of the message, and those that would mislead the user.
    let cases = [
        ("resource", client(), "invalid_resource", unknown, ["aadsts500011", "tenant"], "assign it"),
        ("header", client(), "invalid_request", "Required metadata header not specified", ["header", "metadata"], "assign it"),
        ("identity", client(), "invalid_request", "Identity not found", ["identity", "clientid"], "header"),
    ];
    // A request without a client id is shared by all tests, so that error is not included.
    for (_, identity, error, description, ..) in &cases {
        let matched = json!({"route": "imds", "path": identity["clientId"]});
        let body = json!({"error": error, "error_description": description});
        world.azure.fault(json!({"match": matched, "times": 0, "action": {"status": {"code": 400, "body": body}}})).await;
    }
    each(cases.map(async |(name, identity, _, _, wanted, misleading_words)| {
        world.apply(name, &json!({"credentials": {"servicePrincipalRef": null, "managedIdentity": identity}})).await;
        let fits = |object: &AnyObject| has_reason(object, &["CredentialsRefused", "Retrying", "AccessDenied"]);
        let refused = world.until(name, "the refusal", fits).await;
        let message = ready_message(&refused).to_lowercase();
        // "client id" or `clientId`.
        let joined = message.replace("client id", "clientid");
        assert!(wanted.iter().all(|word| joined.contains(word)), "{name}: {message}");
        assert!(!message.contains(misleading_words), "{name}: {message}");
    }))
    .await;
    world.assert_kstatus();
}
