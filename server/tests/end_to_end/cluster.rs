//! Members as processes on free loopback ports, each with its data and its log in one directory.

use std::fs::{self, File};
use std::net::TcpListener;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use quorra::client::{self, Answer, ClientError, Request};
use quorra::tls::ClientTls;
use quorra::urls::{Scheme, Url};
use serde_json::Value;

use crate::binaries;

/// How long anything that must happen may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How long one request may take: longer than a member waits for its cluster.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(8);

/// A directory of its own that goes with the test.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("quorra-{test}-{}", std::process::id()));
        // One may be left of an earlier process with the same id.
        let _absent = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("the system's directory for temporary files takes one");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Nothing can be done about one that stays.
        let _left = fs::remove_dir_all(&self.0);
    }
}

/// Below the ports that systems give to outgoing connections: while a member is down, none of
/// those may take its place.
const PORTS: Range<u32> = 22_000..32_000;

/// URLs on loopback ports that were free just now; none is given out twice.
pub(crate) fn free_urls(count: usize) -> Vec<Url> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Other test processes begin elsewhere.
    let first = std::process::id().wrapping_mul(101);
    let candidates = std::iter::repeat_with(|| {
        let offset = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        PORTS.start + offset % (PORTS.end - PORTS.start)
    });
    let address = candidates.map(|port| format!("127.0.0.1:{port}"));
    let free = address.filter(|address| TcpListener::bind(address).is_ok());
    let url = |address| Url::parse(&format!("http://{address}")).expect("an address makes a URL");
    free.map(url).take(count).collect()
}

/// Waits until the condition holds, and says what it waited for if it never does.
pub(crate) fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// One member, running or not.
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) client: Url,
    pub(crate) peer: Url,
    pub(crate) data_dir: PathBuf,
    log: PathBuf,
    flags: Vec<String>,
    /// How its clients' listener is asked, if that speaks TLS.
    pub(crate) tls: Option<ClientTls>,
    child: Option<Child>,
}

impl Member {
    /// A member that was never started, with the flags that every member needs.
    pub(crate) fn new(directory: &Path, name: &str, client: &Url, peer: &Url) -> Self {
        let data_dir = directory.join(name);
        let flags = [
            ("--name", name.to_string()),
            ("--data-dir", data_dir.display().to_string()),
            ("--listen-client-urls", client.to_string()),
            ("--advertise-client-urls", client.to_string()),
            ("--listen-peer-urls", peer.to_string()),
            ("--initial-advertise-peer-urls", peer.to_string()),
        ];
        Self {
            name: name.to_string(),
            client: client.clone(),
            peer: peer.clone(),
            log: directory.join(format!("{name}.log")),
            data_dir,
            flags: flags.into_iter().flat_map(|(flag, value)| [flag.to_string(), value]).collect(),
            tls: None,
            child: None,
        }
    }

    /// With these flags beside, or instead of, the others: the last one counts.
    pub(crate) fn with(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(|flag| (*flag).to_string()));
        self
    }

    /// The same for a member that has its place already.
    pub(crate) fn add_flags(&mut self, flags: &[String]) {
        self.flags.extend_from_slice(flags);
    }

    pub(crate) fn start(&mut self) {
        self.start_with(&[]);
    }

    /// With these flags for this start only.
    pub(crate) fn start_with(&mut self, flags: &[String]) {
        self.spawn(&mut Command::new(binaries::quorra()), flags);
    }

    /// Below this limit of open files.
    pub(crate) fn start_below(&mut self, descriptors: usize) {
        let limited = format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"");
        let program = ["-c", limited.as_str(), &binaries::quorra()];
        self.spawn(Command::new("sh").args(program), &[]);
    }

    fn spawn(&mut self, command: &mut Command, flags: &[String]) {
        let log = File::options().create(true).append(true).open(&self.log);
        let child = command
            .args(&self.flags)
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("the test's directory takes files"))
            .spawn();
        self.child = Some(child.expect("the binary under test starts"));
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _gone = child.kill();
            child.wait().expect("a child can be waited for");
        }
    }

    /// SIGTERM, and what the process says to it.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        let child = self.child.as_ref().expect("the member runs");
        let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "SIGTERM cannot be sent");
        self.wait_for_end()
    }

    /// Waits until the process ends by itself.
    pub(crate) fn wait_for_end(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the member runs");
        wait_for("the process to end", || child.try_wait().expect("a child can be asked"))
    }

    pub(crate) fn is_running(&self) -> bool {
        self.child.is_some()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks its clients' listener.
    pub(crate) fn get(&self, path: &str) -> Result<Answer, ClientError> {
        let request = Request { method: "GET", path, content_type: "", body: b"" };
        client::exchange_by(self.tls.as_ref(), &self.client, &request, REQUEST_TIMEOUT)
    }

    pub(crate) fn is_healthy(&self) -> bool {
        self.get("/health").is_ok_and(|answer| answer.status == 200)
    }

    pub(crate) fn wait_until_healthy(&self) {
        wait_for(&format!("{} to be healthy", self.name), || self.is_healthy().then_some(()));
    }

    /// A JSON document that the member serves, if it does just now.
    pub(crate) fn json(&self, path: &str) -> Option<Value> {
        let answer = self.get(path).ok()?;
        serde_json::from_slice(&answer.body).ok()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(40)..].join("\n");
            eprintln!("--- the end of the log of {}:\n{tail}", self.name);
        }
    }
}

/// Members that know each other from their flags.
pub(crate) struct Cluster {
    pub(crate) members: Vec<Member>,
    // Goes last: members write into it.
    directory: Directory,
}

impl Cluster {
    /// A started, healthy cluster.
    pub(crate) fn start(test: &str, size: usize) -> Self {
        let mut cluster = Self::new(test, size);
        cluster.members.iter_mut().for_each(Member::start);
        cluster.members.iter().for_each(Member::wait_until_healthy);
        cluster
    }

    /// A cluster that was never started.
    pub(crate) fn new(test: &str, size: usize) -> Self {
        Self::of(test, free_urls(size * 2))
    }

    /// The same, but TLS is spoken everywhere. The flags for that are the caller's to add.
    pub(crate) fn secured(test: &str, size: usize) -> Self {
        let secure = |url| Url { scheme: Scheme::Https, ..url };
        Self::of(test, free_urls(size * 2).into_iter().map(secure).collect())
    }

    /// Clients' URLs first, then the peers'.
    fn of(test: &str, urls: Vec<Url>) -> Self {
        let size = urls.len() / 2;
        let directory = Directory::new(test);
        let (clients, peers) = urls.split_at(size);
        let list: Vec<_> =
            peers.iter().enumerate().map(|(at, url)| format!("infra{at}={url}")).collect();
        let list = list.join(",");
        let member = |(at, (client, peer))| {
            Member::new(directory.path(), &format!("infra{at}"), client, peer).with(&[
                "--initial-cluster",
                &list,
                "--initial-cluster-token",
                "etcd-cluster-1",
                "--initial-cluster-state",
                "new",
            ])
        };
        let members = clients.iter().zip(peers).enumerate().map(member).collect();
        Self { members, directory }
    }

    /// With these flags beside, or instead of, the others, for each of its members.
    pub(crate) fn with(mut self, flags: &[&str]) -> Self {
        self.members = self.members.into_iter().map(|member| member.with(flags)).collect();
        self
    }

    /// Where its members keep what they keep.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// All client URLs, as etcdctl takes them.
    pub(crate) fn endpoints(&self) -> String {
        let urls: Vec<_> = self.members.iter().map(|member| member.client.to_string()).collect();
        urls.join(",")
    }

    /// Which member the running ones take for their leader.
    pub(crate) fn wait_for_leader(&self) -> usize {
        wait_for("a leader", || {
            let running = self.members.iter().find(|member| member.is_running())?;
            let leader = running.json("/v2/members/leader")?;
            let name = leader["name"].as_str()?;
            self.members.iter().position(|member| member.name == name && member.is_running())
        })
    }
}
