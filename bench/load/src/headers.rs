//! A request's headers as HTTP/2 has them on the wire (HPACK, RFC 7541), by a caller
//! that sends the same ones again and again.

/// Names of the static table that requests here use, and their places (appendix A).
const NAMES: [(&str, u8); 6] = [
    (":authority", 1),
    (":path", 4),
    ("accept", 19),
    ("authorization", 23),
    ("content-type", 31),
    ("user-agent", 58),
];
/// How many fields the static table has.
const STATIC: usize = 61;
/// Added to the dynamic table, or not (section 6.2).
const KEPT: u8 = 0x40;
const FRESH: u8 = 0;
const INDEXED: u8 = 0x80;

/// The headers of one connection's requests. The first request puts them into the dynamic
/// table, the others name them there, as whoever keeps a connection does.
#[derive(Clone, Debug)]
pub(crate) struct Headers {
    /// Places in the static table.
    fixed: Vec<u8>,
    kept: Vec<(String, String)>,
    introduced: bool,
}

impl Headers {
    /// `fixed` are places in the static table, such as 2 for `:method: GET`.
    pub(crate) fn new(fixed: &[u8], kept: &[(&str, &str)]) -> Self {
        let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            fixed: fixed.to_vec(),
            kept: kept.iter().map(own).collect(),
            introduced: false,
        }
    }

    /// Those of the next request, and fields that only this one has.
    pub(crate) fn next(&mut self, fresh: &[(&str, &str)]) -> Vec<u8> {
        let mut block: Vec<u8> = self.fixed.iter().map(|place| INDEXED | place).collect();
        for (name, value) in fresh {
            literal(&mut block, FRESH, 4, name, value);
        }
        for (age, (name, value)) in self.kept.iter().rev().enumerate().rev() {
            if self.introduced {
                integer(&mut block, INDEXED, 7, STATIC + 1 + age);
            } else {
                literal(&mut block, KEPT, 6, name, value);
            }
        }
        self.introduced = true;
        block
    }
}

/// Whether headers of an answer begin with `:status: 200`, which has a place of its own.
pub(crate) const fn are_of_200(block: &[u8]) -> bool {
    matches!(block, [0x88, ..])
}

fn literal(block: &mut Vec<u8>, form: u8, prefix: u32, name: &str, value: &str) {
    match NAMES.iter().find(|known| known.0 == name) {
        Some((_, place)) => integer(block, form, prefix, usize::from(*place)),
        None => {
            block.push(form);
            text(block, name);
        }
    }
    text(block, value);
}

/// Not Huffman-coded.
fn text(block: &mut Vec<u8>, value: &str) {
    integer(block, 0, 7, value.len());
    block.extend_from_slice(value.as_bytes());
}

/// An integer with a prefix of that many bits (section 5.1).
fn integer(block: &mut Vec<u8>, form: u8, prefix: u32, value: usize) {
    let most = (1_usize << prefix) - 1;
    if value < most {
        block.push(form | low(value));
        return;
    }
    block.push(form | low(most));
    let mut rest = value - most;
    while rest >= 0x80 {
        block.push(0x80 | low(rest & 0x7f));
        rest >>= 7;
    }
    block.push(low(rest));
}

fn low(value: usize) -> u8 {
    u8::try_from(value & 0xff).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_those_of_the_rfc() {
        // Appendices C.1.1 and C.1.2.
        let mut block = Vec::new();
        integer(&mut block, 0, 5, 10);
        integer(&mut block, 0, 5, 1337);
        assert_eq!(block, [0x0a, 0x1f, 0x9a, 0x0a]);
    }

    #[test]
    fn what_is_kept_is_named_by_its_place_afterwards() {
        let mut headers = Headers::new(&[2], &[("x-a", "1"), ("x-b", "2")]);
        let first = headers.next(&[(":path", "/")]);
        let wanted = b"\x82\x04\x01/\x40\x03x-a\x011\x40\x03x-b\x012";
        assert_eq!(first, wanted);
        // The one that was added last is the first after the static table.
        assert_eq!(headers.next(&[(":path", "/")]), b"\x82\x04\x01/\xbf\xbe");
    }
}
