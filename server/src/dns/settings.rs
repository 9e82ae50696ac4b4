//! Which servers are asked, and how patiently: `/etc/resolv.conf` (resolv.conf(5)).

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

const PATH: &str = "/etc/resolv.conf";
const PORT: u16 = 53;
/// The bounds of the system's resolver.
const SERVERS_MAX: usize = 3;
const TIMEOUT_MAX: u64 = 30;
const ATTEMPTS_MAX: u32 = 5;

/// How names are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// In the order in which they are asked; at most three.
    pub servers: Vec<SocketAddr>,
    /// How long each may take for an answer.
    pub timeout: Duration,
    /// How often all of them are asked.
    pub attempts: u32,
}

impl Settings {
    /// Those of this machine; without a file, a server on the machine itself.
    #[must_use]
    pub fn system() -> Self {
        Self::parse(&fs::read_to_string(PATH).unwrap_or_default())
    }

    /// Reads the file's text. What cannot be understood is passed over, as everybody does.
    fn parse(text: &str) -> Self {
        let mut settings =
            Self { servers: Vec::new(), timeout: Duration::from_secs(5), attempts: 2 };
        for line in text.lines().filter(|line| !line.starts_with(['#', ';'])) {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => settings.servers.extend(words.next().and_then(server)),
                Some("options") => words.for_each(|option| settings.set(option)),
                _ => {}
            }
        }
        settings.servers.truncate(SERVERS_MAX);
        if settings.servers.is_empty() {
            settings.servers.push(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)));
        }
        settings
    }

    fn set(&mut self, option: &str) {
        match option.split_once(':') {
            Some(("timeout", seconds)) => {
                if let Ok(seconds) = seconds.parse::<u64>() {
                    self.timeout = Duration::from_secs(seconds.clamp(1, TIMEOUT_MAX));
                }
            }
            Some(("attempts", count)) => {
                if let Ok(count) = count.parse::<u32>() {
                    self.attempts = count.clamp(1, ATTEMPTS_MAX);
                }
            }
            _ => {}
        }
    }
}

fn server(text: &str) -> Option<SocketAddr> {
    let ip: IpAddr = text.parse().ok()?;
    Some(SocketAddr::new(ip, PORT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_the_system_reads_them() {
        let text = "# ours\n; old\nsearch example.org\nnameserver 10.0.0.1\nnameserver ::1\n\
                    nameserver fe80::1%eth0\nnameserver 10.0.0.2\nnameserver 10.0.0.3\n\
                    options ndots:2 timeout:1 attempts:9 rotate\noptions timeout:x\n";
        let settings = Settings::parse(text);
        let servers: Vec<_> = settings.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.0.0.1:53", "[::1]:53", "10.0.0.2:53"]);
        assert_eq!((settings.timeout, settings.attempts), (Duration::from_secs(1), 5));
    }

    #[test]
    fn without_a_server_the_machine_itself_is_asked() {
        let settings = Settings::parse("options timeout:99 attempts:0");
        assert_eq!(settings.servers, [SocketAddr::from(([127, 0, 0, 1], 53))]);
        assert_eq!((settings.timeout, settings.attempts), (Duration::from_secs(30), 1));
    }
}
