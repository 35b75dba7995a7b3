//! Clients that leave: the call to fal ends with them, whatever it was doing.

use std::time::{Duration, Instant};

use crate::support::{
    Call, Emulated, Process, Raw, ScriptedUpstream, Step, event, question, sse_head, until,
};

/// Far longer than it takes (a few milliseconds), far shorter than any limit that would end the
/// call in another way.
const AT_ONCE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Leave {
    Close,
    Reset,
    /// The client only says that it will not send any more. It counts as gone.
    HalfClose,
}

/// Where fal is when the client leaves.
fn phases() -> [(&'static str, bool, Vec<Step>); 6] {
    let json = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n";
    [
        ("before the head", true, vec![Step::Read]),
        ("before the head, whole", false, vec![Step::Read]),
        (
            "after the head, before the first event",
            true,
            vec![Step::Read, Step::Write(sse_head())],
        ),
        (
            "in the middle of a whole answer",
            false,
            vec![Step::Read, Step::Write([json, b"{".as_slice()].concat())],
        ),
        (
            "in a whole answer that comes as a stream",
            false,
            vec![Step::Read, Step::Write(sse_head()), Step::Write(event("a"))],
        ),
        (
            "in the middle of a stream",
            true,
            vec![Step::Read, Step::Write(sse_head()), Step::Write(event("a"))],
        ),
    ]
}

fn leave(raw: Raw, how: Leave) -> Option<Raw> {
    match how {
        Leave::Close => drop(raw),
        Leave::Reset => raw.reset(),
        Leave::HalfClose => {
            raw.finish_sending();
            return Some(raw);
        }
    }
    None
}

#[test]
fn the_call_to_fal_ends_at_once_when_the_client_leaves_in_any_phase() {
    for (phase, stream, script) in phases() {
        for how in [Leave::Close, Leave::Reset, Leave::HalfClose] {
            let fal = ScriptedUpstream::start(script.clone());
            let gateway = fal.setup().start();
            let mut raw = gateway.open(&Call::chat(&question("hi", stream)));
            let written: usize = script
                .iter()
                .map(|step| match step {
                    Step::Write(bytes) => bytes.len(),
                    _ => 0,
                })
                .sum();
            fal.until_requests(1);
            fal.until("all written", |seen| {
                (seen[0].written == written).then_some(())
            });
            if phase == "in the middle of a stream" {
                let mut reading = raw.stream();
                reading.until("\"a\"");
                raw = reading.into_raw();
            }
            let left = Instant::now();
            let kept = leave(raw, how);
            let took = fal.until_closed().saturating_duration_since(left);
            assert!(took < AT_ONCE, "{phase}, {how:?}: {took:?}");
            drop(kept);
            gateway.until_metric("fal_gateway_client_disconnects_total", 1.0);
            gateway.until_metric("fal_gateway_open_streams", 0.0);
            assert_eq!(fal.requests(), 1, "{phase}");
        }
    }
}

#[test]
fn the_emulator_says_that_the_gateway_hung_up() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    for (script, stream) in [
        ("hang", true),
        ("hang", false),
        ("stall:2", true),
        ("latency:60s", false),
    ] {
        let prompt = format!("/emulate {script}\ncount 50");
        let before = fal.count();
        let raw = gateway.open(&Call::chat(&question(&prompt, stream)));
        fal.requests(before + 1);
        drop(raw);
        let record = fal.ended();
        assert_eq!(record["outcome"], "hung_up", "{script}: {record}");
    }
}

#[test]
fn a_client_that_leaves_while_more_of_its_requests_wait_still_ends_the_call() {
    let fal = ScriptedUpstream::start(vec![Step::Read, Step::Write(sse_head())]);
    let gateway = fal.setup().start();
    let call = Call::chat(&question("hi", true)).to_bytes();
    let mut raw = gateway.connect();
    raw.send(&call);
    fal.until_requests(1);
    raw.send(&call.repeat(3));
    drop(raw);
    fal.until_closed();
    gateway.until_metric("fal_gateway_active_requests{route=\"chat\"}", 0.0);
    assert_eq!(fal.requests(), 1);
}

/// More than is read ahead, so that the end behind it cannot be read: the next write finds out.
#[test]
fn a_client_that_pours_in_requests_and_leaves_is_found_out_by_the_next_comment() {
    let fal = ScriptedUpstream::start(vec![Step::Read, Step::Write(sse_head())]);
    let (_process, address) = Process::serving(&fal.setup().set("server.heartbeat", "100ms"));
    let mut raw = Raw::connect(address);
    raw.send(&Call::chat(&question("hi", true)).to_bytes());
    fal.until_requests(1);
    let more = Call::chat(&question(&"x".repeat(4096), true)).to_bytes();
    raw.try_send(&more.repeat(300));
    drop(raw);
    fal.until_closed();
}

#[test]
fn all_calls_of_a_request_with_several_choices_end_together() {
    let fal = ScriptedUpstream::start(vec![Step::Read, Step::Write(sse_head())]);
    let gateway = fal.setup().start();
    let mut body = question("hi", true);
    body["n"] = 3.into();
    let raw = gateway.open(&Call::chat(&body));
    fal.until_requests(3);
    drop(raw);
    fal.until_closed();
    assert_eq!(fal.requests(), 3);
}

#[test]
fn connections_that_break_off_anywhere_leave_no_descriptor_behind() {
    let fal = Emulated::start();
    let (process, address) = Process::serving(&fal.setup());
    let request = Call::chat(&question("echo hi", true)).to_bytes();
    let break_off = |count: usize| {
        for cut in (0..count).map(|step| step * 7919 % request.len()) {
            let mut raw = Raw::connect(address);
            raw.send(&request[..cut]);
            match cut % 2 {
                0 => raw.reset(),
                _ => drop(raw),
            }
        }
    };
    // The first answer shows that all threads are there.
    let mut raw = Raw::connect(address);
    raw.send(&Call::get("/livez").to_bytes());
    assert_eq!(raw.answer().status, 200);
    let before = process.descriptors();
    break_off(300);
    until("descriptors back where they were", || {
        (process.descriptors() <= before).then_some(())
    });
}
