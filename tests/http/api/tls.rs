//! TLS on the listening side.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::support::{
    Authority, Call, Emulated, Process, Raw, ScriptedUpstream, Setup, Step, Stream, TestGateway,
    event, one_and_two_later, question, sse_head, until,
};

/// A certificate and its key in files of their own.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn new(name: &str, authority: &Authority) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let files = Self {
            certificate: folder.join(format!("tls-{name}.crt")),
            key: folder.join(format!("tls-{name}.key")),
        };
        files.renew(authority);
        files
    }

    fn renew(&self, authority: &Authority) {
        let (certificate, key) = authority.certify("localhost");
        fs::write(&self.certificate, certificate).unwrap();
        fs::write(&self.key, key).unwrap();
    }

    fn put(&self, setup: Setup) -> Setup {
        setup
            .set("server.tls_cert", &self.certificate.display().to_string())
            .set("server.tls_key", &self.key.display().to_string())
    }
}

/// A gateway that speaks TLS, and where it is reached without.
fn start(name: &str, setup: Setup) -> (TestGateway, SocketAddr) {
    let authority = Authority::new();
    let gateway = Files::new(name, &authority).put(setup).start();
    let address = authority.opening(gateway.address);
    (gateway, address)
}

fn ask(address: SocketAddr, call: &Call) -> Raw {
    let mut raw = Raw::connect(address);
    raw.send(&call.to_bytes());
    raw
}

#[test]
fn clients_are_spoken_to_in_tls() {
    let fal = Emulated::start();
    let (_gateway, address) = start("spoken", fal.setup());
    let mut raw = Raw::connect(address);
    let whole = Call::chat(&question("hi", false)).to_bytes();
    // Two requests at once are answered one after the other, on one connection.
    raw.send(&[whole.clone(), whole].concat());
    assert_eq!(raw.answer().status, 200);
    assert_eq!(raw.answer().status, 200);
    raw.send(&Call::chat(&question("hi", true)).to_bytes());
    let (text, _) = raw.stream().rest();
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    // A body that is larger than any record.
    let long = "many words ".repeat(20_000);
    let answer = ask(address, &Call::chat(&question(&long, false))).answer();
    assert_eq!(answer.status, 200);
    // Where a base URL is proposed, it is one that works.
    let refused = ask(address, &Call::new("POST", "/v1/chats")).answer();
    assert!(!refused.text().contains("http://"), "{}", refused.text());
}

#[test]
fn whoever_speaks_plain_http_is_told() {
    let fal = Emulated::start();
    let (gateway, _) = start("plain", fal.setup());
    let answer = gateway.ask(&question("hi", false));
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("https://"), "{}", answer.text());
    assert_eq!(fal.count(), 0);
}

/// Nothing at all, half a record, a record that is none: each has the time of a head, and its place
/// is free again.
#[test]
fn whoever_does_not_open_tls_in_time_is_let_go() {
    let fal = Emulated::start();
    let setup = fal.setup().set("server.header_timeout", "300ms");
    let setup = setup.set("server.max_connections_per_address", "3");
    let (gateway, address) = start("slow", setup);
    for sent in [
        &b""[..],
        b"\x16\x03\x01",
        b"\x16\x03\x01\x02\x00\x01",
        b"\x00\x00\x00\x00\x00\x00",
    ] {
        let waiting: Vec<Raw> = (0..3)
            .map(|_| {
                let mut raw = gateway.connect();
                raw.try_send(sent);
                raw
            })
            .collect();
        for raw in waiting {
            let (took, _) = raw.closed_after();
            assert!(
                took < Duration::from_secs(10),
                "{sent:?} held on for {took:?}"
            );
        }
    }
    let served = || {
        let mut raw = Raw::connect(address);
        raw.try_send(&Call::get("/livez").to_bytes())
            .then_some(())?;
        (!raw.rest_of_one().is_empty()).then_some(())
    };
    until("an answer", served);
}

#[test]
fn a_client_that_leaves_ends_its_call_to_fal() {
    let script = vec![
        Step::Read,
        Step::Write(sse_head()),
        Step::Write(event("a")),
        Step::Hold,
    ];
    let fal = ScriptedUpstream::start(script);
    let (gateway, address) = start("left", fal.setup());
    let mut stream = ask(address, &Call::chat(&question("hi", true))).stream();
    stream.until("\"a\"");
    drop(stream);
    fal.until_closed();
    let _ = gateway;
}

/// A head that does not end has its time inside TLS too.
#[test]
fn a_head_has_its_time() {
    let fal = Emulated::start();
    let (_gateway, address) = start("head", fal.setup().set("server.header_timeout", "300ms"));
    let mut raw = Raw::connect(address);
    raw.send(b"GET /livez HTTP/1.1\r\nhost: local");
    let (took, said) = raw.closed_after();
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(said.is_empty() || said.contains("408"), "{said}");
}

#[test]
fn a_renewed_certificate_is_taken_up_and_streams_go_on() {
    let fal = ScriptedUpstream::with(|number| match number {
        0 => one_and_two_later(),
        _ => vec![Step::Read],
    });
    let (old, new) = (Authority::new(), Authority::new());
    let files = Files::new("renewed", &old);
    let setup = files.put(fal.setup()).set("server.watch", "false");
    let (process, address) = Process::serving(&setup);
    assert!(process.log().contains("https://"), "{}", process.log());
    let mut running = ask(old.opening(address), &Call::chat(&question("hi", true))).stream();
    running.until("one");
    files.renew(&new);
    process.signal("HUP");
    process.until_line("settings taken up");
    let answer = ask(new.opening(address), &Call::get("/livez")).answer();
    assert_eq!(answer.status, 200);
    assert!(
        ask(old.opening(address), &Call::get("/livez"))
            .rest()
            .is_empty()
    );
    // A key of another certificate changes nothing.
    let (_, other) = old.certify("localhost");
    fs::write(&files.key, other).unwrap();
    process.signal("HUP");
    process.until_line("is not the key of the certificate");
    let answer = ask(new.opening(address), &Call::get("/livez")).answer();
    assert_eq!(answer.status, 200);
    fal.open_gate();
    let (text, _) = running.rest();
    assert_eq!(Stream::text(&text), "one two");
}
