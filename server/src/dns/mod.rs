//! Service records (RFC 2782): the names under which a domain tells where its members are.
//!
//! The system's resolver knows only addresses, so this asks the name servers of
//! `/etc/resolv.conf` itself: one question, over UDP, and over TCP where the answer did not fit.
//! Only an answer with the question's number *and* the question in it counts; anything else that
//! arrives is noise, and the wait goes on. Server names are not searched for in other domains.

mod discovery;
mod exchange;
mod message;
mod settings;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;

pub use discovery::{client_endpoints, server_cluster};
pub use message::Service;
pub use settings::Settings;

use message::{Answer, Question};

/// How many aliases lead from the question to the answer at most.
const ALIASES_MAX: usize = 8;

/// Why a name has no service records, as far as can be known. Printed as Go prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsError {
    /// What was asked for.
    pub name: String,
    /// The last server that was asked, if any was.
    pub server: Option<SocketAddr>,
    /// What went wrong.
    pub reason: Reason,
}

/// See [`DnsError`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The text cannot be a name.
    BadName,
    /// There are no such records.
    NoSuchHost,
    /// The service is said not to be offered (RFC 2782: the target `.`).
    NotOffered,
    /// Aliases lead in a circle, or too far.
    Aliases,
    /// The server could not tell (its response code).
    Refused(String),
    /// The answer makes no sense.
    Malformed(&'static str),
    /// No answer in time, or none at all.
    Unreachable(String),
}

impl fmt::Display for DnsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lookup {}", self.name)?;
        if let Some(server) = self.server {
            write!(f, " on {server}")?;
        }
        match &self.reason {
            Reason::BadName => f.write_str(": not a domain name"),
            Reason::NoSuchHost => f.write_str(": no such host"),
            Reason::NotOffered => f.write_str(": the service is not offered there"),
            Reason::Aliases => f.write_str(": too many aliases"),
            Reason::Refused(code) => write!(f, ": server misbehaving ({code})"),
            Reason::Malformed(what) => write!(f, ": cannot understand the answer: {what}"),
            Reason::Unreachable(why) => write!(f, ": {why}"),
        }
    }
}

impl std::error::Error for DnsError {}

/// Asks name servers.
#[derive(Clone, Debug)]
pub struct Resolver {
    settings: Settings,
}

impl Resolver {
    /// One that asks the servers of `/etc/resolv.conf`.
    #[must_use]
    pub fn system() -> Self {
        Self::new(Settings::system())
    }

    /// One that asks these servers.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// The service records of a name, those of the lowest priority number first and otherwise in
    /// the server's order; never empty.
    pub fn services(&self, name: &str) -> Result<Vec<Service>, DnsError> {
        let mut asked = name.to_string();
        let failed = |server, reason| DnsError { name: name.to_string(), server, reason };
        for _ in 0..ALIASES_MAX {
            let number = exchange::random_number()
                .map_err(|error| failed(None, Reason::Unreachable(error.to_string())))?;
            let question = Question::new(&asked, number);
            let question = question.ok_or_else(|| failed(None, Reason::BadName))?;
            let (server, answer) =
                self.ask(&question).map_err(|(server, reason)| failed(server, reason))?;
            match answer {
                Answer::Alias(target) => asked = target,
                Answer::Services(mut services) => {
                    if services.iter().any(|service| service.host.is_empty()) {
                        return Err(failed(Some(server), Reason::NotOffered));
                    }
                    services.sort_by_key(|service| service.priority);
                    return Ok(services);
                }
            }
        }
        Err(failed(None, Reason::Aliases))
    }

    /// Asks one server after the other, all of them as often as the settings say. That there is no
    /// such name is an answer; trouble with one server is a reason to ask the next.
    fn ask(
        &self,
        question: &Question,
    ) -> Result<(SocketAddr, Answer), (Option<SocketAddr>, Reason)> {
        let mut last = (None, Reason::Unreachable("no name server is known".into()));
        for _ in 0..self.settings.attempts {
            for server in &self.settings.servers {
                match exchange::ask(*server, question, self.settings.timeout) {
                    Ok(answer) => return Ok((*server, answer)),
                    Err(reason @ (Reason::NoSuchHost | Reason::Aliases)) => {
                        return Err((Some(*server), reason));
                    }
                    Err(reason) => last = (Some(*server), reason),
                }
            }
        }
        Err(last)
    }
}
