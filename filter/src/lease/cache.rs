//! The leases of one callee, and the room that all callees of a plugin share.

use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
    time::Duration,
};

use callgate_policy::{Slice, SliceError};
use foldhash::fast::RandomState;

use super::{Fingerprint, Lease};
use crate::{Callee, Revision};

/// What the leases of one plugin may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// How many there may be.
    pub(super) leases: usize,
    /// Bytes of them.
    pub(super) bytes: usize,
}

/// Four certificates each of a thousand callers, and half of what a worker may take in all.
pub(crate) const ROOM: Room = Room {
    leases: 4_096,
    bytes: 4 * 1024 * 1024,
};

/// Certificates of one caller: the one in use, the one before it on connections that are
/// still open, and those of as many more replicas. A caller that has a new one for each
/// connection takes nobody's room but its own.
pub(super) const MAX_LEAVES: usize = 4;

/// What a lease takes besides its texts, and a slice besides its bytes: the structs, their
/// places in the maps, and what the allocator adds to each.
const OVERHEAD: usize = 448;

/// Leases under one revision.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    revision: Revision,
    by_leaf: HashMap<Fingerprint, Rc<Lease>, RandomState>,
    /// Each once, however many callers have it.
    slices: BTreeMap<Rc<[u8]>, Rc<Slice>>,
    /// Grows with each use.
    clock: u64,
    size: usize,
}

impl Leases {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_leaf.len()
    }

    /// About how many bytes they take.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn find(
        &mut self,
        announced: Option<Revision>,
        leaf: &Fingerprint,
        now: Duration,
    ) -> Option<Rc<Lease>> {
        let Some(announced) = announced else {
            self.clear();
            return None;
        };
        self.begin(announced);
        let lease = self.by_leaf.get(leaf)?;
        if !lease.is_current(now) {
            self.remove(leaf);
            return None;
        }
        self.clock = self.clock.wrapping_add(1);
        lease.used.set(self.clock);
        Some(Rc::clone(lease))
    }

    /// From now on leases are of this revision; those of another are dropped.
    pub(super) fn begin(&mut self, revision: Revision) {
        if self.revision != revision {
            self.clear();
            self.revision = revision;
        }
    }

    /// The slice with these bytes.
    pub(super) fn shared(&mut self, encoded: &[u8]) -> Result<(Rc<[u8]>, Rc<Slice>), SliceError> {
        if let Some((encoded, slice)) = self.slices.get_key_value(encoded) {
            return Ok((Rc::clone(encoded), Rc::clone(slice)));
        }
        let slice = Rc::new(Slice::decode(encoded)?);
        let encoded: Rc<[u8]> = Rc::from(encoded);
        self.size = self.size.saturating_add(size_of_slice(&encoded, &slice));
        self.slices.insert(Rc::clone(&encoded), Rc::clone(&slice));
        Ok((encoded, slice))
    }

    pub(super) fn insert(&mut self, leaf: Fingerprint, lease: Lease) {
        self.remove(&leaf);
        self.make_room_for(&lease);
        self.clock = self.clock.wrapping_add(1);
        lease.used.set(self.clock);
        self.size = self.size.saturating_add(size_of_lease(&lease));
        self.by_leaf.insert(leaf, Rc::new(lease));
    }

    /// Drops the oldest certificate of a caller who has enough of them.
    fn make_room_for(&mut self, lease: &Lease) {
        let all = self.by_leaf.iter();
        let same = all.filter(|(_, other)| other.caller == lease.caller);
        if same.clone().count() >= MAX_LEAVES
            && let Some((leaf, _)) = same.min_by_key(|(_, other)| other.clocks.dispatched)
        {
            let leaf = *leaf;
            self.remove(&leaf);
        }
    }

    /// Drops all.
    pub(crate) fn clear(&mut self) {
        if !self.by_leaf.is_empty() || !self.slices.is_empty() {
            self.by_leaf.clear();
            self.slices.clear();
            self.size = 0;
        }
    }

    /// Drops the one that was not used for longest; false if there is none.
    fn drop_one(&mut self) -> bool {
        let least = self
            .by_leaf
            .iter()
            .min_by_key(|(_, lease)| lease.used.get());
        let Some(leaf) = least.map(|(leaf, _)| *leaf) else {
            return false;
        };
        self.remove(&leaf);
        true
    }

    fn remove(&mut self, leaf: &Fingerprint) {
        let Some(lease) = self.by_leaf.remove(leaf) else {
            return;
        };
        self.size = self.size.saturating_sub(size_of_lease(&lease));
        // The map's own, and this lease's.
        if Rc::strong_count(&lease.slice) <= 2 {
            self.slices.remove(&lease.encoded);
            let size = size_of_slice(&lease.encoded, &lease.slice);
            self.size = self.size.saturating_sub(size);
        }
    }
}

/// Drops leases until there is room for all of these services: of the service that has most
/// of it, those that were not used for longest. A busy service does not push out another.
pub(crate) fn make_room(callees: &[Rc<Callee>], room: Room) {
    loop {
        let held = callees.iter().map(|callee| {
            let leases = callee.leases();
            (leases.len(), leases.size())
        });
        let total = held.fold((0_usize, 0_usize), |all, one| {
            (all.0.saturating_add(one.0), all.1.saturating_add(one.1))
        });
        if total.0 <= room.leases && total.1 <= room.bytes {
            return;
        }
        let by_number = total.0 > room.leases;
        let most = callees.iter().max_by_key(|callee| {
            let leases = callee.leases();
            if by_number {
                leases.len()
            } else {
                leases.size()
            }
        });
        if !most.is_some_and(|callee| callee.leases().drop_one()) {
            return;
        }
    }
}

fn size_of_lease(lease: &Lease) -> usize {
    let texts = lease.caller.as_str().len();
    let texts = texts.saturating_add(lease.noted.size());
    OVERHEAD.saturating_add(texts)
}

fn size_of_slice(encoded: &[u8], slice: &Slice) -> usize {
    let bytes = encoded.len().saturating_add(slice.footprint());
    OVERHEAD.saturating_add(bytes)
}
