//! A client's connection as the server reads it. The framework's HTTP/1 dispatcher leaves some
//! things open, and the socket under it ([`Guarded`]) closes them:
//!
//! - Each state of a connection has its limit. The dispatcher limits a connection's first head, its
//!   idle time and little else. Here every head has its time; an answer that is given before its
//!   request is complete ends the connection; and what is still sent to a connection that ends is
//!   read for a moment only.
//! - While an answer is running the dispatcher reads on, and spins once its buffer is full. Here it
//!   is given nothing meanwhile. What is sent is kept in a buffer of bounded size, so that the
//!   client's end is noticed behind it; more than that waits in the system, where it holds up its
//!   sender and nobody else.
//! - It answers an offer to switch protocols with a header that breaks the connection. Here such
//!   offers are declined before it sees them (`head.rs`).
//! - It refuses what it cannot parse without a word. Here that refusal gets its words (`bare.rs`).

mod bare;
mod head;
mod socket;
mod wire;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;
use std::time::Instant;

use actix_web::HttpRequest;
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::http::header::CONTENT_LENGTH;

pub use head::DECLINED;
pub use socket::Guarded;
pub use wire::Wire;

/// What a connection is doing, which its requests say and its reading obeys.
#[derive(Debug, Default)]
pub struct Connection {
    phase: Cell<Phase>,
    /// Bytes have come that the dispatcher was not given yet.
    has_more: Cell<bool>,
    /// The running request is the last one.
    is_last: Cell<bool>,
    /// The last bytes of a chunked body that the dispatcher was given.
    tail: Cell<[u8; 4]>,
    /// The dispatcher was given the beginning of a head together with a request before it.
    has_half_a_head: Cell<bool>,
    /// When the head that is not complete began to arrive.
    head_since: Cell<Option<Instant>>,
    task: RefCell<Option<Waker>>,
    /// The port that the client has connected to.
    port: Option<u16>,
    /// Whether it is inside TLS.
    is_secure: bool,
}

/// The port that a request came in on. `None` on a connection that is not guarded.
pub fn local_port(request: &ServiceRequest) -> Option<u16> {
    request.conn_data::<Rc<Connection>>()?.port
}

/// Whether a request came in inside TLS.
pub fn is_secure(request: &HttpRequest) -> bool {
    let connection = request.conn_data::<Rc<Connection>>();
    connection.is_some_and(|connection| connection.is_secure)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// A head is awaited.
    #[default]
    Idle,
    /// A request has begun, and its body is still to come.
    Asking(Body),
    /// All of a request has come, and it is not answered yet.
    Answering,
    /// The last answer has been given. Nothing more is read.
    Closing,
}

/// How the end of a request's body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    /// After so many bytes more.
    Sized(u64),
    /// The body tells.
    Chunked,
}

impl Connection {
    /// Takes note of what the dispatcher was given of a body.
    fn gave(&self, body: Body, bytes: &[u8]) {
        match body {
            Body::Sized(left) => {
                let left = left.saturating_sub(bytes.len() as u64);
                self.phase.set(match left {
                    0 => Phase::Answering,
                    left => Phase::Asking(Body::Sized(left)),
                });
            }
            Body::Chunked => {
                let mut tail = self.tail.get();
                for byte in bytes.iter().skip(bytes.len().saturating_sub(tail.len())) {
                    tail.rotate_left(1);
                    tail[3] = *byte;
                }
                self.tail.set(tail);
            }
        }
    }
}

/// A request's time on its connection; the next one may be read when this is dropped.
#[derive(Debug)]
pub struct RequestGuard(Rc<Connection>);

impl RequestGuard {
    /// Begins a request. `None` on a connection that is not guarded.
    pub fn begin(request: &ServiceRequest) -> Option<Self> {
        let (head, payload) = request.parts();
        let connection = head.conn_data::<Rc<Connection>>()?.clone();
        let length = head.headers().get(CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        connection.head_since.set(None);
        connection.has_half_a_head.set(false);
        if connection.phase.get() != Phase::Closing {
            connection.phase.set(match (payload, length) {
                (Payload::None, _) => Phase::Answering,
                (_, Some(length)) => Phase::Asking(Body::Sized(length)),
                (_, None) => Phase::Asking(Body::Chunked),
            });
        }
        Some(Self(connection))
    }

    /// Whether an earlier answer has ended the connection. Then nothing may be answered any more
    /// (source: RFC 9112, 9.6).
    pub fn is_too_late(&self) -> bool {
        self.0.phase.get() == Phase::Closing
    }

    /// Says that all of the request has come.
    pub fn heard(&self) {
        let connection = &self.0;
        let is_chunked = connection.phase.get() == Phase::Asking(Body::Chunked);
        // A chunked body ends with a blank line, and half a head does not.
        if is_chunked && connection.tail.get() != *b"\r\n\r\n" {
            connection.has_half_a_head.set(true);
        }
        if !self.is_too_late() {
            connection.phase.set(Phase::Answering);
        }
    }

    /// Whether some of the request has not come yet. Then its answer ends the connection.
    pub fn is_unheard(&self) -> bool {
        matches!(self.0.phase.get(), Phase::Asking(_))
    }

    /// Says that the connection ends with this request's answer.
    pub fn is_last(&self) {
        self.0.is_last.set(true);
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let connection = &self.0;
        let closes = self.is_unheard() || self.is_too_late() || connection.is_last.get();
        connection.phase.set(match closes {
            true => Phase::Closing,
            false => Phase::Idle,
        });
        if connection.has_half_a_head.get() {
            connection.head_since.set(Some(Instant::now()));
        }
        if closes || connection.has_more.get() || connection.has_half_a_head.get() {
            let task = connection.task.borrow();
            task.iter().for_each(Waker::wake_by_ref);
        }
    }
}
