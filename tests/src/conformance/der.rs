//! Extensions that rcgen does not write, or not in every form that there is.

use rcgen::CustomExtension;

use super::mint::{KeyUsage, Purpose};

/// `subjectAltName` with URIs.
pub(super) fn san(uris: &[String], critical: bool) -> CustomExtension {
    let names = uris.iter().flat_map(|uri| tlv(0x86, uri.as_bytes()));
    let content = tlv(0x30, &names.collect::<Vec<_>>());
    extension(&[2, 5, 29, 17], content, critical)
}

/// `keyUsage`: a `BIT STRING` without the zeros at its end, as DER wants a list of names.
pub(super) fn key_usage(usages: &[KeyUsage], critical: bool) -> CustomExtension {
    let bits = usages
        .iter()
        .fold(0_u8, |bits, usage| bits | (0x80 >> *usage as u8));
    let unused = u8::try_from(bits.trailing_zeros()).unwrap_or_default();
    extension(&[2, 5, 29, 15], tlv(0x03, &[unused, bits]), critical)
}

/// `extendedKeyUsage`.
pub(super) fn extended_key_usage(purposes: &[Purpose], critical: bool) -> CustomExtension {
    let oids = purposes.iter().flat_map(|purpose| {
        let id_kp = [0x2b, 6, 1, 5, 5, 7, 3, *purpose as u8];
        tlv(0x06, &id_kp)
    });
    let content = tlv(0x30, &oids.collect::<Vec<_>>());
    extension(&[2, 5, 29, 37], content, critical)
}

/// Any extension.
pub(super) fn extension(oid: &[u64], content: Vec<u8>, critical: bool) -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(oid, content);
    extension.set_criticality(critical);
    extension
}

/// One DER element of less than 256 bytes.
pub(super) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap_or(u8::MAX);
    let head: &[u8] = if length < 0x80 {
        &[tag, length]
    } else {
        &[tag, 0x81, length]
    };
    [head, content].concat()
}
