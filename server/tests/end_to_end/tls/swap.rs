//! Certificates, keys and authorities change under a cluster that is at work.

use std::fs;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::*;

/// Longer than files may have changed unnoticed.
const NOTICED: Duration = Duration::from_millis(1_200);

/// Clients that write for as long as they are let, each request on a connection of its own.
struct Load {
    over: Arc<AtomicBool>,
    written: Arc<AtomicUsize>,
    failures: Arc<Mutex<Vec<String>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(fortress: &Fortress) -> Self {
        let mut load = Self {
            over: Arc::default(),
            written: Arc::default(),
            failures: Arc::default(),
            threads: Vec::new(),
        };
        for (at, member) in fortress.cluster.members.iter().enumerate() {
            let (url, tls) = (member.client.clone(), fortress.tls.clone());
            let (over, written) = (load.over.clone(), load.written.clone());
            let failures = load.failures.clone();
            load.threads.push(std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    match put(&tls, &url, &format!("load/{at}")) {
                        Ok(answer) if answer.status < 300 => {
                            written.fetch_add(1, Ordering::Relaxed);
                        }
                        failed => failures
                            .lock()
                            .expect("nobody panics with it")
                            .push(format!("{url}: {failed:?}")),
                    }
                }
            }));
        }
        load
    }

    /// Waits until everybody who looks at files must have seen that they changed, and has been at
    /// work since.
    fn go_on(&self) {
        let since = Instant::now();
        wait_for("files to be looked at", || (since.elapsed() >= NOTICED).then_some(()));
        let before = self.written.load(Ordering::Relaxed);
        wait_for("requests to go on", || {
            (self.written.load(Ordering::Relaxed) >= before + 10).then_some(())
        });
    }

    fn end(self) -> Vec<String> {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a client does not panic");
        }
        Arc::into_inner(self.failures)
            .and_then(|failures| failures.into_inner().ok())
            .expect("the threads have gone")
    }
}

#[test]
fn certificates_and_authorities_are_swapped_under_load_with_no_failed_request() {
    let mut fortress = Fortress::start("tls-swap");
    let load = Load::start(&fortress);
    let old = client(&fortress.ca, Some(&keep(&fortress, "client")));
    let successor = Authority::new("successor");

    // Both are trusted, then everybody gets a new certificate, then only the successor is trusted.
    replace(&fortress.ca, &format!("{}{}", fortress.authority.pem(), successor.pem()));
    load.go_on();
    for member in &fortress.cluster.members {
        successor.issue(&LOCAL, &Pair::at(&fortress.directory, &member.name));
    }
    successor.issue(&LOCAL, &Pair::at(&fortress.directory, "client"));
    load.go_on();
    replace(&fortress.ca, successor.pem());
    load.go_on();
    for member in &fortress.cluster.members {
        wait_for("the old certificate to be refused", || {
            get(&old, &member.client, "/health").is_err().then_some(())
        });
        let log = member.log();
        assert!(log.contains("read the changed TLS files"), "{log}");
    }
    load.go_on();
    assert_eq!(load.end(), Vec::<String>::new(), "no request has failed");

    // Members find each other by their new certificates.
    let member = &mut fortress.cluster.members[0];
    member.kill();
    member.start();
    member.wait_until_healthy();
}

#[test]
fn a_broken_new_file_leaves_the_old_certificate_in_use() {
    let fortress = Fortress::start("tls-broken");
    let load = Load::start(&fortress);
    let pair = Pair::at(&fortress.directory, &fortress.cluster.members[0].name);
    replace(&pair.certificate, "-----BEGIN CERTIFICATE-----\nnonsense\n");
    replace(&fortress.revoked, "");
    load.go_on();
    let member = &fortress.cluster.members[0];
    let reason = "cannot use the changed TLS files: what was read before stays in use";
    wait_for(reason, || member.log().contains(reason).then_some(()));
    // What is mended counts, and so does what is revoked from now on.
    fortress.authority.issue(&Subject { serial: 500, ..LOCAL }, &pair);
    let guest = Pair::at(&fortress.directory, "guest");
    fortress.authority.issue(&Subject { serial: 501, ..LOCAL }, &guest);
    let guest = client(&fortress.ca, Some(&guest));
    replace(&fortress.revoked, &fortress.authority.revoke(&[REVOKED]));
    load.go_on();
    assert!(get(&guest, &member.client, "/health").is_ok());
    replace(&fortress.revoked, &fortress.authority.revoke(&[REVOKED, 501]));
    wait_for("a certificate to be revoked", || {
        get(&guest, &member.client, "/health").is_err().then_some(())
    });
    assert_eq!(load.end(), Vec::<String>::new(), "no request has failed");
}

/// Copies a certificate that is about to be replaced.
fn keep(fortress: &Fortress, name: &str) -> Pair {
    let (from, to) = (
        Pair::at(&fortress.directory, name),
        Pair::at(&fortress.directory, &format!("{name}-old")),
    );
    fs::copy(&from.certificate, &to.certificate).expect("a copy");
    fs::copy(&from.key, &to.key).expect("a copy");
    to
}
