//! Questions for service records, and what an answer to one says.

use std::collections::BTreeSet;

use domain::base::iana::{Class, Rcode};
use domain::base::name::ToName;
use domain::base::{Message, MessageBuilder, Name, Rtype};
use domain::rdata::{Cname, Srv};

use super::{ALIASES_MAX, Reason};

/// A place where a service is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Lower ones are to be tried first.
    pub priority: u16,
    /// The machine, without the dot at the end; empty where the service is not offered.
    pub host: String,
    /// The port there.
    pub port: u16,
}

/// One question: the service records of a name.
#[derive(Debug)]
pub(super) struct Question {
    number: u16,
    name: Name<Vec<u8>>,
    /// As it is sent.
    pub(super) bytes: Vec<u8>,
}

/// What a message means for a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It answers something else.
    Noise,
    /// It did not fit: ask again over TCP.
    Truncated,
    /// It answers, like this.
    Answer(Result<Answer, Reason>),
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The services; at least one.
    Services(Vec<Service>),
    /// Another name has them, and is to be asked for.
    Alias(String),
}

impl Question {
    /// None if the text is no name.
    pub(super) fn new(name: &str, number: u16) -> Option<Self> {
        let name = Name::<Vec<u8>>::vec_from_str(name).ok()?;
        let mut builder = MessageBuilder::new_vec();
        builder.header_mut().set_id(number);
        builder.header_mut().set_rd(true);
        let mut builder = builder.question();
        builder.push((&name, Rtype::SRV)).ok()?;
        Some(Self { number, name, bytes: builder.finish() })
    }

    /// Understands a message that came from the server.
    pub(super) fn understand(&self, bytes: &[u8]) -> Heard {
        let Ok(message) = Message::from_octets(bytes) else { return Heard::Noise };
        let header = message.header();
        let Ok(question) = message.sole_question() else { return Heard::Noise };
        let ours = header.qr()
            && header.id() == self.number
            && question.qtype() == Rtype::SRV
            && question.qclass() == Class::IN
            && question.qname().name_eq(&self.name);
        if !ours {
            return Heard::Noise;
        }
        if header.tc() {
            return Heard::Truncated;
        }
        Heard::Answer(match header.rcode() {
            Rcode::NOERROR => self.read(&message),
            Rcode::NXDOMAIN => Err(Reason::NoSuchHost),
            code => Err(Reason::Refused(code.to_string())),
        })
    }

    /// Follows the aliases that the answer holds to the services, as far as they are there.
    fn read(&self, message: &Message<&[u8]>) -> Result<Answer, Reason> {
        let (aliases, services) = records(message).ok_or(Reason::Malformed("a bad record"))?;
        let mut owner = self.name.to_string().to_ascii_lowercase();
        let mut seen = BTreeSet::new();
        while let Some((_, target)) = aliases.iter().find(|(alias, _)| *alias == owner) {
            if !seen.insert(owner) || seen.len() > ALIASES_MAX {
                return Err(Reason::Aliases);
            }
            owner = target.clone();
        }
        let services: Vec<Service> =
            services.into_iter().filter(|(name, _)| *name == owner).map(|(_, srv)| srv).collect();
        match services.is_empty() {
            false => Ok(Answer::Services(services)),
            true if seen.is_empty() => Err(Reason::NoSuchHost),
            true => Ok(Answer::Alias(owner)),
        }
    }
}

type Aliases = Vec<(String, String)>;
type Services = Vec<(String, Service)>;

/// The aliases and the services of an answer, by the lower-case names that own them.
fn records(message: &Message<&[u8]>) -> Option<(Aliases, Services)> {
    let (mut aliases, mut services) = (Vec::new(), Vec::new());
    for record in message.answer().ok()? {
        let record = record.ok()?;
        if record.class() != Class::IN {
            continue;
        }
        let owner = record.owner().to_string().to_ascii_lowercase();
        if let Some(alias) = record.to_record::<Cname<_>>().ok()? {
            aliases.push((owner, alias.data().cname().to_string().to_ascii_lowercase()));
        } else if let Some(service) = record.to_record::<Srv<_>>().ok()? {
            let service = service.data();
            let host = service.target().to_string().trim_end_matches('.').to_string();
            if !host.bytes().all(is_of_host) {
                return None;
            }
            let (priority, port) = (service.priority(), service.port());
            services.push((owner, Service { priority, host, port }));
        }
    }
    Some((aliases, services))
}

/// What may stand in the name of a machine: a list of URLs is made of them.
fn is_of_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}
