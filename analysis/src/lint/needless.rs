//! Rules, and entries of rules, that others make needless.

use callgate_policy::{
    Side,
    document::{Code, Finding, Span},
};

use super::{
    Remarks,
    set::Rule,
    ways::{Scope, Way},
};

pub(super) fn check(scope: &Scope<'_>, remarks: &mut Remarks) {
    look(scope, &scope.allow, &scope.allowed, Side::Allow, remarks);
    look(scope, &scope.deny, &scope.denied, Side::Deny, remarks);
}

/// Looks at one list, the last rule first: of two that say the same it is the later one that
/// is needless.
fn look(
    scope: &Scope<'_>,
    rules: &[&Rule<'_>],
    all: &[Way<'_>],
    side: Side,
    remarks: &mut Remarks,
) {
    let mut needless: Vec<&Rule<'_>> = Vec::new();
    for rule in rules.iter().rev() {
        let own: Vec<&Way<'_>> = all.iter().filter(|way| way.is_of(rule)).collect();
        let is_left = |way: &&Way<'_>| {
            !way.is_of(rule)
                && way.rule.is_unconditional()
                && !needless.iter().any(|gone| way.is_of(gone))
        };
        let others: Vec<&Way<'_>> = all.iter().filter(is_left).collect();
        let others = scope.near(&others, &own);
        if scope.covers(&others, &own) && own.iter().all(|way| scope.is_live(way)) {
            remarks.found.push(whole(scope, rule, &others, &own, side));
            needless.push(rule);
        } else {
            entries(scope, rule, &others, &own, remarks);
        }
    }
}

fn whole(
    scope: &Scope<'_>,
    rule: &Rule<'_>,
    others: &[&Way<'_>],
    own: &[&Way<'_>],
    side: Side,
) -> Finding {
    let name = &rule.spec.name;
    let does = if side == Side::Allow {
        "allows"
    } else {
        "denies"
    };
    let by = by_rule(scope, others, own);
    let message = match by {
        Some(by) => format!(
            "`{name}` changes nothing: `{}` {does} all of it",
            by.spec.name
        ),
        None => format!(
            "`{name}` changes nothing: other rules together {} all of it",
            does.trim_end_matches('s')
        ),
    };
    let finding = Finding::new(Code::Needless, rule.name, message);
    let finding = match by {
        Some(by) => finding.related(by.name, "this one does"),
        None => finding,
    };
    let limit = match (&rule.spec.exception, &rule.spec.when) {
        (Some(_), _) => "; its exception ends nothing, because the other one goes on",
        (_, Some(_)) => "; its condition keeps nobody out, because the other one has none",
        (None, None) => "",
    };
    finding.help(format!(
        "remove it, or narrow the other one if that is wider than was meant{limit}"
    ))
}

/// The one rule that covers all, if one does.
fn by_rule<'w>(
    scope: &Scope<'_>,
    others: &[&'w Way<'w>],
    own: &[&Way<'_>],
) -> Option<&'w Rule<'w>> {
    let mut tried: Vec<&Rule<'_>> = Vec::new();
    others.iter().map(|way| way.rule).find(|rule| {
        if tried.iter().any(|one| std::ptr::eq(*one, *rule)) {
            return false;
        }
        tried.push(rule);
        let ways: Vec<&Way<'_>> = others
            .iter()
            .filter(|way| way.is_of(rule))
            .copied()
            .collect();
        scope.covers(&ways, own)
    })
}

/// One of the two lists of a rule.
#[derive(Clone, Copy)]
enum List {
    From,
    To,
}

impl List {
    fn len(self, rule: &Rule<'_>) -> usize {
        match self {
            Self::From => rule.spec.from.len(),
            Self::To => rule.spec.to.len(),
        }
    }

    /// The entry of a way.
    fn index(self, way: &Way<'_>) -> usize {
        match self {
            Self::From => way.from,
            Self::To => way.to,
        }
    }

    fn text<'w>(self, way: &'w Way<'_>) -> &'w str {
        match self {
            Self::From => way.caller(),
            Self::To => way.line(),
        }
    }

    fn place(self, way: &Way<'_>) -> Span {
        match self {
            Self::From => way.rule.at_from(way.from),
            Self::To => way.rule.at_to(way.to),
        }
    }
}

/// Entries that are needless in a rule that is not, the last first.
fn entries(
    scope: &Scope<'_>,
    rule: &Rule<'_>,
    others: &[&Way<'_>],
    own: &[&Way<'_>],
    remarks: &mut Remarks,
) {
    for list in [List::To, List::From] {
        let mut own = own.to_vec();
        for index in (0..list.len(rule)).rev() {
            let (these, rest): (Vec<&Way<'_>>, Vec<&Way<'_>>) =
                own.iter().partition(|way| list.index(way) == index);
            let around: Vec<&Way<'_>> = rest.iter().chain(others).copied().collect();
            let around = scope.near(&around, &these);
            if !these.is_empty() && scope.covers(&around, &these) {
                remarks.found.push(entry(scope, list, &these, &around));
                own = rest;
            }
        }
    }
}

fn entry(scope: &Scope<'_>, list: List, these: &[&Way<'_>], around: &[&Way<'_>]) -> Finding {
    let first = these.first();
    let text = first.map_or("", |way| list.text(way));
    let span = first.map_or_else(Span::default, |way| list.place(way));
    // One entry that covers it alone is worth naming.
    let by = around.iter().find(|way| {
        let place = list.place(way);
        let same: Vec<&Way<'_>> = around
            .iter()
            .filter(|one| list.place(one) == place)
            .copied()
            .collect();
        scope.covers(&same, these)
    });
    let message = match by {
        Some(by) if list.text(by) == text => {
            format!("`{text}` changes nothing: it is said already")
        }
        Some(by) => format!(
            "`{text}` changes nothing: `{}` takes all of it",
            list.text(by)
        ),
        None => format!("`{text}` changes nothing: others together take all of it"),
    };
    let finding = Finding::new(Code::Needless, span, message);
    let finding = match by {
        Some(by) => finding.related(list.place(by), "taken here"),
        None => finding,
    };
    finding.help("remove it, or narrow the other one if that is wider than was meant")
}
