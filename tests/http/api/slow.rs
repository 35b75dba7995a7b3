//! Clients that are slow to read or slow to ask.

use std::time::{Duration, Instant};

use crate::support::{
    Call, Emulated, Process, Raw, ScriptedUpstream, Step, event, question, sse_head,
};

/// fal, writing an endless answer as fast as it is read: every event adds 8 KiB.
fn endless() -> ScriptedUpstream {
    let mut text = String::new();
    let mut steps = vec![Step::Read, Step::Write(sse_head())];
    for _ in 0..64 {
        text.push_str(&"x".repeat(8192));
        steps.push(Step::Write(event(&text)));
    }
    // From here on fal repeats itself, which costs nothing to hold and has to be read all the same.
    steps.push(Step::Flood(
        b": a comment to fill the pipe\r\n\r\n".repeat(2048),
    ));
    ScriptedUpstream::start(steps)
}

#[test]
fn a_client_that_reads_nothing_is_given_up_at_the_write_limit() {
    let fal = endless();
    let gateway = fal.setup().set("server.write_timeout", "600ms").start();
    let mut raw = Raw::connect_narrow(gateway.address);
    let started = Instant::now();
    raw.send(&Call::chat(&question("hi", true)).to_bytes());
    let closed = fal.until_closed();
    let took = closed.saturating_duration_since(started);
    assert!(took < Duration::from_secs(6), "given up after {took:?}");
    gateway.until_metric("fal_gateway_open_streams", 0.0);
    gateway.until_metric("fal_gateway_client_disconnects_total", 1.0);
    drop(raw);
}

#[test]
fn a_client_that_reads_slowly_but_steadily_is_served() {
    let fal = Emulated::start();
    let gateway = fal.setup().set("server.write_timeout", "300ms").start();
    let prompt = "/emulate gap:100ms size:40\nlong 400";
    let answer = gateway.ask(&question(prompt, true));
    assert!(answer.text().ends_with("data: [DONE]\n\n"));
}

/// The stream's own text is what is in memory, and the pipes are full: fal has to wait.
#[test]
fn a_client_that_reads_nothing_stops_the_reading_of_fal() {
    let filler = "y".repeat(1 << 20);
    let mut steps = vec![Step::Read, Step::Write(sse_head())];
    let mut text = String::new();
    for _ in 0..3 {
        text.push_str(&filler);
        steps.push(Step::Write(event(&text)));
    }
    steps.push(Step::Flood(event(&text)));
    let fal = ScriptedUpstream::start(steps);
    let setup = fal.setup().set("fal.max_event", "64MiB");
    let (process, address) = Process::serving(&setup.set("server.write_timeout", "1500ms"));
    let before = process.resident_kib();
    let mut raw = Raw::connect_narrow(address);
    raw.send(&Call::chat(&question("hi", true)).to_bytes());
    fal.until_closed();
    let written = fal.seen()[0].written;
    assert!(written < 48 << 20, "{written} bytes were read from fal");
    let grown = process.resident_kib().saturating_sub(before);
    assert!(grown < 64 << 10, "grew by {grown} KiB");
}

#[test]
fn a_head_that_comes_in_drops_is_cut_at_its_limit_and_others_are_served() {
    let fal = Emulated::start();
    let gateway = fal.setup().set("server.header_timeout", "500ms").start();
    let head = Call::chat(&question("echo hi", false)).head();
    let mut slow: Vec<Raw> = (0..50).map(|_| gateway.connect()).collect();
    let started = Instant::now();
    for byte in head.iter().take(12) {
        for raw in &mut slow {
            raw.try_send(&[*byte]);
        }
    }
    assert_eq!(gateway.ask(&question("echo hi", false)).content(), "hi");
    assert!(started.elapsed() < Duration::from_secs(6));
    for raw in slow {
        let (_, said) = raw.closed_after();
        assert!(
            said.is_empty() || said.starts_with("HTTP/1.1 408"),
            "{said}"
        );
    }
    assert!(started.elapsed() < Duration::from_secs(8));
    assert_eq!(fal.count(), 1);
}

#[test]
fn an_idle_connection_is_closed_at_its_limit() {
    let fal = Emulated::start();
    let gateway = fal.setup().set("server.keep_alive", "300ms").start();
    let mut raw = gateway.open(&Call::get("/livez"));
    assert_eq!(raw.answer().status, 200);
    let (took, said) = raw.closed_after();
    assert_eq!(said, "");
    assert!(took < Duration::from_secs(6), "{took:?}");
}

/// A connection that has been used before has the same limit for a head as a fresh one.
#[test]
fn a_later_head_that_does_not_end_is_cut_at_its_limit_too() {
    let fal = Emulated::start();
    let gateway = fal.setup().set("server.header_timeout", "500ms").start();
    let mut raw = gateway.open(&Call::get("/livez"));
    assert_eq!(raw.answer().status, 200);
    raw.send(b"GET /livez HT");
    let (took, said) = raw.closed_after();
    assert!(
        said.is_empty() || said.starts_with("HTTP/1.1 408"),
        "{said}"
    );
    assert!(took < Duration::from_secs(5), "{took:?}");
}

/// The limit is for the head alone: neither a pause between two requests nor a long answer counts.
#[test]
fn the_limit_for_heads_spares_a_connection_that_is_used_slowly() {
    let fal = Emulated::start();
    let gateway = fal.setup().set("server.header_timeout", "300ms").start();
    let mut raw = gateway.connect();
    for _ in 0..3 {
        let prompt = "/emulate latency:500ms\necho hi";
        let call = Call::chat(&question(prompt, false)).to_bytes();
        let (head, tail) = call.split_at(40);
        raw.send(head);
        raw.send(tail);
        assert_eq!(raw.answer().content(), "hi");
        // A client that thinks for longer than a head may take.
        std::thread::sleep(Duration::from_millis(400));
    }
}
