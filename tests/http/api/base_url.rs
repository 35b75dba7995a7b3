//! Paths as wrong base URLs make them, and paths in disguise.

use crate::support::{Call, Emulated, question};

const UNKNOWN: &str = "404 invalid_request_error unknown_url";

fn post(path: &str) -> Call {
    Call::new("POST", path)
        .header("content-type", "application/json")
        .body(question("echo hi", false).to_string())
}

#[test]
fn completions_are_served_where_the_base_url_went_wrong() {
    let fal = Emulated::start();
    let gateway = fal.setup().env("FAL_GATEWAY_KEYS", "sk-fg-alice").start();
    let refused = gateway.call(&post("//chat/completions"));
    assert_eq!(refused.status, 401, "no key, no answer");
    for path in [
        "/v1/chat/completions/",
        "/v1//chat/completions",
        "//chat/completions",
        "/chat/completions",
        "/v1/v1/chat/completions?api-version=2024-06-01",
        "/v1/chat/completions/chat/completions",
    ] {
        let answer = gateway.call(&post(path).header("x-api-key", "sk-fg-alice"));
        assert_eq!(answer.content(), "hi", "{path}");
    }
    let answered = "fal_gateway_requests_total{error_source=\"\",error_type=\"\",model=\"openai/gpt-4o-mini\",route=\"chat\",status=\"200\",stream=\"false\"}";
    gateway.until_metric(answered, 6.0);
}

#[test]
fn whoever_asks_elsewhere_is_told_the_base_url() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    for (method, path) in [
        ("GET", "/models"),
        ("GET", "/v1//models"),
        ("GET", "/v1/models/"),
        ("GET", "/v1/v1/models"),
        ("GET", "/v1/chat/completions/"),
        ("POST", "/v1/chat/completions/completions"),
        ("GET", "//metrics"),
        ("GET", "/metrics/"),
    ] {
        let answer = gateway.call(&Call::new(method, path));
        assert_eq!(answer.verdict(), UNKNOWN, "{path}");
        let cure = "The base URL is http://127.0.0.1/v1;";
        assert!(answer.text().contains(cure), "{}", answer.text());
    }
    let named = Call::get("/models")
        .without("host")
        .header("host", "localhost:3250")
        .header("x-forwarded-proto", "https");
    let text = gateway.call(&named).text();
    assert!(
        text.contains("The base URL is https://localhost:3250/v1;"),
        "{text}"
    );
}

/// Rules about paths in front of the gateway see what the gateway sees.
#[test]
fn letters_in_disguise_lead_nowhere() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    for path in [
        "/%6detrics",
        "/metric%73",
        "/v1/%6dodels",
        "/%68ealthz",
        "/v1/%2e%2e/metrics",
    ] {
        assert_eq!(gateway.get(path).verdict(), UNKNOWN, "{path}");
    }
    let disguised = gateway.call(&post("/v1/chat/%63ompletions"));
    assert_eq!(disguised.verdict(), UNKNOWN);
    assert_eq!(gateway.get("/v1/models/openai%2Fgpt-4o-mini").status, 200);
    assert_eq!(fal.count(), 0);
}

#[test]
fn refusals_of_other_endpoints_are_counted_as_errors() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    assert_eq!(gateway.call(&post("/v1/embeddings")).status, 404);
    let refused = "fal_gateway_requests_total{error_source=\"caller\",error_type=\"unsupported_endpoint\",model=\"\",route=\"other\",status=\"404\",stream=\"false\"}";
    gateway.until_metric(refused, 1.0);
}
