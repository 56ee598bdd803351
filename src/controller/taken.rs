//! Which operations are certainly another resource's: none of them is adopted, and of those that one watches none is cancelled as a
//! stranger's.

use kube::ResourceExt as _;

use super::context::Context;
use super::departed::Named;
use super::resource::Resource;
use crate::engine::Taken;
use crate::operation::OperationKind;

/// The operations of this kind that other resources follow, have followed, or may have begun by a submission that is unknown, and
/// those that were let go: none of them can be this resource's. While an unknown submission is held nobody else of ours submits on its
/// model before its candidates are on record, so that none of them is a later one's.
pub(super) fn by_others(ctx: &Context, object: &Resource, kind: OperationKind, model: &str) -> Taken {
    let own = object.uid();
    let mut taken = ctx.departed.of_others(own.as_deref(), (kind, model), |uid| ctx.orphans.follows(uid));
    ctx.each_resource(|other| {
        if other.uid() != own
            && other.operation() == kind
            && let Some(mut named) = Named::by(other).filter(|named| named.counts_for(kind, model))
        {
            taken.watched.append(&mut named.ids);
        }
    });
    taken
}
