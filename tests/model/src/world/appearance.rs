//! The operations of other clients, and how the service shows operations.

use jiff::SignedDuration;
use tabular_operator::operation::{ObjectName, Operation, Origin, RefreshRequest, Request};

use super::Seconds;

/// What another client requests, compared with a resource that requests something on the same model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClientRequest {
    /// The same.
    Same,
    /// The same objects, and another type.
    OtherType,
    /// The same type, and a table whose name differs only in whitespace.
    OtherWhitespace,
    /// The same type, and a table whose name differs only in the encoding of a letter.
    OtherEncoding,
    /// The same type, and one more table.
    MoreObjects,
}

impl ClientRequest {
    /// The request of another client, derived from this one. A request for a whole model names no tables, so none can differ.
    #[must_use]
    pub fn beside(self, request: &Request) -> Request {
        let other_type = |objects: &[ObjectName]| {
            let refresh_type = Some("calculate".to_owned());
            Request::Refresh(RefreshRequest { refresh_type, objects: objects.to_vec(), ..RefreshRequest::default() })
        };
        let Request::Refresh(request) = request else { return other_type(&[]) };
        let with = |objects: Vec<ObjectName>| {
            Request::Refresh(RefreshRequest { refresh_type: request.refresh_type.clone(), objects, ..RefreshRequest::default() })
        };
        let renamed = |edit: fn(&str) -> String| {
            let renamed = |object: &ObjectName| ObjectName { table: edit(&object.table), partition: object.partition.clone() };
            with(request.objects.iter().map(renamed).collect())
        };
        match self {
            Self::Same => Request::Refresh(request.clone()),
            Self::OtherType => other_type(&request.objects),
            Self::OtherWhitespace | Self::OtherEncoding | Self::MoreObjects if request.objects.is_empty() => other_type(&[]),
            Self::OtherWhitespace => renamed(trimmed),
            Self::OtherEncoding => renamed(decomposed),
            Self::MoreObjects => {
                let more = ObjectName { table: "Customers".to_owned(), partition: None };
                with(request.objects.iter().cloned().chain([more]).collect())
            }
        }
    }
}

/// How much earlier or later a start may be shown, in seconds: longer than a submission can take to arrive.
pub const START_SHIFT: Seconds = 60;

/// How the service shows an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Appearance {
    /// As it is: submitted by a client of the API.
    Plain,
    /// Its row has a type that this version does not know.
    UnknownOrigin,
    /// Started by a schedule, a user or the service itself.
    External,
    /// As above, and its row has no id.
    ExternalWithoutId,
    /// Its row has no id, and may be of a client.
    WithoutId,
    /// Without a type.
    WithoutType,
    /// With a type that is not documented.
    UndocumentedType,
    /// Without objects.
    WithoutObjects,
    /// Without a start.
    WithoutStart,
    /// Without an end.
    WithoutEnd,
    /// With a later start, which may be after its end.
    LateStart,
    /// With an earlier start.
    EarlyStart,
    /// Its details cannot be read.
    Incomplete,
    /// With its names in the other case.
    OtherCase,
    /// With its names without the outer whitespace.
    OtherWhitespace,
    /// With a letter of its names in another encoding.
    OtherEncoding,
}

impl Appearance {
    /// The origin that the service shows.
    #[must_use]
    pub fn origin(self) -> Origin {
        match self {
            Self::UnknownOrigin => Origin::Unknown,
            Self::External | Self::ExternalWithoutId => Origin::External,
            Self::Plain
            | Self::WithoutId
            | Self::WithoutType
            | Self::UndocumentedType
            | Self::WithoutObjects
            | Self::WithoutStart
            | Self::WithoutEnd
            | Self::LateStart
            | Self::EarlyStart
            | Self::Incomplete
            | Self::OtherCase
            | Self::OtherWhitespace
            | Self::OtherEncoding => Origin::Client,
        }
    }

    /// Whether a list with such an operation is in the order of its starts.
    #[must_use]
    pub fn keeps_order(self) -> bool {
        !matches!(self, Self::LateStart | Self::EarlyStart)
    }

    /// Changes the description of an operation accordingly.
    pub(super) fn apply_to(self, operation: &mut Operation) {
        let by = SignedDuration::from_secs(START_SHIFT);
        let renamed = |operation: &mut Operation, edit: fn(&str) -> String| {
            operation.objects.iter_mut().for_each(|object| object.name.table = edit(&object.name.table));
        };
        operation.origin = self.origin();
        match self {
            Self::Plain | Self::UnknownOrigin | Self::WithoutId => {}
            // The details of such a refresh are not requested.
            Self::External | Self::ExternalWithoutId => (operation.refresh_type, operation.objects) = (None, Vec::new()),
            Self::WithoutType => operation.refresh_type = None,
            Self::UndocumentedType => operation.refresh_type = Some("reframe".to_owned()),
            Self::WithoutObjects => operation.objects.clear(),
            Self::WithoutStart => operation.start = None,
            Self::WithoutEnd => operation.end = None,
            Self::LateStart => operation.start = operation.start.and_then(|start| start.checked_add(by).ok()),
            Self::EarlyStart => operation.start = operation.start.and_then(|start| start.checked_sub(by).ok()),
            Self::Incomplete => (operation.refresh_type, operation.objects, operation.incomplete) = (None, Vec::new(), true),
            Self::OtherCase => renamed(operation, str::to_uppercase),
            Self::OtherWhitespace => renamed(operation, trimmed),
            Self::OtherEncoding => renamed(operation, decomposed),
        }
    }
}

/// A name without the whitespace around it.
fn trimmed(name: &str) -> String {
    name.trim().to_owned()
}

/// A name with its umlaut as two characters.
fn decomposed(name: &str) -> String {
    name.replace('\u{f6}', "o\u{308}")
}
