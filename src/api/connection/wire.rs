//! The bytes of a client's connection: as they come, or inside TLS.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A connection that can be read and written.
#[derive(Debug)]
pub enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The answer to a client that speaks plain HTTP where TLS is spoken.
const NOT_PLAIN: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain\r\n\
    content-length: 55\r\n\r\nThis address speaks TLS: write https:// in the base URL";

impl Wire {
    /// Opens TLS on a connection, within a time. Only HTTP/1.1 is offered.
    ///
    /// # Errors
    /// The client does not open TLS, or not in time.
    pub async fn secure(
        stream: TcpStream,
        settings: Arc<ServerConfig>,
        timeout: Duration,
    ) -> io::Result<Self> {
        let shaken = async {
            let mut first = [0; 1];
            stream.peek(&mut first).await?;
            // A TLS record never begins with a letter (source: RFC 8446, 5.1).
            if first.first().is_some_and(u8::is_ascii_alphabetic) {
                return Err(refuse_plain(stream).await);
            }
            TlsAcceptor::from(settings).accept(stream).await
        };
        let stream = tokio::time::timeout(timeout, shaken).await;
        let stream = stream.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        Ok(Self::Tls(Box::new(stream)))
    }

    /// The connection below.
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    /// Ready when there may be something to read.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => stream.poll_read_ready(cx),
            // Something may have been read already that was not handed on.
            Self::Tls(_) => Poll::Ready(Ok(())),
        }
    }

    /// Reads at most so many bytes.
    pub fn poll_read_at_most(
        &mut self,
        most: usize,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = Pin::new(self);
        if buf.remaining() <= most {
            return stream.poll_read(cx, buf);
        }
        let mut piece = ReadBuf::new(buf.initialize_unfilled_to(most));
        ready!(stream.poll_read(cx, &mut piece))?;
        let count = piece.filled().len();
        buf.advance(count);
        Poll::Ready(Ok(()))
    }
}

/// Tells a client that it has to speak TLS. What it has sent is read first, as far as it is there:
/// the system would reset the connection otherwise, and the answer would be lost.
async fn refuse_plain(mut stream: TcpStream) -> io::Error {
    let _ = stream.try_read(&mut [0; 8192]);
    let _ = stream.write_all(NOT_PLAIN).await;
    let _ = stream.shutdown().await;
    io::ErrorKind::InvalidData.into()
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
