//! Reads a parsed TOML value as a type, with the place of every mistake. The `toml` crate does the same in many types, each compiled
//! anew for every type that is read, which made a tenth of the whole program; this is one small type.

use std::fmt;
use std::ops::Range;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer as _, MapAccess, SeqAccess, Visitor,
};
use serde::de::{Unexpected, VariantAccess};
use serde::forward_to_deserialize_any;
use toml::Spanned;
use toml::de::{DeString, DeValue};

/// A value that does not fit its type.
#[derive(Debug)]
pub(super) struct Misfit {
    /// What is wrong, in serde's words.
    pub(super) message: String,
    /// The bytes of the file that are meant.
    pub(super) span: Option<Range<usize>>,
}

impl Misfit {
    /// The innermost place is the one that is meant.
    fn at(mut self, span: Range<usize>) -> Self {
        self.span.get_or_insert(span);
        self
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for Misfit {}

impl de::Error for Misfit {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), span: None }
    }
}

/// A value of a document, to be read as a type.
#[derive(Clone, Copy)]
pub(super) struct Reader<'v, 't>(pub(super) &'v Spanned<DeValue<'t>>);

impl Reader<'_, '_> {
    fn value<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0.get_ref() {
            DeValue::String(text) => visitor.visit_str(text),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => visitor.visit_i64(number),
                Err(_) => Err(Misfit::custom(format_args!("the number {number} is too large"))),
            },
            DeValue::Float(number) => match number.as_str().parse() {
                Ok(number) => visitor.visit_f64(number),
                Err(_) => Err(Misfit::custom(format_args!("'{}' is no number", number.as_str()))),
            },
            DeValue::Boolean(flag) => visitor.visit_bool(*flag),
            // As text: the only dates are days, and those are read from their text.
            DeValue::Datetime(time) => visitor.visit_string(time.to_string()),
            DeValue::Array(values) => visitor.visit_seq(Values(&mut values.iter())),
            DeValue::Table(table) => visitor.visit_map(Entries { entries: &mut table.iter(), value: None }),
        }
    }
}

impl<'de> Deserializer<'de> for Reader<'_, '_> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.value(visitor).map_err(|misfit| misfit.at(self.0.span()))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let choice = match self.0.get_ref() {
            DeValue::String(text) => Some(Choice { name: text, span: self.0.span(), body: None }),
            DeValue::Table(table) if table.len() == 1 => {
                table.iter().next().map(|(key, body)| Choice { name: key.get_ref(), span: key.span(), body: Some(Reader(body)) })
            }
            _ => None,
        };
        let choice = choice.ok_or_else(|| Misfit::custom(format_args!("one of these is expected: {}", known.join(", "))));
        choice.and_then(|choice| visitor.visit_enum(choice)).map_err(|misfit: Misfit| misfit.at(self.0.span()))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct
        map struct identifier ignored_any
    }
}

/// The values of an array.
struct Values<'i, 'v, 't>(&'i mut std::slice::Iter<'v, Spanned<DeValue<'t>>>);

impl<'de> SeqAccess<'de> for Values<'_, '_, '_> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Misfit> {
        self.0.next().map(|value| seed.deserialize(Reader(value)).map_err(|misfit| misfit.at(value.span()))).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

/// The entries of a table.
struct Entries<'i, 'v, 't> {
    entries: &'i mut dyn Iterator<Item = (&'v Spanned<DeString<'t>>, &'v Spanned<DeValue<'t>>)>,
    value: Option<&'v Spanned<DeValue<'t>>>,
}

impl<'de> MapAccess<'de> for Entries<'_, '_, '_> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(name(key.get_ref())).map(Some).map_err(|misfit| misfit.at(key.span()))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        let value = self.value.take().ok_or_else(|| Misfit::custom("a value without a key"))?;
        seed.deserialize(Reader(value)).map_err(|misfit| misfit.at(value.span()))
    }
}

/// One variant of an enumeration.
struct Choice<'v, 't> {
    name: &'v str,
    span: Range<usize>,
    body: Option<Reader<'v, 't>>,
}

impl<'v, 't> Choice<'v, 't> {
    fn body(self) -> Result<Reader<'v, 't>, Misfit> {
        self.body.ok_or_else(|| Misfit::custom(format_args!("'{}' needs a value", self.name)).at(self.span))
    }
}

impl<'de> EnumAccess<'de> for Choice<'_, '_> {
    type Error = Misfit;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Misfit> {
        match seed.deserialize(name(self.name)) {
            Ok(variant) => Ok((variant, self)),
            Err(misfit) => Err(misfit.at(self.span)),
        }
    }
}

impl<'de> VariantAccess<'de> for Choice<'_, '_> {
    type Error = Misfit;

    fn unit_variant(self) -> Result<(), Misfit> {
        match self.body {
            None => Ok(()),
            Some(_) => Err(Misfit::invalid_type(Unexpected::NewtypeVariant, &"the name alone").at(self.span)),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Misfit> {
        seed.deserialize(self.body()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Misfit> {
        self.body()?.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Misfit> {
        self.body()?.deserialize_any(visitor)
    }
}

/// A key or a name of a variant.
fn name(text: &str) -> StrDeserializer<'_, Misfit> {
    text.into_deserializer()
}
