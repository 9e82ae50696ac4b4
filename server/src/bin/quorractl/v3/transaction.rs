//! `txn`: comparisons, and what to do in either case, read from the input line by line.

use std::io::{self, BufRead, Write};

use clap::Command;
use serde_json::{Value, json};

use super::gateway::{Gateway, Kind};
use super::message::{TxnResponse, base64};
use super::output::Printer;
use super::{BAD_ARGUMENTS, INVALID_INPUT, failed, keys};
use crate::failure::{Failure, Outcome};
use crate::flags::{Flags, boolean, verb};
use crate::go;

/// The verb.
pub(super) fn command() -> Command {
    verb("txn", "Do everything or nothing: a transaction, read from stdin. [v3]", "")
        .arg(boolean("interactive", "Prompt for each part.").short('i'))
        .after_help(
            "Three parts, each ended by an empty line: comparisons, what to do if all of them \
             hold, what to do if not:\n\n  \
             mod(\"key\") > \"0\"\n\n  put key \"overwritten\"\n\n  put key \"created\"\n  \
             put other \"as well\"\n\n\
             Compared are c/create, m/mod, ver/version, val/value and lease, by =, !=, < or >.",
        )
}

/// Performs it.
pub(super) fn run(flags: &Flags<'_>, out: &mut dyn Write) -> Outcome {
    if !flags.arguments().is_empty() {
        return Err(failed(BAD_ARGUMENTS, "txn command does not accept argument"));
    }
    let printer = Printer::of(flags)?;
    let mut gateway = Gateway::open(flags, out)?;
    let message = read(&mut io::stdin().lock(), flags.is_set("interactive"), out)?;
    let answer: TxnResponse = gateway.call("/v3/kv/txn", &message, Kind::Write)?;
    printer.transaction(&answer, out)
}

/// Reads the three parts.
fn read(input: &mut dyn BufRead, prompts: bool, out: &mut dyn Write) -> Result<Value, Failure> {
    let mut prompt = |text: &str| if prompts { writeln!(out, "{text}") } else { Ok(()) };
    prompt("compares:")?;
    let compare = lines(input, comparison)?;
    prompt("success requests (get, put, del):")?;
    let success = lines(input, operation)?;
    prompt("failure requests (get, put, del):")?;
    let failure = lines(input, operation)?;
    Ok(json!({"compare": compare, "success": success, "failure": failure}))
}

/// Reads lines up to an empty one.
fn lines(
    input: &mut dyn BufRead,
    parse: impl Fn(&str) -> Result<Value, Failure>,
) -> Result<Vec<Value>, Failure> {
    let mut parsed = Vec::new();
    loop {
        let mut line = String::new();
        let failed = |error| failed(INVALID_INPUT, error);
        input.read_line(&mut line).map_err(|error| failed(error.to_string()))?;
        if !line.ends_with('\n') {
            return Err(failed("EOF".to_string()));
        }
        match line.trim() {
            "" => return Ok(parsed),
            line => parsed.push(parse(line)?),
        }
    }
}

/// `TARGET("KEY") OPERATOR "VALUE"`.
fn comparison(line: &str) -> Result<Value, Failure> {
    let wrong = |text: String| failed(INVALID_INPUT, text);
    let malformed = || wrong(format!("malformed comparison: {line}"));
    let (target, rest) = line.split_once('(').ok_or_else(malformed)?;
    let (key, rest) = go::unquote(rest).ok_or_else(malformed)?;
    let rest = rest.strip_prefix(')').ok_or_else(malformed)?.trim_start();
    let (operator, rest) = rest.split_once(' ').ok_or_else(malformed)?;
    let (value, _) = go::unquote(rest.trim_start()).ok_or_else(malformed)?;
    let result = match operator {
        "=" => "EQUAL",
        "!=" => "NOT_EQUAL",
        ">" => "GREATER",
        "<" => "LESS",
        _ => {
            return Err(wrong(format!(
                "malformed comparison: {line} (unknown operator {operator})"
            )));
        }
    };
    let text = String::from_utf8_lossy(&value);
    let number = |radix| {
        let number = i64::from_str_radix(&text, radix);
        let number = number.map(|number| number.to_string());
        number.map_err(|_| wrong(format!("invalid txn compare request: {line}")))
    };
    let (target, field, value) = match target {
        "ver" | "version" => ("VERSION", "version", number(10)?),
        "c" | "create" => ("CREATE", "create_revision", number(10)?),
        "m" | "mod" => ("MOD", "mod_revision", number(10)?),
        "val" | "value" => ("VALUE", "value", base64(&value)),
        "lease" => ("LEASE", "lease", number(16)?),
        _ => return Err(wrong(format!("malformed comparison: {line} (unknown target {target})"))),
    };
    Ok(json!({"result": result, "target": target, "key": base64(key), field: value}))
}

/// A `get`, `put` or `del` as on the command line.
fn operation(line: &str) -> Result<Value, Failure> {
    let words = words(line).ok_or_else(|| failed(INVALID_INPUT, "bad quotes"))?;
    if words.len() < 2 {
        return Err(failed(INVALID_INPUT, format!("invalid txn compare request: {line}")));
    }
    let invalid = |_| failed(INVALID_INPUT, format!("invalid txn request: {line}"));
    let command = Command::new("txn")
        .no_binary_name(true)
        .subcommand_required(true)
        .args_override_self(true)
        .subcommands(keys::commands());
    let matches = command.try_get_matches_from(words).map_err(invalid)?;
    let (verb, matches) = matches.subcommand().expect("clap requires a verb");
    let environment = std::collections::BTreeMap::new();
    let request = keys::request(verb, &Flags::new(matches, &environment), None)?;
    Ok(match verb {
        "get" => json!({"request_range": request}),
        "put" => json!({"request_put": request}),
        _ => json!({"request_delete_range": request}),
    })
}

/// The words of a line, as etcdctl splits it: quoted ones keep their spaces. `None` if what stands
/// between double quotes is no string of Go's.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' => rest[1..].find('\'').map(|end| end + 2),
            '"' => quoted_length(rest),
            _ => rest.find(char::is_whitespace).or(Some(rest.len())),
        };
        // A quote that nothing closes is passed over.
        let Some(length) = length else {
            rest = &rest[1..];
            continue;
        };
        let (word, behind) = rest.split_at(length);
        words.push(match first {
            '\'' => word[1..length - 1].to_string(),
            '"' => String::from_utf8(go::unquote(word)?.0).ok()?,
            _ => word.to_string(),
        });
        rest = behind.trim_start();
    }
    Some(words)
}

/// The length of a string between double quotes, quotes and escapes counted.
fn quoted_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_read_in_three_parts() {
        let text = "mod(\"a\") > \"0\"\nvalue(\"b c\") = \"x\\n\"\n\nput a \"b c\"\nget a --limit 2\n\n\
                    del a --prefix\n\n";
        let message = read(&mut text.as_bytes(), false, &mut Vec::new()).expect("a transaction");
        assert_eq!(
            message["compare"],
            json!([
                {"result": "GREATER", "target": "MOD", "key": "YQ==", "mod_revision": "0"},
                {"result": "EQUAL", "target": "VALUE", "key": "YiBj", "value": "eAo="},
            ])
        );
        assert_eq!(message["success"][0]["request_put"]["value"], "YiBj");
        assert_eq!(message["success"][1]["request_range"]["limit"], "2");
        assert_eq!(message["failure"][0]["request_delete_range"]["range_end"], "Yg==");
    }

    #[test]
    fn broken_lines_are_refused_in_etcdctls_words() {
        let rows = [
            ("foo\n", "Error: malformed comparison: foo\n"),
            (
                "foo(\"a\") = \"1\"\n",
                "Error: malformed comparison: foo(\"a\") = \"1\" (unknown target foo)\n",
            ),
            ("mod(\"a\") > \"x\"\n", "Error: invalid txn compare request: mod(\"a\") > \"x\"\n"),
            ("\nfoo a\n", "Error: invalid txn request: foo a\n"),
            ("\nget\n", "Error: invalid txn compare request: get\n"),
            ("\n", "Error: EOF\n"),
        ];
        for (text, message) in rows {
            let failure = read(&mut text.as_bytes(), false, &mut Vec::new()).expect_err(text);
            assert_eq!(
                (failure.code, failure.message.as_str()),
                (INVALID_INPUT, message),
                "{text}"
            );
        }
    }

    #[test]
    fn quotes_hold_words_together() {
        let words = |line| words(line).expect("good quotes");
        assert_eq!(words("put 'a b' \"c\\td\" e"), ["put", "a b", "c\td", "e"]);
        assert_eq!(words("put a'b  \"c"), ["put", "a'b", "c"]);
    }
}
