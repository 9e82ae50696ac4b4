//! The cluster as a v2 client sees it: several servers, of which any will do.
//!
//! First of all a client learns from one of them where all the others are; afterwards each request
//! goes to the last one that answered, and to the next when that fails. What creates or deletes is
//! tried only once: it may have been done although no answer came.

use std::fmt;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quorra::client::{Answer, Client, ClientError, Limits, Request};
use serde::Deserialize;

use super::{BAD_CONNECTION, SERVER_ERROR, document, failed};
use crate::endpoints::{self, Endpoint};
use crate::failure::Failure;
use crate::flags::Flags;
use crate::{connect, go, password};

/// Where etcdctl looks if it is told nothing.
const DEFAULT_ENDPOINTS: [&str; 2] = ["http://127.0.0.1:2379", "http://127.0.0.1:4001"];
/// How many redirects one request follows.
const REDIRECTS_MAX: usize = 10;
/// How long connecting may take at most.
const DIAL_TIMEOUT: Duration = Duration::from_secs(30);

/// A request to whichever server answers.
pub(super) struct Call {
    method: &'static str,
    path: String,
    content_type: &'static str,
    body: Vec<u8>,
    once: bool,
    waits: bool,
}

impl Call {
    /// Without a body. The path is escaped already and may have a query.
    pub(super) fn new(method: &'static str, path: impl Into<String>) -> Self {
        let path = path.into();
        Self { method, path, content_type: "", body: Vec::new(), once: false, waits: false }
    }

    /// With a document.
    pub(super) fn json(mut self, document: &serde_json::Value) -> Self {
        self.content_type = "application/json";
        self.body = document.to_string().into_bytes();
        self
    }

    /// With an escaped form.
    pub(super) fn form(mut self, form: String) -> Self {
        self.content_type = "application/x-www-form-urlencoded";
        self.body = form.into_bytes();
        self
    }

    /// Tried at one server only.
    pub(super) fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// Answered when something happens: no timeout holds.
    pub(super) fn waits(mut self) -> Self {
        self.waits = true;
        self
    }
}

/// Why there is no answer, or no good one.
#[derive(Debug)]
pub(super) enum CallError {
    /// The command's time is over.
    Deadline,
    /// No server can be asked: the cluster publishes no client URLs.
    NoEndpoints,
    /// The connection to a server failed.
    Connection(String),
    /// A server refused, or answered what cannot be understood.
    Server(String),
    /// No server answered; why not, one by one.
    Cluster(Vec<Self>),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadline => f.write_str("context deadline exceeded"),
            Self::NoEndpoints => f.write_str("client: no endpoints available"),
            Self::Connection(text) | Self::Server(text) => f.write_str(text),
            Self::Cluster(errors) => {
                f.write_str("client: etcd cluster is unavailable or misconfigured")?;
                let mut errors = errors.iter().enumerate();
                errors.try_for_each(|(at, error)| writeln!(f, "; error #{at}: {error}"))
            }
        }
    }
}

impl CallError {
    /// The servers' errors, a line each.
    pub(super) fn detail(&self) -> Option<String> {
        let Self::Cluster(errors) = self else { return None };
        let line = |(at, error)| format!("error #{at}: {error}\n");
        Some(errors.iter().enumerate().map(line).collect())
    }

    fn is_connection(&self) -> bool {
        match self {
            Self::Deadline | Self::Connection(_) => true,
            Self::Cluster(errors) => errors.iter().all(Self::is_connection),
            Self::NoEndpoints | Self::Server(_) => false,
        }
    }
}

/// An error's text that stands for itself.
impl From<String> for CallError {
    fn from(text: String) -> Self {
        Self::Server(text)
    }
}

impl From<&str> for CallError {
    fn from(text: &str) -> Self {
        Self::Server(text.to_string())
    }
}

/// A member, as `/v2/members` lists it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(rename = "peerURLs")]
    pub(super) peer_urls: Vec<String>,
    #[serde(rename = "clientURLs")]
    pub(super) client_urls: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Members {
    members: Vec<Member>,
}

/// The servers, and the connections to them.
pub(super) struct Cluster {
    client: Client,
    endpoints: Vec<Endpoint>,
    /// The server to ask first.
    pinned: usize,
    request_timeout: Duration,
    total_timeout: Duration,
    debug: bool,
}

impl Cluster {
    /// The servers that flags name, and those that they know of.
    pub(super) fn open(flags: &Flags<'_>, out: &mut dyn Write) -> Result<Self, Failure> {
        let mut cluster = Self::open_given(flags, out)?;
        if !flags.is_set("no-sync") {
            cluster.sync()?;
        }
        cluster.note(|it| format!("Cluster-Endpoints: {}", it.names(", ")));
        Ok(cluster)
    }

    /// Only the servers that flags name.
    pub(super) fn open_given(flags: &Flags<'_>, out: &mut dyn Write) -> Result<Self, Failure> {
        let wrong = |reason: String| Failure::new(super::BAD_ARGUMENTS, reason);
        let seconds = Duration::from_secs;
        let timeout = |name, default| flags.duration_or(name, "", default).map_err(wrong);
        let total_timeout = timeout("total-timeout", seconds(5))?;
        let dial_timeout = match total_timeout {
            Duration::ZERO => DIAL_TIMEOUT,
            total => total.min(DIAL_TIMEOUT),
        };
        let insecure =
            flags.is_set("insecure-discovery") || flags.variable("INSECURE_DISCOVERY").is_some();
        let found = connect::discover(flags, insecure).map_err(wrong)?;
        let mut endpoints = found.endpoints;
        if endpoints.is_empty() {
            let given = match endpoints::given(flags) {
                none if none.is_empty() => DEFAULT_ENDPOINTS.to_vec(),
                given => given,
            };
            let parsed = given.into_iter().map(|text| Endpoint::parse(text, "http"));
            endpoints = parsed.collect::<Result<_, _>>().map_err(wrong)?;
        }
        let mut client = connect::client(flags, dial_timeout, found.server_name).map_err(wrong)?;
        if let Some(user) = flags.text_or("user", &["USERNAME", "USER"]) {
            let (name, password) = match flags.text_or("password", &["PASSWORD"]) {
                Some(password) => (user.to_string(), password.to_string()),
                None => password::credentials(user, "Password: ", out)?,
            };
            client.authorize(format!("Basic {}", STANDARD.encode(format!("{name}:{password}"))));
        }
        Ok(Self {
            client,
            endpoints,
            pinned: 0,
            request_timeout: timeout("timeout", seconds(2))?,
            total_timeout,
            debug: flags.is_set("debug"),
        })
    }

    /// Learns where all the servers are. Errors of a server are no reason to stop: what is asked
    /// next will say it better.
    fn sync(&mut self) -> Result<(), Failure> {
        self.note(|it| format!("start to sync cluster using endpoints({})", it.names(",")));
        let listed = self.members(self.deadline());
        let published = listed.and_then(|members| {
            let urls = members.into_iter().flat_map(|member| member.client_urls);
            let endpoints = urls.map(|url| Endpoint::parse(&url, "http"));
            match endpoints.collect::<Result<Vec<_>, _>>()? {
                none if none.is_empty() => Err(CallError::NoEndpoints),
                endpoints => Ok(endpoints),
            }
        });
        match published {
            Ok(endpoints) => self.use_endpoints(endpoints),
            Err(error @ CallError::NoEndpoints) => {
                let mut failure = failed(SERVER_ERROR, error);
                failure.message = format!(
                    "etcd cluster has no published client endpoints.\nTry '--no-sync' if you want \
                     to access non-published client endpoints({}).\n{}",
                    self.names(","),
                    failure.message
                );
                return Err(failure);
            }
            Err(error) if error.is_connection() => return Err(failed(BAD_CONNECTION, error)),
            Err(_) => {}
        }
        self.note(|it| format!("got endpoints({}) after sync", it.names(",")));
        Ok(())
    }

    /// Goes on with these servers, beginning with the one that has just answered if it is among
    /// them.
    fn use_endpoints(&mut self, endpoints: Vec<Endpoint>) {
        let answered = self.endpoints[self.pinned].url.clone();
        self.pinned = endpoints.iter().position(|it| it.url == answered).unwrap_or_default();
        self.endpoints = endpoints;
    }

    /// The members, as the cluster lists them.
    pub(super) fn members(&mut self, deadline: Instant) -> Result<Vec<Member>, CallError> {
        let answer = self.call(&Call::new("GET", "/v2/members"), deadline)?;
        if answer.status != 200 {
            return Err(format!("unexpected status code {}", answer.status).into());
        }
        document::<Members>(&answer).map(|list| list.members)
    }

    /// The connections, to ask a server that is none of the endpoints.
    pub(super) fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// When a command that begins now must have ended.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.total_timeout
    }

    /// Asks one server after the other until one answers.
    pub(super) fn call(&mut self, call: &Call, deadline: Instant) -> Result<Answer, CallError> {
        let mut errors = Vec::new();
        let (first, count) = (self.pinned, self.endpoints.len());
        for at in (first..first + count).map(|at| at % count) {
            let endpoint = self.endpoints[at].clone();
            let error = match self.follow(&endpoint, call, deadline) {
                Ok(answer) if answer.status < 500 => {
                    self.pinned = at;
                    return Ok(answer);
                }
                Ok(answer) => server_error(&endpoint, answer.status),
                Err(CallError::Deadline) => return Err(CallError::Deadline),
                Err(error) => error,
            };
            if call.once {
                return Err(error);
            }
            errors.push(error);
        }
        Err(CallError::Cluster(errors))
    }

    /// Asks a server, and those that it redirects to.
    fn follow(
        &mut self,
        endpoint: &Endpoint,
        call: &Call,
        deadline: Instant,
    ) -> Result<Answer, CallError> {
        let mut endpoint = endpoint.clone();
        let mut path = format!("{}{}", endpoint.base, call.path);
        for _ in 0..=REDIRECTS_MAX {
            let answer = self.ask(&endpoint, &path, call, deadline)?;
            if answer.status / 100 != 3 {
                return Ok(answer);
            }
            let location = answer.header("location").ok_or("location header not set")?;
            match location.split_once("://") {
                Some((scheme, rest)) => {
                    let slash = rest.find('/').unwrap_or(rest.len());
                    let host = format!("{scheme}://{}", &rest[..slash]);
                    let wrong = |_| format!("location header not valid URL: {location}");
                    endpoint = Endpoint::parse(&host, scheme).map_err(wrong)?;
                    path = rest[slash..].to_string();
                }
                None => path = location.to_string(),
            }
        }
        Err("client: too many redirects".into())
    }

    fn ask(
        &mut self,
        endpoint: &Endpoint,
        path: &str,
        call: &Call,
        deadline: Instant,
    ) -> Result<Answer, CallError> {
        if self.debug {
            let url = format!("{}{path}", endpoint.url);
            let body = match call.body.as_slice() {
                b"" => String::new(),
                body => format!(" -d {}", go::quote(body)),
            };
            note(&format!("cURL Command: curl -X {} {url}{body}", call.method));
        }
        let head = (!self.request_timeout.is_zero()).then(|| Instant::now() + self.request_timeout);
        let limits = match call.waits {
            true => Limits::default(),
            false => Limits { head, whole: Some(deadline) },
        };
        let Call { method, content_type, ref body, .. } = *call;
        let request = Request { method, path, content_type, body };
        self.client.exchange(&endpoint.url, &request, limits).map_err(|error| {
            let ended = limits.whole.is_some_and(|whole| whole <= Instant::now());
            call_error(&error, endpoint, ended, limits.head)
        })
    }

    fn names(&self, between: &str) -> String {
        let names: Vec<_> = self.endpoints.iter().map(Endpoint::full).collect();
        names.join(between)
    }

    /// Says something on stderr if that was asked for.
    fn note(&self, text: impl Fn(&Self) -> String) {
        if self.debug {
            note(&text(self));
        }
    }
}

fn note(text: &str) {
    // Nobody reads it any more: nothing to be done.
    let _unread = writeln!(io::stderr(), "{text}");
}

fn server_error(endpoint: &Endpoint, status: u16) -> CallError {
    let endpoint = endpoint.full();
    let reason = match status {
        500 | 503 => return format!("client: etcd member {endpoint} has no leader").into(),
        501 => "Not Implemented",
        502 => "Bad Gateway",
        504 => "Gateway Timeout",
        _ => "",
    };
    format!("client: etcd member {endpoint} returns server error [{reason}]").into()
}

/// The client's error in the words of Go's; `ended` if the command's time is over.
fn call_error(
    error: &ClientError,
    endpoint: &Endpoint,
    ended: bool,
    head: Option<Instant>,
) -> CallError {
    let timed_out = match error {
        ClientError::Dial(_, error) | ClientError::Io(error) => {
            error.kind() == io::ErrorKind::TimedOut
        }
        ClientError::Malformed(_) => false,
    };
    if timed_out && ended {
        return CallError::Deadline;
    }
    if timed_out && head.is_some_and(|head| head <= Instant::now()) {
        return format!("client: endpoint {} exceeded header timeout", endpoint.full()).into();
    }
    match error {
        ClientError::Malformed(reason) => CallError::Server((*reason).to_string()),
        error if connect::is_distrust(error) => CallError::Server(connect::describe(error)),
        error => CallError::Connection(connect::describe(error)),
    }
}
