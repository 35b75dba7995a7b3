//! The jobs that this process works on.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::LEASE;
use super::follow::Readers;
use super::live::LiveLog;
use super::looks::Followed;

/// The tasks of this process, by the responses that they make.
#[derive(Debug)]
pub struct Jobs {
    /// What this process holds its leases under.
    id: String,
    running: Mutex<HashMap<String, Arc<Hold>>>,
    idle: Notify,
    renewed: Notify,
    /// Whether all tasks are left to other processes.
    is_over: AtomicBool,
    /// Memory that the requests of all tasks take up.
    memory: AtomicUsize,
    /// Those who read along, or what was said.
    pub(super) readers: Readers,
    /// What those among them wait for whose events another process brings.
    pub(super) followed: Followed,
}

/// How a task holds on to its job.
#[derive(Debug, Default)]
struct Hold {
    left: CancellationToken,
    /// Whether somebody here called it off.
    is_called_off: AtomicBool,
    /// Whether another process may have it by now.
    is_taken: AtomicBool,
    /// When its lease was got or renewed last. Without one, the store is not known to have the job.
    leased_at: Mutex<Option<Instant>>,
    /// Its events, where it is streamed.
    live: OnceLock<Arc<LiveLog>>,
}

/// A task. Dropping the last clone says that it has ended.
#[derive(Clone, Debug)]
pub struct Running(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    jobs: Arc<Jobs>,
    response: String,
    hold: Arc<Hold>,
}

/// Memory that the request of a task takes up; given back when it is dropped.
#[derive(Debug)]
pub struct LongMemory {
    jobs: Arc<Jobs>,
    bytes: usize,
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            id: Uuid::new_v4().simple().to_string(),
            running: Mutex::default(),
            idle: Notify::new(),
            renewed: Notify::new(),
            is_over: AtomicBool::new(false),
            memory: AtomicUsize::new(0),
            readers: Readers::default(),
            followed: Followed::default(),
        }
    }
}

impl Jobs {
    /// What this process holds its leases under.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A task for a response, unless there is one.
    pub fn start(self: &Arc<Self>, response: &str) -> Option<Running> {
        let mut running = self.running();
        if running.contains_key(response) || self.is_over.load(Ordering::Acquire) {
            return None;
        }
        let hold = Arc::<Hold>::default();
        running.insert(response.to_owned(), Arc::clone(&hold));
        Some(Running(Arc::new(Inner {
            jobs: Arc::clone(self),
            response: response.to_owned(),
            hold,
        })))
    }

    /// Room for a request of so many bytes, which stays for as long as its task, unless all of them
    /// together come to more than `most`: who only waits for fal must not keep others out.
    pub fn remember(self: &Arc<Self>, bytes: usize, most: usize) -> Option<LongMemory> {
        let grow = |held: usize| held.checked_add(bytes).filter(|held| *held <= most);
        let grown = self
            .memory
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, grow);
        grown.ok().map(|_| LongMemory {
            jobs: Arc::clone(self),
            bytes,
        })
    }

    /// Has the task of a response left as it is: it was called off. Whether there is one, which settles
    /// what it cost.
    pub fn leave(&self, response: &str) -> bool {
        let running = self.running();
        let Some(hold) = running.get(response) else {
            return false;
        };
        hold.is_called_off.store(true, Ordering::Release);
        hold.left.cancel();
        true
    }

    /// Takes in which leases were renewed, of those that were held `before`: the store was asked at
    /// `asked`, and has answered by `now`. The tasks of the others are left.
    pub fn renewed(&self, kept: &[String], before: &HashSet<String>, asked: Instant, now: Instant) {
        let kept: HashSet<&str> = kept.iter().map(String::as_str).collect();
        for (response, hold) in &*self.running() {
            match kept.contains(response.as_str()) {
                true if before.contains(response) => hold.is_leased(asked),
                false if before.contains(response) => hold.lose(now),
                _ => {}
            }
        }
        self.renewed.notify_waiters();
    }

    /// Has all tasks left as they are, to other processes.
    pub fn leave_all(&self) {
        self.is_over.store(true, Ordering::Release);
        self.running().values().for_each(|hold| hold.left.cancel());
    }

    /// The responses that are being made here.
    pub fn responses(&self) -> HashSet<String> {
        self.running().keys().cloned().collect()
    }

    /// The events of a response that is streamed and made here.
    pub fn live(&self, response: &str) -> Option<Arc<LiveLog>> {
        let running = self.running();
        running.get(response)?.live.get().cloned()
    }

    /// Those of them whose jobs the store has.
    pub fn leased(&self) -> HashSet<String> {
        let running = self.running();
        let leased = running
            .iter()
            .filter(|(_, hold)| hold.leased_at().is_some());
        leased.map(|(response, _)| response.clone()).collect()
    }

    /// Waits until there is no task.
    pub async fn until_idle(&self) {
        loop {
            let told = self.idle.notified();
            if self.running().is_empty() {
                return;
            }
            told.await;
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, Arc<Hold>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hold {
    fn leased_at(&self) -> MutexGuard<'_, Option<Instant>> {
        self.leased_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn is_leased(&self, now: Instant) {
        *self.leased_at() = Some(now);
    }

    fn has_lease(&self, now: Instant) -> bool {
        let at = *self.leased_at();
        at.is_some_and(|at| now.saturating_duration_since(at) < LEASE)
    }

    /// The job is none of this process any more. While the lease held, nobody could take it, so it was
    /// called off, and its task settles what it cost. After that somebody else may have it, who does.
    fn lose(&self, now: Instant) {
        if !self.left.is_cancelled() {
            let is_taken = !self.has_lease(now);
            self.is_taken.store(is_taken, Ordering::Release);
            self.left.cancel();
        }
    }
}

impl Running {
    /// What the task's gateway holds its lease under.
    pub fn gateway(&self) -> &str {
        &self.0.jobs.id
    }

    /// The id of the response.
    pub fn response(&self) -> &str {
        &self.0.response
    }

    /// Lets others read the events of the response along.
    pub fn shows(&self, live: &Arc<LiveLog>) {
        let _ = self.0.hold.live.set(Arc::clone(live));
    }

    /// Says that the store has the job, and gave it to this process when it was asked, at `asked` or later.
    pub fn is_leased(&self, asked: Instant) {
        self.0.hold.is_leased(asked);
    }

    /// Resolves when the job is none of this task's any more.
    pub async fn until_left(&self) {
        self.0.hold.left.cancelled().await;
    }

    /// Waits until nobody else can have the job. Where somebody else has it, the task is left meanwhile.
    pub async fn until_leased(&self) {
        loop {
            let told = self.0.jobs.renewed.notified();
            if self.0.hold.has_lease(Instant::now()) {
                return;
            }
            told.await;
        }
    }

    /// Whether another process goes on with it.
    pub fn is_handed_over(&self) -> bool {
        let Inner { jobs, hold, .. } = &*self.0;
        let is_others =
            hold.is_taken.load(Ordering::Acquire) || jobs.is_over.load(Ordering::Acquire);
        is_others && hold.left.is_cancelled()
    }

    /// Whether another process may have it by now, since its lease was not renewed in time.
    pub fn is_taken(&self) -> bool {
        self.0.hold.is_taken.load(Ordering::Acquire)
    }

    /// Whether somebody here called it off, and tells fal.
    pub fn is_called_off(&self) -> bool {
        self.0.hold.is_called_off.load(Ordering::Acquire)
    }

    /// Leaves it, since the store says that it is none of this process any more.
    pub fn lose(&self) {
        self.0.hold.lose(Instant::now());
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(live) = self.hold.live.get() {
            live.end();
        }
        let mut running = self.jobs.running();
        running.remove(&self.response);
        if running.is_empty() {
            self.jobs.idle.notify_waiters();
        }
    }
}

impl Drop for LongMemory {
    fn drop(&mut self) {
        self.jobs.memory.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A task with a lease, and when it got that.
    fn leased(jobs: &Arc<Jobs>) -> (Running, Instant) {
        let running = jobs.start("resp_1").unwrap();
        let now = Instant::now();
        running.0.hold.is_leased(now);
        (running, now)
    }

    #[test]
    fn what_goes_while_its_lease_holds_was_called_off_and_after_that_it_is_somebody_elses() {
        for (since, is_handed_over) in [
            (LEASE - Duration::from_millis(1), false),
            (LEASE, true),
            (LEASE * 3, true),
        ] {
            let jobs = Arc::<Jobs>::default();
            let (running, begun) = leased(&jobs);
            jobs.renewed(&[], &jobs.leased(), begun + since, begun + since);
            assert!(running.0.hold.left.is_cancelled());
            assert_eq!(running.is_handed_over(), is_handed_over, "{since:?}");
        }
    }

    #[test]
    fn a_lease_that_is_renewed_holds_longer() {
        let jobs = Arc::<Jobs>::default();
        let (running, begun) = leased(&jobs);
        let later = begun + LEASE * 2;
        assert!(!running.0.hold.has_lease(later));
        jobs.renewed(&["resp_1".to_owned()], &jobs.leased(), later, later);
        assert!(running.0.hold.has_lease(later));
        assert!(!running.0.hold.left.is_cancelled());
    }

    #[test]
    fn nobody_loses_what_the_store_is_not_known_to_have() {
        let jobs = Arc::<Jobs>::default();
        let running = jobs.start("resp_1").unwrap();
        jobs.renewed(&[], &jobs.leased(), Instant::now(), Instant::now());
        assert!(!running.0.hold.left.is_cancelled());
    }

    #[test]
    fn requests_of_tasks_have_so_much_memory_together_and_give_it_back() {
        let jobs = Arc::<Jobs>::default();
        let first = jobs.remember(60, 100);
        assert!(first.is_some() && jobs.remember(41, 100).is_none());
        assert!(jobs.remember(40, 100).is_some());
        drop(first);
        assert!(jobs.remember(100, 100).is_some());
    }
}
