//! The last requests within their budget, and what is kept of those that come.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::entry::{Entry, Trace};
use super::view::{Detail, Row};
use super::{Level, lock};

/// How long texts are kept once somebody has asked for it.
pub const TEXT_FOR: Duration = Duration::from_secs(10 * 60);

/// The last requests.
#[derive(Debug)]
pub struct Ring {
    settings: Mutex<Settings>,
    /// The same as the level, for a glance without the lock.
    is_on: AtomicUsize,
    number: AtomicU64,
    entries: Mutex<VecDeque<Arc<Entry>>>,
    /// Bytes that all of them hold.
    pub(super) held: AtomicUsize,
    /// Bytes that they may hold.
    most_bytes: AtomicUsize,
}

#[derive(Debug)]
struct Settings {
    level: Level,
    text_until: Option<Instant>,
    most_requests: usize,
}

/// What is kept at the moment.
#[derive(Debug, Serialize)]
pub struct Capture {
    pub level: Level,
    pub text_for_s: Option<u64>,
    pub held_bytes: usize,
    pub most_bytes: usize,
    pub requests: usize,
}

impl Default for Ring {
    fn default() -> Self {
        Self {
            settings: Mutex::new(Settings {
                level: Level::Off,
                text_until: None,
                most_requests: 0,
            }),
            is_on: AtomicUsize::new(0),
            number: AtomicU64::new(1),
            entries: Mutex::default(),
            held: AtomicUsize::new(0),
            most_bytes: AtomicUsize::new(0),
        }
    }
}

impl Ring {
    /// Sets what is kept from now on. `level` is that of the settings: `Off` or `Shape`.
    pub fn keep(&self, level: Level, most_requests: usize, most_bytes: usize) {
        {
            let mut settings = lock(&self.settings);
            settings.level = level;
            settings.most_requests = most_requests;
            if level == Level::Off {
                settings.text_until = None;
            }
        }
        self.most_bytes.store(most_bytes, Ordering::Relaxed);
        self.is_on
            .store(usize::from(level != Level::Off), Ordering::Relaxed);
        if level == Level::Off {
            self.wipe();
        }
        self.make_room(0);
    }

    /// Keeps texts for a while, or no longer. What was kept of them goes then.
    pub fn keep_texts(&self, wanted: bool) {
        {
            let mut settings = lock(&self.settings);
            let is_on = settings.level != Level::Off;
            settings.text_until = (wanted && is_on).then(|| Instant::now() + TEXT_FOR);
        }
        if !wanted {
            lock(&self.entries).retain(|entry| entry.level != Level::Text);
        }
    }

    /// Forgets all that is kept.
    pub fn wipe(&self) {
        let gone = std::mem::take(&mut *lock(&self.entries));
        drop(gone);
    }

    /// What is kept at the moment.
    pub fn capture(&self) -> Capture {
        self.expire();
        let requests = lock(&self.entries).len();
        let settings = lock(&self.settings);
        let left = settings.text_left();
        Capture {
            level: settings.level_now(),
            text_for_s: left.map(|left| left.as_secs()),
            held_bytes: self.held.load(Ordering::Relaxed),
            most_bytes: self.most_bytes.load(Ordering::Relaxed),
            requests,
        }
    }

    /// Forgets texts whose time is over.
    fn expire(&self) {
        let is_over = |until: Instant| until <= Instant::now();
        if lock(&self.settings)
            .text_until
            .take_if(|until| is_over(*until))
            .is_some()
        {
            lock(&self.entries).retain(|entry| entry.level != Level::Text);
        }
    }

    /// Begins to take down a request.
    pub fn begin(self: &Arc<Self>, request_id: &str, route: &'static str) -> Trace {
        if self.is_on.load(Ordering::Relaxed) == 0 {
            return Trace::default();
        }
        self.expire();
        let (level, most) = {
            let settings = lock(&self.settings);
            (settings.level_now(), settings.most_requests)
        };
        if level == Level::Off || most == 0 {
            return Trace::default();
        }
        let entry = self.entry(most);
        {
            let facts = &mut lock(&entry.kept).facts;
            request_id.clone_into(&mut facts.request_id);
            facts.route = route;
            facts.is_running = true;
        }
        self.push(entry)
    }

    /// An entry for a request that begins now, one among so many: the oldest one's, unless somebody still
    /// looks at that.
    fn entry(self: &Arc<Self>, most: usize) -> Arc<Entry> {
        if let Some(mut oldest) = self.make_way(most)
            && let Some(entry) = Arc::get_mut(&mut oldest)
        {
            entry.renew();
            return oldest;
        }
        Arc::new(Entry::new(self))
    }

    /// Puts a new entry last, under the next number: whoever asks for all behind a number misses none, and
    /// no text is kept when leave for it has just ended.
    fn push(&self, mut entry: Arc<Entry>) -> Trace {
        let mut entries = lock(&self.entries);
        let level = lock(&self.settings).level_now();
        if let Some(entry) = Arc::get_mut(&mut entry).filter(|_| level != Level::Off) {
            entry.level = level;
            entry.number = self.number.fetch_add(1, Ordering::Relaxed);
        } else {
            drop(entries);
            return Trace::default();
        }
        entries.push_back(Arc::clone(&entry));
        Trace(Some(entry))
    }

    /// Lets the oldest requests go until there is a place for one more among so many; gives the last one
    /// that went.
    fn make_way(&self, most: usize) -> Option<Arc<Entry>> {
        let mut gone = None;
        loop {
            // Dropped outside the lock.
            let next = {
                let mut entries = lock(&self.entries);
                (entries.len() >= most)
                    .then(|| entries.pop_front())
                    .flatten()
            };
            match next {
                Some(next) => gone = Some(next),
                None => return gone,
            }
        }
    }

    /// The requests after a number, the newest first.
    pub fn rows(&self, after: u64, most: usize) -> Vec<Row> {
        self.expire();
        let entries = lock(&self.entries).iter().cloned().collect::<Vec<_>>();
        let newest = entries.iter().rev();
        let wanted =
            newest.filter(|entry| entry.number > after || lock(&entry.kept).facts.is_running);
        wanted.take(most).map(|entry| entry.row()).collect()
    }

    /// All that is kept of a request; `None` if it is not, or no longer.
    pub fn detail(&self, number: u64) -> Option<Detail> {
        let entry = lock(&self.entries)
            .iter()
            .find(|entry| entry.number == number)
            .cloned()?;
        let row = entry.row();
        let kept = lock(&entry.kept);
        Some(Detail {
            row,
            level: entry.level,
            sent: kept.sent.as_ref().map(|body| body.shown(&kept.outlines)),
            calls: kept
                .calls
                .iter()
                .map(|call| call.shown(&kept.outlines))
                .collect(),
            got: kept.got.clone(),
        })
    }

    /// Lets the oldest requests go until there is room for so many bytes more; whether there is.
    pub(super) fn make_room(&self, more: usize) -> bool {
        let most = self.most_bytes.load(Ordering::Relaxed);
        loop {
            if self.held.load(Ordering::Relaxed).saturating_add(more) <= most {
                return true;
            }
            // Dropped outside the lock; one that still runs keeps its bytes until its end.
            let Some(oldest) = lock(&self.entries).pop_front() else {
                return false;
            };
            drop(oldest);
        }
    }
}

impl Settings {
    fn text_left(&self) -> Option<Duration> {
        let until = self.text_until?;
        until.checked_duration_since(Instant::now())
    }

    fn level_now(&self) -> Level {
        match self.text_left() {
            Some(_) if self.level != Level::Off => Level::Text,
            _ => self.level,
        }
    }
}
