//! Calls to fal that have ended, on their way to the ledger.
//!
//! Whoever runs requests pushes them and goes on; whoever keeps the ledger takes them in batches.
//! What waits is bounded, and what finds no room is counted.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// One call to fal. It holds nothing of what was asked or answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub payer: Payer,
    /// Through which API it was asked for: `chat`, `messages`.
    pub face: &'static str,
    pub kind: CallKind,
    /// The model that fal was asked for.
    pub model: String,
    /// Whether the catalogue knows the model, or fal has served it: other names may be invented.
    pub is_known_model: bool,
    pub upstream: &'static str,
    pub tokens: Tokens,
    /// Thousandths of a unit of fal's, and billionths of a dollar, each with what is charged in the
    /// other.
    pub units: i64,
    pub dollars: i64,
    /// Whether the model is at the premium rate, or might be.
    pub is_premium: bool,
    /// `yes`, `no` or `maybe`.
    pub billed: &'static str,
    /// Whether the request is counted with this call. It is counted once, with the first of its
    /// calls that is, or may be, paid for.
    pub counts_request: bool,
    /// `ok`, or why it is not.
    pub outcome: &'static str,
    pub duration_ms: u64,
    /// The gateway's id of the request.
    pub request_id: String,
    /// fal's id of the call; empty where fal gave none.
    pub fal_request_id: String,
}

/// Who pays for a request, and since when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payer {
    /// The name of the client key; empty where callers need none.
    pub key: Arc<str>,
    /// The name of its project; empty for none.
    pub project: Arc<str>,
    /// When the request was let in, on the clock that budgets go by, in milliseconds since 1970.
    pub at_ms: i64,
}

/// Why a call was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// The first for its request, or the same again without what was refused before.
    First,
    /// For another of the `n` answers.
    Choice,
    /// Another model or upstream, because the one before has refused.
    Fallback,
    /// The answer before was not what was promised.
    Reask,
}

impl CallKind {
    /// The word for it in the ledger.
    pub fn word(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Choice => "choice",
            Self::Fallback => "fallback",
            Self::Reask => "reask",
        }
    }
}

/// The tokens of a call that is, or may be, paid for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    pub input: u64,
    /// Of these, what the provider had read before.
    pub cached: u64,
    pub output: u64,
    /// Of these, what the model thought.
    pub reasoning: u64,
    /// Whether they are estimated: neither told by fal nor counted by a tokenizer.
    pub is_estimated: bool,
}

/// The calls that wait for the ledger.
#[derive(Debug)]
pub struct CallQueue {
    waiting: Mutex<Waiting>,
    is_on: AtomicBool,
    /// Told when a batch is full.
    full: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    calls: VecDeque<Call>,
    most: usize,
    lost: u64,
}

/// How many calls make a batch.
pub const BATCH: usize = 500;

impl Default for CallQueue {
    /// A queue that takes nothing until it is switched on.
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            is_on: AtomicBool::new(false),
            full: Notify::new(),
        }
    }
}

impl CallQueue {
    /// Has it take at most so many calls that wait, or none at all.
    pub fn allow(&self, most: usize) {
        self.waiting().most = most;
        self.is_on.store(most > 0, Ordering::Relaxed);
    }

    /// Whether calls are taken.
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Takes the calls of a request that is over. What finds no room is counted as lost.
    pub fn push(&self, calls: impl IntoIterator<Item = Call>) {
        if !self.is_on() {
            return;
        }
        let mut waiting = self.waiting();
        for call in calls {
            match waiting.calls.len() < waiting.most {
                true => waiting.calls.push_back(call),
                false => waiting.lost = waiting.lost.saturating_add(1),
            }
        }
        if waiting.calls.len() >= BATCH {
            drop(waiting);
            self.full.notify_one();
        }
    }

    /// Waits until a batch is full.
    pub async fn is_full(&self) {
        // It may have been told of a batch that has been taken meanwhile.
        while self.len() < BATCH {
            self.full.notified().await;
        }
    }

    /// Takes at most so many calls out, the oldest first.
    pub fn take(&self, most: usize) -> Vec<Call> {
        let mut waiting = self.waiting();
        let count = waiting.calls.len().min(most);
        waiting.calls.drain(..count).collect()
    }

    /// How many calls wait.
    pub fn len(&self) -> usize {
        self.waiting().calls.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many calls have found no room since this was asked last.
    pub fn take_lost(&self) -> u64 {
        std::mem::take(&mut self.waiting().lost)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(duration_ms: u64) -> Call {
        Call {
            payer: Payer::default(),
            face: "chat",
            kind: CallKind::First,
            model: String::new(),
            is_known_model: true,
            upstream: "any-llm",
            tokens: Tokens::default(),
            units: 0,
            dollars: 0,
            is_premium: false,
            billed: "yes",
            counts_request: true,
            outcome: "ok",
            duration_ms,
            request_id: String::new(),
            fal_request_id: String::new(),
        }
    }

    #[test]
    fn what_waits_is_bounded_and_what_is_lost_is_counted() {
        let queue = CallQueue::default();
        queue.push([call(0)]);
        assert_eq!(
            (queue.len(), queue.take_lost(), queue.is_on()),
            (0, 0, false)
        );
        queue.allow(BATCH + 2);
        queue.push((0..BATCH as u64 + 5).map(call));
        assert_eq!((queue.len(), queue.take_lost()), (BATCH + 2, 3));
        assert_eq!(queue.take_lost(), 0);
        let first = queue.take(BATCH);
        assert_eq!(first.len(), BATCH);
        assert_eq!(first[0].duration_ms, 0);
        assert_eq!(queue.take(BATCH).len(), 2);
        assert!(queue.is_empty());
    }
}
