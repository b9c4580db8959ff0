//! Hashes of names, by which large directories are ordered.
//!
//! Source: kernel documentation, `ext4/directory` (hash tree), and what Linux's `fs/ext4/hash.c` computes. The MD4 rounds are
//! those of RFC 1320, half of them; TEA is Wheeler and Needham's, with sixteen rounds.

use super::superblock::HashSetup;

/// A hash that Linux takes for the end of a directory, doubled, as it is stored.
const END: u32 = 0x7fff_ffff << 1;

/// The kinds of hashes by the number in the root of an index. The numbers 3 to 5 are 0 to 2 with unsigned characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Legacy,
    HalfMd4,
    Tea,
}

/// How the names of one directory are hashed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hasher {
    kind: Kind,
    unsigned: bool,
    seed: [u32; 4],
}

impl Hasher {
    /// The hasher of this number; nothing for one that is not known, such as SipHash, which needs a key.
    pub(super) fn new(version: u8, setup: &HashSetup) -> Option<Self> {
        let kind = match version % 3 {
            0 => Kind::Legacy,
            1 => Kind::HalfMd4,
            _ => Kind::Tea,
        };
        let default = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
        let seed = if setup.seed == [0; 4] { default } else { setup.seed };
        (version < 6).then_some(Self { kind, unsigned: version >= 3 || setup.unsigned, seed })
    }

    /// The hash by which a name is found, and a second one that orders names with the same.
    pub(super) fn hash(&self, name: &[u8]) -> (u32, u32) {
        let mut state = self.seed;
        let (hash, minor) = match self.kind {
            Kind::Legacy => (self.legacy(name), 0),
            Kind::HalfMd4 => {
                for (done, _) in name.chunks(32).enumerate() {
                    half_md4(&mut state, self.words(name.get(done.saturating_mul(32)..).unwrap_or_default()));
                }
                (state[1], state[2])
            }
            Kind::Tea => {
                for (done, _) in name.chunks(16).enumerate() {
                    tea(&mut state, self.words(name.get(done.saturating_mul(16)..).unwrap_or_default()));
                }
                (state[0], state[1])
            }
        };
        let hash = hash & !1;
        (if hash == END { END.wrapping_sub(2) } else { hash }, minor)
    }

    fn character(&self, byte: u8) -> u32 {
        if self.unsigned { byte.into() } else { i32::from(byte.cast_signed()).cast_unsigned() }
    }

    fn legacy(&self, name: &[u8]) -> u32 {
        let (mut last, mut before) = (0x12a3_fe2d_u32, 0x37ab_e8f9_u32);
        for &byte in name {
            let hash = before.wrapping_add(last ^ self.character(byte).wrapping_mul(7_152_373));
            (before, last) = (last, if hash & 0x8000_0000 == 0 { hash } else { hash.wrapping_sub(0x7fff_ffff) });
        }
        last << 1
    }

    /// The rest of a name as words of four characters, filled up with its length.
    fn words<const N: usize>(&self, rest: &[u8]) -> [u32; N] {
        let length = u32::try_from(rest.len()).unwrap_or(u32::MAX);
        let pad = length | length << 8;
        let pad = pad | pad << 16;
        let mut words = [pad; N];
        for (word, characters) in words.iter_mut().zip(rest.chunks(4)) {
            *word = characters.iter().fold(pad, |word, &byte| self.character(byte).wrapping_add(word << 8));
        }
        words
    }
}

fn tea(state: &mut [u32; 4], key: [u32; 4]) {
    let [mut first, mut second, ..] = *state;
    let mut sum = 0_u32;
    for _ in 0..16 {
        sum = sum.wrapping_add(0x9e37_79b9);
        let mixed = |v: u32, low: u32, high: u32| (v << 4).wrapping_add(low) ^ v.wrapping_add(sum) ^ (v >> 5).wrapping_add(high);
        first = first.wrapping_add(mixed(second, key[0], key[1]));
        second = second.wrapping_add(mixed(first, key[2], key[3]));
    }
    state[0] = state[0].wrapping_add(first);
    state[1] = state[1].wrapping_add(second);
}

fn half_md4(state: &mut [u32; 4], input: [u32; 8]) {
    type Mix = fn(u32, u32, u32) -> u32;
    /// Of each round: how it mixes, its constant, the order in which it takes the words, and how far it turns.
    const ROUNDS: [(Mix, u32, [usize; 8], [u32; 4]); 3] = [
        (|x, y, z| z ^ (x & (y ^ z)), 0, [0, 1, 2, 3, 4, 5, 6, 7], [3, 7, 11, 19]),
        (|x, y, z| (x & y) | (x & z) | (y & z), 0x5a82_7999, [1, 3, 5, 7, 0, 2, 4, 6], [3, 5, 9, 13]),
        (|x, y, z| x ^ y ^ z, 0x6ed9_eba1, [3, 7, 2, 6, 1, 5, 0, 4], [3, 9, 11, 15]),
    ];
    let [mut a, mut b, mut c, mut d] = *state;
    for (mix, constant, order, turns) in ROUNDS {
        for (word, turn) in order.into_iter().zip(turns.into_iter().cycle()) {
            let word = input.get(word).copied().unwrap_or(0);
            let new = a.wrapping_add(mix(b, c, d)).wrapping_add(word).wrapping_add(constant).rotate_left(turn);
            (a, b, c, d) = (d, new, b, c);
        }
    }
    for (state, added) in state.iter_mut().zip([a, b, c, d]) {
        *state = state.wrapping_add(added);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kind, whether the seed is [1, 2, 3, 4] or none, name, and the answer of `debugfs -R 'dx_hash -h KIND -s SEED NAME'` of
    /// e2fsprogs 1.47.
    const ANSWERS: &str = "
        0 0 a e74b53e2 0
        0 0 hello 32252546 0
        0 0 grüße cc69faba 0
        0 0 file_with_a_reasonably_long_name_000123.conf 6fa8c724 0
        0 0 0123456789abcdef 415c16fe 0
        0 0 0123456789abcdef0123456789abcdef 6d4a15ee 0
        0 0 README.md 3f05638c 0
        0 1 a e74b53e2 0
        0 1 hello 32252546 0
        0 1 grüße cc69faba 0
        0 1 file_with_a_reasonably_long_name_000123.conf 6fa8c724 0
        0 1 0123456789abcdef 415c16fe 0
        0 1 0123456789abcdef0123456789abcdef 6d4a15ee 0
        0 1 README.md 3f05638c 0
        1 0 a d5fa7d7a acb48187
        1 0 hello 1746da32 420013b5
        1 0 grüße d75e0ad8 fefc474e
        1 0 file_with_a_reasonably_long_name_000123.conf cf1e56b4 509717f5
        1 0 0123456789abcdef 8cb502b6 5acf4f33
        1 0 0123456789abcdef0123456789abcdef 36184620 c959df59
        1 0 README.md 58ab47a2 8611d5e
        1 1 a 6a3890ec 42a3f37c
        1 1 hello a3e11884 6e19e2c7
        1 1 grüße e391eb28 6ccc564c
        1 1 file_with_a_reasonably_long_name_000123.conf f4d29232 3e7f2638
        1 1 0123456789abcdef 51bf25dc b300aff8
        1 1 0123456789abcdef0123456789abcdef 2f14ff60 e6d8e29f
        1 1 README.md 850c1aec 5b1e862b
        2 0 a 6d0ea4c0 c18922df
        2 0 hello 6f5bb1a8 231917c2
        2 0 grüße c271df04 8fb097d8
        2 0 file_with_a_reasonably_long_name_000123.conf e6c81d16 3764e00e
        2 0 0123456789abcdef 5a0788b2 efa4e711
        2 0 0123456789abcdef0123456789abcdef cbe95e3c 17627589
        2 0 README.md e2301b0 7e54a89f
        2 1 a 9f6ca25e 8ec3d3e
        2 1 hello 1faab3d4 f402acc1
        2 1 grüße 73cb1db4 772eec70
        2 1 file_with_a_reasonably_long_name_000123.conf 1064e030 b74a020f
        2 1 0123456789abcdef 41d468e6 de3881a1
        2 1 0123456789abcdef0123456789abcdef 21facc34 26c69d06
        2 1 README.md 9e87ab8a 11a8cbea
        0 0 LONG 30557da6 0
        0 1 LONG 30557da6 0
        1 0 LONG 2aa7169e 655f9d9c
        1 1 LONG 37b1fa28 c37759ea
        2 0 LONG 6c4c00ee eafdb6b
        2 1 LONG 35c51fde 7bb75ba0
    ";

    #[test]
    fn hashes_are_those_of_e2fsprogs() {
        for answer in ANSWERS.lines().filter(|line| !line.trim().is_empty()) {
            let fields: Vec<_> = answer.split_whitespace().collect();
            let [version, seeded, name, hash, minor] = fields[..] else { panic!("{answer}") };
            let hex = |text| u32::from_str_radix(text, 16).unwrap();
            let name = if name == "LONG" { "x".repeat(255) } else { name.to_owned() };
            let seed = if seeded == "1" { [1, 2, 3, 4] } else { [0; 4] };
            let hasher = Hasher::new(version.parse().unwrap(), &HashSetup { seed, unsigned: false }).unwrap();
            assert_eq!(hasher.hash(name.as_bytes()), (hex(hash), hex(minor)), "{answer}");
        }
    }

    #[test]
    fn only_names_beyond_ascii_differ_when_characters_are_unsigned() {
        for version in 0..3 {
            let hashers = |unsigned| Hasher::new(version, &HashSetup { seed: [0; 4], unsigned }).unwrap();
            assert_eq!(hashers(true).hash(b"hello"), hashers(false).hash(b"hello"));
            assert_ne!(hashers(true).hash("grüße".as_bytes()), hashers(false).hash("grüße".as_bytes()));
            let unsigned = Hasher::new(version + 3, &HashSetup { seed: [0; 4], unsigned: false }).unwrap();
            assert_eq!(hashers(true).hash("grüße".as_bytes()), unsigned.hash("grüße".as_bytes()));
        }
        assert!(Hasher::new(6, &HashSetup { seed: [0; 4], unsigned: false }).is_none());
    }
}
