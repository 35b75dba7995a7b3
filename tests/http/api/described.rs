//! What operators send and get, held to `openapi/admin.yaml`.

use std::collections::BTreeSet;

use fal_gateway::config::KeyHash;
use serde_json::{Value, json};

use super::admin::{ask, chat, served};
use crate::contract::description::Judge;
use crate::contract::yaml;
use crate::support::{Answer, Call, Emulated};

thread_local! {
    static JUDGE: Judge = Judge::of(yaml("openapi/admin.yaml"));
}

/// Holds an answer, and what was asked where that was taken, to the description; gives the operation,
/// if the place is one of those that are described.
#[track_caller]
fn judge(call: &Call, answer: &Answer) -> Option<(String, String)> {
    let (method, place) = call.method_and_place();
    let path = place.split('?').next().unwrap_or_default();
    JUDGE.with(|judge| {
        let operations = judge.operations();
        let fits = |(described, template): &&(String, String)| {
            described == method && is_of(template, path)
        };
        // A word goes before a placeholder.
        let found = operations
            .iter()
            .filter(fits)
            .min_by_key(|(_, template)| template.matches('{').count())?;
        let operation = &judge.document()["paths"][&found.1][method.to_lowercase()];
        let is_done = answer.status == 200;
        if let Some(body) = call.body_json().filter(|_| is_done) {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            assert!(schema.is_object(), "{method} {path} takes no body");
            let faults = judge.faults(schema, &body);
            assert!(
                faults.is_empty(),
                "{method} {path} took {body:#}: {faults:#?}"
            );
        }
        let status = if is_done { "200" } else { "default" };
        let reference = operation["responses"][status]["$ref"].as_str().unwrap();
        let name = reference.rsplit('/').next().unwrap();
        let response = &judge.document()["components"]["responses"][name];
        let schema = &response["content"]["application/json"]["schema"];
        let faults = judge.faults(schema, &answer.json());
        assert!(
            faults.is_empty(),
            "{method} {path} -> {}: {faults:#?} in {}",
            answer.status,
            answer.text()
        );
        Some(found.clone())
    })
}

/// Everything that is described.
pub(super) fn operations() -> BTreeSet<(String, String)> {
    JUDGE.with(Judge::operations)
}

fn is_of(template: &str, path: &str) -> bool {
    let (template, path) = (template.split('/'), path.split('/'));
    let alike = template
        .clone()
        .zip(path.clone())
        .all(|(described, given)| described.starts_with('{') || described == given);
    alike && template.count() == path.count()
}

/// Every operation is done once, with all that it may be told.
#[test]
fn every_operation_for_operators_gives_what_is_described() {
    let (fal, folder) = (Emulated::start(), tempfile::tempdir().unwrap());
    let hash = KeyHash::of("filed");
    let file = format!(
        "[[keys]]\nname = \"filed\"\nhash = \"{hash}\"\nproject = \"files\"\nbudgets = [\"9/day\"]\n\
         [[projects]]\nname = \"files\"\n"
    );
    let gateway = served(&fal, &folder, &file);
    assert_eq!(chat(&gateway, "filed"), 200);
    let (keys, projects, base) = (
        "/admin/v1/keys",
        "/admin/v1/projects",
        "/v1/organization/projects",
    );
    let rules = json!({
        "models": ["openai/*"], "premium": false, "requests_per_minute": 50,
        "tokens_per_minute": 1_000_000, "concurrency": 5, "budgets": ["1000/day", "5 usd/month soft"],
        "disabled": false,
    });
    let with = |more: Value| {
        let mut all = rules.clone();
        let (all_fields, more) = (
            all.as_object_mut().unwrap(),
            more.as_object().unwrap().clone(),
        );
        all_fields.extend(more);
        all
    };
    let steps = [
        ("POST", projects.to_owned(), with(json!({"name": "web"}))),
        (
            "POST",
            keys.to_owned(),
            with(
                json!({"name": "ci", "project": "web", "scopes": ["inference"], "expires": "2100-01-31"}),
            ),
        ),
        (
            "POST",
            keys.to_owned(),
            json!({"name": "own", "hash": KeyHash::of("own").to_string()}),
        ),
        (
            "PATCH",
            format!("{keys}/ci"),
            json!({"scopes": null, "premium": null}),
        ),
        (
            "POST",
            format!("{keys}/ci/rotate"),
            json!({"grace_seconds": 60}),
        ),
        (
            "POST",
            format!("{keys}/ci/rotate"),
            json!({"end_previous": true}),
        ),
        ("GET", keys.to_owned(), Value::Null),
        ("GET", format!("{keys}/ci"), Value::Null),
        ("GET", format!("{keys}/filed"), Value::Null),
        ("PATCH", format!("{projects}/web"), json!({"budgets": null})),
        ("GET", projects.to_owned(), Value::Null),
        ("GET", format!("{projects}/web"), Value::Null),
        ("GET", format!("{projects}/files"), Value::Null),
        ("GET", "/admin/v1/budgets".to_owned(), Value::Null),
        (
            "POST",
            "/admin/v1/budgets/adjust".to_owned(),
            json!({"owner": "key/filed", "amount": -0.5, "note": "by the invoice"}),
        ),
        (
            "GET",
            "/admin/v1/audit?limit=3&object=key/ci".to_owned(),
            Value::Null,
        ),
        ("GET", "/admin/v1/replicas".to_owned(), Value::Null),
        ("GET", "/admin/v1/settings".to_owned(), Value::Null),
        ("POST", "/admin/v1/reload".to_owned(), Value::Null),
        (
            "GET",
            "/v1/organization/usage/completions?start_time=0&bucket_width=1d&group_by=model"
                .to_owned(),
            Value::Null,
        ),
        (
            "GET",
            "/v1/organization/costs?start_time=0".to_owned(),
            Value::Null,
        ),
        ("POST", base.to_owned(), json!({"name": "shop"})),
        ("GET", base.to_owned(), Value::Null),
        ("GET", format!("{base}/shop"), Value::Null),
        (
            "POST",
            format!("{base}/shop/service_accounts"),
            json!({"name": "bot"}),
        ),
        (
            "POST",
            format!("{base}/shop/service_accounts"),
            json!({"name": "bot-2"}),
        ),
        ("GET", format!("{base}/shop/service_accounts"), Value::Null),
        (
            "GET",
            format!("{base}/shop/service_accounts/bot"),
            Value::Null,
        ),
        ("GET", format!("{base}/shop/api_keys"), Value::Null),
        ("GET", format!("{base}/files/api_keys"), Value::Null),
        ("GET", format!("{base}/shop/api_keys/bot"), Value::Null),
        (
            "POST",
            format!("{base}/shop/rate_limits/rl-all"),
            json!({"max_requests_per_1_minute": 5, "max_tokens_per_1_minute": null}),
        ),
        ("GET", format!("{base}/shop/rate_limits"), Value::Null),
        (
            "POST",
            format!("{base}/shop/spend_limit"),
            json!({"threshold_amount": 100, "currency": "USD", "interval": "month"}),
        ),
        ("GET", format!("{base}/shop/spend_limit"), Value::Null),
        ("DELETE", format!("{base}/shop/spend_limit"), Value::Null),
        ("DELETE", format!("{base}/shop/api_keys/bot"), Value::Null),
        (
            "DELETE",
            format!("{base}/shop/service_accounts/bot-2"),
            Value::Null,
        ),
        ("POST", format!("{base}/shop/archive"), Value::Null),
        ("DELETE", format!("{keys}/ci"), Value::Null),
        ("DELETE", format!("{projects}/web"), Value::Null),
        ("GET", format!("{keys}/ci"), Value::Null),
        ("GET", format!("{projects}/web"), Value::Null),
    ];
    assert_eq!(chat(&gateway, "filed"), 200);
    let mut done = BTreeSet::new();
    for (method, path, body) in steps {
        let mut call = Call::new(method, &path);
        if !body.is_null() {
            call = call.json(&body);
        }
        let answer = ask(&gateway, method, &path, &body);
        // Nothing can be read again that stands in no file of its own.
        let is_refused = path == "/admin/v1/reload" && answer.status == 409;
        assert!(
            answer.status == 200 || is_refused,
            "{method} {path}: {}",
            answer.text()
        );
        done.extend(judge(&call, &answer));
    }
    for (method, path, body, status) in [
        ("GET", "/admin/v1/keys/nobody", Value::Null, 404),
        ("GET", "/admin/v1/keys?limit=many", Value::Null, 400),
        ("POST", keys, json!({"name": "own"}), 409),
        ("POST", keys, json!({"name": "x", "curfew": "22:00"}), 400),
        (
            "PATCH",
            "/admin/v1/keys/filed",
            json!({"premium": false}),
            409,
        ),
    ] {
        let answer = ask(&gateway, method, path, &body);
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        judge(&Call::new(method, path), &answer);
    }
    let described = operations();
    let left: Vec<_> = described.difference(&done).collect();
    assert!(left.is_empty(), "{left:?}");
}
