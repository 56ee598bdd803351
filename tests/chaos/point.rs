//! The requests of a run at which something may go wrong, as a clean run has shown them.

use std::collections::BTreeMap;
use std::fmt;

use harness::{Row, Seen};

/// How many requests of one sort are points of their own: a poll is like the one before, and a refused write like the next.
const OF_A_SORT: usize = 4;

/// A sort of request, by the side that it goes to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// To the API server: verb and resource, such as `update modelrefreshes/status`.
    Api {
        /// [`Seen::signature`].
        signature: String,
    },
    /// To Azure: method and route, such as `POST refreshes`.
    Azure {
        /// The method.
        method: String,
        /// The ledger's word.
        route: String,
    },
}

/// The n-th request of a sort, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Which sort.
    pub side: Side,
    /// Which of them.
    pub nth: usize,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sort = match &self.side {
            Side::Api { signature } => signature.trim().replace([' ', '/'], "-"),
            Side::Azure { method, route } => format!("{method}-{route}"),
        };
        write!(f, "{sort}#{}", self.nth)
    }
}

/// The points that these requests are. The lease is not among them: it is no part of a run, and has tests of its own.
pub fn of(api: &[Seen], azure: &[Row]) -> Vec<Point> {
    let api = api.iter().filter(|seen| seen.resource != "leases").map(|seen| Side::Api { signature: seen.signature() });
    let azure = azure.iter().map(|row| Side::Azure { method: row.method.clone(), route: row.route.clone() });
    let mut counts: BTreeMap<Side, usize> = BTreeMap::new();
    for side in api.chain(azure) {
        *counts.entry(side).or_default() += 1;
    }
    let sorts = counts.into_iter();
    sorts.flat_map(|(side, count)| (1..=count.min(OF_A_SORT)).map(move |nth| Point { side: side.clone(), nth })).collect()
}
