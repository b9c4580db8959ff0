//! The types of values in checks: each says exactly what it takes.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// A number, a text or a boolean to compare with. Booleans are written as their system writes them, so compare text where it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar {
    /// A whole number.
    Number(i64),
    /// Text.
    Text(String),
}

impl fmt::Display for Scalar {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(out, "{number}"),
            Self::Text(text) => write!(out, "{text}"),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Scalar;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a number or a text")
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar::Number(number))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Scalar, E> {
                i64::try_from(number).map(Scalar::Number).map_err(|_| E::custom("the number is too large"))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl JsonSchema for Scalar {
    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "string"] })
    }
}

/// One name or several: `"a"` or `["a", "b"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

impl Names {
    /// Why these are no paths of an image, if one is not: paths begin at its root.
    #[must_use]
    pub fn not_whole(&self) -> Option<String> {
        let wrong = self.0.iter().find(|path| !path.starts_with(['/', '{']))?;
        Some(format!("'{wrong}' is no whole path; paths begin at the root of the image: '/{wrong}'"))
    }
}

impl Serialize for Names {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Names;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a name or a list of names")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Names, E> {
                Ok(Names(vec![name.to_owned()]))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut names: A) -> Result<Names, A::Error> {
                let mut all = Vec::new();
                while let Some(name) = names.next_element()? {
                    all.push(name);
                }
                if all.is_empty() { Err(de::Error::custom("an empty list names nothing")) } else { Ok(Names(all)) }
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl JsonSchema for Names {
    fn schema_name() -> Cow<'static, str> {
        "Names".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, { "type": "array", "minItems": 1, "items": { "type": "string" } }] })
    }
}

/// Permission bits: octal text (`"0640"`) or a TOML octal number (`0o640`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(pub u32);

impl fmt::Display for Mode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:04o}", self.0)
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Mode;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an octal mode such as \"0640\"")
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Mode, E> {
                match u32::try_from(number) {
                    Ok(bits) if bits <= 0o7777 => Ok(Mode(bits)),
                    _ => Err(E::custom("a mode has twelve bits; write it as text, \"0640\", or as 0o640")),
                }
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Mode, E> {
                self.visit_i64(i64::try_from(number).unwrap_or(-1))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Mode, E> {
                match u32::from_str_radix(text, 8) {
                    Ok(bits) if bits <= 0o7777 => Ok(Mode(bits)),
                    _ => Err(E::custom(format!("'{text}' is no octal mode such as \"0640\""))),
                }
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl JsonSchema for Mode {
    fn schema_name() -> Cow<'static, str> {
        "Mode".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string", "pattern": "^[0-7]{1,5}$" }, { "type": "integer", "minimum": 0, "maximum": 4095 }] })
    }
}

/// A regular expression (syntax of the `regex` crate), compiled when it is read. It matches anywhere unless anchored.
#[derive(Debug, Clone)]
pub struct Pattern(pub regex::Regex);

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // A megabyte of program is far more than any rule needs, and keeps a careless repetition from eating the memory.
        let compiled = regex::RegexBuilder::new(&text).size_limit(1 << 20).build();
        compiled.map(Self).map_err(|error| {
            let last = error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            de::Error::custom(format!("'{text}' is no regular expression: {last}"))
        })
    }
}

impl JsonSchema for Pattern {
    fn schema_name() -> Cow<'static, str> {
        "Pattern".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // No `"format": "regex"`: that means ECMA-262, which refuses what Rust's expressions allow, such as `(?i)`.
        json_schema!({ "type": "string" })
    }
}

/// A pattern of a file's name: `*`, `?`, `[…]` and `{a,b}`, as `glob(7)` but for a leading dot, which is nothing special.
#[derive(Debug, Clone)]
pub struct NamePattern(globset::GlobMatcher);

impl NamePattern {
    /// Whether a name fits.
    #[must_use]
    pub fn fits(&self, name: &[u8]) -> bool {
        use std::os::unix::ffi::OsStrExt as _;
        self.0.is_match(std::path::Path::new(std::ffi::OsStr::from_bytes(name)))
    }
}

impl<'de> Deserialize<'de> for NamePattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.contains('/') {
            return Err(de::Error::custom(format!("'{text}' is no pattern of a name: it has a '/'")));
        }
        let glob = globset::GlobBuilder::new(&text).literal_separator(true).build();
        glob.map(|glob| Self(glob.compile_matcher()))
            .map_err(|error| de::Error::custom(format!("'{text}' is no pattern: {error}")))
    }
}

impl JsonSchema for NamePattern {
    fn schema_name() -> Cow<'static, str> {
        "NamePattern".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[^/]+$" })
    }
}
