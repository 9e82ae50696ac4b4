//! How a recorded answer is compared with one that came (the corpus' README, placeholders).

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Fields that later releases have added: extra, never wrong.
const ADDED_LATER: [&str; 4] = ["hash_revision", "storageVersion", "dbSizeQuota", "downgradeInfo"];

/// What earlier answers told, by name.
pub(crate) type Captured = BTreeMap<String, String>;

/// A request with its placeholders resolved.
pub(crate) fn expanded(value: &Value, start: i64, captured: &Captured) -> Value {
    let inner = |value: &Value| expanded(value, start, captured);
    match value {
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), inner(value))).collect()
        }
        Value::Array(items) => items.iter().map(inner).collect(),
        Value::String(text) => {
            let name = text.strip_prefix("${").and_then(|text| text.strip_suffix('}'));
            match name.and_then(|name| captured.get(name)) {
                Some(known) => Value::String(known.clone()),
                None => Value::String(expanded_text(text, start)),
            }
        }
        other => other.clone(),
    }
}

fn expanded_text(text: &str, start: i64) -> String {
    if let Some(offset) = offset(text) {
        return (start + offset).to_string();
    }
    let repeated = text.strip_prefix("$rep:").and_then(|rest| rest.split_once(':'));
    match repeated {
        Some((character, count)) => {
            STANDARD.encode(character.repeat(count.parse().expect("a count is a number")))
        }
        None => text.to_owned(),
    }
}

/// `@+N`: a revision relative to the scenario's start.
fn offset(text: &str) -> Option<i64> {
    text.strip_prefix('@')?.parse().ok()
}

/// What differs in an answer to a step, whose lists of members may be told in any order.
pub(crate) fn in_any_order(step: &Value, found: &Value, start: i64) -> Vec<String> {
    let mut expected = step["expect"].clone();
    let mut wrong = differences(&expected, found, start);
    if step.get("unordered").is_none() {
        return wrong;
    }
    let members = expected.pointer("/response/members").and_then(Value::as_array);
    for _ in 1..members.map_or(0, Vec::len) {
        if let Some(Value::Array(members)) = expected.pointer_mut("/response/members") {
            members.rotate_left(1);
        }
        let other = differences(&expected, found, start);
        wrong = if other.len() < wrong.len() { other } else { wrong };
    }
    wrong
}

/// What differs, with the place where it does.
pub(crate) fn differences(expected: &Value, found: &Value, start: i64) -> Vec<String> {
    let mut differences = Vec::new();
    compare(expected, found, start, "$", &mut differences);
    differences
}

fn compare(expected: &Value, found: &Value, start: i64, at: &str, wrong: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(fields), Value::Object(others)) => {
            for (name, value) in fields {
                match others.get(name) {
                    Some(other) => compare(value, other, start, &format!("{at}.{name}"), wrong),
                    None if value == "?" => {}
                    None => wrong.push(format!("{at}.{name} is missing")),
                }
            }
            let extra = others.keys().filter(|name| !fields.contains_key(*name));
            let extra = extra.filter(|name| !ADDED_LATER.contains(&name.as_str()));
            wrong.extend(extra.map(|name| format!("{at}.{name} is unexpected")));
        }
        (Value::Array(items), Value::Array(others)) if items.len() == others.len() => {
            for (index, (item, other)) in items.iter().zip(others).enumerate() {
                compare(item, other, start, &format!("{at}[{index}]"), wrong);
            }
        }
        (Value::String(text), _) if matches(text, found, start) => {}
        _ if expected == found => {}
        _ => wrong.push(format!("{at}: expected {}, got {}", short(expected), short(found))),
    }
}

fn matches(text: &str, found: &Value, start: i64) -> bool {
    if matches!(text, "*" | "?") {
        return true;
    }
    if let Some(bounds) = text.strip_prefix('~') {
        let (low, high) = bounds.split_once("..").expect("a range has two ends");
        let number = |text: &str| text.parse::<i64>().ok();
        let found = found.as_i64().or_else(|| found.as_str().and_then(number));
        return found
            .is_some_and(|found| number(low) <= Some(found) && Some(found) <= number(high));
    }
    if let Some(part) = text.strip_prefix("$re:") {
        // The expressions of the scenarios that are replayed are plain texts.
        return found.as_str().is_some_and(|found| found.contains(part));
    }
    found.as_str() == Some(&expanded_text(text, start))
}

fn short(value: &Value) -> String {
    let mut text = value.to_string();
    if text.len() > 300 {
        text.truncate(300);
        text.push_str("...");
    }
    text
}
