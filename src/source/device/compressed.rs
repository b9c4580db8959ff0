//! Unpacking one cluster into a buffer of the size it has to have: nothing that is packed can grow beyond that.

use std::io::{self, Read as _};

use flate2::{Decompress, FlushDecompress, Status};
use ruzstd::decoding::StreamingDecoder;

use super::broken;

/// How far a zstd frame may look back: what every decoder should allow (RFC 8878, section 3.1.1.1.2). More would be memory that an
/// image can ask for.
const LARGEST_WINDOW: u64 = 8 << 20;

/// Unpacks deflate data, with (`zlib`) or without its header, until the buffer is full. What follows in `packed` is padding.
///
/// # Errors
/// `InvalidData` if it is no such data, or is less than the buffer.
pub(super) fn inflate(packed: &[u8], zlib: bool, buffer: &mut [u8]) -> io::Result<()> {
    let mut stream = Decompress::new(zlib);
    let status =
        stream.decompress(packed, buffer, FlushDecompress::Finish).map_err(|error| broken(format!("deflate: {error}")))?;
    let made = stream.total_out();
    // Full without an end that was seen is full all the same: the end may be the next bits.
    if made == buffer.len() as u64 {
        return Ok(());
    }
    let why = if status == Status::StreamEnd { "the data end" } else { "the data are cut off" };
    Err(broken(format!("deflate: {why} after {made} of {} bytes", buffer.len())))
}

/// Unpacks a zstd frame until the buffer is full.
///
/// # Errors
/// As [`inflate`]; `InvalidData` too for a frame that wants more than 8 MiB of memory.
pub(super) fn unzstd(packed: &[u8], buffer: &mut [u8]) -> io::Result<()> {
    let stream = StreamingDecoder::new_with_max_window_size(packed, LARGEST_WINDOW);
    stream.map_err(|error| broken(format!("zstd: {error}")))?.read_exact(buffer).map_err(|error| broken(format!("zstd: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_that_unpack_to_more_or_less_than_a_cluster_never_fill_more_than_it() {
        let mut packed = Vec::new();
        let mut bomb = flate2::read::DeflateEncoder::new(io::repeat(0).take(64 << 20), flate2::Compression::best());
        bomb.read_to_end(&mut packed).unwrap();
        assert!(packed.len() < 100_000);
        let mut cluster = vec![1; 65536];
        inflate(&packed, false, &mut cluster).unwrap();
        assert!(cluster.iter().all(|&byte| byte == 0));
        let error = inflate(&packed[..40], false, &mut cluster).unwrap_err().to_string();
        assert!(error.contains("cut off after"), "{error}");
        assert!(inflate(b"\xff\xff\xff", false, &mut cluster).is_err());
        assert!(unzstd(b"\x28\xb5\x2f\xfd\x00\xff\x00", &mut cluster).is_err());
    }

    #[test]
    fn a_zstd_frame_that_wants_a_lot_of_memory_is_refused() {
        // Window descriptor: exponent 17, 128 MiB.
        let error = unzstd(b"\x28\xb5\x2f\xfd\x00\x88\x01\x00\x00", &mut [0; 16]).unwrap_err().to_string();
        assert!(error.contains("window") || error.contains("Window"), "{error}");
    }
}
