//! What is remembered of a connection: a proxy says the same of every request on it, and
//! each thing that it is asked takes longer than to decide.

use std::{
    borrow::Cow,
    cell::{OnceCell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use foldhash::fast::RandomState;

use crate::{
    Attribute, Callee, Host, HostError,
    lease::Fingerprint,
    request::{ClientCert, text},
};

/// How many are remembered, of a worker's plugin: with a usual certificate each, as itself
/// and in a header, they take 4 MiB.
const MAX: usize = 1_024;

/// The longest certificate that is remembered, and the longest header with one: a leaf and
/// an intermediate, URL-encoded. Where untrusted callers are let in to be told so, they
/// choose how long theirs are.
const MAX_TEXT: usize = 4 * 1024;

/// The proxy's number of a connection, which it gives once in its life.
pub(crate) type ConnectionId = [u8; 8];

/// One connection from downstream.
#[derive(Debug)]
pub(crate) struct Connection {
    callee: Rc<Callee>,
    leaf: Option<Fingerprint>,
    /// The same in PEM, once it was asked for; empty if there is none.
    certificate: OnceCell<String>,
    /// As it was last written; mostly the same for each request.
    client_cert: RefCell<Rc<ClientCert>>,
}

/// The connections of one plugin.
#[derive(Debug, Default)]
pub(crate) struct Connections(HashMap<ConnectionId, Rc<Connection>, RandomState>);

impl Connection {
    /// `leaf` is the certificate by which requests may be decided here.
    pub(crate) fn new(callee: Rc<Callee>, leaf: Option<Fingerprint>) -> Self {
        Self {
            callee,
            leaf,
            certificate: OnceCell::new(),
            client_cert: RefCell::default(),
        }
    }

    /// One that the proxy failed to tell of.
    pub(crate) fn unknown() -> Self {
        Self::new(Rc::new(Callee::new("", [0; 16])), None)
    }

    /// The service that is called.
    pub(crate) fn callee(&self) -> &Rc<Callee> {
        &self.callee
    }

    /// The caller's certificate, if requests may be decided by it here.
    pub(crate) fn leaf(&self) -> Option<&Fingerprint> {
        self.leaf.as_ref()
    }

    /// The caller's certificate in PEM, empty if it showed none.
    ///
    /// # Errors
    /// When the proxy fails to say.
    pub(crate) fn certificate(&self, host: &mut impl Host) -> Result<Cow<'_, str>, HostError> {
        if let Some(known) = self.certificate.get() {
            return Ok(Cow::Borrowed(known));
        }
        let shown = host.attribute(Attribute::PeerCertificate)?;
        let shown = text(&shown.unwrap_or_default()).into_owned();
        if shown.len() > MAX_TEXT {
            return Ok(Cow::Owned(shown));
        }
        Ok(Cow::Borrowed(self.certificate.get_or_init(|| shown)))
    }

    /// The client certificate's header with this text, if it is the one that was last read.
    pub(crate) fn knows(&self, client_cert: &[u8]) -> Option<Rc<ClientCert>> {
        let known = self.client_cert.borrow();
        (known.text() == Some(client_cert)).then(|| Rc::clone(&known))
    }

    /// Reads the client certificate's header.
    pub(crate) fn read(&self, client_cert: Vec<u8>) -> Rc<ClientCert> {
        let is_kept = client_cert.len() <= MAX_TEXT;
        let read = Rc::new(ClientCert::read(client_cert));
        if is_kept {
            *self.client_cert.borrow_mut() = Rc::clone(&read);
        }
        read
    }
}

impl Connections {
    /// The connection with this number.
    pub(crate) fn find(&self, id: &ConnectionId) -> Option<Rc<Connection>> {
        self.0.get(id).map(Rc::clone)
    }

    /// Remembers one more. A proxy does not say when a connection ends: when there is no
    /// room left all are forgotten, and those that are in use are soon known again.
    pub(crate) fn add(&mut self, id: ConnectionId, connection: Rc<Connection>) {
        if self.0.len() >= MAX {
            self.0.clear();
        }
        self.0.insert(id, connection);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeHost;

    #[test]
    fn the_last_client_cert_is_known_unless_it_is_long() {
        let connection = Connection::unknown();
        assert!(connection.knows(b"By=x").is_none());
        let read = connection.read(b"By=x".to_vec());
        assert!(Rc::ptr_eq(&connection.knows(b"By=x").unwrap(), &read));
        assert!(connection.knows(b"By=y").is_none());
        let long = vec![b'x'; MAX_TEXT + 1];
        let _ = connection.read(long.clone());
        assert!(connection.knows(&long).is_none());
        assert!(connection.knows(b"By=x").is_some());
    }

    #[test]
    fn a_long_certificate_is_asked_for_each_time() {
        let mut host = FakeHost::new();
        for (length, asked) in [(MAX_TEXT, 1), (MAX_TEXT + 1, 2)] {
            let connection = Connection::unknown();
            host.leaf = Some(vec![b'x'; length]);
            host.asked.clear();
            for _ in 0..2 {
                assert_eq!(connection.certificate(&mut host).unwrap().len(), length);
            }
            assert_eq!(host.asked.len(), asked);
        }
    }

    #[test]
    fn so_many_are_remembered_at_most() {
        let mut connections = Connections::default();
        let id = |number: usize| u64::try_from(number).unwrap().to_le_bytes();
        for number in 0..3 * MAX {
            connections.add(id(number), Rc::new(Connection::unknown()));
            assert!(connections.find(&id(number)).is_some());
            assert!(connections.0.len() <= MAX);
        }
        assert!(connections.find(&id(0)).is_none());
    }
}
