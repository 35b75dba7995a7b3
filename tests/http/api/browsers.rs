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
        "localhost",
        "x://localhost",
        "chrome-extension://localhost",
        "https://localhost:8080",
        "http://localhost:8080",
        "http://127.0.0.1:9",
    ] {
        let answer = gateway.call(&chat().header("origin", origin));
        assert_eq!(answer.verdict(), FORBIDDEN, "{origin}");
        let models = gateway.call(&Call::get("/v1/models").header("origin", origin));
        assert_eq!(models.verdict(), FORBIDDEN, "{origin}");
    }
    let twice = chat()
        .header("origin", "http://127.0.0.1")
        .header("origin", "https://evil.example");
    assert_eq!(gateway.call(&twice).verdict(), FORBIDDEN);
    assert_eq!(fal.count(), 0);
    let port = gateway.address.port();
    for name in ["localhost", "127.0.0.1", "[::1]"] {
        let own = chat().header("origin", &format!("http://{name}:{port}"));
        assert_eq!(gateway.call(&own).content(), "hi", "{name}");
    }
    let by_proxy = chat().header("origin", "https://127.0.0.1");
    assert_eq!(gateway.call(&by_proxy).content(), "hi");
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
    let origin = format!("http://localhost:{}", gateway.address.port());
    let call = chat().header("origin", &origin);
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

/// Whatever no key protects is kept from a page that has made its own name lead here.
#[test]
fn under_a_foreign_name_nothing_is_shown_without_a_key() {
    let fal = Emulated::start();
    for (mode, setup, key) in [
        ("open", fal.setup(), None),
        (
            "keys",
            fal.setup().env("FAL_GATEWAY_KEYS", "sk-fg-alice"),
            Some("sk-fg-alice"),
        ),
        ("callers'", fal.setup().without_fal_key(), Some("id:secret")),
    ] {
        let gateway = setup.start();
        for path in [
            "/",
            "/openapi.json",
            "/metrics",
            "/healthz",
            "/livez",
            "/readyz",
            "/v1/models",
            "/v1/models/openai/gpt-4o",
            "/v1/embeddings",
            "/nothing",
        ] {
            let as_host = |host: &str| Call::get(path).without("host").header("host", host);
            let answer = gateway.call(&as_host("evil.example"));
            assert_eq!(answer.verdict(), FORBIDDEN, "{mode} {path}");
            assert!(answer.text().contains("server.public_hosts"));
            let own = gateway.call(&as_host("localhost"));
            assert_ne!(own.status, 403, "{mode} {path}");
            let Some(key) = key.filter(|_| path.starts_with("/v1") || path.len() == 1) else {
                continue;
            };
            let keyed = as_host("llm.example.com").header("x-api-key", key);
            assert_ne!(gateway.call(&keyed).status, 403, "{mode} {path}");
        }
    }
}

/// Probes come under addresses, and under names that have no dot, such as those of containers.
#[test]
fn probes_are_answered_under_whatever_a_page_cannot_be_called() {
    let fal = Emulated::start();
    for setup in [fal.setup(), fal.setup().without_fal_key()] {
        let gateway = setup.start();
        for host in ["a", "fal-gateway:3250", "10.0.0.7", "[fd00::1]:3250"] {
            for path in ["/healthz", "/livez", "/readyz"] {
                let call = Call::get(path).without("host").header("host", host);
                assert_eq!(gateway.call(&call).status, 200, "{host} {path}");
            }
        }
    }
}

/// A page's name cannot be an address, and those who look after the gateway often come under one.
#[test]
fn an_address_is_no_foreign_name_where_keys_are_asked_for() {
    let fal = Emulated::start();
    let gateway = fal.setup().env("FAL_GATEWAY_KEYS", "sk-fg-alice").start();
    for host in ["10.0.0.7:3250", "192.168.1.5", "[fd00::1]:3250"] {
        for path in ["/healthz", "/metrics", "/"] {
            let call = Call::get(path).without("host").header("host", host);
            assert_eq!(gateway.call(&call).status, 200, "{host} {path}");
        }
    }
}

#[test]
fn the_admin_key_opens_the_metrics_under_any_name() {
    let fal = Emulated::start();
    let hash = fal_gateway::config::KeyHash::of("sk-admin").to_string();
    let gateway = fal.setup().set("auth.admin_key", &hash).start();
    let call = Call::get("/metrics")
        .without("host")
        .header("host", "gateway");
    assert_eq!(gateway.call(&call).verdict(), FORBIDDEN);
    let keyed = call.header("authorization", "Bearer sk-admin");
    assert_eq!(gateway.call(&keyed).status, 200);
}

#[test]
fn answers_are_neither_guessed_at_nor_kept() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let stream = Call::chat(&question("echo hi", true));
    for call in [
        Call::get("/v1/models"),
        Call::get("/nothing"),
        chat(),
        stream,
    ] {
        let answer = gateway.call(&call);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let kept = answer.header("cache-control").unwrap();
        assert!(
            kept.contains("no-store") || kept.contains("no-cache"),
            "{kept}"
        );
    }
    let health = gateway.get("/healthz").json();
    assert_eq!(health, serde_json::json!({"status": "ok"}));
    assert!(gateway.get("/").json().get("version").is_none());
}
