//! The last requests, for people who want to see what became of them: what the client sent, what fal
//! was asked, what fal answered, what the client got, each with its times.
//!
//! Ordinarily only shapes are kept: members, lengths, times, and no text. Texts are kept when
//! somebody asks for it, for some minutes. All of it lies in memory, within a budget, and is gone at
//! the end of the process. Keys are never in it: no header is kept, and where a text that is kept
//! holds a key of the request, the key is covered.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::shape::shape;

/// How long texts are kept once somebody has asked for it.
pub const TEXT_FOR: Duration = Duration::from_secs(10 * 60);
/// Bytes of one body that are kept.
const MAX_BODY: usize = 256 * 1024;
/// Bytes of all texts of one request that are kept.
const MAX_TEXT: usize = 2 * 1024 * 1024;
/// Pieces of an answer that are told apart; what comes later is added to the last of them.
const MAX_PIECES: usize = 2000;
/// Calls of one request that are kept.
const MAX_CALLS: usize = 32;

/// How much is kept of requests that begin now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Off,
    Shape,
    Text,
}

/// The last requests.
#[derive(Debug)]
pub struct Ring {
    settings: Mutex<Settings>,
    /// The same as the level, for a glance without the lock.
    is_on: AtomicUsize,
    number: AtomicU64,
    entries: Mutex<VecDeque<Arc<Entry>>>,
    /// Bytes that all of them hold.
    held: AtomicUsize,
}

#[derive(Debug)]
struct Settings {
    level: Level,
    text_until: Option<Instant>,
    most_requests: usize,
    most_bytes: usize,
}

/// One request, while it runs and after.
#[derive(Debug)]
struct Entry {
    number: u64,
    level: Level,
    begun: Instant,
    ring: Arc<Ring>,
    kept: Mutex<Kept>,
}

/// Takes down what happens to a request, if anything is kept of it.
#[derive(Clone, Debug, Default)]
pub struct Trace(Option<Arc<Entry>>);

#[derive(Debug, Default)]
struct Kept {
    facts: Facts,
    secrets: Vec<SecretString>,
    sent: Option<Body>,
    calls: Vec<Call>,
    got: Vec<Piece>,
    bytes: usize,
}

/// A request in a line.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Facts {
    pub request_id: String,
    pub route: &'static str,
    pub model: String,
    pub key: String,
    pub is_running: bool,
    pub is_stream: bool,
    /// 0 while it is not known.
    pub status: u16,
    pub error: &'static str,
    pub error_source: &'static str,
    pub duration_us: u64,
    pub first_us: Option<u64>,
    pub tokens_in: u64,
    pub tokens_out: u64,
    pub calls: u32,
    pub billed: &'static str,
    /// What it cost, as far as it is known.
    pub cost: String,
    pub emulated: String,
    pub ignored: String,
    /// Fields without effect that are in no API of ours.
    pub unknown_fields: usize,
    pub fold: String,
}

/// A body, or its beginning.
#[derive(Clone, Debug, Serialize)]
pub struct Body {
    pub text: String,
    /// Of all of it, as it was sent.
    pub bytes: usize,
    pub is_cut: bool,
}

/// A call to fal.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    pub choice: usize,
    pub path: String,
    pub asked: Body,
    /// Microseconds since the request's head.
    pub begun_us: u64,
    pub head_us: Option<u64>,
    pub ended_us: Option<u64>,
    pub error: Option<String>,
    pub fal_request_id: Option<String>,
    pub heard: Vec<Piece>,
    #[serde(skip)]
    last_event: String,
    #[serde(skip)]
    half: Vec<u8>,
}

/// What came or left at once.
#[derive(Clone, Debug, Serialize)]
pub struct Piece {
    /// Microseconds since the request's head.
    pub at_us: u64,
    pub bytes: usize,
    /// How many pieces are added up here.
    pub pieces: usize,
    /// What it says, where texts are kept. Of fal's events, which each repeat the one before, only
    /// what is new: `from` bytes stand before it.
    pub texts: Vec<Said>,
}

/// What one event or one batch of frames says.
#[derive(Clone, Debug, Serialize)]
pub struct Said {
    pub from: usize,
    pub text: String,
}

/// A request in the list.
#[derive(Debug, Serialize)]
pub struct Row {
    pub number: u64,
    pub age_ms: u64,
    #[serde(flatten)]
    pub facts: Facts,
}

/// All that is kept of a request.
#[derive(Debug, Serialize)]
pub struct Detail {
    pub row: Row,
    pub level: Level,
    pub sent: Option<Body>,
    pub calls: Vec<Call>,
    pub got: Vec<Piece>,
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
                most_bytes: 0,
            }),
            is_on: AtomicUsize::new(0),
            number: AtomicU64::new(1),
            entries: Mutex::default(),
            held: AtomicUsize::new(0),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn microseconds(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

impl Ring {
    /// Sets what is kept from now on. `level` is that of the settings: `Off` or `Shape`.
    pub fn keep(&self, level: Level, most_requests: usize, most_bytes: usize) {
        {
            let mut settings = lock(&self.settings);
            settings.level = level;
            settings.most_requests = most_requests;
            settings.most_bytes = most_bytes;
            if level == Level::Off {
                settings.text_until = None;
            }
        }
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
            most_bytes: settings.most_bytes,
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
        let entry = Arc::new(Entry {
            number: self.number.fetch_add(1, Ordering::Relaxed),
            level,
            begun: Instant::now(),
            ring: Arc::clone(self),
            kept: Mutex::default(),
        });
        {
            let facts = &mut lock(&entry.kept).facts;
            request_id.clone_into(&mut facts.request_id);
            facts.route = route;
            facts.is_running = true;
        }
        let gone = {
            let mut entries = lock(&self.entries);
            entries.push_back(Arc::clone(&entry));
            let over = entries.len().saturating_sub(most);
            entries.drain(..over).collect::<Vec<_>>()
        };
        drop(gone);
        Trace(Some(entry))
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
            sent: kept.sent.clone(),
            calls: kept.calls.clone(),
            got: kept.got.clone(),
        })
    }

    /// Lets the oldest requests go until there is room for so many bytes more; whether there is.
    fn make_room(&self, more: usize) -> bool {
        let most = lock(&self.settings).most_bytes;
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

impl Entry {
    fn row(&self) -> Row {
        let age = self.begun.elapsed();
        let mut facts = lock(&self.kept).facts.clone();
        if facts.is_running {
            facts.duration_us = microseconds(age);
        }
        Row {
            number: self.number,
            age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
            facts,
        }
    }

    fn now(&self) -> u64 {
        microseconds(self.begun.elapsed())
    }

    /// Whether so many bytes more may be kept of this request.
    fn may_keep(&self, kept: &mut Kept, more: usize) -> bool {
        if kept.bytes.saturating_add(more) > MAX_TEXT || !self.ring.make_room(more) {
            return false;
        }
        kept.bytes += more;
        self.ring.held.fetch_add(more, Ordering::Relaxed);
        true
    }

    fn body(&self, kept: &mut Kept, bytes: &[u8]) -> Body {
        let text = match self.level {
            Level::Text => {
                let shown = bytes.get(..MAX_BODY).unwrap_or(bytes);
                kept.covered(&String::from_utf8_lossy(shown))
            }
            Level::Off | Level::Shape => shape(bytes),
        };
        let is_kept = self.may_keep(kept, text.len());
        Body {
            is_cut: !is_kept || (self.level == Level::Text && bytes.len() > MAX_BODY),
            text: if is_kept { text } else { String::new() },
            bytes: bytes.len(),
        }
    }

    /// What one piece says, where texts are kept and there is room.
    fn said(&self, kept: &mut Kept, texts: Vec<Said>) -> Vec<Said> {
        let size: usize = texts
            .iter()
            .map(|said| said.text.len() + size_of::<Said>())
            .sum();
        match self.may_keep(kept, size) {
            true => texts,
            false => Vec::new(),
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let bytes = lock(&self.kept).bytes;
        self.ring.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Kept {
    /// A text without the keys of the request.
    fn covered(&self, text: &str) -> String {
        let secrets = self.secrets.iter().map(ExposeSecret::expose_secret);
        secrets.fold(text.to_owned(), |text, secret| {
            match text.contains(secret) {
                true => text.replace(secret, "••••"),
                false => text,
            }
        })
    }
}

impl Trace {
    /// Does something with the entry, if there is one.
    fn with(&self, change: impl FnOnce(&Entry, &mut Kept)) {
        if let Some(entry) = &self.0 {
            change(entry, &mut lock(&entry.kept));
        }
    }

    /// Whether texts are kept.
    fn keeps_texts(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|entry| entry.level == Level::Text)
    }

    /// A key that must not be seen, should a text hold it.
    pub fn cover(&self, secret: &SecretString) {
        if self.keeps_texts() && secret.expose_secret().len() > 3 {
            self.with(|_, kept| kept.secrets.push(secret.clone()));
        }
    }

    /// The client's request has come.
    pub fn sent(&self, body: &[u8]) {
        self.with(|entry, kept| kept.sent = Some(entry.body(kept, body)));
    }

    /// fal is asked: the number of the call.
    pub fn asked(&self, choice: usize, path: &str, body: &[u8]) -> usize {
        let mut number = MAX_CALLS;
        self.with(|entry, kept| {
            number = kept.calls.len();
            if number < MAX_CALLS {
                let asked = entry.body(kept, body);
                kept.calls.push(Call {
                    choice,
                    path: path.to_owned(),
                    asked,
                    begun_us: entry.now(),
                    head_us: None,
                    ended_us: None,
                    error: None,
                    fal_request_id: None,
                    heard: Vec::new(),
                    last_event: String::new(),
                    half: Vec::new(),
                });
            }
        });
        number
    }

    /// The head of fal's answer has come, or a refusal in its place.
    pub fn head(&self, call: usize, fal_request_id: Option<&str>, error: Option<&str>) {
        self.with(|entry, kept| {
            let now = entry.now();
            if let Some(call) = kept.calls.get_mut(call) {
                call.head_us = Some(now);
                call.fal_request_id = fal_request_id.map(str::to_owned);
                call.error = error.map(str::to_owned);
                call.ended_us = error.map(|_| now);
            }
        });
    }

    /// Bytes of fal's answer have come. They are counted by [`Self::heard`], together with what
    /// comes at the same time.
    pub fn reads(&self, call: usize, bytes: &[u8]) {
        if self.keeps_texts() {
            self.with(|_, kept| {
                if let Some(call) = kept.calls.get_mut(call)
                    && call.half.len() + bytes.len() <= MAX_TEXT
                {
                    call.half.extend_from_slice(bytes);
                }
            });
        }
    }

    /// All that has come of fal's answer at once.
    pub fn heard(&self, call: usize, bytes: usize) {
        self.with(|entry, kept| {
            let at_us = entry.now();
            let texts = match entry.level {
                Level::Text => {
                    let texts = events(kept, call);
                    entry.said(kept, texts)
                }
                Level::Off | Level::Shape => Vec::new(),
            };
            let may = entry.may_keep(kept, size_of::<Piece>());
            if let Some(call) = kept.calls.get_mut(call) {
                add(&mut call.heard, at_us, bytes, texts, may);
            }
        });
    }

    /// The call is over.
    pub fn ended(&self, call: usize) {
        self.with(|entry, kept| {
            // An answer that is no stream has no line's end.
            let rest = kept
                .calls
                .get_mut(call)
                .map(|call| std::mem::take(&mut call.half));
            let rest = rest.filter(|rest| !rest.is_empty());
            let said = rest.map(|rest| Said {
                from: 0,
                text: kept.covered(&String::from_utf8_lossy(
                    rest.get(..MAX_BODY).unwrap_or(&rest),
                )),
            });
            let texts = entry.said(kept, said.into_iter().collect());
            if let Some(call) = kept.calls.get_mut(call) {
                call.last_event = String::new();
                if let Some(last) = call.heard.last_mut() {
                    last.texts.extend(texts);
                }
                call.ended_us.get_or_insert(entry.now());
            }
        });
    }

    /// A piece of the answer leaves.
    pub fn got(&self, bytes: &[u8]) {
        self.with(|entry, kept| {
            let at_us = entry.now();
            let texts = match entry.level {
                Level::Text => {
                    let shown = bytes.get(..MAX_BODY).unwrap_or(bytes);
                    let text = kept.covered(&String::from_utf8_lossy(shown));
                    entry.said(kept, vec![Said { from: 0, text }])
                }
                Level::Off | Level::Shape => Vec::new(),
            };
            let may = entry.may_keep(kept, size_of::<Piece>());
            add(&mut kept.got, at_us, bytes.len(), texts, may);
        });
    }

    /// Changes the facts that are shown of the request.
    pub fn facts(&self, change: impl FnOnce(&mut Facts)) {
        self.with(|_, kept| change(&mut kept.facts));
    }
}

/// Adds a piece, or adds it to the last one where there is no room for more.
fn add(pieces: &mut Vec<Piece>, at_us: u64, bytes: usize, texts: Vec<Said>, may: bool) {
    if may && pieces.len() < MAX_PIECES {
        pieces.push(Piece {
            at_us,
            bytes,
            pieces: 1,
            texts,
        });
    } else if let Some(last) = pieces.last_mut() {
        last.bytes += bytes;
        last.pieces += 1;
        last.texts.extend(texts);
    }
}

/// The data of the events that are complete, each without what it repeats of the one before.
fn events(kept: &mut Kept, call: usize) -> Vec<Said> {
    let Some(half) = kept
        .calls
        .get_mut(call)
        .map(|call| std::mem::take(&mut call.half))
    else {
        return Vec::new();
    };
    let mut said = Vec::new();
    let mut rest = half.as_slice();
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let (line, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        rest = after.get(1..).unwrap_or_default();
        let Some(data) = line.strip_prefix(b"data:") else {
            continue;
        };
        let event = kept.covered(String::from_utf8_lossy(data).trim());
        if let Some(call) = kept.calls.get_mut(call) {
            let same = call.last_event.bytes().zip(event.bytes());
            let mut from = same.take_while(|(old, new)| old == new).count();
            while !event.is_char_boundary(from) {
                from -= 1;
            }
            let text = event.get(from..).unwrap_or_default().to_owned();
            said.push(Said { from, text });
            call.last_event = event;
        }
    }
    let rest = rest.to_vec();
    if let Some(call) = kept.calls.get_mut(call) {
        call.half = rest;
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(most_requests: usize, most_bytes: usize) -> Arc<Ring> {
        let ring = Arc::new(Ring::default());
        ring.keep(Level::Shape, most_requests, most_bytes);
        ring
    }

    #[test]
    fn however_much_comes_the_ring_stays_within_its_bounds() {
        let ring = ring(500, 4 << 20);
        ring.keep_texts(true);
        let body = "x".repeat(1 << 20);
        for _ in 0..10_000 {
            let trace = ring.begin("req", "chat");
            trace.sent(body.as_bytes());
            let call = trace.asked(0, "/", body.as_bytes());
            trace.reads(call, b"data: {\"output\": \"a\"}\n\n");
            trace.heard(call, 20);
            trace.got(body.as_bytes());
        }
        let capture = ring.capture();
        assert!(capture.requests <= 500);
        assert!(capture.held_bytes <= 4 << 20, "{}", capture.held_bytes);
        ring.wipe();
        assert_eq!(ring.capture().held_bytes, 0);
    }

    #[test]
    fn without_leave_no_text_is_kept_and_with_it_no_key() {
        let ring = ring(10, 1 << 20);
        let ask = |ring: &Arc<Ring>| {
            let trace = ring.begin("req", "chat");
            trace.cover(&SecretString::from("id:secret"));
            trace.sent(b"{\"messages\": \"hello, my key is id:secret\"}");
            let call = trace.asked(0, "/", b"{\"prompt\": \"hello id:secret\"}");
            trace.reads(call, b"data: {\"output\": \"hello id:secret\"}\n\ndata: {\"output\": \"hello id:secret you\"}\n\n");
            trace.heard(call, 80);
            trace.ended(call);
            trace.got(b"data: hello id:secret\n\n");
            let kept = ring.detail(ring.capture().requests as u64);
            serde_json::to_string(&kept).unwrap_or_default()
        };
        let shape = ask(&ring);
        assert!(
            shape.contains("messages") && !shape.contains("hello") && !shape.contains("secret")
        );
        ring.keep_texts(true);
        let text = ask(&ring);
        assert!(text.contains("hello") && !text.contains("secret"), "{text}");
        ring.keep_texts(false);
        assert_eq!(
            ring.capture().requests,
            1,
            "texts go when they are no longer wanted"
        );
    }

    #[test]
    fn of_events_that_repeat_each_other_only_what_is_new_is_kept() {
        let ring = ring(10, 1 << 20);
        ring.keep_texts(true);
        let trace = ring.begin("req", "chat");
        let call = trace.asked(0, "/", b"{}");
        for event in [
            "data: {\"o\": \"é\"}\n",
            "data: {\"o\": \"éa\"}\n",
            "\ndata: {\"o\": \"è\"}\n",
        ] {
            trace.reads(call, event.as_bytes());
            trace.heard(call, event.len());
        }
        let detail = ring.detail(1);
        let heard = detail
            .iter()
            .flat_map(|detail| &detail.calls)
            .flat_map(|call| &call.heard);
        let said: Vec<_> = heard
            .flat_map(|piece| &piece.texts)
            .map(|said| (said.from, said.text.as_str()))
            .collect();
        assert_eq!(said, [(0, "{\"o\": \"é\"}"), (9, "a\"}"), (7, "è\"}")]);
    }
}
