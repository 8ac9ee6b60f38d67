//! Pieces of one request, kept in one block of memory: there may be thousands of open
//! requests, and each piece by itself would be an allocation.

/// Bytes, one piece behind the other. What is joined of several stands by itself, so that
/// nobody can make it long by sending a header often.
#[derive(Debug)]
pub(super) struct Kept {
    bytes: Vec<u8>,
    joined: Vec<Vec<u8>>,
}

/// Where a piece stands, in the [`Kept`] that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    At { start: usize, end: usize },
    Joined(usize),
}

impl Piece {
    /// Nothing.
    pub(super) const EMPTY: Self = Self::At { start: 0, end: 0 };
}

impl Kept {
    pub(super) fn new() -> Self {
        Self {
            // The few headers of an ordinary request.
            bytes: Vec::with_capacity(384),
            joined: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, value: &[u8]) -> Piece {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(value);
        let end = self.bytes.len();
        Piece::At { start, end }
    }

    /// Adds the next value of a header: repeated ones are one, joined with `,` (RFC 9110
    /// section 5.3).
    pub(super) fn join(&mut self, all: Option<Piece>, value: &[u8]) -> Piece {
        let Some(before) = all else {
            return self.add(value);
        };
        let place = match before {
            Piece::Joined(place) => place,
            Piece::At { .. } => {
                self.joined.push(self.get(before).to_owned());
                self.joined.len().saturating_sub(1)
            }
        };
        if let Some(joined) = self.joined.get_mut(place) {
            joined.push(b',');
            joined.extend_from_slice(value);
        }
        Piece::Joined(place)
    }

    pub(super) fn get(&self, piece: Piece) -> &[u8] {
        let bytes = match piece {
            Piece::At { start, end } => self.bytes.get(start..end),
            Piece::Joined(place) => self.joined.get(place).map(Vec::as_slice),
        };
        bytes.unwrap_or_default()
    }
}
