//! How the service may show operations.

use crate::world::{Appearance, ClientRequest};

/// Operations of other clients, and how the service shows them. Each differs from the operator's own by what it does or by who started it,
/// but the service may not show the difference.
pub(crate) const OTHERS: [(ClientRequest, Appearance); 20] = [
    (ClientRequest::Same, Appearance::UnknownOrigin),
    (ClientRequest::Same, Appearance::External),
    (ClientRequest::Same, Appearance::ExternalWithoutId),
    (ClientRequest::OtherType, Appearance::Plain),
    (ClientRequest::OtherType, Appearance::UnknownOrigin),
    (ClientRequest::OtherType, Appearance::WithoutId),
    (ClientRequest::OtherType, Appearance::WithoutType),
    (ClientRequest::OtherType, Appearance::UndocumentedType),
    (ClientRequest::OtherType, Appearance::WithoutStart),
    (ClientRequest::OtherType, Appearance::WithoutEnd),
    (ClientRequest::OtherType, Appearance::LateStart),
    (ClientRequest::OtherType, Appearance::EarlyStart),
    (ClientRequest::OtherType, Appearance::Incomplete),
    (ClientRequest::OtherWhitespace, Appearance::Plain),
    (ClientRequest::OtherWhitespace, Appearance::OtherCase),
    (ClientRequest::OtherWhitespace, Appearance::WithoutObjects),
    (ClientRequest::OtherEncoding, Appearance::Plain),
    (ClientRequest::OtherEncoding, Appearance::OtherWhitespace),
    (ClientRequest::MoreObjects, Appearance::Plain),
    (ClientRequest::MoreObjects, Appearance::WithoutObjects),
];

/// How the service may show the operator's own operation: never with an origin that it does not have, nor with an earlier start.
pub(crate) const OURS: [Appearance; 12] = [
    Appearance::UnknownOrigin,
    Appearance::WithoutId,
    Appearance::WithoutType,
    Appearance::UndocumentedType,
    Appearance::WithoutObjects,
    Appearance::WithoutStart,
    Appearance::LateStart,
    Appearance::WithoutEnd,
    Appearance::Incomplete,
    Appearance::OtherCase,
    Appearance::OtherWhitespace,
    Appearance::OtherEncoding,
];
