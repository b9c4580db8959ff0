//! Lists of algorithms: what a release knows, what it offers by itself, and what `+`, `-` and `^` make of that.
//!
//! From `myproposal.h`, `cipher.c`, `mac.c`, `kex.c` (`kex_assemble_names`) and `sshkey.c` of OpenSSH 7.4 to 10.5. Red Hat's crypto
//! policies come in as configuration, not as built-in defaults: a list with a sign in front of it changes what is built in, and never
//! the policy.

use super::pattern::matches_list;
use super::release::Release;
use crate::path::printable;

/// What a list is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Cipher,
    Mac,
    Kex,
    Key,
    Signature,
}

/// Name, first release, first release without it; in the order of OpenSSH's own tables.
type Known = (&'static str, u16, u16);
const ALWAYS: u16 = u16::MAX;

const CIPHERS: &[Known] = &[
    ("3des-cbc", 0, ALWAYS),
    ("blowfish-cbc", 0, 706),
    ("cast128-cbc", 0, 706),
    ("arcfour", 0, 706),
    ("arcfour128", 0, 706),
    ("arcfour256", 0, 706),
    ("aes128-cbc", 0, ALWAYS),
    ("aes192-cbc", 0, ALWAYS),
    ("aes256-cbc", 0, ALWAYS),
    ("rijndael-cbc@lysator.liu.se", 0, 805),
    ("aes128-ctr", 0, ALWAYS),
    ("aes192-ctr", 0, ALWAYS),
    ("aes256-ctr", 0, ALWAYS),
    ("aes128-gcm@openssh.com", 0, ALWAYS),
    ("aes256-gcm@openssh.com", 0, ALWAYS),
    ("chacha20-poly1305@openssh.com", 0, ALWAYS),
];

const MACS: &[Known] = &[
    ("hmac-sha1", 0, ALWAYS),
    ("hmac-sha1-96", 0, ALWAYS),
    ("hmac-sha2-256", 0, ALWAYS),
    ("hmac-sha2-512", 0, ALWAYS),
    ("hmac-md5", 0, ALWAYS),
    ("hmac-md5-96", 0, ALWAYS),
    ("hmac-ripemd160", 0, 706),
    ("hmac-ripemd160@openssh.com", 0, 706),
    ("umac-64@openssh.com", 0, ALWAYS),
    ("umac-128@openssh.com", 0, ALWAYS),
    ("hmac-sha1-etm@openssh.com", 0, ALWAYS),
    ("hmac-sha1-96-etm@openssh.com", 0, ALWAYS),
    ("hmac-sha2-256-etm@openssh.com", 0, ALWAYS),
    ("hmac-sha2-512-etm@openssh.com", 0, ALWAYS),
    ("hmac-md5-etm@openssh.com", 0, ALWAYS),
    ("hmac-md5-96-etm@openssh.com", 0, ALWAYS),
    ("hmac-ripemd160-etm@openssh.com", 0, 706),
    ("umac-64-etm@openssh.com", 0, ALWAYS),
    ("umac-128-etm@openssh.com", 0, ALWAYS),
];

const KEX: &[Known] = &[
    ("diffie-hellman-group1-sha1", 0, ALWAYS),
    ("diffie-hellman-group14-sha1", 0, ALWAYS),
    ("diffie-hellman-group14-sha256", 0, ALWAYS),
    ("diffie-hellman-group16-sha512", 0, ALWAYS),
    ("diffie-hellman-group18-sha512", 0, ALWAYS),
    ("diffie-hellman-group-exchange-sha1", 0, ALWAYS),
    ("diffie-hellman-group-exchange-sha256", 0, ALWAYS),
    ("ecdh-sha2-nistp256", 0, ALWAYS),
    ("ecdh-sha2-nistp384", 0, ALWAYS),
    ("ecdh-sha2-nistp521", 0, ALWAYS),
    ("curve25519-sha256", 704, ALWAYS),
    ("curve25519-sha256@libssh.org", 0, ALWAYS),
    ("sntrup4591761x25519-sha512@tinyssh.org", 800, 805),
    ("sntrup761x25519-sha512", 909, ALWAYS),
    ("sntrup761x25519-sha512@openssh.com", 805, ALWAYS),
    ("mlkem768x25519-sha256", 909, ALWAYS),
];

const KEYS: &[Known] = &[
    ("ssh-ed25519", 0, ALWAYS),
    ("ssh-ed25519-cert-v01@openssh.com", 0, ALWAYS),
    ("sk-ssh-ed25519@openssh.com", 802, ALWAYS),
    ("sk-ssh-ed25519-cert-v01@openssh.com", 802, ALWAYS),
    ("ecdsa-sha2-nistp256", 0, ALWAYS),
    ("ecdsa-sha2-nistp256-cert-v01@openssh.com", 0, ALWAYS),
    ("ecdsa-sha2-nistp384", 0, ALWAYS),
    ("ecdsa-sha2-nistp384-cert-v01@openssh.com", 0, ALWAYS),
    ("ecdsa-sha2-nistp521", 0, ALWAYS),
    ("ecdsa-sha2-nistp521-cert-v01@openssh.com", 0, ALWAYS),
    ("sk-ecdsa-sha2-nistp256@openssh.com", 802, ALWAYS),
    ("sk-ecdsa-sha2-nistp256-cert-v01@openssh.com", 802, ALWAYS),
    ("webauthn-sk-ecdsa-sha2-nistp256@openssh.com", 804, ALWAYS),
    ("webauthn-sk-ecdsa-sha2-nistp256-cert-v01@openssh.com", 1003, ALWAYS),
    ("ssh-dss", 0, 1000),
    ("ssh-dss-cert-v01@openssh.com", 0, 1000),
    ("ssh-rsa", 0, ALWAYS),
    ("ssh-rsa-cert-v01@openssh.com", 0, ALWAYS),
    ("rsa-sha2-256", 0, ALWAYS),
    ("rsa-sha2-256-cert-v01@openssh.com", 708, ALWAYS),
    ("rsa-sha2-512", 0, ALWAYS),
    ("rsa-sha2-512-cert-v01@openssh.com", 708, ALWAYS),
];

const ECDH: [&str; 3] = ["ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521"];
const CURVE: [&str; 2] = ["curve25519-sha256", "curve25519-sha256@libssh.org"];
const GROUPS: [&str; 4] = [
    "diffie-hellman-group-exchange-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
    "diffie-hellman-group14-sha256",
];
const CTR: [&str; 3] = ["aes128-ctr", "aes192-ctr", "aes256-ctr"];
const GCM: [&str; 2] = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com"];
const SNTRUP: &str = "sntrup761x25519-sha512";
const SNTRUP_OLD: &str = "sntrup761x25519-sha512@openssh.com";
const MLKEM: &str = "mlkem768x25519-sha256";

impl Family {
    /// What a release offers by itself, best first.
    pub(super) fn default(self, release: &Release) -> Vec<&'static str> {
        let number = release.number;
        match self {
            Self::Cipher if number >= 1000 => [&["chacha20-poly1305@openssh.com"][..], &GCM, &CTR].concat(),
            Self::Cipher => [&["chacha20-poly1305@openssh.com"][..], &CTR, &GCM].concat(),
            Self::Mac => vec![
                "umac-64-etm@openssh.com",
                "umac-128-etm@openssh.com",
                "hmac-sha2-256-etm@openssh.com",
                "hmac-sha2-512-etm@openssh.com",
                "hmac-sha1-etm@openssh.com",
                "umac-64@openssh.com",
                "umac-128@openssh.com",
                "hmac-sha2-256",
                "hmac-sha2-512",
                "hmac-sha1",
            ],
            Self::Kex => match number {
                1000.. => [&[MLKEM, SNTRUP, SNTRUP_OLD][..], &CURVE, &ECDH].concat(),
                909.. => [&[SNTRUP, SNTRUP_OLD, MLKEM][..], &CURVE, &ECDH, &GROUPS].concat(),
                _ if release.debian_12_update(4) => [&[SNTRUP, SNTRUP_OLD][..], &CURVE, &ECDH, &GROUPS].concat(),
                900.. => [&[SNTRUP_OLD][..], &CURVE, &ECDH, &GROUPS].concat(),
                809.. => [&CURVE[..], &ECDH, &[SNTRUP_OLD], &GROUPS].concat(),
                802.. => [&CURVE[..], &ECDH, &GROUPS].concat(),
                _ => [&CURVE[..], &ECDH, &GROUPS, &["diffie-hellman-group14-sha1"]].concat(),
            },
            Self::Key => keys(number),
            Self::Signature => {
                let signs = |name: &&str| !name.contains("cert") && (number < 802 || *name != "ssh-rsa");
                keys(number).into_iter().filter(signs).collect()
            }
        }
    }

    /// Every name that a release knows.
    fn known(self, release: &Release) -> Vec<&'static str> {
        let table = match self {
            Self::Cipher => CIPHERS,
            Self::Mac => MACS,
            Self::Kex => KEX,
            Self::Key | Self::Signature => KEYS,
        };
        let of_release = |(name, since, until): &Known| {
            let backported = *name == SNTRUP && release.debian_12_update(4);
            ((release.number >= *since && release.number < *until) || backported).then_some(*name)
        };
        table.iter().filter_map(of_release).collect()
    }

    /// Whether a name may stand in a list.
    fn accepts(self, name: &[u8], known: &[&str]) -> bool {
        let is_known = known.iter().any(|one| one.as_bytes() == name);
        match self {
            Self::Key | Self::Signature => is_known || known.iter().any(|one| touches(one.as_bytes(), name)),
            // Key exchange by GSSAPI has the mechanism in its name (`gssapi.patch`).
            Self::Kex => is_known || name.starts_with(b"gss-"),
            Self::Cipher | Self::Mac => is_known,
        }
    }

    /// Looks at the names of a list the way the server does when it reads the line.
    ///
    /// # Errors
    /// Why it refuses to start.
    pub(super) fn check(self, text: &[u8], release: &Release) -> Result<(), String> {
        let names = match text.split_first() {
            // What is taken away is not looked at.
            Some((b'-', _)) => return Ok(()),
            Some((b'+' | b'^', names)) => names,
            _ => text,
        };
        let known = self.known(release);
        if names.is_empty() {
            return Err("an empty list".into());
        }
        // An empty name ends the list for this.
        let mut checked = names.split(|&byte| byte == b',').take_while(|name| !name.is_empty());
        match checked.find(|name| !self.accepts(name, &known)) {
            Some(wrong) => Err(format!("'{}' is not known to {release}", printable(wrong))),
            None => Ok(()),
        }
    }

    /// The names that a list in a configuration comes to.
    ///
    /// # Errors
    /// Why the server stops when it puts the list together.
    pub(super) fn assemble(self, text: &[u8], release: &Release) -> Result<Vec<String>, String> {
        let known = self.known(release);
        let default = self.default(release);
        let (sign, names) = match text.split_first() {
            Some((sign @ (b'+' | b'-' | b'^'), names)) => (Some(*sign), names),
            _ => (None, text),
        };
        if sign == Some(b'-') {
            let kept = default.iter().filter(|name| !matches_list(name.as_bytes(), names));
            return Ok(kept.map(|name| (*name).to_owned()).collect());
        }
        let named: Vec<&[u8]> = names.split(|&byte| byte == b',').filter(|name| !name.is_empty()).collect();
        let built_in: Vec<&[u8]> = default.iter().map(|name| name.as_bytes()).collect();
        let wanted = match sign {
            Some(b'+') => [built_in, named].concat(),
            Some(_) => [named, built_in].concat(),
            None => named,
        };
        let mut list: Vec<String> = Vec::new();
        for pattern in wanted {
            if pattern.starts_with(b"!") {
                return Err("a '!' has no place in a list of algorithms".into());
            }
            let gss = self == Self::Kex && pattern.starts_with(b"gss-");
            let found = known.iter().filter(|name| matches_list(name.as_bytes(), pattern)).map(|name| (*name).to_owned());
            for name in found.chain(gss.then(|| printable(pattern))) {
                if !list.contains(&name) {
                    list.push(name);
                }
            }
        }
        if list.is_empty() { Err("nothing is left of the list".into()) } else { Ok(list) }
    }
}

/// Whether a pattern says anything about a name, for or against it (`match_pattern_list() != 0`).
fn touches(name: &[u8], pattern: &[u8]) -> bool {
    matches_list(name, pattern.strip_prefix(b"!").unwrap_or(pattern))
}

fn keys(number: u16) -> Vec<&'static str> {
    let ecdsa = ["ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"];
    let certificates = [
        "ecdsa-sha2-nistp256-cert-v01@openssh.com",
        "ecdsa-sha2-nistp384-cert-v01@openssh.com",
        "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    ];
    let (ed, ed_cert) = ("ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com");
    let (sk_ed, sk_ed_cert) = ("sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519-cert-v01@openssh.com");
    let (sk_ec, sk_ec_cert) = ("sk-ecdsa-sha2-nistp256@openssh.com", "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com");
    let (web, web_cert) = ("webauthn-sk-ecdsa-sha2-nistp256@openssh.com", "webauthn-sk-ecdsa-sha2-nistp256-cert-v01@openssh.com");
    let rsa = ["rsa-sha2-512", "rsa-sha2-256"];
    let rsa_cert = ["rsa-sha2-512-cert-v01@openssh.com", "rsa-sha2-256-cert-v01@openssh.com"];
    let (sha1, sha1_cert) = ("ssh-rsa", "ssh-rsa-cert-v01@openssh.com");
    match number {
        1003.. => [
            &[ed_cert][..],
            &certificates,
            &[sk_ed_cert, sk_ec_cert, web_cert],
            &rsa_cert,
            &[ed],
            &ecdsa,
            &[sk_ed, sk_ec, web],
            &rsa,
        ]
        .concat(),
        808.. => {
            [&[ed_cert][..], &certificates, &[sk_ed_cert, sk_ec_cert], &rsa_cert, &[ed], &ecdsa, &[sk_ed, sk_ec], &rsa].concat()
        }
        805.. => [
            &[ed_cert][..],
            &certificates,
            &[sk_ed_cert, sk_ec_cert],
            &rsa_cert,
            &[sha1_cert, ed],
            &ecdsa,
            &[sk_ed, sk_ec],
            &rsa,
            &[sha1],
        ]
        .concat(),
        802.. => [
            &certificates[..],
            &[sk_ec_cert, ed_cert, sk_ed_cert],
            &rsa_cert,
            &[sha1_cert],
            &ecdsa,
            &[sk_ec, ed, sk_ed],
            &rsa,
            &[sha1],
        ]
        .concat(),
        708.. => [&certificates[..], &[ed_cert], &rsa_cert, &[sha1_cert], &ecdsa, &[ed], &rsa, &[sha1]].concat(),
        _ => [&certificates[..], &[ed_cert, sha1_cert], &ecdsa, &[ed], &rsa, &[sha1]].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::release::Vendor;
    use super::*;

    fn release(number: u16) -> Release {
        Release { number, vendor: Vendor::Other, package: None }
    }

    fn ciphers(text: &str) -> Result<String, String> {
        Family::Cipher.check(text.as_bytes(), &release(902))?;
        Family::Cipher.assemble(text.as_bytes(), &release(902)).map(|list| list.join(","))
    }

    #[test]
    fn signs_work_on_what_is_built_in() {
        assert_eq!(ciphers("-chacha20*,aes???-ctr").unwrap(), "aes128-gcm@openssh.com,aes256-gcm@openssh.com");
        assert!(ciphers("+aes256-cbc").unwrap().ends_with("aes256-gcm@openssh.com,aes256-cbc"));
        assert!(ciphers("^aes256-ctr").unwrap().starts_with("aes256-ctr,chacha20"));
        assert_eq!(ciphers("aes256-ctr,aes256-ctr").unwrap(), "aes256-ctr");
    }

    #[test]
    fn what_a_release_does_not_know_stops_it() {
        assert!(ciphers("arcfour").is_err() && ciphers("aes*").is_err() && ciphers("").is_err());
        assert!(Family::Cipher.check(b"arcfour", &release(704)).is_ok());
        assert!(ciphers("-arcfour").is_ok(), "what is taken away is not looked at");
    }

    #[test]
    fn only_lists_of_keys_take_patterns() {
        let keys = Family::Key.assemble(b"ssh-ed25519*", &release(902)).unwrap();
        assert_eq!(keys, ["ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com"]);
    }

    #[test]
    fn the_default_lists_are_known_to_their_release() {
        for number in [704, 708, 800, 802, 804, 805, 807, 808, 809, 900, 902, 909, 1000, 1003, 1005] {
            for family in [Family::Cipher, Family::Mac, Family::Kex, Family::Key, Family::Signature] {
                let known = family.known(&release(number));
                for name in family.default(&release(number)) {
                    assert!(known.contains(&name), "{number}: {name}");
                }
            }
        }
    }
}
