//! What operators ask over HTTP is taken to the letter, or refused by its name: nothing that they
//! write is without effect.

use std::time::{SystemTime, UNIX_EPOCH};

use fal_gateway::config::KeyHash;
use serde_json::{Value, json};

use super::admin::{ADMIN, ask, call, chat, operated, send, served};
use crate::store::places;
use crate::support::{Answer, Emulated, TestGateway, until};

const KEYS: &str = "/admin/v1/keys";
const PROJECTS: &str = "/v1/organization/projects";

fn ok(gateway: &TestGateway, method: &str, path: &str, body: &Value) -> Value {
    let answer = ask(gateway, method, path, body);
    assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text());
    answer.json()
}

fn hash(secret: &str) -> String {
    KeyHash::of(secret).to_string()
}

/// Holds a refusal to its status, and to the parameter that it names.
#[track_caller]
fn refused(answer: &Answer, status: u16, param: &str) {
    assert_eq!(answer.status, status, "{param}: {}", answer.text());
    assert_eq!(answer.error()["param"], param, "{}", answer.text());
}

#[test]
fn a_rotation_takes_what_it_knows_and_may_be_repeated_with_a_hash() {
    let (fal, folder) = (Emulated::start(), tempfile::tempdir().unwrap());
    let file = format!("[[keys]]\nname = \"filed\"\nhash = \"{}\"\n", hash("filed"));
    let gateway = served(&fal, &folder, &file);
    let made = ok(&gateway, "POST", KEYS, &json!({"name": "ci"}));
    let first = made["secret"].as_str().unwrap();
    let path = format!("{KEYS}/ci/rotate");
    refused(
        &ask(&gateway, "POST", &path, &json!({"grace": "0s"})),
        400,
        "grace",
    );
    refused(
        &ask(&gateway, "POST", &path, &json!({"hash": "mine"})),
        400,
        "hash",
    );
    let filed = ask(&gateway, "POST", &path, &json!({"hash": hash("filed")}));
    assert_eq!(
        (filed.status, filed.error()["code"].as_str()),
        (409, Some("managed_by_file"))
    );
    assert_eq!(chat(&gateway, first), 200);

    let mine = json!({"hash": hash("mine"), "grace_seconds": 3600});
    let rotated = ok(&gateway, "POST", &path, &mine);
    assert_eq!(rotated["secret"], Value::Null);
    // Whoever has not seen the answer sends the same again, also where he said what he had read.
    let before = format!("\"{}\"", made["revision"]);
    let again = call("POST", &path, ADMIN).header("if-match", &before);
    let again = send(&gateway, &again.json(&mine));
    assert_eq!((again.status, &again.json()), (200, &rotated));
    assert_eq!((chat(&gateway, "mine"), chat(&gateway, first)), (200, 200));

    // Without a body, and so without its type.
    ok(&gateway, "POST", KEYS, &json!({"name": "other"}));
    let bare = call("POST", &format!("{KEYS}/other/rotate"), ADMIN);
    let bare = send(&gateway, &bare);
    assert_eq!(bare.status, 200, "{}", bare.text());
    assert!(bare.json()["secret"].is_string());
}

#[test]
fn what_would_have_no_effect_is_refused() {
    let (fal, folder) = (Emulated::start(), tempfile::tempdir().unwrap());
    let gateway = served(&fal, &folder, "");
    ok(&gateway, "POST", KEYS, &json!({"name": "ci"}));
    ok(&gateway, "POST", PROJECTS, &json!({"name": "web"}));
    let (key, project) = (format!("{KEYS}/ci"), "/admin/v1/projects/web");
    let limit = format!("{PROJECTS}/web/spend_limit");
    for (method, path, body) in [
        (
            "POST",
            KEYS,
            json!({"name": "x", "previous_hash": hash("x")}),
        ),
        (
            "POST",
            KEYS,
            json!({"name": "x", "previous_until": "2100-01-31"}),
        ),
        ("POST", KEYS, json!({"name": "x", "foo": null})),
        (
            "POST",
            KEYS,
            json!({"name": "x", "budgets": ["5/day Asia/Tokyo UTC"]}),
        ),
        (
            "POST",
            KEYS,
            json!({"name": "x", "budgets": ["5/day soft soft"]}),
        ),
        ("PATCH", &key, json!({"foo": null})),
        ("PATCH", &key, json!({"revoked_at": null})),
        ("PATCH", &key, json!({"hash": null})),
        (
            "POST",
            "/admin/v1/projects",
            json!({"name": "x", "foo": null}),
        ),
        ("PATCH", project, json!({"foo": null})),
        ("PATCH", project, json!({"project": null})),
        ("POST", &limit, json!({"threshold_amount": 5, "foo": 1})),
        (
            "POST",
            &limit,
            json!({"threshold_amount": 5, "currency": 5}),
        ),
        (
            "POST",
            &limit,
            json!({"threshold_amount": 5, "interval": 1}),
        ),
        (
            "POST",
            &limit,
            json!({"threshold_amount": 100_000_000_001_u64}),
        ),
    ] {
        let answer = ask(&gateway, method, path, &body);
        assert_eq!(answer.status, 400, "{path} {body}: {}", answer.text());
    }
    let doubled = r#"{"name": "x", "requests_per_minute": 5, "requests_per_minute": 5000}"#;
    let doubled = call("POST", KEYS, ADMIN).body(doubled);
    let doubled = doubled.header("content-type", "application/json");
    refused(&send(&gateway, &doubled), 400, "requests_per_minute");
    let all = ok(&gateway, "GET", KEYS, &Value::Null);
    assert_eq!(all["data"].as_array().unwrap().len(), 1, "{all}");
}

#[test]
fn what_is_wrong_with_a_body_is_named_in_param() {
    let (fal, folder) = (Emulated::start(), tempfile::tempdir().unwrap());
    let gateway = served(&fal, &folder, "");
    ok(&gateway, "POST", KEYS, &json!({"name": "ci"}));
    ok(&gateway, "POST", PROJECTS, &json!({"name": "web"}));
    for (field, value) in [
        ("name", json!("no name")),
        ("requests_per_minute", json!(0)),
        ("tokens_per_minute", json!("many")),
        ("concurrency", json!(-1)),
        ("budgets", json!(["5/year"])),
        ("budgets", json!(["5/day", "6/day"])),
        ("models", json!([5])),
        ("scopes", json!(["everything"])),
        ("expires", json!("soon")),
        ("project", json!("no name")),
        ("premium", json!("perhaps")),
        ("curfew", json!("22:00")),
    ] {
        let mut fields = json!({"name": "x"});
        fields[field] = value.clone();
        refused(&ask(&gateway, "POST", KEYS, &fields), 400, field);
        if !["project", "scopes", "expires"].contains(&field) {
            refused(
                &ask(&gateway, "POST", "/admin/v1/projects", &fields),
                400,
                field,
            );
        }
        let mut fields = json!({});
        fields[field] = value;
        refused(
            &ask(&gateway, "PATCH", &format!("{KEYS}/ci"), &fields),
            400,
            field,
        );
    }
    let limits = format!("{PROJECTS}/web/rate_limits/rl-all");
    for (field, value) in [
        ("max_requests_per_1_minute", json!(0)),
        ("max_tokens_per_1_minute", json!("many")),
        ("max_images_per_1_minute", json!(5)),
    ] {
        let mut fields = json!({});
        fields[field] = value;
        let answer = ask(&gateway, "POST", &limits, &fields);
        refused(&answer, 400, field);
        assert!(answer.text().contains(field), "{}", answer.text());
    }
    for (field, value) in [("amount", json!("much")), ("note", json!("n".repeat(1001)))] {
        let mut fields = json!({"owner": "key/ci", "amount": "1"});
        fields[field] = value;
        refused(
            &ask(&gateway, "POST", "/admin/v1/budgets/adjust", &fields),
            400,
            field,
        );
    }
}

#[test]
fn a_filter_that_is_misspelt_does_not_give_everything() {
    let (fal, folder) = (Emulated::start(), tempfile::tempdir().unwrap());
    let gateway = served(&fal, &folder, "");
    for (path, param) in [
        ("/admin/v1/keys?projct=web", "projct"),
        ("/admin/v1/keys?limit=0", "limit"),
        ("/admin/v1/projects?limit=-1", "limit"),
        ("/admin/v1/budgets?ownr=key/ci", "ownr"),
        ("/admin/v1/audit?objct=key/ci", "objct"),
        ("/admin/v1/replicas?id=x", "id"),
        (
            "/v1/organization/projects?include_archived=maybe",
            "include_archived",
        ),
        (
            "/v1/organization/projects/default/api_keys?owner_project_access=no",
            "owner_project_access",
        ),
        (
            "/v1/organization/projects/default/service_accounts?owner_project_access=any",
            "owner_project_access",
        ),
        (
            "/v1/organization/usage/completions?start_time=0&api_key_id=nope",
            "api_key_id",
        ),
        (
            "/v1/organization/usage/completions?start_time=0&batch=banana",
            "batch",
        ),
        (
            "/v1/organization/usage/completions?start_time=0&group_by=colour",
            "group_by",
        ),
        (
            "/v1/organization/usage/images?start_time=0&batch=true",
            "batch",
        ),
        (
            "/v1/organization/costs?start_time=0&bucket_width=1h",
            "bucket_width",
        ),
        ("/v1/organization/costs?start_time=0&user_ids=x", "user_ids"),
    ] {
        let answer = ask(&gateway, "GET", path, &Value::Null);
        refused(&answer, 400, param);
    }
    let nonsense = "/v1/organization/usage/nonsense?start_time=0";
    assert_eq!(ask(&gateway, "GET", nonsense, &Value::Null).status, 404);
    let images = "/v1/organization/usage/images?start_time=0&sizes[]=512x512";
    ok(&gateway, "GET", images, &Value::Null);
}

#[test]
fn reports_keep_to_their_filters() {
    let (_folder, places) = places();
    for place in places.iter().skip(1) {
        let fal = Emulated::start();
        let gateway = operated(&fal, "", place.settings()).start();
        let made = ok(&gateway, "POST", KEYS, &json!({"name": "ci"}));
        assert_eq!(chat(&gateway, made["secret"].as_str().unwrap()), 200);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let since = now.as_secs() - 86_400;
        let calls = |filter: &str| {
            let path = "/v1/organization/usage/completions";
            let path = format!("{path}?start_time={since}&limit=31{filter}");
            let page = ok(&gateway, "GET", &path, &Value::Null);
            let buckets = page["data"].as_array().unwrap().iter();
            let results = buckets.flat_map(|bucket| bucket["results"].as_array().unwrap());
            let counts = results.map(|one| one["num_model_requests"].as_i64().unwrap());
            counts.sum::<i64>()
        };
        until("the call is in the ledger", || {
            (calls("") == 1).then_some(())
        });
        for (filter, count) in [
            ("&batch=false", 1),
            ("&batch=true", 0),
            ("&user_ids[]=nobody", 0),
            ("&api_key_ids=ci", 1),
            ("&api_key_ids[]=other", 0),
            ("&project_ids=default", 1),
            ("&project_ids=web", 0),
            ("&api_key_ids=%00", 0),
            ("&models=%00", 0),
            ("&project_ids[]=%00&project_ids[]=default", 1),
            ("&group_by[]=api_source", 1),
        ] {
            assert_eq!(calls(filter), count, "{filter} of {place:?}");
        }
        let lines = |filter: &str| {
            let path = "/v1/organization/costs";
            let path = format!("{path}?start_time={since}&group_by=line_item{filter}");
            let page = ok(&gateway, "GET", &path, &Value::Null);
            let buckets = page["data"].as_array().unwrap().iter();
            let results = buckets.flat_map(|bucket| bucket["results"].as_array().unwrap());
            let lines = results.map(|one| one["line_item"].as_str().unwrap().to_owned());
            lines.collect::<Vec<_>>()
        };
        let all = lines("");
        let line = all.first().unwrap();
        assert_eq!(lines(&format!("&line_items[]={line}")), all);
        assert_eq!(lines(&format!("&line_items[]={line}&models={line}")), all);
        assert!(lines("&line_items[]=none").is_empty());
        assert!(lines(&format!("&line_items[]={line}&models=none")).is_empty());
    }
}

#[test]
fn a_repeated_rotation_ends_the_old_secret_no_later_than_it_asks() {
    let (fal, folder) = (Emulated::start(), tempfile::tempdir().unwrap());
    let gateway = served(&fal, &folder, "");
    for (name, stricter) in [
        ("switch", json!({"end_previous": true})),
        ("grace", json!({"grace_seconds": 0})),
    ] {
        let made = ok(&gateway, "POST", KEYS, &json!({"name": name}));
        let first = made["secret"].as_str().unwrap();
        let path = format!("{KEYS}/{name}/rotate");
        let mine = hash(name);
        let rotated = ok(&gateway, "POST", &path, &json!({"hash": mine}));
        assert_eq!(chat(&gateway, first), 200, "{name}");
        let day = rotated["previous_until"].as_str().unwrap();

        // Both at once: what is asked is a grace, no more than there was.
        let body = json!({"hash": mine, "end_previous": true, "grace_seconds": 86_400});
        assert_eq!(ok(&gateway, "POST", &path, &body), rotated);
        let body = json!({"hash": mine, "grace_seconds": 3600});
        let sooner = ok(&gateway, "POST", &path, &body);
        assert!(sooner["previous_until"].as_str().unwrap() < day, "{sooner}");
        assert_eq!(chat(&gateway, first), 200, "{name}");

        // Whoever has not read that it was changed is not let to change it.
        let mut body = stricter;
        body["hash"] = mine.into();
        let stale = format!("\"{}\"", made["revision"]);
        let again = call("POST", &path, ADMIN).header("if-match", &stale);
        assert_eq!(send(&gateway, &again.json(&body)).status, 412, "{name}");
        assert_eq!(chat(&gateway, first), 200, "{name}");

        let ended = ok(&gateway, "POST", &path, &body);
        assert_eq!(ended["previous_until"], Value::Null, "{ended}");
        assert_eq!((chat(&gateway, first), chat(&gateway, name)), (401, 200));
        assert_eq!(ok(&gateway, "POST", &path, &body), ended);
        let notes = format!("/admin/v1/audit?object=key/{name}");
        let notes = ok(&gateway, "GET", &notes, &Value::Null);
        assert_eq!(notes["data"].as_array().unwrap().len(), 4, "{notes}");
    }
}

#[test]
fn null_of_what_openai_clients_leave_unset_says_nothing() {
    let (fal, folder) = (Emulated::start(), tempfile::tempdir().unwrap());
    let gateway = served(&fal, &folder, "");
    let web = json!({"name": "web", "geography": null, "external_key_id": null});
    ok(&gateway, "POST", PROJECTS, &web);
    for (path, body) in [
        (
            "service_accounts",
            json!({"name": "ci", "expires_in_seconds": null, "create_service_account_only": null}),
        ),
        (
            "spend_limit",
            json!({"threshold_amount": 5, "currency": null, "interval": null}),
        ),
        (
            "rate_limits/rl-all",
            json!({"max_requests_per_1_minute": 9, "max_images_per_1_minute": null}),
        ),
    ] {
        ok(&gateway, "POST", &format!("{PROJECTS}/web/{path}"), &body);
    }
    for (path, body) in [
        (KEYS.to_owned(), json!({"name": "x", "hash": null})),
        (format!("{KEYS}/x/rotate"), json!({"hash": null})),
    ] {
        assert!(ok(&gateway, "POST", &path, &body)["secret"].is_string());
    }
    let other = json!({"name": "y", "geography": "EU"});
    let other = ask(&gateway, "POST", PROJECTS, &other);
    refused(&other, 400, "geography");

    for (query, count) in [
        ("", 1),
        ("?before=rl-all", 0),
        ("?before=a", 0),
        ("?before=x", 1),
    ] {
        let path = format!("{PROJECTS}/web/rate_limits{query}");
        let page = ok(&gateway, "GET", &path, &Value::Null);
        assert_eq!(page["data"].as_array().unwrap().len(), count, "{query}");
    }
    let decisions = "/v1/organization/usage/decisions?start_time=0&batch=true";
    ok(&gateway, "GET", decisions, &Value::Null);
}

#[test]
fn keys_of_a_project_are_listed_by_what_they_open() {
    let (fal, folder) = (Emulated::start(), tempfile::tempdir().unwrap());
    let gateway = served(&fal, &folder, "");
    ok(&gateway, "POST", KEYS, &json!({"name": "open"}));
    ok(
        &gateway,
        "POST",
        KEYS,
        &json!({"name": "shut", "disabled": true}),
    );
    for (access, expected) in [
        ("active", &["open"][..]),
        ("inactive", &["shut"]),
        ("any", &["open", "shut"]),
    ] {
        let path = format!("{PROJECTS}/default/api_keys?owner_project_access={access}");
        let page = ok(&gateway, "GET", &path, &Value::Null);
        let keys = page["data"].as_array().unwrap().iter();
        let names: Vec<_> = keys.map(|key| key["name"].as_str().unwrap()).collect();
        assert_eq!(names, expected, "{access}");
    }
}

#[test]
fn default_is_the_project_of_keys_without_one_and_no_other() {
    let (fal, folder) = (Emulated::start(), tempfile::tempdir().unwrap());
    let gateway = served(&fal, &folder, "");
    for path in ["/admin/v1/projects", PROJECTS] {
        let made = ask(&gateway, "POST", path, &json!({"name": "default"}));
        refused(&made, 400, "name");
        assert!(made.text().contains("keys without one"), "{}", made.text());
    }
    let shown = ok(
        &gateway,
        "GET",
        &format!("{PROJECTS}/default"),
        &Value::Null,
    );
    assert_eq!(shown["status"], "active");
}

#[test]
fn a_wrong_method_is_told_the_right_ones() {
    let (fal, folder) = (Emulated::start(), tempfile::tempdir().unwrap());
    let gateway = served(&fal, &folder, "");
    for (method, path, allowed) in [
        ("PUT", "/admin/v1/keys", "GET, HEAD, POST"),
        ("POST", "/admin/v1/keys/ci", "GET, HEAD, PATCH, DELETE"),
        ("PUT", "/admin/v1/projects", "GET, HEAD, POST"),
        ("POST", "/admin/v1/projects/web", "GET, HEAD, PATCH, DELETE"),
        ("GET", "/admin/v1/keys/ci/rotate", "POST"),
        ("DELETE", "/admin/v1/budgets", "GET, HEAD"),
        ("POST", "/v1/organization/usage/completions", "GET, HEAD"),
        ("POST", "/v1/organization/costs", "GET, HEAD"),
        ("PUT", "/v1/organization/projects", "GET, HEAD, POST"),
        ("POST", "/v1/organization/projects/web", "GET, HEAD"),
        ("GET", "/v1/organization/projects/web/archive", "POST"),
        (
            "POST",
            "/v1/organization/projects/web/api_keys/ci",
            "GET, HEAD, DELETE",
        ),
        (
            "PATCH",
            "/v1/organization/projects/web/service_accounts",
            "GET, HEAD, POST",
        ),
        (
            "POST",
            "/v1/organization/projects/web/service_accounts/ci",
            "GET, HEAD, DELETE",
        ),
        (
            "POST",
            "/v1/organization/projects/web/rate_limits",
            "GET, HEAD",
        ),
        (
            "GET",
            "/v1/organization/projects/web/rate_limits/rl-all",
            "POST",
        ),
        (
            "PUT",
            "/v1/organization/projects/web/spend_limit",
            "GET, HEAD, POST, DELETE",
        ),
    ] {
        let answer = send(&gateway, &call(method, path, ADMIN));
        assert_eq!(answer.status, 405, "{method} {path}: {}", answer.text());
        assert_eq!(
            answer.error()["code"],
            "method_not_allowed",
            "{method} {path}"
        );
        assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
    }
}

#[test]
fn what_is_wrong_is_said_of_what_is_there() {
    let (fal, folder) = (Emulated::start(), tempfile::tempdir().unwrap());
    let file = format!("[[keys]]\nname = \"filed\"\nhash = \"{}\"\n", hash("filed"));
    let gateway = served(&fal, &folder, &file);
    for (fields, said) in [
        (json!({"name": "filed"}), "fal-gateway.toml:"),
        (
            json!({"name": "new", "hash": hash("filed")}),
            "the key `filed`",
        ),
    ] {
        let answer = ask(&gateway, "POST", KEYS, &fields);
        assert_eq!(answer.status, 409, "{}", answer.text());
        let text = answer.text();
        assert!(text.contains(said) && !text.contains("the store"), "{text}");
    }
    let large = json!({"name": "x", "budgets": ["9007199254740993000/day"]});
    let large = ask(&gateway, "POST", KEYS, &large);
    assert!(
        large.text().contains("1000000000000000 at most"),
        "{}",
        large.text()
    );

    // A pattern that fits no model is set, and named at once.
    let idle = json!({"name": "idle", "models": ["nothing/*"]});
    let idle = ok(&gateway, "POST", KEYS, &idle);
    assert!(
        idle["warnings"][0]
            .as_str()
            .unwrap()
            .contains("`nothing/*`"),
        "{idle}"
    );
    let fine = json!({"models": ["openai/*"]});
    let fine = ok(&gateway, "PATCH", &format!("{KEYS}/idle"), &fine);
    assert_eq!(fine["warnings"], Value::Null);
    let project = json!({"name": "web", "models": ["nothing/*"]});
    let project = ok(&gateway, "POST", "/admin/v1/projects", &project);
    assert!(
        project["warnings"][0]
            .as_str()
            .unwrap()
            .contains("`nothing/*`"),
        "{project}"
    );

    let adjust = json!({"owner": "key/nope", "amount": "5"});
    let adjust = ask(&gateway, "POST", "/admin/v1/budgets/adjust", &adjust);
    assert_eq!(adjust.status, 404);
    let said = "The present window of a budget of `key/nope`, which begins with the first request";
    assert!(adjust.text().contains(said), "{}", adjust.text());
}
