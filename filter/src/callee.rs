//! What a plugin knows of one service that it stands in front of.

use std::{
    cell::{RefCell, RefMut},
    rc::Rc,
};

use callgate_policy::SpiffeId;

use crate::{Ledger, lease::Leases};

/// Names of headers.
pub(crate) type Names = Rc<[String]>;

/// A called service, by the SPIFFE ID that the proxy presents for it.
#[derive(Debug)]
pub struct Callee {
    name: String,
    id: Option<SpiffeId>,
    /// The headers that decisions about calls to it were last known to read.
    wanted: RefCell<Names>,
    leases: RefCell<Leases>,
    ledger: RefCell<Ledger>,
}

impl Callee {
    pub(crate) fn new(name: &str, worker: [u8; 16]) -> Self {
        Self {
            name: name.to_owned(),
            id: SpiffeId::parse(name).ok(),
            wanted: RefCell::default(),
            leases: RefCell::default(),
            ledger: RefCell::new(Ledger::new(name, worker)),
        }
    }

    /// Its SPIFFE ID, as the proxy says it; empty if the proxy has none.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same, if it is one.
    pub(crate) fn id(&self) -> Option<&SpiffeId> {
        self.id.as_ref()
    }

    /// What may be decided here. Not to be held while a host is called.
    pub(crate) fn leases(&self) -> RefMut<'_, Leases> {
        self.leases.borrow_mut()
    }

    /// Drops what may be decided here: every call is asked about until there are new leases.
    pub fn drop_leases(&self) {
        self.leases().clear();
    }

    /// The decisions about it that have not reached the server.
    #[must_use]
    pub fn ledger(&self) -> RefMut<'_, Ledger> {
        self.ledger.borrow_mut()
    }

    /// The headers that decisions about calls to it read.
    pub(crate) fn wanted(&self) -> Names {
        Rc::clone(&self.wanted.borrow())
    }

    /// Remembers what decisions about calls to it read.
    pub(crate) fn want(&self, names: Vec<String>) -> Names {
        let names = Names::from(names);
        *self.wanted.borrow_mut() = Rc::clone(&names);
        names
    }
}
