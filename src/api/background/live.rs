//! The events of a response that is streamed while this process makes it: the last of them, for those who
//! read along, and those that are on their way into the store.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use memchr::memmem;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::store::responses::EventBatch;

/// How long events wait for others to be written with.
const PAUSE: Duration = Duration::from_millis(200);
/// How many bytes of them do not wait; larger batches are divided, as far as that goes.
const BATCH: usize = 64 * 1024;
/// How many bytes stay here once they are in the store.
const TAIL: usize = 64 * 1024;
/// How many bytes of events of one response are kept in the store.
const LONGEST: usize = 16 * 1024 * 1024;

/// The events of one response.
#[derive(Debug)]
pub struct LiveLog {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct State {
    pieces: VecDeque<Piece>,
    bytes: usize,
    /// How many of these wait to be written.
    waiting: usize,
    /// The number of the event that comes next.
    next: i64,
    /// The number of the first event that is not in the store.
    stored: i64,
    /// How many bytes have been, or are to be, written there.
    logged: usize,
    /// Since when something waits to be written.
    waits_since: Option<Instant>,
    /// Whether no more is written there.
    is_cut: bool,
    /// Whether all has been said.
    is_closed: bool,
    /// Whether nothing here changes any more.
    is_over: bool,
}

#[derive(Clone, Debug)]
struct Piece {
    first: i64,
    next: i64,
    events: Bytes,
}

/// What a reader finds from a number on.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    /// Events, and the number behind them.
    Events(Bytes, i64),
    /// They are in the store alone.
    Stored,
    /// None yet.
    Nothing,
    /// None, and none will come.
    Over,
}

impl LiveLog {
    /// A log whose first events are in the store.
    pub fn new(first: &EventBatch) -> Self {
        Self {
            state: Mutex::new(State {
                pieces: VecDeque::new(),
                bytes: 0,
                waiting: 0,
                next: first.next,
                stored: first.next,
                logged: first.events.len(),
                waits_since: None,
                is_cut: false,
                is_closed: false,
                is_over: false,
            }),
            changed: watch::Sender::new(()),
        }
    }

    /// Adds events, whole ones.
    pub fn add(&self, mut events: Bytes) {
        let mut state = self.state();
        let all = events.len();
        while !events.is_empty() {
            let (bytes, count) = cut(&events);
            let part = events.split_to(bytes);
            let piece = Piece {
                first: state.next,
                next: state.next.saturating_add(count),
                // A small part shall not keep all of it in memory.
                events: match bytes < all / 2 {
                    true => Bytes::copy_from_slice(&part),
                    false => part,
                },
            };
            state.next = piece.next;
            state.bytes = state.bytes.saturating_add(bytes);
            state.waiting = state.waiting.saturating_add(bytes);
            state.logged = state.logged.saturating_add(bytes);
            state.pieces.push_back(piece);
        }
        if state.logged > LONGEST {
            state.is_cut = true;
        }
        if !state.is_cut {
            state.waits_since.get_or_insert_with(Instant::now);
        }
        state.trim();
        drop(state);
        self.tell();
    }

    /// The number of the event that comes next.
    pub fn next(&self) -> i64 {
        self.state().next
    }

    /// How many bytes lie here.
    pub fn bytes(&self) -> usize {
        self.state().bytes
    }

    /// What a reader finds who has all events before `from`.
    pub fn after(&self, from: i64) -> Seen {
        let state = self.state();
        if from >= state.next {
            return match state.is_over {
                true => Seen::Over,
                false => Seen::Nothing,
            };
        }
        let begin = state.pieces.partition_point(|piece| piece.next <= from);
        let mut wanted = state.pieces.range(begin..);
        let Some(first) = wanted.next() else {
            return Seen::Stored;
        };
        if first.first > from && from < state.stored {
            return Seen::Stored;
        }
        let skipped = first.events.len() - behind(&first.events, first.first, from).len();
        let (mut next, mut events) = (first.next, first.events.slice(skipped..));
        let mut joined = Vec::new();
        for piece in wanted {
            let length = events.len().max(joined.len());
            if length.saturating_add(piece.events.len()) > BATCH {
                break;
            }
            if joined.is_empty() {
                joined.extend_from_slice(&events);
            }
            joined.extend_from_slice(&piece.events);
            next = piece.next;
        }
        if !joined.is_empty() {
            events = joined.into();
        }
        Seen::Events(events, next)
    }

    /// Tells of changes from now on.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Waits until something should be written, and gives it; nothing where nothing is left to be
    /// written, ever.
    pub async fn due(&self) -> Vec<EventBatch> {
        let mut changes = self.changes();
        loop {
            changes.mark_unchanged();
            let due = self.state().due();
            match due {
                Some(at) if at <= Instant::now() => return self.state().unstored(),
                Some(at) => {
                    tokio::select! {
                        () = sleep_until(at) => {}
                        _ = changes.changed() => {}
                    }
                }
                None if self.state().is_closed => return Vec::new(),
                None => drop(changes.changed().await),
            }
        }
    }

    /// Says that the store has all events before this number.
    pub fn stored(&self, next: i64) {
        let mut state = self.state();
        state.stored = next.max(state.stored);
        let waiting = state.pieces.iter().rev();
        let waiting = waiting.take_while(|piece| piece.next > state.stored);
        state.waiting = waiting.map(|piece| piece.events.len()).sum();
        state.waits_since = (state.waiting > 0).then(Instant::now);
        state.trim();
        drop(state);
        self.tell();
    }

    /// Says that the store takes no more of them.
    pub fn cut(&self) {
        let mut state = self.state();
        state.is_cut = true;
        state.waits_since = None;
        state.trim();
        drop(state);
        self.tell();
    }

    /// Says that all has been said. What waits is written at once.
    pub fn close(&self) {
        self.state().is_closed = true;
        self.tell();
    }

    /// Says that nothing changes any more.
    pub fn end(&self) {
        self.state().is_over = true;
        self.tell();
    }

    fn tell(&self) {
        self.changed.send_replace(());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// When what waits is to be written.
    fn due(&self) -> Option<Instant> {
        let since = self.waits_since.filter(|_| !self.is_cut)?;
        let is_now = self.is_closed || self.waiting >= BATCH;
        Some(if is_now { since } else { since + PAUSE })
    }

    /// What is not in the store, in batches.
    fn unstored(&self) -> Vec<EventBatch> {
        let mut batches: Vec<EventBatch> = Vec::new();
        let begin = self
            .pieces
            .partition_point(|piece| piece.next <= self.stored);
        for piece in self.pieces.range(begin..) {
            match batches.last_mut() {
                Some(last) if last.events.len() + piece.events.len() <= BATCH => {
                    last.events.extend_from_slice(&piece.events);
                    last.next = piece.next;
                }
                _ => batches.push(EventBatch {
                    first: piece.first,
                    next: piece.next,
                    events: piece.events.to_vec(),
                }),
            }
        }
        batches
    }

    /// Lets go of what is in the store, or never will be, but for the last of it.
    fn trim(&mut self) {
        while self.bytes > TAIL
            && let Some(first) = self.pieces.front()
            && (first.next <= self.stored || self.is_cut)
        {
            self.bytes = self.bytes.saturating_sub(first.events.len());
            self.pieces.pop_front();
        }
    }
}

/// Where each event ends.
fn ends(events: &[u8]) -> impl Iterator<Item = usize> {
    // No event holds an empty line: JSON has no line break in it.
    memmem::find_iter(events, b"\n\n").map(|at| at.saturating_add(2))
}

/// How many bytes of events, at least one, make a piece, and how many events these are.
fn cut(events: &[u8]) -> (usize, i64) {
    let (mut bytes, mut count) = (0, 0_i64);
    for end in ends(events) {
        if count > 0 && end > BATCH {
            break;
        }
        (bytes, count) = (end, count.saturating_add(1));
    }
    match count {
        // What is no event is left out by nobody.
        0 => (events.len(), 1),
        _ => (bytes, count),
    }
}

/// What is left of events, of which the first has this number, without those before `from`.
pub fn behind(events: &[u8], first: i64, from: i64) -> &[u8] {
    let skipped = usize::try_from(from.saturating_sub(first)).unwrap_or(0);
    let begin = match skipped.checked_sub(1) {
        None => 0,
        Some(last) => ends(events).nth(last).unwrap_or(events.len()),
    };
    events.get(begin..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: i64) -> String {
        format!("event: e\ndata: {{\"sequence_number\":{number}}}\n\n")
    }

    fn begun() -> LiveLog {
        LiveLog::new(&EventBatch {
            first: 0,
            next: 2,
            events: [event(0), event(1)].concat().into_bytes(),
        })
    }

    fn seen(log: &LiveLog, from: i64) -> String {
        match log.after(from) {
            Seen::Events(events, _) => String::from_utf8(events.to_vec()).unwrap(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_reader_gets_what_he_does_not_have_and_nothing_twice() {
        let log = begun();
        assert_eq!(seen(&log, 0), "Stored");
        assert_eq!(seen(&log, 2), "Nothing");
        log.add([event(2), event(3)].concat().into());
        log.add(event(4).into());
        assert_eq!(seen(&log, 2), [event(2), event(3), event(4)].concat());
        assert_eq!(seen(&log, 3), [event(3), event(4)].concat());
        assert_eq!(seen(&log, 1), "Stored");
        log.end();
        assert_eq!(seen(&log, 4), event(4));
        assert_eq!(seen(&log, 5), "Over");
    }

    #[tokio::test]
    async fn events_are_written_together_and_there_is_an_end_to_it() {
        let log = begun();
        log.add(event(2).into());
        log.add(event(3).into());
        let begun = Instant::now();
        let batches = log.due().await;
        assert!(begun.elapsed() >= PAUSE);
        assert_eq!(
            (batches.len(), batches[0].first, batches[0].next),
            (1, 2, 4)
        );
        log.stored(4);
        log.add(event(4).into());
        log.close();
        assert_eq!(log.due().await[0].first, 4);
        log.stored(5);
        assert_eq!(log.due().await, []);
    }

    #[test]
    fn what_is_in_the_store_does_not_stay_and_what_is_not_does() {
        let log = begun();
        let long = format!("event: e\ndata: {}\n\n", "x".repeat(40 * 1024));
        for _ in 0..10 {
            log.add(long.clone().into());
        }
        assert_eq!(log.bytes(), 10 * long.len());
        assert_eq!(seen(&log, 2), long);
        log.stored(12);
        assert!(log.bytes() <= TAIL);
        assert_eq!(seen(&log, 2), "Stored");
        assert_eq!(seen(&log, 11), long);
    }

    #[test]
    fn a_log_that_is_cut_goes_on_for_those_who_read_along() {
        let log = begun();
        let long = format!("event: e\ndata: {}\n\n", "x".repeat(60 * 1024));
        log.add(long.clone().into());
        log.cut();
        for _ in 0..5 {
            log.add(long.clone().into());
        }
        assert!(log.bytes() <= TAIL);
        assert_eq!(seen(&log, 2), long);
    }
}
