//! Rules that no call can ever meet.

use std::collections::HashMap;

use callgate_policy::{
    SpiffeId,
    document::{
        Code, Finding, LoadOptions, Revoked, Source, Specified, load_revocations,
        may_hold_revocations,
    },
};

use super::{
    LintOptions, Remarks,
    set::{Rule, Set},
    ways::Scope,
};

pub(super) fn check(scope: &Scope<'_>, remarks: &mut Remarks) {
    let sides = [(&scope.allow, &scope.allowed), (&scope.deny, &scope.denied)];
    for (rules, ways) in sides {
        for rule in rules {
            let mut own = ways.iter().filter(|way| way.is_of(rule)).peekable();
            if own.peek().is_some() && own.all(|way| !scope.is_live(way)) {
                let message = format!("no call can ever meet `{}`", rule.spec.name);
                let finding = Finding::new(Code::NeverMatches, rule.name, message);
                remarks
                    .found
                    .push(finding.help("no `from` fits any `to` of it: see what they capture"));
            }
        }
    }
}

/// Rules whose every caller is revoked for good.
pub(super) fn check_revoked(
    set: &Set<'_>,
    specified: &Specified,
    sources: &[Source],
    options: &LintOptions,
    remarks: &mut Remarks,
) {
    let revoked = revoked(specified, sources, options);
    if revoked.is_empty() {
        return;
    }
    for rule in set.rules().flat_map(|rules| &rules.allow) {
        let entries = rule.spec.from.iter();
        let patterns = entries.flat_map(|entry| entry.callers.patterns());
        let documents: Option<Vec<&String>> = patterns
            .map(|one| one.exact().and_then(|id| revoked.get(id)))
            .collect();
        if let Some(documents) = documents
            && let Some(first) = documents.first()
        {
            remarks.found.push(finding(rule, first));
        }
    }
}

fn finding(rule: &Rule<'_>, document: &str) -> Finding {
    let message = format!(
        "no call can ever meet `{}`: its callers are revoked",
        rule.spec.name
    );
    let finding = Finding::new(Code::NeverMatches, rule.name, message);
    let finding = finding.label(format!("revoked for good, by `{document}`"));
    finding.help("remove the rule, or end the revocation")
}

/// Who is revoked without an end, with the name of the document that says so.
fn revoked(
    specified: &Specified,
    sources: &[Source],
    options: &LintOptions,
) -> HashMap<SpiffeId, String> {
    let options = LoadOptions {
        now: options.now,
        trust_domain: specified.trust_domain.clone(),
        without_revocations: false,
        limits: options.limits,
    };
    let mut revoked = HashMap::new();
    for source in sources
        .iter()
        .filter(|source| may_hold_revocations(source.text()))
    {
        for one in load_revocations(source, &options).revocations {
            if one.expires.is_some() {
                continue;
            }
            let id = match one.revoked {
                Revoked::Identity(id) => Some(id),
                Revoked::OwnIdentity(path) => specified
                    .trust_domain
                    .as_ref()
                    .and_then(|domain| SpiffeId::parse(&format!("spiffe://{domain}{path}")).ok()),
                Revoked::Certificate(_) => None,
            };
            if let Some(id) = id {
                revoked.insert(id, one.name);
            }
        }
    }
    revoked
}
