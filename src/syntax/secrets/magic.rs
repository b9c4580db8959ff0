//! Memory that was written to a file: core dumps and swap.

/// How much of a file has to be read to tell: the header of swap stands at the end of the first page, and pages have up to 64 KiB.
pub const START: u64 = 65_536;

/// A core dump: ELF of the type `ET_CORE` (`elf(5)`).
#[must_use]
pub fn is_core_dump(start: &[u8]) -> bool {
    let kind = |first, second| matches!((start.get(16), start.get(17)), (Some(a), Some(b)) if (*a, *b) == (first, second));
    match start.get(..6) {
        Some([0x7F, b'E', b'L', b'F', _, 1]) => kind(4, 0),
        Some([0x7F, b'E', b'L', b'F', _, 2]) => kind(0, 4),
        _ => false,
    }
}

/// Swap, by the mark at the end of its first page (`mkswap(8)`), or a machine that was sent to sleep into it.
#[must_use]
pub fn is_swap(start: &[u8]) -> bool {
    const MARKS: [&[u8]; 4] = [b"SWAPSPACE2", b"SWAP-SPACE", b"S1SUSPEND\0", b"ULSUSPEND\0"];
    [4096_usize, 8192, 16_384, 65_536].into_iter().filter_map(|page| start.get(page - 10..page)).any(|mark| MARKS.contains(&mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_dump_of_either_byte_order() {
        let elf = |order, kind: [u8; 2]| [&[0x7F, b'E', b'L', b'F', 2, order, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &kind].concat();
        assert!(is_core_dump(&elf(1, [4, 0])) && is_core_dump(&elf(2, [0, 4])));
        assert!(!is_core_dump(&elf(1, [3, 0])) && !is_core_dump(&elf(1, [0, 4])) && !is_core_dump(b"\x7fELF"));
    }

    #[test]
    fn swap_of_several_page_sizes() {
        for page in [4096, 65_536] {
            let mut start = vec![0; page - 10];
            assert!(!is_swap(&start));
            start.extend(b"SWAPSPACE2");
            assert!(is_swap(&start));
        }
        assert!(!is_swap(b"SWAPSPACE2"));
    }
}
