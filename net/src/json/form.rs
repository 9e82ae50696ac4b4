//! How single values are read.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::{DecodeError, Engine, alphabet};
use bytes::Bytes;
use serde::de::{
    Deserialize, DeserializeOwned, Deserializer, Error, SeqAccess, Unexpected, Visitor,
};

/// A field's name, borrowed unless it has escapes.
pub(super) struct Name<'de>(pub(super) Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(text.to_string())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// A 64-bit number: as a number, or as text that is the JSON of one.
pub(super) struct Number<T>(pub(super) T);

/// With a sign.
pub(super) type Int64 = Number<i64>;
/// Without one.
pub(super) type Uint64 = Number<u64>;

impl<'de, T> Deserialize<'de> for Number<T>
where
    T: DeserializeOwned + TryFrom<i64> + TryFrom<u64>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits<T>(PhantomData<T>);
        impl<T: DeserializeOwned + TryFrom<i64> + TryFrom<u64>> Visitor<'_> for Digits<T> {
            type Value = Number<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a 64-bit integer, or one as text")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Number<T>, E> {
                let wrong = |_| E::invalid_value(Unexpected::Signed(number), &self);
                T::try_from(number).map(Number).map_err(wrong)
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Number<T>, E> {
                let wrong = |_| E::invalid_value(Unexpected::Unsigned(number), &self);
                T::try_from(number).map(Number).map_err(wrong)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Number<T>, E> {
                let wrong = |_| E::invalid_value(Unexpected::Str(text), &self);
                serde_json::from_str(text).map(Number).map_err(wrong)
            }
        }
        deserializer.deserialize_any(Digits(PhantomData))
    }
}

/// Standard base64 with its padding; as in Go, nobody looks at the bits behind the last byte.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// Bytes: as base64, which may be broken into lines, or as a list of numbers (Go reads both).
pub(super) struct Base64(pub(super) Bytes);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Encoded;
        impl<'de> Visitor<'de> for Encoded {
            type Value = Base64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes as base64")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Base64, E> {
                let bytes = BASE64.decode(text).or_else(|error| decode_lines(text, error));
                bytes
                    .map(|bytes| Base64(bytes.into()))
                    .map_err(|error| E::custom(format_args!("illegal base64 data: {error}")))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Base64, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = list.next_element::<u8>()? {
                    bytes.push(byte);
                }
                Ok(Base64(bytes.into()))
            }
        }
        deserializer.deserialize_any(Encoded)
    }
}

/// What failed to be decoded as one line, as several.
fn decode_lines(text: &str, error: DecodeError) -> Result<Vec<u8>, DecodeError> {
    if !text.contains(['\r', '\n']) {
        return Err(error);
    }
    BASE64.decode(text.replace(['\r', '\n'], ""))
}

/// The names of an enum's values, in the order of their numbers.
pub(super) trait Names {
    const NAMES: &'static [&'static str];
}

/// The number of an enum's value, given by name or number.
pub(super) struct Enum<N>(pub(super) i32, PhantomData<N>);

impl<'de, N: Names> Deserialize<'de> for Enum<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value<N>(PhantomData<N>);
        impl<N: Names> Visitor<'_> for Value<N> {
            type Value = Enum<N>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "one of {}", N::NAMES.join(", "))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Enum<N>, E> {
                let wrong = |_| E::invalid_value(Unexpected::Signed(number), &self);
                i32::try_from(number).map(|number| Enum(number, self.0)).map_err(wrong)
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Enum<N>, E> {
                let wrong = |_| E::invalid_value(Unexpected::Unsigned(number), &self);
                i32::try_from(number).map(|number| Enum(number, self.0)).map_err(wrong)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Enum<N>, E> {
                match (0..).zip(N::NAMES).find(|(_, name)| **name == text) {
                    Some((number, _)) => Ok(Enum(number, self.0)),
                    None => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Value(PhantomData))
    }
}
