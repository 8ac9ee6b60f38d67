//! The Check that is sent for a request.

use std::collections::BTreeMap;

use callgate_wire::{
    envoy::service::auth::v3::{
        AttributeContext, CheckRequest,
        attribute_context::{HttpRequest, Peer, Request},
    },
    headers, terms, wanted,
};

use super::{Kept, More, Piece, Seen, text};
use crate::{Attribute, Host, HostError};

impl Seen {
    /// The Check for this request; of one that is open, `rechecks` is the id of the
    /// decision that let it in. `leases` says whether what an answer leases is kept.
    ///
    /// An attribute that the proxy has not is left out, and the server decides
    /// without; one that it fails to read is an error.
    pub(crate) fn check(
        &self,
        host: &mut impl Host,
        rechecks: Option<&str>,
        leases: bool,
    ) -> Result<CheckRequest, HostError> {
        let certificate = self.connection.certificate(host)?.into_owned();
        let protocol = host.attribute(Attribute::Protocol)?;
        let kept = |piece: Piece| text(self.kept.get(piece)).into_owned();
        let named = [
            ("content-type", self.content_type.map(kept)),
            ("upgrade", self.upgrade.map(kept)),
            ("traceparent", self.traceparent().map(str::to_owned)),
            (
                headers::CLIENT_CERT,
                self.client_cert.told().map(str::to_owned),
            ),
        ];
        let mut headers: BTreeMap<String, String> = named
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect();
        let mut context_extensions = self.more.tell(&self.kept, &mut headers);
        context_extensions.insert(terms::WANTED.to_owned(), terms::VERSION.to_owned());
        if !leases {
            let (name, value) = terms::NO_LEASES;
            context_extensions.insert(name.to_owned(), value.to_owned());
        }
        if let Some(id) = rechecks {
            context_extensions.insert(terms::RECHECKS.to_owned(), id.to_owned());
        }
        let request_id = std::str::from_utf8(self.kept.get(self.request_id));
        let http = HttpRequest {
            id: request_id.unwrap_or_default().to_owned(),
            method: kept(self.method),
            headers,
            path: kept(self.path),
            host: kept(self.authority),
            scheme: kept(self.scheme),
            protocol: text(&protocol.unwrap_or_default()).into_owned(),
        };
        let source = Peer {
            certificate,
            ..Peer::default()
        };
        let destination = Peer {
            principal: self.callee().name().to_owned(),
            ..Peer::default()
        };
        Ok(CheckRequest {
            attributes: Some(AttributeContext {
                source: Some(source),
                destination: Some(destination),
                request: Some(Request {
                    time: None,
                    http: Some(http),
                }),
                context_extensions,
            }),
        })
    }
}

impl More {
    /// Adds what was found to the headers of a Check, and gives the context extensions
    /// that say what was looked for.
    fn tell(
        &self,
        kept: &Kept,
        headers: &mut BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let mut not_utf8 = Vec::new();
        for (place, value) in &self.found {
            let Some(name) = self.names.get(*place) else {
                continue;
            };
            match std::str::from_utf8(kept.get(*value)) {
                Ok(value) => {
                    headers.insert(name.clone(), value.to_owned());
                }
                Err(_) => not_utf8.push(name.as_str()),
            }
        }
        let mut told = BTreeMap::from([(wanted::LOOKED_FOR.to_owned(), self.names.join(","))]);
        if !not_utf8.is_empty() {
            told.insert(wanted::NOT_UTF8.to_owned(), not_utf8.join(","));
        }
        told
    }
}
