//! A client that costs little: a request is bytes, and of an answer it looks for the end.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Outcome;

/// A connection that is kept alive.
pub(crate) struct Client {
    stream: TcpStream,
    /// The head of the answer that is being read, and what came with it.
    head: Vec<u8>,
    /// The last bytes that were read.
    tail: Vec<u8>,
    buffer: Vec<u8>,
}

const STREAM_END: &[u8] = b"\r\n0\r\n\r\n";

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            head: Vec::new(),
            tail: Vec::new(),
            buffer: vec![0; 256 * 1024],
        })
    }

    /// Sends a request and reads the answer to its end; returns how long the first byte of its body
    /// took.
    pub(crate) async fn request(&mut self, request: &[u8]) -> Outcome<Duration> {
        let sent = Instant::now();
        self.stream.write_all(request).await?;
        let (is_stream, mut left) = self.read_head().await?;
        if memchr::memmem::find(&self.head, b"\r\n\r\n") == self.head.len().checked_sub(4) {
            left = left.saturating_sub(self.read().await?);
        }
        let first_text = sent.elapsed();
        while is_stream && !self.tail.ends_with(STREAM_END) {
            self.read().await?;
        }
        while !is_stream && left > 0 {
            left = left.saturating_sub(self.read().await?);
        }
        Ok(first_text)
    }

    /// The whole answer as text, chunk sizes and all, for those who look at it.
    pub(crate) async fn text(&mut self, request: &[u8]) -> Outcome<String> {
        self.stream.write_all(request).await?;
        let (is_stream, mut left) = self.read_head().await?;
        let mut text = self.head.clone();
        while (is_stream && !text.ends_with(STREAM_END)) || (!is_stream && left > 0) {
            let count = self.read().await?;
            left = left.saturating_sub(count);
            text.extend_from_slice(&self.buffer[..count]);
        }
        Ok(String::from_utf8(text)?)
    }

    /// Reads until the head is complete: whether a stream follows, or how much of a body does.
    async fn read_head(&mut self) -> Outcome<(bool, usize)> {
        self.head.clear();
        self.tail.clear();
        loop {
            let count = self.read().await?;
            self.head.extend_from_slice(&self.buffer[..count]);
            let Some(end) = memchr::memmem::find(&self.head, b"\r\n\r\n") else {
                continue;
            };
            if !self.head.starts_with(b"HTTP/1.1 200") {
                return Err(String::from_utf8_lossy(&self.head).into());
            }
            let came = self.head.len() - end - 4;
            return Ok(match content_length(&self.head[..end]) {
                Some(length) => (false, length.saturating_sub(came)),
                None => (true, 0),
            });
        }
    }

    async fn read(&mut self) -> Outcome<usize> {
        let count = self.stream.read(&mut self.buffer).await?;
        if count == 0 {
            return Err("the answer was cut".into());
        }
        self.tail
            .extend_from_slice(&self.buffer[count.saturating_sub(16)..count]);
        self.tail.drain(..self.tail.len().saturating_sub(16));
        Ok(count)
    }
}

/// The length that a head names.
pub(crate) fn content_length(head: &[u8]) -> Option<usize> {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let (_, rest) = head.split_once("content-length:")?;
    rest.split("\r\n").next()?.trim().parse().ok()
}
