//! The checksums of ext4 and its journal.

/// CRC-32C as ext4 chains it: neither the start value nor the result is inverted (kernel documentation, `ext4/checksums`).
pub(super) fn crc32c(start: u32, bytes: &[u8]) -> u32 {
    !crc32c::crc32c_append(!start, bytes)
}

/// CRC-16 with the reflected polynomial 0x8005, of group descriptors before `metadata_csum` (`uninit_bg`).
pub(super) fn crc16(start: u16, bytes: &[u8]) -> u16 {
    bytes.iter().fold(start, |crc, &byte| {
        (0..8).fold(crc ^ u16::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xa001 } else { crc >> 1 })
    })
}

/// CRC-32 with the highest bit first, not inverted: the checksum of whole transactions in the first journals that had any.
pub(super) fn crc32_be(start: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(start, |crc, &byte| {
        let table = usize::from((crc >> 24) as u8 ^ byte);
        crc << 8 ^ TABLE.get(table).copied().unwrap_or(0)
    })
}

const TABLE: [u32; 256] = table();

#[allow(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "computed by the compiler, from 0 to 255")]
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = (index as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc >> 31 == 1 { crc << 1 ^ 0x04c1_1db7 } else { crc << 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_values_of_the_catalogue_come_out() {
        // CRC-32C "iSCSI", CRC-16 "ARC" and CRC-32 "MPEG-2" of the digits, as the catalogue of parametrised CRCs has them.
        assert_eq!(!crc32c(!0, b"123456789"), 0xe306_9283);
        assert_eq!(crc16(0, b"123456789"), 0xbb3d);
        assert_eq!(crc32_be(!0, b"123456789"), 0x0376_e6e7);
    }
}
