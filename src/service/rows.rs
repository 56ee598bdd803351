//! The rows of a list as they arrive, one at a time: 30 days of refreshes are never in memory together.

/// How much is kept of one row. A row of Power BI has the error of each attempt, as JSON inside JSON. What is left of a longer one is
/// no JSON, so its reader sees that it cannot read it.
const LONGEST_ROW: usize = 256 * 1024;

/// The names of a link to the rows that are not in this response, in lower case: `OData` version 4 has the first.
pub(super) const NEXT_PAGE: [&str; 3] = ["@odata.nextlink", "odata.nextlink", "nextlink"];

/// Why a list cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RowFault;

/// Takes a JSON array apart, whatever pieces it comes in. It may stand alone, or as the `value` of an object
/// (as `OData` has it): the Power BI documentation shows the one, and the service sends the other.
///
/// Only brackets, commas and texts are told apart here; whether a row is JSON, and an object, is for its reader to say.
#[derive(Debug, Default)]
pub(super) struct Rows {
    place: Place,
    row: Vec<u8>,
    depth: usize,
    in_text: bool,
    escaped: bool,
    /// How much of a byte order mark has been seen.
    mark: usize,
    /// The object around the list, if there is one.
    envelope: Option<Envelope>,
}

#[derive(Debug, Default)]
struct Envelope {
    /// The beginning of the last text that stood in it directly, since the last comma: before a value, the value's name.
    name: Vec<u8>,
    /// Whether the text that is being read is the link to a next page.
    in_link: bool,
    listed: bool,
    linked: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Before,
    /// In the object around the list, before or after the list.
    Around,
    /// After the opening bracket: a row or the end.
    RowOrEnd,
    /// After a comma: a row.
    Row,
    Inside,
    /// Inside a row that is no object: it ends before a comma or the end.
    InsideOther,
    /// After a row: a comma or the end.
    CommaOrEnd,
    After,
}

impl Rows {
    /// Takes the next piece of the answer, and gives each row that it completes to `take`.
    pub(super) fn feed(&mut self, piece: &[u8], mut take: impl FnMut(&[u8]) -> Result<(), RowFault>) -> Result<(), RowFault> {
        for &byte in piece {
            if self.place == Place::InsideOther {
                let between = self.depth == 0 && !self.in_text;
                match byte {
                    b',' | b']' if between => {
                        take(&self.row)?;
                        self.row.clear();
                        self.place = Place::CommaOrEnd;
                    }
                    b'}' if between => return Err(RowFault),
                    _ => {
                        self.inside(byte);
                        continue;
                    }
                }
            }
            if self.place == Place::Inside {
                self.inside(byte);
                if self.depth == 0 {
                    take(&self.row)?;
                    self.row.clear();
                    self.place = Place::CommaOrEnd;
                }
                continue;
            }
            if self.place == Place::Around {
                self.around(byte)?;
                continue;
            }
            self.place = match (self.place, byte) {
                (place, b' ' | b'\t' | b'\r' | b'\n') => place,
                (Place::Before, 0xef | 0xbb | 0xbf) if b"\xef\xbb\xbf".get(self.mark) == Some(&byte) => {
                    self.mark += 1;
                    Place::Before
                }
                (Place::Before, b'[') => Place::RowOrEnd,
                (Place::Before, b'{') => {
                    (self.envelope, self.depth) = (Some(Envelope::default()), 1);
                    Place::Around
                }
                (Place::RowOrEnd | Place::CommaOrEnd, b']') if self.envelope.is_some() => {
                    self.depth = 1;
                    Place::Around
                }
                (Place::RowOrEnd | Place::CommaOrEnd, b']') => Place::After,
                (Place::CommaOrEnd, b',') => Place::Row,
                (Place::RowOrEnd | Place::Row, b'{') => {
                    self.row.push(byte);
                    self.depth = 1;
                    Place::Inside
                }
                (Place::RowOrEnd | Place::Row, b'n' | b't' | b'f' | b'-' | b'0'..=b'9' | b'"' | b'[') => {
                    self.depth = 0;
                    self.inside(byte);
                    Place::InsideOther
                }
                _ => return Err(RowFault),
            };
        }
        Ok(())
    }

    fn inside(&mut self, byte: u8) {
        if self.row.len() < LONGEST_ROW {
            self.row.push(byte);
        }
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_text => self.escaped = true,
            b'"' => self.in_text = !self.in_text,
            b'{' | b'[' if !self.in_text => self.depth += 1,
            b'}' | b']' if !self.in_text => self.depth -= 1,
            _ => {}
        }
    }

    fn around(&mut self, byte: u8) -> Result<(), RowFault> {
        let Some(envelope) = self.envelope.as_mut() else {
            return Err(RowFault);
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
                    return Err(RowFault);
                }
                envelope.listed = true;
                self.place = Place::RowOrEnd;
            }
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth -= 1;
                if self.depth == 0 {
                    self.place = Place::After;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether the service says that there are more rows elsewhere.
    pub(super) fn go_on(&self) -> bool {
        self.envelope.as_ref().is_some_and(|envelope| envelope.linked)
    }

    /// Whether the list has come to its end.
    pub(super) fn complete(&self) -> bool {
        self.place == Place::After && self.envelope.as_ref().is_none_or(|envelope| envelope.listed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// The rows of a list that comes in pieces of `size` bytes; `None` where it cannot be read to its end.
    fn split(text: &[u8], size: usize) -> Option<Vec<Value>> {
        let (mut rows, mut found) = (Rows::default(), Vec::new());
        for piece in text.chunks(size.max(1)) {
            let taken = rows.feed(piece, |row| {
                found.push(serde_json::from_slice(row).map_err(|_| RowFault)?);
                Ok(())
            });
            taken.ok()?;
        }
        rows.complete().then_some(found)
    }

    #[test]
    fn a_list_is_taken_apart() {
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
        assert_eq!(split(format!(r#"[{{"a":"{}"}}]"#, "x".repeat(LONGEST_ROW)).as_bytes(), 1000), None);
    }

    #[test]
    fn a_link_to_a_next_page_is_noticed() {
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
                let mut rows = Rows::default();
                for piece in text.as_bytes().chunks(size) {
                    rows.feed(piece, |_| Ok(())).unwrap();
                }
                assert_eq!((rows.complete(), rows.go_on()), (true, expected), "{text}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_list_of_objects_comes_apart_as_it_is(texts in proptest::collection::vec("\\PC*", 0..8), size in 1usize..40) {
            let list: Vec<Value> = texts.iter().map(|text| json!({text: [text, {"n": text}]})).collect();
            let text = serde_json::to_vec(&list).unwrap();
            prop_assert_eq!(split(&text, size), Some(list.clone()));
            let text = serde_json::to_vec(&json!({"@odata.context": texts, "value": list})).unwrap();
            prop_assert_eq!(split(&text, size), Some(list));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), size in 1usize..40) {
            let agreed = serde_json::from_slice::<Vec<Value>>(&bytes).is_ok();
            // Of the object around a list, only what leads to the list is looked at.
            if bytes.trim_ascii_start().first() != Some(&b'{') {
                prop_assert_eq!(split(&bytes, size).is_some(), agreed);
            }
        }
    }
}
