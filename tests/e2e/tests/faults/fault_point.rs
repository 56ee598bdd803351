//! The requests of a run that can have a fault, as recorded in a run without faults.

use std::collections::BTreeMap;
use std::fmt;

use e2e::{RecordedRequest, Row};

/// Number of requests of one kind that are separate points: further polls or refused writes are alike.
const OF_A_SORT: usize = 4;

/// A kind of request, by its receiver.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// To the API server: verb and resource, such as `update modelrefreshes/status`.
    Api {
        /// [`RecordedRequest::signature`].
        signature: String,
    },
    /// To Azure: method and route, such as `POST refreshes`.
    Azure {
        /// The method.
        method: String,
        /// The route's name in the ledger.
        route: String,
    },
}

/// The n-th request of a kind, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultPoint {
    /// The kind.
    pub side: Side,
    /// The number.
    pub nth: usize,
}

impl fmt::Display for FaultPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sort = match &self.side {
            Side::Api { signature } => signature.trim().replace([' ', '/'], "-"),
            Side::Azure { method, route } => format!("{method}-{route}"),
        };
        write!(f, "{sort}#{}", self.nth)
    }
}

/// The points of these requests. The lease is excluded: it is not part of a run, and has its own tests.
pub fn of(api: &[RecordedRequest], azure: &[Row]) -> Vec<FaultPoint> {
    let api = api.iter().filter(|request| request.resource != "leases").map(|request| Side::Api { signature: request.signature() });
    let azure = azure.iter().map(|row| Side::Azure { method: row.method.clone(), route: row.route.clone() });
    let mut counts: BTreeMap<Side, usize> = BTreeMap::new();
    for side in api.chain(azure) {
        *counts.entry(side).or_default() += 1;
    }
    let sorts = counts.into_iter();
    sorts.flat_map(|(side, count)| (1..=count.min(OF_A_SORT)).map(move |nth| FaultPoint { side: side.clone(), nth })).collect()
}
