//! A queued call and the queue of them.

use std::{
    collections::VecDeque,
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};

use crate::emulator::{http::call::Whole, plan::Plan, script::Quirk, server::State};

/// Calls remembered; older ones are forgotten.
const MAX_TICKETS: usize = 1000;
/// Bytes of all their bodies and results together.
const MAX_BYTES: usize = 256 << 20;

/// How far a queued call has come. There is no state for a failure or a cancellation: both are
/// completed, with an error for a result.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    InQueue,
    InProgress,
    Completed { result: Whole, took: Duration },
}

impl Phase {
    fn rank(&self) -> u8 {
        match self {
            Phase::InQueue => 1,
            Phase::InProgress => 2,
            Phase::Completed { .. } => 3,
        }
    }
}

/// One queued call.
pub(in crate::emulator) struct Ticket {
    id: String,
    plan: Plan,
    started: Instant,
    phase: watch::Sender<Phase>,
    /// Rank of the furthest phase that somebody was shown.
    seen: watch::Sender<u8>,
    cancel: Notify,
}

impl Ticket {
    pub(super) fn new(id: String, plan: Plan) -> Ticket {
        Ticket {
            id,
            plan,
            started: Instant::now(),
            phase: watch::Sender::new(Phase::InQueue),
            seen: watch::Sender::new(0),
            cancel: Notify::new(),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.borrow().clone()
    }

    /// Follows the phases.
    pub(super) fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Notes that somebody was shown `phase`.
    pub(super) fn show(&self, phase: &Phase) {
        self.seen.send_if_modified(|seen| {
            let further = phase.rank() > *seen;
            *seen = phase.rank().max(*seen);
            further
        });
    }

    pub(super) fn result(&self) -> Option<Whole> {
        match &*self.phase.borrow() {
            Phase::Completed { result, .. } => Some(result.clone()),
            Phase::InQueue | Phase::InProgress => None,
        }
    }

    /// Waits in the queue and runs the call; each state lasts until it was seen, or `unseen`.
    pub(super) async fn progress(&self, state: &State, unseen: Duration) -> Whole {
        if self.plan.behaviour.has(Quirk::Stuck) {
            pending::<()>().await;
        }
        self.until_seen(&Phase::InQueue, unseen).await;
        self.phase.send_replace(Phase::InProgress);
        if self.plan.behaviour.has(Quirk::Hang) {
            pending::<()>().await;
        }
        sleep(self.plan.behaviour.latency).await;
        let result = self.plan.result(state).await;
        self.until_seen(&Phase::InProgress, unseen).await;
        result
    }

    async fn until_seen(&self, phase: &Phase, unseen: Duration) {
        let mut seen = self.seen.subscribe();
        // Seen or not, the call goes on.
        let _ = timeout(unseen, seen.wait_for(|&seen| seen >= phase.rank())).await;
    }

    pub(super) fn finish(&self, result: Whole) {
        self.phase.send_replace(Phase::Completed {
            result,
            took: self.started.elapsed(),
        });
    }

    pub(super) fn cancel(&self) {
        self.cancel.notify_one();
    }

    pub(super) async fn cancelled(&self) {
        self.cancel.notified().await;
    }

    fn is_waiting(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::InQueue)
    }

    /// Bytes that remembering it costs.
    fn weight(&self) -> usize {
        let result = match &*self.phase.borrow() {
            Phase::Completed { result, .. } => result.body.len(),
            Phase::InQueue | Phase::InProgress => 0,
        };
        self.plan.body_bytes() + result
    }
}

/// The queue, shared by all workers.
#[derive(Default)]
pub(in crate::emulator) struct Queue(Mutex<VecDeque<Arc<Ticket>>>);

impl Queue {
    pub(super) fn push(&self, ticket: Arc<Ticket>) {
        let mut tickets = self.tickets();
        tickets.push_back(ticket);
        let mut bytes: usize = tickets.iter().map(|ticket| ticket.weight()).sum();
        while tickets.len() > MAX_TICKETS || bytes > MAX_BYTES {
            let Some(oldest) = tickets.pop_front() else {
                return;
            };
            bytes -= oldest.weight();
        }
    }

    pub(super) fn find(&self, id: &str) -> Option<Arc<Ticket>> {
        self.tickets()
            .iter()
            .find(|ticket| ticket.id == id)
            .cloned()
    }

    /// How many calls wait.
    pub(super) fn waiting(&self) -> usize {
        self.tickets()
            .iter()
            .filter(|ticket| ticket.is_waiting())
            .count()
    }

    /// How many calls wait before `ticket`.
    pub(super) fn position(&self, ticket: &Ticket) -> usize {
        let tickets = self.tickets();
        let before = tickets.iter().take_while(|other| other.id != ticket.id);
        before.filter(|other| other.is_waiting()).count()
    }

    fn tickets(&self) -> MutexGuard<'_, VecDeque<Arc<Ticket>>> {
        // Nothing is left half-done while the lock is held, so a panic elsewhere does not matter.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
