//! The reported state of the resources over time: recorded for the checks, and drawn.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use tabular_operator::api::{ModelRefresh, ModelSync, Run, RunState};

use screen::{Line, Screen, Style};

/// The width of a progress bar.
const BAR: usize = 12;

/// The current state of a resource.
#[derive(Debug)]
pub struct Resource {
    /// Its `kubectl` name, with the kind for a sync.
    name: String,
    /// Its short name, when known.
    model: Option<String>,
    run: Option<Run>,
}

impl From<ModelRefresh> for Resource {
    fn from(refresh: ModelRefresh) -> Self {
        let name = refresh.metadata.name.unwrap_or_default();
        Self { name, model: Some(refresh.spec.model.display()), run: refresh.status.and_then(|status| status.run) }
    }
}

impl From<ModelSync> for Resource {
    fn from(sync: ModelSync) -> Self {
        let (model, run) = sync.status.map(|status| (status.model, status.run)).unwrap_or_default();
        Self { name: name_of("ModelSync", &sync.metadata.name.unwrap_or_default()), model, run }
    }
}

/// The recorded history of a resource.
#[derive(Debug)]
pub struct Watched {
    /// Empty for a dependent whose upstream's model the operator has not reported yet.
    model: String,
    /// Each recorded version of its run.
    pub runs: Vec<Run>,
    /// Whether it exists.
    pub exists: bool,
}

impl Watched {
    /// The current run.
    pub fn run(&self) -> Option<&Run> {
        self.runs.last()
    }

    /// Whether a recorded version matches.
    pub fn ever(&self, matches: impl Fn(&Run) -> bool) -> bool {
        self.runs.iter().any(matches)
    }
}

/// All resources.
#[derive(Debug)]
pub struct Watch {
    began: Instant,
    order: Vec<&'static str>,
    watched: BTreeMap<&'static str, Watched>,
    events: HashSet<String>,
}

impl Watch {
    pub fn new(order: &[&'static str]) -> Self {
        Self { began: Instant::now(), order: order.to_vec(), watched: BTreeMap::new(), events: HashSet::new() }
    }

    /// One resource, if recorded.
    pub fn of(&self, name: &str) -> Option<&Watched> {
        self.watched.get(name)
    }

    /// Records the current state.
    pub fn update(&mut self, resources: &[Resource], screen: &mut Screen) {
        for name in self.order.clone() {
            let Some(resource) = resources.iter().find(|resource| resource.name == name) else {
                if let Some(watched) = self.watched.get_mut(name).filter(|watched| watched.exists) {
                    watched.exists = false;
                    self.print_event(screen, name, Style::Plain, "Deleted", "the resource was deleted");
                }
                continue;
            };
            let watched = self.watched.entry(name).or_insert_with(|| Watched { model: String::new(), runs: Vec::new(), exists: true });
            watched.model = resource.model.clone().unwrap_or_default();
            let Some(run) = resource.run.clone().filter(|run| watched.run() != Some(run)) else { continue };
            let step = run.progress.as_ref().map(|progress| progress.summary.clone());
            let before = watched.run().and_then(|run| run.progress.as_ref()).map(|progress| progress.summary.clone());
            watched.runs.push(run);
            // On a terminal, the bar shows it; elsewhere a line.
            if let Some(step) = step.filter(|step| !screen.live() && before.as_ref() != Some(step)) {
                self.print_event(screen, name, Style::Faint, "progress", &format!("{step} objects"));
            }
        }
    }

    /// Prints new events.
    pub fn print_new_events(&mut self, mut events: Vec<Event>, screen: &mut Screen) {
        events.sort_by_key(|event| event.event_time.as_ref().map(|time| time.0));
        for event in events {
            if !self.events.insert(event.metadata.uid.clone().unwrap_or_default()) {
                continue;
            }
            let Some(about) = &event.regarding else { continue };
            let name = name_of(about.kind.as_deref().unwrap_or_default(), about.name.as_deref().unwrap_or_default());
            if !self.order.contains(&name.as_str()) {
                continue;
            }
            let warning = event.type_.as_deref() == Some("Warning");
            let style = if warning { Style::Red } else { Style::Green };
            self.print_event(screen, &name, style, event.reason.as_deref().unwrap_or_default(), event.note.as_deref().unwrap_or_default());
        }
    }

    /// Prints one event.
    pub fn print_event(&self, screen: &mut Screen, name: &str, style: Style, word: &str, text: &str) {
        let at = format!("{:6.1} s  ", self.began.elapsed().as_secs_f64());
        screen.print_styled(&vec![
            (Style::Faint, at),
            (Style::Bold, format!("{name:<25}")),
            (style, format!("{word:<17}")),
            (Style::Plain, text.to_owned()),
        ]);
    }

    /// The elapsed time of the demo.
    pub fn elapsed(&self) -> std::time::Duration {
        self.began.elapsed()
    }

    /// The table.
    pub fn table(&self) -> Vec<Line> {
        let head = format!("{:<25}{:<25}{:<12}{:<19}{:>6}  {}", "NAME", "MODEL", "STATE", "PROGRESS", "TIME", "MESSAGE");
        let rows = self.order.iter().map(|name| self.row(name));
        [vec![], vec![(Style::Faint, head)]].into_iter().chain(rows).collect()
    }

    fn row(&self, name: &str) -> Line {
        let Some(watched) = self.watched.get(name) else {
            return vec![(Style::Faint, format!("{name:<25}not applied yet"))];
        };
        let mut row = vec![(Style::Bold, format!("{name:<25}")), (Style::Plain, format!("{:<25}", watched.model))];
        if !watched.exists {
            row.push((Style::Faint, format!("{:<12}", "Deleted")));
            return row;
        }
        let Some(run) = watched.run() else {
            row.push((Style::Faint, "new".to_owned()));
            return row;
        };
        let style = style(run.state);
        row.push((style, format!("{:<12}", format!("{:?}", run.state))));
        row.push((style, format!("{:<19}", bar(run))));
        row.push((Style::Plain, format!("{:>6}  ", time(run))));
        row.push((Style::Faint, run.message.clone()));
        row
    }
}

/// A name in `kubectl` form.
fn name_of(kind: &str, name: &str) -> String {
    if kind == "ModelSync" { format!("msync/{name}") } else { name.to_owned() }
}

fn style(state: RunState) -> Style {
    match state {
        RunState::Waiting => Style::Yellow,
        RunState::Submitting | RunState::Running => Style::Blue,
        RunState::Cancelling => Style::Magenta,
        RunState::Succeeded => Style::Green,
        RunState::Failed | RunState::TimedOut | RunState::Cancelled | RunState::Unrecognized(_) => Style::Red,
    }
}

fn bar(run: &Run) -> String {
    let Some(progress) = run.progress.as_ref().filter(|progress| progress.total > 0) else { return String::new() };
    let share =
        |count: i32| usize::try_from(count.clamp(0, progress.total)).unwrap_or(0) * BAR / usize::try_from(progress.total).unwrap_or(1);
    let done = share(progress.completed);
    format!("{}{} {}", "█".repeat(done), "░".repeat(BAR - done), progress.summary)
}

/// How long the run has taken or waited so far, or took.
fn time(run: &Run) -> String {
    let since = match run.state {
        RunState::Waiting => run.waiting_since_time,
        RunState::Submitting | RunState::Running | RunState::Cancelling => run.started_time,
        RunState::Succeeded | RunState::Failed | RunState::TimedOut | RunState::Cancelled | RunState::Unrecognized(_) => {
            return run.duration.clone().unwrap_or_default();
        }
    };
    let seconds = since.map(|since| Timestamp::now().duration_since(since.timestamp()).as_secs().max(0));
    seconds.map(|seconds| format!("{seconds}s")).unwrap_or_default()
}
