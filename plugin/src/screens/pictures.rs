//! The samples of the documents: the screens as text and as a picture, from the resources of the tests.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use screen::{Line, Style, text_of, width_of};

use super::tests::{all, failed, running};
use super::{get, history, needs_action, queue, status};
use crate::facts::queues;
use crate::fixture::{text, view, visible};

/// The size of a character and of a line, and the margin around the text, in pixels.
const CHARACTER: f64 = 8.4;
const LINE: f64 = 20.0;
const MARGIN: f64 = 16.0;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// The colors on a dark background. Each has a contrast of at least 4.5.
fn color(style: Style) -> &'static str {
    match style {
        Style::Plain | Style::Bold => "#e6edf3",
        Style::Faint => "#9198a1",
        Style::Green => "#3fb950",
        Style::Yellow => "#d29922",
        Style::Red => "#ff7b72",
        Style::Blue => "#79c0ff",
        Style::Magenta => "#d2a8ff",
    }
}

/// The lines as a picture. Each piece has its place and its width, so that columns are aligned in every font.
fn svg(title: &str, lines: &[Line]) -> String {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let pixels = |characters: usize| f64::from(u32::try_from(characters).unwrap()) * CHARACTER;
    let columns = lines.iter().map(|line| width_of(&text_of(line))).max().unwrap_or(0);
    let width = pixels(columns) + 2.0 * MARGIN;
    let height = f64::from(u32::try_from(lines.len()).unwrap()) * LINE + 2.0 * MARGIN;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" font-size=\"14\">\n\
         <title>{}</title>\n<rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"#0d1117\"/>\n",
        escaped(title)
    );
    let mut bottom = MARGIN - 5.0;
    for line in lines {
        bottom += LINE;
        let mut column = 0;
        for (style, text) in line {
            let shown = text.trim_start();
            let (start, shown) = (column + width_of(text) - width_of(shown), shown.trim_end());
            column += width_of(text);
            if shown.is_empty() {
                continue;
            }
            let bold = if *style == Style::Bold { " font-weight=\"bold\"" } else { "" };
            // Writing to a String cannot fail.
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{bottom:.0}\" textLength=\"{:.1}\" lengthAdjust=\"spacingAndGlyphs\" fill=\"{}\"{bold} \
                 xml:space=\"preserve\">{}</text>",
                MARGIN + pixels(start),
                pixels(width_of(shown)),
                color(*style),
                escaped(shown)
            );
        }
    }
    out + "</svg>\n"
}

/// Writes a generated file (`make generate`), or compares the committed one.
#[track_caller]
fn settle(name: &str, wanted: &str) {
    if std::env::var_os("GENERATE").is_some() {
        std::fs::write(file(name), wanted).unwrap();
    }
    assert!(std::fs::read_to_string(file(name)).unwrap_or_default() == wanted, "{name} is out of date: run `make generate`");
}

#[test]
fn samples_in_documents_are_current() {
    let (objects, view) = (all(), view(None));
    let queues = queues(visible(&objects));
    let list = [text(&get(visible(&objects), &objects, true, &view)), needs_action(&objects, &view).unwrap()].join("\n");
    let samples = [
        ("get -A", list),
        ("status adventureworks -n bi", text(&status(&running(), visible(&objects), &view))),
        ("history inventory -n bi", text(&history(&failed(), &view))),
        ("queue -n bi", text(&queue(&queues, false, &view))),
        ("why forecast -n bi", super::why::tests::sample()),
        ("adopt orders -n bi", super::decide::tests::sample()),
    ];
    let page = "docs/kubectl-tabular.md";
    let mut wanted = std::fs::read_to_string(file(page)).unwrap();
    for (command, screen) in samples {
        let head = format!("```text\n$ kubectl tabular {command}\n");
        let (before, rest) = wanted.split_once(&head).unwrap_or_else(|| panic!("{page} has no sample of {command}"));
        let after = rest.split_once("```\n").unwrap().1;
        wanted = format!("{before}{head}{screen}\n```\n{after}");
    }
    settle(page, &wanted);
}

#[test]
fn picture_of_status_is_current() {
    let command = "kubectl tabular status adventureworks -n bi";
    let mut lines = vec![vec![(Style::Faint, "$ ".to_owned()), (Style::Plain, command.to_owned())]];
    lines.extend(status(&running(), visible(&all()), &view(None)));
    settle("docs/images/status.svg", &svg(command, &lines));
}

#[test]
fn picture_escapes_text_and_keeps_columns() {
    let picture = svg("a<b", &[vec![(Style::Red, "! ".to_owned()), (Style::Plain, "  <&>日".to_owned())]]);
    assert!(picture.contains("<title>a&lt;b</title>"), "{picture}");
    // Two columns of the first piece, and two blanks.
    assert!(picture.contains("x=\"49.6\" y=\"31\" textLength=\"42.0\""), "{picture}");
    assert!(picture.contains(">&lt;&amp;&gt;日</text>"), "{picture}");
}
