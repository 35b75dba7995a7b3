//! Web pages: whose may call, and that the others cannot.

use crate::support::{Call, Emulated, question};

const FORBIDDEN: &str = "403 invalid_request_error forbidden_host";

fn chat() -> Call {
    Call::chat(&question("echo hi", false))
}

#[test]
fn without_client_keys_only_this_machines_names_are_served() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let port = gateway.address.port();
    for host in [
        "127.0.0.1".to_owned(),
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        "LocalHost".to_owned(),
        format!("[::1]:{port}"),
    ] {
        let call = chat().without("host").header("host", &host);
        assert_eq!(gateway.call(&call).content(), "hi", "{host}");
    }
    let served = fal.count();
    for host in [
        "evil.example",
        "evil.example:3250",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "localhost@evil.example",
        "evil.example#127.0.0.1",
        "0.0.0.0",
        "127.0.0.2",
        "[::2]",
        "",
        "caf\u{e9}",
    ] {
        let call = chat().without("host").header("host", host);
        assert_eq!(gateway.call(&call).verdict(), FORBIDDEN, "{host}");
    }
    assert_eq!(fal.count(), served);
}

#[test]
fn without_client_keys_a_foreign_page_is_refused() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    for origin in [
        "https://evil.example",
        "http://evil.example:3250",
        "null",
        "http://localhost.evil.example",
        "http://127.0.0.1@evil.example",
        "file://",
        "caf\u{e9}",
        "",
    ] {
        let answer = gateway.call(&chat().header("origin", origin));
        assert_eq!(answer.verdict(), FORBIDDEN, "{origin}");
        let models = gateway.call(&Call::get("/v1/models").header("origin", origin));
        assert_eq!(models.verdict(), FORBIDDEN, "{origin}");
    }
    let twice = chat()
        .header("origin", "http://localhost")
        .header("origin", "https://evil.example");
    assert_eq!(gateway.call(&twice).verdict(), FORBIDDEN);
    assert_eq!(fal.count(), 0);
    let own = chat().header("origin", "http://localhost:8080");
    assert_eq!(gateway.call(&own).content(), "hi");
}

#[test]
fn with_client_keys_the_key_decides_and_not_the_name() {
    let fal = Emulated::start();
    let gateway = fal.setup().env("FAL_GATEWAY_KEYS", "sk-fg-alice").start();
    let call = chat()
        .without("host")
        .header("host", "llm.example.com")
        .header("authorization", "Bearer sk-fg-alice");
    assert_eq!(gateway.call(&call).content(), "hi");
}

#[test]
fn a_public_name_can_be_allowed() {
    let fal = Emulated::start();
    let gateway = fal
        .setup()
        .set("server.public_hosts", "llm.example.com")
        .start();
    let call = chat().without("host").header("host", "llm.example.com");
    assert_eq!(gateway.call(&call).content(), "hi");
}

#[test]
fn no_page_is_told_that_it_may_read_unless_it_is_listed() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let call = chat().header("origin", "http://localhost:8080");
    for answer in [gateway.call(&call), gateway.get("/v1/models")] {
        for (name, _) in &answer.headers {
            assert!(!name.starts_with("access-control"), "{name}");
        }
    }
}

#[test]
fn a_listed_page_may_ask_first_and_read_the_answer() {
    let fal = Emulated::start();
    let page = "https://chat.example.com";
    let gateway = fal.setup().set("server.cors_origins", page);
    let gateway = gateway.env("FAL_GATEWAY_KEYS", "sk-fg-alice").start();
    let preflight = Call::new("OPTIONS", "/v1/chat/completions")
        .header("origin", page)
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "authorization,content-type",
        );
    let allowed = gateway.call(&preflight);
    assert_eq!(allowed.status, 200, "a preflight needs no key");
    assert_eq!(allowed.header("access-control-allow-origin"), Some(page));
    assert!(allowed.header("access-control-allow-credentials").is_none());
    assert!(allowed.body.is_empty());

    let call = chat().header("origin", page);
    let refused = gateway.call(&call);
    assert_eq!(refused.status, 401);
    assert_eq!(refused.header("access-control-allow-origin"), Some(page));
    let answer = gateway.call(&call.header("authorization", "Bearer sk-fg-alice"));
    assert_eq!(answer.content(), "hi");
    assert_eq!(answer.header("access-control-allow-origin"), Some(page));
}

#[test]
fn a_page_that_is_not_listed_learns_nothing_from_asking() {
    let fal = Emulated::start();
    let gateway = fal
        .setup()
        .set("server.cors_origins", "https://chat.example.com")
        .env("FAL_GATEWAY_KEYS", "sk-fg-alice")
        .start();
    let preflight = Call::new("OPTIONS", "/v1/chat/completions")
        .header("origin", "https://evil.example")
        .header("access-control-request-method", "POST");
    let answer = gateway.call(&preflight);
    assert_eq!(answer.header("access-control-allow-origin"), None);
    assert_eq!(answer.verdict(), FORBIDDEN);
}
