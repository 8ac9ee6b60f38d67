//! Protocol buffers, written field by field: a decision is encoded from what it borrows
//! as it is made, without a message of its own. Proto3: what is empty is left out.

/// The wire type of a number.
const VARINT: u64 = 0;
/// The wire type of text, bytes and messages.
const LENGTH_DELIMITED: u64 = 2;

/// A field of text or bytes.
pub(super) fn text(field: u64, value: impl AsRef<[u8]>, to: &mut Vec<u8>) {
    let value = value.as_ref();
    if !value.is_empty() {
        present(field, value, to);
    }
}

/// A field of text or bytes that is there even if it is empty: `optional`, or a message.
pub(super) fn present(field: u64, value: impl AsRef<[u8]>, to: &mut Vec<u8>) {
    let value = value.as_ref();
    varint(field << 3 | LENGTH_DELIMITED, to);
    varint(u64::try_from(value.len()).unwrap_or(u64::MAX), to);
    to.extend_from_slice(value);
}

/// A field of a number.
pub(super) fn number(field: u64, value: u64, to: &mut Vec<u8>) {
    if value != 0 {
        varint(field << 3 | VARINT, to);
        varint(value, to);
    }
}

fn varint(mut value: u64, to: &mut Vec<u8>) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            to.push(low & 0x7f);
            return;
        }
        to.push(low | 0x80);
    }
}
