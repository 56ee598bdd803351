//! Damage to a documented response: fields that are missing, renamed, of another type, empty, older or in another case.
//!
//! No edit forges evidence. None gives another client's operation the type, table or start of ours, and none makes our operation
//! certainly another client's. So each case has a correct decision, which may be to require a user decision.

use jiff::SignedDuration;
use jiff::civil::DateTime;
use proptest::prelude::*;
use serde_json::{Value, json};
use tabular_operator::azure::fuzzing::ServiceResponse;

/// A change to the row or to the details of one operation. Fields are selected by index, modulo their number.
#[derive(Clone, Debug)]
pub enum Edit {
    /// A field is missing.
    Drop(usize),
    /// A field has another name.
    Rename(usize),
    /// The name of a field is in another case.
    Recase(usize),
    /// A value is in another case.
    RecaseValue(usize),
    /// A value has another JSON type.
    Retype(usize, u8),
    /// A value is empty, or the zero value of .NET.
    Empty(usize, u8),
    /// The type, `refreshType` or a status that is not final has an undocumented value.
    Unknown(usize),
    /// The start or the end is this many seconds earlier. Only for another client's operation: ours would appear older than its submission.
    Age(&'static str, i64),
    /// The names of all tables differ in spaces, case or Unicode form. Only for our operation: another client's might become ours.
    Names(u8),
    /// The objects, partitions or tables are missing, nested or in another case.
    Objects(u8),
    /// The details are refused or invalid.
    Details(u8),
}

/// An edit of the operation with this index, in its row or its details, in a range of lists.
#[derive(Clone, Debug)]
pub struct PlacedEdit {
    pub op: usize,
    pub in_row: bool,
    pub lists: std::ops::Range<usize>,
    pub edit: Edit,
}

/// Generates any edit.
pub fn edit() -> impl Strategy<Value = PlacedEdit> {
    let field = 0..12_usize;
    let edits = prop_oneof![
        4 => field.clone().prop_map(Edit::Drop),
        2 => field.clone().prop_map(Edit::Rename),
        2 => field.clone().prop_map(Edit::Recase),
        3 => field.clone().prop_map(Edit::RecaseValue),
        3 => (field.clone(), any::<u8>()).prop_map(|(field, to)| Edit::Retype(field, to)),
        3 => (field.clone(), any::<u8>()).prop_map(|(field, to)| Edit::Empty(field, to)),
        2 => field.prop_map(Edit::Unknown),
        2 => (prop_oneof![Just("startTime"), Just("endTime")], 1..400_000_i64).prop_map(|(field, by)| Edit::Age(field, by)),
        2 => any::<u8>().prop_map(Edit::Names),
        3 => any::<u8>().prop_map(Edit::Objects),
        2 => any::<u8>().prop_map(Edit::Details),
    ];
    let lists = prop_oneof![Just(0..usize::MAX), (0..9_usize, 1..9_usize).prop_map(|(from, count)| from..from + count)];
    (0..4_usize, any::<bool>(), lists, edits).prop_map(|(op, in_row, lists, edit)| PlacedEdit { op, in_row, lists, edit })
}

/// Applies an edit to a row or details. `ours` states whether they belong to our operation.
pub fn apply(edit: &Edit, ours: bool, value: &mut Value) {
    let Some(fields) = value.as_object_mut().filter(|fields| !fields.is_empty()) else { return };
    let key = |index: &usize| fields.keys().nth(index % fields.len()).unwrap().clone();
    match edit {
        Edit::Drop(index) => {
            let key = key(index);
            fields.remove(&key);
        }
        Edit::Rename(index) => {
            let key = key(index);
            let value = fields.remove(&key).unwrap();
            fields.insert(format!("{key}_v2"), value);
        }
        Edit::Recase(index) => {
            let key = key(index);
            let value = fields.remove(&key).unwrap();
            fields.insert(key.to_ascii_uppercase(), value);
        }
        Edit::RecaseValue(index) => recase(fields.get_mut(&key(index)).unwrap()),
        Edit::Retype(index, to) => {
            let value = fields.get_mut(&key(index)).unwrap();
            let old = value.take();
            *value = [json!([old]), json!({"value": old}), json!(7), json!(true), json!(null)][usize::from(*to) % 5].clone();
        }
        Edit::Empty(index, to) => {
            *fields.get_mut(&key(index)).unwrap() =
                [json!(""), json!(" "), json!([]), json!({}), json!("0001-01-01T00:00:00")][usize::from(*to) % 5].clone();
        }
        Edit::Unknown(index) => {
            let key = ["type", "refreshType", "status", "extendedStatus"][index % 4];
            let is_end = |value: &Value| ["succeeded", "failed", "Completed", "Failed"].iter().any(|end| value == end);
            if let Some(value) = fields.get_mut(key).filter(|value| !is_end(value)) {
                *value = json!("SomethingNew");
            }
        }
        Edit::Age(field, seconds) => {
            let time = fields.get(*field).and_then(Value::as_str).and_then(|text| text.trim_end_matches('Z').parse().ok());
            if let Some(time) = time.filter(|_: &DateTime| !ours) {
                fields.insert((*field).to_owned(), json!((time - SignedDuration::from_secs(*seconds)).to_string()));
            }
        }
        Edit::Names(variant) => {
            let of_objects = fields.get_mut("objects").and_then(Value::as_array_mut).filter(|_| ours);
            for table in of_objects.into_iter().flatten().filter_map(|object| object.get_mut("table")) {
                let name = table.as_str().unwrap_or_default().to_owned();
                let variants = [
                    name.trim().to_owned(),
                    format!("{name} "),
                    name.replace(' ', "\u{a0}"),
                    name.replace('\u{f6}', "o\u{308}"),
                    format!("\u{feff}{name}"),
                    name.to_uppercase(),
                    name.replace('\u{f6}', "\u{fffd}"),
                ];
                *table = json!(variants[usize::from(*variant) % variants.len()]);
            }
        }
        Edit::Objects(variant) => {
            let objects = fields.get_mut("objects").and_then(Value::as_array_mut);
            let Some(objects) = objects else { return };
            match variant % 5 {
                0 => objects.clear(),
                1 => objects.iter_mut().for_each(|object| drop(object.as_object_mut().map(|object| object.remove("partition")))),
                2 => objects.iter_mut().for_each(|object| drop(object.as_object_mut().map(|object| object.remove("table")))),
                3 => objects.iter_mut().skip(1).for_each(|object| object["table"] = json!({"name": object["table"]})),
                _ => objects.iter_mut().for_each(recase),
            }
        }
        Edit::Details(_) => {}
    }
}

/// The response to a request for details, if the edit replaces it.
pub fn refused_details(edit: &Edit) -> Option<ServiceResponse> {
    let Edit::Details(variant) = edit else { return None };
    let responses = [
        (400, r#"{"error":{"code":"InvalidRequest","message":"Details are not available."}}"#),
        (403, "{}"),
        (404, ""),
        (410, "{}"),
        (500, "<html>"),
        (503, ""),
        (200, ""),
        (200, "{}"),
        (200, r#"{"status":"succ"#),
        (200, "null"),
        (204, ""),
    ];
    let (status, body) = responses[usize::from(*variant) % responses.len()];
    Some(ServiceResponse::new(status, &[("content-type", b"application/json")], body.as_bytes(), None))
}

/// Converts every text in a value to upper case.
fn recase(value: &mut Value) {
    match value {
        Value::String(text) => *text = text.to_uppercase(),
        Value::Array(values) => values.iter_mut().for_each(recase),
        Value::Object(fields) => fields.values_mut().for_each(recase),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
