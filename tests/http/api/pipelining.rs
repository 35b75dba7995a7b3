//! Clients that send more before they have been answered.

use std::time::Duration;

use crate::support::{
    Call, Process, Raw, ScriptedUpstream, Step, event, final_event, question, sse_head, until,
    whole,
};

/// More than any buffer of the server's, and less than the system takes in by itself.
const FLOOD: usize = 20_000;

/// A gateway with one stream running, and many requests waiting behind it on the connection.
fn flooded(fal: &ScriptedUpstream) -> (Process, Raw) {
    let (process, address) = Process::serving(&fal.setup());
    let mut raw = Raw::connect(address);
    raw.send(&Call::chat(&question("hi", true)).to_bytes());
    fal.until_requests(1);
    raw.send(&Call::get("/livez").to_bytes().repeat(FLOOD));
    (process, raw)
}

#[test]
fn what_waits_behind_a_running_answer_costs_nothing() {
    let fal = ScriptedUpstream::start(vec![
        Step::Read,
        Step::Write(sse_head()),
        Step::Write(event("one")),
        Step::Hold,
    ]);
    let (process, raw) = flooded(&fal);
    let mut reading = raw.stream();
    reading.until("\"one\"");
    let before = process.cpu();
    // The time over which it is measured, and not a wait for something to happen.
    std::thread::sleep(Duration::from_millis(700));
    let spent = process.cpu().saturating_sub(before);
    assert!(spent < Duration::from_millis(200), "{spent:?} of 700ms");
}

#[test]
fn a_client_that_leaves_is_noticed_behind_all_that_it_has_sent() {
    for reset in [false, true] {
        let fal = ScriptedUpstream::start(vec![Step::Read, Step::Hold]);
        let (_process, raw) = flooded(&fal);
        let left = std::time::Instant::now();
        match reset {
            true => raw.reset(),
            false => drop(raw),
        }
        let took = fal.until_closed().saturating_duration_since(left);
        assert!(took < Duration::from_secs(5), "reset {reset}: {took:?}");
    }
}

#[test]
fn what_waits_is_answered_in_its_order() {
    let fal = ScriptedUpstream::start(vec![
        Step::Read,
        Step::Write(sse_head()),
        Step::Gate(1),
        Step::Write(final_event("one")),
        Step::Close,
    ]);
    let (_process, mut raw) = flooded(&fal);
    fal.open_gate();
    assert_eq!(raw.answer().streamed_text(), "one");
    for _ in 0..FLOOD {
        assert_eq!(raw.answer().status, 200);
    }
}

/// The second request's body is larger than what is read ahead.
#[test]
fn large_requests_may_wait_as_well() {
    let fal = ScriptedUpstream::start(vec![
        Step::Read,
        Step::Gate(1),
        Step::Write(whole("first")),
        Step::Serve(whole("later")),
    ]);
    let gateway = fal.setup().start();
    let mut raw = gateway.open(&Call::chat(&question("hi", false)));
    fal.until_requests(1);
    let long = "long ".repeat(60_000);
    for _ in 0..3 {
        raw.send(&Call::chat(&question(&long, false)).to_bytes());
    }
    raw.send(&Call::get("/livez").to_bytes());
    fal.open_gate();
    assert_eq!(raw.answer().content(), "first");
    for _ in 0..3 {
        assert_eq!(raw.answer().content(), "later");
    }
    assert_eq!(raw.answer().status, 200);
    let sizes = until("all requests", || {
        let seen = fal.seen();
        let sizes = seen.iter().flat_map(|one| &one.requests).map(Vec::len);
        Some(sizes.collect::<Vec<_>>()).filter(|sizes| sizes.len() == 4)
    });
    assert!(sizes.iter().skip(1).all(|size| *size > long.len()));
}
