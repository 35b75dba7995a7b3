//! The record of what the emulator was asked and how it ended, for tests to look at.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use actix_web::http::header::HeaderMap;
use bytes::Bytes;
use ring::digest::{SHA256, digest};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;

/// Requests kept; older ones are forgotten.
const MAX_RECORDS: usize = 1000;
/// Bytes of all kept bodies together.
const MAX_BYTES: usize = 64 << 20;
/// Bytes of one kept body.
const MAX_BODY_BYTES: usize = 1 << 20;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::emulator) enum Outcome {
    /// It has not.
    Open,
    /// We said all we meant to, breaking off included if the script says so.
    Answered,
    /// The caller left first.
    HungUp,
}

#[derive(Clone, Debug)]
struct Record {
    id: u64,
    request_id: String,
    method: String,
    path: String,
    query: String,
    headers: BTreeMap<String, String>,
    /// The body, or only its size when it is too big to keep.
    body: Result<Bytes, usize>,
    started: Instant,
    status: Option<u16>,
    events_sent: usize,
    outcome: Outcome,
    hung_up_after_ms: Option<u64>,
}

#[derive(Default)]
struct Ring {
    last_id: u64,
    bytes: usize,
    records: VecDeque<Record>,
}

/// The last requests, shared by all workers.
pub(in crate::emulator) struct Recorder {
    ring: Mutex<Ring>,
    changed: watch::Sender<()>,
}

/// A request's line in the record.
#[derive(Clone)]
pub(in crate::emulator) struct Entry {
    recorder: Arc<Recorder>,
    id: u64,
}

/// Stands for the caller's presence: dropped before the reply is complete, the caller has hung up.
pub(in crate::emulator) struct Presence(Entry);

/// What a request looked like when it came in.
pub(in crate::emulator) struct Arrival<'a> {
    pub(in crate::emulator) request_id: &'a str,
    pub(in crate::emulator) method: &'a str,
    pub(in crate::emulator) path: &'a str,
    pub(in crate::emulator) query: &'a str,
    pub(in crate::emulator) headers: &'a HeaderMap,
    pub(in crate::emulator) body: &'a Bytes,
}

impl Recorder {
    pub(in crate::emulator) fn new() -> Recorder {
        Recorder {
            ring: Mutex::default(),
            changed: watch::Sender::new(()),
        }
    }

    pub(in crate::emulator) fn open(self: &Arc<Self>, arrival: &Arrival<'_>) -> Entry {
        let mut ring = self.ring();
        ring.last_id += 1;
        let id = ring.last_id;
        let kept = arrival.body.len() <= MAX_BODY_BYTES;
        ring.push(Record {
            id,
            request_id: arrival.request_id.to_owned(),
            method: arrival.method.to_owned(),
            path: arrival.path.to_owned(),
            query: arrival.query.to_owned(),
            headers: redacted(arrival.headers),
            body: if kept {
                Ok(arrival.body.clone())
            } else {
                Err(arrival.body.len())
            },
            started: Instant::now(),
            status: None,
            events_sent: 0,
            outcome: Outcome::Open,
            hung_up_after_ms: None,
        });
        drop(ring);
        self.changed.send_replace(());
        Entry {
            recorder: Arc::clone(self),
            id,
        }
    }

    /// Everything in the record, oldest first.
    pub(in crate::emulator) fn list(&self) -> Vec<Value> {
        self.ring().records.iter().map(Record::to_json).collect()
    }

    /// One request, by its number or its request id, and whether it has ended.
    pub(in crate::emulator) fn find(&self, id: &str) -> Option<(Value, bool)> {
        let ring = self.ring();
        let mut newest_first = ring.records.iter().rev();
        let record =
            newest_first.find(|record| record.request_id == id || record.id.to_string() == id)?;
        Some((record.to_json(), record.outcome != Outcome::Open))
    }

    pub(in crate::emulator) fn clear(&self) {
        let mut ring = self.ring();
        ring.records.clear();
        ring.bytes = 0;
    }

    /// Wakes whenever the record has changed.
    pub(in crate::emulator) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        // Nothing is left half-done while the lock is held, so a panic elsewhere does not matter.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn push(&mut self, record: Record) {
        self.bytes += record.kept_bytes();
        self.records.push_back(record);
        while self.records.len() > MAX_RECORDS || self.bytes > MAX_BYTES {
            let Some(oldest) = self.records.pop_front() else {
                return;
            };
            self.bytes -= oldest.kept_bytes();
        }
    }
}

impl Record {
    fn kept_bytes(&self) -> usize {
        self.body.as_ref().map_or(0, Bytes::len)
    }

    fn to_json(&self) -> Value {
        let body = match &self.body {
            Ok(body) => serde_json::from_slice(body).unwrap_or_else(|_| readable(body)),
            Err(size) => json!({ "bytes": size, "note": "too big to keep" }),
        };
        json!({
            "id": self.id,
            "request_id": self.request_id,
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "headers": self.headers,
            "body": body,
            "status": self.status,
            "events_sent": self.events_sent,
            "outcome": self.outcome,
            "hung_up_after_ms": self.hung_up_after_ms,
        })
    }
}

/// A body that is not JSON: its text, or its size.
fn readable(body: &Bytes) -> Value {
    match std::str::from_utf8(body) {
        Ok("") => Value::Null,
        Ok(text) => json!(text),
        Err(_) => json!({ "bytes": body.len() }),
    }
}

/// The headers, with whatever could be a secret replaced by the beginning of its hash.
fn redacted(headers: &HeaderMap) -> BTreeMap<String, String> {
    headers
        .iter()
        .map(|(name, value)| {
            let text = String::from_utf8_lossy(value.as_bytes());
            let secret = matches!(
                name.as_str(),
                "authorization" | "proxy-authorization" | "cookie"
            );
            let shown = if secret {
                redact(&text)
            } else {
                text.into_owned()
            };
            (name.as_str().to_owned(), shown)
        })
        .collect()
}

fn redact(credential: &str) -> String {
    let (scheme, secret) = credential.split_once(' ').unwrap_or(("", credential));
    let hash = digest(&SHA256, secret.as_bytes());
    let prefix: String = hash
        .as_ref()
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{scheme} sha256:{prefix}").trim_start().to_owned()
}

impl Entry {
    pub(in crate::emulator) fn event_sent(&self) {
        self.update(|record| record.events_sent += 1);
    }

    pub(in crate::emulator) fn status(&self, status: u16) {
        self.update(|record| record.status = Some(status));
    }

    /// All that we mean to say is said, even if the last of it is still on its way.
    pub(in crate::emulator) fn answered(&self) {
        self.end(Outcome::Answered);
    }

    fn end(&self, outcome: Outcome) {
        self.update(|record| {
            if record.outcome == Outcome::Open {
                record.outcome = outcome;
                let elapsed =
                    u64::try_from(record.started.elapsed().as_millis()).unwrap_or(u64::MAX);
                record.hung_up_after_ms = (outcome == Outcome::HungUp).then_some(elapsed);
            }
        });
    }

    fn update(&self, change: impl FnOnce(&mut Record)) {
        let mut ring = self.recorder.ring();
        if let Some(record) = ring
            .records
            .iter_mut()
            .rev()
            .find(|record| record.id == self.id)
        {
            change(record);
        }
        drop(ring);
        self.recorder.changed.send_replace(());
    }
}

impl Presence {
    pub(in crate::emulator) fn of(entry: &Entry) -> Presence {
        Presence(entry.clone())
    }

    /// The reply is complete.
    pub(in crate::emulator) fn answered(self) {
        self.0.answered();
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.end(Outcome::HungUp);
    }
}
