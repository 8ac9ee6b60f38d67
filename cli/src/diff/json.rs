//! Changes for programs.

use std::collections::BTreeMap;

use callgate_analysis::diff::{
    AccessChange, Answer, Direction, Level, ServiceChange, SettingChange, Who, Witness,
};
use serde::Serialize;

use super::Shown;

pub(super) fn show(shown: &Shown<'_>) -> anyhow::Result<String> {
    let diff = shown.diff;
    let object = Comparison {
        old: &shown.old,
        new: &shown.new,
        at: shown.at.to_string(),
        complete: diff.complete,
        changes: diff.services.iter().flat_map(changes).collect(),
        settings: diff.settings.iter().map(Setting::from).collect(),
    };
    Ok(serde_json::to_string_pretty(&object)? + "\n")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Comparison<'a> {
    old: &'a str,
    new: &'a str,
    at: String,
    complete: bool,
    changes: Vec<Change<'a>>,
    settings: Vec<Setting<'a>>,
}

/// One access of one caller.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Change<'a> {
    direction: &'static str,
    certain: bool,
    before: &'static str,
    after: &'static str,
    /// `metadata.name` of the services' policy.
    document: Option<&'a str>,
    /// An entry that is null stands for every service without a policy.
    services: Vec<Option<String>>,
    caller: Caller<'a>,
    /// Null stands for everything that no rule allows.
    access: Option<&'a str>,
    except: &'a [String],
    from: Option<String>,
    until: Option<String>,
    conditions: &'a [String],
    rule: Option<&'a str>,
    policy: Option<String>,
    witness: Example<'a>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Caller<'a> {
    kind: &'static str,
    pattern: Option<&'a str>,
    group: Option<&'a str>,
    alias: Option<&'a str>,
    also: Option<&'a str>,
    trust_domain: Option<&'a str>,
    forwarder: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Example<'a> {
    from: Option<String>,
    forwarder: Option<String>,
    to: String,
    call: String,
    method: &'a str,
    path: &'a str,
    upgrade: Option<&'a str>,
    content_type: Option<&'a str>,
    headers: BTreeMap<&'a str, &'a str>,
    at: String,
    /// Whether both versions decide it differently in just this way.
    proof: bool,
    old: Said<'a>,
    new: Said<'a>,
}

#[derive(Serialize)]
struct Said<'a> {
    level: &'static str,
    reason: &'static str,
    rule: Option<&'a str>,
}

#[derive(Serialize)]
struct Setting<'a> {
    direction: Option<&'static str>,
    text: &'a str,
}

fn changes(service: &ServiceChange) -> Vec<Change<'_>> {
    let mut changes = Vec::new();
    for caller in &service.callers {
        for who in &caller.who {
            let accesses = caller.accesses.iter();
            changes.extend(accesses.map(|access| change(service, who, access)));
        }
    }
    changes
}

fn change<'a>(service: &'a ServiceChange, who: &'a Who, access: &'a AccessChange) -> Change<'a> {
    let rule = access.rule.as_ref();
    Change {
        direction: direction(access.direction()),
        certain: access.is_certain(),
        before: level(access.levels.0),
        after: level(access.levels.1),
        document: service.policy.as_deref(),
        services: service
            .services
            .iter()
            .map(|id| id.as_ref().map(ToString::to_string))
            .collect(),
        caller: caller(who),
        access: access.what.as_deref(),
        except: &access.except,
        from: access.from.map(|at| at.to_string()),
        until: access.until.map(|at| at.to_string()),
        conditions: &access.conditions,
        rule: rule.map(|rule| &*rule.name),
        policy: rule.map(|rule| format!("{}:{}", rule.file, rule.line)),
        witness: example(&access.witness),
    }
}

fn caller(who: &Who) -> Caller<'_> {
    match who {
        Who::Pattern {
            pattern,
            group,
            alias,
            also,
        } => Caller {
            kind: "pattern",
            pattern: Some(pattern),
            group: group.as_deref(),
            alias: alias.as_deref(),
            also: also.as_deref(),
            ..Caller::default()
        },
        Who::Group { name, .. } => Caller {
            kind: "group",
            group: Some(name),
            ..Caller::default()
        },
        Who::Everyone { trust_domain } => Caller {
            kind: "everyone",
            trust_domain: Some(trust_domain),
            ..Caller::default()
        },
        Who::Unverified => Caller {
            kind: "unverified",
            ..Caller::default()
        },
        Who::Forwarded { by, caller } => Caller {
            forwarder: Some(by.to_string()),
            ..self::caller(caller)
        },
    }
}

fn example(witness: &Witness) -> Example<'_> {
    let point = &witness.point;
    let headers = witness.headers.iter();
    Example {
        from: (!witness.unverified).then(|| point.caller().to_string()),
        forwarder: witness.forwarder.as_ref().map(ToString::to_string),
        to: witness.service.to_string(),
        call: point.to_string(),
        method: point.method(),
        path: point.path(),
        upgrade: point.upgrade(),
        content_type: point.content_type(),
        headers: headers.map(|(name, value)| (&**name, &**value)).collect(),
        at: witness.at.to_string(),
        proof: witness.is_proof,
        old: said(&witness.old),
        new: said(&witness.new),
    }
}

fn said(answer: &Answer) -> Said<'_> {
    Said {
        level: level(answer.level),
        reason: answer.reason.as_str(),
        rule: answer.rule.as_deref(),
    }
}

const fn level(level: Level) -> &'static str {
    match level {
        Level::Refused => "refused",
        Level::LetPass => "letPass",
        Level::Allowed => "allowed",
    }
}

const fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Widened => "widened",
        Direction::Narrowed => "narrowed",
    }
}

impl<'a> From<&'a SettingChange> for Setting<'a> {
    fn from(change: &'a SettingChange) -> Self {
        Self {
            direction: change.direction.map(direction),
            text: &change.text,
        }
    }
}
