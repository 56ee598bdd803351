//! Accessors of a resource for assertions; they panic if the value is missing.

use serde_json::Value;
use tabular_operator::api::{ConditionStatus, ConditionType, Run, RunState, Status};

use crate::AnyObject;

/// The state of the latest run of a resource.
#[must_use]
pub fn run_state(object: &AnyObject) -> Option<RunState> {
    object.status.as_ref()?.run.as_ref().map(|run| run.state)
}

/// The latest run. Panics if it is missing.
#[must_use]
pub fn run(object: &AnyObject) -> &Run {
    status(object).run.as_ref().expect("there is a run")
}

/// The status of a condition; `None` where it is absent.
#[must_use]
pub fn condition(object: &AnyObject, wanted: ConditionType) -> Option<ConditionStatus> {
    status(object).conditions.iter().find(|condition| condition.r#type == wanted).map(|condition| condition.status)
}

/// The status. Panics if it is missing.
#[must_use]
pub fn status(object: &AnyObject) -> &Status {
    object.status.as_ref().expect("there is a status")
}

/// `over` merged into `base`, object by object; `null` removes.
#[must_use]
pub fn merged(base: &Value, over: &Value) -> Value {
    let (Value::Object(base), Value::Object(over)) = (base, over) else { return over.clone() };
    let mut merged = base.clone();
    for (name, value) in over {
        if value.is_null() {
            merged.remove(name);
        } else {
            let laid = merged.get(name).map_or_else(|| value.clone(), |below| self::merged(below, value));
            merged.insert(name.clone(), laid);
        }
    }
    Value::Object(merged)
}
