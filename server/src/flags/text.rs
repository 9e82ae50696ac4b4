//! The command line and the environment as text. The system gives bytes, and somebody's variable
//! that is none of ours may hold any.

use std::ffi::OsString;

use super::Refusal;

/// The arguments, each of them as text.
///
/// # Errors
/// One of them is none.
pub fn arguments(given: impl Iterator<Item = OsString>) -> Result<Vec<String>, Refusal> {
    let text = |argument: OsString| {
        argument.into_string().map_err(|argument| Refusal {
            code: 2,
            message: format!("an argument is not valid UTF-8: {argument:?}\n"),
        })
    };
    given.map(text).collect()
}

/// The variables that may be meant for a member, as text.
///
/// # Errors
/// One of them holds none.
pub fn environment(
    given: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String)>, Refusal> {
    let text = |(name, value): (OsString, OsString)| {
        let name = name.into_string().ok().filter(|name| name.starts_with("ETCD_"))?;
        Some(match value.into_string() {
            Ok(value) => Ok((name, value)),
            Err(value) => Err(Refusal::verifying(&format!("{name} is not valid UTF-8: {value:?}"))),
        })
    };
    given.filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn bytes(bytes: &[u8]) -> OsString {
        OsString::from_vec(bytes.to_vec())
    }

    #[test]
    fn an_argument_that_is_no_text_is_refused() {
        let read = |argument: &[u8]| arguments([bytes(argument)].into_iter());
        assert_eq!(read(b"--name=a"), Ok(vec!["--name=a".to_string()]));
        let refusal = read(b"--name=\xff").expect_err("that is no text");
        assert_eq!(refusal.code, 2);
        assert_eq!(refusal.message, "an argument is not valid UTF-8: \"--name=\\xFF\"\n");
    }

    #[test]
    fn only_variables_of_a_members_must_be_text() {
        let read = |name: &[u8], value: &[u8]| {
            environment([(bytes(name), bytes(value))].into_iter()).map(|found| found.len())
        };
        assert_eq!(read(b"ETCD_NAME", b"a"), Ok(1));
        assert_eq!(read(b"OLDPWD", b"/\xff"), Ok(0));
        assert_eq!(read(b"ETCD_\xff", b"a"), Ok(0));
        let refusal = read(b"ETCD_NAME", b"\xff").expect_err("that is no text");
        assert_eq!(refusal.code, 1);
        assert!(refusal.message.contains("ETCD_NAME is not valid UTF-8"), "{}", refusal.message);
    }
}
