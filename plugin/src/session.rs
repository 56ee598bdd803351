//! What a command works with: the output, and the flags that all commands share.

#![allow(clippy::doc_markdown, reason = "the help is not markdown")]

use std::io::{IsTerminal as _, Write as _};

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use screen::{Line, Screen};
use tokio::time::{Duration, Instant};

use crate::connect::ConnectionArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::objects::Undecodable;
use crate::output::View;
use crate::report::Report;

/// When to use colors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The format of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text with additional columns
    Wide,
    /// A report in JSON, with a documented schema
    Json,
    /// The same report in YAML
    Yaml,
    /// The names only, as `kubectl get -o name` prints them
    Name,
}

/// The flags of the output.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Format of the output. Default: text for people, which may change between versions.
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,

    /// When to use colors.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: Color,

    /// Show times in UTC instead of the local time zone.
    #[arg(long)]
    pub utc: bool,
}

/// The flags of each command that calls the API server.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub struct CommonArgs {
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// The output of a command: data to standard output, everything else to standard error.
pub struct Session {
    screen: Screen,
    zone: TimeZone,
    utc: bool,
    /// The flags that select the cluster and the user, for commands that are printed.
    flags: String,
    /// The format, unless it is text.
    pub format: Option<Format>,
}

impl Session {
    /// The output with these flags.
    #[must_use]
    pub fn new(args: OutputArgs) -> Self {
        let screen = Screen::new(std::io::stdout().is_terminal());
        let screen = match args.color {
            Color::Auto => screen,
            Color::Always => screen.with_colors(true),
            Color::Never => screen.with_colors(false),
        };
        let zone = if args.utc { TimeZone::UTC } else { TimeZone::try_system().unwrap_or(TimeZone::UTC) };
        Self { screen, zone, utc: args.utc, flags: String::new(), format: args.output }
    }

    /// The output of a command that calls the API server.
    #[must_use]
    pub fn of(common: &CommonArgs) -> Self {
        Self { flags: common.connection.flags(), ..Self::new(common.output) }
    }

    /// What a screen is rendered for, now.
    #[must_use]
    pub fn view(&self) -> View {
        let width = self.screen.live().then(|| screen::size().0);
        let wide = self.format == Some(Format::Wide);
        View { now: Timestamp::now(), zone: self.zone.clone(), utc: self.utc, width, wide, flags: self.flags.clone() }
    }

    /// Whether standard output is a terminal on which a block can be redrawn.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.screen.live()
    }

    /// Whether the reader closed standard output.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.screen.closed()
    }

    /// Whether the output is text for people.
    #[must_use]
    pub fn is_text(&self) -> bool {
        match self.format {
            None | Some(Format::Wide) => true,
            Some(Format::Json | Format::Yaml | Format::Name) => false,
        }
    }

    /// Prints lines to standard output.
    pub fn print(&mut self, lines: &[Line]) {
        for line in lines {
            self.screen.print_styled(line);
        }
    }

    /// Prints text to standard output, unchanged.
    pub fn print_text(&mut self, text: &str) {
        for line in text.lines() {
            self.screen.print(line);
        }
    }

    /// Redraws the block on a terminal.
    pub fn draw(&mut self, lines: &[Line]) {
        self.screen.draw(lines);
    }

    /// Keeps the block; further output follows below it.
    pub fn settle(&mut self) {
        self.screen.settle();
    }

    /// Prints a report in the format of the flags.
    ///
    /// # Errors
    /// If a value cannot be written in the format, which would be a bug.
    pub fn report(&mut self, report: &Report) -> Result<(), Failure> {
        let bug = |error: &dyn std::fmt::Display| Failure::new(format!("failed to write the report: {error}"));
        let text = match self.format {
            Some(Format::Yaml) => serde_saphyr::to_string(report).map_err(|error| bug(&error))?,
            Some(Format::Name) => report.names().join("\n"),
            Some(Format::Json | Format::Wide) | None => serde_json::to_string_pretty(report).map_err(|error| bug(&error))?,
        };
        if !text.is_empty() {
            self.screen.print(text.trim_end());
        }
        Ok(())
    }

    /// Prints a line to standard error. On a terminal, the block is erased, and the next one is drawn below the line.
    pub fn note(&mut self, text: &str) {
        self.screen.draw(&[]);
        // A reader that is gone is no error.
        let _ = writeln!(std::io::stderr(), "{text}");
    }

    /// Prints that a watch was interrupted, and that it reconnects automatically.
    pub fn note_lost(&mut self, failure: &Failure) {
        self.note(&format!("warning: lost the connection: {failure}; trying again"));
    }

    /// Warns of resources that are left out, because they cannot be decoded.
    pub fn note_undecodable(&mut self, undecodable: &[Undecodable]) {
        for resource in undecodable {
            self.note(&resource.warning());
        }
    }

    /// Prints an error, and returns its exit code.
    pub fn fail(&mut self, failure: &Failure) -> Exit {
        self.note(&format!("error: {failure}"));
        failure.exit
    }
}

/// Waits for the end of a `--timeout`; forever without one.
pub async fn expired(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// The deadline of a `--timeout` that starts now.
#[must_use]
pub fn deadline(timeout: Option<Duration>) -> Option<Instant> {
    timeout.map(|timeout| Instant::now() + timeout)
}
