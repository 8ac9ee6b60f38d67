//! What a plugin knows of one service that it stands in front of.

use std::{
    cell::{RefCell, RefMut},
    rc::Rc,
};

use crate::Ledger;

/// Names of headers.
pub(crate) type Names = Rc<[String]>;

/// A called service, by the SPIFFE ID that the proxy presents for it.
#[derive(Debug)]
pub struct Callee {
    name: String,
    /// The headers that decisions about calls to it were last known to read.
    wanted: RefCell<Names>,
    ledger: RefCell<Ledger>,
}

impl Callee {
    pub(crate) fn new(name: &str, worker: [u8; 16]) -> Self {
        Self {
            name: name.to_owned(),
            wanted: RefCell::default(),
            ledger: RefCell::new(Ledger::new(name, worker)),
        }
    }

    /// Its SPIFFE ID, as the proxy says it; empty if the proxy has none.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
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
