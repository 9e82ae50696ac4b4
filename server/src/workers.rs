//! What the core must not do itself: drawing secrets, at once, and hashing passwords, on threads of
//! their own beside the reactor's.
//!
//! bcrypt takes tens of milliseconds of a processor by design. Two threads take the
//! jobs in their order; the replica bounds how many wait. However many wrong passwords come, the
//! reactor goes on hearing its peers.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use quorra_core::replica::{Job, JobId, JobResult, Password};
use quorra_core::store::v2::auth::PasswordHash;

use crate::entropy::Entropy;

/// Enough to keep up with people; the processors are the reactor's and the disk's.
const THREADS: usize = 2;

/// What is to be hashed.
enum Hashing {
    /// A new password.
    New(Password),
    /// A given password, to be compared with a stored one's hash.
    Comparison(Password, PasswordHash),
}

/// The threads, and their way back.
pub struct Workers {
    entropy: Entropy,
    jobs: Sender<(JobId, Hashing)>,
    results: Receiver<(JobId, JobResult)>,
}

impl Workers {
    /// Threads that hash at this cost (`--bcrypt-cost`) and call `wake` with each result.
    pub fn start(
        entropy: Entropy,
        cost: u32,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let (jobs, queue) = channel();
        let (sender, results) = channel();
        let queue = Arc::new(Mutex::new(queue));
        let wake = Arc::new(wake);
        for _ in 0..THREADS {
            let (queue, sender, wake) = (Arc::clone(&queue), sender.clone(), Arc::clone(&wake));
            let work = move || {
                while let Some((id, hashing)) = next(&queue) {
                    // Fails only when the reactor is gone.
                    let _gone = sender.send((id, perform(hashing, cost)));
                    wake();
                }
            };
            thread::Builder::new().name("password".into()).spawn(work)?;
        }
        Ok(Self { entropy, jobs, results })
    }

    /// Does a job now, if that is a matter of no time, or as soon as a thread is free.
    pub fn begin(&mut self, id: JobId, job: Job) -> io::Result<Option<JobResult>> {
        let hashing = match job {
            Job::Secret(length) => {
                return self.entropy.secret(length).map(|secret| Some(JobResult::Secret(secret)));
            }
            Job::HashPassword(password) => Hashing::New(password),
            Job::VerifyPassword { hash, password } => Hashing::Comparison(password, hash),
        };
        let sent = self.jobs.send((id, hashing));
        assert!(sent.is_ok(), "the threads end with the reactor, not before it");
        Ok(None)
    }

    /// The next result.
    pub fn take(&mut self) -> Option<(JobId, JobResult)> {
        self.results.try_recv().ok()
    }
}

/// The next job; none when the reactor is gone. The queue's lock is held while waiting: one
/// thread waits for a job, the others for the lock.
fn next(queue: &Mutex<Receiver<(JobId, Hashing)>>) -> Option<(JobId, Hashing)> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

fn perform(hashing: Hashing, cost: u32) -> JobResult {
    match hashing {
        Hashing::New(password) => {
            let parts = bcrypt::hash_with_result(&password.0, cost)
                .expect("the flag's cost is one of bcrypt's, and the system has randomness");
            JobResult::Hashed(PasswordHash(parts.format_for_version(bcrypt::Version::TwoA)))
        }
        // A stored text that is no hash is nobody's password.
        Hashing::Comparison(password, hash) => {
            JobResult::Verified(bcrypt::verify(&password.0, &hash.0).unwrap_or(false))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    const COST: u32 = 4;

    fn password(text: &str) -> Password {
        Password(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn matches(given: &str, stored: &str) -> bool {
        let hash = PasswordHash(stored.into());
        let result = perform(Hashing::Comparison(password(given), hash), COST);
        result == JobResult::Verified(true)
    }

    fn hash(text: &str) -> String {
        match perform(Hashing::New(password(text)), COST) {
            JobResult::Hashed(PasswordHash(hash)) => hash,
            other => panic!("{other:?} is no hash"),
        }
    }

    #[test]
    fn a_hash_is_gos_and_matches_its_password_alone() {
        let stored = hash("secret");
        assert!(stored.starts_with("$2a$04$"), "{stored}");
        assert_ne!(stored, hash("secret"), "each hash has a salt of its own");
        assert!(matches("secret", &stored));
        assert!(!matches("Secret", &stored) && !matches("", &stored));
        assert!(!matches("secret", "no hash"));
        // Made by Go's golang.org/x/crypto/bcrypt.
        let go = "$2a$10$XajjQvNhvvRt5GSeFk1xFeyqRrsxkhBkUiQeg0dt.wU1qD4aFDcga";
        assert!(matches("allmine", go));
    }

    #[test]
    fn bytes_beyond_bcrypts_length_do_not_count() {
        let long = "x".repeat(80);
        assert!(matches(&format!("{long}y"), &hash(&long)));
        assert!(!matches(&"x".repeat(71), &hash(&long)));
        let with_zero = hash("a\0b");
        assert!(matches("a\0b", &with_zero) && !matches("a", &with_zero));
    }

    #[test]
    fn every_job_is_answered_under_its_id() {
        let (sender, woken) = channel();
        let entropy = Entropy::open().expect("the system has a generator");
        let wake = move || {
            let _gone = sender.send(());
        };
        let mut workers = Workers::start(entropy, COST, wake).expect("threads can be started");
        let secret = workers.begin(JobId(99), Job::Secret(7)).expect("it can be read");
        assert!(matches!(secret, Some(JobResult::Secret(secret)) if secret.len() == 7));
        let stored = hash("right");
        for id in 0..20 {
            let given = if id % 2 == 0 { "right" } else { "wrong" };
            let hash = PasswordHash(stored.clone());
            let job = Job::VerifyPassword { hash, password: password(given) };
            assert_eq!(workers.begin(JobId(id), job).expect("it is queued"), None);
        }
        let mut answered = Vec::new();
        while answered.len() < 20 {
            woken.recv().expect("a thread runs");
            answered.extend(std::iter::from_fn(|| workers.take()));
        }
        for (JobId(id), result) in answered {
            assert_eq!(result, JobResult::Verified(id % 2 == 0), "job {id}");
        }
    }
}
