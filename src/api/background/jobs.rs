//! The jobs that this process works on.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The tasks of this process, by the responses that they make.
#[derive(Debug)]
pub struct Jobs {
    /// What this process holds its leases under.
    id: String,
    running: Mutex<HashMap<String, Entry>>,
    idle: Notify,
    /// Whether all tasks are left to other processes.
    is_over: AtomicBool,
}

#[derive(Debug)]
struct Entry {
    left: CancellationToken,
    /// Whether the store has its job.
    is_stored: bool,
}

/// A task. Dropping the last clone says that it has ended.
#[derive(Clone, Debug)]
pub struct Running(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    jobs: Arc<Jobs>,
    response: String,
    left: CancellationToken,
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            id: Uuid::new_v4().simple().to_string(),
            running: Mutex::default(),
            idle: Notify::new(),
            is_over: AtomicBool::new(false),
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
        let left = CancellationToken::new();
        let entry = Entry {
            left: left.clone(),
            is_stored: false,
        };
        running.insert(response.to_owned(), entry);
        Some(Running(Arc::new(Inner {
            jobs: Arc::clone(self),
            response: response.to_owned(),
            left,
        })))
    }

    /// Has the task of a response left as it is.
    pub fn leave(&self, response: &str) {
        if let Some(entry) = self.running().get(response) {
            entry.left.cancel();
        }
    }

    /// Has all tasks left but those of these responses, out of those that ran `before`.
    pub fn leave_others(&self, kept: &[String], before: &HashSet<String>) {
        let kept: HashSet<&str> = kept.iter().map(String::as_str).collect();
        for (response, entry) in &*self.running() {
            if before.contains(response) && !kept.contains(response.as_str()) {
                entry.left.cancel();
            }
        }
    }

    /// Has all tasks left as they are, to other processes.
    pub fn leave_all(&self) {
        self.is_over.store(true, Ordering::Release);
        self.running()
            .values()
            .for_each(|entry| entry.left.cancel());
    }

    /// The responses that are being made here.
    pub fn responses(&self) -> HashSet<String> {
        self.running().keys().cloned().collect()
    }

    /// Those of them whose jobs the store has.
    pub fn stored(&self) -> HashSet<String> {
        let running = self.running();
        let stored = running.iter().filter(|(_, entry)| entry.is_stored);
        stored.map(|(response, _)| response.clone()).collect()
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

    fn running(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Says that the store has the job.
    pub fn is_stored(&self) {
        if let Some(entry) = self.0.jobs.running().get_mut(&self.0.response) {
            entry.is_stored = true;
        }
    }

    /// Resolves when the job is none of this task's any more.
    pub async fn until_left(&self) {
        self.0.left.cancelled().await;
    }

    /// Whether another process goes on with it.
    pub fn is_handed_over(&self) -> bool {
        self.0.jobs.is_over.load(Ordering::Acquire) && self.0.left.is_cancelled()
    }

    /// Leaves it.
    pub fn leave(&self) {
        self.0.left.cancel();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let mut running = self.jobs.running();
        running.remove(&self.response);
        if running.is_empty() {
            self.jobs.idle.notify_waiters();
        }
    }
}
