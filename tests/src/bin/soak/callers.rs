//! Who calls: workloads whose certificates are renewed, each by HTTP/1.1 and HTTP/2.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use callgate_tests::{
    caller::{Answer, Call, Caller, Connection, Http},
    pki::{Spec, spiffe_id},
    upstream::Seen,
};

use crate::{
    accounts::Decision,
    oracle::{Ask, Asked, Said, Workload, Wrong},
    stage::{CALLEE, FACE, Stage},
};

/// Between two calls of one caller. Load enough to meet every moment, not a benchmark.
const PACE: Duration = Duration::from_millis(40);
/// How long a certificate is good for after it should have been replaced.
const SPARE: Duration = Duration::from_secs(30);

/// One caller, by one version of HTTP.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) workload: Workload,
    pub(crate) http: Http,
    /// How often its certificate is renewed.
    pub(crate) rotation: Duration,
    /// Holds on to each certificate until it has expired.
    pub(crate) late: bool,
}

/// Somebody with a certificate and the connection made with it.
pub(crate) struct Shown {
    pub(crate) connection: Connection,
    pub(crate) not_after: Instant,
    /// When it is to be replaced.
    pub(crate) until: Instant,
}

/// Calls until the stage ends, and holds every answer to what the oracle says.
///
/// # Errors
/// What makes the run worthless, such as a harness that fails. Wrong answers are counted.
pub(crate) async fn run(stage: Arc<Stage>, script: Script) -> Result<()> {
    let mut turn = 0_usize;
    while stage.goes_on() {
        let mut shown = show(&stage, &script).await?;
        while stage.goes_on() && Instant::now() < shown.until {
            turn += 1;
            let lost = once(&stage, &script, &mut shown, turn).await?;
            tokio::time::sleep(PACE).await;
            if lost {
                break;
            }
        }
    }
    Ok(())
}

/// A new certificate, and a connection by it.
pub(crate) async fn show(stage: &Stage, script: &Script) -> Result<Shown> {
    let id = spiffe_id(&script.workload.path());
    let lasts = if script.late {
        script.rotation
    } else {
        script.rotation + SPARE
    };
    let spec = Spec::svid(&id).lasting(lasts.try_into()?);
    let identity = stage.gate.pki.root.issue(&spec)?;
    let begun = Instant::now();
    // Certificates count whole seconds.
    let left = u64::try_from(identity.not_after.unix_timestamp())?
        .saturating_sub(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs());
    let address = stage.gate.address(CALLEE, FACE)?;
    let caller = Caller::new(Some(&identity))?;
    let connection = caller.connect(address, script.http).await;
    stage.tally().certificates += 1;
    let not_after = begun + Duration::from_secs(left);
    Ok(Shown {
        connection: connection.context("connect")?,
        not_after,
        until: if script.late {
            not_after + Duration::from_secs(4)
        } else {
            begun + script.rotation
        },
    })
}

/// One call; whether the connection is lost.
async fn once(stage: &Stage, script: &Script, shown: &mut Shown, turn: usize) -> Result<bool> {
    let ask = ask(turn);
    let sent = Instant::now();
    let answer = shown.connection.call(call(ask, turn)).await;
    let asked = Asked {
        caller: script.workload.clone(),
        ask,
        not_after: shown.not_after,
        sent,
        answered: Instant::now(),
    };
    let said = match &answer {
        Ok(answer) => said(answer, &script.workload)?,
        Err(error) => Said::Lost(format!("{error:#}")),
    };
    if let Ok(answer) = &answer {
        account(stage, answer, &asked, &said);
    }
    judge(stage, &asked, &said);
    Ok(answer.is_err())
}

/// Counts an answer, right or wrong.
pub(crate) fn judge(stage: &Stage, asked: &Asked, said: &Said) {
    let judged = stage.oracle().judge(asked, said);
    let mut tally = stage.tally();
    match said {
        Said::Allowed | Said::Mistaken(_) => tally.allowed += 1,
        Said::Refused(_) => tally.refused += 1,
        Said::Closed(_) | Said::Lost(_) => tally.closed += 1,
    }
    if let Err(wrong) = judged {
        tally.wrong(&wrong);
    }
}

fn ask(turn: usize) -> Ask {
    match turn % 10 {
        1 => Ask::Delete,
        2 => Ask::Admin,
        3 => Ask::Report(true),
        4 => Ask::Report(false),
        5 | 6 => Ask::Guest,
        7 => Ask::Export,
        _ => Ask::Read,
    }
}

fn call(ask: Ask, turn: usize) -> Call {
    match ask {
        Ask::Read => Call::new("GET", &format!("/orders/{turn}")),
        Ask::Delete => Call::new("DELETE", &format!("/orders/{turn}")),
        Ask::Admin => Call::new("GET", &format!("/admin/{turn}")),
        Ask::Guest => Call::new("GET", &format!("/guests/{turn}")),
        Ask::Export => Call::new("GET", &format!("/exports/a/{turn}")),
        Ask::Report(why) => {
            let call = Call::new("GET", &format!("/reports/{turn}"));
            call.header("x-purpose", if why { "reporting" } else { "curiosity" })
        }
    }
}

/// What an answer says.
fn said(answer: &Answer, workload: &Workload) -> Result<Said> {
    let reason = answer.reason().unwrap_or("no reason").to_owned();
    Ok(match answer.status {
        200 => {
            let seen: Seen = serde_json::from_slice(&answer.body)?;
            let caller = seen.header("x-callgate-caller");
            if caller == Some(&spiffe_id(&workload.path())) {
                Said::Allowed
            } else {
                Said::Mistaken(caller.unwrap_or("nobody").to_owned())
            }
        }
        403 | 400 => Said::Refused(reason),
        503 => Said::Closed(reason),
        status => Said::Refused(format!("{status}, {reason}")),
    })
}

/// A decision is to be in the log; what the filter says without one is not.
fn account(stage: &Stage, answer: &Answer, asked: &Asked, said: &Said) {
    let (id, reason) = match said {
        Said::Allowed => {
            let seen = serde_json::from_slice::<Seen>(&answer.body).ok();
            let id = seen.and_then(|seen| seen.header("x-callgate-decision").map(str::to_owned));
            (id, "allow")
        }
        Said::Refused(reason) => (answer.decision().map(str::to_owned), reason.as_str()),
        Said::Mistaken(_) | Said::Closed(_) | Said::Lost(_) => return,
    };
    match id {
        Some(id) => record(stage, &id, asked, reason),
        None => stage.tally().wrong(&Wrong::Refusal(format!(
            "{:?}: a decision without an id: {reason}",
            asked.ask
        ))),
    }
}

/// That decision is to be in the log.
pub(crate) fn record(stage: &Stage, id: &str, asked: &Asked, reason: &str) {
    let at = stage.oracle().elapsed(asked.answered).as_secs_f64();
    let decision = Decision {
        answered: asked.answered,
        reason: reason.to_owned(),
        what: format!("{at:.2} s: {} {:?}: {reason}", asked.caller.0, asked.ask),
    };
    stage.accounts().saw(id, decision);
}
