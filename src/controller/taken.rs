//! Which operations are certainly another resource's, so that none of them is adopted or cancelled as a stranger's.

use std::collections::BTreeSet;

use kube::ResourceExt as _;

use super::context::Context;
use super::departed::named_by;
use super::resource::Resource;
use crate::api::Model;
use crate::operation::OperationKind;

/// The ids, in lower case, of operations of this kind that other resources follow, have followed, or may have begun by a submission
/// that is unknown: none of them can be this resource's. While an unknown submission is held nobody else of ours submits on its model
/// before its candidates are on record, so that none of them is a later one's.
pub(super) fn by_others(ctx: &Context, object: &Resource, kind: OperationKind, model: &str) -> BTreeSet<String> {
    let own = object.uid();
    let mut taken = match kind {
        OperationKind::Refresh => ctx.departed.of_others(own.as_deref()),
        OperationKind::Sync => BTreeSet::new(),
    };
    ctx.each_resource(|other| {
        // The services count refreshes and synchronisations apart.
        let Some(status) = other.status().filter(|_| other.uid() != own && other.operation() == kind) else { return };
        // A refresh's id is unique, and its resource may have moved to another model since. A synchronisation's may be the client's
        // own word for a state of its model, so it counts on that model alone.
        let is_meant = |named: &Model| named.key() == model;
        let may_be_meant = match kind {
            OperationKind::Refresh => true,
            OperationKind::Sync => status.run.as_ref().is_some_and(|run| is_meant(&run.model)) || other.model().is_some_and(is_meant),
        };
        if may_be_meant {
            taken.append(&mut named_by(status));
        }
    });
    taken
}
