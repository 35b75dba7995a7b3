//! A client's connection as the server reads it, guarded against two things that the framework's
//! HTTP/1 dispatcher leaves open.
//!
//! - It reads on while an answer is running, and spins once its buffer is full. Here it is given
//!   nothing while an answer is running. What is sent meanwhile is read into a buffer of bounded
//!   size, so that the client's end is noticed behind it; more than that waits in the system, where
//!   it holds up its sender and nobody else.
//! - It limits the time of a connection's first head only. Here every later one is limited too.

use std::cell::{Cell, RefCell};
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use actix_web::dev::{Extensions, ServiceRequest};
use actix_web::rt::net::TcpStream;
use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::alarm::Alarm;

/// The most that is read at once, and after half of which the dispatcher gets its turn. Both
/// together stay well below the 128 KiB at which the dispatcher's buffer is full.
const PIECE: usize = 32 * 1024;

/// The most that is read ahead of a running answer. Clients that send more, which no common one
/// does, are not seen to leave before they have been answered.
const AHEAD: usize = 1024 * 1024;

/// What a connection is doing, which its requests say and its reading obeys.
#[derive(Debug, Default)]
pub struct Connection {
    phase: Cell<Phase>,
    /// Something was read since the last request began.
    is_fresh: Cell<bool>,
    /// More has come than the running request.
    is_crowded: Cell<bool>,
    has_served: Cell<bool>,
    /// When the head that is not complete began to arrive.
    head_since: Cell<Option<Instant>>,
    task: RefCell<Option<Waker>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// A head is awaited.
    #[default]
    Idle,
    /// A request has begun, and its body may still come.
    Asking,
    /// All of a request has come, and it is not answered yet.
    Answering,
}

/// A request's time on its connection; the next one may be read when this is dropped.
#[derive(Debug)]
pub struct Turn(Rc<Connection>);

impl Turn {
    /// Begins a request. `None` on a connection that is not guarded.
    pub fn begin(request: &ServiceRequest) -> Option<Self> {
        let (head, payload) = request.parts();
        let connection = head.conn_data::<Rc<Connection>>()?.clone();
        connection.has_served.set(true);
        connection.head_since.set(None);
        connection
            .is_crowded
            .set(!connection.is_fresh.replace(false));
        let turn = Self(connection);
        turn.0.phase.set(Phase::Asking);
        if matches!(payload, actix_web::dev::Payload::None) {
            turn.heard();
        }
        Some(turn)
    }

    /// Says that all of the request has come.
    pub fn heard(&self) {
        self.0.phase.set(Phase::Answering);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let connection = &self.0;
        connection.phase.set(Phase::Idle);
        if connection.is_crowded.get() {
            let task = connection.task.borrow();
            task.iter().for_each(Waker::wake_by_ref);
        }
    }
}

/// A client's socket.
#[derive(Debug)]
pub struct Guarded {
    stream: TcpStream,
    connection: Rc<Connection>,
    header_timeout: Duration,
    alarm: Alarm,
    /// Bytes read since the dispatcher last had its turn.
    in_a_row: usize,
    /// What was sent before its time.
    ahead: BytesMut,
}

impl Guarded {
    /// Guards a connection on which a head may take so long.
    pub fn new(stream: TcpStream, header_timeout: Duration) -> Self {
        Self {
            stream,
            connection: Rc::default(),
            header_timeout,
            alarm: Alarm::default(),
            in_a_row: 0,
            ahead: BytesMut::new(),
        }
    }

    /// Puts the connection where its requests find it.
    pub fn introduce(&self, data: &mut Extensions) {
        data.insert(self.connection.clone());
    }

    /// Reads ahead while an answer is running, for the sake of the connection's end.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.ahead.len() < AHEAD {
            ready!(self.stream.poll_read_ready(cx))?;
            let mut bytes = [MaybeUninit::uninit(); 4096];
            let mut piece = ReadBuf::uninit(&mut bytes);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut piece))?;
            if piece.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.ahead.extend_from_slice(piece.filled());
        }
        Poll::Pending
    }

    /// Reads a piece.
    fn poll_piece(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let count = self.ahead.len().min(buf.remaining()).min(PIECE);
            buf.put_slice(&self.ahead.split_to(count));
            if self.ahead.is_empty() {
                // Its memory is not kept.
                self.ahead = BytesMut::new();
            }
            return Poll::Ready(Ok(()));
        }
        let stream = Pin::new(&mut self.stream);
        if buf.remaining() <= PIECE {
            return stream.poll_read(cx, buf);
        }
        let mut piece = ReadBuf::new(buf.initialize_unfilled_to(PIECE));
        ready!(stream.poll_read(cx, &mut piece))?;
        let count = piece.filled().len();
        buf.advance(count);
        Poll::Ready(Ok(()))
    }

    /// Takes note of what has come.
    fn note(&mut self, count: usize) {
        self.in_a_row += count;
        let connection = &self.connection;
        connection.is_fresh.set(true);
        let is_later_head = connection.phase.get() == Phase::Idle && connection.has_served.get();
        if is_later_head && count > 0 && connection.head_since.get().is_none() {
            connection.head_since.set(Some(Instant::now()));
        }
    }

    /// Ends the connection when the head that is being read has taken too long. The alarm is left
    /// to ring when a head is complete, since that is cheaper than to set one for each.
    fn poll_head_limit(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(since) = self.connection.head_since.get() else {
            return Poll::Pending;
        };
        if self.alarm.is_set() {
            return Poll::Pending;
        }
        let due = (since + self.header_timeout).into();
        self.alarm.poll(due, cx).map(Ok)
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let task @ None = &mut *this.connection.task.borrow_mut() {
            *task = Some(cx.waker().clone());
        }
        if this.connection.phase.get() == Phase::Answering {
            this.in_a_row = 0;
            let outcome = this.poll_ahead(cx);
            if !this.ahead.is_empty() {
                this.connection.is_crowded.set(true);
            }
            return outcome;
        }
        if this.in_a_row >= PIECE / 2 {
            this.in_a_row = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        match this.poll_piece(cx, buf) {
            Poll::Pending => {
                this.in_a_row = 0;
                this.poll_head_limit(cx)
            }
            Poll::Ready(outcome) => {
                this.note(buf.filled().len().saturating_sub(before));
                Poll::Ready(outcome)
            }
        }
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
