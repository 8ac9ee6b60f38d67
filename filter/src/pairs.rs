//! Header maps as proxy-wasm serializes them (ABI 0.2.1, "Serialization"): the
//! number of pairs, the lengths of each name and value, then the bytes, each
//! closed by a NUL. All numbers are 32 bits, little-endian.

/// Bytes that are not a serialized map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MalformedPairs;

/// Shows every pair of a serialized map. No bytes at all are an empty map.
pub(crate) fn read(bytes: &[u8], see: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), MalformedPairs> {
    if bytes.is_empty() {
        return Ok(());
    }
    let (count, rest) = bytes.split_first_chunk().ok_or(MalformedPairs)?;
    let table = length(*count)?.checked_mul(8).ok_or(MalformedPairs)?;
    let (lengths, mut rest) = rest.split_at_checked(table).ok_or(MalformedPairs)?;
    for pair in lengths.as_chunks::<8>().0 {
        let [a, b, c, d, e, f, g, h] = *pair;
        let name = text(&mut rest, [a, b, c, d])?;
        let value = text(&mut rest, [e, f, g, h])?;
        see(name, value);
    }
    if rest.is_empty() {
        Ok(())
    } else {
        Err(MalformedPairs)
    }
}

/// Serializes a map.
pub(crate) fn write(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
    let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes = Vec::with_capacity(512);
    bytes.extend(number(pairs.len()));
    for (name, value) in pairs {
        bytes.extend(number(name.len()));
        bytes.extend(number(value.len()));
    }
    for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend_from_slice(text);
        bytes.push(0);
    }
    bytes
}

fn length(bytes: [u8; 4]) -> Result<usize, MalformedPairs> {
    usize::try_from(u32::from_le_bytes(bytes)).map_err(|_| MalformedPairs)
}

fn text<'a>(rest: &mut &'a [u8], bytes: [u8; 4]) -> Result<&'a [u8], MalformedPairs> {
    let (text, after) = rest
        .split_at_checked(length(bytes)?)
        .ok_or(MalformedPairs)?;
    *rest = after.strip_prefix(&[0]).ok_or(MalformedPairs)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

    fn all(bytes: &[u8]) -> Result<Pairs, MalformedPairs> {
        let mut pairs = Vec::new();
        read(bytes, &mut |name, value| {
            pairs.push((name.to_owned(), value.to_owned()));
        })?;
        Ok(pairs)
    }

    #[test]
    fn the_example_of_the_specification() {
        let bytes = b"\x02\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x02\0\0\0a\x001\0b\x0022\0";
        assert_eq!(write(&[(b"a", b"1"), (b"b", b"22")]), bytes);
        assert_eq!(all(bytes).unwrap().len(), 2);
    }

    #[test]
    fn an_empty_map_has_two_forms() {
        assert_eq!(all(b""), Ok(vec![]));
        assert_eq!(all(b"\0\0\0\0"), Ok(vec![]));
    }

    #[test]
    fn every_cut_and_any_tail_is_malformed() {
        let whole = write(&[(b"name", b"value"), (b"x", b"")]);
        for end in 1..whole.len() {
            assert_eq!(all(&whole[..end]), Err(MalformedPairs), "{end}");
        }
        assert_eq!(all(&[whole, vec![0]].concat()), Err(MalformedPairs));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(pairs in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..9), prop::collection::vec(any::<u8>(), 0..9)), 0..9)) {
            let borrowed: Vec<_> = pairs.iter().map(|(a, b)| (a.as_slice(), b.as_slice())).collect();
            prop_assert_eq!(all(&write(&borrowed)).unwrap(), pairs);
        }

        #[test]
        fn any_bytes_are_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = all(&bytes);
        }
    }
}
