//! A client's socket: what it gives the dispatcher to read, and how it ends.

use std::io;
use std::mem::{self, MaybeUninit};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use actix_web::dev::Extensions;
use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Body, Connection, Phase, Wire, bare, head};
use crate::access::Seat;
use crate::engine::alarm::Alarm;
use crate::observe::metrics::Metrics;

/// The most that is read at once, and after half of which the dispatcher gets its turn. Both
/// together stay well below the 128 KiB at which the dispatcher's buffer is full.
const PIECE: usize = 32 * 1024;

/// The most that is read ahead of a running answer. Clients that send more, which no common one
/// does, are not seen to leave before they have been answered.
const AHEAD: usize = 1024 * 1024;

/// As much of a head that does not end makes the dispatcher refuse it.
const LONGEST_HEAD: usize = 128 * 1024;

/// How long a connection that ends waits for its client to end it too, and how much of what the
/// client still sends is read meanwhile. To close at once would make the system reset the
/// connection, and a client that is still sending would lose its answer (source: RFC 9112, 9.6).
const LAST_WAIT: Duration = Duration::from_secs(1);
const LAST_BYTES: usize = 64 * 1024;

/// A client's socket.
#[derive(Debug)]
pub struct Guarded {
    stream: Wire,
    connection: Rc<Connection>,
    header_timeout: Duration,
    metrics: Arc<Metrics>,
    alarm: Alarm,
    /// What the dispatcher was not given yet.
    ahead: BytesMut,
    /// How much at the beginning of it is a head that the dispatcher may have.
    ready: usize,
    /// How much of it is known to hold no end of a head.
    searched: usize,
    /// The dispatcher was given a head and has to see it before anything behind it.
    has_given_head: bool,
    /// Bytes of a body given since the dispatcher last had its turn.
    in_a_row: usize,
    /// What is sent in place of the dispatcher's bare refusal.
    refusal: Option<Bytes>,
    /// The client has closed its side.
    is_at_end: bool,
    ending: Option<Ending>,
    _seat: Option<Seat>,
}

/// The end of a connection, once our side of it is closed.
#[derive(Debug)]
struct Ending {
    due: Instant,
    swallowed: usize,
}

impl Guarded {
    /// Guards a connection on which a head may take so long. Without a seat among those of its
    /// address, nothing on it is read, and it ends.
    pub fn new(
        stream: Wire,
        header_timeout: Duration,
        seat: Option<Seat>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let connection = Connection {
            port: stream.tcp().local_addr().ok().map(|address| address.port()),
            is_secure: matches!(stream, Wire::Tls(_)),
            ..Connection::default()
        };
        if seat.is_none() {
            connection.phase.set(Phase::Closing);
        }
        Self {
            stream,
            connection: Rc::new(connection),
            header_timeout,
            metrics,
            alarm: Alarm::default(),
            ahead: BytesMut::new(),
            ready: 0,
            searched: 0,
            has_given_head: false,
            in_a_row: 0,
            refusal: None,
            is_at_end: false,
            ending: None,
            _seat: seat,
        }
    }

    /// Puts the connection where its requests find it.
    pub fn introduce(&self, data: &mut Extensions) {
        data.insert(self.connection.clone());
    }

    /// Gives the dispatcher one head and nothing behind it, once all of it has come.
    fn poll_head(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ready == 0 {
            if mem::take(&mut self.has_given_head) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            ready!(self.poll_whole_head(cx))?;
        }
        let count = self.ready.min(buf.remaining());
        self.give(count, buf);
        self.ready -= count;
        self.has_given_head = self.ready == 0 && count > 0;
        Poll::Ready(Ok(()))
    }

    /// Reads until a head is complete; nothing is ready when the connection ends before.
    fn poll_whole_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if !self.ahead.is_empty() && self.connection.head_since.get().is_none() {
                self.connection.head_since.set(Some(Instant::now()));
            }
            let end = head::end(&self.ahead, self.searched);
            self.searched = self.ahead.len();
            if let Some(whole) = end.and_then(|end| self.ahead.get_mut(..end)) {
                head::decline_upgrades(whole);
                self.ready = whole.len();
            } else if self.searched >= LONGEST_HEAD {
                self.ready = self.searched;
            }
            if self.ready > 0 {
                self.searched = 0;
                return Poll::Ready(Ok(()));
            }
            match self.poll_more(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                Poll::Ready(outcome) => drop(outcome?),
                Poll::Pending => return self.poll_head_limit(cx),
            }
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

    /// Gives the dispatcher the body of the running request and nothing behind it, as far as its
    /// head tells where it ends.
    fn poll_body(
        &mut self,
        body: Body,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.in_a_row >= PIECE / 2 {
            self.in_a_row = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let left = match body {
            Body::Sized(left) => usize::try_from(left).unwrap_or(PIECE),
            Body::Chunked => PIECE,
        };
        let most = left.min(PIECE).min(buf.remaining());
        let before = buf.filled().len();
        if self.ahead.is_empty() {
            match self.stream.poll_read_at_most(most, cx, buf) {
                Poll::Ready(outcome) => outcome?,
                Poll::Pending => {
                    self.in_a_row = 0;
                    return Poll::Pending;
                }
            }
        } else {
            self.give(self.ahead.len().min(most), buf);
        }
        let given = buf.filled().get(before..).unwrap_or_default();
        self.is_at_end = given.is_empty();
        self.in_a_row += given.len();
        if !given.is_empty() {
            self.connection.gave(body, given);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads ahead while an answer is running, for the sake of the connection's end.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.ahead.len() < AHEAD {
            if ready!(self.poll_more(cx))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        Poll::Pending
    }

    /// Reads some more into the buffer; how much, which is 0 at the connection's end. No memory is
    /// taken before something has come.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        ready!(self.stream.poll_read_ready(cx))?;
        let mut bytes = [MaybeUninit::uninit(); 8192];
        let mut piece = ReadBuf::uninit(&mut bytes);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut piece))?;
        self.is_at_end = piece.filled().is_empty();
        self.ahead.extend_from_slice(piece.filled());
        Poll::Ready(Ok(piece.filled().len()))
    }

    /// Hands over bytes that are kept.
    fn give(&mut self, count: usize, buf: &mut ReadBuf<'_>) {
        buf.put_slice(&self.ahead.split_to(count));
        if self.ahead.is_empty() {
            // Its memory is not kept.
            self.ahead = BytesMut::new();
        }
    }

    /// Waits for the client's end, within limits.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ending = self.ending.get_or_insert_with(|| Ending {
            due: Instant::now() + LAST_WAIT,
            swallowed: self.ahead.len(),
        });
        self.ahead = BytesMut::new();
        while ending.swallowed < LAST_BYTES {
            let mut bytes = [MaybeUninit::uninit(); 8192];
            let mut piece = ReadBuf::uninit(&mut bytes);
            match Pin::new(&mut self.stream).poll_read(cx, &mut piece) {
                Poll::Ready(Ok(())) if !piece.filled().is_empty() => {
                    ending.swallowed += piece.filled().len();
                }
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => break,
            }
        }
        self.alarm.poll(ending.due.into(), cx).map(Ok)
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
        let outcome = match this.connection.phase.get() {
            Phase::Idle => this.poll_head(cx, buf),
            Phase::Asking(body) => this.poll_body(body, cx, buf),
            Phase::Answering => this.poll_ahead(cx),
            // The dispatcher closes what has come to its end.
            Phase::Closing => Poll::Ready(Ok(())),
        };
        this.connection.has_more.set(!this.ahead.is_empty());
        outcome
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.refusal.is_none() {
            this.refusal = bare::refusal(bytes, &this.metrics);
        }
        let Some(refusal) = &mut this.refusal else {
            return Pin::new(&mut this.stream).poll_write(cx, bytes);
        };
        while refusal.has_remaining() {
            let count = ready!(Pin::new(&mut this.stream).poll_write(cx, refusal))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            refusal.advance(count);
        }
        this.refusal = None;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.ending.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        }
        match self.is_at_end {
            true => Poll::Ready(Ok(())),
            false => self.poll_end(cx),
        }
    }
}
