//! Compression, by what a log begins with: names lie, and standard input has none.

use std::io::{self, BufReader, Read};

use flate2::read::MultiGzDecoder;

/// RFC 1952, section 2.3.1.
const GZIP: &[u8] = &[0x1f, 0x8b];
/// RFC 8878, section 3.1.1.
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// What `zstd --long` uses at most without asking the reader, and what is kept in memory.
const ZSTD_WINDOW_LOG: u32 = 27;
/// A block of a device, many times over: what is read at once.
const CHUNK_BYTES: usize = 128 * 1_024;

/// The text of `log`, whatever it is packed in.
pub(super) fn unpack(mut log: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    let mut head = Vec::new();
    log.by_ref()
        .take(ZSTD.len() as u64)
        .read_to_end(&mut head)?;
    let (gzip, zstd) = (head.starts_with(GZIP), head.starts_with(ZSTD));
    let whole = io::Cursor::new(head).chain(log);
    if gzip {
        let packed = BufReader::with_capacity(CHUNK_BYTES, whole);
        return Ok(Box::new(MultiGzDecoder::new(packed)));
    }
    if zstd {
        let mut unpacked = zstd::Decoder::new(whole)?;
        unpacked.window_log_max(ZSTD_WINDOW_LOG)?;
        return Ok(Box::new(unpacked));
    }
    Ok(Box::new(whole))
}
