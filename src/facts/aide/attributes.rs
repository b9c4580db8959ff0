//! Attributes and the groups that are built in (attributes.c, `do_groupdef` in aide.c).

use std::collections::{BTreeMap, BTreeSet};

use crate::syntax::aide::Term;

/// Hash sums that are recorded by `H`; the weak ones have left it, and none of them is asked for.
const HASHES: [&str; 9] =
    ["sha256", "sha512", "sha512_256", "sha3_256", "sha3_512", "stribog256", "stribog512", "whirlpool", "blake3"];

/// Every other attribute. What a build leaves out is taken to be there.
const OTHERS: [&str; 32] = [
    "ANF",
    "ARF",
    "I",
    "S",
    "a",
    "acl",
    "b",
    "c",
    "caps",
    "compressed",
    "crc32",
    "crc32b",
    "e2fsattrs",
    "fstype",
    "ftype",
    "g",
    "gost",
    "growing",
    "haval",
    "i",
    "l",
    "m",
    "md5",
    "n",
    "p",
    "rmd160",
    "s",
    "selinux",
    "sha1",
    "tiger",
    "u",
    "xattrs",
];

/// Whether an attribute is a hash sum, a weak one too.
pub(super) fn is_hash(name: &str) -> bool {
    const WEAK: [&str; 8] = ["crc32", "crc32b", "gost", "haval", "md5", "rmd160", "sha1", "tiger"];
    HASHES.contains(&name) || WEAK.contains(&name)
}

/// What is recorded beside the mode and contents.
const EXTENDED: [&str; 5] = ["acl", "caps", "e2fsattrs", "selinux", "xattrs"];

/// Groups by name.
pub(super) struct Groups(BTreeMap<String, BTreeSet<String>>);

impl Groups {
    /// Those that are built in.
    pub(super) fn built_in() -> Self {
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
        let with = |names: &[&str]| set(names).union(&set(&EXTENDED)).cloned().collect::<BTreeSet<_>>();
        let mut groups: BTreeMap<String, BTreeSet<String>> =
            HASHES.iter().chain(&OTHERS).map(|&name| (name.to_owned(), set(&[name]))).collect();
        groups.insert("R".into(), with(&["p", "ftype", "i", "l", "n", "u", "g", "s", "m", "c"]));
        groups.insert("L".into(), with(&["p", "ftype", "i", "l", "n", "u", "g"]));
        groups.insert(">".into(), with(&["p", "ftype", "i", "l", "n", "u", "g", "s", "growing"]));
        groups.insert("H".into(), set(&HASHES));
        groups.insert("X".into(), set(&EXTENDED));
        groups.insert("E".into(), BTreeSet::new());
        Self(groups)
    }

    /// What an expression comes to, or the name in it that nobody knows.
    pub(super) fn expand(&self, terms: &[Term]) -> Result<BTreeSet<String>, String> {
        let mut all = BTreeSet::new();
        for term in terms {
            let known = self.0.get(&term.name).ok_or_else(|| format!("'{}' is neither an attribute nor a group", term.name))?;
            if term.minus {
                all.retain(|name| !known.contains(name));
            } else {
                all.extend(known.iter().cloned());
            }
        }
        Ok(all)
    }

    /// Sets a group, anew if need be.
    pub(super) fn set(&mut self, name: String, attributes: BTreeSet<String>) {
        self.0.insert(name, attributes);
    }
}
