//! From cases to as few rules as they can be told in.

use super::{
    draft::Call,
    formula::Case,
    shape::{Shape, distinct},
};

/// Cases that make one rule.
pub(super) struct Group {
    /// Everybody if `None`.
    pub(super) from: Option<Vec<Shape>>,
    pub(super) to: Vec<Call>,
    pub(super) when: Option<String>,
}

/// Cases with the same callers become one rule, and so do cases about the same calls.
pub(super) fn grouped(cases: Vec<Case>) -> Vec<Group> {
    let mut by_callers: Vec<Group> = Vec::new();
    for case in cases {
        let calls = calls(&case);
        let same = |group: &&mut Group| group.from == case.callers && group.when == case.when;
        match by_callers.iter_mut().find(same) {
            Some(group) => group.to.extend(calls),
            None => by_callers.push(Group {
                from: case.callers,
                to: calls,
                when: case.when,
            }),
        }
    }
    let mut by_calls: Vec<Group> = Vec::new();
    for mut group in by_callers {
        group.to = joined(group.to);
        let same = |before: &&mut Group| before.to == group.to && before.when == group.when;
        match by_calls.iter_mut().find(same) {
            Some(before) => {
                before.from = match (before.from.take(), group.from) {
                    (Some(these), Some(those)) => Some(distinct(these.into_iter().chain(those))),
                    _ => None,
                };
            }
            None => by_calls.push(group),
        }
    }
    by_calls
}

/// The same calls with one entry a path, and without what another entry covers.
pub(super) fn joined(calls: Vec<Call>) -> Vec<Call> {
    let mut by_path: Vec<Call> = Vec::new();
    for call in calls {
        match by_path.iter_mut().find(|before| before.path == call.path) {
            Some(before) => {
                before.methods = match (before.methods.take(), call.methods) {
                    (Some(these), Some(those)) => Some(&these | &those),
                    _ => None,
                };
            }
            None => by_path.push(call),
        }
    }
    let others = by_path.clone();
    by_path.retain(|call| {
        !others
            .iter()
            .any(|other| other != call && other.covers(call))
    });
    by_path
}

/// The calls of a case, a path each.
pub(super) fn calls(case: &Case) -> Vec<Call> {
    let paths = case.paths.clone().unwrap_or_else(|| vec![Call::any().path]);
    let call = |path| Call {
        methods: case.methods.clone(),
        path,
    };
    distinct(paths).into_iter().map(call).collect()
}
