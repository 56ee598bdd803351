//! The samples of both replicas over time, as a picture in SVG, readable on a light and on a dark background.

use std::fmt::Write as _;
use std::time::Duration;

use crate::recording::{Recording, Sample};
use crate::sample::{COLLECTION, DESCRIPTORS, MEMORY, OTHER_SERIES, RESOURCE_SERIES, TASKS};

/// The size of the picture, of one panel and of the margins, in pixels.
const WIDTH: f64 = 820.0;
const PANEL: f64 = 120.0;
const GAP: f64 = 36.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 56.0;
/// Maximum number of points of a line.
const POINTS: usize = 800;
const STYLE: &str = "text{font:12px ui-sans-serif,system-ui,sans-serif;fill:#59636e}.title{font-size:14px;fill:#1f2328}\
    .frame{fill:none;stroke:#d1d9e0}.quiet{fill:#1f883d;opacity:.12}\
    .a{fill:none;stroke:#0969da;stroke-width:1.5}.b{fill:none;stroke:#bc4c00;stroke-width:1.5}\
    text.a{fill:#0969da;stroke:none}text.b{fill:#bc4c00;stroke:none}.standby{stroke-dasharray:2 3}\
    @media(prefers-color-scheme:dark){text{fill:#9198a1}.title{fill:#f0f6fc}.frame{stroke:#3d444d}.quiet{fill:#3fb950}\
    .a{stroke:#4493f8}.b{stroke:#f0883e}text.a{fill:#4493f8}text.b{fill:#f0883e}}";

/// The value that a panel shows of a sample.
type Panel = (&'static str, fn(&Sample) -> f64);

const PANELS: [Panel; 5] = [
    ("memory, MiB", |sample| value(sample, MEMORY) / 1024.0),
    ("file descriptors", |sample| value(sample, DESCRIPTORS)),
    ("tasks", |sample| value(sample, TASKS)),
    ("metric series", |sample| value(sample, RESOURCE_SERIES) + value(sample, OTHER_SERIES)),
    ("entries of all collections", |sample| {
        sample.values.iter().filter(|(name, _)| name.starts_with(COLLECTION)).map(|(_, value)| *value as f64).sum()
    }),
];

fn value(sample: &Sample, wanted: &str) -> f64 {
    sample.values.iter().find(|(name, _)| name == wanted).map_or(0.0, |(_, value)| *value as f64)
}

/// The picture.
pub fn svg(recording: &Recording) -> String {
    let samples = recording.samples();
    let whole = samples.last().map_or(1.0, |sample| sample.at.as_secs_f64()).max(1.0);
    let x = |at: Duration| LEFT + (WIDTH - LEFT - RIGHT) * at.as_secs_f64() / whole;
    let height = TOP + PANELS.len() as f64 * (PANEL + GAP);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\">\n\
         <title>Memory, descriptors, tasks, metric series and entries of two replicas over time</title>\n<style>{STYLE}</style>\n\
         <text class=\"title\" x=\"{LEFT}\" y=\"22\">Two replicas under load and faults</text>\n\
         <text class=\"a\" x=\"{LEFT}\" y=\"40\">replica a</text><text class=\"b\" x=\"{}\" y=\"40\">replica b</text>\
         <text x=\"{}\" y=\"40\">dotted: standby; green: quiet times, which are compared</text>\n",
        LEFT + 70.0,
        LEFT + 140.0,
    );
    for (index, (title, shown)) in PANELS.iter().enumerate() {
        let top = TOP + index as f64 * (PANEL + GAP) + 14.0;
        let most = samples.iter().map(shown).fold(1.0, f64::max);
        let y = |value: f64| top + PANEL * (1.0 - value / most);
        let _ = writeln!(out, "<text class=\"title\" x=\"{LEFT}\" y=\"{:.0}\">{title}</text>", top - 5.0);
        let _ = writeln!(out, "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{most:.0}</text>", LEFT - 6.0, top + 10.0);
        let _ = writeln!(out, "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">0</text>", LEFT - 6.0, top + PANEL);
        for (from, to) in recording.quiet_times() {
            let width = x(to) - x(from);
            let _ = writeln!(out, "<rect class=\"quiet\" x=\"{:.1}\" y=\"{top:.0}\" width=\"{width:.1}\" height=\"{PANEL}\"/>", x(from));
        }
        let _ =
            writeln!(out, "<rect class=\"frame\" x=\"{LEFT}\" y=\"{top:.0}\" width=\"{:.0}\" height=\"{PANEL}\"/>", WIDTH - LEFT - RIGHT);
        for (replica, class) in ["a", "b"].into_iter().enumerate() {
            let of_replica: Vec<&Sample> = samples.iter().filter(|sample| sample.process.replica == replica).collect();
            // A line for each process, and for each of its roles.
            for line in of_replica.chunk_by(|one, next| one.process == next.process && one.leads == next.leads) {
                let step = (line.len() * 2).div_ceil(POINTS).max(1);
                let points: Vec<String> = line
                    .iter()
                    .enumerate()
                    .filter(|(index, _)| index % step == 0 || index + 1 == line.len())
                    .map(|(_, sample)| format!("{:.1},{:.1}", x(sample.at), y(shown(sample))))
                    .collect();
                let role = if line[0].leads { "" } else { " standby" };
                let _ = writeln!(out, "<polyline class=\"{class}{role}\" points=\"{}\"/>", points.join(" "));
            }
        }
    }
    let minutes = whole / 60.0;
    let (bottom, right) = (height - 8.0, WIDTH - RIGHT);
    let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"{bottom:.0}\">0 minutes</text>");
    let _ = writeln!(out, "<text x=\"{right}\" y=\"{bottom:.0}\" text-anchor=\"end\">{minutes:.0} minutes</text>");
    out + "</svg>\n"
}
