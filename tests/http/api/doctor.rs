//! `fal-gateway doctor`: a healthy way to fal is found healthy, and each fault that can be played is
//! named for what it is.

use std::process::{Command, Output, Stdio};

use fal_gateway::config::KeyHash;
use fal_gateway::emulator::{Behaviour, Options};

use crate::support::{
    Authority, Emulated, FAL_KEY, Manners, ScriptedUpstream, Setup, Step, TestProxy, nobody,
};

const ADMIN_KEY: &str = "admin:planted-admin";

/// What the doctor said, and its exit code.
struct Visit {
    code: i32,
    said: String,
}

impl Visit {
    fn to(setup: &Setup, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fal-gateway"));
        command
            .arg("doctor")
            .args(arguments)
            .current_dir(env!("CARGO_TARGET_TMPDIR"))
            .env_clear()
            .envs(setup.variables())
            .envs(std::env::vars_os().filter(|(name, _)| name == "LLVM_PROFILE_FILE"))
            .stdin(Stdio::null());
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().unwrap();
        let said = String::from_utf8([stdout, stderr].concat()).unwrap();
        for secret in ["ksecret", "planted"] {
            assert!(!said.contains(secret), "{said}");
        }
        Self {
            code: status.code().unwrap(),
            said,
        }
    }

    /// What was said of something.
    fn of(&self, what: &str) -> Vec<&str> {
        let lines = self.said.lines();
        let found = lines.filter(|line| line.split_whitespace().nth(1) == Some(what));
        found.collect()
    }
}

fn behaving(words: &str) -> Options {
    Options {
        behaviour: words.parse::<Behaviour>().unwrap(),
        ..Options::default()
    }
}

/// Settings in front of an emulator that plays the platform API too.
fn before(fal: &Emulated) -> Setup {
    fal.setup()
        .set("fal.platform_url", &format!("{}/platform/v1", fal.url()))
        .set("fal.connect_timeout", "5s")
}

#[test]
fn a_healthy_way_is_found_healthy() {
    let fal = Emulated::with(Options {
        admin_key: Some(ADMIN_KEY.to_owned()),
        ..Options::default()
    });
    let setup = before(&fal).set("fal.admin_key", ADMIN_KEY);
    let visit = Visit::to(&setup, &["--yes"]);
    assert_eq!(visit.code, 0, "{}", visit.said);
    for what in [
        "settings",
        "name",
        "connection",
        "fal",
        "clock",
        "key",
        "application",
        "balance",
        "answer",
        "stream",
    ] {
        let lines = visit.of(what);
        assert_eq!(lines.len(), 1, "{what}:\n{}", visit.said);
        assert!(lines[0].starts_with("ok "), "{}", visit.said);
    }
    assert!(visit.of("state")[0].contains("lists fal-ai/any-llm as deprecated"));
    assert!(visit.of("balance")[0].contains("42.5 dollars are left"));
    assert!(
        visit
            .said
            .contains("asked twice, costs about 0.002 dollars.")
    );
}

#[test]
fn nothing_that_costs_is_asked_unless_somebody_agrees() {
    let fal = Emulated::start();
    let visit = Visit::to(&before(&fal), &[]);
    assert_eq!(visit.code, 0, "{}", visit.said);
    assert!(
        visit.of("answer")[0].contains("not asked for"),
        "{}",
        visit.said
    );
    let inputs = fal.requests(2);
    let inputs = inputs
        .iter()
        .filter(|request| request["method"] == "POST")
        .map(|request| &request["body"]);
    assert!(
        inputs.clone().all(|input| *input == serde_json::json!({})),
        "{inputs:?}"
    );
}

#[test]
fn what_ends_the_way_to_fal_is_named() {
    let fal = Emulated::start();
    let (authority, stranger) = (Authority::new(), Authority::new());
    let front = authority.in_front_of(fal.address(), "localhost").port();
    let towards = |authority: &Authority| {
        Setup::towards(&format!("https://localhost:{front}"))
            .set("fal.ca_file", &authority.file().display().to_string())
    };
    let proxied = |address: &str| towards(&authority).set("fal.proxy", address);
    let closed = TestProxy::start(Manners {
        refuses: true,
        ..Manners::default()
    });
    let asking = TestProxy::start(Manners {
        login: Some("somebody:else"),
        refuses: false,
    });
    let portal = |answer: &str| {
        let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 13\r\n\r\n<html></html>");
        ScriptedUpstream::start(vec![Step::Serve(answer.into_bytes())])
    };
    let moved = portal("302 Found\r\nlocation: http://portal.example/");
    let page = portal("200 OK\r\ncontent-type: text/html");
    let login = portal("407 Proxy Authentication Required\r\ncontent-type: text/html");
    for (setup, what, words) in [
        (
            Setup::towards("https://fal.invalid"),
            "name",
            "cannot be resolved",
        ),
        (
            Setup::towards(&format!("http://{}", nobody())),
            "connection",
            "nobody answers at 127.0.0.1",
        ),
        (
            login.setup(),
            "fal",
            "wants a user and a password (status 407), and none is set. Name it in fal.proxy",
        ),
        (
            proxied("proxy.invalid:1"),
            "name",
            "the proxy's name proxy.invalid cannot",
        ),
        (
            proxied(&nobody().to_string()),
            "connection",
            "See whether fal.proxy names the right port",
        ),
        (
            proxied(&closed.address.to_string()),
            "fal",
            "refuses to connect to it",
        ),
        (
            proxied(&asking.address.to_string()),
            "fal",
            "wants a user and a password",
        ),
        (
            towards(&stranger),
            "fal",
            "an authority that is not trusted",
        ),
        (moved.setup(), "fal", "leads elsewhere (status 302)"),
        (page.setup(), "fal", "is not fal (status 200, no JSON)"),
    ] {
        let visit = Visit::to(&setup, &["--yes"]);
        assert_eq!(visit.code, 3, "{words}:\n{}", visit.said);
        let line = visit.of(what).concat();
        assert!(
            line.starts_with("WRONG") && line.contains(words),
            "{}",
            visit.said
        );
        // What depends on it is not looked at.
        assert_eq!(visit.of("key"), [""; 0], "{}", visit.said);
    }
    let healthy = Visit::to(
        &proxied(&TestProxy::start(Manners::default()).address.to_string()),
        &[],
    );
    assert_eq!(healthy.code, 0, "{}", healthy.said);
}

#[test]
fn what_is_wrong_at_fal_is_named() {
    let locked = r#"HTTP/1.1 403 Forbidden
content-type: application/json
content-length: 60

{"detail":"User is locked. Reason: Exhausted balance."}     "#;
    let locked = locked.replace('\n', "\r\n");
    let locked = ScriptedUpstream::start(vec![Step::Serve(locked.into_bytes())]);
    let other_key = Emulated::with(Options {
        key: Some("other:key".to_owned()),
        ..Options::default()
    });
    let gone = Emulated::with(Options {
        gone_apps: vec!["fal-ai/any-llm".to_owned()],
        ..Options::default()
    });
    let broken = Emulated::with(behaving("status:500"));
    let cut = Emulated::with(behaving("drop:1 gap:20ms size:1"));
    let poor = Emulated::with(Options {
        admin_key: Some(ADMIN_KEY.to_owned()),
        balance: 0.0,
        ..Options::default()
    });
    let fine = Emulated::start();
    for (setup, code, what, words) in [
        (
            before(&fine).set("fal.url", "ftp://127.0.0.1"),
            2,
            "settings",
            "fal.url is \"ftp://127.0.0.1\"",
        ),
        (before(&other_key), 4, "key", "does not know the key"),
        (
            before(&fine).env("FAL_KEY", "noform"),
            4,
            "key",
            "not of the form `id:secret`",
        ),
        (locked.setup(), 6, "key", "the account has no money"),
        (
            before(&gone).set("fal.when_gone", "refuse"),
            5,
            "application",
            "has no application fal-ai/any-llm",
        ),
        (
            before(&fine)
                .set("fal.router_app", "my/llm")
                .set("fal.upstream", "router"),
            5,
            "application",
            "See whether fal.router_app is right",
        ),
        (
            before(&fine)
                .set("fal.openai_app", "my/llm")
                .set("fal.upstream", "router-openai"),
            5,
            "application",
            "See whether fal.openai_app is right",
        ),
        (
            before(&broken),
            5,
            "application",
            "has trouble (status 500)",
        ),
        (
            before(&poor).set("fal.admin_key", ADMIN_KEY),
            6,
            "balance",
            "0 dollars are left",
        ),
        (
            before(&poor).set("fal.admin_key", FAL_KEY),
            4,
            "balance",
            "does not tell it the key in fal.admin_key",
        ),
        (before(&cut), 7, "answer", "fal closed the connection"),
    ] {
        let visit = Visit::to(&setup, &["--yes"]);
        assert_eq!(visit.code, code, "{words}:\n{}", visit.said);
        let line = visit.of(what).concat();
        assert!(
            line.contains("WRONG") && line.contains(words),
            "{words}:\n{}",
            visit.said
        );
    }
}

#[test]
fn a_clock_that_is_wrong_and_a_model_that_is_none_are_named() {
    let answer = "HTTP/1.1 422 Unprocessable\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                  content-type: application/json\r\ncontent-length: 13\r\n\r\n{\"detail\":[]}";
    let long_ago = ScriptedUpstream::start(vec![Step::Serve(answer.into())]);
    let visit = Visit::to(&long_ago.setup(), &[]);
    assert_eq!(visit.code, 0, "{}", visit.said);
    let clock = visit.of("clock").concat();
    assert!(
        clock.starts_with("note") && clock.contains("ahead of fal's"),
        "{}",
        visit.said
    );

    let fal = Emulated::start();
    let visit = Visit::to(&before(&fal), &["--yes", "--model", "nosuchmodel"]);
    assert_eq!(visit.code, 7, "{}", visit.said);
    let answer = visit.of("answer").concat();
    assert!(
        answer.contains("'nosuchmodel' does not exist"),
        "{}",
        visit.said
    );

    let visit = Visit::to(&before(&fal).without_fal_key(), &["--yes"]);
    assert_eq!(visit.code, 0, "{}", visit.said);
    assert!(
        visit.of("key")[0].contains("each caller brings one"),
        "{}",
        visit.said
    );
}

#[test]
fn it_looks_at_the_upstream_that_answers() {
    let fal = Emulated::start();
    let setup = before(&fal).set("fal.upstream", "router-openai");
    let visit = Visit::to(&setup, &["--yes", "--model", "openai/gpt-4o-mini"]);
    assert_eq!(visit.code, 0, "{}", visit.said);
    for what in ["key", "application", "answer", "stream"] {
        assert!(visit.of(what)[0].starts_with("ok "), "{}", visit.said);
    }
    let app = "openrouter/router/openai/v1/chat/completions";
    assert!(visit.of("application")[0].contains(app), "{}", visit.said);
    assert!(
        visit.said.contains("costs about 0.000162 dollars"),
        "{}",
        visit.said
    );
}

/// What answers in the place of an any-llm that is gone is looked at, as requests are answered by it.
#[test]
fn it_goes_round_what_is_gone_as_requests_do() {
    let gone = Emulated::with(Options {
        gone_apps: vec!["fal-ai/any-llm".to_owned()],
        ..Options::default()
    });
    let visit = Visit::to(&before(&gone), &["--yes"]);
    assert_eq!(visit.code, 0, "{}", visit.said);
    let [first, second] = visit.of("application")[..] else {
        unreachable!("{}", visit.said);
    };
    assert!(
        first.starts_with("note") && first.contains("openrouter/router answers in its place"),
        "{}",
        visit.said
    );
    assert!(
        second.starts_with("ok ") && second.contains("openrouter/router answers"),
        "{}",
        visit.said
    );
    for what in ["answer", "stream"] {
        assert!(visit.of(what)[0].starts_with("ok "), "{}", visit.said);
    }
}

#[test]
fn it_knocks_where_requests_go() {
    let fal = Emulated::start();
    let visit = Visit::to(&before(&fal).set("fal.enterprise", "true"), &[]);
    assert_eq!(visit.code, 0, "{}", visit.said);
    let application = visit.of("application").concat();
    assert!(
        application.contains("fal-ai/any-llm/enterprise"),
        "{application}"
    );
    let asked = fal.requests(2);
    let mut paths = asked.iter().map(|request| &request["path"]);
    assert!(
        paths.any(|path| path == "/fal-ai/any-llm/enterprise"),
        "{asked:?}"
    );
}

/// The gateway that serves by the same settings keeps its addresses, its keys and its store.
#[test]
fn the_settings_of_a_gateway_for_others_serve_a_visit_and_a_demo_too() {
    let fal = Emulated::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fal-gateway.toml");
    let name = file.to_str().unwrap();
    let store = folder.path().join("kept.db");
    let key = format!(
        "[[keys]]\nname = \"ann\"\nhash = \"{}\"\n",
        KeyHash::of("sk")
    );
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let console = taken.local_addr().unwrap();
    let more = format!("[console]\nlisten = \"{console}\"\n[store]\npath = {store:?}\n");
    std::fs::write(&file, format!("{more}{key}")).unwrap();
    let visit = Visit::to(&before(&fal), &["--yes", "--config", name]);
    assert_eq!(visit.code, 0, "{}", visit.said);
    assert!(!store.exists());

    std::fs::write(&file, key).unwrap();
    let demo = Command::new(env!("CARGO_BIN_EXE_fal-gateway"))
        .args([
            "demo",
            "--once",
            "--listen",
            "127.0.0.1:0",
            "--config",
            name,
        ])
        .output()
        .unwrap();
    assert!(demo.status.success(), "{demo:?}");
}
