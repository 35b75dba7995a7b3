//! One request: what is taken down of it while it runs.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use secrecy::{ExposeSecret, SecretString};

use super::events::{Pieces, events};
use super::ring::Ring;
use super::view::{Body, Call, Facts, Row, Said};
use super::{Level, lock, microseconds};
use crate::observe::shape::Outlines;

/// Bytes of one body that are kept.
const MAX_BODY: usize = 256 * 1024;
/// Bytes of all texts of one request that are kept.
const MAX_TEXT: usize = 2 * 1024 * 1024;
/// Calls of one request that are kept.
const MAX_CALLS: usize = 32;
/// When a request makes way for another, room stays for so many calls and pieces, and for a name of so
/// many bytes.
const USUAL_PIECES: usize = 4;
const USUAL_NAME: usize = 128;

/// One request, while it runs and after.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) level: Level,
    pub(super) begun: Instant,
    pub(super) ring: Arc<Ring>,
    pub(super) kept: Mutex<Kept>,
}

/// Takes down what happens to a request, if anything is kept of it.
#[derive(Clone, Debug, Default)]
pub struct Trace(pub(super) Option<Arc<Entry>>);

#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) facts: Facts,
    secrets: Vec<SecretString>,
    pub(super) sent: Option<Body>,
    pub(super) calls: Vec<Call>,
    pub(super) got: Pieces,
    /// Of the bodies, where texts are not kept.
    pub(super) outlines: Outlines,
    /// What is counted of it in the ring.
    bytes: usize,
}

impl Entry {
    /// What is taken down of a request that begins now. It has its number and level when it is put into
    /// the ring.
    pub(super) fn new(ring: &Arc<Ring>) -> Self {
        Self {
            number: 0,
            level: Level::Shape,
            begun: Instant::now(),
            ring: Arc::clone(ring),
            kept: Mutex::default(),
        }
    }

    /// The same in the place of a request that nobody looks at any more, and in its memory.
    pub(super) fn renew(&mut self) {
        self.begun = Instant::now();
        let kept = self.kept.get_mut().unwrap_or_else(PoisonError::into_inner);
        let freed = kept.clear();
        self.ring.held.fetch_sub(freed, Ordering::Relaxed);
    }

    pub(super) fn row(&self) -> Row {
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

    fn body(&self, kept: &mut Kept, bytes: &[u8], texts: &[Range<usize>]) -> Body {
        let (text, outline) = match self.level {
            Level::Text => (self.text(kept, bytes), Some(Range::default())),
            Level::Off | Level::Shape => (Some(String::new()), self.outline(kept, bytes, texts)),
        };
        let is_kept = text.is_some() && outline.is_some();
        Body {
            is_cut: !is_kept || (self.level == Level::Text && bytes.len() > MAX_BODY),
            text: text.unwrap_or_default(),
            outline: outline.unwrap_or_default(),
            bytes: bytes.len(),
        }
    }

    /// The text of a body, or of its beginning, where there is room for it.
    fn text(&self, kept: &mut Kept, bytes: &[u8]) -> Option<String> {
        let shown = bytes.get(..MAX_BODY).unwrap_or(bytes);
        let text = kept.covered(&String::from_utf8_lossy(shown));
        self.may_keep(kept, text.len()).then_some(text)
    }

    /// The outline of a body, where there is room for it.
    fn outline(
        &self,
        kept: &mut Kept,
        bytes: &[u8],
        texts: &[Range<usize>],
    ) -> Option<Range<usize>> {
        let before = kept.outlines.memory();
        let outline = kept.outlines.add(bytes, texts);
        let more = kept.outlines.memory() - before;
        if !self.may_keep(kept, more) {
            kept.outlines.take_back(outline, before);
            return None;
        }
        Some(outline)
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
    /// Forgets all of it, and gives how many bytes need not be counted any more. What usual requests
    /// need of its memory stays.
    fn clear(&mut self) -> usize {
        let emptied = |text: &mut String| {
            text.clear();
            text.shrink_to(USUAL_NAME);
            std::mem::take(text)
        };
        self.facts = Facts {
            request_id: emptied(&mut self.facts.request_id),
            model: emptied(&mut self.facts.model),
            ..Facts::default()
        };
        self.secrets.clear();
        self.sent = None;
        self.calls.clear();
        self.calls.shrink_to(USUAL_PIECES);
        self.got.clear(USUAL_PIECES);
        self.outlines.clear();
        let counted = self.bytes;
        self.bytes = self.outlines.memory().min(counted);
        counted - self.bytes
    }

    /// A text without the keys of the request.
    pub(super) fn covered(&self, text: &str) -> String {
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
        self.with(|entry, kept| kept.sent = Some(entry.body(kept, body, &[])));
    }

    /// fal is asked: the number of the call. `texts` says where long texts stand in the body, between
    /// their quotes, as far as that is known.
    pub fn asked(
        &self,
        choice: usize,
        path: impl FnOnce() -> String,
        body: &[u8],
        texts: &[Range<usize>],
    ) -> usize {
        let mut number = MAX_CALLS;
        self.with(|entry, kept| {
            number = kept.calls.len();
            if number < MAX_CALLS {
                let asked = entry.body(kept, body, texts);
                if number == 0 {
                    // Hardly any request makes another.
                    kept.calls.reserve_exact(1);
                }
                kept.calls.push(Call {
                    choice,
                    path: path(),
                    asked,
                    begun_us: entry.now(),
                    head_us: None,
                    ended_us: None,
                    error: None,
                    fal_request_id: None,
                    heard: Pieces::default(),
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
            let may = entry.may_keep(kept, Pieces::SIZE);
            if let Some(call) = kept.calls.get_mut(call) {
                call.heard.add(at_us, bytes, texts, may);
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
                call.heard.add_texts(texts);
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
            let may = entry.may_keep(kept, Pieces::SIZE);
            kept.got.add(at_us, bytes.len(), texts, may);
        });
    }

    /// Changes the facts that are shown of the request.
    pub fn facts(&self, change: impl FnOnce(&mut Facts)) {
        self.with(|_, kept| change(&mut kept.facts));
    }
}
