//! gRPC over HTTP/2: one message each way is all these tests need.

use anyhow::{Result, ensure};
use bytes::Bytes;

use super::Call;

/// A unary call of `/package.Service/Method` with `message`.
#[must_use]
pub fn unary(path: &str, message: &[u8]) -> Call {
    Call::new("POST", path)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(frame(message))
}

/// A length-prefixed message, not compressed.
#[must_use]
pub fn frame(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], length.to_be_bytes().as_slice(), message]
        .concat()
        .into()
}

/// The message in a frame that holds exactly one.
///
/// # Errors
/// When it holds anything else.
pub fn unframe(frame: &[u8]) -> Result<Bytes> {
    let Some((head, message)) = frame.split_at_checked(5) else {
        anyhow::bail!("{} bytes are no frame", frame.len());
    };
    ensure!(head.first() == Some(&0), "a compressed message");
    let length = head
        .iter()
        .skip(1)
        .fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
    ensure!(
        length == message.len(),
        "a frame of {length} bytes holds {}",
        message.len()
    );
    Ok(Bytes::copy_from_slice(message))
}
