//! The way to fal through a company's proxy and past its authority, and each way that ends before.

use serde_json::json;

use crate::support::{
    Authority, Call, Emulated, Manners, Process, ScriptedUpstream, Setup, Step, TestProxy, nobody,
    question, whole,
};

const LOGIN: &str = "planted-user:planted p@ss";
const LOGIN_IN_A_URL: &str = "planted-user:planted%20p%40ss";

/// A gateway that takes this TLS server for fal and trusts the authority.
fn towards(port: u16, authority: &Authority) -> Setup {
    Setup::towards(&format!("https://localhost:{port}"))
        .set("fal.ca_file", &authority.file().display().to_string())
        .set("fal.connect_attempts", "1")
}

#[test]
fn fal_is_reached_through_a_proxy_with_a_login_and_a_private_authority() {
    let fal = Emulated::start();
    let authority = Authority::new();
    let front = authority.in_front_of(fal.address(), "localhost");
    let proxy = TestProxy::start(Manners {
        login: Some(LOGIN),
        refuses: false,
    });
    let gateway = towards(front.port(), &authority)
        .set(
            "fal.proxy",
            &format!("http://{LOGIN_IN_A_URL}@{}", proxy.address),
        )
        .start();
    let answer = gateway.ask(&question("echo a whole answer", false));
    assert_eq!(
        answer.json()["choices"][0]["message"]["content"],
        "a whole answer"
    );
    let stream = gateway.ask(&question("echo a stream", true));
    assert!(stream.text().contains("[DONE]"), "{}", stream.text());
    let connect = format!("CONNECT localhost:{} HTTP/1.1", front.port());
    let seen = proxy.seen();
    assert!(
        !seen.is_empty() && seen.iter().all(|line| *line == connect),
        "{seen:?}"
    );
}

#[test]
fn files_go_the_same_way() {
    let authority = Authority::new();
    let model = ScriptedUpstream::start(vec![Step::Read, Step::Write(whole("a cat"))]);
    let model_front = authority.in_front_of(model.address(), "localhost");
    let (tell, told) = std::sync::mpsc::channel::<u16>();
    let (told, port) = (
        std::sync::Mutex::new(told),
        std::sync::Mutex::new(None::<u16>),
    );
    let storage = ScriptedUpstream::with(move |_| {
        let mut port = port.lock().unwrap();
        let port = *port.get_or_insert_with(|| told.lock().unwrap().recv().unwrap());
        let place = json!({
            "upload_url": format!("https://localhost:{port}/put"),
            "file_url": format!("https://localhost:{port}/files/1.png"),
        });
        let answer = |body: String| {
            let length = body.len();
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json";
            format!("{head}\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
        };
        vec![
            Step::Read,
            Step::Write(answer(place.to_string())),
            Step::Read,
            Step::Write(answer("{}".to_owned())),
        ]
    });
    let storage_front = authority.in_front_of(storage.address(), "localhost");
    tell.send(storage_front.port()).unwrap();
    let proxy = TestProxy::start(Manners::default());
    let gateway = towards(model_front.port(), &authority)
        .set(
            "fal.rest_url",
            &format!("https://localhost:{}", storage_front.port()),
        )
        .set("fal.proxy", &proxy.address.to_string())
        .set("images.upload_threshold", "10")
        .start();
    let answer = gateway.call(&Call::chat(&json!({
        "model": "openai/gpt-4o",
        "messages": [{"role": "user", "content": [
            {"type": "text", "text": "what is this?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8gdGhlcmU="}},
        ]}],
    })));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut seen = proxy.seen();
    seen.sort();
    seen.dedup();
    let mut expected =
        [model_front, storage_front].map(|to| format!("CONNECT localhost:{} HTTP/1.1", to.port()));
    expected.sort();
    assert_eq!(seen, expected);
}

#[test]
fn whatever_ends_the_way_is_one_clear_line_of_the_log() {
    let fal = Emulated::start();
    let (authority, stranger) = (Authority::new(), Authority::new());
    let front = authority.in_front_of(fal.address(), "localhost").port();
    let other_name = authority.in_front_of(fal.address(), "other.example").port();
    let closed = TestProxy::start(Manners {
        refuses: true,
        ..Manners::default()
    });
    let asking = TestProxy::start(Manners {
        login: Some("somebody:else"),
        refuses: false,
    });
    let through = |proxy: &str| towards(front, &authority).set("fal.proxy", proxy);
    let login = format!("http://{LOGIN_IN_A_URL}@{}", asking.address);
    for (setup, words) in [
        (
            through(&nobody().to_string()),
            "the proxy in fal.proxy does not answer",
        ),
        (
            through("proxy.invalid:3128"),
            "the proxy in fal.proxy does not answer",
        ),
        (
            through(&closed.address.to_string()),
            "the proxy in fal.proxy refuses to connect to it",
        ),
        (
            through(&asking.address.to_string()),
            "the proxy in fal.proxy wants a user and a password, or others than it was given",
        ),
        (
            through(&login),
            "the proxy in fal.proxy wants a user and a password, or others than it was given",
        ),
        (
            towards(front, &stranger),
            "its certificate comes from an authority that is not trusted",
        ),
        (
            towards(other_name, &authority),
            "its certificate does not hold",
        ),
        (
            towards(fal.address().port(), &authority),
            "what answers there does not speak TLS as it should",
        ),
        (towards(nobody().port(), &authority), "nobody answers there"),
        (
            Setup::towards("https://fal.invalid").set("fal.connect_attempts", "1"),
            "its name cannot be resolved",
        ),
    ] {
        let (process, address) = Process::serving(&setup);
        for stream in [false, true] {
            let mut raw = process.connect(address);
            raw.send(&Call::chat(&question("hi", stream)).to_bytes());
            let answer = raw.answer();
            assert_eq!(answer.status, 502, "{words}: {}", answer.text());
            let error = &answer.json()["error"];
            assert_eq!(error["code"], "upstream_unreachable", "{words}");
            // What is inside is nobody's business outside.
            let message = error["message"].as_str().unwrap();
            assert!(!message.contains("proxy"), "{message}");
        }
        process.until_requests(2);
        let log = process.log();
        let lines = log.lines().filter(|line| line.contains(words)).count();
        assert_eq!(lines, 2, "{words}:\n{log}");
        let warned = log.matches("\"level\":\"WARN\"").count();
        assert_eq!(warned, 2, "{words}:\n{log}");
    }
    assert_eq!(fal.count(), 0, "nothing of that reaches fal");
}

#[test]
fn the_environments_proxy_is_taken_where_the_settings_say_so_alone() {
    let fal = Emulated::start();
    let authority = Authority::new();
    let front = authority.in_front_of(fal.address(), "localhost");
    let proxy = TestProxy::start(Manners::default());
    let variables = || {
        towards(front.port(), &authority)
            .env("HTTPS_PROXY", &proxy.address.to_string())
            .env("HTTP_PROXY", &proxy.address.to_string())
    };
    for (setup, through) in [
        (variables(), false),
        (variables().set("fal.proxy", "env"), true),
        (
            variables()
                .set("fal.proxy", "env")
                .env("NO_PROXY", "example.com,localhost"),
            false,
        ),
        (
            towards(front.port(), &authority).set("fal.proxy", "env"),
            false,
        ),
        // What does not leave this machine shows no proxy the key.
        (
            fal.setup().set("fal.proxy", &proxy.address.to_string()),
            false,
        ),
    ] {
        let before = proxy.seen().len();
        let (process, address) = Process::serving(&setup);
        let mut raw = process.connect(address);
        raw.send(&Call::chat(&question("echo hi", false)).to_bytes());
        assert_eq!(raw.answer().status, 200);
        assert_eq!(proxy.seen().len() > before, through);
    }
}
