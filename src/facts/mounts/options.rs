//! What a list of mount options comes to.

use std::collections::BTreeSet;

use crate::path::printable;

/// The options in force: read from left to right, each takes back what it contradicts, and `user` and its like bring others with them
/// (`mount(8)`; `mnt_optstr_get_flags()` in libmount). `defaults` changes nothing, wherever it stands.
#[must_use]
pub(super) fn in_force<'o>(options: impl IntoIterator<Item = &'o [u8]>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for option in options {
        let option = printable(option);
        match option.as_str() {
            "defaults" => continue,
            "user" | "users" => ["exec", "suid", "dev"].iter().for_each(|right| restrict(&mut found, right)),
            "owner" | "group" => ["suid", "dev"].iter().for_each(|right| restrict(&mut found, right)),
            "ro" => drop(found.remove("rw")),
            "rw" => drop(found.remove("ro")),
            _ => {}
        }
        let opposite = option.strip_prefix("no").map_or_else(|| format!("no{option}"), str::to_owned);
        found.remove(&opposite);
        if let Some((key, _)) = option.split_once('=') {
            let key = format!("{key}=");
            found.retain(|other| !other.starts_with(&key));
        }
        found.insert(option);
    }
    found
}

fn restrict(found: &mut BTreeSet<String>, right: &str) {
    found.remove(right);
    found.insert(format!("no{right}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(options: &str) -> Vec<String> {
        in_force(options.split(',').map(str::as_bytes)).into_iter().collect()
    }

    #[test]
    fn the_last_of_two_contradicting_options_counts() {
        assert_eq!(of("noexec,exec"), ["exec"]);
        assert_eq!(of("exec,noexec"), ["noexec"]);
        assert_eq!(of("ro,rw"), ["rw"]);
        assert_eq!(of("size=1G,size=2G"), ["size=2G"]);
    }

    #[test]
    fn defaults_takes_nothing_back() {
        assert_eq!(of("nodev,defaults"), ["nodev"]);
    }

    #[test]
    fn user_brings_restrictions_that_a_later_option_lifts() {
        assert_eq!(of("user"), ["nodev", "noexec", "nosuid", "user"]);
        assert_eq!(of("user,exec"), ["exec", "nodev", "nosuid", "user"]);
        assert_eq!(of("dev,owner"), ["nodev", "nosuid", "owner"]);
    }
}
