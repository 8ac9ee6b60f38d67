//! `from: [/**]`: whoever there is in a trust domain.

use callgate_policy::{
    CallerPattern,
    document::{Code, Finding},
    spec::FromSpec,
};

use super::{
    Remarks,
    set::{Rule, Set},
};

pub(super) fn check(set: &Set<'_>, remarks: &mut Remarks) {
    for rule in set.rules().flat_map(|rules| &rules.allow) {
        for (index, from) in rule.spec.from.iter().enumerate() {
            if let Some(pattern) = from.callers.patterns().iter().find(|one| is_domain(one)) {
                remarks.found.push(finding(rule, index, from, pattern));
            }
        }
    }
}

fn finding(rule: &Rule<'_>, index: usize, from: &FromSpec, pattern: &CallerPattern) -> Finding {
    let whole = pattern.to_string();
    let by = if from.text.contains('/') {
        format!("`{}`", from.text)
    } else {
        format!("the group `{}`, by its member `{whole}`,", from.text)
    };
    let message = format!("{by} lets in all of the trust domain `{}`", domain(&whole));
    Finding::new(Code::WholeTrustDomain, rule.at_from(index), message)
        .label("every workload, those of tomorrow too")
        .help("name who calls; if it is meant for all, say why: `# callgate: allow CG505 REASON`")
}

fn domain(pattern: &str) -> &str {
    let rest = pattern.strip_prefix("spiffe://").unwrap_or(pattern);
    rest.split('/').next().unwrap_or(rest)
}

/// Whether no segment of a pattern says anything. A capture does: it binds.
fn is_domain(pattern: &CallerPattern) -> bool {
    if pattern.exact().is_some() {
        return false;
    }
    let whole = pattern.to_string();
    let path = whole.strip_prefix("spiffe://").unwrap_or(&whole);
    path.split('/')
        .skip(1)
        .all(|segment| matches!(segment, "*" | "**"))
}
