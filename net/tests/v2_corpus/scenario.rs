//! One scenario: its steps, the variables they use, and the comparison with what was answered.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use quorra_net::http::{Headers, Method, Request};

use crate::json::Json;
use crate::server::{Answer, RequestNumber, Server, Target};

const SECOND: i64 = 1_000_000_000;
/// Fields whose texts are relative to the base index.
const INDEX_FIELDS: [&str; 3] = ["createdIndex", "modifiedIndex", "index"];

pub(crate) struct Scenario {
    steps: Vec<Json>,
}

/// How many steps were replayed, and what differed.
pub(crate) struct Outcome {
    pub(crate) steps: usize,
    pub(crate) wrong: Vec<String>,
}

/// A replay under way.
struct Replay<'a, S> {
    server: &'a mut S,
    base: i64,
    variables: BTreeMap<String, String>,
    /// Fields that were saved: texts stand for their numbers.
    counters: Vec<String>,
    pending: BTreeMap<String, (RequestNumber, usize)>,
    wrong: Vec<String>,
    label: String,
}

/// The one expression by which the corpus saves a part of a text: a discovery token.
const TOKEN: &str = "re:/([0-9a-f]{32})$";

impl Scenario {
    pub(crate) fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let parse = |line: &str| Json::parse(line.as_bytes()).expect("a step is JSON");
        Self { steps: lines.map(parse).collect() }
    }

    /// What its first step says of the whole scenario.
    pub(crate) fn label(&self, field: &str) -> Option<&Json> {
        self.steps.first().and_then(|step| step.field(field))
    }

    /// Replays all steps, with keys below a directory that nobody else uses.
    pub(crate) fn replay(&self, server: &mut impl Server, directory: &str) -> Outcome {
        let mut replay = Replay::new(server, directory);
        let has_keys = self.label("needs_base") != Some(&Json::Bool(false));
        if has_keys {
            replay.discover();
            replay.rebase("{}");
        }
        for step in &self.steps {
            replay.step(step);
        }
        if has_keys {
            // What is left may expire, and take an index, while others are replayed.
            let path = format!("/v2/keys{directory}?recursive=true");
            replay.ask_now(&format!(r#"{{"method":"DELETE","path":"{path}"}}"#));
        }
        Outcome { steps: self.steps.len(), wrong: replay.wrong }
    }
}

impl<'a, S: Server> Replay<'a, S> {
    fn new(server: &'a mut S, directory: &str) -> Self {
        let known = [("p", directory), ("unused_peer", "http://127.0.0.1:21990")];
        Self {
            server,
            base: 0,
            variables: known.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            counters: Vec::new(),
            pending: BTreeMap::new(),
            wrong: Vec::new(),
            label: "preparation".to_owned(),
        }
    }

    /// What expectations may say about the cluster.
    fn discover(&mut self) {
        let answer = self.get("/v2/members");
        let cluster = answer.header("X-Etcd-Cluster-Id").expect("members tell their cluster");
        let members = Json::parse(&answer.body).expect("members are JSON");
        let members = members.field("members").map(Json::items).unwrap_or_default();
        let url = |member: &Json, kind: &str| {
            member.at(&format!("/{kind}/0")).and_then(Json::text).unwrap_or_default().to_owned()
        };
        let first = members.first().expect("there is a member");
        let text = |field: &str| first.field(field).and_then(Json::text).unwrap_or_default();
        let mut machines: Vec<String> = members.iter().map(|it| url(it, "clientURLs")).collect();
        machines.sort();
        for (name, value) in [
            ("cid", cluster),
            ("mid", text("id").to_owned()),
            ("mname", text("name").to_owned()),
            ("mpeer", url(first, "peerURLs")),
            ("mclient", url(first, "clientURLs")),
            ("machines", machines.join(", ")),
        ] {
            self.variables.insert(name.to_owned(), value);
        }
        let answer = self.get("/v2/members/leader");
        let Ok(leader) = Json::parse(&answer.body) else { return };
        for (name, leads) in [("leader_url", true), ("follower_url", false)] {
            let mut members = members.iter();
            let found = members.find(|it| (it.field("id") == leader.field("id")) == leads);
            let url = found.map(|member| url(member, "clientURLs")).unwrap_or_default();
            self.variables.insert(name.to_owned(), url);
        }
    }

    /// Reads the base index anew, with these header fields.
    fn rebase(&mut self, headers: &str) {
        let step = format!(r#"{{"method":"GET","path":"/v2/keys/","headers":{headers}}}"#);
        let answer = self.ask_now(&step);
        let base = answer.header("X-Etcd-Index").expect("keys tell the index");
        self.base = base.parse().expect("an index is a number");
    }

    fn get(&mut self, path: &str) -> Answer {
        self.ask_now(&format!(r#"{{"method":"GET","path":"{path}"}}"#))
    }

    /// Asks the server behind the one under test, and waits for its whole answer.
    fn ask_now(&mut self, step: &str) -> Answer {
        let step = Json::parse(step.as_bytes()).expect("it is JSON");
        let request = self.request(&step);
        let number = self.server.ask(Target::Direct, &request);
        self.server.finish(number);
        self.server.take(number)
    }

    fn step(&mut self, step: &Json) {
        let part = |name| step.field(name).and_then(Json::text).unwrap_or_default();
        self.label = format!("step {} {} {}", part("step"), part("method"), part("path"));
        if let Some(milliseconds) = step.field("sleep_ms").and_then(Json::integer) {
            self.server.pass(u64::try_from(milliseconds).expect("time passes forwards"));
        }
        if step.field("rebase").is_some() {
            let headers = step.field("rebase_headers").map(Json::wire);
            self.rebase(headers.as_deref().unwrap_or("{}"));
        }
        let Some(expected) = step.field("expect") else { return };
        if let Some(name) = step.field("await").and_then(Json::text) {
            self.await_lines(name, step, expected);
            return;
        }
        let request = self.request(step);
        let target = part("target");
        let url = self.variables.get(target).cloned();
        let number = match (target, &url) {
            ("direct", _) => self.server.ask(Target::Direct, &request),
            (_, Some(url)) => self.server.ask(Target::At(url), &request),
            _ => self.server.ask(Target::Main, &request),
        };
        if let Some(name) = step.field("async").and_then(Json::text) {
            self.pending.insert(name.to_owned(), (number, 0));
            return self.begin_stream(number, step, expected);
        }
        if !self.server.finish(number) {
            self.fail("the answer does not end");
        }
        let answer = self.server.take(number);
        self.check_head(expected, &answer);
        self.check_body(step, expected, &answer.body);
    }

    /// A stream's head is there before its first event, but for proxies.
    fn begin_stream(&mut self, number: RequestNumber, step: &Json, expected: &Json) {
        if step.field("early_headers") == Some(&Json::Bool(false)) {
            self.server.pass(700);
            if self.server.answer(number).begun {
                self.fail("the head arrived before any event");
            }
            return;
        }
        self.server.settle(number);
        let answer = self.server.answer(number).clone();
        self.check_head(expected, &answer);
    }

    fn check_body(&mut self, step: &Json, expected: &Json, body: &[u8]) {
        if let Some(expected) = expected.field("body") {
            self.compare_body(step, "", expected, body);
        }
        for part in expected.field("contains").map(Json::items).unwrap_or_default() {
            let part = self.expand(part.text().expect("a part is text"));
            if !String::from_utf8_lossy(body).contains(&part) {
                self.fail(&format!("the body does not contain {part:?}"));
            }
        }
        for (name, pointer) in step.field("save").map(Json::fields).unwrap_or_default() {
            let pointer = pointer.text().expect("a pointer is text");
            if pointer == TOKEN {
                let text = str::from_utf8(body).expect("a token's URL is text");
                let (_, token) = text.rsplit_once('/').expect("a token follows a slash");
                self.variables.insert(name.clone(), token.to_owned());
                continue;
            }
            let body = Json::parse(body).expect("what is saved is JSON");
            let value = body.at(pointer).expect("what is saved is there");
            let text = value.text().map_or_else(|| value.wire(), str::to_owned);
            self.variables.insert(name.clone(), text);
            self.counters.push(last_part(pointer).to_owned());
        }
    }

    fn await_lines(&mut self, name: &str, step: &Json, expected: &Json) {
        let (number, taken) = self.pending[name];
        let lines = expected.field("lines").map(Json::items).unwrap_or_default();
        let ends = expected.field("eof") == Some(&Json::Bool(true));
        for _ in 0..10_000 {
            let answer = self.server.answer(number);
            let found = lines_of(&answer.body).len() - taken;
            if found >= lines.len() && (!ends || answer.ended) {
                break;
            }
            self.server.pass(1);
        }
        if !ends {
            self.server.pass(300);
        }
        let answer = self.server.answer(number).clone();
        if expected.field("status").is_some() {
            self.check_head(expected, &answer);
        }
        let found: Vec<Vec<u8>> =
            lines_of(&answer.body).into_iter().skip(taken).map(<[u8]>::to_vec).collect();
        if answer.ended != ends {
            self.fail("the stream ends when it should not, or does not");
        }
        if found.len() != lines.len() {
            self.fail(&format!("{} events instead of {}", found.len(), lines.len()));
        }
        for (place, (line, found)) in lines.iter().zip(&found).enumerate() {
            self.compare_body(step, &format!("/{place}"), line, found);
        }
        self.pending.insert(name.to_owned(), (number, taken + found.len()));
    }

    fn request(&self, step: &Json) -> Request {
        let part = |name| step.field(name).and_then(Json::text).unwrap_or_default();
        let target = self.expand(part("path"));
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(Bytes::copy_from_slice(query.as_bytes()))),
            None => (target.as_str(), None),
        };
        let mut headers = Headers::default();
        for (name, value) in step.field("headers").map(Json::fields).unwrap_or_default() {
            let value = self.expand(value.text().unwrap_or_default());
            assert!(headers.push(name.as_bytes(), value.as_bytes()), "a field is short");
        }
        Request {
            method: Method::of(part("method").as_bytes()),
            path: Bytes::copy_from_slice(path.as_bytes()),
            query,
            headers,
            body: self.request_body(step),
            oversized: false,
            secure: false,
            rpc: false,
        }
    }

    fn request_body(&self, step: &Json) -> Bytes {
        let encoded = step.at("/body/base64").and_then(Json::text);
        match encoded {
            Some(text) => BASE64.decode(text).expect("it is base64").into(),
            None => {
                let text = step.field("body").and_then(Json::text).unwrap_or_default();
                self.expand(text).into()
            }
        }
    }

    fn check_head(&mut self, expected: &Json, answer: &Answer) {
        let status = expected.field("status").and_then(Json::integer);
        if status != Some(i64::from(answer.status)) {
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            self.fail(&format!("status {} instead of {status:?}: {body}", answer.status));
        }
        for (name, value) in expected.field("headers").map(Json::fields).unwrap_or_default() {
            let found = answer.header(name);
            let right = match (value.text(), &found) {
                (None, found) => found.is_none(),
                (Some(_), None) => false,
                (Some("*uint"), Some(found)) => found.parse::<u64>().is_ok(),
                (Some(text), Some(found)) => {
                    let relative = (name == "X-Etcd-Index").then(|| self.relative(text)).flatten();
                    relative.map_or_else(|| self.expand(text), |index| index.to_string()) == *found
                }
            };
            if !right {
                self.fail(&format!("header {name}: {found:?} instead of {}", value.wire()));
            }
        }
    }

    fn compare_body(&mut self, step: &Json, pointer: &str, expected: &Json, body: &[u8]) {
        let encoding = step.field("encoding").and_then(Json::text).unwrap_or_default();
        if encoding == "text" {
            let expected = self.expand(expected.text().unwrap_or_default());
            if expected.as_bytes() != body {
                let body = String::from_utf8_lossy(body).into_owned();
                self.fail(&format!("{body:?} instead of {expected:?}"));
            }
            return;
        }
        let found = match Json::parse(body) {
            Ok(found) => found,
            Err(error) => return self.fail(&format!("the body is no JSON: {error}")),
        };
        self.compare(step, pointer, expected, &found);
        let end = if encoding == "json+nl" { "\n" } else { "" };
        if encoding != "json-any" && format!("{}{end}", found.wire()).as_bytes() != body {
            self.fail(&format!("not etcd's way to write {:?}", String::from_utf8_lossy(body)));
        }
    }

    fn compare(&mut self, step: &Json, pointer: &str, expected: &Json, found: &Json) {
        let listed = |list: &str| step.field(list).map(Json::items).unwrap_or_default();
        let is_in = |list: &str, pointer: &str| {
            listed(list).iter().any(|entry| entry.text() == Some(pointer))
        };
        let matcher = step.field("match").and_then(|matchers| matchers.field(pointer));
        if let Some(kind) = matcher.and_then(Json::text) {
            if !self.matches(kind, found) {
                self.fail(&format!("{pointer}: {} is not {kind}", found.wire()));
            }
            return;
        }
        if is_in("volatile", pointer) {
            return;
        }
        match (expected, found) {
            (Json::Object(expected), Json::Object(found)) => {
                let optional = |name: &str| is_in("optional", &format!("{pointer}/{name}"));
                let order: Vec<&String> = found.iter().map(|(name, _)| name).collect();
                let wanted: Vec<String> = expected
                    .iter()
                    .map(|(name, _)| self.expand(name))
                    .filter(|name| order.contains(&name) || !optional(name))
                    .collect();
                let order: Vec<&String> =
                    order.into_iter().filter(|n| wanted.contains(n) || !optional(n)).collect();
                let (mut order, mut wanted) = (order, wanted);
                if is_in("any_field_order", pointer) {
                    order.sort();
                    wanted.sort();
                }
                if order != wanted.iter().collect::<Vec<_>>() {
                    self.fail(&format!("{pointer}: fields {order:?} instead of {wanted:?}"));
                }
                for (name, expected) in expected {
                    let name = self.expand(name);
                    if let Some((_, found)) = found.iter().find(|(field, _)| *field == name) {
                        self.compare(step, &format!("{pointer}/{name}"), expected, found);
                    }
                }
            }
            (Json::List(expected), Json::List(found)) if expected.len() == found.len() => {
                let (mut expected, mut found) = (expected.clone(), found.clone());
                if is_in("unordered", pointer) {
                    expected.sort_by_key(|item| self.expand(&sort_key(item)));
                    found.sort_by_key(sort_key);
                }
                for (place, (expected, found)) in expected.iter().zip(&found).enumerate() {
                    self.compare(step, &format!("{pointer}/{place}"), expected, found);
                }
            }
            (Json::Text(text), found) => {
                let expected = self.expected_scalar(last_part(pointer), text);
                if expected != *found {
                    let (expected, found) = (expected.wire(), found.wire());
                    self.fail(&format!("{pointer}: {found} instead of {expected}"));
                }
            }
            (expected, found) if expected == found => {}
            (expected, found) => {
                self.fail(&format!("{pointer}: {} instead of {}", found.wire(), expected.wire()));
            }
        }
    }

    /// Texts stand for indices in some fields, and for saved numbers in others.
    fn expected_scalar(&self, field: &str, text: &str) -> Json {
        if INDEX_FIELDS.contains(&field)
            && let Some(index) = self.relative(text)
        {
            return Json::Number(index.into());
        }
        let text = self.expand(text);
        match text.parse::<i64>() {
            Ok(number) if self.counters.iter().any(|counter| counter == field) => {
                Json::Number(number.into())
            }
            _ => Json::Text(text),
        }
    }

    fn matches(&self, kind: &str, found: &Json) -> bool {
        let (kind, range) = kind.split_once(':').unwrap_or((kind, ""));
        let bounds = range
            .split_once("..")
            .and_then(|(low, high)| Some(low.parse::<i64>().ok()?..=high.parse::<i64>().ok()?));
        match kind {
            "time" => {
                let now = self.server.wall();
                let time = found.text().and_then(nanoseconds);
                let left = time.map(|time| (time - now).div_euclid(SECOND));
                left.zip(bounds).is_some_and(|(left, bounds)| bounds.contains(&left))
            }
            "int" => {
                found.integer().zip(bounds).is_some_and(|(value, bounds)| bounds.contains(&value))
            }
            "uint" => found.integer().is_some_and(|value| value >= 0),
            "string" => found.text().is_some(),
            "array" => matches!(found, Json::List(_)),
            "object" => matches!(found, Json::Object(_)),
            "hexid" => found.text().is_some_and(|text| u64::from_str_radix(text, 16).is_ok()),
            "semver" => found.text().is_some_and(|text| {
                let parts: Vec<&str> = text.split('.').collect();
                parts.len() == 3 && parts.iter().all(|part| part.parse::<u32>().is_ok())
            }),
            // The corpus' expressions are beginnings.
            "re" => {
                let start = range.strip_prefix('^').expect("no other expression is there");
                found.text().is_some_and(|text| text.starts_with(start))
            }
            "localtime" => found.text().and_then(nanoseconds).is_some(),
            "duration" => found.text().is_some_and(|text| text.ends_with('s')),
            other => panic!("the matcher {other} is used by other areas only"),
        }
    }

    /// `+3` is three behind the base.
    fn relative(&self, text: &str) -> Option<i64> {
        let signed = text.starts_with(['+', '-']);
        text.parse::<i64>().ok().filter(|_| signed).map(|offset| self.base + offset)
    }

    /// Puts values in the place of `{{name}}`, `{{name+2}}`, `{{+3}}` and `{{+3:020}}`.
    fn expand(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((plain, behind)) = rest.split_once("{{") {
            let (name, behind) = behind.split_once("}}").expect("a template is closed");
            out.push_str(plain);
            out.push_str(&self.value(name));
            rest = behind;
        }
        out + rest
    }

    fn value(&self, name: &str) -> String {
        let (name, width) = name.split_once(':').unwrap_or((name, "0"));
        if let Some(index) = self.relative(name) {
            let width: usize = width.trim_start_matches('0').parse().unwrap_or(0);
            return format!("{index:0width$}");
        }
        if let Some(value) = self.variables.get(name) {
            return value.clone();
        }
        let (name, offset) = name.split_once('+').expect("a variable is known");
        let value: i64 = self.variables[name].parse().expect("only numbers are added to");
        (value + offset.parse::<i64>().expect("an offset is a number")).to_string()
    }

    fn fail(&mut self, what: &str) {
        self.wrong.push(format!("{}: {what}", self.label));
    }
}

fn last_part(pointer: &str) -> &str {
    pointer.rsplit('/').next().unwrap_or_default()
}

fn sort_key(item: &Json) -> String {
    item.field("key").and_then(Json::text).or_else(|| item.text()).unwrap_or_default().to_owned()
}

/// The lines of a streamed body, each with its end.
fn lines_of(body: &[u8]) -> Vec<&[u8]> {
    body.split_inclusive(|byte| *byte == b'\n').collect()
}

/// RFC 3339 in UTC with a trimmed fraction, as nanoseconds since 1970.
fn nanoseconds(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z')?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if text.contains('.') && fraction.ends_with('0') {
        return None;
    }
    let mut parts = whole.split(['-', 'T', ':']).map(|part| part.parse::<i64>().ok());
    let mut part = || parts.next().flatten();
    let (year, month, day) = (part()?, part()?, part()?);
    let (hour, minute, second) = (part()?, part()?, part()?);
    let days: i64 = (1970..year).map(|year| 365 + i64::from(leaps(year))).sum();
    let lengths = [31, 28 + i64::from(leaps(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let months: i64 = lengths.iter().take(usize::try_from(month - 1).ok()?).sum();
    let seconds = ((days + months + day - 1) * 24 + hour) * 3600 + minute * 60 + second;
    let fraction = format!("{fraction:0<9}").parse::<i64>().ok()?;
    seconds.checked_mul(SECOND)?.checked_add(fraction)
}

fn leaps(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}
