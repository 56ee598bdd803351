//! What a screen is rendered for.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The time and the terminal for which a screen is rendered. A screen has no other input than this and the resources.
#[derive(Clone, Debug)]
pub struct View {
    /// The current time.
    pub now: Timestamp,
    /// The time zone of the times.
    pub zone: TimeZone,
    /// Whether the times are in UTC by request, which they then show.
    pub utc: bool,
    /// The width of the terminal; `None` if the output is not a terminal, so that nothing is truncated.
    pub width: Option<usize>,
    /// Whether additional columns are requested.
    pub wide: bool,
    /// The flags of the command line that select the cluster and the user, each with a blank in front of it.
    pub flags: String,
}

impl View {
    /// Whole seconds since a time; 0 if a clock that is ahead reported it.
    #[must_use]
    pub fn since(&self, time: Timestamp) -> i64 {
        self.now.duration_since(time).as_secs().max(0)
    }

    /// A command of kubectl with the flags of the command line, before its comment: a copy of it acts on the same cluster, as the same user.
    #[must_use]
    pub fn command(&self, line: &str) -> String {
        let end = line.find(" # ").map_or(line.len(), |at| line[..at].trim_end().len());
        let (command, comment) = line.split_at(end);
        // A command that impersonates another user has no place for this one.
        let user = if command.contains(" --as ") { self.flags.find(" --as ") } else { None };
        let flags = &self.flags[..user.unwrap_or(self.flags.len())];
        format!("{command}{flags}{comment}")
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::view;

    #[test]
    fn commands_have_the_flags_of_the_command_line() {
        let mut view = view(None);
        assert_eq!(view.command("kubectl tabular run a -n bi    # run it again"), "kubectl tabular run a -n bi    # run it again");
        view.flags = " --context test --as me --as-group g".to_owned();
        let rows = [
            ("kubectl get mref -n bi", "kubectl get mref -n bi --context test --as me --as-group g"),
            ("kubectl edit mref a    # it", "kubectl edit mref a --context test --as me --as-group g    # it"),
            ("kubectl auth can-i get secret/a --as b", "kubectl auth can-i get secret/a --as b --context test"),
        ];
        for (line, expected) in rows {
            assert_eq!(view.command(line), expected);
        }
    }
}
