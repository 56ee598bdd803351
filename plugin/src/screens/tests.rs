//! The screens as texts.

use serde_json::{Value, json};
use tabular_operator::api::Kind;

use super::{change_line, change_text, get, history, history_run, needs_action, queue, status};
use crate::facts::{Visible, queues};
use crate::fixture::{NOW, at, condition, ended, object, object_with, refresh, run, text, view, visible};
use crate::objects::Object;
use crate::report::ResourceReport;

fn stalled(reason: &str, message: &str) -> Value {
    json!([condition("Stalled", "True", reason, message), condition("Ready", "False", reason, message)])
}

fn ready(status: &str, reason: &str, message: &str) -> Value {
    json!([condition("Ready", status, reason, message)])
}

/// Ten runs of `adventureworks`, 9 of them successful, 10m to 14m.
fn ten_runs() -> Value {
    let seconds = [723, 700, 720, 600, 0, 840, 725, 719, 721, 722];
    let entries = seconds.into_iter().enumerate().map(|(index, seconds)| {
        let number = 40 - i32::try_from(index).unwrap();
        let state = if seconds == 0 { "Failed" } else { "Succeeded" };
        ended(number, &format!("2026-11-{:02}T21:12:00Z", 28 - index), state, seconds, "")
    });
    entries.collect()
}

pub(super) fn running() -> Object {
    let run = run(
        "AdventureWorks",
        json!({
            "state": "Running", "reason": "Running", "submittedTime": "2026-11-29T21:00:03Z", "startedTime": "2026-11-29T21:00:00Z",
            "operationId": "1344a272-7893-4afa-a4b3-3fb87222fdac",
            "progress": {"summary": "6/12", "total": 12, "completed": 6, "failed": 0, "tableCount": 4, "tables": [
                {"name": "DimCustomer", "total": 4, "completed": 4, "startedTime": "2026-11-29T21:00:10Z", "endedTime": "2026-11-29T21:01:20Z"},
                {"name": "FactSales", "total": 6, "completed": 1, "startedTime": "2026-11-29T21:01:22Z"},
            ]},
        }),
    );
    let spec = json!({
        "trigger": {"schedule": "0 22 * * *", "timeZone": "Europe/Rome"}, "staleAfterSeconds": 93_600, "backoffLimit": 1,
    });
    let status = json!({
        "run": run, "history": ten_runs(), "conditions": ready("Unknown", "Running", "operation 1344a272 is running"),
        "lastSuccessfulTime": "2026-11-28T21:00:00Z", "nextScheduleTime": "2026-11-30T21:00:00Z", "model": "myserver/AdventureWorks",
    });
    refresh("adventureworks", "AdventureWorks", spec, status)
}

fn waiting(name: &str, kind: Kind, requested: &str) -> Object {
    let run = run(
        "AdventureWorks",
        json!({
            "number": 3, "state": "Waiting", "reason": "WaitingForTurn", "requestedTime": requested, "waitingSinceTime": requested,
            "waitingFor": "adventureworks",
        }),
    );
    let status = json!({
        "run": run, "conditions": ready("Unknown", "WaitingForTurn", "waits for its turn on the model, behind adventureworks"),
        "lastSuccessfulTime": "2026-11-28T21:00:00Z",
    });
    let spec =
        json!({"model": {"analysisServices": {"server": "asazure://westus.asazure.windows.net/myserver", "database": "AdventureWorks"}}});
    object(kind, name, spec, status)
}

pub(super) fn failed() -> Object {
    let run = run(
        "Inventory",
        json!({
            "number": 12, "state": "Failed", "reason": "RefreshFailed", "endedTime": "2026-11-29T04:07:10Z",
            "failedObjects": [{"table": "FactStock", "partition": "2026-11", "status": "failed"}, {"table": "DimItem", "status": "failed"}],
            "messages": [{"type": "Error", "code": "0xC1", "message": "Login failed\u{1b}[2J for \u{202e}user"}],
            "activityId": "7b2e", "trigger": {"type": "Request", "value": "2026-11-29T04:00:00.000000001Z late file from SAP"},
        }),
    );
    let message = "operation 5c1e failed: Login failed for user";
    let mut newest = ended(12, "2026-11-29T04:07:10Z", "Failed", 430, message);
    newest["reason"] = json!("RefreshFailed");
    newest["requestedTime"] = json!("2026-11-29T04:00:00Z");
    newest["startedTime"] = json!("2026-11-29T04:00:02Z");
    let history = json!([
        newest,
        ended(11, "2026-11-28T04:06:58Z", "Succeeded", 418, "operation 4 succeeded"),
        ended(10, "2026-11-27T04:06:58Z", "Succeeded", 420, ""),
        ended(9, "2026-11-26T04:06:58Z", "Succeeded", 400, ""),
    ]);
    let spec = json!({"staleAfterSeconds": 93_600, "trigger": {"schedule": "0 5 * * *", "timeZone": "Europe/Rome"}});
    let status = json!({
        "run": run, "history": history, "conditions": stalled("RefreshFailed", message), "lastSuccessfulTime": "2026-11-27T18:00:00Z",
        "nextScheduleTime": "2026-11-30T04:00:00Z",
    });
    refresh("inventory", "Inventory", spec, status)
}

fn blocked() -> Object {
    let run = run("Forecast", json!({"number": 1, "state": "Waiting", "reason": "SecretNotFound"}));
    let status = json!({"run": run, "conditions": stalled("SecretNotFound", "Secret bi/aas-sp not found")});
    refresh("forecast", "Forecast", json!({"staleAfterSeconds": 2_592_000}), status)
}

fn succeeded() -> Object {
    let warning = json!({"type": "Warning", "message": "w"});
    let run = run(
        "Orders",
        json!({"number": 87, "state": "Succeeded", "reason": "Succeeded", "endedTime": "2026-11-29T20:49:00Z", "messages": [warning, warning]}),
    );
    let status = json!({
        "run": run, "conditions": ready("True", "Succeeded", "operation 9 succeeded"), "lastSuccessfulTime": "2026-11-29T20:49:00Z",
        "nextScheduleTime": "2026-11-29T21:50:00Z",
    });
    refresh("sales-orders", "Orders", json!({"staleAfterSeconds": 7_200}), status)
}

pub(super) fn all() -> Vec<Object> {
    vec![
        succeeded(),
        running(),
        waiting("adventureworks-calculate", Kind::ModelRefresh, "2026-11-29T21:06:12Z"),
        waiting("adventureworks", Kind::ModelSync, "2026-11-29T21:08:12Z"),
        blocked(),
        failed(),
        refresh("new", "New", json!({}), json!({"observedGeneration": 1})),
        refresh("paused", "Paused", json!({"suspend": true}), json!({"conditions": ready("True", "Idle", "waiting for a trigger")})),
    ]
}

#[test]
fn get_lists_what_needs_action_first() {
    let objects = all();
    let expected = "
   NAMESPACE  NAME                      MODEL                    STATE      REASON          PROGRESS          LAST SUCCESS  FRESH        NEXT
!  bi         inventory                 myserver/Inventory       Failed     RefreshFailed                     2d3h ago      stale (26h)  05:00 (in 6h)
!  bi         forecast                  myserver/Forecast        Waiting    SecretNotFound                    never         ok (30d)
▶  bi         adventureworks            myserver/AdventureWorks  Running    Running         6/12, ~3m left    1d ago        ok (26h)     22:00 (in 23h)
…  bi         adventureworks-calculate  myserver/AdventureWorks  Waiting    WaitingForTurn  1st in the queue  1d ago
…  bi         msync/adventureworks      myserver/AdventureWorks  Waiting    WaitingForTurn  2nd in the queue  1d ago
…  bi         new                       myserver/New             Waiting                                      never
‖  bi         paused                    myserver/Paused          Suspended  Idle                              never
✓  bi         sales-orders              myserver/Orders          Succeeded  Succeeded       2 warnings        20m ago       ok (2h)      22:50 (in 40m)";
    assert_eq!(format!("\n{}", text(&get(visible(&objects), &objects, true, &view(None)))), expected);
    assert_eq!(needs_action(&objects, &view(None)).unwrap(), "2 need action: run `kubectl tabular why inventory -n bi`");
    assert_eq!(needs_action(&objects[..1], &view(None)), None);
}

#[test]
fn get_fits_narrow_terminal() {
    let objects = all();
    let queues = queues(visible(&objects));
    for width in [40, 60, 80, 100] {
        let view = view(Some(width));
        let tables = [
            get(visible(&objects), &objects, false, &view),
            get(visible(&objects), &objects, true, &view),
            history(&failed(), &view).into_iter().take(5).collect(),
            queue(&queues, true, &view),
        ];
        for table in tables {
            let table = text(&table);
            assert!(table.lines().all(|line| screen::width_of(line) < width), "{width}:\n{table}");
        }
    }
    let narrow = text(&get(visible(&objects), &objects, false, &view(Some(80))));
    let expected = "
   NAME    MODEL   STATE      REASON  PROGR…  LAST SUCC…  FRESH       NEXT
!  inven…  myser…  Failed     Refre…          2d3h ago    stale (26…  05:00 (i…
";
    assert!(format!("\n{narrow}").starts_with(expected), "{narrow}");
}

#[test]
fn position_is_left_out_if_others_can_be_ahead() {
    let objects = all();
    let partial = Visible { objects: &objects, is_complete: false };
    let table = text(&get(partial, &objects, false, &view(None)));
    assert!(table.contains("WaitingForTurn  in the queue    1d ago") && !table.contains("1st in the queue"), "{table}");
    let report = ResourceReport::new(&objects[2], &queues(partial), at(NOW));
    assert_eq!((report.position, ResourceReport::new(&objects[2], &queues(visible(&objects)), at(NOW)).position), (None, Some(1)));
}

#[test]
fn status_of_running_resource_shows_tables_and_queue() {
    let expected = "\
ModelRefresh bi/adventureworks   myserver/AdventureWorks (Analysis Services)
▶ Running for 9m12s, 6 of 12 objects. Usually 12m (9 runs: 10m to 14m), about 3m left
├─ run 41     by schedule, 22:00; submitted 22:00:03 after 3s; attempt 1 of 2
│  ├─ operation 1344a272-7893-4afa-a4b3-3fb87222fdac
│  ├─ DimCustomer  ████████████████████  4/4  1m10s
│  ├─ FactSales    ███░░░░░░░░░░░░░░░░░  1/6  7m50s ▶
│  └─ 2 more tables
├─ waiting    adventureworks-calculate (3m), msync/adventureworks (1m)
├─ next       schedule 0 22 * * * Europe/Rome, tomorrow 22:00; nothing queued
├─ last       ✓ run 40 yesterday 22:12, 12m03s; data 1d of 26h
└─ history    ▇▇▆▇█✗▆▇▆▇ 9 of 10 succeeded";
    assert_eq!(text(&status(&running(), visible(&all()), &view(None))), expected);
}

#[test]
fn status_of_waiting_resource_shows_the_chain() {
    let objects = all();
    let shown = text(&status(&objects[2], visible(&objects), &view(None)));
    let expected = "\
ModelRefresh bi/adventureworks-calculate   myserver/AdventureWorks (Analysis Services)
… Waiting for 3m00s: WaitingForTurn
├─ message    waits for its turn on the model, behind adventureworks
├─ run 3      by schedule, 22:00
├─ waiting    waiting for adventureworks (Running, ~3m left)
├─ next       on request or a change; nothing queued
└─ last       data 1d";
    assert_eq!(shown, expected);
    // What it waits for waits itself, for another client.
    let mut busy = waiting("first", Kind::ModelRefresh, "2026-11-29T21:00:00Z");
    busy.data["status"]["run"]["reason"] = json!("ModelBusy");
    let foreign = "refresh 13 of another client since 2026-11-29T20:40:00Z";
    busy.data["status"]["run"]["waitingFor"] = json!(foreign);
    let spec = busy.data["spec"].clone();
    let objects = [object(Kind::ModelRefresh, "first", spec, busy.data["status"].clone()), objects[2].clone()];
    let shown = text(&status(&objects[1], visible(&objects), &view(None)));
    assert!(shown.contains(&format!("waiting for first (Waiting) ← waiting for {foreign}")), "{shown}");
}

#[test]
fn status_of_failed_resource_shows_cause_as_plain_text() {
    let shown = text(&status(&failed(), visible(&all()), &view(None)));
    let expected = "\
ModelRefresh bi/inventory   myserver/Inventory (Analysis Services)
! Failed 17h ago: RefreshFailed
├─ message    operation 5c1e failed: Login failed for user
├─ run 12     on request: late file from SAP
├─ failed     FactStock/2026-11, DimItem
├─ messages   Error 0xC1: Login failed [2J for user
├─ activity   7b2e (for a support case)
├─ next       schedule 0 5 * * * Europe/Rome, tomorrow 05:00; nothing queued
├─ last       ✓ run 11 yesterday 05:06, 6m58s; data 2d3h of 26h, stale
└─ history    ▇█▇✗ 3 of 4 succeeded";
    assert_eq!(shown, expected);
}

#[test]
fn status_has_the_time_of_its_own_state() {
    let headline = |object: &Object| text(&status(object, visible(&all()), &view(None))).lines().nth(1).unwrap().to_owned();
    let with = |object: &Object, spec: Value, metadata: Value| {
        let (mut fields, mut head) = (object.data["spec"].clone(), json!({"name": "a", "namespace": "bi", "uid": "a"}));
        fields.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        head.as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
        object_with(Kind::ModelRefresh, &head, &fields, &object.data["status"])
    };
    let suspended = json!({"suspend": true});
    assert_eq!(headline(&with(&failed(), suspended.clone(), json!({}))), "‖ Suspended: RefreshFailed");
    let waits = waiting("a", Kind::ModelRefresh, "2026-11-29T21:06:12Z");
    assert_eq!(headline(&with(&waits, suspended.clone(), json!({}))), "‖ Suspended: WaitingForTurn");
    assert!(headline(&with(&running(), suspended, json!({}))).starts_with("▶ Running for 9m12s, 6 of 12 objects."));
    let deleting = json!({"deletionTimestamp": "2026-11-29T21:04:12Z", "finalizers": ["f"]});
    assert!(headline(&with(&running(), json!({}), deleting.clone())).starts_with("▶ Deleting for 5m00s, 6 of 12 objects: Running. "));
    let deleting = with(&failed(), json!({}), deleting);
    assert_eq!(headline(&deleting), "! Deleting for 5m00s: RefreshFailed");
    // No run follows.
    let shown = text(&status(&deleting, visible(&all()), &view(None)));
    assert!(!shown.contains("─ next"), "{shown}");
    let table = text(&get(visible(&[]), std::slice::from_ref(&deleting), false, &view(None)));
    assert!(table.contains("Deleting") && !table.contains("05:00"), "{table}");
}

#[test]
fn history_shows_ends_and_causes() {
    let expected = "\
RUN  ENDED             RESULT    DURATION  WAITED  TRIGGER   REASON
 12  today 05:07       ✗ Failed  7m10s     2s      Schedule  RefreshFailed: operation 5c1e failed: Login failed for user
 11  yesterday 05:06   ✓         6m58s             Schedule
 10  2026-11-27 05:06  ✓         7m00s             Schedule
  9  2026-11-26 05:06  ✓         6m40s             Schedule
▇█▇✗  usually 7m (3 runs: 7m to 7m) · failed in run 12: FactStock/2026-11, DimItem";
    assert_eq!(text(&history(&failed(), &view(None))), expected);
    let one = text(&history_run(&failed(), 12, &view(None)).unwrap());
    assert!(one.contains("reason     RefreshFailed") && one.contains("failed     FactStock/2026-11"), "{one}");
    assert_eq!(history_run(&failed(), 13, &view(None)), None);
}

#[test]
fn queue_shows_turns_and_what_is_not_visible() {
    let objects = all();
    let shown = |is_complete| text(&queue(&queues(Visible { objects: &objects, is_complete }), false, &view(None)));
    let expected = "\
MODEL                    TURN  RESOURCE                  STATE    ELAPSED  DETAIL
myserver/AdventureWorks  ▶     adventureworks            Running  9m12s    3m left
                         1     adventureworks-calculate  Waiting  3m       starts in 3m
                         2     msync/adventureworks      Waiting  1m";
    assert_eq!(shown(true), expected);
    let partial = "\
MODEL                    TURN  RESOURCE                  STATE    ELAPSED  DETAIL
myserver/AdventureWorks  ▶     adventureworks            Running  9m12s    3m left
                         …     adventureworks-calculate  Waiting  3m
                         …     msync/adventureworks      Waiting  1m
                         ?     (others)                                    not visible to you";
    assert_eq!(shown(false), partial);
}

#[test]
fn changes_are_one_line() {
    assert_eq!(change_line(at(NOW), None, &change_text(&running())), "2026-11-29T21:09:12Z Running 6/12");
    assert_eq!(
        change_line(at(NOW), Some("bi/inventory"), &change_text(&failed())),
        "2026-11-29T21:09:12Z bi/inventory Failed RefreshFailed"
    );
}
