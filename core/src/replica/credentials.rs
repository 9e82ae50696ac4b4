//! Passwords on their way to and from the driver, which alone has the time to hash them.
//!
//! bcrypt takes tens of milliseconds on purpose, so it is a job, and what it found is remembered:
//! a digest of the stored hash and the password under a secret that this start of the member drew.
//! A digest cannot be turned back into a password, and since it covers the stored hash, it
//! never matches again once the user's password was changed or the user removed.
//!
//! # Invariants
//! - At most [`JOBS_MAX`] jobs are under way, and [`JOBS_PER_USER_MAX`] for one user: whoever
//!   guesses passwords delays others by the time that these take.
//! - A request waits for at most one job, and is told of its outcome once.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::jobs::Jobs;
use super::{Job, JobId, JobResult, Password, RequestId};
use crate::store::v2::auth::{Change, Claim, PasswordHash};
use crate::time::Instant;

/// Jobs that wait for the driver.
const JOBS_MAX: usize = 64;
/// Jobs that check passwords of one user.
const JOBS_PER_USER_MAX: usize = 8;
/// Requests that wait for one job.
const WAITERS_MAX: usize = 1_024;
/// Right passwords that are remembered.
const VERIFIED_MAX: usize = 4_096;
/// Wrong passwords that are remembered: enough for clients that have not heard of a change.
const REFUSED_MAX: usize = 64;
const SECRET_BYTES: usize = 32;

type Digest = [u8; 32];

/// What makes digests useless to whoever does not know it. It is never printed.
struct Secret(Bytes);

impl core::fmt::Debug for Secret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A request that waits for a job.
#[derive(Clone, Copy, Debug)]
struct Waiter {
    request: RequestId,
    deadline: Instant,
}

/// A change of a user that lacks only the hash of its password.
#[derive(Debug)]
pub(super) struct Unhashed {
    pub(super) change: Change,
    pub(super) claim: Option<Claim>,
}

#[derive(Debug)]
enum Task {
    Secret,
    Verify {
        user: Bytes,
        digest: Option<Digest>,
        /// What the digest is of, while there is no secret to make it.
        given: Option<(PasswordHash, Password)>,
        waiters: Vec<Waiter>,
    },
    Hash {
        unhashed: Unhashed,
        waiter: Option<Waiter>,
    },
}

/// What is known of a password.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It is right, or wrong.
    Known(bool),
    /// These jobs will tell.
    Asked(Vec<(JobId, Job)>),
    /// Too many wait already.
    Busy,
}

/// What follows from a job's end.
#[derive(Debug)]
pub(super) enum Finished {
    /// Nothing.
    Nothing,
    /// The requests that waited for a password's check.
    Verified(Vec<RequestId>, bool),
    /// A change is complete and may be proposed.
    Hashed(RequestId, Change, Option<Claim>),
}

/// The jobs, and what earlier ones have found.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    secret: Option<Secret>,
    verified: Recent<VERIFIED_MAX>,
    refused: Recent<REFUSED_MAX>,
    tasks: BTreeMap<JobId, Task>,
}

impl Credentials {
    /// Whether this is the password of the user with that hash.
    pub(super) fn verify(
        &mut self,
        request: RequestId,
        (user, hash): (Bytes, &PasswordHash),
        password: Password,
        deadline: Instant,
        ids: &mut Jobs,
    ) -> Verdict {
        let waiter = Waiter { request, deadline };
        let digest = self.secret.as_ref().map(|secret| digest(secret, &user, hash, &password));
        if let Some(digest) = &digest {
            if self.verified.contains(digest) {
                return Verdict::Known(true);
            }
            if self.refused.contains(digest) {
                return Verdict::Known(false);
            }
            if let Some(waiters) = self.waiters_of(digest) {
                if waiters.len() >= WAITERS_MAX {
                    return Verdict::Busy;
                }
                waiters.push(waiter);
                return Verdict::Asked(Vec::new());
            }
        }
        let of_user = self.tasks.values().filter(|task| task.is_about(&user)).count();
        if self.tasks.len() >= JOBS_MAX || of_user >= JOBS_PER_USER_MAX {
            return Verdict::Busy;
        }
        let mut jobs = Vec::new();
        if self.secret.is_none() && !self.tasks.values().any(|task| matches!(task, Task::Secret)) {
            jobs.push((self.begin(ids.next_id(), Task::Secret), Job::Secret(SECRET_BYTES)));
        }
        let given = digest.is_none().then(|| (hash.clone(), password.clone()));
        let id = self.begin(
            ids.next_id(),
            Task::Verify { user, digest, given, waiters: Vec::from([waiter]) },
        );
        jobs.push((id, Job::VerifyPassword { hash: hash.clone(), password }));
        Verdict::Asked(jobs)
    }

    /// Has the password of a change hashed. None if too many wait already.
    pub(super) fn hash(
        &mut self,
        request: RequestId,
        unhashed: Unhashed,
        password: Password,
        deadline: Instant,
        ids: &mut Jobs,
    ) -> Option<(JobId, Job)> {
        if self.tasks.len() >= JOBS_MAX {
            return None;
        }
        let waiter = Some(Waiter { request, deadline });
        let id = self.begin(ids.next_id(), Task::Hash { unhashed, waiter });
        Some((id, Job::HashPassword(password)))
    }

    fn begin(&mut self, id: JobId, task: Task) -> JobId {
        self.tasks.insert(id, task);
        id
    }

    fn waiters_of(&mut self, wanted: &Digest) -> Option<&mut Vec<Waiter>> {
        self.tasks.values_mut().find_map(|task| match task {
            Task::Verify { digest: Some(digest), waiters, .. } if digest == wanted => Some(waiters),
            _ => None,
        })
    }

    /// A job is done.
    pub(super) fn finished(&mut self, id: JobId, result: JobResult) -> Finished {
        match (self.tasks.remove(&id), result) {
            (Some(Task::Secret), JobResult::Secret(secret)) => {
                self.on_secret(Secret(secret));
                Finished::Nothing
            }
            (Some(Task::Verify { digest, waiters, .. }), JobResult::Verified(right)) => {
                match digest {
                    Some(digest) if right => self.verified.insert(digest),
                    Some(digest) => self.refused.insert(digest),
                    None => {}
                }
                let requests = waiters.into_iter().map(|waiter| waiter.request).collect();
                Finished::Verified(requests, right)
            }
            (Some(Task::Hash { mut unhashed, waiter: Some(waiter) }), JobResult::Hashed(hash)) => {
                unhashed.change.set_hash(hash);
                Finished::Hashed(waiter.request, unhashed.change, unhashed.claim)
            }
            // Nobody waits for it any more, or the driver answers what was not asked.
            _ => Finished::Nothing,
        }
    }

    /// From now on what is found can be remembered, the checks under way included.
    fn on_secret(&mut self, secret: Secret) {
        for task in self.tasks.values_mut() {
            if let Task::Verify { user, digest: missing, given, .. } = task
                && let Some((hash, password)) = given.take()
            {
                *missing = Some(digest(&secret, user, &hash, &password));
            }
        }
        self.secret = Some(secret);
    }

    /// The client is gone. A job that was begun is not stopped.
    pub(super) fn cancel(&mut self, request: RequestId) {
        self.take(|waiter| waiter.request == request);
    }

    /// Takes the requests whose time is up.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<RequestId> {
        self.take(|waiter| waiter.deadline <= now)
    }

    /// Takes all of them, for a member that goes.
    pub(super) fn drain(&mut self) -> Vec<RequestId> {
        self.take(|_| true)
    }

    fn take(&mut self, mut wanted: impl FnMut(&Waiter) -> bool) -> Vec<RequestId> {
        let mut taken = Vec::new();
        for task in self.tasks.values_mut() {
            match task {
                Task::Verify { waiters, .. } => {
                    taken.extend(waiters.extract_if(.., |waiter| wanted(waiter)));
                }
                Task::Hash { waiter, .. } => {
                    taken.extend(waiter.take_if(|waiter| wanted(waiter)));
                }
                Task::Secret => {}
            }
        }
        taken.into_iter().map(|waiter| waiter.request).collect()
    }

    /// When the first request's time is up.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let waiters = self.tasks.values().flat_map(|task| match task {
            Task::Verify { waiters, .. } => waiters.as_slice(),
            Task::Hash { waiter, .. } => waiter.as_slice(),
            Task::Secret => &[],
        });
        waiters.map(|waiter| waiter.deadline).min()
    }
}

impl Task {
    fn is_about(&self, name: &Bytes) -> bool {
        matches!(self, Self::Verify { user, .. } if user == name)
    }
}

fn digest(secret: &Secret, user: &Bytes, hash: &PasswordHash, password: &Password) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update(&secret.0);
    for part in [&user[..], hash.0.as_bytes()] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.update(&password.0);
    hasher.finalize().into()
}

/// The digests that were put in last, at most `MAX`.
#[derive(Default)]
struct Recent<const MAX: usize> {
    known: BTreeSet<Digest>,
    order: VecDeque<Digest>,
}

impl<const MAX: usize> Recent<MAX> {
    fn contains(&self, digest: &Digest) -> bool {
        self.known.contains(digest)
    }

    fn insert(&mut self, digest: Digest) {
        if !self.known.insert(digest) {
            return;
        }
        self.order.push_back(digest);
        if self.order.len() > MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

impl<const MAX: usize> core::fmt::Debug for Recent<MAX> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} of at most {MAX}", self.order.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant(5);
    const LATER: Instant = Instant(9);

    fn password(text: &'static str) -> Password {
        Password(Bytes::from(text))
    }

    fn hash(text: &str) -> PasswordHash {
        PasswordHash(text.into())
    }

    /// Credentials, and the ids of their jobs.
    #[derive(Default)]
    struct Fixture {
        credentials: Credentials,
        ids: Jobs,
    }

    impl Fixture {
        fn verify(&mut self, id: u64, user: Bytes, stored: &str, given: Bytes) -> Verdict {
            let user = (user, &hash(stored));
            let Self { credentials, ids } = self;
            credentials.verify(RequestId(id), user, Password(given), LATER, ids)
        }

        fn ask(&mut self, id: u64, stored: &str, given: &'static str) -> Verdict {
            self.verify(id, Bytes::from("ann"), stored, Bytes::from(given))
        }

        fn guess(&mut self, user: usize, number: usize) -> Verdict {
            let bytes = |number: usize| Bytes::from(number.to_le_bytes().to_vec());
            self.verify(9, bytes(user), "h", bytes(number))
        }

        fn finished(&mut self, id: JobId, result: JobResult) -> Finished {
            self.credentials.finished(id, result)
        }
    }

    fn jobs(verdict: Verdict) -> Vec<JobId> {
        match verdict {
            Verdict::Asked(jobs) => jobs.into_iter().map(|(id, _)| id).collect(),
            other => panic!("{other:?} asks for no job"),
        }
    }

    fn with_secret() -> Fixture {
        let mut fixture = Fixture::default();
        let asked = jobs(fixture.ask(1, "h", "first"));
        assert_eq!(asked.len(), 2, "the secret is drawn beside the first check");
        fixture.finished(asked[0], JobResult::Secret(Bytes::from("pepper")));
        fixture.finished(asked[1], JobResult::Verified(true));
        fixture
    }

    #[test]
    fn the_first_password_is_remembered_like_any_other() {
        let mut fixture = with_secret();
        assert!(matches!(fixture.ask(2, "h", "first"), Verdict::Known(true)));
    }

    #[test]
    fn a_password_is_checked_once_until_the_hash_changes() {
        let mut fixture = with_secret();
        let first = jobs(fixture.ask(2, "h", "x"));
        assert_eq!(jobs(fixture.ask(3, "h", "x")), [], "it joins the job under way");
        let told = fixture.finished(first[0], JobResult::Verified(true));
        let Finished::Verified(requests, true) = told else { panic!("{told:?}") };
        assert_eq!(requests, [RequestId(2), RequestId(3)]);
        assert!(matches!(fixture.ask(4, "h", "x"), Verdict::Known(true)));
        assert_eq!(jobs(fixture.ask(5, "h2", "x")).len(), 1, "another hash");
        assert_eq!(jobs(fixture.ask(6, "h", "y")).len(), 1, "another password");
    }

    #[test]
    fn wrong_passwords_push_each_other_out() {
        let mut fixture = with_secret();
        for number in 0..=REFUSED_MAX {
            let asked = jobs(fixture.guess(0, number));
            fixture.finished(asked[0], JobResult::Verified(false));
        }
        assert!(matches!(fixture.guess(0, REFUSED_MAX), Verdict::Known(false)));
        assert_eq!(jobs(fixture.guess(0, 0)).len(), 1, "the first one is forgotten");
    }

    #[test]
    fn a_storm_of_guesses_is_refused_user_by_user() {
        let mut fixture = with_secret();
        for number in 0..JOBS_PER_USER_MAX {
            assert_eq!(jobs(fixture.guess(0, number)).len(), 1);
        }
        assert!(matches!(fixture.guess(0, 99), Verdict::Busy));
        let others = (JOBS_MAX - JOBS_PER_USER_MAX).div_ceil(JOBS_PER_USER_MAX);
        for user in 1..=others {
            for number in 0..JOBS_PER_USER_MAX {
                assert_eq!(jobs(fixture.guess(user, number)).len(), 1);
            }
        }
        assert!(matches!(fixture.guess(100, 0), Verdict::Busy));
    }

    #[test]
    fn whoever_has_gone_is_told_nothing() {
        let mut fixture = with_secret();
        let unhashed =
            Unhashed { change: Change::DeleteUser("never proposed".into()), claim: None };
        let Fixture { credentials, ids } = &mut fixture;
        let hashing = credentials.hash(RequestId(2), unhashed, password("x"), LATER, ids);
        let checking = jobs(fixture.ask(3, "h", "y"));
        jobs(fixture.ask(4, "h", "y"));
        fixture.credentials.cancel(RequestId(3));
        assert_eq!(fixture.credentials.deadline(), Some(LATER));
        assert_eq!(fixture.credentials.expire(NOW), []);
        assert_eq!(fixture.credentials.expire(LATER), [RequestId(2), RequestId(4)]);
        assert_eq!(fixture.credentials.deadline(), None);
        let told = fixture.finished(checking[0], JobResult::Verified(true));
        assert!(matches!(told, Finished::Verified(requests, true) if requests.is_empty()));
        let (job, _) = hashing.expect("there is room");
        let told = fixture.finished(job, JobResult::Hashed(hash("h")));
        assert!(matches!(told, Finished::Nothing));
    }

    #[test]
    fn nothing_printed_shows_a_password_or_the_secret() {
        let mut fixture = with_secret();
        let shown = alloc::format!("{:?}", fixture.ask(2, "stored", "sesame"));
        let all = alloc::format!("{shown} {:?}", fixture.credentials);
        for hidden in ["stored", "sesame", "pepper"] {
            assert!(!all.contains(hidden), "{hidden}: {all}");
        }
        assert!(all.contains("Secret(..)"), "{all}");
    }
}
