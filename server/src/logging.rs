//! Logs: JSON lines on stderr, with the keys that etcd's operators already parse.
//!
//! ```text
//! {"level":"info","ts":"2026-01-02T03:04:05.678Z","msg":"serving","address":"127.0.0.1:2379"}
//! ```

use std::io::Write;
use std::time::SystemTime;

use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, LevelFilter, Log, Metadata, Record};

struct JsonLines;

static JSON_LINES: JsonLines = JsonLines;

/// Sends all logs at `level` or above to stderr, and lets a panic end the process with a line
/// there: a broken invariant must not leave half a member running.
pub fn start(level: LevelFilter) {
    if log::set_logger(&JSON_LINES).is_ok() {
        log::set_max_level(level);
        std::panic::set_hook(Box::new(|panic| {
            log::error!("panic: {panic}");
            std::process::abort();
        }));
    }
}

/// Reads `--log-level` as etcd spells it.
#[must_use]
pub fn level(name: &str) -> Option<LevelFilter> {
    Some(match name {
        "debug" => LevelFilter::Debug,
        "info" => LevelFilter::Info,
        "warn" => LevelFilter::Warn,
        "error" | "dpanic" | "panic" | "fatal" => LevelFilter::Error,
        _ => return None,
    })
}

impl Log for JsonLines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = line(record, SystemTime::now());
            // Nobody is left to tell when stderr is gone.
            let _gone = std::io::stderr().lock().write_all(line.as_bytes());
        }
    }

    fn flush(&self) {}
}

fn line(record: &Record<'_>, now: SystemTime) -> String {
    let level = match record.level() {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug | Level::Trace => "debug",
    };
    let time = humantime::format_rfc3339_millis(now);
    let message = serde_json::Value::from(record.args().to_string());
    let mut fields = Fields(format!(r#"{{"level":"{level}","ts":"{time}","msg":{message}"#));
    if record.key_values().visit(&mut fields).is_err() {
        fields.add("fields", &serde_json::Value::from("lost"));
    }
    fields.0.push_str("}\n");
    fields.0
}

struct Fields(String);

impl Fields {
    fn add(&mut self, key: &str, value: &serde_json::Value) {
        self.0.push_str(&format!(",{}:{value}", serde_json::Value::from(key)));
    }
}

impl<'a> VisitSource<'a> for Fields {
    fn visit_pair(&mut self, key: Key<'a>, value: Value<'a>) -> Result<(), Error> {
        let value = match (value.to_bool(), value.to_u64(), value.to_i64()) {
            (Some(flag), _, _) => flag.into(),
            (_, Some(number), _) => number.into(),
            (_, _, Some(number)) => number.into(),
            _ => value.to_string().into(),
        };
        self.add(key.as_str(), &value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_record_is_one_line_of_json_whatever_it_says() {
        let fields = [("address", Value::from("a\"b")), ("count", Value::from(3))];
        let record = Record::builder()
            .level(Level::Warn)
            .args(format_args!("two\nlines"))
            .key_values(&fields)
            .build();
        assert_eq!(
            line(&record, UNIX_EPOCH + Duration::from_millis(1_001)),
            concat!(
                r#"{"level":"warn","ts":"1970-01-01T00:00:01.001Z","msg":"two\nlines","#,
                r#""address":"a\"b","count":3}"#,
                "\n"
            )
        );
    }
}
