//! A resource as the API server gives it, with whatever anybody has written into it: spec, annotations and status.

use tabular_operator::api::Kind;
use tabular_operator::controller::outside;
use tabular_operator::engine::{Effect, Seen, Turn};

use crate::{laws, record};

/// How many decisions are made on one.
const DECISIONS: usize = 6;

/// A resource in JSON: the decision bears it, and comes to rest or to a question.
pub fn resource(input: &[u8]) {
    for kind in [Kind::ModelRefresh, Kind::ModelSync] {
        let Ok(mut resource) = outside::resource(kind, input) else { continue };
        let mut seen = Seen::Nothing;
        for _ in 0..DECISIONS {
            let step = record::decide_on(&resource, seen);
            laws::readable(&step.recorded);
            seen = match step.effect {
                Effect::TakeTurn => Seen::Turn(Turn::Granted),
                Effect::Nothing
                | Effect::AddFinalizer
                | Effect::RemoveAnnotation(_)
                | Effect::Submit
                | Effect::Resolve
                | Effect::FindModel
                | Effect::Look(_)
                | Effect::List(..)
                | Effect::Cancel(_)
                | Effect::Release => break,
            };
            resource = resource.with_status(&step.recorded);
        }
    }
}
