//! A stand-in for fal that does exactly what it is told, byte by byte.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::TIMEOUT;
use super::gateway::Setup;

/// What the stand-in does next on a connection.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Read one request.
    Read,
    /// Read what comes first of a request.
    ReadSome,
    Write(Vec<u8>),
    /// Write the same bytes again and again, until the peer takes no more of them.
    Flood(Vec<u8>),
    /// Write the same bytes every few milliseconds, until the peer takes no more of them.
    Drip(Vec<u8>),
    /// Wait until the test has opened this many gates.
    Gate(usize),
    /// Read requests and answer each with these bytes, as long as more come.
    Serve(Vec<u8>),
    /// Close in order.
    Close,
    /// Close with RST.
    Reset,
    /// Wait until the peer closes. Every script ends like that unless it says otherwise.
    Hold,
}

/// One connection, as it was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) requests: Vec<Vec<u8>>,
    /// Bytes that could be written.
    pub(crate) written: usize,
    /// When the connection ended, by whomever.
    pub(crate) closed: Option<Instant>,
}

#[derive(Default)]
struct State {
    connections: Vec<Seen>,
    gates: usize,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

pub(crate) struct ScriptedUpstream {
    url: String,
    shared: Arc<Shared>,
}

impl ScriptedUpstream {
    /// Plays the same script on every connection.
    pub(crate) fn start(script: Vec<Step>) -> Self {
        Self::with(move |_| script.clone())
    }

    /// Plays the script that belongs to the connection with this number, from 0.
    pub(crate) fn with(script: impl Fn(usize) -> Vec<Step> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::<Shared>::default();
        let sharing = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut number = 0;
                sharing.change(|state| {
                    number = state.connections.len();
                    state.connections.push(Seen::default());
                });
                let mut connection = Connection {
                    stream,
                    number,
                    shared: Arc::clone(&sharing),
                    buffer: Vec::new(),
                };
                let steps = script(number);
                thread::spawn(move || connection.play(steps));
            }
        });
        Self { url, shared }
    }

    /// A stand-in that reads a request, writes these bytes and closes. The head of an answer says so:
    /// whoever asks next would else do so over the connection that is just being closed.
    pub(crate) fn answering(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = announcing_its_end(bytes.into());
        Self::start(vec![Step::Read, Step::Write(bytes), Step::Close])
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let address = self.url.strip_prefix("http://").unwrap();
        address.parse().unwrap()
    }

    pub(crate) fn setup(&self) -> Setup {
        Setup::towards(&self.url)
    }

    pub(crate) fn open_gate(&self) {
        self.shared.change(|state| state.gates += 1);
    }

    /// Waits until the connections look like this.
    pub(crate) fn until<T>(&self, what: &str, look: impl Fn(&[Seen]) -> Option<T>) -> T {
        let deadline = Instant::now() + TIMEOUT;
        let mut state = self.shared.state.lock().unwrap();
        loop {
            if let Some(seen) = look(&state.connections) {
                return seen;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "never came to pass: {what}");
            state = self.shared.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Waits until so many requests have come in, over all connections.
    pub(crate) fn until_requests(&self, count: usize) {
        self.until(&format!("{count} requests"), |seen| {
            (requests(seen) >= count).then_some(())
        });
    }

    /// Waits until the gateway has closed every connection; when the last of them was.
    pub(crate) fn until_closed(&self) -> Instant {
        self.until("all connections closed", |seen| {
            let closed: Option<Vec<Instant>> = seen.iter().map(|one| one.closed).collect();
            closed?.into_iter().max()
        })
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.state.lock().unwrap().connections.clone()
    }

    /// How many requests have come in so far.
    pub(crate) fn requests(&self) -> usize {
        requests(&self.seen())
    }
}

fn requests(seen: &[Seen]) -> usize {
    seen.iter().map(|one| one.requests.len()).sum()
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }
}

struct Connection {
    stream: TcpStream,
    number: usize,
    shared: Arc<Shared>,
    buffer: Vec<u8>,
}

impl Connection {
    fn play(&mut self, steps: Vec<Step>) {
        for step in steps {
            let goes_on = match step {
                Step::Read => self.read_request(),
                Step::ReadSome => self.read_more(),
                Step::Write(bytes) => self.write(&bytes),
                Step::Flood(bytes) => {
                    while self.write(&bytes) {}
                    true
                }
                Step::Drip(bytes) => {
                    while self.write(&bytes) {
                        thread::sleep(Duration::from_millis(10));
                    }
                    true
                }
                Step::Gate(count) => self.wait_for_gate(count),
                Step::Serve(bytes) => {
                    while self.read_request() && self.write(&bytes) {}
                    true
                }
                Step::Close => return self.note_closed(),
                Step::Reset => {
                    let socket = SockRef::from(&self.stream);
                    socket.set_linger(Some(Duration::ZERO)).unwrap();
                    return self.note_closed();
                }
                Step::Hold => false,
            };
            if !goes_on {
                break;
            }
        }
        while self.read_more() {}
        self.note_closed();
    }

    fn note(&self, change: impl FnOnce(&mut Seen)) {
        self.shared
            .change(|state| change(&mut state.connections[self.number]));
    }

    fn note_closed(&self) {
        self.note(|seen| seen.closed = seen.closed.or(Some(Instant::now())));
    }

    fn read_more(&mut self) -> bool {
        let mut bytes = [0; 16 * 1024];
        match self.stream.read(&mut bytes) {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.buffer.extend_from_slice(&bytes[..count]);
                true
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> bool {
        let written = self.stream.write_all(bytes).is_ok();
        if written {
            self.note(|seen| seen.written += bytes.len());
        }
        written
    }

    fn read_request(&mut self) -> bool {
        let end = loop {
            let blank = self.buffer.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(at) = blank {
                let head = String::from_utf8_lossy(&self.buffer[..at]).to_ascii_lowercase();
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
                let end = at + 4 + length.unwrap_or(0);
                if self.buffer.len() >= end {
                    break end;
                }
            }
            if !self.read_more() {
                self.note_closed();
                return false;
            }
        };
        let rest = self.buffer.split_off(end);
        let request = std::mem::replace(&mut self.buffer, rest);
        self.note(|seen| seen.requests.push(request));
        true
    }

    /// Waits for the test, and watches out for the peer's end meanwhile.
    fn wait_for_gate(&mut self, count: usize) -> bool {
        self.stream
            .set_read_timeout(Some(Duration::from_millis(5)))
            .unwrap();
        let deadline = Instant::now() + TIMEOUT;
        while self.shared.state.lock().unwrap().gates < count {
            let mut byte = [0];
            if matches!(self.stream.peek(&mut byte), Ok(0)) || Instant::now() > deadline {
                return false;
            }
        }
        self.stream.set_read_timeout(None).unwrap();
        true
    }
}

/// The same answer, whose head says that the connection ends with it.
fn announcing_its_end(mut answer: Vec<u8>) -> Vec<u8> {
    if let Some(line) = answer.windows(2).position(|two| two == b"\r\n") {
        let header = b"\r\nconnection: close".iter().copied();
        answer.splice(line..line, header);
    }
    answer
}

/// The head of fal's stream; the body that follows is written as it is and ends with the
/// connection.
pub(crate) fn sse_head() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nx-fal-request-id: fal-1\r\nconnection: close\r\n\r\n".to_vec()
}

/// An event with this data.
pub(crate) fn sse(data: &str) -> Vec<u8> {
    format!("event: message\r\ndata: {data}\r\n\r\n").into_bytes()
}

/// fal's event: all the text so far.
pub(crate) fn event(output: &str) -> Vec<u8> {
    fal_event(output, true)
}

/// An answer whose second half waits for the gate 1.
pub(crate) fn one_and_two_later() -> Vec<Step> {
    vec![
        Step::Read,
        Step::Write(sse_head()),
        Step::Write(event("one")),
        Step::Gate(1),
        Step::Write(final_event("one two")),
        Step::Close,
    ]
}

/// An answer whose first text waits for the gate 1, and its end for the gate 2.
pub(crate) fn silent_at_first() -> Vec<Step> {
    vec![
        Step::Read,
        Step::Write(sse_head()),
        Step::Gate(1),
        Step::Write(event("one")),
        Step::Gate(2),
        Step::Write(final_event("one two")),
        Step::Close,
    ]
}

/// fal's closing event.
pub(crate) fn final_event(output: &str) -> Vec<u8> {
    fal_event(output, false)
}

fn fal_event(output: &str, partial: bool) -> Vec<u8> {
    let data = serde_json::json!({
        "output": output, "reasoning": null, "partial": partial, "error": null,
    });
    sse(&data.to_string())
}

/// A whole answer of fal's over a connection that stays open.
pub(crate) fn whole(output: &str) -> Vec<u8> {
    let data = serde_json::json!({
        "output": output, "reasoning": null, "partial": false, "error": null,
    });
    let body = data.to_string();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-fal-request-id: fal-1\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
