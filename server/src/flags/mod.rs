//! The command line and the environment, as etcd reads them.
//!
//! One dash or two, `--flag value` or `--flag=value`, booleans without a value; each flag also as
//! an `ETCD_*` variable, but never both. A `--config-file` stands for all of it (etcd). What cannot be read at all is exit code 2 with the usage;
//! what can be read and makes no sense is exit code 1 with one line.

mod config;
mod file;
mod security;
mod table;
mod text;

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, Command};

pub use config::{Config, Discovery, InitialState, ProxyFlags, ProxyMode, ServiceRecords};
pub use security::Security;
use table::{Flag, Kind, Support};
pub use text::{arguments, environment};

/// What the command line asks for.
#[derive(Debug)]
pub enum Asked {
    /// A member, and what its operator should be warned of.
    Member(Box<Config>, Vec<String>),
    /// Nothing but this text on stdout.
    Text(String),
}

/// Why no member can be started from these flags.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The process's exit code.
    pub code: u8,
    /// For stderr.
    pub message: String,
}

impl Refusal {
    /// A flag that makes no sense.
    fn verifying(reason: &str) -> Self {
        let message = format!("error verifying flags, {reason}. See 'quorra --help'.\n");
        Self { code: 1, message }
    }
}

/// How wide a line of names in the help may be.
const NAMES_WIDTH: usize = 90;

/// The values that somebody gave, by flag; defaults stay out.
type Given = BTreeMap<&'static str, String>;

/// Where the values come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The arguments and the environment.
    CommandLine,
    /// The config file alone.
    File,
}

/// Reads the arguments behind the program's name, and the environment.
pub fn read(
    arguments: Vec<String>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Asked, Refusal> {
    let matches = match command().try_get_matches_from(normalise(arguments)) {
        Ok(matches) => matches,
        Err(error) => return clap_error(&error),
    };
    if let Some(argument) = matches.get_one::<String>("arguments") {
        return Err(Refusal::verifying(&format!("'{argument}' is not a valid flag")));
    }
    if matches.get_flag("version") {
        return Ok(Asked::Text(version()));
    }
    let mut given = Given::new();
    for flag in table::all() {
        if let Some(value) = matches.get_one::<String>(flag.name) {
            given.insert(flag.name, value.clone());
        }
    }
    let mut warnings = Vec::new();
    let environment: Vec<_> =
        environment.into_iter().filter(|(name, value)| is_ours(name, value)).collect();
    let source = match config_file(&given, &environment) {
        Some(path) => {
            warn_of_ignored(&path, &given, &environment, &mut warnings);
            given = file::read(&path).map_err(|reason| Refusal::verifying(&reason))?;
            Source::File
        }
        None => {
            add_environment(&mut given, environment, &mut warnings)?;
            Source::CommandLine
        }
    };
    check_support(&given, &mut warnings)?;
    let config = Config::read(&given, source).map_err(|reason| Refusal::verifying(&reason))?;
    Ok(Asked::Member(Box::new(config), warnings))
}

/// The lines of `--version`; scripts take the first from etcd.
fn version() -> String {
    format!(
        "etcd Version: {}\nquorra Version: {}\nOS/Arch: {}/{}\n",
        crate::ETCD_VERSION,
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH
    )
}

/// Go's spelling to one that leaves nothing open: `--flag=value`, whatever the value begins with.
fn normalise(arguments: Vec<String>) -> Vec<String> {
    let mut normal = vec!["quorra".to_string()];
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let Some(name) = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')) else {
            normal.push(argument);
            continue;
        };
        if name.is_empty() {
            normal.push(argument);
            continue;
        }
        let name = if name == "h" { "help" } else { name };
        let takes_value = table::find(name).is_some_and(|flag| flag.kind != Kind::Bool);
        match takes_value.then(|| arguments.next()).flatten() {
            Some(value) => normal.push(format!("--{name}={value}")),
            None => normal.push(format!("--{name}")),
        }
    }
    normal
}

fn command() -> Command {
    let working = table::all().filter(|flag| matches!(flag.support, Support::Works(_))).count();
    Command::new("quorra")
        .about("A drop-in etcd: the v2 and v3 APIs on one port.")
        .override_usage("quorra [--FLAG VALUE]..")
        .args_override_self(true)
        .next_line_help(true)
        .after_help(format!(
            "Each flag is also an environment variable: --data-dir is ETCD_DATA_DIR.\n\
             Known from etcd, but only their defaults are accepted:\n{}\n\
             Known from etcd, but without an effect here:\n{}",
            names(Support::Refused),
            names(Support::Moot)
        ))
        .args(table::all().enumerate().map(|(order, flag)| argument(flag, order)))
        .arg(
            Arg::new("version")
                .long("version")
                .action(ArgAction::SetTrue)
                .display_order(working)
                .help("Print the version and exit."),
        )
        .arg(Arg::new("arguments").num_args(0..).hide(true))
}

/// The names of the flags that are supported like that, in indented lines.
fn names(support: Support) -> String {
    let mut lines = String::new();
    let mut width = 0;
    for flag in table::all().filter(|flag| flag.support == support) {
        if width == 0 || width + flag.name.len() > NAMES_WIDTH {
            lines.push_str(if width == 0 { "  " } else { "\n  " });
            width = 0;
        }
        lines.push_str(&format!("--{} ", flag.name));
        width += flag.name.len() + 3;
    }
    lines
}

fn argument(flag: Flag, order: usize) -> Arg {
    let argument = Arg::new(flag.name)
        .long(flag.name)
        .action(ArgAction::Set)
        .require_equals(true)
        .display_order(order)
        .value_name(if flag.kind == Kind::Bool { "true|false" } else { "VALUE" })
        .value_parser(move |value: &str| flag.kind.check(value).map(|()| value.to_string()));
    let argument = match flag.kind {
        Kind::Bool => argument.num_args(0..=1).default_missing_value("true"),
        _ => argument.num_args(1),
    };
    match flag.support {
        Support::Works(heading) if flag.default.is_empty() => {
            argument.help_heading(heading).help(flag.text)
        }
        Support::Works(heading) => argument.help_heading(heading).help(format!(
            "{} [default: {}]",
            flag.text.trim_end_matches('.'),
            flag.default
        )),
        Support::Refused | Support::Moot => argument.hide(true),
    }
}

fn clap_error(error: &clap::Error) -> Result<Asked, Refusal> {
    let text = error.render().to_string();
    if error.kind() == clap::error::ErrorKind::DisplayHelp {
        return Ok(Asked::Text(text));
    }
    Err(Refusal { code: 2, message: text })
}

/// Whether a variable is meant for a member. The client's own are often set beside the server's.
fn is_ours(name: &str, value: &str) -> bool {
    name.starts_with("ETCD_") && !name.starts_with("ETCDCTL_") && !value.is_empty()
}

/// The path of the config file, if there is one; the flag counts before the variable (etcd).
fn config_file(given: &Given, environment: &[(String, String)]) -> Option<String> {
    let flag = given.get("config-file").filter(|path| !path.is_empty()).cloned();
    let variable = environment.iter().find(|(name, _)| name == "ETCD_CONFIG_FILE");
    flag.or_else(|| variable.map(|(_, path)| path.clone()))
}

/// Names everything that a config file makes meaningless.
fn warn_of_ignored(
    path: &str,
    given: &Given,
    environment: &[(String, String)],
    warnings: &mut Vec<String>,
) {
    let flags = given.keys().filter(|name| **name != "config-file").map(|name| format!("--{name}"));
    let variables = environment.iter().map(|(name, _)| name.clone());
    let variables = variables.filter(|name| name != "ETCD_CONFIG_FILE");
    for ignored in flags.chain(variables) {
        warnings.push(format!("{ignored} is ignored: all flags come from the config file {path}"));
    }
}

/// Adds what the environment says; a flag that is given twice is refused, because which of the
/// two was meant is not for us to guess.
fn add_environment(
    given: &mut Given,
    environment: Vec<(String, String)>,
    warnings: &mut Vec<String>,
) -> Result<(), Refusal> {
    let flags: BTreeMap<String, Flag> = table::all().map(|flag| (flag.variable(), flag)).collect();
    for (variable, value) in environment {
        let Some(flag) = flags.get(&variable) else {
            warnings.push(format!("unrecognized environment variable {variable}={value}"));
            continue;
        };
        if given.contains_key(flag.name) {
            let message = format!(
                "conflicting environment variable \"{variable}\" is shadowed by corresponding \
                 command-line flag (either unset environment variable or disable flag)\n"
            );
            return Err(Refusal { code: 1, message });
        }
        flag.kind.check(&value).map_err(|reason| {
            Refusal::verifying(&format!("invalid value {value:?} for {variable}: {reason}"))
        })?;
        given.insert(flag.name, value);
    }
    Ok(())
}

/// No flag is dropped in silence.
fn check_support(given: &Given, warnings: &mut Vec<String>) -> Result<(), Refusal> {
    for flag in table::all() {
        let Some(value) = given.get(flag.name).filter(|value| *value != flag.default) else {
            continue;
        };
        match flag.support {
            Support::Works(_) => {}
            Support::Refused => {
                let reason = format!("--{}={value} is not supported: {}", flag.name, flag.text);
                return Err(Refusal::verifying(&reason));
            }
            Support::Moot => {
                let (name, reason) = (flag.name, flag.text);
                warnings.push(format!("--{name}={value} has no effect in quorra: {reason}"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_line(line: &str, environment: &[(&str, &str)]) -> Result<Asked, Refusal> {
        let arguments = line.split_whitespace().map(str::to_string).collect();
        let owned = |&(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        read(arguments, environment.iter().map(owned))
    }

    fn config(line: &str, environment: &[(&str, &str)]) -> Config {
        match read_line(line, environment) {
            Ok(Asked::Member(config, _)) => *config,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn refusal(line: &str, environment: &[(&str, &str)]) -> (u8, String) {
        let refusal = read_line(line, environment).expect_err(line);
        (refusal.code, refusal.message)
    }

    #[test]
    fn go_spellings_mean_the_same() {
        for line in ["--name a", "-name a", "--name=a", "-name=a", "--name b --name a"] {
            assert_eq!(config(line, &[]).name, "a", "{line}");
        }
        assert_eq!(config("--name -a", &[]).name, "-a", "a value may begin with a dash");
        for (line, v2) in [
            ("", true),
            ("--enable-v2", true),
            ("-enable-v2=false", false),
            ("--enable-v2=F", false),
            ("--enable-v2=1", true),
        ] {
            assert_eq!(config(line, &[]).v2, v2, "{line}");
        }
    }

    #[test]
    fn the_environment_counts_but_never_beside_the_flag() {
        assert_eq!(config("", &[("ETCD_NAME", "e")]).name, "e");
        assert_eq!(config("--name f", &[("ETCD_NAME", "")]).name, "f");
        assert!(!config("", &[("ETCD_ENABLE_V2", "false")]).v2);
        let (code, message) = refusal("--name f", &[("ETCD_NAME", "e")]);
        assert_eq!(code, 1);
        assert_eq!(
            message,
            "conflicting environment variable \"ETCD_NAME\" is shadowed by corresponding \
             command-line flag (either unset environment variable or disable flag)\n"
        );
    }

    #[test]
    fn what_has_no_effect_is_said() {
        let environment = [("ETCD_NONSENSE", "1"), ("ETCDCTL_API", "3"), ("HOME", "/")];
        let Ok(Asked::Member(_, warnings)) = read_line("--max-wals 7", &environment) else {
            panic!("a warning must not stop the member");
        };
        assert_eq!(
            warnings,
            [
                "unrecognized environment variable ETCD_NONSENSE=1",
                "--max-wals=7 has no effect in quorra: files go as soon as nobody needs them"
            ]
        );
    }

    #[test]
    fn a_config_file_stands_for_everything_else() {
        let path = std::env::temp_dir().join(format!("quorra-{}.yml", std::process::id()));
        std::fs::write(&path, "name: f\nlisten-client-urls: http://127.0.0.1:1\n").expect("a file");
        let path = path.to_str().expect("a path in UTF-8");
        let environment = [("ETCD_CONFIG_FILE", path), ("ETCD_ENABLE_V2", "false")];
        let Ok(Asked::Member(config, warnings)) = read_line("--name g", &environment) else {
            panic!("the file is good");
        };
        let ignored =
            |what| format!("{what} is ignored: all flags come from the config file {path}");
        assert_eq!(warnings, [ignored("--name"), ignored("ETCD_ENABLE_V2")]);
        assert_eq!((config.name.as_str(), config.v2), ("f", true));
        std::fs::remove_file(path).expect("the file goes");
        let (code, message) = refusal("--config-file /nonexistent/f.yml", &[]);
        assert_eq!(code, 1);
        assert!(message.contains("cannot read the config file /nonexistent/f.yml"), "{message}");
    }

    #[test]
    fn nonsense_is_refused_with_etcds_words_and_codes() {
        let verifying = [
            ("false", "'false' is not a valid flag"),
            ("--enable-v2 false", "'false' is not a valid flag"),
            (
                "--listen-client-urls http://127.0.0.1:1",
                "--advertise-client-urls is required when --listen-client-urls is set explicitly",
            ),
            (
                "--listen-peer-urls http://example.com:1",
                "expected IP in URL for binding (http://example.com:1)",
            ),
            (
                "--election-timeout 400",
                "--election-timeout[400ms] should be at least as 5 times as \
                 --heartbeat-interval[100ms]",
            ),
            (
                "--election-timeout 60000",
                "--election-timeout[60000ms] is too long, and should be set less than 50000ms",
            ),
            (
                "--discovery http://h/t --initial-cluster a=http://h:1",
                "multiple discovery or bootstrap flags are set. Choose one of \"initial-cluster\", \
                 \"discovery\" or \"discovery-srv\"",
            ),
            (
                "--discovery http://h/t --discovery-srv example.org",
                "multiple discovery or bootstrap flags are set. Choose one of \"initial-cluster\", \
                 \"discovery\" or \"discovery-srv\"",
            ),
            (
                "--discovery http://h/t --discovery-fallback exit \
                 --listen-client-urls http://127.0.0.1:1",
                "--advertise-client-urls is required when --listen-client-urls is set explicitly",
            ),
            (
                "--enable-discovery-service --enable-v2=false",
                "--enable-discovery-service needs --enable-v2",
            ),
            ("--heartbeat-interval 0", "--heartbeat-interval must be >0 (set to 0ms)"),
            (
                "--cipher-suites TLS_RSA_WITH_RC4_128_SHA --tls-min-version TLS1.3",
                "cipher suites cannot be configured when only TLS1.3 is enabled",
            ),
            (
                "--tls-max-version TLS1.1",
                "unexpected TLS version \"TLS1.1\" (must be one of: TLS1.2, TLS1.3)",
            ),
            (
                "--peer-cert-allowed-cn a --peer-cert-allowed-hostname b",
                "AllowedCN and AllowedHostname are mutually exclusive (cn=\"a\", hostname=\"b\")",
            ),
            (
                "--wal-dir x",
                "--wal-dir=x is not supported: the log is DATA-DIR/wal, which may be a link or a mounted disk",
            ),
        ];
        for (line, reason) in verifying {
            let message = format!("error verifying flags, {reason}. See 'quorra --help'.\n");
            assert_eq!(refusal(line, &[]), (1, message), "{line}");
        }
    }

    #[test]
    fn discovery_takes_the_place_of_the_default_cluster() {
        let by_url = config("--discovery http://h/t --listen-client-urls http://127.0.0.1:1", &[]);
        let proxy = None;
        let expected = Discovery { url: "http://h/t".into(), proxy, falls_back: true };
        assert_eq!((by_url.discovery, by_url.initial_cluster.as_str()), (Some(expected), ""));
        let by_name = config("--discovery-srv h.org", &[("ETCD_DISCOVERY_SRV_NAME", "n")]);
        let expected = ServiceRecords { domain: "h.org".into(), name: "n".into() };
        assert_eq!(
            (by_name.service_records, by_name.initial_cluster.as_str()),
            (Some(expected), "")
        );
    }

    #[test]
    fn what_cannot_be_read_is_exit_code_2_with_the_usage() {
        for (line, part) in [
            ("--nonsense", "'--nonsense'"),
            ("--nam x", "'--name'"),
            ("--heartbeat-interval abc", "parse error"),
            ("--initial-cluster-state old", "initial-cluster-state"),
            ("--listen-peer-urls ftp://a:1", "URL scheme must be http, https, unix, or unixs"),
            ("--name", "--name"),
        ] {
            let (code, message) = refusal(line, &[]);
            assert_eq!(code, 2, "{line}");
            assert!(message.contains(part), "{line}: {message}");
        }
    }

    #[test]
    fn help_and_version_go_to_stdout() {
        for (line, part) in [
            ("--help", "--initial-cluster-state"),
            ("-h", "Clustering"),
            ("--version", "etcd Version: 3.5"),
        ] {
            let Ok(Asked::Text(text)) = read_line(line, &[]) else {
                panic!("{line} must print and exit");
            };
            assert!(text.contains(part), "{line}: {text}");
        }
    }
}
