//! Streams that stay open: cut when the call would be refused, and left alone when not.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use callgate_tests::caller::{
    Http,
    grpc::{frame, unary},
    stream::{Duplex, Opened, Upgrade},
};

use crate::{
    callers::{Script, Shown, judge, record, show},
    oracle::{Ask, Asked, Said, Wrong},
    stage::Stage,
};

/// Between two signs of life.
const BEAT: Duration = Duration::from_millis(100);
/// Before it is tried again.
const PAUSE: Duration = Duration::from_millis(300);

/// An open stream that gives back what it is given.
enum Open {
    WebSocket(Box<Upgrade>),
    Grpc(Box<Duplex>),
}

impl Open {
    async fn beat(&mut self) -> Result<()> {
        match self {
            Self::WebSocket(upgrade) => upgrade.echo(b"beat").await.map(drop),
            Self::Grpc(duplex) => {
                duplex.send(frame(b"beat"))?;
                let part = duplex.receive().await?;
                anyhow::ensure!(part.is_some(), "it has ended");
                Ok(())
            }
        }
    }
}

/// Keeps a stream open until the stage ends: a WebSocket by HTTP/1.1, gRPC by HTTP/2.
///
/// # Errors
/// What makes the run worthless. Wrong ends, and streams that go on, are counted.
pub(crate) async fn run(stage: Arc<Stage>, script: Script) -> Result<()> {
    while stage.goes_on() {
        let mut shown = show(&stage, &script).await?;
        let sent = Instant::now();
        let opened = open(&mut shown, script.http).await;
        let mut asked = Asked {
            caller: script.workload.clone(),
            ask: Ask::Guest,
            not_after: shown.not_after,
            sent,
            answered: Instant::now(),
        };
        match opened {
            Ok(Opened::Stream(stream)) => {
                judge(&stage, &asked, &Said::Allowed);
                stage.tally().streams += 1;
                watch(&stage, stream, &mut asked, shown.until).await;
            }
            Ok(Opened::Refused(answer)) => {
                let reason = answer.reason().unwrap_or("no reason").to_owned();
                let closed = answer.status == 503 || answer.grpc_status() == Some(14);
                let said = if closed {
                    Said::Closed(reason)
                } else {
                    if let Some(id) = answer.decision() {
                        record(&stage, id, &asked, &reason);
                    }
                    Said::Refused(reason)
                };
                judge(&stage, &asked, &said);
            }
            Err(error) => judge(&stage, &asked, &Said::Lost(format!("{error:#}"))),
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

async fn open(shown: &mut Shown, http: Http) -> Result<Opened<Open>> {
    Ok(match http {
        Http::One => {
            let opened = shown
                .connection
                .upgrade("/guests/live", "websocket")
                .await?;
            match opened {
                Opened::Stream(stream) => Opened::Stream(Open::WebSocket(Box::new(stream))),
                Opened::Refused(answer) => Opened::Refused(answer),
            }
        }
        Http::Two => {
            let call = unary("/soak.Guests/Live", b"");
            match shown.connection.open(&call).await? {
                Opened::Stream(stream) => Opened::Stream(Open::Grpc(Box::new(stream))),
                Opened::Refused(answer) => Opened::Refused(answer),
            }
        }
    })
}

/// Each sign of life is as good as an answer that allows; an end has to have its reason.
async fn watch(stage: &Stage, mut stream: Open, asked: &mut Asked, until: Instant) {
    while stage.goes_on() && Instant::now() < until {
        let beat = stream.beat().await;
        asked.answered = Instant::now();
        let judged = match beat {
            Ok(()) => {
                asked.sent = asked.answered;
                stage.oracle().judge(asked, &Said::Allowed)
            }
            Err(_) => stage.oracle().judge_end(asked),
        };
        // A stream that should not be there any more is counted once.
        let over = beat.is_err() || judged.is_err();
        count(stage, beat.is_err(), judged);
        if over {
            return;
        }
        tokio::time::sleep(BEAT).await;
    }
}

fn count(stage: &Stage, cut: bool, judged: Result<(), Wrong>) {
    let mut tally = stage.tally();
    tally.streams_cut += u64::from(cut);
    if let Err(wrong) = judged {
        tally.wrong(&wrong);
    }
}
