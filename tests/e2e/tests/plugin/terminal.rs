//! A terminal: an emulator interprets what a command prints to a pseudo-terminal. Like most terminals, it wraps lines again when its width
//! changes.

use std::fs::File;
use std::io::{Read as _, Write as _};

use avt::Terminal as Emulator;
use e2e::{DEADLINE, eventually, paths};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::OpenptFlags;
use rustix::termios::{Winsize, tcsetwinsize};
use screen::width_of;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use crate::plugin::Plugin;

/// Ctrl-C, as a keyboard sends it.
pub const CTRL_C: &str = "\u{3}";

/// A width and a height.
pub type Size = (u16, u16);

/// A command in a terminal whose screen is full of earlier output.
pub struct Terminal {
    keyboard: File,
    /// The side of the command. It stays open, so that the end of the command is not the end of the terminal.
    command_side: File,
    output: mpsc::UnboundedReceiver<Vec<u8>>,
    child: Child,
    emulator: Emulator,
    printed: Vec<u8>,
    /// How much of it the emulator has interpreted.
    interpreted: usize,
    earlier: Vec<String>,
    marks: usize,
}

/// What a command left behind.
#[derive(Debug)]
pub struct Ended {
    /// The exit code.
    pub code: i32,
    /// What it printed, with its control sequences.
    pub printed: String,
    /// What the terminal shows of it, in lines.
    pub lines: Vec<String>,
    /// The number of columns to the left of the cursor.
    pub cursor: Option<usize>,
}

impl Terminal {
    /// Starts a command line of the plugin.
    pub fn start(plugin: &Plugin, line: &str, size: Size) -> Self {
        let (program, kubeconfig) = (paths::plugin(), plugin.kubeconfig().to_str().expect("the path is text"));
        let words: Vec<&str> = line.split_whitespace().chain(["--kubeconfig", kubeconfig]).collect();
        Self::start_program(&[&[program.to_str().expect("the path is text")], words.as_slice()].concat(), size)
    }

    /// Starts a program.
    pub fn start_program(words: &[&str], size: Size) -> Self {
        let keyboard = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("failed to open a terminal");
        rustix::pty::grantpt(&keyboard).expect("failed to open a terminal");
        rustix::pty::unlockpt(&keyboard).expect("failed to open a terminal");
        let path = rustix::pty::ptsname(&keyboard, Vec::new()).expect("the terminal has a name");
        let command_side = rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty());
        let (keyboard, command_side) = (File::from(keyboard), File::from(command_side.expect("failed to open the terminal")));
        set_size(&command_side, size);
        let duplicate = || command_side.try_clone().expect("failed to duplicate a descriptor");
        // A session of its own, so that Ctrl-C reaches it.
        let child = Command::new("setsid")
            .arg("--ctty")
            .args(words)
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .current_dir(paths::workspace())
            .stdin(duplicate())
            .stdout(duplicate())
            .stderr(duplicate())
            .kill_on_drop(true)
            .spawn()
            .expect("failed to start setsid, a program of util-linux");
        let output = read_all(keyboard.try_clone().expect("failed to duplicate a descriptor"));
        let mut emulator = Emulator::with_scrollback(usize::from(size.0), usize::from(size.1), None).expect("the size is not zero");
        let earlier: Vec<String> = (1..=size.1).map(|number| format!("earlier line {number}")).collect();
        emulator.feed(earlier.iter().map(|line| format!("{line}\r\n")));
        Self { keyboard, command_side, output, child, emulator, printed: Vec::new(), interpreted: 0, earlier, marks: 0 }
    }

    /// What the terminal shows of the command, in lines: the parts of a line that the terminal has wrapped are one. It has left the earlier
    /// output unchanged.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = self.emulator.screen().text();
        let shown = lines.iter().take(self.earlier.len()).zip(&self.earlier);
        shown.for_each(|(line, before)| assert_eq!(line, before, "earlier output has changed: {lines:#?}"));
        lines.drain(..lines.len().min(self.earlier.len()));
        let used = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
        lines.truncate(used);
        lines
    }

    /// Waits until the terminal shows such lines, and returns them.
    pub async fn until(&mut self, what: &str, check: impl Fn(&[String]) -> bool) -> Vec<String> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let lines = self.lines();
            if check(&lines) {
                return lines;
            }
            let next = timeout_at(deadline, self.read()).await;
            next.unwrap_or_else(|_| panic!("no {what} on the terminal:\n{}", lines.join("\n")));
        }
    }

    /// Waits until the command has printed a text.
    pub async fn until_printed(&mut self, text: &str) {
        let deadline = Instant::now() + DEADLINE;
        while !String::from_utf8_lossy(&self.printed).contains(text) {
            let next = timeout_at(deadline, self.read()).await;
            next.unwrap_or_else(|_| panic!("no '{text}' in {}", String::from_utf8_lossy(&self.printed)));
        }
    }

    /// Types a text.
    pub fn type_in(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).expect("failed to type");
    }

    /// Presses Ctrl-C. The command is paused meanwhile: a terminal discards the output that has not been read yet, and with a part of a frame
    /// the next one would start at another line.
    pub async fn interrupt(&mut self) {
        let pid = self.pause().await;
        self.type_in(CTRL_C);
        kill_process(pid, Signal::CONT).expect("failed to continue the command");
    }

    /// Changes the size. The command is paused meanwhile, so that it prints nothing for the old size after the change.
    pub async fn resize(&mut self, size: Size) {
        let pid = self.pause().await;
        set_size(&self.command_side, size);
        self.emulator.resize(usize::from(size.0), usize::from(size.1));
        kill_process(pid, Signal::CONT).expect("failed to continue the command");
    }

    /// Pauses the command, and reads what it has printed.
    async fn pause(&mut self) -> Pid {
        let id = self.child.id().expect("the command runs");
        let pid = Pid::from_raw(id.cast_signed()).expect("a process has an id");
        kill_process(pid, Signal::STOP).expect("failed to pause the command");
        let stat = || std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        eventually("the pause of the command", async || stat().contains(") T ").then_some(())).await;
        self.read_rest().await;
        pid
    }

    /// Waits until the command ends.
    pub async fn end(mut self) -> Ended {
        let status = timeout(DEADLINE, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("the command does not end: {:#?}", self.lines())).expect("failed to wait");
        self.read_rest().await;
        let (lines, cursor) = (self.lines(), self.emulator.cursor().position().map(|(column, _)| column));
        let printed = String::from_utf8(self.printed).expect("the output is text");
        Ended { code: status.code().unwrap_or(-1), printed, lines, cursor }
    }

    /// Reads what a paused or ended command has printed: a mark arrives after it.
    async fn read_rest(&mut self) {
        self.marks += 1;
        let mark = format!("\u{1b}]777;{}\u{7}", self.marks);
        self.command_side.write_all(mark.as_bytes()).expect("failed to print");
        while !self.printed.ends_with(mark.as_bytes()) {
            timeout(DEADLINE, self.read()).await.expect("the terminal does not respond");
        }
        self.printed.truncate(self.printed.len() - mark.len());
        self.interpreted = self.printed.len();
    }

    async fn read(&mut self) {
        self.printed.extend(self.output.recv().await.expect("the terminal is open"));
        let new = &self.printed[self.interpreted..];
        // The end of a character may be missing.
        let complete = str::from_utf8(new).map_or_else(|error| error.valid_up_to(), str::len);
        self.emulator.feed(str::from_utf8(&new[..complete]).expect("it is valid"));
        self.interpreted += complete;
    }
}

/// Whether no line is wider than a terminal of this many columns, whose last column is free.
pub fn fits(lines: &[String], columns: u16) -> bool {
    lines.iter().all(|line| width_of(line) < usize::from(columns))
}

fn set_size(terminal: &File, (columns, rows): Size) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).expect("failed to set the size");
}

/// Reads until no process has the terminal. Nothing that prints to it ever waits.
fn read_all(mut terminal: File) -> mpsc::UnboundedReceiver<Vec<u8>> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let mut part = [0; 4_096];
        while let Ok(size) = terminal.read(&mut part) {
            if size == 0 || sender.send(part[..size].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}
