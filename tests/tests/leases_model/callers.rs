//! Who calls what: certificates, and the requests that are made with them.

use std::collections::BTreeMap;

use callgate_policy::{SpiffeId, Timestamp};
use callgate_server::svid::PeerCertificate;
use callgate_tests::pki::{Authority, Identity, Spec, TRUST_DOMAIN, spiffe_id};
use callgate_wire::{
    envoy::service::auth::v3::{
        AttributeContext, CheckRequest,
        attribute_context::{HttpRequest, Peer, Request},
    },
    wanted,
};
use time::Duration;

pub(crate) const EXPORT: &str = "/ns/batch/sa/export";

/// The services, each behind a listener of the one proxy.
pub(crate) const CALLEES: [&str; 2] = ["/ns/shop/sa/orders", "/ns/shop/sa/stock"];

/// Everybody's certificates.
pub(crate) struct Callers {
    /// Always believed.
    pub(crate) root: Authority,
    /// Believed in some states.
    pub(crate) second: Authority,
    shown: Vec<Shown>,
}

/// A caller's certificate, as a proxy tells of it.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) pem: String,
    pub(crate) sha256: String,
    /// The certificate's last moment, at most.
    pub(crate) not_after: Timestamp,
}

/// Web's place among [`Callers`].
const WEB: usize = 2;
/// How many callers there are.
pub(crate) const CALLERS: usize = 6;

/// What is asked for. `with` are headers besides those that every request has.
pub(crate) struct What {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) with: &'static [(&'static str, &'static str)],
}

const fn what(method: &'static str, path: &'static str) -> What {
    What {
        method,
        path,
        with: &[],
    }
}

/// By which a service could be told another method.
pub(crate) const OVERRIDE: &str = "x-http-method-override";

/// All that is ever asked for.
pub(crate) const WHATS: [What; 12] = [
    what("GET", "/orders/7"),
    what("GET", "/orders/8?page=2"),
    what("POST", "/orders"),
    what("DELETE", "/orders/7"),
    what("GET", "/export/batch/a/b"),
    what("GET", "/export/shop/a"),
    what("GET", "/orders//7"),
    what("GET", "/reports/1"),
    What {
        with: &[("x-purpose", "reporting")],
        ..what("GET", "/reports/2")
    },
    What {
        with: &[("content-type", "application/grpc")],
        ..what("POST", "/shop.v1.Orders/Watch")
    },
    what("GET", "/orders/8/"),
    What {
        with: &[(OVERRIDE, "DELETE")],
        ..what("GET", "/orders/9")
    },
];

impl Callers {
    pub(crate) fn mint() -> Self {
        let root = Authority::root(TRUST_DOMAIN).unwrap();
        let second = Authority::root(TRUST_DOMAIN).unwrap();
        let day = Duration::hours(1);
        let shown = [
            (&root, "/ns/shop/sa/checkout", day),
            (&root, "/ns/shop/sa/checkout", Duration::seconds(25)),
            (&root, "/ns/shop/sa/web", day),
            (&root, EXPORT, day),
            (&second, "/ns/shop/sa/guest", day),
            (&root, "/ns/shop/sa/checkout", day),
        ];
        let shown = shown.map(|(authority, id, until)| {
            let spec = Spec::svid(&spiffe_id(id)).lasting(until);
            Shown::of(&authority.issue(&spec).unwrap())
        });
        Self {
            root,
            second,
            shown: shown.into(),
        }
    }

    pub(crate) fn shown(&self, caller: usize) -> &Shown {
        &self.shown[caller]
    }

    pub(crate) fn web_sha256(&self) -> &str {
        &self.shown[WEB].sha256
    }
}

impl Shown {
    fn of(identity: &Identity) -> Self {
        let pem = identity.chain_pem();
        let peer = PeerCertificate::from_pem(&pem).unwrap();
        Self {
            sha256: peer.sha256(),
            not_after: Timestamp::from_secs(identity.not_after.unix_timestamp() + 1),
            pem,
        }
    }
}

/// One request: who, to which of [`CALLEES`], what of [`WHATS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Made {
    pub(crate) caller: usize,
    pub(crate) callee: usize,
    pub(crate) what: usize,
}

impl Made {
    pub(crate) fn what(self) -> &'static What {
        &WHATS[self.what]
    }

    pub(crate) fn callee(self) -> SpiffeId {
        callee(self.callee)
    }

    /// The request's fields, in a proxy.
    pub(crate) fn fields(self) -> Vec<(String, Vec<u8>)> {
        let What { method, path, with } = self.what();
        let usual = [
            (":method", *method),
            (":path", *path),
            (":authority", "orders"),
            (":scheme", "https"),
            ("x-callgate-caller", "a forgery"),
        ];
        let all = usual.iter().chain(*with);
        all.map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
            .collect()
    }

    /// The Check for it, made without the filter.
    pub(crate) fn check(self, callers: &Callers) -> CheckRequest {
        let What { method, path, with } = self.what();
        let headers = with.iter();
        let headers = headers.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let http = HttpRequest {
            method: (*method).to_owned(),
            path: (*path).to_owned(),
            host: "orders".to_owned(),
            scheme: "https".to_owned(),
            protocol: "HTTP/2".to_owned(),
            headers: headers.collect(),
            ..HttpRequest::default()
        };
        let looked_for = (wanted::LOOKED_FOR.to_owned(), "x-purpose".to_owned());
        let attributes = AttributeContext {
            source: Some(Peer {
                certificate: callers.shown(self.caller).pem.clone(),
                ..Peer::default()
            }),
            destination: Some(Peer {
                principal: self.callee().to_string(),
                ..Peer::default()
            }),
            request: Some(Request {
                time: None,
                http: Some(http),
            }),
            context_extensions: BTreeMap::from([looked_for]),
        };
        CheckRequest {
            attributes: Some(attributes),
        }
    }
}

pub(crate) fn callee(place: usize) -> SpiffeId {
    SpiffeId::parse(&spiffe_id(CALLEES[place])).unwrap()
}
