//! Connections that are held: each state that one can be in has its limit, whatever is sent on it,
//! and whoever may call.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Call, Emulated, Process, Raw, ScriptedUpstream, Setup, Step, question};

/// More than every limit of [`quick`] and the wait at the end of a connection together.
const SOON: Duration = Duration::from_secs(6);

/// What the system may take in before anybody reads it, on both sides.
const BUFFERS: usize = 24 << 20;

fn quick(setup: Setup) -> Setup {
    setup
        .set("server.header_timeout", "500ms")
        .set("server.body_timeout", "600ms")
        .set("server.keep_alive", "700ms")
        .set("server.max_body", "1MiB")
        .set("fal.first_byte_timeout", "700ms")
}

/// How a client goes on once a connection is in the state that is tested.
#[derive(Clone, Copy, Debug)]
enum Pace {
    Silence,
    Drip,
    Flood,
}

/// A state: the bytes that lead there, and what is then sent again and again.
struct State {
    name: &'static str,
    opening: Vec<u8>,
    more: &'static str,
}

fn state(name: &'static str, opening: impl Into<Vec<u8>>, more: &'static str) -> State {
    State {
        name,
        opening: opening.into(),
        more,
    }
}

/// A head that claims a long body, and one that claims chunks.
fn unfinished(call: &Call) -> [Vec<u8>; 2] {
    let call = call.clone().without("content-length");
    [
        call.clone().header("content-length", "1000000").head(),
        call.header("transfer-encoding", "chunked").head(),
    ]
}

fn states(key: &str) -> Vec<State> {
    let half = "GET /livez HTTP/1.1\r\nx: ";
    let livez = Call::get("/livez");
    let chat = Call::chat(&question("hi", false)).header("authorization", &format!("Bearer {key}"));
    let body = question("hi", false).to_string();
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let after = |bytes: Vec<u8>| [bytes, half.as_bytes().to_vec()].concat();
    let [sized, chunked] = unfinished(&chat);
    let mut states = vec![
        state("accepted", "", "\r\n"),
        state("head", half, "a"),
        state("head behind a request", after(livez.to_bytes()), "a"),
        state("head behind a body", after(chat.to_bytes()), "a"),
        state(
            "head behind chunks",
            after([chunked.clone(), chunks.into_bytes()].concat()),
            "a",
        ),
        state("sized body wanted", sized, " "),
        state("chunks wanted", chunked.clone(), "1\r\n \r\n"),
        state(
            "chunk extension",
            [chunked.clone(), b"1;".to_vec()].concat(),
            "a",
        ),
        state(
            "chunk begun",
            [chunked.clone(), b"ffff\r\n".to_vec()].concat(),
            " ",
        ),
        state("answering", chat.to_bytes(), "a"),
        state("idle", livez.to_bytes(), "\r\n"),
        state(
            "closing",
            livez.clone().header("connection", "close").to_bytes(),
            "a",
        ),
        state("tunnel", "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n", "a"),
        state("trailers", [chunked, b"0\r\nx".to_vec()].concat(), "a"),
    ];
    let unwanted = [
        ("unwanted by /livez", livez),
        ("unwanted by HEAD", Call::new("HEAD", "/livez")),
        ("unwanted: 404", Call::new("POST", "/nothing")),
        ("unwanted: 405", Call::new("POST", "/metrics")),
        (
            "unwanted: 401 or 415",
            Call::new("POST", "/v1/chat/completions"),
        ),
        ("unwanted: 415", chat.clone().without("content-type")),
        (
            "unwanted, asked first",
            Call::new("POST", "/nothing").header("expect", "100-continue"),
        ),
    ];
    for (name, call) in unwanted {
        let [sized, chunked] = unfinished(&call);
        states.push(state(name, sized, "a"));
        states.push(state(name, chunked, "1\r\n \r\n"));
    }
    states
}

/// What became of a connection.
struct Held {
    closed: Option<Duration>,
    said: Vec<u8>,
    sent: usize,
}

/// Brings a connection into a state, goes on at this pace, and watches how it ends.
fn hold(address: SocketAddr, state: &State, pace: Pace) -> Held {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(&state.opening).unwrap();
    stream.set_nonblocking(true).unwrap();
    let (more, pause) = match pace {
        Pace::Silence => (Vec::new(), SOON),
        Pace::Drip => (state.more.as_bytes().to_vec(), Duration::from_millis(50)),
        Pace::Flood => (
            state.more.as_bytes().repeat((64 << 10) / state.more.len()),
            Duration::ZERO,
        ),
    };
    let (started, mut due) = (Instant::now(), Instant::now());
    let mut held = Held {
        closed: None,
        said: Vec::new(),
        sent: 0,
    };
    let mut rest: &[u8] = &[];
    while started.elapsed() < SOON && held.closed.is_none() {
        if rest.is_empty() && due <= Instant::now() {
            (rest, due) = (&more, Instant::now() + pause);
        }
        if !rest.is_empty() {
            match stream.write(rest) {
                Ok(count) => {
                    held.sent += count;
                    rest = &rest[count..];
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => held.closed = Some(started.elapsed()),
            }
        }
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes) {
            Ok(0) => held.closed = Some(started.elapsed()),
            Ok(count) => held.said.extend(&bytes[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(1));
            }
            Err(_) => held.closed = Some(started.elapsed()),
        }
    }
    held
}

/// Tries every state at every pace, all at the same time.
fn assert_all_end(setup: &Setup, key: &str) {
    let gateway = quick(setup.clone()).start();
    let states = states(key);
    thread::scope(|scope| {
        for state in &states {
            for pace in [Pace::Silence, Pace::Drip, Pace::Flood] {
                let address = gateway.address;
                scope.spawn(move || {
                    let held = hold(address, state, pace);
                    let said = String::from_utf8_lossy(&held.said);
                    let shown: String = said.chars().take(300).collect();
                    let name = state.name;
                    assert!(held.closed.is_some(), "{name}, {pace:?}: open; {shown}");
                    assert!(held.sent < BUFFERS, "{name}, {pace:?}: took {}", held.sent);
                    assert!(!said.contains("500 Internal"), "{name}: {shown}");
                });
            }
        }
    });
    assert_eq!(gateway.get("/livez").status, 200);
}

fn silent_fal() -> ScriptedUpstream {
    ScriptedUpstream::start(vec![Step::Read, Step::Hold])
}

#[test]
fn every_state_ends_where_everybody_may_call() {
    assert_all_end(&silent_fal().setup(), "any");
}

#[test]
fn every_state_ends_where_keys_are_asked_for() {
    let setup = silent_fal().setup().env("FAL_GATEWAY_KEYS", "sk-fg-alice");
    assert_all_end(&setup, "sk-fg-alice");
}

#[test]
fn every_state_ends_where_callers_bring_their_keys() {
    assert_all_end(&silent_fal().setup().without_fal_key(), "id:secret");
}

/// An answer that comes before the request is complete says that it is the last one, and is.
#[test]
fn an_early_answer_ends_the_connection_soon_and_says_so() {
    let gateway = Emulated::start().setup().start();
    let early = [
        Call::get("/livez"),
        Call::get("/nothing"),
        Call::new("PUT", "/v1/models"),
        Call::chat_bytes("").without("content-type"),
    ];
    for call in early {
        for head in unfinished(&call) {
            let mut raw = gateway.connect();
            let started = Instant::now();
            raw.send(&head);
            assert_eq!(raw.answer().header("connection"), Some("close"));
            assert!(raw.rest().is_empty());
            let took = started.elapsed();
            assert!(took < Duration::from_secs(5), "{took:?}");
        }
    }
}

/// Nothing is answered behind the last answer, not even what came before it was given.
#[test]
fn nothing_is_answered_on_a_connection_that_ends() {
    let gateway = Emulated::start().setup().start();
    let next = Call::get("/livez").to_bytes();
    let closing = Call::get("/livez").header("connection", "close").to_bytes();
    let unread = Call::new("POST", "/nothing").header("transfer-encoding", "chunked");
    let unread = [unread.head(), b"1\r\n \r\n0\r\n\r\n".to_vec()].concat();
    for first in [closing, unread] {
        let mut raw = gateway.connect();
        raw.send(&[first, next.clone(), next.clone()].concat());
        let said = String::from_utf8(raw.rest()).unwrap();
        assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{said}");
        assert!(said.contains("connection: close"), "{said}");
    }
}

/// As many strangers as there are connections: the next caller waits for a moment only.
#[test]
fn strangers_do_not_keep_the_service_from_others() {
    let setup = Emulated::start().setup().set("server.max_connections", "8");
    let (_process, address) = Process::serving(&setup);
    let [_, chunked] = unfinished(&Call::get("/nothing"));
    let held: Vec<Raw> = (0..8)
        .map(|_| {
            let mut raw = Raw::connect(address);
            raw.send(&chunked);
            raw
        })
        .collect();
    let started = Instant::now();
    let mut raw = Raw::connect(address);
    raw.send(&Call::get("/livez").to_bytes());
    assert_eq!(raw.answer().status, 200);
    assert!(started.elapsed() < Duration::from_secs(5));
    drop(held);
}
