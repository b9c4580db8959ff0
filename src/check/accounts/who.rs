//! Which accounts a check is about.

use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{self, Deserializer, IntoDeserializer as _, SeqAccess, Visitor};

use crate::check::Names;
use crate::facts::accounts::{Account, Password};
use crate::facts::{FactId, Facts, Needs, Unreadable};

/// A kind of account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// Every account.
    All,
    /// The account `root`.
    Root,
    /// Accounts with uid 0.
    UidZero,
    /// Accounts whose primary group is 0.
    GidZero,
    /// Accounts of the system: a uid below `UID_MIN` of login.defs, or that of nobody; not `root`.
    System,
    /// Accounts of people: none of the system, and with a login program other than `nologin` and `false`.
    Interactive,
    /// Accounts with a password that is accepted, an empty one among them.
    WithPassword,
    /// Accounts whose login program is not listed in `/etc/shells`, or is `nologin` or `false`.
    WithoutValidShell,
}

/// One of these, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOrMore<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMore<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
            type Value = OneOrMore<T>;
            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("a word or a list of words")
            }
            fn visit_str<E: de::Error>(self, word: &str) -> Result<OneOrMore<T>, E> {
                let word: StrDeserializer<'_, E> = word.into_deserializer();
                T::deserialize(word).map(|one| OneOrMore(vec![one]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut words: A) -> Result<OneOrMore<T>, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = words.next_element()? {
                    all.push(one);
                }
                if all.is_empty() { Err(de::Error::custom("an empty list names nothing")) } else { Ok(OneOrMore(all)) }
            }
        }
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMore<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("OneOrMore{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one.clone(), { "type": "array", "minItems": 1, "items": one }] })
    }
}

/// The accounts a check is about.
pub(in crate::check) struct Selection<'c> {
    pub(in crate::check) who: Option<&'c OneOrMore<Who>>,
    pub(in crate::check) named: Option<&'c Names>,
    pub(in crate::check) except: Option<&'c Names>,
}

impl Selection<'_> {
    /// What has to be known to tell them.
    pub(in crate::check) fn needs(&self, needs: &mut Needs) {
        needs.fact(FactId::Accounts);
        if self.who.is_some_and(|who| who.0.contains(&Who::WithPassword)) {
            needs.fact(FactId::Shadow);
        }
    }

    /// The accounts, in the order of the files.
    pub(in crate::check) fn of<'f>(&self, facts: &'f Facts<'_>) -> Result<Vec<&'f Account>, Unreadable> {
        let accounts = facts.accounts()?;
        let mut chosen = Vec::new();
        for user in &accounts.users {
            if self.except.is_some_and(|except| except.0.contains(&user.name)) {
                continue;
            }
            let named = self.named.is_some_and(|named| named.0.contains(&user.name));
            let mut is_one = named;
            for who in self.who.iter().flat_map(|who| &who.0) {
                is_one = is_one
                    || match who {
                        Who::All => true,
                        Who::Root => user.name == "root",
                        Who::UidZero => user.uid == 0,
                        Who::GidZero => user.gid == 0,
                        Who::System => accounts.is_system(user) && user.name != "root",
                        Who::Interactive => accounts.is_interactive(user),
                        Who::WithPassword => {
                            matches!(facts.shadow()?.password(user).0, Password::Set(_) | Password::Empty)
                        }
                        Who::WithoutValidShell => !user.has_login_shell() || !accounts.shells.lists(&user.shell),
                    };
            }
            if is_one {
                chosen.push(user);
            }
        }
        Ok(chosen)
    }

    /// What is wrong with it as it is written.
    pub(in crate::check) fn flaw(&self) -> Option<String> {
        (self.who.is_none() && self.named.is_none()).then(|| "it says nothing of whom it is about; known: who, named".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_or_a_list_of_words() {
        let read = |text: &str| serde_json::from_str::<OneOrMore<Who>>(text);
        assert_eq!(read("\"uid-zero\"").unwrap().0, [Who::UidZero]);
        assert_eq!(read("[\"root\", \"interactive\"]").unwrap().0, [Who::Root, Who::Interactive]);
        assert!(read("\"everybody\"").is_err() && read("[]").is_err());
    }
}
