//! Where logs go and how they look, as etcd's flags say it.

use std::path::PathBuf;
use std::time::Duration;

use log::LevelFilter;

/// `--log-level`, `--log-format`, `--log-outputs` and the rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What is written.
    pub level: LevelFilter,
    /// How a line looks.
    pub format: Format,
    /// Where lines go; never empty.
    pub outputs: Vec<Output>,
    /// How the one file is kept small, if it is.
    pub rotation: Option<Rotation>,
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object.
    Json,
    /// Fields between tabs, for people.
    Console,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// The standard error stream; under systemd that is the journal.
    Stderr,
    /// The standard output stream.
    Stdout,
    /// The end of this file.
    File(PathBuf),
}

impl Output {
    /// Reads a list of outputs.
    ///
    /// # Errors
    /// `default` is not among others (etcd).
    pub fn parse_list(list: &str) -> Result<Vec<Self>, String> {
        let names: Vec<_> =
            list.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        if names.contains(&"default") && names.len() > 1 {
            return Err("multi logoutput for \"default\" is not supported yet".into());
        }
        let mut outputs: Vec<_> = names.into_iter().map(Self::parse).collect();
        outputs.dedup();
        if outputs.is_empty() { Ok(vec![Self::Stderr]) } else { Ok(outputs) }
    }

    fn parse(name: &str) -> Self {
        match name {
            "default" | "stderr" | "systemd/journal" => Self::Stderr,
            "stdout" => Self::Stdout,
            path => Self::File(PathBuf::from(path)),
        }
    }
}

/// When a file of logs is put aside, and how long it is kept then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// It grows no larger.
    pub bytes_max: u64,
    /// So many are kept; none is all.
    pub kept_max: Option<usize>,
    /// Older ones go; none is never.
    pub age_max: Option<Duration>,
}

impl Rotation {
    /// Reads `--log-rotation-config-json`: sizes in megabytes, ages in days.
    ///
    /// # Errors
    /// What it does not know, and what is not done here.
    pub fn parse(json: &str) -> Result<Self, String> {
        const FLAG: &str = "--log-rotation-config-json";
        let fields: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(json).map_err(|error| format!("{FLAG}: {error}"))?;
        let (mut megabytes, mut kept, mut days) = (100, 0, 0);
        for (name, value) in &fields {
            let number = value.as_u64().ok_or_else(|| format!("{FLAG}: {name} is no number"));
            match name.as_str() {
                "maxsize" => megabytes = number?,
                "maxbackups" => kept = number?,
                "maxage" => days = number?,
                "localtime" | "compress" if value == &serde_json::Value::Bool(false) => {}
                "localtime" => return Err(format!("{FLAG}: names of files are in UTC")),
                "compress" => return Err(format!("{FLAG}: files are not compressed")),
                _ => return Err(format!("{FLAG}: unknown field {name:?}")),
            }
        }
        let megabytes = if megabytes == 0 { 100 } else { megabytes };
        Ok(Self {
            bytes_max: megabytes.saturating_mul(1 << 20),
            kept_max: (kept > 0).then(|| usize::try_from(kept).unwrap_or(usize::MAX)),
            age_max: (days > 0).then(|| Duration::from_secs(days.saturating_mul(24 * 60 * 60))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_streams_and_files() {
        let file = |path: &str| Output::File(path.into());
        assert_eq!(Output::parse_list("default"), Ok(vec![Output::Stderr]));
        assert_eq!(Output::parse_list(""), Ok(vec![Output::Stderr]));
        assert_eq!(
            Output::parse_list("stdout, /a/b,stderr"),
            Ok(vec![Output::Stdout, file("/a/b"), Output::Stderr])
        );
        assert!(Output::parse_list("default,/a").is_err());
    }

    #[test]
    fn a_rotation_is_read_from_json() {
        let json = r#"{"maxsize": 2, "maxage": 1, "maxbackups": 3, "localtime": false}"#;
        let rotation = Rotation {
            bytes_max: 2 << 20,
            kept_max: Some(3),
            age_max: Some(Duration::from_secs(86_400)),
        };
        assert_eq!(Rotation::parse(json), Ok(rotation));
        let all = Rotation { bytes_max: 100 << 20, kept_max: None, age_max: None };
        assert_eq!(Rotation::parse("{}"), Ok(all));
        for bad in ["", "[]", r#"{"maxsize": -1}"#, r#"{"compress": true}"#, r#"{"nonsense": 1}"#] {
            assert!(Rotation::parse(bad).is_err(), "{bad}");
        }
    }
}
