//! One place that lines go to: a stream, or a file that may be put aside when it has grown.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::settings::{Output, Rotation};

/// An open output.
pub(super) enum Sink {
    Stderr,
    Stdout,
    File(LogFile),
}

/// A file that grows, with those that were put aside before it beside it.
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    rotation: Option<Rotation>,
}

impl Sink {
    /// Opens it. The error is the operator's to read.
    pub(super) fn open(output: &Output, rotation: Option<&Rotation>) -> Result<Self, String> {
        match output {
            Output::Stderr => Ok(Self::Stderr),
            Output::Stdout => Ok(Self::Stdout),
            Output::File(path) => LogFile::open(path, rotation)
                .map(Self::File)
                .map_err(|error| format!("cannot open the log file {}: {error}", path.display())),
        }
    }

    /// Writes a line. Nobody is left to tell when that fails.
    pub(super) fn write(&mut self, line: &[u8]) {
        let _gone = match self {
            Self::Stderr => io::stderr().lock().write_all(line),
            Self::Stdout => io::stdout().lock().write_all(line),
            Self::File(file) => file.write(line),
        };
    }
}

impl LogFile {
    fn open(path: &Path, rotation: Option<&Rotation>) -> io::Result<Self> {
        let file = append_to(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path: path.to_path_buf(), file, bytes, rotation: rotation.cloned() })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let grown = self.bytes + line.len() as u64;
        let full = self.rotation.as_ref().is_some_and(|rotation| grown > rotation.bytes_max);
        if full && self.bytes > 0 {
            self.put_aside(SystemTime::now())?;
        }
        self.bytes += line.len() as u64;
        self.file.write_all(line)
    }

    /// Gives the file a name with the time in it, and begins a new one. If the name cannot be
    /// given, the file grows on.
    fn put_aside(&mut self, now: SystemTime) -> io::Result<()> {
        let (stem, extension) = self.name();
        let time = humantime::format_rfc3339_millis(now).to_string();
        let time = time.trim_end_matches('Z').replace(':', "-");
        fs::rename(&self.path, self.path.with_file_name(format!("{stem}-{time}{extension}")))?;
        self.file = append_to(&self.path)?;
        self.bytes = 0;
        self.remove_old(now)
    }

    /// What stands before and behind the time in the names of files that were put aside.
    fn name(&self) -> (String, String) {
        let part = |part: Option<&std::ffi::OsStr>| {
            part.unwrap_or_default().to_string_lossy().into_owned()
        };
        let extension = match part(self.path.extension()) {
            none if none.is_empty() => String::new(),
            extension => format!(".{extension}"),
        };
        (part(self.path.file_stem()), extension)
    }

    fn remove_old(&self, now: SystemTime) -> io::Result<()> {
        let Some(rotation) = &self.rotation else { return Ok(()) };
        let mut aside = self.aside()?;
        // The time in their names orders them.
        aside.sort();
        aside.reverse();
        for (place, path) in aside.iter().enumerate() {
            let modified = fs::metadata(path).and_then(|data| data.modified());
            let age = modified.ok().and_then(|time| now.duration_since(time).ok());
            let too_old = age.zip(rotation.age_max).is_some_and(|(age, most)| age > most);
            if too_old || rotation.kept_max.is_some_and(|most| place >= most) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// The files that were put aside.
    fn aside(&self) -> io::Result<Vec<PathBuf>> {
        let (stem, extension) = self.name();
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let mut found = Vec::new();
        for entry in fs::read_dir(directory.unwrap_or_else(|| Path::new(".")))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let time = name
                .strip_prefix(&format!("{stem}-"))
                .and_then(|rest| rest.strip_suffix(&extension));
            if time.is_some_and(is_time) {
                found.push(self.path.with_file_name(name));
            }
        }
        Ok(found)
    }
}

/// Whether it looks like `2026-01-02T03-04-05.678`.
fn is_time(text: &str) -> bool {
    const SHAPE: &[u8] = b"0000-00-00T00-00-00.000";
    text.len() == SHAPE.len()
        && text.bytes().zip(SHAPE).all(|(byte, shape)| match shape {
            b'0' => byte.is_ascii_digit(),
            other => byte == *other,
        })
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::data_dir::tests::Scratch;

    #[test]
    fn a_full_file_is_put_aside_and_only_the_newest_are_kept() {
        let scratch = Scratch::new("log-rotation");
        fs::create_dir_all(&scratch.0).expect("a directory");
        let path = scratch.0.join("member.log");
        fs::write(scratch.0.join("member-other.log"), "").expect("a file that is not ours");
        let rotation = Rotation { bytes_max: 8, kept_max: Some(2), age_max: None };
        let mut log = LogFile::open(&path, Some(&rotation)).expect("it opens");
        for second in 1..=4 {
            log.write(b"12345678").expect("a whole line fits");
            log.put_aside(UNIX_EPOCH + Duration::from_secs(second)).expect("it moves");
        }
        log.write(b"a line that is longer").expect("no line is lost");
        let mut names: Vec<_> = fs::read_dir(&scratch.0)
            .expect("it is there")
            .map(|entry| entry.expect("a name").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        assert_eq!(
            names,
            [
                "member-1970-01-01T00-00-03.000.log",
                "member-1970-01-01T00-00-04.000.log",
                "member-other.log",
                "member.log"
            ]
        );
        assert_eq!(fs::read(&path).expect("it is there"), b"a line that is longer");
    }
}
