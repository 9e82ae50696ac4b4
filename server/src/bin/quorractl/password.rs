//! Passwords: behind a colon, or asked for without showing what is typed.

use std::io::{self, IsTerminal, Write};

use crate::failure::Failure;

/// A name and a password from `NAME[:PASSWORD]`; the prompt asks for one that is missing.
pub(crate) fn credentials(
    text: &str,
    prompt: &str,
    out: &mut dyn Write,
) -> Result<(String, String), Failure> {
    match text.split_once(':') {
        Some((name, password)) => Ok((name.to_string(), password.to_string())),
        None => Ok((text.to_string(), ask(prompt, out)?)),
    }
}

/// Asks for a password. Without a terminal it is the next line of the input, empty if there is none.
pub(crate) fn ask(prompt: &str, out: &mut dyn Write) -> Result<String, Failure> {
    write!(out, "{prompt}")?;
    out.flush()?;
    let read = match io::stdin().is_terminal() {
        true => rpassword::read_password(),
        false => line(),
    };
    if !io::stdin().is_terminal() {
        writeln!(out)?;
    }
    read.map_err(|error| Failure::new(1, format!("Error reading password: {error}")))
}

fn line() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\n', '\r']).to_string())
}
