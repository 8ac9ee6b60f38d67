//! Groups that no rule names.

use std::collections::HashSet;

use callgate_policy::document::{Code, Finding};

use super::{
    Remarks,
    set::{Set, text},
};

pub(super) fn check(set: &Set<'_>, remarks: &mut Remarks) {
    let rules = set
        .rules()
        .flat_map(|rules| rules.allow.iter().chain(&rules.deny));
    let named: HashSet<&str> = rules
        .flat_map(|rule| &rule.spec.from)
        .map(|from| from.text.as_str())
        .collect();
    for document in set.documents() {
        if text(document, &["kind"]).is_none_or(|(kind, _)| kind != "CallerGroup") {
            continue;
        }
        if let Some((name, span)) = text(document, &["metadata", "name"])
            && !named.contains(name)
        {
            let message = format!("no rule names the group `{name}`");
            let finding = Finding::new(Code::UnusedGroup, span, message);
            remarks
                .found
                .push(finding.help("remove it, or name it in a `from`"));
        }
    }
}
