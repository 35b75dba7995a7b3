//! Web pages in a browser on this machine: what they may not do to an emulator, and what they may.

use fal_gateway::emulator::{Options, Webhooks};
use serde_json::json;

use crate::harness::{Answer, Fal, send};

const STRANGERS: [&str; 6] = [
    "https://evil.example",
    "http://localhost.evil.example",
    "http://127.0.0.1.evil.example:3000",
    "null",
    "chrome-extension://localhost",
    "localhost",
];

const NEIGHBOURS: [&str; 4] = [
    "http://localhost:3000",
    "http://app.localhost:5173",
    "http://127.0.0.1",
    "https://[::1]:8443",
];

const PATHS: [(&str, &str); 6] = [
    ("GET", "/_emulator/requests"),
    ("DELETE", "/_emulator/requests"),
    ("POST", "/api/fal/proxy"),
    ("POST", "/fal-ai/any-llm"),
    ("POST", "/queue/fal-ai/any-llm"),
    ("POST", "/rest/storage/upload/initiate"),
];

async fn call(fal: &Fal, (method, path): (&str, &str), headers: &[(&str, &str)]) -> Answer {
    let mut request = fal
        .request(method, path)
        .header("x-fal-target-url", "https://fal.run/fal-ai/any-llm")
        .header("content-type", "text/plain")
        .body(json!({ "prompt": "echo hi", "model": "openai/gpt-4o-mini" }).to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(request).await
}

fn cors(answer: &Answer) -> Option<&str> {
    answer.header("access-control-allow-origin")
}

async fn with_key(relay: Option<&str>) -> Fal {
    Fal::with(Options {
        key: Some("kid:ksecret".to_owned()),
        relay: relay.map(str::to_owned),
        ..Options::default()
    })
    .await
}

#[tokio::test]
async fn without_a_key_no_page_of_another_machine_gets_anywhere() {
    let fal = Fal::start().await;
    for path in PATHS {
        for origin in STRANGERS {
            let answer = call(&fal, path, &[("origin", origin)]).await;
            assert_eq!(answer.status, 403, "{path:?} {origin}");
            assert_eq!(cors(&answer), None, "{path:?} {origin}");
        }
        for origin in NEIGHBOURS {
            let answer = call(&fal, path, &[("origin", origin)]).await;
            assert!(answer.status < 300, "{path:?} {origin}: {}", answer.text());
        }
    }
    // What was refused is nobody's request.
    let record = fal.get("/_emulator/requests").await.json();
    assert_eq!(record.as_array().unwrap().len(), 4 * NEIGHBOURS.len());
}

/// A name that anybody can make lead to this machine, such as one of DNS rebinding.
#[tokio::test]
async fn only_its_own_names_are_answered() {
    let fal = Fal::with(Options {
        public_hosts: vec!["fal-emulator".to_owned()],
        ..Options::default()
    })
    .await;
    for path in PATHS {
        for host in [
            "evil.example",
            "evil.example:3251",
            "127.0.0.1.evil.example",
            "\u{e9}",
        ] {
            let answer = call(&fal, path, &[("host", host)]).await;
            assert_eq!(answer.status, 403, "{path:?} {host}");
        }
        for host in [
            "localhost",
            "127.0.0.1:3251",
            "[::1]",
            "192.0.2.7",
            "FAL-emulator:3251",
        ] {
            let answer = call(&fal, path, &[("host", host)]).await;
            assert!(answer.status < 300, "{path:?} {host}");
        }
    }
}

/// As at fal: a page needs a key there. What needs none stays closed.
#[tokio::test]
async fn with_a_key_pages_may_call_what_they_may_call_at_fal() {
    let fal = with_key(None).await;
    for (method, path) in PATHS {
        let answer = call(&fal, (method, path), &[("origin", "https://app.example")]).await;
        let is_fals = !path.starts_with("/_emulator") && !path.starts_with("/api");
        assert_eq!(answer.status < 300, is_fals, "{path}");
        assert_eq!(cors(&answer), is_fals.then_some("*"), "{path}");
    }
    let relaying = with_key(Some("http://127.0.0.1:9/v1")).await;
    for path in PATHS {
        let answer = call(&relaying, path, &[("origin", "https://app.example")]).await;
        assert_eq!((answer.status, cors(&answer)), (403, None), "{path:?}");
    }
}

#[tokio::test]
async fn no_page_is_told_that_it_may_read_or_delete_the_record() {
    let fal = Fal::start().await;
    for path in ["/_emulator/requests", "/_emulator/help", "/api/fal/proxy"] {
        let asks_first = [
            ("origin", "http://localhost:3000"),
            ("access-control-request-method", "DELETE"),
        ];
        let answer = call(&fal, ("OPTIONS", path), &asks_first).await;
        let allows = answer
            .headers
            .keys()
            .any(|name| name.as_str().starts_with("access-control"));
        assert!(!allows, "{path}: {:?}", answer.headers);
    }
}

#[tokio::test]
async fn webhooks_stay_on_this_machine_unless_told_otherwise() {
    let submit = |webhook: &str| format!("/queue/fal-ai/any-llm?fal_webhook={webhook}");
    let fal = Fal::start().await;
    let elsewhere = [
        "http://192.0.2.1/hook",
        "https://example.com/hook",
        "http://127.0.0.1.example.com/",
        "http://127.0.0.1@example.com/",
        "http://169.254.169.254/",
        "http://0.0.0.0:9/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "nowhere",
    ];
    for webhook in elsewhere {
        let answer = call(&fal, ("POST", &submit(webhook)), &[]).await;
        assert_eq!(answer.status, 400, "{webhook}");
        assert!(
            answer.text().contains("--webhooks any"),
            "{}",
            answer.text()
        );
    }
    for webhook in [
        "http://127.0.0.1:9/",
        "http://localhost:9/",
        "http://[::1]:9/x?y=1",
    ] {
        let answer = call(&fal, ("POST", &submit(webhook)), &[]).await;
        assert_eq!(answer.status, 200, "{webhook}");
    }
    let anywhere = Fal::with(Options {
        webhooks: Webhooks::Any,
        ..Options::default()
    })
    .await;
    let answer = call(&anywhere, ("POST", &submit("http://0.0.0.0:9/")), &[]).await;
    assert_eq!(answer.status, 200);
}
