//! A host that is short of something: descriptors, memory, processors, or good settings.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::{
    Call, Emulated, Process, Raw, ScriptedUpstream, Setup, Step, TestGateway, event, question,
    sse_head, until,
};

fn is_alive(address: SocketAddr) -> bool {
    let mut raw = Raw::connect(address);
    raw.send(&Call::get("/livez").to_bytes());
    raw.answer().status == 200
}

/// Processor time that the program spends meanwhile; the pause is what is measured over.
fn share_of_a_core(process: &Process) -> f64 {
    let (before, started) = (process.cpu(), Instant::now());
    std::thread::sleep(Duration::from_millis(800));
    let spent = process.cpu().saturating_sub(before);
    spent.as_secs_f64() / started.elapsed().as_secs_f64()
}

#[test]
fn out_of_descriptors_it_waits_quietly_and_recovers_by_itself() {
    let fal = Emulated::start();
    // With the limit of its own the gateway never runs out; without, it does.
    for (limit, warns) in [("0", false), ("1000", true)] {
        let setup = fal.setup().set("server.max_connections", limit);
        let (process, address) = Process::serving_within("-n 64", &setup);
        let warning = process.log().contains("server.max_connections is 1000");
        assert_eq!(warning, warns, "{}", process.log());
        let mut crowd: Vec<Raw> = (0..600).map(|_| Raw::connect(address)).collect();
        for raw in &mut crowd {
            raw.send(&Call::get("/livez").to_bytes());
        }
        assert_eq!(crowd[0].answer().status, 200);
        until("all that it may open is open", || {
            (process.descriptors() >= 40).then_some(())
        });
        let share = share_of_a_core(&process);
        assert!(share < 0.5, "{share} of a core with the limit {limit}");
        let open = process.descriptors();
        // The other half is for calls to fal.
        assert!(warns || open < 60, "{open} of 64");
        drop(crowd);
        assert!(is_alive(address));
        let mut raw = Raw::connect(address);
        raw.send(&Call::chat(&question("echo hi", false)).to_bytes());
        assert_eq!(raw.answer().content(), "hi");
    }
}

/// Raises the limit of this process, which the gateway inherits, and tells what it is then.
fn may_open() -> usize {
    let limits = || {
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let line = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max open files"));
        let numbers = line.unwrap().split_whitespace().take(2);
        let numbers = numbers.map(|number| number.parse().unwrap_or(usize::MAX));
        numbers.map(|number| number.min(12_000)).collect::<Vec<_>>()
    };
    let own = format!("--pid={}", std::process::id());
    let raised = format!("--nofile={}:", limits()[1]);
    // Where this is refused, what there is has to do.
    let _ = Command::new("prlimit").args([own, raised]).status();
    limits()[0]
}

/// As many as the system lets one process have, up to ten thousand.
#[test]
fn ten_thousand_idle_connections_cost_little_and_are_in_nobodys_way() {
    let count = may_open() * 5 / 6;
    let fal = Emulated::start();
    let setup = fal.setup().set("server.max_connections", "12000");
    let (process, address) = Process::serving(&setup);
    let served = |mut raw: Raw| {
        raw.send(&Call::get("/livez").to_bytes());
        assert_eq!(raw.answer().status, 200);
        raw
    };
    served(Raw::connect(address));
    let before = process.resident_kib();
    let idle: Vec<Raw> = (0..count).map(|_| served(Raw::connect(address))).collect();
    let grown = process.resident_kib().saturating_sub(before);
    let each = grown as f64 / count as f64;
    assert!(each <= 16.0, "{each} KiB for each of {count} connections");
    let started = Instant::now();
    let mut raw = Raw::connect(address);
    raw.send(&Call::chat(&question("echo hi", false)).to_bytes());
    assert_eq!(raw.answer().content(), "hi");
    assert!(started.elapsed() < Duration::from_secs(10));
    let share = share_of_a_core(&process);
    assert!(share < 0.1, "{share} of a core for nothing");
    drop(idle);
}

/// At a time, from each side.
const FLOODS: usize = 20;
/// The largest event, `fal.max_event`; a buffer on its way there may be twice as large.
const MAX_EVENT_KIB: usize = 4 << 10;

#[test]
fn in_little_memory_floods_are_refused_and_it_lives() {
    let lines = vec![b'a'; 64 << 10];
    let fal = ScriptedUpstream::start(vec![
        Step::Read,
        Step::Write(sse_head()),
        Step::Write(event("one")),
        Step::Flood(lines),
    ]);
    let setup = fal.setup().set("server.max_body", "4MiB");
    let (process, address) = Process::serving_within("-v 2097152", &setup);
    let before = process.resident_kib();
    for _round in 0..4 {
        std::thread::scope(|scope| {
            for number in 0..2 * FLOODS {
                scope.spawn(move || match number % 2 {
                    0 => pour_in(address),
                    _ => {
                        let mut raw = Raw::connect(address);
                        raw.send(&Call::chat(&question("hi", true)).to_bytes());
                        let text = raw.answer().text();
                        assert!(text.contains("upstream_invalid_response"), "{text}");
                    }
                });
            }
        });
    }
    assert!(is_alive(address));
    // The allocator may keep what one round of floods filled at most, and not what all of them did.
    let most = FLOODS * 2 * MAX_EVENT_KIB + (32 << 10);
    until("only so much memory is kept", || {
        let kept = process.resident_kib().saturating_sub(before);
        (kept < most).then_some(())
    });
}

/// Many requests, each of which is small enough, and all of which together are too much.
#[test]
fn large_bodies_are_refused_before_they_fill_the_memory() {
    let fal = Emulated::start();
    let setup = fal.setup().set("limits.max_body_memory", "96MiB");
    let setup = setup.set("server.body_timeout", "3s");
    let (process, address) = Process::serving_within("-v 1500000", &setup);
    let body = question(&"x".repeat(15 << 20), false)
        .to_string()
        .into_bytes();
    let call = Call::chat_bytes(body).to_bytes();
    let unfinished = &call[..call.len() - 1];
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let pour = || {
            let mut raw = Raw::connect(address);
            raw.try_send(unfinished);
            let answer = raw.head();
            if answer.status == 503 {
                assert_eq!(answer.header("retry-after"), Some("1"));
                assert_eq!(answer.header("connection"), Some("close"));
            }
            answer.status
        };
        let pouring: Vec<_> = (0..100).map(|_| scope.spawn(pour)).collect();
        let ended = pouring.into_iter().map(|one| one.join().unwrap());
        ended.collect()
    });
    assert!(
        statuses.iter().all(|status| [408, 503].contains(status)),
        "{statuses:?}"
    );
    let refused = statuses.iter().filter(|status| **status == 503).count();
    assert!(refused > 20, "{refused} of {}", statuses.len());
    assert!(is_alive(address));
    // What they held is free again, and what a request held whose turn is over.
    for _ in 0..8 {
        let mut raw = Raw::connect(address);
        raw.send(&Call::chat_bytes(vec![b'x'; 15 << 20]).to_bytes());
        assert_eq!(raw.answer().status, 400);
    }
    drop(process);
}

/// Sends a body without end, and expects to be told that it is too large.
fn pour_in(address: SocketAddr) {
    let mut raw = Raw::connect(address);
    let call = Call::new("POST", "/v1/chat/completions")
        .header("content-type", "application/json")
        .header("transfer-encoding", "chunked");
    raw.send(&call.head());
    let piece = [b"10000\r\n".to_vec(), vec![b' '; 0x10000], b"\r\n".to_vec()].concat();
    for _ in 0..80 {
        if !raw.try_send(&piece) {
            break;
        }
    }
    assert_eq!(raw.head().status, 413);
}

#[test]
fn limits_hold_while_others_take_the_processors() {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let fal = ScriptedUpstream::start(vec![Step::Read, Step::Hold]);
        let setup = fal.setup().set("fal.first_byte_timeout", "500ms");
        let setup = setup.set("server.header_timeout", "500ms");
        let gateway = setup.set("server.body_timeout", "500ms").start();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            every_limit_holds(&gateway);
        }));
        is_over.store(true, Ordering::Relaxed);
        outcome.unwrap();
    });
}

fn every_limit_holds(gateway: &TestGateway) {
    let call = Call::chat(&question("hi", true));
    let head = call.head();
    let whole = call.to_bytes();
    for (name, bytes) in [
        ("half a head", &head[..head.len() / 2]),
        ("no body", &head[..]),
        ("half a body", &whole[..whole.len() - 5]),
        ("a whole request", &whole[..]),
    ] {
        let mut raw = gateway.connect();
        let started = Instant::now();
        raw.send(bytes);
        let status = raw.head().status;
        assert!([408, 400].contains(&status), "{name}: {status}");
        assert!(started.elapsed() < Duration::from_secs(8), "{name}");
    }
}

#[test]
fn with_bad_settings_it_says_so_and_opens_no_port() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let good = || Setup::towards("http://127.0.0.1:1").set("server.listen", &address.to_string());
    for (setting, value) in [
        ("server.lisen", "127.0.0.1:1"),
        ("server.workers", "-1"),
        ("server.header_timeout", "0s"),
        ("fal.url", "http://example.com"),
        ("fal.url", "https://user:word@fal.run"),
        ("fal.key_file", "/nowhere/planted-key"),
        ("models.aliases", "{ a = \"b\", b = \"a\" }"),
    ] {
        let mut process = Process::start(&good().set(setting, value));
        assert_eq!(process.exit().code(), Some(2), "{setting} = {value}");
        let variable = setting.to_uppercase().replace('.', "__");
        let line = process.until_line(&variable);
        assert_eq!(process.log().lines().count(), 1, "{line}");
        assert!(!line.contains("ksecret"), "{line}");
        assert!(TcpListener::bind(address).is_ok(), "{setting} = {value}");
    }
}

#[test]
fn a_key_file_that_everybody_may_read_is_warned_about() {
    use std::os::unix::fs::PermissionsExt;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, b"kid:ksecret\n").unwrap();
    let path = file.path().display().to_string();
    for (mode, warns) in [(0o600, false), (0o640, false), (0o644, true)] {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(file.path(), permissions).unwrap();
        let setup = Setup::towards("http://127.0.0.1:1").without_fal_key();
        let (process, _) = Process::serving(&setup.set("fal.key_file", &path));
        let said = process.log().contains("can be read by every user");
        assert_eq!(said, warns, "{mode:o}: {}", process.log());
    }
}
