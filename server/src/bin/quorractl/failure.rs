//! Why a verb failed: a text for stderr, and the exit code that etcdctl has for it.

use std::io;

/// What a verb comes to; what it found was printed on the way.
pub(crate) type Outcome = Result<(), Failure>;

/// Why a verb failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The process's exit code.
    pub(crate) code: u8,
    /// For stderr, with its line ends; may be empty.
    pub(crate) message: String,
}

impl Failure {
    /// A failure with a text of one line.
    pub(crate) fn new(code: u8, message: impl AsRef<str>) -> Self {
        Self { code, message: format!("{}\n", message.as_ref()) }
    }

    /// What can be wrong with flags and arguments before anything is asked.
    pub(crate) fn usage(message: impl AsRef<str>) -> Self {
        Self::new(1, format!("Error: {}", message.as_ref()))
    }
}

/// Output that nobody reads any more (`quorractl ls | head`) ends the program without a word.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let message = match error.kind() {
            io::ErrorKind::BrokenPipe => String::new(),
            _ => format!("Error: {error}\n"),
        };
        Self { code: 1, message }
    }
}
