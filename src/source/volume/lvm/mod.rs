//! LVM2: physical volumes, the text that describes their group, and its logical volumes (`lvm2/lib/format_text`, `man lvmsystemid`,
//! `vgcfgbackup(8)` for the text).

mod group;
mod label;
mod map;
mod text;

pub(super) use group::Group;
pub(super) use label::Physical;
pub(super) use map::Linear;

/// CRC-32 (IEEE 802.3) without its last step, from this start on. GPT inverts the result, LVM does not.
pub(in crate::source) fn crc32(start: u32, bytes: &[u8]) -> u32 {
    const TABLE: [u32; 16] = table();
    bytes.iter().fold(start, |mut sum, &byte| {
        sum ^= u32::from(byte);
        for _ in 0..2 {
            // Four bits at once: small, and a table is checked once.
            sum = TABLE.get((sum & 15) as usize).copied().unwrap_or_default() ^ (sum >> 4);
        }
        sum
    })
}

#[allow(clippy::indexing_slicing, reason = "computed when it is compiled")]
const fn table() -> [u32; 16] {
    let mut table = [0; 16];
    let mut number = 0_u8;
    while number < 16 {
        let mut sum = number as u32;
        let mut bit = 0;
        while bit < 4 {
            sum = if sum & 1 == 1 { 0xedb8_8320 ^ (sum >> 1) } else { sum >> 1 };
            bit += 1;
        }
        table[number as usize] = sum;
        number += 1;
    }
    table
}

/// An LVM identifier as its text has it: 32 letters in groups of 6, 4, 4, 4, 4, 4 and 6.
pub(super) fn dashed(id: &[u8]) -> String {
    let mut out = String::with_capacity(38);
    for (at, &byte) in id.iter().enumerate() {
        if matches!(at, 6 | 10 | 14 | 18 | 22 | 26) {
            out.push('-');
        }
        out.push(if byte.is_ascii_alphanumeric() { char::from(byte) } else { '?' });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_of_the_standard() {
        assert_eq!(!crc32(!0, b"123456789"), 0xcbf4_3926);
    }
}
