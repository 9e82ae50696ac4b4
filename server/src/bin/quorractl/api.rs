//! Which of etcd's two APIs a verb speaks.

/// An API version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    /// `/v2/keys` and what stands beside it.
    V2,
    /// The gateway below `/v3/`.
    V3,
}

impl Api {
    /// Reads `--api` or `ETCDCTL_API`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "2" => Ok(Self::V2),
            "3" => Ok(Self::V3),
            _ => Err(format!("unsupported API version {text}")),
        }
    }

    /// The API for the verbs that both have: the command line's, the environment's, or 3 as in
    /// etcdctl 3.4. Read before the rest of the command line, whose verbs depend on it.
    pub(crate) fn of(arguments: &[String], environment: Option<&str>) -> Result<Self, String> {
        let mut arguments = arguments.iter().take_while(|argument| *argument != "--");
        let flag = arguments.find_map(|argument| argument.strip_prefix("--api"));
        let text = match flag {
            Some("") => arguments.next().map(String::as_str),
            Some(value) if value.starts_with('=') => Some(&value[1..]),
            _ => environment.filter(|text| !text.is_empty()),
        };
        text.map_or(Ok(Self::V3), Self::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_goes_before_the_environment_and_three_is_the_default() {
        let of = |arguments: &[&str], environment| {
            let arguments: Vec<_> = arguments.iter().map(|text| (*text).to_string()).collect();
            Api::of(&arguments, environment)
        };
        assert_eq!(of(&["get", "a"], None), Ok(Api::V3));
        assert_eq!(of(&["get", "a"], Some("")), Ok(Api::V3));
        assert_eq!(of(&["get", "a"], Some("2")), Ok(Api::V2));
        assert_eq!(of(&["--api", "3", "get"], Some("2")), Ok(Api::V3));
        assert_eq!(of(&["get", "--api=2"], None), Ok(Api::V2));
        assert_eq!(of(&["get", "--", "--api=2"], None), Ok(Api::V3));
        assert_eq!(of(&["get"], Some("4")), Err("unsupported API version 4".into()));
    }
}
