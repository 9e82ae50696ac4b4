//! `get`, `put` and `del`. What they ask is also what stands in a transaction.

use std::io::{self, Read, Write};

use clap::Command;
use serde_json::{Value, json};

use super::gateway::{Gateway, Kind};
use super::message::{DeleteRangeResponse, PutResponse, RangeResponse, base64};
use super::output::Printer;
use super::{BAD_ARGUMENTS, BAD_FEATURE, failed};
use crate::failure::{Failure, Outcome};
use crate::flags::{Flags, boolean, number, valued, verb};
use crate::go;

/// The verbs.
pub(super) fn commands() -> Vec<Command> {
    vec![
        verb("get", "Print a key or a range of keys. [v2, v3]", "KEY [RANGE_END]").args([
            valued("consistency", "l: linearizable, s: serializable [default: l]."),
            valued("order", "ASCEND or DESCEND."),
            valued("sort-by", "CREATE, KEY, MODIFY, VALUE or VERSION."),
            number("limit", "How many at most [default: 0, all]."),
            boolean("prefix", "All keys that begin with KEY."),
            boolean("from-key", "All keys that are not before KEY."),
            number("rev", "As they were at this revision."),
            boolean("keys-only", "Without values."),
            boolean("count-only", "Only how many there are."),
            boolean("print-value-only", "Without keys (-w simple)."),
        ]),
        verb("put", "Set the value of a key. [v3]", "KEY VALUE")
            .args([
                valued("lease", "The lease to bind it to, in hexadecimal."),
                boolean("prev-kv", "Print what it replaces."),
                boolean("ignore-value", "Keep the value."),
                boolean("ignore-lease", "Keep the lease."),
            ])
            .after_help(
                "Without VALUE it is read from stdin; before one that begins with - stands --.",
            ),
        verb("del", "Delete a key or a range of keys. [v3]", "KEY [RANGE_END]").args([
            boolean("prefix", "All keys that begin with KEY."),
            boolean("prev-kv", "Print what is deleted."),
            boolean("from-key", "All keys that are not before KEY."),
        ]),
    ]
}

/// Performs a verb.
pub(super) fn run(verb: &str, flags: &Flags<'_>, out: &mut dyn Write) -> Outcome {
    let message = request(verb, flags, Some(&mut io::stdin()))?;
    let mut printer = Printer::of(flags)?;
    let mut gateway = Gateway::open(flags, out)?;
    match verb {
        "get" => {
            let answer: RangeResponse = gateway.call("/v3/kv/range", &message, Kind::Read)?;
            if flags.is_set("print-value-only") {
                printer.only_values()?;
            }
            printer.range(&answer, flags.is_set("count-only"), out)
        }
        "put" => {
            let answer: PutResponse = gateway.call("/v3/kv/put", &message, Kind::Write)?;
            printer.put(&answer, out)
        }
        _ => {
            let answer: DeleteRangeResponse =
                gateway.call("/v3/kv/deleterange", &message, Kind::Write)?;
            printer.delete(&answer, out)
        }
    }
}

/// What a verb asks for. A value that is missing is read from the input, if there is one.
pub(super) fn request(
    verb: &str,
    flags: &Flags<'_>,
    input: Option<&mut dyn Read>,
) -> Result<Value, Failure> {
    match verb {
        "get" => get(flags),
        "put" => put(flags, input),
        _ => delete(flags),
    }
}

fn get(flags: &Flags<'_>) -> Result<Value, Failure> {
    let mut message = range("get", flags, usize::MAX)?;
    match flags.text("consistency").unwrap_or("l") {
        "l" => {}
        "s" => message["serializable"] = true.into(),
        other => {
            let quoted = go::quote(other.as_bytes());
            return Err(failed(BAD_FEATURE, format!("unknown consistency flag {quoted}")));
        }
    }
    let text = |name| flags.text(name).unwrap_or_default();
    let order = match text("order").to_uppercase().as_str() {
        "ASCEND" => "ASCEND",
        "DESCEND" => "DESCEND",
        "" => "NONE",
        _ => return Err(failed(BAD_FEATURE, format!("bad sort order {}", text("order")))),
    };
    let target = match text("sort-by").to_uppercase().as_str() {
        "CREATE" => "CREATE",
        "MODIFY" => "MOD",
        "VALUE" => "VALUE",
        "VERSION" => "VERSION",
        "KEY" | "" => "KEY",
        _ => return Err(failed(BAD_FEATURE, format!("bad sort target {}", text("sort-by")))),
    };
    // Keys come in ascending order anyway: asking for it would only cost the server a sort.
    let order = if (order, target) == ("ASCEND", "KEY") { "NONE" } else { order };
    message["sort_order"] = order.into();
    message["sort_target"] = target.into();
    message["limit"] = flags.number("limit").to_string().into();
    if flags.number("rev") > 0 {
        message["revision"] = flags.number("rev").to_string().into();
    }
    message["keys_only"] = flags.is_set("keys-only").into();
    message["count_only"] = flags.is_set("count-only").into();
    Ok(message)
}

fn delete(flags: &Flags<'_>) -> Result<Value, Failure> {
    let mut message = range("del", flags, 2)?;
    message["prev_kv"] = flags.is_set("prev-kv").into();
    Ok(message)
}

/// The keys that arguments and flags name.
fn range(verb: &str, flags: &Flags<'_>, arguments_max: usize) -> Result<Value, Failure> {
    let wrong = |text: &str| failed(BAD_ARGUMENTS, text);
    let arguments = flags.arguments();
    let key = match arguments.first() {
        Some(key) if arguments.len() <= arguments_max => key.as_bytes(),
        _ => {
            return Err(wrong(&format!(
                "{verb} command needs one argument as key and an optional argument as range_end"
            )));
        }
    };
    let (prefix, from_key) = (flags.is_set("prefix"), flags.is_set("from-key"));
    if prefix && from_key {
        return Err(wrong(
            "`--prefix` and `--from-key` cannot be set at the same time, choose one",
        ));
    }
    let end = arguments.get(1).map(|end| end.as_bytes().to_vec());
    if end.is_some() && (prefix || from_key) {
        return Err(wrong(
            "too many arguments, only accept one argument when `--prefix` or `--from-key` is set",
        ));
    }
    let (key, end) = match end {
        Some(end) => (key, end),
        // All keys: an empty one is not before any.
        None if (prefix || from_key) && key.is_empty() => (&b"\0"[..], b"\0".to_vec()),
        None if prefix => (key, prefix_end(key)),
        None if from_key => (key, b"\0".to_vec()),
        None => (key, Vec::new()),
    };
    Ok(json!({"key": base64(key), "range_end": base64(end)}))
}

/// The first key behind all that begin with a prefix; a zero byte if there is none.
fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    vec![0]
}

fn put(flags: &Flags<'_>, input: Option<&mut dyn Read>) -> Result<Value, Failure> {
    let wrong = |text: &str| failed(BAD_ARGUMENTS, text);
    let missing = || wrong("put command needs 1 argument and input from stdin or 2 arguments");
    let arguments = flags.arguments();
    let key = arguments.first().ok_or_else(missing)?;
    let ignore_value = flags.is_set("ignore-value");
    let value = match arguments.get(1) {
        Some(_) if ignore_value => {
            return Err(wrong("put command needs only 1 argument when 'ignore-value' is set"));
        }
        Some(value) => value.as_bytes().to_vec(),
        None if ignore_value => Vec::new(),
        None => {
            let mut value = Vec::new();
            input.ok_or_else(missing)?.read_to_end(&mut value)?;
            if value.is_empty() {
                return Err(missing());
            }
            value
        }
    };
    let lease = flags.text("lease").unwrap_or("0");
    let lease = i64::from_str_radix(lease, 16).map_err(|_| {
        let lease = go::quote(lease.as_bytes());
        let reason = format!("strconv.ParseInt: parsing {lease}: invalid syntax");
        wrong(&format!("bad lease ID ({reason}), expecting ID in Hex"))
    })?;
    Ok(json!({
        "key": base64(key),
        "value": base64(value),
        "lease": lease.to_string(),
        "prev_kv": flags.is_set("prev-kv"),
        "ignore_value": ignore_value,
        "ignore_lease": flags.is_set("ignore-lease"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_key_that_does_not_have_it() {
        assert_eq!(prefix_end(b"a/"), b"a0");
        assert_eq!(prefix_end(b"a\xff"), b"b");
        assert_eq!(prefix_end(b"\xff\xff"), b"\0");
    }
}
