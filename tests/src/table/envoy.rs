//! A row as a real request to a real Envoy.

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::{Context as _, Result};

use super::{
    Call, Form, Forwarded, Got, Headers, Kind, Protocol, Refusal, Row, Table, Wallet,
    http2::{Http2, Outcome},
};
use crate::{
    caller::{Caller, Http, raw},
    gate::{Face, Gate},
    sidecar::{Host, Validation},
    upstream::Seen,
};

/// Marks a request, so that it is known again where it arrives.
const MARK: &str = "x-table-row";
/// Whom requests are addressed to.
/// Whom every row calls that names nobody else.
pub const AUTHORITY: &str = "callee.test";

/// Callers in front of a gate; they keep their TLS sessions and HTTP/2 connections.
pub struct Callers<'g> {
    gate: &'g Gate,
    table: &'g Table,
    wallet: Wallet,
    callers: BTreeMap<String, Caller>,
    connections: BTreeMap<(String, SocketAddr), Http2>,
    asked: usize,
}

impl<'g> Callers<'g> {
    /// Mints everybody's certificate by the gate's own authorities.
    ///
    /// # Errors
    /// When one cannot be signed.
    pub fn of(gate: &'g Gate, table: &'g Table) -> Result<Self> {
        Ok(Self {
            wallet: Wallet::mint(table, &gate.pki)?,
            gate,
            table,
            callers: BTreeMap::new(),
            connections: BTreeMap::new(),
            asked: 0,
        })
    }

    /// Makes the row's request at its callee's listener.
    ///
    /// # Errors
    /// When nothing comes of it in time.
    pub async fn ask(
        &mut self,
        row: &Row,
        form: Form,
        validation: Validation,
        protocol: Protocol,
    ) -> Result<Got> {
        let shown = self.wallet.shown(row.peer());
        let callee = self.table.workloads.callee(&row.to)?;
        let (Some(callee), false) = (callee, shown.is_some_and(|shown| shown.mistold)) else {
            return Ok(Got::Cannot);
        };
        let address = self.gate.address(callee.as_str(), face(form, validation))?;
        self.asked += 1;
        let mark = self.asked.to_string();
        let call = row.asked(&self.wallet, &self.table.workloads)?;
        let got = match protocol {
            Protocol::Http1 => self.http1(row.peer(), &call, address, &mark).await?,
            Protocol::Http2 => self.http2(row.peer(), &call, address, &mark).await?,
        };
        // Where it went is what counts, whatever came back.
        Ok(self
            .gate
            .upstream
            .marked(MARK, &mark)
            .map_or(got, forwarded))
    }

    async fn http1(
        &mut self,
        peer: &str,
        call: &Call,
        address: SocketAddr,
        mark: &str,
    ) -> Result<Got> {
        let caller = self.caller(peer)?;
        let outcome = caller.send_raw(address, &http1_bytes(call, mark)).await;
        Ok(match outcome {
            Ok(raw::Outcome::Answer(answer)) => {
                let fields = answer.headers.iter();
                let fields = fields.map(|(n, v)| (n.to_string(), v.as_bytes().to_vec()));
                refused(
                    answer.status,
                    Headers(fields.collect()),
                    answer.body.to_vec(),
                )
            }
            Ok(raw::Outcome::Closed) => Got::Reset,
            Err(_) => Got::HandshakeRefused,
        })
    }

    async fn http2(
        &mut self,
        peer: &str,
        call: &Call,
        address: SocketAddr,
        mark: &str,
    ) -> Result<Got> {
        let key = (peer.to_owned(), address);
        let mut connection = match self.connections.remove(&key) {
            Some(connection) => connection,
            None => {
                let Ok(tls) = self.caller(peer)?.handshake(address, Http::Two).await else {
                    return Ok(Got::HandshakeRefused);
                };
                // With TLS 1.3 a refused certificate shows at the first bytes.
                let Ok(connection) = Http2::begin(tls).await else {
                    return Ok(Got::Reset);
                };
                connection
            }
        };
        let opens = call.kind == Kind::Websocket;
        let outcome = connection.ask(&http2_headers(call, mark), opens).await?;
        match outcome {
            Outcome::Answer(answer) => {
                self.connections.insert(key, connection);
                let status = answer.headers.one(":status").and_then(|s| s.parse().ok());
                Ok(refused(
                    status.context("no status")?,
                    answer.headers,
                    answer.body,
                ))
            }
            Outcome::Reset => {
                self.connections.insert(key, connection);
                Ok(Got::Reset)
            }
            Outcome::Closed => Ok(Got::Reset),
        }
    }

    fn caller(&mut self, name: &str) -> Result<Caller> {
        if let Some(caller) = self.callers.get(name) {
            return Ok(caller.clone());
        }
        let identity = self.wallet.shown(name).map(|shown| &shown.identity);
        let caller = Caller::new(identity)?;
        self.callers.insert(name.to_owned(), caller.clone());
        Ok(caller)
    }
}

const fn face(form: Form, validation: Validation) -> Face {
    match form {
        Form::Ours => (Host::Filter, validation),
        Form::Native => (Host::Native, validation),
    }
}

fn http1_bytes(call: &Call, mark: &str) -> Vec<u8> {
    let mut bytes = [call.method.as_bytes(), b" ", &call.target, b" HTTP/1.1\r\n"].concat();
    let mut field = |name: &str, value: &[u8]| {
        bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    };
    if call.authority {
        field("host", AUTHORITY.as_bytes());
    }
    field(MARK, mark.as_bytes());
    match call.kind {
        Kind::Websocket => {
            field("connection", b"Upgrade");
            field("sec-websocket-version", b"13");
            field("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ==");
        }
        _ if call.header("connection").is_none() => field("connection", b"close"),
        _ => {}
    }
    for (name, value) in &call.headers {
        field(name, value);
    }
    if ["POST", "PUT", "PATCH"].contains(&call.method.as_str()) {
        field("content-length", b"0");
    }
    bytes.extend(b"\r\n");
    bytes
}

fn http2_headers(call: &Call, mark: &str) -> Headers {
    let mut headers = Vec::new();
    let mut field = |name: &str, value: &[u8]| headers.push((name.to_owned(), value.to_vec()));
    let plain_connect = call.method == "CONNECT" && !call.target.starts_with(b"/");
    match (call.kind, plain_connect) {
        (_, true) => {
            field(":method", b"CONNECT");
            field(":authority", &call.target);
        }
        (kind, false) => {
            let extended = kind == Kind::Websocket;
            field(
                ":method",
                if extended {
                    b"CONNECT"
                } else {
                    call.method.as_bytes()
                },
            );
            if extended {
                field(":protocol", b"websocket");
            }
            field(":scheme", b"https");
            field(":path", &call.target);
            if call.authority {
                field(":authority", AUTHORITY.as_bytes());
            }
        }
    }
    field(MARK, mark.as_bytes());
    for (name, value) in call.headers.iter().filter(|(name, _)| name != "upgrade") {
        field(&name.to_ascii_lowercase(), value);
    }
    Headers(headers)
}

fn forwarded(seen: Seen) -> Got {
    // The service tells bytes as characters.
    let bytes = |text: String| {
        text.chars()
            .map(|c| u8::try_from(c).unwrap_or(b'?'))
            .collect()
    };
    let headers = seen
        .headers
        .into_iter()
        .map(|(name, value)| (name, bytes(value)));
    Got::Forwarded(Box::new(Forwarded {
        path: Some(seen.path.into_bytes()),
        headers: Headers(headers.collect()),
        record: None,
    }))
}

fn refused(status: u16, headers: Headers, body: Vec<u8>) -> Got {
    let grpc = headers
        .one("grpc-status")
        .and_then(|code| code.parse().ok());
    let message = headers
        .one("grpc-message")
        .unwrap_or_default()
        .as_bytes()
        .to_vec();
    Got::Refused(Box::new(Refusal {
        http: grpc.is_none().then_some(status),
        body: if grpc.is_some() { message } else { body },
        grpc,
        headers,
        record: None,
    }))
}
