//! Rules while an import collects them: who may do what, by service.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    document::Span,
    formula::{Case, Formula},
    grouping::{calls, grouped},
    report::{Finding, Kind, Report},
    shape::{End, Segment, Shape},
};

/// Everything that was translated so far.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Rules for every service.
    pub(super) mesh: Rules,
    /// Rules by the SPIFFE ID of the service.
    pub(super) services: BTreeMap<String, Rules>,
    /// Services for which nothing may be written, because something that keeps callers out
    /// could not be.
    withheld: BTreeSet<String>,
    /// The same, for all.
    all_withheld: bool,
    /// Something that keeps callers out could not be translated, for whomever.
    incomplete: bool,
}

/// The rules of a service or of the mesh.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) allow: Vec<Rule>,
    pub(super) deny: Vec<Rule>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// What it is called there.
    pub(super) name: String,
    /// Where it stands there.
    pub(super) at: Span,
    /// Everybody if `None`; in deny rules only.
    pub(super) from: Option<Vec<Shape>>,
    pub(super) to: Vec<Call>,
    /// A condition in CEL.
    pub(super) when: Option<String>,
}

/// Some methods of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// Every method if `None`.
    pub(super) methods: Option<BTreeSet<String>>,
    pub(super) path: Shape,
}

/// What a policy does with the calls that fit it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Allow,
    Deny,
}

/// Whose callers a policy is about.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// Every service's.
    Mesh,
    /// Those of these SPIFFE IDs.
    Services(Vec<String>),
}

/// One rule of another system.
#[derive(Debug)]
pub(super) struct Statement<'a> {
    pub(super) name: &'a str,
    pub(super) at: Span,
    pub(super) action: Action,
    pub(super) target: &'a Target,
    pub(super) formula: Formula,
}

impl Draft {
    /// That there are such services, with or without rules.
    pub(super) fn declare(&mut self, target: &Target) {
        if let Target::Services(services) = target {
            for service in services {
                self.services.entry(service.clone()).or_default();
            }
        }
    }

    /// Adds a rule, as far as it can be said.
    pub(super) fn state(&mut self, statement: &Statement<'_>, report: &mut Report) {
        self.declare(statement.target);
        let (cases, mut gaps) = statement.formula.cases(statement.at);
        let (cases, more) = named(cases, statement);
        gaps.extend(more);
        for gap in gaps {
            self.gap(gap, statement.action, statement.target, report);
        }
        let rules = grouped(cases).into_iter().map(|group| Rule {
            name: statement.name.to_owned(),
            at: statement.at,
            from: group.from,
            to: group.to,
            when: group.when,
        });
        self.add(statement.target, statement.action, rules.collect());
    }

    /// Adds rules.
    pub(super) fn add(&mut self, target: &Target, action: Action, rules: Vec<Rule>) {
        self.declare(target);
        let add = |to: &mut Rules| {
            let list = match action {
                Action::Allow => &mut to.allow,
                Action::Deny => &mut to.deny,
            };
            for rule in &rules {
                if !list.contains(rule) {
                    list.push(rule.clone());
                }
            }
        };
        match target {
            Target::Mesh => add(&mut self.mesh),
            Target::Services(services) => {
                for service in services {
                    add(self.services.entry(service.clone()).or_default());
                }
            }
        }
    }

    /// Reports something that could not be said. What only lets callers in is left out;
    /// without something that keeps them out, nothing may be written at all.
    pub(super) fn gap(
        &mut self,
        gap: Finding,
        action: Action,
        target: &Target,
        report: &mut Report,
    ) {
        self.incomplete |= action == Action::Deny;
        let effect = match (action, target) {
            (Action::Allow, _) => {
                "left out: the calls that only this let in are refused".to_owned()
            }
            (Action::Deny, Target::Mesh) => {
                self.all_withheld = true;
                "nothing is written: without this, the rest would let in what it keeps out"
                    .to_owned()
            }
            (Action::Deny, Target::Services(services)) if services.is_empty() => {
                "left out: no policy is written for whom it is about".to_owned()
            }
            (Action::Deny, Target::Services(services)) => {
                self.withheld.extend(services.iter().cloned());
                let quoted: Vec<String> = services.iter().map(|id| format!("`{id}`")).collect();
                format!(
                    "no policy is written for {}: without this, the rest would let in what it keeps out",
                    quoted.join(", ")
                )
            }
        };
        let effect = if gap.effect.is_empty() {
            effect
        } else {
            gap.effect.clone()
        };
        report.push(gap.effect(effect));
    }

    /// Takes out what may not be written.
    pub(super) fn settle(&mut self, report: &mut Report) {
        let wide = self
            .mesh
            .allow
            .first()
            .filter(|_| self.incomplete && !self.all_withheld);
        if let Some(rule) = wide {
            let message = "what is allowed for every service is left out";
            let effect = "it would hold as well where something that keeps callers out could not be translated";
            report.push(Finding::new(Kind::Precedence, rule.at, message).effect(effect));
            self.mesh.allow.clear();
        }
        if self.all_withheld {
            self.mesh = Rules::default();
            self.services.clear();
        }
        for service in &self.withheld {
            self.services.remove(service);
        }
    }
}

impl Call {
    /// Whether it admits all that `other` does.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let methods = match (&self.methods, &other.methods) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(these), Some(those)) => those.is_subset(these),
        };
        methods && self.path.covers(&other.path)
    }

    /// Whether some request fits both.
    pub(super) fn meets(&self, other: &Self) -> bool {
        let methods = match (&self.methods, &other.methods) {
            (Some(these), Some(those)) => !these.is_disjoint(those),
            _ => true,
        };
        methods && self.path.meet(&other.path).is_some()
    }

    /// Every call.
    pub(super) fn any() -> Self {
        Self {
            methods: None,
            path: Shape::exact([]).ending(End::More),
        }
    }
}

/// The cases that rules can name callers for, and what keeps others from it.
fn named(cases: Vec<Case>, statement: &Statement<'_>) -> (Vec<Case>, Vec<Finding>) {
    let (mut kept, mut gaps) = (Vec::new(), Vec::new());
    for case in cases {
        let everybody = case.callers.is_none();
        match statement.action {
            // Callgate refuses them before it looks at rules.
            Action::Deny if case.anonymous => {}
            Action::Allow if everybody || case.anonymous => gaps.push(anybody(statement, &case)),
            _ => kept.push(case),
        }
    }
    (kept, gaps)
}

fn anybody(statement: &Statement<'_>, case: &Case) -> Finding {
    let message = if case.anonymous {
        "this lets in callers without an identity only: Callgate refuses them all"
    } else {
        "this lets in everybody, whoever it is"
    };
    let calls: Vec<String> = calls(case).iter().map(|call| format!("`{call}`")).collect();
    let instead = format!(
        "name the callers; every verified identity of the mesh would be `from: [/**]`, `to: [{}]`",
        calls.join(", ").replace('`', "")
    );
    Finding::new(Kind::AnyCaller, statement.at, message).instead(instead)
}

/// As Callgate writes it.
impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.methods {
            None => f.write_str("ANY")?,
            Some(methods) => {
                let methods: Vec<&str> = methods.iter().map(String::as_str).collect();
                f.write_str(&methods.join(","))?;
            }
        }
        write!(f, " {}", self.path)
    }
}

/// An identity or a pattern over identities as Callgate writes it, relative to `own`.
pub(super) fn caller(shape: &Shape, own: Option<&str>) -> String {
    let mut segments = shape.segments.iter();
    let domain = match segments.next() {
        Some(Segment::Literal(domain)) => domain.as_str(),
        _ => "",
    };
    let mut text = if own == Some(domain) {
        String::new()
    } else {
        format!("spiffe://{domain}")
    };
    for segment in segments {
        text.push('/');
        match segment {
            Segment::Literal(literal) => text.push_str(literal),
            Segment::Any | Segment::Begins(_) => text.push('*'),
        }
    }
    if shape.end == End::More {
        text.push_str("/**");
    }
    text
}
