//! The server's answer, as the filter takes it.

use std::{rc::Rc, time::Duration};

use anyhow::{Result, ensure};
use callgate_filter::{
    Ask, Attribute, CallId, Counter, Exchange, Flow, Host, HostError, Level, Plugin, Reply, Section,
};
use callgate_wire::envoy::service::auth::v3::{CheckResponse, check_response::HttpResponse};
use prost::Message as _;

/// Headers that say where a request goes or where it ends.
const OFF_LIMITS: [&str; 6] = [
    "host",
    "connection",
    "te",
    "upgrade",
    "content-length",
    "transfer-encoding",
];

/// An answer opens the gate only if it decodes, has a status, and that is OK without a
/// refusal beside it; then the request's route and framing are what they were, and nobody
/// but the answer has set a name of ours. Any other answer is one reply, in the form of a
/// refusal. Headers that come a second time, and answers to no question, change nothing.
///
/// # Errors
/// When the filter is wrong.
pub fn check_response(bytes: &[u8]) -> Result<()> {
    let mut proxy = Proxy::new();
    let before = proxy.framing();
    let mut exchange = Exchange::new(Rc::new(Plugin::new(br#"{"cluster":"callgate"}"#)));
    ensure!(
        exchange.request_headers(&mut proxy) == Flow::Pause,
        "it did not wait"
    );
    let call = exchange.call();
    let Some(call) = call else {
        anyhow::bail!("it did not ask")
    };
    exchange.answered(&mut proxy, CallId(call.0 ^ 1), bytes);
    ensure!(
        proxy.resumed == 0 && proxy.replies.is_empty(),
        "an answer to no question counted"
    );

    exchange.answered(&mut proxy, call, bytes);
    exchange.answered(&mut proxy, call, bytes);
    let open = proxy.resumed == 1 && proxy.replies.is_empty();
    let shut = proxy.resumed == 0 && proxy.replies.len() == 1;
    ensure!(
        open || shut,
        "resumed {}, replied {}",
        proxy.resumed,
        proxy.replies.len()
    );
    if open {
        let answer = CheckResponse::decode(bytes)?;
        ensure!(may_open(&answer), "opened by {answer:?}");
        ensure!(proxy.framing() == before, "became {:?}", proxy.framing());
        ensure!(
            !proxy.has("x-callgate-forged"),
            "what the caller pretended went on"
        );
    }
    if let Some(reply) = proxy.replies.first() {
        ensure!(
            (400..600).contains(&reply.http_status),
            "refused with {}",
            reply.http_status
        );
        ensure!(
            (1..=16).contains(&reply.grpc_status),
            "refused with {}",
            reply.grpc_status
        );
    }
    let after = exchange.request_headers(&mut proxy);
    ensure!(
        after == Flow::Pause && proxy.resumed <= 1,
        "headers came twice"
    );
    Ok(())
}

fn may_open(answer: &CheckResponse) -> bool {
    let ok = answer
        .status
        .as_ref()
        .is_some_and(|status| status.code == 0);
    let headers = match &answer.http_response {
        Some(HttpResponse::DeniedResponse(_)) => return false,
        Some(HttpResponse::OkResponse(ok)) => {
            let set = ok
                .headers
                .iter()
                .flat_map(|option| &option.header)
                .map(|h| h.key.as_str());
            set.chain(ok.headers_to_remove.iter().map(String::as_str))
                .collect()
        }
        None => Vec::new(),
    };
    ok && headers.iter().all(|name| !is_off_limits(name))
}

fn is_off_limits(name: &str) -> bool {
    name.starts_with(':') || OFF_LIMITS.contains(&name.to_ascii_lowercase().as_str())
}

/// A proxy with one request, which does what it is told.
struct Proxy {
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    replies: Vec<Reply>,
    resumed: usize,
}

impl Proxy {
    fn new() -> Self {
        let headers = [
            (":method", "GET"),
            (":path", "/orders/7"),
            (":authority", "orders"),
            (":scheme", "https"),
            ("host", "orders"),
            ("connection", "keep-alive"),
            ("te", "trailers"),
            ("content-length", "0"),
            ("x-callgate-forged", "yes"),
            ("x-purpose", "testing"),
        ];
        let headers = headers.map(|(name, value)| (name.into(), value.into()));
        Self {
            headers: headers.into(),
            replies: Vec::new(),
            resumed: 0,
        }
    }

    /// The headers that no answer may touch.
    fn framing(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let all = self.headers.iter();
        let framing = all.filter(|(name, _)| std::str::from_utf8(name).is_ok_and(is_off_limits));
        framing.cloned().collect()
    }

    fn has(&self, wanted: &str) -> bool {
        self.headers
            .iter()
            .any(|(name, _)| name == wanted.as_bytes())
    }
}

impl Host for Proxy {
    fn attribute(&mut self, attribute: Attribute) -> Result<Option<Vec<u8>>, HostError> {
        Ok(Some(match attribute {
            Attribute::ConnectionId => vec![1; 8],
            Attribute::PeerFingerprint => vec![b'a'; 64],
            Attribute::PeerCertificate => b"-----BEGIN CERTIFICATE-----".to_vec(),
            Attribute::LocalUriSan => b"spiffe://example.org/ns/shop/sa/orders".to_vec(),
            Attribute::Protocol => b"HTTP/2".to_vec(),
        }))
    }

    fn fields(
        &mut self,
        section: Section,
        see: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), HostError> {
        if section == Section::Headers {
            self.headers
                .iter()
                .for_each(|(name, value)| see(name, value));
        }
        Ok(())
    }

    fn remove(&mut self, _: Section, name: &[u8]) -> Result<(), HostError> {
        self.headers
            .retain(|(present, _)| !present.eq_ignore_ascii_case(name));
        Ok(())
    }

    fn set_header(&mut self, name: &[u8], value: &[u8]) -> Result<(), HostError> {
        self.remove(Section::Headers, name)?;
        self.append_header(name, value)
    }

    fn append_header(&mut self, name: &[u8], value: &[u8]) -> Result<(), HostError> {
        self.headers.push((name.to_vec(), value.to_vec()));
        Ok(())
    }

    fn ask(&mut self, _: &Ask<'_>) -> Result<CallId, HostError> {
        Ok(CallId(6))
    }

    fn cancel(&mut self, _: CallId) {}

    fn reply(&mut self, reply: &Reply) -> Result<(), HostError> {
        self.replies.push(reply.clone());
        Ok(())
    }

    fn resume(&mut self) -> Result<(), HostError> {
        self.resumed += 1;
        Ok(())
    }

    fn monotonic_now(&mut self) -> Duration {
        Duration::ZERO
    }

    fn wall_now(&mut self) -> Duration {
        Duration::ZERO
    }

    fn random(&mut self) -> [u8; 16] {
        [0; 16]
    }

    fn count(&mut self, _: Counter) {}

    fn log(&mut self, _: Level, _: &str) {}
}
