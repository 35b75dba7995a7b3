//! One look into the store at a time for all who wait for events of the same response there: whoever is the
//! first to wait looks, and the others are told what he found. When he leaves, the next one goes on.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{self, watch};
use tokio::time::{Instant, sleep_until};

use super::jobs::Jobs;
use crate::store::StoreError;
use crate::store::responses::{EventPage, Owner};

/// The pauses between two looks into the store for events that another gateway brings: the first, and the
/// longest.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How many bytes of events are passed on at most, since they lie here until somebody looks again. Where more
/// were found, each reads them himself, in the memory that he has for it.
const MOST_SHARED: usize = 512 * 1024;

type Key = (Owner, String);

/// The responses whose events are waited for, each with the number of those who wait.
#[derive(Debug, Default)]
pub(super) struct Followed(Mutex<HashMap<Key, (Arc<Looks>, usize)>>);

/// What is known to all who wait for the events of one response.
#[derive(Debug)]
struct Looks {
    last: watch::Sender<Option<Look>>,
    /// Had by who looks.
    turn: sync::Mutex<Turn>,
}

#[derive(Debug)]
struct Turn {
    pause: Duration,
    /// When the next look is due.
    at: Instant,
    /// The number behind the last event that was in the store.
    next: i64,
}

/// What somebody has found who looked for events.
#[derive(Clone, Debug)]
pub(super) struct Look {
    /// The number of the first event that was looked for. None where too much was found to be passed on.
    from: Option<i64>,
    pub found: Found,
}

/// What the store has of the events of a response.
pub(super) type Found = Result<Option<Arc<EventPage>>, StoreError>;

impl Look {
    /// Whether it tells somebody what comes next who has all events before this one.
    pub(super) fn tells(&self, from: i64) -> bool {
        let begins = self.from.is_some_and(|first| first <= from);
        let last = match &self.found {
            Ok(Some(page)) => page.batches.last(),
            Ok(None) | Err(_) => None,
        };
        begins && last.is_none_or(|last| last.next > from)
    }

    /// What is passed on of what was found from this number on.
    fn of(from: i64, found: Found) -> Self {
        let bytes = match &found {
            Ok(Some(page)) => page.batches.iter().map(|batch| batch.events.len()).sum(),
            Ok(None) | Err(_) => 0,
        };
        match bytes > MOST_SHARED {
            true => Self {
                from: None,
                found: Ok(None),
            },
            false => Self {
                from: Some(from),
                found,
            },
        }
    }
}

/// A place among those who wait for the events of a response.
#[derive(Debug)]
pub(super) struct Place {
    jobs: Arc<Jobs>,
    key: Key,
    looks: Arc<Looks>,
    seen: watch::Receiver<Option<Look>>,
}

impl Place {
    /// One more who waits, and has found nothing himself.
    pub(super) fn among(jobs: &Arc<Jobs>, owner: &Owner, response: &str) -> Self {
        let key = (owner.clone(), response.to_owned());
        let mut followed = jobs.followed.all();
        let (looks, count) = followed.entry(key.clone()).or_insert_with(|| {
            let looks = Looks {
                last: watch::Sender::new(None),
                turn: sync::Mutex::new(Turn {
                    pause: FIRST_PAUSE,
                    at: Instant::now() + FIRST_PAUSE,
                    next: i64::MAX,
                }),
            };
            (Arc::new(looks), 0)
        });
        *count += 1;
        Self {
            jobs: Arc::clone(jobs),
            key,
            seen: looks.last.subscribe(),
            looks: Arc::clone(looks),
        }
    }

    /// What is found next by somebody, which is oneself where nobody else looks. It may be dropped at any
    /// time.
    pub(super) async fn next(
        &mut self,
        from: i64,
        look: impl AsyncFnOnce(i64) -> Result<Option<EventPage>, StoreError>,
    ) -> Option<Look> {
        tokio::select! {
            _ = self.seen.changed() => {}
            mut turn = self.looks.turn.lock() => {
                sleep_until(turn.at).await;
                // From where all who have what is there can use it.
                let from = from.min(turn.next);
                let found = look(from).await.map(|page| page.map(Arc::new));
                turn.found(&found);
                self.looks.last.send_replace(Some(Look::of(from, found)));
            }
        }
        self.seen.borrow_and_update().clone()
    }
}

impl Turn {
    fn found(&mut self, found: &Found) {
        let page = found.as_ref().ok().and_then(Option::as_ref);
        self.pause = match page {
            Some(page) if !page.batches.is_empty() => FIRST_PAUSE,
            _ => self.pause.saturating_mul(2).min(LONGEST_PAUSE),
        };
        self.at = Instant::now() + self.pause;
        self.next = page.map_or(self.next, |page| page.next);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Entry::Occupied(mut followed) = self.jobs.followed.all().entry(self.key.clone()) {
            let (_, count) = followed.get_mut();
            *count -= 1;
            if *count == 0 {
                followed.remove();
            }
        }
    }
}

impl Followed {
    fn all(&self) -> MutexGuard<'_, HashMap<Key, (Arc<Looks>, usize)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
