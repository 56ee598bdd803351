//! Removes invisible characters from log lines, because a field may contain text from users or services.

use std::io::{self, Write};

use crate::text::visible;

/// Writes each line without invisible and direction-changing characters. The subscriber writes a line with one call.
pub(super) struct VisibleWriter<W>(pub(super) W);

impl<W: Write> Write for VisibleWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(line) {
            Ok(text) => self.0.write_all(visible(text).as_bytes())?,
            Err(_) => self.0.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tracing_subscriber::fmt;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_line_has_invisible_characters() {
        let captured = Captured::default();
        let (text, json) = (captured.clone(), captured.clone());
        let layers = fmt::layer().with_ansi(false).with_writer(move || VisibleWriter(text.clone()));
        let subscriber =
            tracing_subscriber::registry().with(layers).with(fmt::layer().json().with_writer(move || VisibleWriter(json.clone())));
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(error = %"unknown variant `Pre\u{202e}tpme\u{200b}`", name = ?"sales\u{2066}", "failed \u{feff}to decode");
        });
        let lines = String::from_utf8(captured.0.lock().clone()).unwrap();
        assert_eq!(lines.lines().count(), 2);
        assert_eq!(lines.matches("unknown variant `Pretpme`").count(), 2, "{lines}");
        assert!(lines.is_ascii(), "{lines:?}");
    }
}
