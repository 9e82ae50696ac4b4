//! Logs: lines of JSON with the keys that etcd's operators already parse, or lines for people
//! (where `->` is a tab).
//!
//! ```text
//! {"level":"info","ts":"2026-01-02T03:04:05.678Z","msg":"serving","address":"127.0.0.1:2379"}
//! 2026-01-02T03:04:05.678Z -> info -> serving -> {"address":"127.0.0.1:2379"}
//! ```

mod settings;
mod sink;

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, LevelFilter, Log, Metadata, Record};

pub use settings::{Format, Output, Rotation, Settings};
use sink::Sink;

struct Logger {
    format: Format,
    sinks: Mutex<Vec<Sink>>,
}

/// Sends all logs where the flags say, and lets a panic end the process with a line there: a
/// broken invariant must not leave half a member running.
///
/// # Errors
/// A file cannot be opened.
pub fn start(settings: &Settings) -> Result<(), String> {
    let open = |output| Sink::open(output, settings.rotation.as_ref());
    let sinks = settings.outputs.iter().map(open).collect::<Result<_, _>>()?;
    let logger = Logger { format: settings.format, sinks: Mutex::new(sinks) };
    if log::set_boxed_logger(Box::new(logger)).is_ok() {
        log::set_max_level(settings.level);
        std::panic::set_hook(Box::new(|panic| {
            log::error!("panic: {panic}");
            std::process::abort();
        }));
    }
    Ok(())
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

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = line(self.format, record, SystemTime::now());
            let mut sinks = self.sinks.lock().unwrap_or_else(PoisonError::into_inner);
            sinks.iter_mut().for_each(|sink| sink.write(line.as_bytes()));
        }
    }

    fn flush(&self) {}
}

fn line(format: Format, record: &Record<'_>, now: SystemTime) -> String {
    let level = match record.level() {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug | Level::Trace => "debug",
    };
    let time = humantime::format_rfc3339_millis(now);
    let mut fields = Fields(String::new());
    if record.key_values().visit(&mut fields).is_err() {
        fields.add("fields", &serde_json::Value::from("lost"));
    }
    let fields = fields.0;
    match format {
        Format::Json => {
            let message = serde_json::Value::from(record.args().to_string());
            format!("{{\"level\":\"{level}\",\"ts\":\"{time}\",\"msg\":{message}{fields}}}\n")
        }
        Format::Console => {
            let message = record.args().to_string().replace('\n', "\\n");
            match fields.strip_prefix(',') {
                Some(fields) => format!("{time}\t{level}\t{message}\t{{{fields}}}\n"),
                None => format!("{time}\t{level}\t{message}\n"),
            }
        }
    }
}

/// Each with a comma before it.
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
            line(Format::Json, &record, UNIX_EPOCH + Duration::from_millis(1_001)),
            concat!(
                r#"{"level":"warn","ts":"1970-01-01T00:00:01.001Z","msg":"two\nlines","#,
                r#""address":"a\"b","count":3}"#,
                "\n"
            )
        );
        assert_eq!(
            line(Format::Console, &record, UNIX_EPOCH),
            "1970-01-01T00:00:00.000Z\twarn\ttwo\\nlines\t{\"address\":\"a\\\"b\",\"count\":3}\n"
        );
    }
}
