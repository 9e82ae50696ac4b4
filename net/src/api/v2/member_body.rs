//! What is asked for a member: `{"peerURLs":[..]}`.
//!
//! Read as Go's decoder reads it: names of fields compare without case, unknown ones are skipped,
//! the last of a name counts, and `null` is as good as nothing. What is wrong is told in its words.

use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::api::go;

/// The URLs that a body names.
///
/// # Errors
/// What Go says of it.
pub(super) fn peer_urls(body: &[u8]) -> Result<Vec<String>, String> {
    let text = String::from_utf8_lossy(body);
    match serde_json::from_str(&text) {
        Ok(Read(Body(Urls(urls)))) => Ok(urls),
        Err(error) => Err(go::json::complaint(body).unwrap_or_else(|| {
            let text = error.to_string();
            text.rsplit_once(" at line ").map_or(&text[..], |(reason, _)| reason).to_owned()
        })),
    }
}

/// Something that Go's decoder fills in.
trait Shape<'de>: Default {
    /// Where Go says that a value of another kind does not fit.
    const PLACE: &'static str;

    fn refuse<E: Error>(kind: &str) -> Result<Self, E> {
        Err(E::custom(format_args!("json: cannot unmarshal {kind} into {}", Self::PLACE)))
    }

    fn of_text<E: Error>(_text: &str) -> Result<Self, E> {
        Self::refuse("string")
    }

    fn of_list<A: SeqAccess<'de>>(_list: A) -> Result<Self, A::Error> {
        Self::refuse("array")
    }

    fn of_object<A: MapAccess<'de>>(_object: A) -> Result<Self, A::Error> {
        Self::refuse("object")
    }
}

#[derive(Default)]
struct Body(Urls);

impl<'de> Shape<'de> for Body {
    const PLACE: &'static str =
        r#"Go value of type struct { PeerURLs []string "json:\"peerURLs\"" }"#;

    fn of_object<A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        let mut body = Self::default();
        while let Some(name) = object.next_key::<String>()? {
            if name.eq_ignore_ascii_case("peerURLs") {
                body.0 = object.next_value::<Read<Urls>>()?.0;
            } else {
                object.next_value::<IgnoredAny>()?;
            }
        }
        Ok(body)
    }
}

#[derive(Default)]
struct Urls(Vec<String>);

impl<'de> Shape<'de> for Urls {
    const PLACE: &'static str = "Go struct field .peerURLs of type []string";

    fn of_list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut urls = Vec::new();
        while let Some(Read(Url(url))) = list.next_element()? {
            urls.push(url);
        }
        Ok(Self(urls))
    }
}

#[derive(Default)]
struct Url(String);

impl Shape<'_> for Url {
    const PLACE: &'static str = "Go struct field .peerURLs of type string";

    fn of_text<E: Error>(text: &str) -> Result<Self, E> {
        Ok(Self(text.to_owned()))
    }
}

/// A shape as it is read.
struct Read<T>(T);

impl<'de, T: Shape<'de>> Deserialize<'de> for Read<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader(PhantomData)).map(Self)
    }
}

struct Reader<T>(PhantomData<T>);

impl<'de, T: Shape<'de>> Visitor<'de> for Reader<T> {
    type Value = T;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(T::PLACE)
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<T, E> {
        T::refuse("bool")
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<T, E> {
        T::refuse("number")
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<T, E> {
        T::refuse("number")
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<T, E> {
        T::refuse("number")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::of_text(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<T, A::Error> {
        T::of_list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<T, A::Error> {
        T::of_object(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_as_go_reads_them() {
        let rows: [(&str, &[&str]); 6] = [
            ("null", &[]),
            ("{}", &[]),
            (r#"{"peerURLs":null,"x":[{}]}"#, &[]),
            (r#"{"peerURLs":["a",null]}"#, &["a", ""]),
            (r#"{"PEERurls":["a"],"peerURLs":["b"]}"#, &["b"]),
            (" {\"peerURLs\":[\"\\u00e9\"]}\n", &["\u{e9}"]),
        ];
        for (body, urls) in rows {
            assert_eq!(peer_urls(body.as_bytes()).expect(body), urls);
        }
    }

    #[test]
    fn what_is_wrong_is_told_in_gos_words() {
        let whole = r#"Go value of type struct { PeerURLs []string "json:\"peerURLs\"" }"#;
        let field = "Go struct field .peerURLs of type";
        let rows = [
            ("[]", format!("json: cannot unmarshal array into {whole}")),
            ("\"x\"", format!("json: cannot unmarshal string into {whole}")),
            ("true", format!("json: cannot unmarshal bool into {whole}")),
            (r#"{"peerURLs":"a"}"#, format!("json: cannot unmarshal string into {field} []string")),
            (r#"{"peerURLs":{}}"#, format!("json: cannot unmarshal object into {field} []string")),
            (r#"{"peerURLs":[1]}"#, format!("json: cannot unmarshal number into {field} string")),
            ("[1,2", "unexpected end of JSON input".to_owned()),
            ("{} x", "invalid character 'x' after top-level value".to_owned()),
        ];
        for (body, expected) in rows {
            assert_eq!(peer_urls(body.as_bytes()), Err(expected), "{body}");
        }
    }
}
