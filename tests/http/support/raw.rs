//! A client with its hands on the bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;
use socket2::SockRef;

use super::TIMEOUT;

/// A request.
#[derive(Clone)]
pub(crate) struct Call {
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Call {
    /// Its method, and its path with the query.
    pub(crate) fn method_and_place(&self) -> (&str, &str) {
        let mut words = self.line.split(' ');
        let mut word = || words.next().unwrap_or_default();
        (word(), word())
    }

    /// Its body, where that is JSON.
    pub(crate) fn body_json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }

    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self {
            line: format!("{method} {path} HTTP/1.1"),
            headers: vec![("host".to_owned(), "127.0.0.1".to_owned())],
            body: Vec::new(),
        }
    }

    pub(crate) fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// A chat request with any bytes as its JSON.
    pub(crate) fn chat_bytes(body: impl Into<Vec<u8>>) -> Self {
        let call = Self::new("POST", "/v1/chat/completions");
        call.header("content-type", "application/json").body(body)
    }

    pub(crate) fn chat(body: &Value) -> Self {
        Self::chat_bytes(body.to_string())
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(header, _)| header != name);
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        let length = self.body.len().to_string();
        self.without("content-length")
            .header("content-length", &length)
    }

    /// With this JSON.
    pub(crate) fn json(self, body: &Value) -> Self {
        let call = self.header("content-type", "application/json");
        call.body(body.to_string())
    }

    /// The head, with whatever length it claims.
    pub(crate) fn head(&self) -> Vec<u8> {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"));
        format!("{}\r\n{}\r\n", self.line, headers.collect::<String>()).into_bytes()
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        [self.head(), self.body.clone()].concat()
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(header, _)| header == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} twice in {:?}", self.headers);
        value
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The text of the first choice.
    pub(crate) fn content(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.text());
        let content = &self.json()["choices"][0]["message"]["content"];
        content.as_str().unwrap().to_owned()
    }

    /// The error inside; asserts that it comes as every error has to.
    pub(crate) fn error(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert!(self.header("x-request-id").is_some(), "{self:?}");
        let body = self.json();
        assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
        assert_envelope(&body["error"]);
        if self.status == 400 && self.header("x-should-retry") == Some("false") {
            assert_final(&self.text());
        }
        body["error"].clone()
    }

    /// Status, type and code in one line, to compare with.
    pub(crate) fn verdict(&self) -> String {
        let error = self.error();
        let text = |name: &str| error[name].as_str().unwrap_or("-").to_owned();
        format!("{} {} {}", self.status, text("type"), text("code"))
    }

    /// The text of a stream's deltas.
    pub(crate) fn streamed_text(&self) -> String {
        Stream::text(&self.text())
    }
}

/// Nothing that an agent takes for a passing failure, whatever the status: opencode looks for such
/// words and numbers in the whole body, and repeats the request.
fn assert_final(body: &str) {
    let body = body.to_lowercase();
    for passing in [
        "429",
        "500",
        "502",
        "503",
        "504",
        "524",
        "rate limit",
        "rate_limit",
        "too many requests",
        "overloaded",
        "service unavailable",
        "internal error",
        "server error",
        "server_error",
        "provider returned error",
        "terminated",
        "fetch failed",
        "network error",
        "connection error",
        "timed out",
        "try again later",
        "try again in",
        "retry your request",
        "resource exhausted",
    ] {
        assert!(!body.contains(passing), "{passing} in {body}");
    }
}

/// OpenAI's four fields, and nothing in the message that is not for a caller's eyes.
pub(crate) fn assert_envelope(error: &Value) {
    let fields = error.as_object().unwrap_or_else(|| panic!("{error}"));
    let names: Vec<&str> = fields.keys().map(String::as_str).collect();
    assert_eq!(names, ["message", "type", "param", "code"], "{error}");
    let message = fields["message"].as_str().unwrap();
    // The base URL under which the client has called.
    let message = message.replace("http://127.0.0.1/v1", "");
    assert!((10..700).contains(&message.len()), "{message}");
    for inside in [
        "ksecret",
        "http://",
        "127.0.0.1:",
        "reqwest",
        "hyper",
        "serde",
        ".rs",
        "::",
        "<html",
    ] {
        assert!(!message.contains(inside), "{inside} in {message}");
    }
}

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// As it should.
    Clean,
    /// The connection broke.
    Cut,
}

/// A connection.
pub(crate) struct Raw {
    stream: TcpStream,
    buffer: Vec<u8>,
    opened: Instant,
}

impl Raw {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: Vec::new(),
            opened: Instant::now(),
        }
    }

    /// A connection that takes in as little as the system allows before it is read from.
    pub(crate) fn connect_narrow(address: SocketAddr) -> Self {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(1024).unwrap();
        socket.connect(&address.into()).unwrap();
        let stream: TcpStream = socket.into();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        Self {
            stream,
            buffer: Vec::new(),
            opened: Instant::now(),
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends what the other side is willing to take; whether that was all.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish_sending(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Ends the connection with RST instead of FIN.
    pub(crate) fn reset(self) {
        SockRef::from(&self.stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }

    /// Reads once; 0 when the other side has closed, in whatever way.
    fn read_some(&mut self) -> usize {
        let is_in_time = self.opened.elapsed() < 3 * TIMEOUT;
        assert!(is_in_time, "no end of it: {:?}", self.shown());
        let mut bytes = [0; 16 * 1024];
        let count = match self.stream.read(&mut bytes) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("{error} after {:?}", self.shown()),
        };
        self.buffer.extend_from_slice(&bytes[..count]);
        count
    }

    fn shown(&self) -> String {
        let end = self.buffer.len().min(400);
        String::from_utf8_lossy(&self.buffer[..end]).into_owned()
    }

    /// Everything until the other side closes.
    pub(crate) fn rest(mut self) -> Vec<u8> {
        while self.read_some() > 0 {}
        self.buffer
    }

    /// What comes first, or nothing when the other side closes.
    pub(crate) fn rest_of_one(mut self) -> Vec<u8> {
        self.read_some();
        self.buffer
    }

    /// How long it takes the other side to close, and what it said before.
    pub(crate) fn closed_after(self) -> (Duration, String) {
        let started = Instant::now();
        let rest = self.rest();
        let took = started.elapsed();
        (took, String::from_utf8_lossy(&rest).into_owned())
    }

    fn find(&self, needle: &[u8]) -> Option<usize> {
        self.buffer
            .windows(needle.len())
            .position(|window| window == needle)
    }

    /// Takes everything up to the end of the first `needle`; `None` when the other side closes.
    fn take_until(&mut self, needle: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.find(needle) {
                let rest = self.buffer.split_off(at + needle.len());
                return Some(std::mem::replace(&mut self.buffer, rest));
            }
            if self.read_some() == 0 {
                return None;
            }
        }
    }

    fn take_exactly(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < count {
            if self.read_some() == 0 {
                return None;
            }
        }
        let rest = self.buffer.split_off(count);
        Some(std::mem::replace(&mut self.buffer, rest))
    }

    /// The head of the next answer; its body is empty so far.
    pub(crate) fn head(&mut self) -> Answer {
        let Some(head) = self.take_until(b"\r\n\r\n") else {
            panic!("closed before an answer: {:?}", self.shown());
        };
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let line = lines.next().unwrap();
        let status = line.strip_prefix("HTTP/1.").unwrap()[2..5].parse().unwrap();
        let header = |line: &str| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        Answer {
            status,
            headers: lines.map(header).collect(),
            body: Vec::new(),
        }
    }

    /// The next answer, to its proper end.
    pub(crate) fn answer(&mut self) -> Answer {
        let mut answer = self.head();
        if let Some(length) = answer.header("content-length") {
            let length = length.parse().unwrap();
            let body = self.take_exactly(length);
            answer.body = body.unwrap_or_else(|| panic!("cut: {answer:?}"));
        } else if answer.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk().unwrap_or_else(|| panic!("cut: {answer:?}")) {
                answer.body.extend_from_slice(&chunk);
            }
        }
        answer
    }

    /// The next chunk of a chunked body; `Some(None)` for the last, `None` for a cut.
    fn chunk(&mut self) -> Option<Option<Vec<u8>>> {
        let size = self.take_until(b"\r\n")?;
        let size = std::str::from_utf8(&size).unwrap().trim();
        let size = usize::from_str_radix(size, 16).unwrap();
        let mut chunk = self.take_exactly(size + 2)?;
        chunk.truncate(size);
        Some((size > 0).then_some(chunk))
    }

    /// The answer as a stream, whose head must be fine.
    pub(crate) fn stream(mut self) -> Stream {
        let head = self.head();
        self.stream_behind(&head)
    }

    /// The stream, unless the gateway is not ready for it yet.
    pub(crate) fn stream_if_ready(mut self) -> Option<Stream> {
        let head = self.head();
        (head.status != 503).then(|| self.stream_behind(&head))
    }

    /// The stream behind this head, which must be fine.
    pub(crate) fn stream_behind(self, head: &Answer) -> Stream {
        assert_eq!(head.status, 200, "{:?}", String::from_utf8(self.rest()));
        Stream {
            raw: self,
            body: String::new(),
        }
    }
}

/// A stream that is being read.
pub(crate) struct Stream {
    raw: Raw,
    body: String,
}

impl Stream {
    /// Reads until this text has come, and returns all that has.
    pub(crate) fn until(&mut self, needle: &str) -> &str {
        while !self.body.contains(needle) {
            let chunk = self.raw.chunk().flatten();
            let chunk = chunk.unwrap_or_else(|| panic!("ended without {needle}: {}", self.body));
            self.body.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        &self.body
    }

    /// Reads to the end.
    pub(crate) fn rest(mut self) -> (String, End) {
        loop {
            match self.raw.chunk() {
                Some(Some(chunk)) => self.body.push_str(std::str::from_utf8(&chunk).unwrap()),
                Some(None) => return (self.body, End::Clean),
                None => return (self.body, End::Cut),
            }
        }
    }

    /// Leaves without having read everything.
    pub(crate) fn into_raw(self) -> Raw {
        self.raw
    }

    /// The data of the events in a body.
    pub(crate) fn data(body: &str) -> Vec<&str> {
        let lines = body.split("\n\n").filter(|frame| !frame.is_empty());
        lines
            .filter(|frame| !frame.starts_with(':'))
            .map(|frame| frame.strip_prefix("data: ").unwrap())
            .collect()
    }

    /// The chunks in a body, whatever ends it.
    pub(crate) fn chunks(body: &str) -> Vec<Value> {
        let data = Self::data(body)
            .into_iter()
            .filter(|data| *data != "[DONE]");
        data.map(|data| serde_json::from_str(data).unwrap())
            .collect()
    }

    /// The text of the first choice.
    pub(crate) fn text(body: &str) -> String {
        let chunks = Self::chunks(body);
        let text = |chunk: &Value| {
            let content = chunk["choices"][0]["delta"]["content"].as_str();
            content.map(str::to_owned)
        };
        chunks.iter().filter_map(text).collect()
    }

    /// The error at the end of a body that must end in one: nothing after it, no `[DONE]`, no
    /// finish reason.
    pub(crate) fn error(body: &str) -> Value {
        assert!(
            !body.contains("\"finish_reason\":\"stop\"") && !body.contains("\"length\""),
            "{body}"
        );
        Self::error_after_choices(body)
    }

    /// The same, where some choices have ended well before.
    pub(crate) fn error_after_choices(body: &str) -> Value {
        let chunks = Self::chunks(body);
        assert!(!body.contains("[DONE]"), "{body}");
        let (last, before) = chunks.split_last().unwrap();
        assert!(before.iter().all(|chunk| chunk.get("error").is_none()));
        assert_eq!(last.as_object().unwrap().len(), 1, "{last}");
        assert_envelope(&last["error"]);
        last["error"].clone()
    }
}
