//! Protobuf by the field tables of `wire_v3.json`: from proto-JSON to bytes and back.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// Field names, numbers and types of all messages.
pub(crate) struct Wire(Value);

/// One field as the table has it.
struct Field<'a> {
    name: &'a str,
    number: u64,
    kind: &'a str,
    repeated: bool,
}

impl Wire {
    pub(crate) fn load(path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("the tables are part of the repository");
        Self(serde_json::from_str(&text).expect("the tables are JSON"))
    }

    /// The messages of a method: its request's and its answer's.
    pub(crate) fn method(&self, path: &str) -> (&str, &str) {
        let (service, method) = path[1..].split_once('/').expect("a path has two parts");
        let method = &self.0["services"][service][method];
        let name = |index: usize| method[index].as_str().expect("every method is listed");
        (name(0), name(1))
    }

    fn fields(&self, message: &str) -> impl Iterator<Item = Field<'_>> {
        let table = self.0["messages"][message].as_object().expect("every message is listed");
        table.iter().map(|(name, spec)| Field {
            name,
            number: spec[0].as_u64().expect("a field has a number"),
            kind: spec[1].as_str().expect("a field has a type"),
            repeated: spec[2] == "repeated",
        })
    }

    /// A message's bytes.
    pub(crate) fn encode(&self, message: &str, value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        for field in self.fields(message) {
            match value.get(field.name) {
                None | Some(Value::Null) => {}
                Some(Value::Array(items)) if field.repeated => {
                    items.iter().for_each(|item| self.encode_field(&field, item, &mut out));
                }
                Some(value) => self.encode_field(&field, value, &mut out),
            }
        }
        out
    }

    fn encode_field(&self, field: &Field<'_>, value: &Value, out: &mut Vec<u8>) {
        let number = |out: &mut Vec<u8>, value: u64| {
            put_varint(field.number << 3, out);
            put_varint(value, out);
        };
        let delimited = |out: &mut Vec<u8>, bytes: &[u8]| {
            put_varint(field.number << 3 | 2, out);
            put_varint(bytes.len() as u64, out);
            out.extend_from_slice(bytes);
        };
        let text = || value.as_str().expect("a text").to_owned();
        match field.kind {
            "bool" => number(out, u64::from(value == &Value::Bool(true))),
            "int64" | "uint64" | "int32" | "uint32" => number(out, integer(value)),
            "string" => delimited(out, text().as_bytes()),
            "bytes" => delimited(out, &STANDARD.decode(text()).expect("base64")),
            kind => match &self.0["enums"][kind] {
                Value::Object(names) => {
                    let named = value.as_str().map_or_else(
                        || integer(value),
                        |name| names[name].as_u64().expect("every name is listed"),
                    );
                    number(out, named);
                }
                _ => delimited(out, &self.encode(kind, value)),
            },
        }
    }

    /// A message's proto-JSON: zeros left out, messages that are present shown.
    pub(crate) fn decode(&self, message: &str, mut bytes: &[u8]) -> Value {
        let mut object = Map::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let field = self.fields(message).find(|field| field.number == key >> 3);
            let field = field.expect("only listed fields are sent");
            let value = if key & 7 == 0 {
                self.number(field.kind, varint(&mut bytes))
            } else {
                let length = usize::try_from(varint(&mut bytes)).expect("a length");
                let (content, rest) = bytes.split_at(length);
                bytes = rest;
                Some(self.content(field.kind, content))
            };
            let Some(value) = value else { continue };
            if field.repeated {
                let list = object.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
                list.as_array_mut().expect("made as a list").push(value);
            } else {
                object.insert(field.name.to_owned(), value);
            }
        }
        Value::Object(object)
    }

    fn number(&self, kind: &str, value: u64) -> Option<Value> {
        if value == 0 {
            return None;
        }
        Some(match kind {
            "bool" => Value::Bool(true),
            "int64" => Value::String(value.cast_signed().to_string()),
            "uint64" => Value::String(value.to_string()),
            "int32" | "uint32" => value.into(),
            kind => {
                let names = self.0["enums"][kind].as_object().expect("an enum");
                let named = names.iter().find(|(_, number)| number.as_u64() == Some(value));
                named.map_or_else(|| value.into(), |(name, _)| name.as_str().into())
            }
        })
    }

    fn content(&self, kind: &str, content: &[u8]) -> Value {
        match kind {
            "string" => String::from_utf8_lossy(content).into(),
            "bytes" => STANDARD.encode(content).into(),
            kind => self.decode(kind, content),
        }
    }
}

/// A number, or one as text; negative ones in two's complement, as protobuf has them.
fn integer(value: &Value) -> u64 {
    let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let signed = text.parse::<i64>().map(i64::cast_unsigned);
    signed.or_else(|_| text.parse()).expect("a number")
}

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().expect("a varint ends");
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return value;
        }
    }
    panic!("a varint has at most ten bytes");
}
