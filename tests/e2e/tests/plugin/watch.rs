//! Watching, in a terminal and without one: a block that is redrawn in every size, or one line for each change, until Ctrl-C.

use e2e::world::{merged, run};
use e2e::{ApiProxy, TestSetup, World};
use kube::Api;
use kube::api::{Patch, PatchParams};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tabular_operator::api::RunState;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader, Lines};
use tokio::time::timeout;

use crate::plugin::{Plugin, Role};
use crate::terminal::{Ended, Terminal, fits};

/// What is printed before each frame but the first. A command handles Ctrl-C from then on.
pub const REDRAWN: &str = "\u{1b}[0J";
const WIDE: u16 = 200;
const NARROW: u16 = 60;

/// Records a status, as the operator does.
pub async fn record(world: &World, named: &str, status: &Value) {
    let (kind, name) = e2e::Kind::of(named);
    let api: Api<e2e::AnyObject> = world.api(kind);
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(json!({"status": status}))).await.unwrap();
}

/// A status with a run in this state.
pub fn in_state(state: &str) -> Value {
    let now = jiff::Timestamp::now().strftime("%FT%TZ").to_string();
    let condition = json!({
        "type": "Ready", "status": "Unknown", "reason": "Running", "message": "", "observedGeneration": 1, "lastTransitionTime": now,
    });
    json!({
        "observedGeneration": 1,
        "conditions": [condition],
        "run": {
            "number": 1, "attempt": 1, "state": state, "requestDigest": "d", "trigger": {"type": "Creation", "value": ""},
            "model": {"analysisServices": {"server": "asazure://westus.asazure.windows.net/s", "database": "d"}},
            "requestedTime": now, "submittedTime": now, "startedTime": now,
        },
    })
}

/// Whether these lines are one complete frame of `status`, and nothing else, in a terminal of this many columns. In a wide one, no line is
/// truncated to a narrow one.
fn is_status(lines: &[String], resource: &str, columns: u16) -> bool {
    let [title, _, rows @ ..] = lines else { return false };
    let is_wide = |line: &String| !fits(std::slice::from_ref(line), NARROW);
    let is_row = |line: &String| ["├─ ", "│  ", "└─ ", "   "].iter().any(|start| line.starts_with(start));
    let is_complete = rows.iter().all(is_row) && rows.iter().filter(|line| line.starts_with("└─ ")).count() == 1;
    title.starts_with(&format!("ModelRefresh {resource}")) && is_complete && fits(lines, columns) && is_wide(title) == (columns > NARROW)
}

/// Whether these lines are one complete table of these resources, and nothing else, in a terminal of this many columns.
fn is_table(lines: &[String], names: &[String], columns: u16) -> bool {
    let [heading, rows @ ..] = lines else { return false };
    let is_wide = !fits(std::slice::from_ref(heading), NARROW);
    let found = rows.iter().filter_map(|row| row.split_whitespace().nth(1));
    heading.contains("NAME") && fits(lines, columns) && is_wide == (columns > NARROW) && found.eq(names)
}

#[track_caller]
fn assert_left_in_order(ended: &Ended) {
    assert_eq!((ended.code, ended.cursor), (0, Some(0)), "the prompt follows below the last frame: {ended:#?}");
}

#[tokio::test]
async fn status_fits_a_terminal_that_is_resized_during_the_run() {
    let setup = TestSetup::with_model(json!({"durationMillis": 600_000}));
    let (world, _operator) = World::running("terminal-status", setup).await;
    let plugin = Plugin::new(&world, Role::View).await;
    world.apply("orders", &json!({})).await;
    let running = world.until_state("orders", RunState::Running).await;
    let orders = format!("{}/orders", world.namespace);
    let mut terminal = Terminal::start(&plugin, "status orders -w", (WIDE, 24));
    for columns in [WIDE, NARROW, WIDE, NARROW] {
        terminal.resize((columns, 24)).await;
        let lines = terminal.until("frame of the new width", |lines| is_status(lines, &orders, columns)).await;
        assert!(lines[1].contains("Running"), "{lines:#?}");
    }
    world.azure.end(run(&running).operation_id.as_deref().unwrap(), "succeeded").await;
    terminal.until("success", |lines| is_status(lines, &orders, NARROW) && lines[1].starts_with('✓')).await;
    terminal.interrupt().await;
    let ended = terminal.end().await;
    assert!(is_status(&ended.lines, &orders, NARROW) && ended.lines[1].starts_with('✓'), "{ended:#?}");
    assert_left_in_order(&ended);
    plugin.requests(&world);
}

#[tokio::test]
async fn list_fits_a_terminal_that_is_resized() {
    let world = World::new("terminal-get").await;
    let plugin = Plugin::new(&world, Role::View).await;
    let mut names: Vec<String> = (1..=8).map(|number| format!("r{number}")).collect();
    for name in &names {
        world.apply(name, &json!({})).await;
        record(&world, name, &in_state("Running")).await;
    }
    let mut terminal = Terminal::start(&plugin, "get -w", (WIDE, 24));
    for columns in [WIDE, NARROW, WIDE] {
        terminal.resize((columns, 24)).await;
        terminal.until("table of the new width", |lines| is_table(lines, &names, columns)).await;
    }
    world.delete("r1").await;
    names.remove(0);
    terminal.until("table without the deleted resource", |lines| is_table(lines, &names, WIDE)).await;
    terminal.interrupt().await;
    let ended = terminal.end().await;
    assert!(is_table(&ended.lines, &names, WIDE), "{ended:#?}");
    assert_left_in_order(&ended);

    // A frame has only the rows for which the terminal has space. The last one has all.
    let mut terminal = Terminal::start(&plugin, "get -w", (NARROW, 6));
    terminal.until_printed(REDRAWN).await;
    terminal.until("frame in a low terminal", |lines| is_table(lines, &names[..4], NARROW)).await;
    terminal.interrupt().await;
    let ended = terminal.end().await;
    assert!(is_table(&ended.lines, &names, NARROW), "{ended:#?}");
    assert_left_in_order(&ended);
}

#[tokio::test]
async fn rows_of_tables_never_wrap() {
    let world = World::new("terminal-tables").await;
    let plugin = Plugin::new(&world, Role::ViewAll).await;
    let entry = json!({
        "number": 1, "attempts": 1, "state": "Failed", "reason": "RefreshFailed", "message": "a message ".repeat(20), "durationSeconds": 5,
        "endedTime": "2026-11-29T21:00:00Z", "trigger": {"type": "Request", "value": "late file from SAP"}, "requestDigest": "d",
    });
    for (name, state) in [("first-of-many-with-a-long-name", "Running"), ("second-of-many-with-a-long-name", "Waiting")] {
        world.apply(name, &json!({"staleAfterSeconds": 60, "trigger": {"schedule": "0 5 * * *"}})).await;
        record(&world, name, &merged(&in_state(state), &json!({"history": [entry], "nextScheduleTime": "2026-12-24T22:00:00Z"}))).await;
    }
    for columns in [NARROW, 80, WIDE] {
        for line in ["get", "get -o wide", "queue", "history first-of-many-with-a-long-name"] {
            let ended = Terminal::start(&plugin, line, (columns, 24)).end().await;
            assert!(ended.code == 0 && ended.lines.len() >= 2 && fits(&ended.lines, columns), "{line} at {columns}: {ended:#?}");
        }
    }
}

#[tokio::test]
async fn followed_run_ends_with_its_last_frame_and_its_result() {
    let setup = TestSetup::with_model(json!({"durationMillis": 600_000}));
    let (world, _operator) = World::running("terminal-run", setup).await;
    let plugin = Plugin::new(&world, Role::Edit).await;
    world.apply("orders", &json!({"trigger": {"onChange": false}})).await;
    world.until_reason("orders", "Ready", "Idle").await;
    let mut terminal = Terminal::start(&plugin, "run orders --wait", (WIDE, 24));
    let running = world.until_state("orders", RunState::Running).await;
    let orders = format!("{}/orders", world.namespace);
    let is_below = |lines: &[String], columns| lines.get(1..).is_some_and(|frame| is_status(frame, &orders, columns));
    terminal.until("frame below the request", |lines| is_below(lines, WIDE)).await;
    terminal.resize((NARROW, 24)).await;
    let lines = terminal.until("frame of the new width", |lines| is_below(lines, NARROW)).await;
    assert!(lines[0].starts_with("requested a run of orders: "), "{lines:#?}");
    world.azure.end(run(&running).operation_id.as_deref().unwrap(), "succeeded").await;
    let mut ended = terminal.end().await;
    assert!(ended.lines.pop().is_some_and(|line| line.starts_with("✓ run 1 succeeded after ")), "{ended:#?}");
    assert!(is_below(&ended.lines, NARROW), "{ended:#?}");
    assert_left_in_order(&ended);
}

/// The next line that a process prints.
async fn next(lines: &mut Lines<BufReader<impl AsyncRead + Unpin>>, what: &str) -> String {
    let line = timeout(e2e::DEADLINE, lines.next_line()).await;
    line.unwrap_or_else(|_| panic!("no {what}")).unwrap().unwrap_or_else(|| panic!("the command ended without {what}"))
}

#[tokio::test]
async fn lines_continue_after_a_lost_connection_until_ctrl_c() {
    let world = World::new("watch-lost").await;
    let proxy = ApiProxy::start(&world.environment.endpoint());
    let plugin = Plugin::through(&world, &proxy).await;
    for name in ["orders", "stock"] {
        world.apply(name, &json!({})).await;
        record(&world, name, &in_state("Running")).await;
    }
    let mut child = plugin.start("get -w");
    let (mut out, mut err) = (BufReader::new(child.stdout.take().unwrap()).lines(), BufReader::new(child.stderr.take().unwrap()).lines());
    for name in ["orders", "stock"] {
        assert!(next(&mut out, "first line").await.ends_with(&format!("Z {}/{name} Running", world.namespace)));
    }
    let watches = || proxy.requests().iter().filter(|request| request.verb == "watch").count();
    e2e::eventually("both watches", async || (watches() >= 2).then_some(())).await;
    // Also if one of the kinds has no resource that changes, and more than once.
    for state in ["Succeeded", "Failed"] {
        proxy.set_available(false);
        assert!(next(&mut err, "warning").await.starts_with("warning: lost the connection: "));
        record(&world, "stock", &in_state(state)).await;
        proxy.set_available(true);
        assert!(next(&mut out, "change").await.contains(&format!("Z {}/stock {state}", world.namespace)));
        assert_eq!(next(&mut err, "connection").await, "connected again");
    }
    kill_process(Pid::from_raw(child.id().unwrap().cast_signed()).unwrap(), Signal::INT).unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
    assert_eq!((out.next_line().await.unwrap(), err.next_line().await.unwrap()), (None, None), "a line without a change");
}

#[tokio::test]
async fn watch_of_one_kind_needs_no_permission_for_the_other() {
    let world = World::new("watch-one-kind").await;
    let plugin = Plugin::new(&world, Role::Refreshes).await;
    world.apply("orders", &json!({})).await;
    record(&world, "orders", &in_state("Running")).await;
    let mut child = plugin.start("get orders -w");
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    for state in ["Running", "Succeeded"] {
        record(&world, "orders", &in_state(state)).await;
        assert!(next(&mut out, "line").await.contains(&format!("Z {}/orders {state}", world.namespace)));
    }
    kill_process(Pid::from_raw(child.id().unwrap().cast_signed()).unwrap(), Signal::INT).unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
    let status = plugin.run("status orders -w --timeout 2s").await;
    assert_eq!((status.code, status.out.lines().count(), status.err.as_str()), (4, 1, ""), "{status:?}");
}

#[tokio::test]
async fn refused_watch_ends_with_the_missing_permission() {
    let world = World::new("watch-refused").await;
    let plugin = Plugin::new(&world, Role::ViewOnce).await;
    world.apply("orders", &json!({})).await;
    for line in ["get -w", "status orders -w"] {
        let refused = plugin.run(line).await;
        assert!(refused.code == 1 && refused.out.lines().count() == 1, "{line}: {refused:?}");
        let sentence = format!("error: you may not watch modelrefreshes in namespace {}: ask for the role view there\n", world.namespace);
        assert!(refused.err == sentence || refused.err == sentence.replace("modelrefreshes", "modelsyncs"), "{line}: {refused:?}");
    }
}
