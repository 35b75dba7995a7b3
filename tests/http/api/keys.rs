//! Who may call, and which key fal is shown.

use fal_gateway::emulator::Options;

use crate::support::{Call, Emulated, FAL_KEY, ScriptedUpstream, Setup, Step, question, whole};

const UNAUTHORIZED: &str = "401 invalid_request_error invalid_api_key";

fn with_keys(setup: Setup) -> Setup {
    setup.env("FAL_GATEWAY_KEYS", "sk-fg-alice,sk-fg-bob")
}

fn chat() -> Call {
    Call::chat(&question("echo hi", false))
}

/// The header with the key, as fal got it.
fn shown_key(fal: &ScriptedUpstream) -> String {
    let request = fal.seen()[0].requests[0].clone();
    let head = String::from_utf8(request).unwrap();
    let mut lines = head
        .lines()
        .filter_map(|line| line.strip_prefix("authorization: "));
    let key = lines.next().unwrap().to_owned();
    assert_eq!(lines.next(), None);
    key
}

#[test]
fn only_a_key_of_the_gateways_opens_it() {
    let fal = Emulated::start();
    let gateway = with_keys(fal.setup()).start();
    for header in [
        "Bearer wrong",
        "Bearer",
        "Bearer ",
        "Bearer sk-fg-alic",
        "Bearer sk-fg-alice2",
        "Bearer SK-FG-ALICE",
        "Bearer sk-fg-alice,sk-fg-bob",
        "sk-fg-alice",
        "Basic sk-fg-alice",
        "",
    ] {
        let answer = gateway.call(&chat().header("authorization", header));
        assert_eq!(answer.verdict(), UNAUTHORIZED, "{header}");
        assert!(!answer.text().contains("alic"), "{}", answer.text());
    }
    assert_eq!(gateway.call(&chat()).verdict(), UNAUTHORIZED);
    assert_eq!(fal.count(), 0);
    for header in [
        "Bearer sk-fg-alice",
        "bearer sk-fg-bob",
        "BEARER sk-fg-alice",
        "Bearer  sk-fg-bob ",
    ] {
        let answer = gateway.call(&chat().header("authorization", header));
        assert_eq!(answer.content(), "hi", "{header}");
    }
}

#[test]
fn two_authorization_headers_are_none() {
    let fal = Emulated::start();
    for setup in [with_keys(fal.setup()), fal.setup().without_fal_key()] {
        let gateway = setup.start();
        for (header, key) in [
            ("authorization", "Bearer sk-fg-alice"),
            ("x-api-key", "sk-fg-alice"),
            ("api-key", "sk-fg-alice"),
        ] {
            let call = chat().header(header, key).header(header, key);
            assert_eq!(gateway.call(&call).verdict(), UNAUTHORIZED, "{header}");
        }
    }
    assert_eq!(fal.count(), 0);
}

#[test]
fn a_key_in_the_address_a_cookie_or_the_body_is_no_key() {
    let fal = Emulated::start();
    let gateway = with_keys(fal.setup()).start();
    let mut body = question("hi", false);
    body["api_key"] = "sk-fg-alice".into();
    let in_path = Call::new(
        "POST",
        "/v1/chat/completions?api_key=sk-fg-alice&key=sk-fg-alice",
    )
    .header("content-type", "application/json")
    .body(body.to_string());
    for call in [
        in_path,
        chat().header("cookie", "authorization=sk-fg-alice"),
        chat().header("x-key", "sk-fg-alice"),
        chat().header("proxy-authorization", "Bearer sk-fg-alice"),
    ] {
        assert_eq!(gateway.call(&call).verdict(), UNAUTHORIZED);
    }
    assert_eq!(fal.count(), 0);
}

#[test]
fn the_list_of_models_needs_a_key_where_the_chat_does() {
    let fal = Emulated::start();
    let gateway = with_keys(fal.setup()).start();
    for path in ["/v1/models", "/v1/models/openai/gpt-4o-mini"] {
        assert_eq!(gateway.get(path).verdict(), UNAUTHORIZED);
        let call = Call::get(path).header("authorization", "Bearer sk-fg-bob");
        assert_eq!(gateway.call(&call).status, 200);
    }
    for path in ["/healthz", "/livez", "/readyz"] {
        assert_eq!(gateway.get(path).status, 200);
    }
}

#[test]
fn fal_is_shown_the_gateways_key_and_never_the_callers() {
    for keys in [false, true] {
        let fal = ScriptedUpstream::start(vec![Step::Read, Step::Write(whole("hi"))]);
        let setup = if keys {
            with_keys(fal.setup())
        } else {
            fal.setup()
        };
        let call = chat()
            .header("authorization", "Bearer sk-fg-alice")
            .header("x-fal-key", "evil:key")
            .header("cookie", "a=b")
            .header("x-forwarded-host", "evil.example")
            .header("openai-organization", "org-1");
        assert_eq!(setup.start().call(&call).content(), "hi");
        assert_eq!(shown_key(&fal), format!("Key {FAL_KEY}"));
        let sent = String::from_utf8(fal.seen()[0].requests[0].clone()).unwrap();
        for foreign in ["alice", "evil", "a=b", "org-1"] {
            assert!(!sent.contains(foreign), "{foreign} in {sent}");
        }
    }
}

#[test]
fn without_a_key_of_its_own_the_gateway_passes_the_callers_on() {
    for header in [
        "Bearer kid:mine",
        "bearer kid:mine",
        "Key kid:mine",
        "Bearer Key kid:mine",
    ] {
        let fal = ScriptedUpstream::start(vec![Step::Read, Step::Write(whole("hi"))]);
        let gateway = fal.setup().without_fal_key().start();
        let answer = gateway.call(&chat().header("authorization", header));
        assert_eq!(answer.content(), "hi");
        assert_eq!(shown_key(&fal), "Key kid:mine");
    }
}

#[test]
fn passing_keys_on_still_needs_one() {
    let fal = Emulated::start();
    let gateway = fal.setup().without_fal_key().start();
    for call in [
        chat(),
        chat().header("authorization", "Bearer "),
        chat().header("authorization", "Basic a2V5"),
        chat().header("authorization", "Bearer k\u{e9}y"),
        chat().header("authorization", "Bearer x"),
        chat().header("authorization", "Bearer :x"),
        chat().header("authorization", "Bearer x:"),
        chat().header("authorization", "Bearer kid:a b"),
        chat().header("x-api-key", "sk-proj-1"),
    ] {
        let answer = gateway.call(&call);
        assert_eq!(answer.verdict(), UNAUTHORIZED);
    }
    assert_eq!(fal.count(), 0);
}

#[test]
fn fal_takes_the_key_that_was_passed_on() {
    let fal = Emulated::with(Options {
        key: Some("kid:right".to_owned()),
        ..Options::default()
    });
    let gateway = fal.setup().without_fal_key().start();
    let call = chat().header("authorization", "Bearer kid:right");
    assert_eq!(gateway.call(&call).content(), "hi");
}

#[test]
fn a_redirect_is_not_followed_and_the_key_is_sent_to_no_other_host() {
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = ScriptedUpstream::start(vec![Step::Read, Step::Write(whole("stolen"))]);
        let fal = ScriptedUpstream::answering(format!(
            "HTTP/1.1 {status} Moved\r\nlocation: {}/x\r\ncontent-length: 0\r\n\r\n",
            elsewhere.url()
        ));
        let gateway = fal.setup().start();
        for stream in [false, true] {
            let answer = gateway.ask(&question("hi", stream));
            assert_eq!(
                answer.verdict(),
                "400 invalid_request_error upstream_invalid_response"
            );
        }
        assert_eq!(elsewhere.seen().len(), 0);
        assert_eq!(fal.requests(), 2);
    }
}

/// What a caller writes into a body never decides where the gateway connects to.
#[test]
fn addresses_in_a_request_lead_nowhere() {
    let elsewhere = ScriptedUpstream::start(vec![Step::Read, Step::Write(whole("stolen"))]);
    let fal = Emulated::start();
    let gateway = fal.setup().set("images.http", "true").start();
    let mut body = question("echo hi", false);
    for field in ["base_url", "api_base", "webhook_url", "fal_webhook", "url"] {
        body[field] = elsewhere.url().into();
    }
    let call = Call::chat(&body)
        .header("x-original-url", &elsewhere.url())
        .header("x-forwarded-host", "evil.example");
    assert_eq!(gateway.call(&call).content(), "hi");
    assert_eq!(elsewhere.seen().len(), 0);
}

/// Proxies and clients send what they like where nobody asked for a key.
#[test]
fn where_no_key_matters_none_is_looked_at() {
    let fal = Emulated::start();
    for open in ["false", "true"] {
        let gateway = fal.setup().set("auth.allow_unauthenticated", open).start();
        for header in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer undefined",
            "sk-anything",
            "Basic dXNlcjpwYXNz",
            "Digest username=\"x\", realm=\"y\"",
            "Token abc",
            "AWS4-HMAC-SHA256 Credential=a/b",
            "Bearer:sk-1",
            "Bearer\tsk-1",
            "Bearer caf\u{e9}",
        ] {
            let answer = gateway.call(&chat().header("authorization", header));
            assert_eq!(answer.content(), "hi", "{header}");
        }
        let twice = chat()
            .header("authorization", "Bearer a")
            .header("authorization", "Basic b")
            .header("x-api-key", "c");
        assert_eq!(gateway.call(&twice).content(), "hi");
    }
}

/// One key decides: the other is not tried when it is wrong.
#[test]
fn a_key_in_a_header_of_its_own_goes_before_authorization() {
    let fal = Emulated::start();
    let gateway = with_keys(fal.setup()).start();
    for header in ["x-api-key", "api-key"] {
        let with = |key: &str| chat().header(header, key);
        assert_eq!(gateway.call(&with("sk-fg-alice")).content(), "hi");
        let models = Call::get("/v1/models").header(header, "sk-fg-bob");
        assert_eq!(gateway.call(&models).status, 200);
        let right_first = with("sk-fg-alice").header("authorization", "Bearer wrong");
        assert_eq!(gateway.call(&right_first).content(), "hi");
        let wrong_first = with("wrong").header("authorization", "Bearer sk-fg-alice");
        assert_eq!(gateway.call(&wrong_first).verdict(), UNAUTHORIZED);
        let empty = with("").header("authorization", "Bearer sk-fg-alice");
        assert_eq!(gateway.call(&empty).content(), "hi");
    }
}

#[test]
fn a_fal_key_may_come_in_a_header_of_its_own() {
    for header in ["x-api-key", "api-key"] {
        let fal = ScriptedUpstream::start(vec![Step::Read, Step::Write(whole("hi"))]);
        let gateway = fal.setup().without_fal_key().start();
        let answer = gateway.call(&chat().header(header, "kid:mine"));
        assert_eq!(answer.content(), "hi");
        assert_eq!(shown_key(&fal), "Key kid:mine");
    }
}
