//! Access for programs.

use callgate_analysis::reach::{Can, CanCall, Grant, Reachable, WhoCan};
use callgate_policy::{SpiffeId, Timestamp, document::RequestLine};
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Who<'a> {
    call: String,
    to: String,
    at: String,
    callers: Vec<Caller<'a>>,
    lets_pass: bool,
    forwarders: Vec<Forwarder<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Caller<'a> {
    /// Null stands for every member of the group.
    pattern: Option<&'a str>,
    group: Option<&'a str>,
    alias: Option<&'a str>,
    example: String,
    #[serde(flatten)]
    by: By<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Forwarder<'a> {
    id: String,
    may_assert: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct By<'a> {
    rule: &'a str,
    policy: String,
    when: Option<&'a str>,
    until: Option<String>,
    except: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct What<'a> {
    from: String,
    at: String,
    access: Vec<Access<'a>>,
    /// Services in Shadow, which let everything else pass.
    let_pass: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Access<'a> {
    /// Null stands for every service without a policy.
    to: Option<String>,
    operation: &'a str,
    example: String,
    #[serde(flatten)]
    by: By<'a>,
}

pub(super) fn who(
    found: &WhoCan,
    call: &RequestLine,
    to: &SpiffeId,
    now: Timestamp,
) -> anyhow::Result<String> {
    let forwarders = found.forwarders.iter().map(|one| Forwarder {
        id: one.id.to_string(),
        may_assert: &one.may_assert,
    });
    let object = Who {
        call: call.to_string(),
        to: to.to_string(),
        at: now.to_string(),
        callers: found.callers.iter().map(caller).collect(),
        lets_pass: found.lets_pass,
        forwarders: forwarders.collect(),
    };
    Ok(serde_json::to_string_pretty(&object)? + "\n")
}

fn caller(can: &CanCall) -> Caller<'_> {
    Caller {
        pattern: (!can.pattern.is_empty()).then_some(&*can.pattern),
        group: can.group.as_ref().map(|(name, _)| &**name),
        alias: can.alias.as_deref(),
        example: can.example.to_string(),
        by: by(&can.grant),
    }
}

pub(super) fn what(found: &Reachable, caller: &SpiffeId, now: Timestamp) -> anyhow::Result<String> {
    let named = found
        .services
        .iter()
        .flat_map(|(id, cans)| cans.iter().map(|can| access(Some(id), can)));
    let elsewhere = found.elsewhere.iter().map(|can| access(None, can));
    let object = What {
        from: caller.to_string(),
        at: now.to_string(),
        access: named.chain(elsewhere).collect(),
        let_pass: found.let_pass.iter().map(ToString::to_string).collect(),
    };
    Ok(serde_json::to_string_pretty(&object)? + "\n")
}

fn access<'a>(to: Option<&SpiffeId>, can: &'a Can) -> Access<'a> {
    Access {
        to: to.map(ToString::to_string),
        operation: &can.what,
        example: can.example.to_string(),
        by: by(&can.grant),
    }
}

fn by(grant: &Grant) -> By<'_> {
    By {
        rule: &grant.rule,
        policy: format!("{}:{}", grant.file, grant.line),
        when: grant.when.as_deref(),
        until: grant.until.map(|until| until.to_string()),
        except: &grant.except,
    }
}
