//! The rows of a list, parsed one at a time as they arrive. 30 days of refreshes are therefore never in memory at the same time.

/// Maximum size of one row. A truncated row is invalid JSON, so the parser detects it.
const MAX_ROW_BYTES: usize = 256 * 1024;

/// Maximum size of a row up to which its texts are complete. A row of Power BI contains the errors of each attempt, as JSON inside JSON.
/// Texts beyond this size are shortened, so that the state and the times of the row stay readable.
const MAX_TEXT_BYTES: usize = 192 * 1024;

/// Maximum size of a text beyond that: more than a name, an id, a status or a time has.
const MAX_SHORT_TEXT_BYTES: usize = 256;

/// The end of a shortened text. It ensures that the text is never equal to a complete one.
const ELLIPSIS: &[u8] = b"...";

/// The names of a link to the next page, in lower case. `OData` version 4 uses the first one.
pub(in crate::azure) const NEXT_PAGE: [&str; 3] = ["@odata.nextlink", "odata.nextlink", "nextlink"];

/// A list is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::azure) struct MalformedArray;

/// Splits a JSON array into rows, in chunks of any size. The array may be the document, or the `value` of an object (as in `OData`): the
/// Power BI documentation shows one form, and the service sends the other.
///
/// Recognizes only brackets, commas and strings. The parser of a row checks whether it is JSON and an object.
#[derive(Debug, Default)]
pub(in crate::azure) struct JsonArrayReader {
    position: Position,
    row: Vec<u8>,
    depth: usize,
    in_text: bool,
    escaped: bool,
    /// Number of digits that follow in the current escape.
    hex_digits: u8,
    /// Size of the current text of a row, without what was left out.
    text_length: usize,
    /// Whether the rest of the current text of a row is left out.
    shortened: bool,
    /// How much of a byte order mark has arrived.
    mark: usize,
    /// The object around the list, if any.
    envelope: Option<Envelope>,
}

#[derive(Debug, Default)]
struct Envelope {
    /// The start of the last string directly in the object since the last comma: before a value, the name of the value.
    name: Vec<u8>,
    /// Whether the current string is the link to a next page.
    in_link: bool,
    listed: bool,
    linked: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Position {
    #[default]
    Before,
    /// In the object around the list, before or after the list.
    Around,
    /// After the opening bracket: a row or the end.
    RowOrEnd,
    /// After a comma: a row.
    Row,
    Inside,
    /// Inside a row that is not an object. It ends before a comma or the end.
    InsideOther,
    /// After a row: a comma or the end.
    CommaOrEnd,
    After,
}

impl JsonArrayReader {
    /// Parses the next chunk, and passes each completed row to `take`.
    pub(in crate::azure) fn feed(
        &mut self,
        piece: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), MalformedArray>,
    ) -> Result<(), MalformedArray> {
        for &byte in piece {
            if self.position == Position::InsideOther {
                let between = self.depth == 0 && !self.in_text;
                match byte {
                    b',' | b']' if between => {
                        take(&self.row)?;
                        self.row.clear();
                        self.position = Position::CommaOrEnd;
                    }
                    b'}' if between => return Err(MalformedArray),
                    _ => {
                        self.inside(byte);
                        continue;
                    }
                }
            }
            if self.position == Position::Inside {
                self.inside(byte);
                if self.depth == 0 {
                    take(&self.row)?;
                    self.row.clear();
                    self.position = Position::CommaOrEnd;
                }
                continue;
            }
            if self.position == Position::Around {
                self.around(byte)?;
                continue;
            }
            self.position = match (self.position, byte) {
                (position, b' ' | b'\t' | b'\r' | b'\n') => position,
                (Position::Before, 0xef | 0xbb | 0xbf) if b"\xef\xbb\xbf".get(self.mark) == Some(&byte) => {
                    self.mark += 1;
                    Position::Before
                }
                (Position::Before, b'[') => Position::RowOrEnd,
                (Position::Before, b'{') => {
                    (self.envelope, self.depth) = (Some(Envelope::default()), 1);
                    Position::Around
                }
                (Position::RowOrEnd | Position::CommaOrEnd, b']') if self.envelope.is_some() => {
                    self.depth = 1;
                    Position::Around
                }
                (Position::RowOrEnd | Position::CommaOrEnd, b']') => Position::After,
                (Position::CommaOrEnd, b',') => Position::Row,
                (Position::RowOrEnd | Position::Row, b'{') => {
                    self.row.push(byte);
                    self.depth = 1;
                    Position::Inside
                }
                (Position::RowOrEnd | Position::Row, b'n' | b't' | b'f' | b'-' | b'0'..=b'9' | b'"' | b'[') => {
                    self.depth = 0;
                    self.inside(byte);
                    Position::InsideOther
                }
                _ => return Err(MalformedArray),
            };
        }
        Ok(())
    }

    fn inside(&mut self, byte: u8) {
        if self.in_text {
            self.inside_text(byte);
            return;
        }
        self.keep(byte);
        match byte {
            b'"' => (self.in_text, self.shortened, self.text_length) = (true, false, 0),
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
    }

    fn inside_text(&mut self, byte: u8) {
        let in_escape = self.escaped || self.hex_digits > 0;
        match byte {
            _ if self.escaped => (self.escaped, self.hex_digits) = (false, if byte == b'u' { 4 } else { 0 }),
            b'"' => {
                (self.in_text, self.hex_digits) = (false, 0);
                self.keep(byte);
                return;
            }
            _ => (self.escaped, self.hex_digits) = (byte == b'\\', self.hex_digits.saturating_sub(1)),
        }
        if self.shortened {
            return;
        }
        // Half an escape is invalid.
        if in_escape || self.row.len() < MAX_TEXT_BYTES || self.text_length < MAX_SHORT_TEXT_BYTES {
            self.text_length += 1;
            self.keep(byte);
        } else {
            self.shortened = true;
            for byte in ELLIPSIS {
                self.keep(*byte);
            }
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.row.len() < MAX_ROW_BYTES {
            self.row.push(byte);
        }
    }

    fn around(&mut self, byte: u8) -> Result<(), MalformedArray> {
        let Some(envelope) = self.envelope.as_mut() else {
            return Err(MalformedArray);
        };
        if self.in_text {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_text = false,
                _ if envelope.in_link => envelope.linked = true,
                _ if self.depth == 1 && envelope.name.len() < 16 => envelope.name.push(byte),
                _ => {}
            }
            return Ok(());
        }
        match byte {
            b'"' => {
                self.in_text = true;
                envelope.in_link = self.depth == 1 && NEXT_PAGE.iter().any(|name| envelope.name.eq_ignore_ascii_case(name.as_bytes()));
                if self.depth == 1 {
                    envelope.name.clear();
                }
            }
            b',' if self.depth == 1 => envelope.name.clear(),
            b'[' if self.depth == 1 && envelope.name.eq_ignore_ascii_case(b"value") => {
                if envelope.listed {
                    return Err(MalformedArray);
                }
                envelope.listed = true;
                self.position = Position::RowOrEnd;
            }
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth -= 1;
                if self.depth == 0 {
                    self.position = Position::After;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether the service has more rows on another page.
    pub(in crate::azure) fn has_next_page(&self) -> bool {
        self.envelope.as_ref().is_some_and(|envelope| envelope.linked)
    }

    /// Whether the list is complete.
    pub(in crate::azure) fn is_complete(&self) -> bool {
        self.position == Position::After && self.envelope.as_ref().is_none_or(|envelope| envelope.listed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// The rows of a list that arrives in chunks of `size` bytes; `None` if it is malformed or incomplete.
    fn split(text: &[u8], size: usize) -> Option<Vec<Value>> {
        let (mut rows, mut found) = (JsonArrayReader::default(), Vec::new());
        for piece in text.chunks(size.max(1)) {
            let taken = rows.feed(piece, |row| {
                found.push(serde_json::from_slice(row).map_err(|_| MalformedArray)?);
                Ok(())
            });
            taken.ok()?;
        }
        rows.is_complete().then_some(found)
    }

    #[test]
    fn list_is_split_into_rows() {
        let rows = [
            ("[]", Some(0)),
            ("\u{feff} [ {} ]\n", Some(1)),
            (r#"[{"a":"]}\"{"},{"b":[{"c":{}}]}]"#, Some(2)),
            ("", None),
            ("[", None),
            ("[{}", None),
            ("[{},]", None),
            ("[{}{}]", None),
            ("[,{}]", None),
            ("[1]", Some(1)),
            (r#"[null, {"a":1} ,-1.5e3,true,"a]}\\\"," , [1,{"b":"]"}]]"#, Some(6)),
            ("[null", None),
            ("[null}", None),
            ("[nul]", None),
            ("[1 2]", None),
            ("[null,]", None),
            (r#"{"value":[null]}"#, Some(1)),
            ("{}", None),
            (r#"{"value":[]}"#, Some(0)),
            (r#" {"@odata.context":"a[\"]{","Value" : [{"value":[1]},{}] , "n":{"value":[1,{}]}} "#, Some(2)),
            (r#"{"value":[{}]"#, None),
            (r#"{"value":[{}]}x"#, None),
            (r#"{"value":[{}],"value":[{}]}"#, None),
            (r#"{"values":[{}]}"#, None),
            (r#"{"value":{"value":[{}]}}"#, None),
            (r#"{"value":null}"#, None),
            ("[{}]x", None),
            ("[{\"a\":}]", None),
            ("<html>", None),
        ];
        for (text, expected) in rows {
            for size in [1, 3, 100] {
                assert_eq!(split(text.as_bytes(), size).map(|rows| rows.len()), expected, "{text}");
            }
        }
        assert_eq!(split(format!(r#"[{{"a":[{}0]}}]"#, "0,".repeat(MAX_ROW_BYTES)).as_bytes(), 1000), None);
    }

    #[test]
    fn long_texts_are_shortened_between_escapes() {
        for unit in ["x", "\\n", "\\\\", "\\\"", "\\u00e9"] {
            for before in 0..6 {
                let long = format!("{}{}", "y".repeat(before), unit.repeat(MAX_ROW_BYTES / unit.len()));
                let other = unit.repeat(400);
                let row = format!(r#"{{"a":"{long}","b":[{{"c":"{other}"}}],"status":"Completed","{other}":1}}"#);
                let rows = split(format!("[{row},{{}}]").as_bytes(), 1000).unwrap();
                let length = |text: &Value| text.as_str().filter(|text| text.ends_with("...")).map(str::len);
                assert!(length(&rows[0]["a"]).is_some_and(|length| length > MAX_TEXT_BYTES / 6), "{unit}");
                assert!(length(&rows[0]["b"][0]["c"]).is_some_and(|length| length < 300), "{unit}");
                assert_eq!(
                    (rows.len(), rows[0]["status"].as_str(), rows[0].as_object().unwrap().len()),
                    (2, Some("Completed"), 4),
                    "{unit}"
                );
            }
        }
        let complete = format!(r#"[{{"a":"{}","b":"{}"}}]"#, "x".repeat(MAX_TEXT_BYTES - 100), "y".repeat(MAX_SHORT_TEXT_BYTES));
        assert_eq!(split(complete.as_bytes(), 1000), serde_json::from_str(&complete).ok());
    }

    #[test]
    fn link_to_next_page_is_detected() {
        let rows = [
            ("[{}]", false),
            (r#"{"value":[{}]}"#, false),
            (r#"{"value":[{}],"@odata.nextLink":"https://x/?$skip=1"}"#, true),
            (r#"{"@odata.NextLink" : "x","value":[{}]}"#, true),
            (r#"{"value":[{}],"nextLink":"x"}"#, true),
            (r#"{"value":[{}],"odata.nextLink":"x"}"#, true),
            (r#"{"value":[{}],"@odata.nextLink":null,"a":"b"}"#, false),
            (r#"{"value":[{}],"@odata.nextLink":""}"#, false),
            (r#"{"value":[{"@odata.nextLink":"x"}],"a":{"nextLink":"x"},"b":"@odata.nextLink"}"#, false),
        ];
        for (text, expected) in rows {
            for size in [1, 3, 100] {
                let mut rows = JsonArrayReader::default();
                for piece in text.as_bytes().chunks(size) {
                    rows.feed(piece, |_| Ok(())).unwrap();
                }
                assert_eq!((rows.is_complete(), rows.has_next_page()), (true, expected), "{text}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_list_of_objects_is_split_unchanged(texts in proptest::collection::vec("\\PC*", 0..8), size in 1usize..40) {
            let list: Vec<Value> = texts.iter().map(|text| json!({text: [text, {"n": text}]})).collect();
            let text = serde_json::to_vec(&list).unwrap();
            prop_assert_eq!(split(&text, size), Some(list.clone()));
            let text = serde_json::to_vec(&json!({"@odata.context": texts, "value": list})).unwrap();
            prop_assert_eq!(split(&text, size), Some(list));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), size in 1usize..40) {
            let agreed = serde_json::from_slice::<Vec<Value>>(&bytes).is_ok();
            // In the object around a list, only the part that leads to the list is checked.
            if bytes.trim_ascii_start().first() != Some(&b'{') {
                prop_assert_eq!(split(&bytes, size).is_some(), agreed);
            }
        }
    }
}
