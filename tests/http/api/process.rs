//! The program as its host sees it: signals, exit codes, its port.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use crate::support::{
    Call, Emulated, End, Process, Raw, ScriptedUpstream, Setup, Step, Stream, event, question,
    sse_head, until, whole,
};

fn ask(address: SocketAddr, stream: bool) -> Raw {
    let mut raw = Raw::connect(address);
    raw.send(&Call::chat(&question("hi", stream)).to_bytes());
    raw
}

fn until_draining(address: SocketAddr) {
    until("not ready any more", || {
        let mut raw = Raw::connect(address);
        raw.send(&Call::get("/readyz").to_bytes());
        (raw.answer().status == 503).then_some(())
    });
}

#[test]
fn told_to_stop_it_finishes_what_runs_and_exits_with_0() {
    for signal in ["TERM", "INT"] {
        let fal =
            ScriptedUpstream::start(vec![Step::Read, Step::Gate(1), Step::Write(whole("hi"))]);
        let setup = fal.setup().set("server.drain_timeout", "20s");
        let (mut process, address) = Process::serving(&setup);
        let mut idle = Raw::connect(address);
        idle.send(&Call::get("/livez").to_bytes());
        assert_eq!(idle.answer().status, 200);
        let mut running = ask(address, false);
        fal.until_requests(1);
        process.signal(signal);
        until_draining(address);
        let refused = ask(address, false).answer();
        assert_eq!(refused.verdict(), "503 server_error shutting_down");
        fal.open_gate();
        assert_eq!(running.answer().content(), "hi");
        let finished = Instant::now();
        assert_eq!(process.exit().code(), Some(0));
        assert!(finished.elapsed() < Duration::from_secs(10), "{signal}");
        assert_eq!(idle.rest(), b"");
    }
}

#[test]
fn with_nothing_to_do_it_stops_at_once() {
    let fal = Emulated::start();
    let setup = fal.setup().set("server.drain_timeout", "1h");
    let (mut process, _) = Process::serving(&setup);
    let told = Instant::now();
    process.signal("TERM");
    assert_eq!(process.exit().code(), Some(0));
    assert!(told.elapsed() < Duration::from_secs(20));
}

#[test]
fn streams_past_the_drain_limit_are_told_and_the_calls_to_fal_are_dropped() {
    let fal = ScriptedUpstream::start(vec![
        Step::Read,
        Step::Write(sse_head()),
        Step::Write(event("one")),
    ]);
    let (mut process, address) =
        Process::serving(&fal.setup().set("server.drain_timeout", "300ms"));
    let mut reading = ask(address, true).stream();
    reading.until("\"one\"");
    process.signal("TERM");
    let (body, end) = reading.rest();
    assert_eq!(Stream::error(&body)["code"], "shutting_down");
    assert_eq!(end, End::Clean);
    fal.until_closed();
    assert_eq!(process.exit().code(), Some(0));
}

/// Requests that wait for fal's first word get an answer as well, before the process goes.
#[test]
fn requests_past_the_drain_limit_that_have_no_answer_yet_are_told_too() {
    let scripts = [
        vec![Step::Read, Step::Hold],
        vec![Step::Read, Step::Write(sse_head()), Step::Hold],
    ];
    for script in scripts {
        let fal = ScriptedUpstream::start(script);
        let setup = fal.setup().set("server.drain_timeout", "300ms");
        let (mut process, address) = Process::serving(&setup);
        let mut waiting = [ask(address, true), ask(address, false)];
        fal.until_requests(2);
        process.signal("TERM");
        for raw in &mut waiting {
            let answer = raw.answer();
            assert_eq!(answer.verdict(), "400 invalid_request_error shutting_down");
            assert_eq!(
                answer.header("x-should-retry"),
                Some("false"),
                "it may be paid for"
            );
        }
        fal.until_closed();
        assert_eq!(process.exit().code(), Some(0));
    }
}

/// Whoever wants settings to be read again loses no answer for it.
#[test]
fn a_hangup_ends_nothing() {
    let fal = ScriptedUpstream::start(vec![Step::Read, Step::Gate(1), Step::Write(whole("hi"))]);
    let (mut process, address) = Process::serving(&fal.setup());
    let mut running = ask(address, false);
    fal.until_requests(1);
    for _ in 0..3 {
        process.signal("HUP");
    }
    process.until_line("settings taken up");
    fal.open_gate();
    assert_eq!(running.answer().content(), "hi");
    process.signal("TERM");
    assert_eq!(process.exit().code(), Some(0));
}

/// Neither a crash nor a program of the same user gets at the keys in its memory.
#[cfg(target_os = "linux")]
#[test]
fn its_memory_is_closed_to_others_unless_told_otherwise() {
    use std::os::unix::fs::MetadataExt;
    let fal = Emulated::start();
    // Who owns these files decides who may look in them (source: proc(5)); root owns its own anyhow.
    let guarded = |process: &Process| {
        let folder = format!("/proc/{}", process.id());
        let limits = std::fs::read_to_string(format!("{folder}/limits")).unwrap();
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"));
        let is_zero = line.unwrap().split_whitespace().nth(4) == Some("0");
        (
            is_zero,
            std::fs::metadata(format!("{folder}/environ"))
                .unwrap()
                .uid(),
        )
    };
    let closed = fal.setup().env("FAL_GATEWAY__SERVER__CORE_DUMPS", "false");
    let (process, address) = Process::serving(&closed);
    let (no_core, owner) = guarded(&process);
    assert!(no_core);
    assert_eq!(owner, 0);
    // It works all the same.
    assert_eq!(ask(address, false).answer().status, 200);
    let (open, _) = Process::serving(&fal.setup());
    let own = std::fs::metadata("/proc/self/environ").unwrap().uid();
    assert_eq!(guarded(&open).1, own);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (first, second, code) in [
        ("TERM", "TERM", 143),
        ("INT", "INT", 130),
        ("TERM", "INT", 130),
    ] {
        let fal = ScriptedUpstream::start(vec![Step::Read, Step::Hold]);
        let setup = fal.setup().set("server.drain_timeout", "1h");
        let (mut process, address) = Process::serving(&setup);
        let _running = ask(address, true);
        fal.until_requests(1);
        process.signal(first);
        process.until_line("stopping");
        let told = Instant::now();
        process.signal(second);
        assert_eq!(process.exit().code(), Some(code), "{first}, {second}");
        assert!(told.elapsed() < Duration::from_secs(20));
        fal.until_closed();
    }
}

#[test]
fn killed_in_the_middle_of_a_stream_it_can_start_again_on_its_port() {
    let fal = ScriptedUpstream::start(vec![
        Step::Read,
        Step::Write(sse_head()),
        Step::Write(event("one")),
    ]);
    let (mut process, address) = Process::serving(&fal.setup());
    let mut reading = ask(address, true).stream();
    reading.until("\"one\"");
    process.signal("KILL");
    process.exit();
    let (body, end) = reading.rest();
    assert_eq!(end, End::Cut);
    assert!(!body.contains("[DONE]"));
    fal.until_closed();
    let restarted = Instant::now();
    let (_process, again) =
        Process::serving(&fal.setup().set("server.listen", &address.to_string()));
    assert_eq!(again, address);
    let mut reading = ask(again, true).stream();
    reading.until("\"one\"");
    let took = restarted.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_port_that_is_taken_is_named_and_the_other_goes_on() {
    let fal = Emulated::start();
    let (process, address) = Process::serving(&fal.setup());
    let mut second = Process::start(&fal.setup().set("server.listen", &address.to_string()));
    assert_eq!(second.exit().code(), Some(1));
    let line = second.until_line("cannot listen");
    assert!(line.contains(&address.to_string()), "{line}");
    assert!(!line.contains("panicked"));
    let mut raw = process.connect(address);
    raw.send(&Call::get("/livez").to_bytes());
    assert_eq!(raw.answer().status, 200);

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let metrics = taken.local_addr().unwrap().to_string();
    let mut third = Process::start(&fal.setup().set("metrics.listen", &metrics));
    assert_eq!(third.exit().code(), Some(1));
    let line = third.until_line("cannot listen");
    assert!(line.contains(&metrics), "{line}");
}

/// The settings decide where calls go, and a proxy in the environment does not.
#[test]
fn a_proxy_in_the_environment_is_not_used() {
    let proxy = ScriptedUpstream::start(vec![Step::Read, Step::Write(whole("by the proxy"))]);
    let fal = ScriptedUpstream::start(vec![Step::Read, Step::Write(whole("direct"))]);
    let variables = [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ];
    let with_proxy = |setup: Setup, variable: &&str| setup.env(variable, &proxy.url());
    let setup = variables.iter().fold(fal.setup(), with_proxy);
    let (_process, address) = Process::serving(&setup);
    assert_eq!(ask(address, false).answer().content(), "direct");
    assert_eq!(proxy.seen().len(), 0);
}
