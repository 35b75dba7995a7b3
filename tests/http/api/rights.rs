//! What single keys may do, as the tables of the settings file say.

use fal_gateway::config::KeyHash;
use serde_json::{Value, json};

use crate::support::{Answer, Call, Emulated, ScriptedUpstream, Setup, TestGateway, question};

/// A table for a key.
fn key(name: &str, more: &str) -> String {
    format!(
        "[[keys]]\nname = \"{name}\"\nhash = \"{}\"\n{more}\n",
        KeyHash::of(name)
    )
}

fn start(setup: Setup, tables: &[String]) -> TestGateway {
    setup.file(&tables.concat()).start()
}

fn ask(gateway: &TestGateway, key: &str, body: &Value) -> Answer {
    gateway.call(&Call::chat(body).header("authorization", &format!("Bearer {key}")))
}

fn about(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hi"}]})
}

#[test]
fn a_key_asks_for_its_models_under_whatever_name() {
    let fal = Emulated::start();
    let gateway = start(
        fal.setup(),
        &[
            key("mini", "models = [\"openai/*\", \"!openai/gpt-4o\"]"),
            key("cheap", "premium = false\nproject = \"web\""),
            "[[projects]]\nname = \"web\"\nmodels = [\"!google/*\"]\n".to_owned(),
        ],
    );
    for (key, model, verdict) in [
        ("mini", "openai/gpt-4o-mini", "200"),
        ("mini", "gpt-4o-mini", "200"),
        ("mini", "openai/gpt-4o", "403"),
        ("mini", "gpt-4o", "403"),
        ("mini", "google/gemini-2.5-flash-lite", "403"),
        ("cheap", "openai/gpt-4o-mini", "200"),
        // A model that the catalogue does not list might cost the premium rate.
        ("cheap", "openai/gpt-4o", "403"),
        ("cheap", "somebody/unknown", "403"),
        ("cheap", "google/gemini-2.5-flash-lite", "403"),
    ] {
        let before = fal.count();
        let answer = ask(&gateway, key, &about(model));
        match verdict {
            "200" => assert_eq!(answer.status, 200, "{key} {model}"),
            _ => {
                let refused = "403 invalid_request_error model_not_found";
                assert_eq!(answer.verdict(), refused, "{key} {model}");
                assert_eq!(answer.error()["param"], "model");
                assert_eq!(fal.count(), before, "nothing is asked of fal");
            }
        }
    }
}

/// The request's own ones as little as the operator's.
#[test]
fn no_fallback_leads_to_a_model_that_the_key_may_not_ask_for() {
    let busy = b"HTTP/1.1 429 No\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
    let fal = ScriptedUpstream::answering(busy);
    let gateway = start(
        fal.setup(),
        &[key("cheap", "premium = false"), key("all", "")],
    );
    let mut body = about("openai/gpt-4o-mini");
    body["models"] = json!(["openai/gpt-4o-mini", "openai/gpt-4o"]);
    assert_eq!(ask(&gateway, "cheap", &body).status, 429);
    assert_eq!(fal.requests(), 1);
    assert_eq!(ask(&gateway, "all", &body).status, 429);
    assert_eq!(fal.requests(), 3);
}

#[test]
fn the_list_shows_a_key_its_models() {
    let fal = Emulated::start();
    let gateway = start(
        fal.setup(),
        &[key("mini", "models = [\"*-mini\"]"), key("all", "")],
    );
    let list = |key: &str| {
        let call = Call::get("/v1/models").header("authorization", &format!("Bearer {key}"));
        gateway.call(&call).json()["data"]
            .as_array()
            .unwrap()
            .clone()
    };
    let (few, all) = (list("mini"), list("all"));
    assert!(!few.is_empty() && few.len() < all.len());
    for model in &few {
        let id = model["alias_of"].as_str().or(model["id"].as_str()).unwrap();
        assert!(id.ends_with("-mini"), "{id}");
    }
    let get = |path: &str| {
        let call = Call::get(path).header("authorization", "Bearer mini");
        gateway.call(&call).status
    };
    assert_eq!(get("/v1/models/openai/gpt-4o-mini"), 200);
    assert_eq!(get("/v1/models/openai/gpt-4o"), 404);
}

#[test]
fn a_key_is_for_what_its_scopes_say() {
    let fal = Emulated::start();
    let gateway = start(
        fal.setup(),
        &[
            key("asks", "scopes = [\"inference\"]"),
            key("looks", "scopes = [\"models\"]"),
        ],
    );
    let models = |key: &str| {
        let call = Call::get("/v1/models").header("authorization", &format!("Bearer {key}"));
        gateway.call(&call)
    };
    let refused = "403 invalid_request_error insufficient_permissions";
    assert_eq!(ask(&gateway, "asks", &question("hi", false)).status, 200);
    assert_eq!(models("asks").verdict(), refused);
    assert_eq!(models("looks").status, 200);
    assert_eq!(
        ask(&gateway, "looks", &question("hi", true)).verdict(),
        refused
    );
    assert_eq!(fal.count(), 1);
}

#[test]
fn keys_that_ended_or_are_switched_off_open_nothing_and_say_why() {
    let fal = Emulated::start();
    let old = |name: &str, until: &str| {
        format!(
            "previous_hash = \"{}\"\nprevious_until = {until}",
            KeyHash::of(name)
        )
    };
    let gateway = start(
        fal.setup(),
        &[
            key("over", "expires = 2020-01-01"),
            key("later", "expires = 2999-01-01T00:00:00Z"),
            key("off", "disabled = true"),
            key("gone", "project = \"closed\""),
            key("rotated", &old("before", "2999-01-01")),
            key("settled", &old("long-before", "2020-01-01")),
            "[[projects]]\nname = \"closed\"\ndisabled = true\n".to_owned(),
        ],
    );
    let hi = question("hi", false);
    for (key, word) in [
        ("over", "expired"),
        ("long-before", "expired"),
        ("off", "disabled"),
        ("gone", "disabled"),
        ("nobody", "not one of"),
    ] {
        let answer = ask(&gateway, key, &hi);
        assert_eq!(
            answer.verdict(),
            "401 invalid_request_error invalid_api_key"
        );
        let message = answer.error()["message"].to_string();
        assert!(message.contains(word), "{key}: {message}");
    }
    assert_eq!(fal.count(), 0);
    for key in ["later", "rotated", "before", "settled"] {
        assert_eq!(ask(&gateway, key, &hi).status, 200, "{key}");
    }
}
