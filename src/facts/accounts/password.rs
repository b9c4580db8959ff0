//! What a password field says, without saying the password.

use std::fmt;

/// What a password field of `passwd` or `shadow` says (`crypt(5)`, `shadow(5)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Password {
    /// Empty: whoever knows the name is let in without a password, where PAM says `nullok`.
    Empty,
    /// A password that is accepted, hashed in this way.
    Set(Scheme),
    /// `!` first: what follows, if anything does, is not accepted until it is taken away.
    Locked,
    /// `*` or anything else that no password gives.
    None,
    /// `passwd` points to `shadow`, which has no (readable) line for the account.
    Missing,
}

/// How a password is hashed (`crypt(5)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    /// `$y$`.
    Yescrypt,
    /// `$gy$`.
    GostYescrypt,
    /// `$7$`.
    Scrypt,
    /// `$2a$`, `$2b$`, `$2x$`, `$2y$`.
    Bcrypt,
    /// `$6$`.
    Sha512,
    /// `$5$`.
    Sha256,
    /// `$sha1`.
    Sha1,
    /// `$md5`.
    SunMd5,
    /// `$1$`.
    Md5,
    /// `_`: the extended DES of BSD.
    BsdDes,
    /// Thirteen letters: the DES of old, of which eight letters of a password count.
    Des,
    /// `$3$`: the MD4 of Windows NT.
    Nt,
}

const PREFIXES: [(&[u8], Scheme); 15] = [
    (b"$y$", Scheme::Yescrypt),
    (b"$gy$", Scheme::GostYescrypt),
    (b"$7$", Scheme::Scrypt),
    (b"$2a$", Scheme::Bcrypt),
    (b"$2b$", Scheme::Bcrypt),
    (b"$2x$", Scheme::Bcrypt),
    (b"$2y$", Scheme::Bcrypt),
    (b"$6$", Scheme::Sha512),
    (b"$5$", Scheme::Sha256),
    (b"$sha1$", Scheme::Sha1),
    (b"$md5$", Scheme::SunMd5),
    (b"$md5,", Scheme::SunMd5),
    (b"$1$", Scheme::Md5),
    (b"$3$", Scheme::Nt),
    (b"_", Scheme::BsdDes),
];

impl Password {
    /// What a field says.
    #[must_use]
    pub fn of(field: &[u8]) -> Self {
        match field {
            b"" => Self::Empty,
            [b'!', ..] => Self::Locked,
            [b'*', ..] => Self::None,
            other => Self::hashed(other).map_or(Self::None, Self::Set),
        }
    }

    fn hashed(field: &[u8]) -> Option<Scheme> {
        let letters = |text: &[u8]| text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/'));
        let prefixed = PREFIXES.iter().find(|(prefix, _)| field.starts_with(prefix)).map(|&(_, scheme)| scheme);
        match prefixed {
            Some(Scheme::BsdDes) => (field.len() == 20 && field.get(1..).is_some_and(letters)).then_some(Scheme::BsdDes),
            // bigcrypt and the like append to the thirteen letters.
            None if field.len() >= 13 && letters(field) => Some(Scheme::Des),
            other => other,
        }
    }

    /// Whether somebody can log in by it: a hash, or nothing at all.
    #[must_use]
    pub const fn lets_in(self) -> bool {
        matches!(self, Self::Empty | Self::Set(_))
    }
}

impl fmt::Display for Password {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => out.write_str("an empty password"),
            Self::Set(scheme) => write!(out, "a password ({scheme})"),
            Self::Locked => out.write_str("a locked password"),
            Self::None => out.write_str("no valid password"),
            Self::Missing => out.write_str("no line in shadow"),
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Yescrypt => "yescrypt",
            Self::GostYescrypt => "gost-yescrypt",
            Self::Scrypt => "scrypt",
            Self::Bcrypt => "bcrypt",
            Self::Sha512 => "sha512",
            Self::Sha256 => "sha256",
            Self::Sha1 => "sha1",
            Self::SunMd5 => "sunmd5",
            Self::Md5 => "md5",
            Self::BsdDes => "bsdi-des",
            Self::Des => "des",
            Self::Nt => "nt",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_known_by_its_beginning() {
        assert_eq!(Password::of(b"$y$j9T$salt$hash"), Password::Set(Scheme::Yescrypt));
        assert_eq!(Password::of(b"$6$salt$hash"), Password::Set(Scheme::Sha512));
        assert_eq!(Password::of(b"$1$salt$hash"), Password::Set(Scheme::Md5));
        assert_eq!(Password::of(b"abJnggxhB/yWI"), Password::Set(Scheme::Des));
        assert_eq!(Password::of(b"_J9..K0AyUubDrfOgO4s"), Password::Set(Scheme::BsdDes));
    }

    #[test]
    fn locked_and_none_and_empty_are_three_things() {
        assert_eq!(Password::of(b""), Password::Empty);
        assert_eq!(Password::of(b"!"), Password::Locked);
        assert_eq!(Password::of(b"!!"), Password::Locked);
        assert_eq!(Password::of(b"!$y$j9T$salt$hash"), Password::Locked);
        assert_eq!(Password::of(b"*"), Password::None);
        assert_eq!(Password::of(b"*LK*"), Password::None);
        assert_eq!(Password::of(b"x"), Password::None);
        assert!(Password::Empty.lets_in() && !Password::Locked.lets_in());
    }

    #[test]
    fn what_is_shown_never_holds_the_hash() {
        assert_eq!(Password::of(b"$6$salt$hash").to_string(), "a password (sha512)");
    }
}
