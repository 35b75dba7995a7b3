//! The routes in the code and the paths in the description are the same.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::contract::description::{Judge, METHODS};
use crate::contract::file;
use crate::harness::{Gateway, asking, send, with};

/// The routes as `api::routes` lists them: `.service(get("/path", ...))`.
fn routes_in_the_code() -> BTreeSet<(String, String)> {
    let source = file("src/api/mod.rs");
    let (_, after) = source.split_once("pub fn routes(").unwrap();
    let (body, _) = after.split_once("\n}\n").unwrap();
    let mut routes = BTreeSet::new();
    for service in body.split(".service(").skip(1) {
        let (method, rest) = service.split_once('(').unwrap();
        let path = rest.split('"').nth(1).unwrap();
        // `{id:.+}` is `{id}` in OpenAPI.
        let path = path.replace(":.+}", "}").replace(":chatcmpl-[^/]*}", "}");
        for method in method.split("_or_") {
            routes.insert((method.to_uppercase(), path.clone()));
        }
    }
    assert!(routes.len() > 5, "the list of routes is no longer readable");
    routes
}

/// A path that leads to something.
async fn concrete(world: &Gateway, path: &str) -> String {
    let made = async |path: &str, body: Value| {
        let made = send(world.post(path, &body)).await.json();
        made["id"].as_str().unwrap_or("chatcmpl-none").to_owned()
    };
    if path.starts_with("/v1/conversations/") {
        let item = json!({"id": "msg_mine", "type": "message", "role": "user", "content": "hi"});
        let id = made("/v1/conversations", json!({ "items": [item] })).await;
        return path.replace("{id}", &id).replace("{item}", "msg_mine");
    }
    if path.starts_with("/v1/responses/") {
        let id = made("/v1/responses", json!({"input": "echo hi"})).await;
        return path.replace("{id}", &id);
    }
    if path.starts_with("/v1/chat/completions/") {
        let id = made(
            "/v1/chat/completions",
            with(asking("echo hi"), json!({"store": true})),
        )
        .await;
        return path.replace("{id}", &id);
    }
    path.replace("{id}", "openai/gpt-4o-mini")
}

#[test]
fn the_routes_in_the_code_are_the_described_ones() {
    assert_eq!(routes_in_the_code(), Judge::new().operations());
}

#[actix_web::test]
async fn every_described_operation_is_served_and_no_other_method() {
    let world = Gateway::open("");
    let judge = Judge::new();
    let operations = judge.operations();
    let paths: BTreeSet<_> = operations.iter().map(|(_, path)| path).collect();
    for path in paths {
        for method in METHODS {
            let is_described = operations.contains(&(method.to_owned(), path.clone()));
            let answer = send(world.request(method, &concrete(&world, path).await)).await;
            let what = format!("{method} {path} -> {}", answer.status);
            if is_described {
                assert!(![404, 405].contains(&answer.status), "{what}");
                judge.judge(method, path, &answer);
                continue;
            }
            let is_got = operations.contains(&("GET".to_owned(), path.clone()));
            if method == "HEAD" && is_got {
                assert!(answer.body.is_empty(), "{what}");
                assert!(![404, 405].contains(&answer.status), "{what}");
                continue;
            }
            assert_eq!(answer.status, 405, "{what}");
            let allowed = answer.header("allow").unwrap_or_default().to_owned();
            assert_eq!(allowed.contains("HEAD"), is_got, "{what}");
            for allowed in allowed.split(", ").filter(|method| *method != "HEAD") {
                let described = (allowed.to_owned(), path.clone());
                assert!(operations.contains(&described), "{what}");
            }
            if method != "HEAD" {
                let body = answer.json();
                let (schema, code) = match path.starts_with("/v1/messages") {
                    true => ("MessagesError", &body["error"]["details"]["error_code"]),
                    false => ("ErrorResponse", &body["error"]["code"]),
                };
                assert_eq!(judge.schema_faults(schema, &body), [""; 0]);
                assert_eq!(code, "method_not_allowed");
            }
        }
    }
}

#[actix_web::test]
async fn any_other_path_is_404_in_the_envelope() {
    let world = Gateway::open("");
    let judge = Judge::new();
    for path in [
        "/v1",
        "/v1/",
        "/v2/models",
        "/v1/chat",
        "/v1/models/",
        "/v1//models",
        "/V1/models",
        "/healthz/",
        "/nope?x=1",
        "/%2e%2e/etc/passwd",
    ] {
        for method in ["GET", "POST"] {
            let answer = send(world.request(method, path)).await;
            assert_eq!(answer.status, 404, "{method} {path}");
            let body = answer.json();
            assert_eq!(judge.schema_faults("ErrorResponse", &body), [""; 0]);
            assert_eq!(body["error"]["code"], "unknown_url", "{method} {path}");
            assert_eq!(body["error"]["param"], json!(null));
        }
    }
}

/// Whoever adds a route has to decide whether strangers may call it.
#[actix_web::test]
async fn all_but_probes_ask_for_a_key() {
    const OPEN: [&str; 6] = [
        "/",
        "/healthz",
        "/livez",
        "/metrics",
        "/openapi.json",
        "/readyz",
    ];
    let world = Gateway::keyed("", "sk-fg-alice");
    for (method, path) in routes_in_the_code() {
        let is_open = OPEN.contains(&path.as_str());
        let (method, path) = (method.as_str(), concrete(&world, &path).await);
        let answer = send(world.request(method, &path)).await;
        assert_eq!(
            answer.status == 401,
            !is_open,
            "{method} {path}: {}",
            answer.status
        );
    }
}
