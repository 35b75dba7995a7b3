//! The last requests, for people who want to see what became of them: what the client sent, what fal
//! was asked, what fal answered, what the client got, each with its times.
//!
//! Ordinarily only shapes are kept: members, lengths, times, and no text. Texts are kept when
//! somebody asks for it, for some minutes. All of it lies in memory, within a budget, and is gone at
//! the end of the process. Keys are never in it: no header is kept, and where a text that is kept
//! holds a key of the request, the key is covered.

mod entry;
mod events;
mod ring;
mod view;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

pub use entry::Trace;
pub use events::Pieces;
pub use ring::{Capture, Ring, TEXT_FOR};
pub use view::{Body, Call, Detail, Facts, Piece, Row, Said};

/// How much is kept of requests that begin now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Off,
    Shape,
    Text,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn microseconds(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use secrecy::SecretString;

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
            let call = trace.asked(0, || "/".to_owned(), body.as_bytes(), &[]);
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
    fn a_request_in_the_place_of_another_shows_nothing_of_it() {
        let ring = ring(1, 1 << 20);
        let long = ring.begin("a-long-id", "responses");
        long.facts(|facts| facts.model = "x".repeat(1000));
        long.sent(format!("[{}1]", "{\"role\": 1},".repeat(300)).as_bytes());
        for choice in 0..10 {
            let call = long.asked(choice, || "/a/path".to_owned(), b"{\"prompt\": \"\"}", &[]);
            long.head(call, Some("an-id"), Some("refused"));
            long.heard(call, 100);
            long.got(b"a piece");
        }
        let held = ring.capture().held_bytes;
        drop(long);
        let next = ring.begin("id", "chat");
        next.sent(b"{}");
        let shown = serde_json::to_value(ring.detail(2)).expect("it can be shown");
        let fresh = ring_with_one_request();
        let expected = serde_json::to_value(fresh.detail(1)).expect("it can be shown");
        for member in ["level", "sent", "calls", "got"] {
            assert_eq!(shown[member], expected[member], "{member}");
        }
        for member in ["request_id", "route", "model", "status", "calls", "error"] {
            assert_eq!(shown["row"][member], expected["row"][member], "{member}");
        }
        assert!(ring.detail(1).is_none());
        assert!(ring.capture().held_bytes < held);
        drop(next);
        ring.wipe();
        assert_eq!(ring.capture().held_bytes, 0);
    }

    fn ring_with_one_request() -> Arc<Ring> {
        let ring = ring(1, 1 << 20);
        ring.begin("id", "chat").sent(b"{}");
        ring
    }

    #[test]
    fn a_piece_of_a_stream_takes_sixteen_bytes() {
        let ring = ring(1, 1 << 20);
        let trace = ring.begin("req", "chat");
        let call = trace.asked(0, || "/".to_owned(), b"{}", &[]);
        let before = ring.capture().held_bytes;
        for _ in 0..100 {
            trace.heard(call, 20);
            trace.got(b"a piece");
        }
        assert_eq!(ring.capture().held_bytes - before, 200 * 16);
    }

    #[test]
    fn a_request_that_still_runs_is_not_written_over() {
        let ring = ring(1, 1 << 20);
        let first = ring.begin("first", "chat");
        let second = ring.begin("second", "chat");
        first.sent(b"[1, 2, 3]");
        second.sent(b"{}");
        let detail = ring.detail(2).expect("it is kept");
        assert_eq!(detail.row.facts.request_id, "second");
        assert_eq!(detail.sent.expect("a body").text, "{}");
    }

    #[test]
    fn without_leave_no_text_is_kept_and_with_it_no_key() {
        let ring = ring(10, 1 << 20);
        let ask = |ring: &Arc<Ring>| {
            let trace = ring.begin("req", "chat");
            trace.cover(&SecretString::from("id:secret"));
            trace.sent(b"{\"messages\": \"hello, my key is id:secret\"}");
            let call = trace.asked(
                0,
                || "/".to_owned(),
                b"{\"prompt\": \"hello id:secret\"}",
                &[],
            );
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
        let call = trace.asked(0, || "/".to_owned(), b"{}", &[]);
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
            .flat_map(|call| call.heard.iter());
        let said: Vec<_> = heard
            .flat_map(|piece| piece.texts)
            .map(|said| (said.from, said.text.as_str()))
            .collect();
        assert_eq!(said, [(0, "{\"o\": \"é\"}"), (9, "a\"}"), (7, "è\"}")]);
    }
}
