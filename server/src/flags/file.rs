//! `--config-file`: the flags of a member in etcd's YAML (or JSON, which is YAML as well).
//!
//! A key is a flag's name; the two maps of TLS options say the same with shorter keys. A list
//! stands for its entries joined by commas, nothing at all for the default, and a bare number
//! where a duration belongs for nanoseconds, as Go reads them. Unlike in etcd, a key that means
//! nothing is an error: whoever mistypes one hears of it. Every error names its line.

use std::fmt;
use std::fs::File;
use std::io::Read;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::Given;
use super::table::{self, Flag, Kind};

/// A larger file is not a configuration.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads the file at `path`. The error is the operator's to read.
pub(super) fn read(path: &str) -> Result<Given, String> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
        .map_err(|error| format!("cannot read the config file {path}: {error}"))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("the config file {path} is larger than {FILE_BYTES_MAX} bytes"));
    }
    parse(&text).map_err(|error| format!("the config file {path}: {error}"))
}

fn parse(text: &str) -> Result<Given, String> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim().starts_with('#')) {
        return Ok(Given::new());
    }
    // `on`, `off` and `n` are words, as in YAML 1.2.
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    serde_saphyr::from_str_with_options(text, options)
        .map(|document: Document| document.0)
        .map_err(|error| error.render_with_formatter(&serde_saphyr::UserMessageFormatter))
}

/// The whole file.
struct Document(Given);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut given = Given::new();
        deserializer.deserialize_map(Section { name: "", given: &mut given })?;
        Ok(Self(given))
    }
}

/// A map of keys: the file's own, or one of its two sections.
struct Section<'a> {
    /// Empty for the file's own.
    name: &'static str,
    given: &'a mut Given,
}

const CLIENT_SECURITY: &str = "client-transport-security";
const PEER_SECURITY: &str = "peer-transport-security";

impl<'de> Visitor<'de> for Section<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map of flags")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(KeyOf { section: self.name })? {
            match key {
                Key::Section(name) => {
                    map.next_value_seed(Section { name, given: self.given })?;
                }
                Key::Flag(flag) => {
                    let Some(value) = map.next_value_seed(ValueOf { flag })? else { continue };
                    if self.given.insert(flag.name, value).is_some() {
                        return Err(Error::custom(format!("{} is set twice", flag.name)));
                    }
                }
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Section<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// What a key stands for.
enum Key {
    Flag(Flag),
    Section(&'static str),
}

impl Key {
    fn find(section: &str, key: &str) -> Option<Self> {
        let flag = |name: &str| table::find(name).map(Self::Flag);
        match (section, key) {
            ("", CLIENT_SECURITY) => Some(Self::Section(CLIENT_SECURITY)),
            ("", PEER_SECURITY) => Some(Self::Section(PEER_SECURITY)),
            ("", "config-file") => None,
            ("", _) => flag(key),
            (PEER_SECURITY, _) => flag(&peer_flag(key)?),
            (_, "allowed-hostname" | "allowed-hostnames") => flag("client-cert-allowed-hostname"),
            (_, "crl-file") => flag("client-crl-file"),
            _ => SECURITY_KEYS.contains(&key).then(|| flag(key)).flatten(),
        }
    }
}

/// What both sections call as the flags of clients are called.
const SECURITY_KEYS: [&str; 7] = [
    "cert-file",
    "key-file",
    "client-cert-file",
    "client-key-file",
    "client-cert-auth",
    "trusted-ca-file",
    "auto-tls",
];

fn peer_flag(key: &str) -> Option<String> {
    Some(match key {
        "allowed-cn" | "allowed-cns" => "peer-cert-allowed-cn".into(),
        "allowed-hostname" | "allowed-hostnames" => "peer-cert-allowed-hostname".into(),
        "crl-file" => "peer-crl-file".into(),
        "skip-client-san-verification" => "peer-skip-client-san-verification".into(),
        _ if SECURITY_KEYS.contains(&key) => format!("peer-{key}"),
        _ => return None,
    })
}

/// Reads a key; the section tells what keys there are.
struct KeyOf {
    section: &'static str,
}

impl<'de> DeserializeSeed<'de> for KeyOf {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        let key = String::deserialize(deserializer)?;
        Key::find(self.section, &key).ok_or_else(|| match self.section {
            "" => Error::custom(format!("unknown key {key:?}")),
            section => Error::custom(format!("unknown key {key:?} in {section}")),
        })
    }
}

/// Reads a flag's value as the text that the command line would have; none where nothing stands.
struct ValueOf {
    flag: Flag,
}

impl ValueOf {
    fn checked<E: Error>(&self, text: String) -> Result<Option<String>, E> {
        if text.is_empty() {
            return Ok(None);
        }
        match self.flag.kind.check(&text) {
            Ok(()) => Ok(Some(text)),
            Err(reason) => {
                let name = self.flag.name;
                Err(Error::custom(format!("invalid value {text:?} for {name}: {reason}")))
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for ValueOf {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueOf {
    type Value = Option<String>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a value for {}", self.flag.name)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        self.checked(value.to_string())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        let unit = if self.flag.kind == Kind::Duration { "ns" } else { "" };
        self.checked(format!("{value}{unit}"))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        let unit = if self.flag.kind == Kind::Duration { "ns" } else { "" };
        self.checked(format!("{value}{unit}"))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        self.checked(value.to_string())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        self.checked(value.to_string())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        let entries = Vec::<String>::deserialize(SeqAccessDeserializer::new(list))?;
        self.checked(entries.join(","))
    }

    /// The rotation of logs is configured by JSON, which is YAML: it need not be quoted.
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        if self.flag.name != "log-rotation-config-json" {
            return Err(Error::custom(format!("{} is not a map", self.flag.name)));
        }
        let object = serde_json::Map::deserialize(MapAccessDeserializer::new(map))?;
        self.checked(serde_json::Value::Object(object).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, name: &str) -> Option<String> {
        parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).get(name).cloned()
    }

    fn error(text: &str) -> String {
        parse(text).expect_err(text)
    }

    #[test]
    fn values_are_what_the_command_line_would_say() {
        let rows = [
            ("name: a", "name", Some("a")),
            ("name: 'a: b'", "name", Some("a: b")),
            ("name:", "name", None),
            ("name: ''", "name", None),
            ("name: 7", "name", Some("7")),
            ("enable-v2: false", "enable-v2", Some("false")),
            ("heartbeat-interval: 50", "heartbeat-interval", Some("50")),
            ("quota-backend-bytes: -1", "quota-backend-bytes", Some("-1")),
            (
                "grpc-keepalive-interval: 5000000000",
                "grpc-keepalive-interval",
                Some("5000000000ns"),
            ),
            ("grpc-keepalive-interval: 5s", "grpc-keepalive-interval", Some("5s")),
            ("log-outputs: [stderr, /tmp/x]", "log-outputs", Some("stderr,/tmp/x")),
            ("cipher-suites:\n- A\n- B\n", "cipher-suites", Some("A,B")),
            ("proxy: off", "proxy", Some("off")),
            ("{\"name\": \"json\"}", "name", Some("json")),
            ("# nothing\n", "name", None),
        ];
        for (text, name, expected) in rows {
            assert_eq!(value(text, name).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn the_two_sections_are_flags_of_tls() {
        let text = "client-transport-security:\n  cert-file: c\n  client-cert-auth: true\n\
                    peer-transport-security:\n  cert-file: p\n  allowed-cn: n\n  auto-tls: true\n";
        let rows = [
            ("cert-file", "c"),
            ("client-cert-auth", "true"),
            ("peer-cert-file", "p"),
            ("peer-cert-allowed-cn", "n"),
            ("peer-auto-tls", "true"),
        ];
        for (name, expected) in rows {
            assert_eq!(value(text, name).as_deref(), Some(expected), "{name}");
        }
        assert_eq!(value("peer-transport-security:\nname: a", "name").as_deref(), Some("a"));
    }

    #[test]
    fn every_error_names_its_line() {
        let rows = [
            ("name: a\nnonsense: 1\n", "unknown key \"nonsense\"", "line 2"),
            ("name: a\n\nname: b\n", "name", "line 3"),
            (
                "peer-transport-security:\n  nonsense: 1\n",
                "unknown key \"nonsense\" in peer",
                "line 2",
            ),
            ("a: [", "", "line 1"),
            (
                "name: a\nheartbeat-interval: soon\n",
                "for heartbeat-interval: parse error",
                "line 2",
            ),
            ("name: a\nenable-v2: maybe\n", "for enable-v2", "line 2"),
            ("name: {a: b}\n", "name is not a map", "line 1"),
            ("config-file: other\n", "unknown key", "line 1"),
            ("- a\n- b\n", "", "line 1"),
        ];
        for (text, part, line) in rows {
            let error = error(text);
            assert!(error.contains(part) && error.contains(line), "{text}: {error}");
        }
        assert!(error("cert-file: a\nclient-transport-security: {cert-file: b}").contains("twice"));
    }

    #[test]
    fn the_sample_of_etcd_is_understood() {
        let given = parse(include_str!("etcd.conf.yml")).expect("the sample");
        assert_eq!(given.get("cipher-suites").map(|list| list.split(',').count()), Some(2));
        assert_eq!(given.get("peer-auto-tls").map(String::as_str), Some("false"));
        assert_eq!(given.get("log-outputs").map(String::as_str), Some("stderr"));
        assert!(!given.contains_key("data-dir"), "nothing stands there");
        assert!(given.len() > 30);
    }
}
