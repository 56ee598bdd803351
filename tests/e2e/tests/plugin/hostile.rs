//! Texts of services and users in a terminal: none of their control sequences and direction marks has an effect.

use std::fs;

use e2e::rbac::make;
use e2e::{World, paths};
use k8s_openapi::api::events::v1::Event;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use crate::plugin::{Plugin, Role};
use crate::terminal::{CTRL_C, Terminal};
use crate::watch::{REDRAWN, in_state, record};

/// Erases the screen, sets the title, rings the bell, and reverses the direction.
const HOSTILE: &str = "\u{1b}[2Jx\u{9b}2J\u{1b}]0;t\u{7}\u{202e}y";
/// The same as the plugin shows it.
const SHOWN: &str = "[2Jx 2J ]0;t y";

/// A status with the text wherever a service, a user or another client may determine one.
fn hostile(state: &str) -> Value {
    let time = "2026-11-29T21:00:00Z";
    let mut status = in_state(state);
    status["conditions"][0]["message"] = json!(HOSTILE);
    let trigger = json!({"type": "Request", "value": HOSTILE});
    (status["model"], status["queued"]) = (json!(HOSTILE), trigger.clone());
    let more = json!({
        "trigger": trigger, "message": HOSTILE, "operationId": HOSTILE, "activityId": HOSTILE, "detailsUrl": HOSTILE, "waitingFor": HOSTILE,
        "messages": [{"type": "Error", "code": HOSTILE, "message": HOSTILE}], "failedObjects": [{"table": HOSTILE, "partition": HOSTILE, "status": HOSTILE}],
        "progress": {"completed": 1, "failed": 0, "total": 2, "summary": HOSTILE, "tableCount": 1, "tables": [{"name": HOSTILE, "completed": 1, "total": 2}]},
        "candidates": [{"operationId": HOSTILE, "status": HOSTILE, "startedTime": time}],
    });
    if state == "Submitting" {
        status["run"]["reason"] = json!("SubmissionUnknown");
    }
    status["run"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    status["history"] = json!([{
        "number": 1, "attempts": 1, "state": "Failed", "reason": "RefreshFailed", "endedTime": time, "recordedTime": time,
        "durationSeconds": 5, "trigger": trigger, "message": HOSTILE, "requestDigest": "d",
    }]);
    status
}

/// The control sequences in what was printed, without the ones that the plugin uses: colors, and erasing its own block.
fn foreign(printed: &str) -> Vec<String> {
    let sequences = printed.split('\u{1b}').skip(1).filter(|rest| {
        let own = rest.strip_prefix('[').map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
        !own.is_some_and(|end| end.starts_with(['m', 'A'])) && !rest.starts_with("[0J")
    });
    let characters = printed.chars().filter(|c| c.is_control() && !['\u{1b}', '\r', '\n'].contains(c) || *c == '\u{202e}');
    sequences.map(|rest| rest.chars().take(8).collect()).chain(characters.map(String::from)).collect()
}

#[test]
fn effect_of_the_text_is_detected() {
    assert_eq!(foreign(HOSTILE).len(), 5);
    assert_eq!(foreign("\u{1b}[31m! \u{1b}[0mname\r\n\u{1b}[12A\u{1b}[0J"), Vec::<String>::new());
}

#[tokio::test]
async fn texts_have_no_effect_on_the_terminal() {
    let world = World::new("hostile").await;
    let plugin = Plugin::new(&world, Role::View).await;
    for (name, state) in [("running", "Running"), ("failed", "Failed"), ("waiting", "Waiting"), ("unknown", "Submitting")] {
        let object = world.apply(name, &json!({})).await;
        record(&world, name, &hostile(state)).await;
        let event = json!({
            "metadata": {"name": name}, "eventTime": "2026-11-29T21:00:00.000000Z", "type": "Warning", "reason": "RefreshFailed",
            "note": HOSTILE, "action": "Run", "reportingController": "test", "reportingInstance": "test",
            "regarding": {"kind": "ModelRefresh", "namespace": world.namespace, "name": name, "uid": object.uid()},
        });
        make::<Event>(&Api::namespaced(world.client.clone(), &world.namespace), event).await;
    }
    let manifest = world.environment.directory().join("hostile.json");
    let spec =
        json!({"apiVersion": "tabular-operator.dev/v1alpha1", "kind": "ModelRefresh", "spec": {HOSTILE: 1}, "metadata": {"name": HOSTILE}});
    fs::write(&manifest, spec.to_string()).unwrap();

    let one = |command: &'static str| ["running", "failed", "waiting", "unknown"].map(|name| format!("{command} {name}"));
    let mut lines = vec!["get".to_owned(), "get -o wide".to_owned(), "queue".to_owned(), "queue -A".to_owned()];
    lines.extend([one("status"), one("why"), one("history"), one("history --run 1")].concat());
    lines.push("adopt unknown".to_owned());
    lines.push(format!("validate -f {}", manifest.display()));
    for size in [(60, 24), (200, 24)] {
        let mut shown = 0;
        for line in &lines {
            let mut terminal = Terminal::start(&plugin, line, size);
            if line.starts_with("adopt") {
                terminal.until_printed("quit (q)?").await;
                terminal.type_in("q\n");
            }
            let ended = terminal.end().await;
            assert!([0, 3, 5].contains(&ended.code) && !ended.lines.is_empty(), "{line}: {ended:#?}");
            assert_eq!(foreign(&ended.printed), Vec::<String>::new(), "{line}: {ended:#?}");
            shown += usize::from(ended.printed.contains(SHOWN));
        }
        assert!(size.0 == 60 || shown >= 14, "only {shown} of the commands show the text");
        let mut terminal = Terminal::start(&plugin, "status running -w", size);
        terminal.until_printed(REDRAWN).await;
        terminal.until("complete frame", |lines| lines.last().is_some_and(|line| line.starts_with("└─ "))).await;
        terminal.interrupt().await;
        let ended = terminal.end().await;
        assert_eq!((ended.code, foreign(&ended.printed)), (0, Vec::new()), "{ended:#?}");
        assert!(ended.lines.iter().any(|line| line.contains(SHOWN)), "{ended:#?}");
    }
}

#[tokio::test]
async fn pipe_and_plain_terminal_get_no_control_sequence() {
    let world = World::new("piped").await;
    let plugin = Plugin::new(&world, Role::View).await;
    world.apply("orders", &json!({})).await;
    record(&world, "orders", &hostile("Running")).await;
    let (program, kubeconfig) = (paths::plugin(), plugin.kubeconfig().display().to_string());
    for (variable, line, end, has_sequences) in [
        ("A=b", "status orders", "", true),
        ("A=b", "status orders --color always", "| cat", true),
        ("A=b", "status orders --color never", "", false),
        ("NO_COLOR=1", "status orders", "", false),
        ("A=b", "status orders", "| cat", false),
        ("A=b", "status orders -w", "| cat", false),
        ("A=b", "get -w", "| cat", false),
        ("TERM=dumb", "get -o wide", "", false),
        ("TERM=dumb", "status orders -w", "", false),
    ] {
        let script = format!("'{}' {line} --kubeconfig '{kubeconfig}' {end}", program.display());
        let mut terminal = Terminal::start_program(&["env", variable, "sh", "-c", &script], (200, 24));
        terminal.until_printed("Running").await;
        if line.ends_with("-w") {
            terminal.type_in(CTRL_C);
        }
        let ended = terminal.end().await;
        assert_eq!(ended.printed.contains('\u{1b}'), has_sequences, "{variable} {line} {end}: {ended:#?}");
    }
}
