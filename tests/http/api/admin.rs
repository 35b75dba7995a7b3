//! The API for operators, on a listener of its own.

use fal_gateway::config::KeyHash;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::described::operations;
use crate::support::{Answer, Call, Emulated, Raw, Setup, TestGateway, question, until};

pub(super) const ADMIN: &str = "sk-admin";
const READER: &str = "sk-reader";

/// A gateway with a store and two admin keys, one of which may only look.
pub(super) fn served(fal: &Emulated, folder: &TempDir, file: &str) -> TestGateway {
    setup(fal, folder, file).start()
}

fn setup(fal: &Emulated, folder: &TempDir, file: &str) -> Setup {
    let path = folder.path().join("store.db").display().to_string();
    operated(fal, file, vec![("store.path", path)])
}

/// The same on any store.
pub(super) fn operated(fal: &Emulated, file: &str, store: Vec<(&str, String)>) -> Setup {
    let (admin, reader) = (KeyHash::of(ADMIN), KeyHash::of(READER));
    let text = format!(
        "{file}\n[auth]\nadmin_key = \"{admin}\"\nmax_failures = 0\n\
         [[admin_keys]]\nname = \"reader\"\nhash = \"{reader}\"\nscopes = [\"read\"]\n"
    );
    let setup = fal
        .setup()
        .file(&text)
        .set("admin.enabled", "true")
        .set("admin.listen", "127.0.0.1:0");
    let store = store.into_iter();
    store.fold(setup, |setup, (name, value)| setup.set(name, &value))
}

pub(super) fn send(gateway: &TestGateway, call: &Call) -> Answer {
    let mut raw = Raw::connect(gateway.admin_address.unwrap());
    raw.send(&call.to_bytes());
    raw.answer()
}

pub(super) fn call(method: &str, path: &str, key: &str) -> Call {
    Call::new(method, path).header("authorization", &format!("Bearer {key}"))
}

pub(super) fn ask(gateway: &TestGateway, method: &str, path: &str, body: &Value) -> Answer {
    let mut call = call(method, path, ADMIN);
    if !body.is_null() {
        call = call.json(body);
    }
    send(gateway, &call)
}

fn get(gateway: &TestGateway, path: &str) -> Value {
    let answer = ask(gateway, "GET", path, &Value::Null);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

pub(super) fn chat(gateway: &TestGateway, key: &str) -> u16 {
    let call = Call::chat(&question("hi", false));
    gateway
        .call(&call.header("authorization", &format!("Bearer {key}")))
        .status
}

#[test]
fn a_key_is_made_changed_replaced_and_taken_back() {
    let (fal, folder) = (Emulated::start(), tempfile::tempdir().unwrap());
    let gateway = served(&fal, &folder, "");
    let other = served(&fal, &folder, "");
    let fields = json!({"name": "ci", "budgets": ["5 req/total"], "requests_per_minute": 100});
    let made = ask(&gateway, "POST", "/admin/v1/keys", &fields);
    assert_eq!(made.status, 200, "{}", made.text());
    let (tag, made) = (made.header("etag").unwrap().to_owned(), made.json());
    let secret = made["secret"].as_str().unwrap().to_owned();
    assert_eq!(made["budgets"], json!(["5 requests/total"]));
    // Here at once, and on the other gateway soon.
    assert_eq!(chat(&gateway, &secret), 200);
    // Before it knows of any key it is open.
    until("the other knows it", || {
        (chat(&other, "sk-wrong") == 401).then_some(())
    });
    assert_eq!(chat(&other, &secret), 200);
    let shown = get(&gateway, "/admin/v1/keys/ci");
    assert_eq!(
        (&shown["secret"], &shown["name"]),
        (&Value::Null, &json!("ci"))
    );
    let again = ask(&gateway, "POST", "/admin/v1/keys", &fields);
    assert_eq!(
        (again.status, again.header("x-should-retry")),
        (409, Some("false"))
    );
    // The last writer wins, unless he says what he has read.
    let path = "/admin/v1/keys/ci";
    let patch = |fields: &Value, tag: &str| {
        send(
            &gateway,
            &call("PATCH", path, ADMIN)
                .header("if-match", tag)
                .json(fields),
        )
    };
    assert_eq!(patch(&json!({"disabled": true}), &tag).status, 200);
    assert_eq!(patch(&json!({"premium": false}), &tag).status, 412);
    assert_eq!(chat(&gateway, &secret), 401);
    let changed = ask(&gateway, "PATCH", path, &json!({"disabled": null})).json();
    assert_eq!(changed["disabled"], false);
    let rotated = ask(
        &gateway,
        "POST",
        "/admin/v1/keys/ci/rotate",
        &json!({"grace_seconds": 0}),
    );
    let next = rotated.json()["secret"].as_str().unwrap().to_owned();
    assert_eq!((chat(&gateway, &secret), chat(&gateway, &next)), (401, 200));
    let books = until("what was spent is in the books", || {
        let books = get(&gateway, "/admin/v1/budgets?owner=key/ci");
        (books["data"][0]["used"] == 3.0).then_some(books)
    });
    assert_eq!(books["data"][0]["limit"], 5.0);
    assert_eq!(ask(&gateway, "DELETE", path, &Value::Null).status, 200);
    assert_eq!(chat(&gateway, &next), 401);
    until("the other refuses it", || {
        (chat(&other, &next) == 401).then_some(())
    });
    let replicas = get(&gateway, "/admin/v1/replicas");
    assert!(
        replicas["data"].as_array().unwrap().len() >= 2,
        "{replicas}"
    );
}

#[test]
fn whoever_brings_a_hash_may_repeat_himself_and_lists_have_pages() {
    let (fal, folder) = (Emulated::start(), tempfile::tempdir().unwrap());
    let gateway = served(&fal, &folder, "[[projects]]\nname = \"filed\"\n");
    for name in ["a", "b", "c"] {
        let hash = KeyHash::of(&format!("sk-{name}")).to_string();
        let fields = json!({"name": name, "hash": hash, "project": "filed"});
        for _ in 0..2 {
            let made = ask(&gateway, "POST", "/admin/v1/keys", &fields);
            assert_eq!((made.status, &made.json()["secret"]), (200, &Value::Null));
        }
        assert_eq!(chat(&gateway, &format!("sk-{name}")), 200);
    }
    let page = get(&gateway, "/admin/v1/keys?limit=2");
    assert_eq!(
        (&page["has_more"], &page["last_id"]),
        (&json!(true), &json!("b"))
    );
    let rest = get(&gateway, "/admin/v1/keys?limit=2&after=b");
    assert_eq!(
        (&rest["has_more"], &rest["data"][0]["name"]),
        (&json!(false), &json!("c"))
    );
    for (method, path, body, status, said) in [
        (
            "POST",
            "/admin/v1/projects",
            json!({"name": "filed"}),
            409,
            "fal-gateway.toml:",
        ),
        (
            "POST",
            "/admin/v1/keys",
            json!({"name": "x", "rpm": 5}),
            400,
            "rpm",
        ),
        (
            "POST",
            "/admin/v1/keys",
            json!({"name": "x", "budgets": ["0/day"]}),
            400,
            "nothing",
        ),
        (
            "POST",
            "/admin/v1/keys",
            json!({"name": "'; drop table access_key"}),
            400,
            "name",
        ),
        (
            "PATCH",
            "/admin/v1/keys/a",
            json!({"name": "z"}),
            400,
            "name",
        ),
        (
            "PATCH",
            "/admin/v1/keys/'--",
            json!({"premium": true}),
            404,
            "key",
        ),
        ("GET", "/admin/v1/keys?limit=x", Value::Null, 400, "limit"),
        ("GET", "/v1/models", Value::Null, 404, "/admin/v1"),
    ] {
        let answer = ask(&gateway, method, path, &body);
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.text());
        assert!(
            answer.text().contains(said),
            "{path} {body}: {}",
            answer.text()
        );
    }
}

#[test]
fn a_second_rotation_does_not_end_the_secret_that_clients_use_unasked() {
    let (fal, folder) = (Emulated::start(), tempfile::tempdir().unwrap());
    let gateway = served(&fal, &folder, "");
    let made = ask(&gateway, "POST", "/admin/v1/keys", &json!({"name": "ci"})).json();
    let first = made["secret"].as_str().unwrap();
    let rotate = |fields: Value| ask(&gateway, "POST", "/admin/v1/keys/ci/rotate", &fields);
    assert_eq!(rotate(json!({"grace_seconds": 3600})).status, 200);
    for fields in [
        json!({}),
        json!({"grace_seconds": 60, "end_previous": false}),
    ] {
        let again = rotate(fields);
        assert_eq!(
            (again.status, again.header("x-should-retry")),
            (409, Some("false"))
        );
        assert_eq!(again.error()["code"], "secret_in_use");
    }
    assert_eq!(rotate(json!({"end_previous": "yes"})).status, 400);
    assert_eq!(chat(&gateway, first), 200);
    let second = rotate(json!({"end_previous": true})).json();
    let second = second["secret"].as_str().unwrap();
    assert_eq!((chat(&gateway, first), chat(&gateway, second)), (401, 200));
    assert_eq!(rotate(json!({"grace_seconds": 0})).status, 200);
    assert_eq!(chat(&gateway, second), 401);
    assert_eq!(rotate(json!({})).status, 200, "nothing ends by that");
}

#[test]
fn pages_of_budgets_lack_none() {
    let (fal, folder) = (Emulated::start(), tempfile::tempdir().unwrap());
    let gateway = served(&fal, &folder, "");
    for name in ["a", "a-b", "a.c"] {
        let fields = json!({"name": name, "budgets": ["5 requests/total"]});
        let made = ask(&gateway, "POST", "/admin/v1/keys", &fields).json();
        assert_eq!(chat(&gateway, made["secret"].as_str().unwrap()), 200);
    }
    until("all are in the books", || {
        let all = get(&gateway, "/admin/v1/budgets");
        (all["data"].as_array()?.len() == 3).then_some(())
    });
    let (mut after, mut owners) = (String::new(), Vec::new());
    loop {
        let page = get(
            &gateway,
            &format!("/admin/v1/budgets?limit=1&after={after}"),
        );
        owners.push(page["data"][0]["owner"].as_str().unwrap().to_owned());
        after = page["last_id"].as_str().unwrap().to_owned();
        if page["has_more"] == false {
            break;
        }
    }
    assert_eq!(owners, ["key/a", "key/a-b", "key/a.c"]);
}

#[test]
fn however_many_budgets_there_are_all_of_them_are_told() {
    const MANY: usize = 10_500;
    let (fal, folder) = (Emulated::start(), tempfile::tempdir().unwrap());
    let gateway = served(&fal, &folder, "");
    let store = rusqlite::Connection::open(folder.path().join("store.db")).unwrap();
    store
        .busy_timeout(std::time::Duration::from_secs(30))
        .unwrap();
    let add = format!(
        "insert into budget_window (owner, budget, start_at, end_at, wanted, bound, used, leased, \
         beyond, short_until) \
         with recursive counted (n) as (select 1 union all select n + 1 from counted where n < {MANY}) \
         select 'key/' || n, 'requests/total/UTC', 0, null, 5, 5, 1, 0, 0, 0 from counted"
    );
    store.execute_batch(&add).unwrap();
    let (mut after, mut owners) = (String::new(), std::collections::BTreeSet::new());
    loop {
        let path = format!("/admin/v1/budgets?limit=1000&after={after}");
        let page = get(&gateway, &path);
        let items = page["data"].as_array().unwrap();
        owners.extend(items.iter().map(|item| item["owner"].to_string()));
        after = page["last_id"].as_str().unwrap().to_owned();
        if page["has_more"] == false {
            break;
        }
    }
    assert_eq!(owners.len(), MANY);
}

/// Keys of the file and of the store come as one list, however it is cut into pages.
#[test]
fn pages_of_keys_lack_none_and_repeat_none() {
    let (fal, folder) = (Emulated::start(), tempfile::tempdir().unwrap());
    let hash = |text: &str| KeyHash::of(text).to_string();
    let file = format!(
        "[[keys]]\nname = \"b\"\nhash = \"{}\"\n[[keys]]\nname = \"d\"\nhash = \"{}\"\n\
         project = \"web\"\n[[projects]]\nname = \"web\"\n",
        hash("b"),
        hash("d")
    );
    let gateway = served(&fal, &folder, &file);
    for fields in [
        json!({"name": "a", "project": "web"}),
        json!({"name": "c"}),
        json!({"name": "e", "project": "web"}),
    ] {
        let made = ask(&gateway, "POST", "/admin/v1/keys", &fields);
        assert_eq!(made.status, 200, "{}", made.text());
    }
    for (path, expected) in [
        ("/admin/v1/keys?", &["a", "b", "c", "d", "e"][..]),
        ("/admin/v1/keys?project=web&", &["a", "d", "e"]),
        ("/admin/v1/projects?", &["web"]),
        ("/v1/organization/projects?", &["default", "web"]),
        ("/v1/organization/projects/web/api_keys?", &["a", "d", "e"]),
        (
            "/v1/organization/projects/default/service_accounts?",
            &["b", "c"],
        ),
    ] {
        let (mut after, mut names) = (String::new(), Vec::new());
        loop {
            let page = get(&gateway, &format!("{path}limit=1&after={after}"));
            names.push(page["data"][0]["name"].as_str().unwrap().to_owned());
            after = page["last_id"].as_str().unwrap().to_owned();
            if page["has_more"] == false {
                break;
            }
        }
        assert_eq!(names, expected, "{path}");
    }
}

#[test]
fn a_spend_limit_leaves_budgets_alone_that_another_gateway_has_just_set() {
    let (fal, folder) = (Emulated::start(), tempfile::tempdir().unwrap());
    let (one, other) = (served(&fal, &folder, ""), served(&fal, &folder, ""));
    let (own, path) = (
        "/admin/v1/projects/web",
        "/v1/organization/projects/web/spend_limit",
    );
    let made = ask(&one, "POST", "/admin/v1/projects", &json!({"name": "web"}));
    assert_eq!(made.status, 200);
    until("the other knows the project", || {
        (ask(&other, "GET", own, &Value::Null).status == 200).then_some(())
    });
    for count in 1..=5 {
        let budget = format!("{count} requests/total");
        let set = ask(&one, "PATCH", own, &json!({"budgets": [budget]}));
        assert_eq!(set.status, 200, "{}", set.text());
        let limit = ask(&other, "POST", path, &json!({"threshold_amount": 1250}));
        assert_eq!(limit.status, 200, "{}", limit.text());
        let budgets = get(&other, own)["budgets"].clone();
        assert_eq!(budgets, json!([budget, "12.5 usd/month"]));
    }
}

#[test]
fn nobody_comes_in_who_is_no_operator() {
    let (fal, folder) = (Emulated::start(), tempfile::tempdir().unwrap());
    let gateway = served(&fal, &folder, "");
    let client = ask(&gateway, "POST", "/admin/v1/keys", &json!({"name": "ci"})).json();
    let client = client["secret"].as_str().unwrap();
    let keys = "/admin/v1/keys";
    for (what, call, status) in [
        ("nobody", Call::get(keys), 401),
        ("a client", call("GET", keys, client), 401),
        ("a reader reads", call("GET", keys, READER), 200),
        (
            "a reader writes",
            call("POST", keys, READER).json(&json!({"name": "x"})),
            403,
        ),
        (
            "a reader reloads",
            call("POST", "/admin/v1/reload", READER),
            403,
        ),
        (
            "a page",
            call("GET", keys, ADMIN).header("origin", "http://127.0.0.1:3252"),
            403,
        ),
        (
            "a page",
            call("GET", keys, ADMIN).header("sec-fetch-site", "same-origin"),
            403,
        ),
        (
            "a form",
            call("POST", keys, ADMIN).header("content-type", "text/plain"),
            415,
        ),
    ] {
        assert_eq!(send(&gateway, &call).status, status, "{what}");
    }
    let mut foreign = Raw::connect(gateway.admin_address.unwrap());
    let head = format!(
        "GET {keys} HTTP/1.1\r\nhost: evil.example\r\nauthorization: Bearer {ADMIN}\r\n\r\n"
    );
    foreign.send(head.as_bytes());
    assert_eq!(foreign.answer().status, 403, "a foreign name");
    // Neither side opens the other.
    assert_eq!(chat(&gateway, ADMIN), 401);
    assert_eq!(gateway.call(&call("GET", keys, ADMIN)).status, 404);
}

#[test]
fn what_is_described_is_served_to_operators_alone() {
    let (fal, folder) = (Emulated::start(), tempfile::tempdir().unwrap());
    let gateway = served(&fal, &folder, "");
    let mut asked = 0;
    for (method, path) in operations() {
        let place = path.replace(['{', '}'], "");
        let call = Call::new(&method, &place).json(&json!({}));
        let status = send(&gateway, &call).status;
        assert_eq!(status, 401, "{method} {path}");
        asked += 1;
    }
    assert!(asked > 30, "{asked}");
}

#[test]
fn without_an_admin_key_one_person_administers_until_there_are_clients() {
    let (fal, folder) = (Emulated::start(), tempfile::tempdir().unwrap());
    let path = folder.path().join("store.db").display().to_string();
    let gateway = fal
        .setup()
        .set("store.path", &path)
        .set("admin.enabled", "true")
        .set("admin.listen", "127.0.0.1:0")
        .start();
    let make = |name: &str| {
        let call = Call::new("POST", "/admin/v1/keys").json(&json!({"name": name}));
        send(&gateway, &call).status
    };
    assert_eq!((make("first"), make("second")), (200, 401));
}

#[test]
fn openais_organisation_is_the_projects_and_keys_that_there_are() {
    let (fal, folder) = (Emulated::start(), tempfile::tempdir().unwrap());
    let gateway = served(&fal, &folder, "");
    let base = "/v1/organization/projects";
    let made = ask(&gateway, "POST", base, &json!({"name": "web"})).json();
    assert_eq!(
        (&made["id"], &made["status"]),
        (&json!("web"), &json!("active"))
    );
    let accounts = format!("{base}/web/service_accounts");
    let account = ask(&gateway, "POST", &accounts, &json!({"name": "bot"})).json();
    let secret = account["api_key"]["value"].as_str().unwrap();
    assert_eq!(chat(&gateway, secret), 200);
    let keys = get(&gateway, &format!("{base}/web/api_keys"));
    assert_eq!(keys["data"][0]["owner"]["service_account"]["name"], "bot");
    assert!(!keys.to_string().contains(secret));
    let limits = json!({"max_requests_per_1_minute": 90});
    let limits = ask(
        &gateway,
        "POST",
        &format!("{base}/web/rate_limits/rl-all"),
        &limits,
    )
    .json();
    assert_eq!(limits["max_requests_per_1_minute"], 90);
    let limit = json!({"threshold_amount": 1250, "currency": "USD", "interval": "month"});
    let path = format!("{base}/web/spend_limit");
    assert_eq!(
        ask(&gateway, "POST", &path, &limit).json()["threshold_amount"],
        1250
    );
    let project = get(&gateway, "/admin/v1/projects/web");
    assert_eq!(project["budgets"], json!(["12.5 usd/month"]));
    assert_eq!(
        ask(&gateway, "DELETE", &path, &Value::Null).json()["deleted"],
        true
    );
    assert_eq!(ask(&gateway, "GET", &path, &Value::Null).status, 404);
    let day = "/v1/organization/usage/completions?start_time=1700000000&limit=31&page=";
    let since = jiff_now() - 3600;
    let usage = until("the call is in the ledger", || {
        let query = format!("{day}{since}&group_by[]=api_key_id&group_by=project_id,model");
        let page = get(&gateway, &query);
        let results = page["data"]
            .as_array()?
            .iter()
            .flat_map(|one| one["results"].as_array().unwrap());
        results.last().cloned()
    });
    assert_eq!(
        (&usage["api_key_id"], &usage["project_id"]),
        (&json!("bot"), &json!("web"))
    );
    assert_eq!(
        (&usage["num_model_requests"], &usage["x_units"]),
        (&json!(1), &json!(1.0))
    );
    let costs = get(
        &gateway,
        &format!("/v1/organization/costs?start_time={since}"),
    );
    let costs = costs["data"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|one| one["results"].as_array().unwrap());
    let cost = costs.last().unwrap();
    assert_eq!(
        (&cost["quantity"], &cost["quantity_unit"]),
        (&json!(1.0), &json!("fal_units"))
    );
    let deleted = ask(
        &gateway,
        "DELETE",
        &format!("{base}/web/api_keys/bot"),
        &Value::Null,
    )
    .json();
    assert_eq!(
        (&deleted["id"], &deleted["deleted"]),
        (&json!("bot"), &json!(true))
    );
    assert_eq!(chat(&gateway, secret), 401);
    assert_eq!(
        ask(
            &gateway,
            "POST",
            &format!("{base}/web/archive"),
            &Value::Null
        )
        .json()["status"],
        "archived"
    );
    assert_eq!(get(&gateway, base)["data"].as_array().unwrap().len(), 1);
}

#[test]
fn a_bucket_of_usage_is_whole_or_on_the_next_page() {
    let (fal, folder) = (Emulated::start(), tempfile::tempdir().unwrap());
    let gateway = setup(&fal, &folder, "").set("store.timeout", "30s").start();
    let store = rusqlite::Connection::open(folder.path().join("store.db")).unwrap();
    let day = 86_400;
    let (first, second) = (20_000 * day, 20_001 * day);
    for (start, keys) in [(first, 10), (second, 50_001)] {
        store
            .execute_batch(&format!(
                "insert into usage_hour with recursive counted (n) as \
                 (select 1 union all select n + 1 from counted where n < {keys}) \
                 select {start}000, 'key-' || n, '', 'm', 'any-llm', 'chat', 0, \
                 1, 1, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1000, 0, 5 from counted"
            ))
            .unwrap();
    }
    let end = second + day;
    let usage = |start: i64, rest: &str| {
        let path = "/v1/organization/usage/completions";
        let path = format!("{path}?start_time={start}&end_time={end}{rest}");
        ask(&gateway, "GET", &path, &Value::Null)
    };
    let page = usage(first, "&group_by=api_key_id").json();
    assert_eq!(page["data"].as_array().unwrap().len(), 1);
    assert_eq!(page["data"][0]["results"].as_array().unwrap().len(), 10);
    assert_eq!(page["has_more"], true);
    assert_eq!(page["next_page"], second.to_string());
    let too_much = usage(first, &format!("&group_by=api_key_id&page={second}"));
    assert_eq!(too_much.status, 400);
    assert_eq!(too_much.error()["param"], "group_by");
    let all = usage(first, "").json();
    let counted = |at: usize| all["data"][at]["results"][0]["num_model_requests"].clone();
    assert_eq!((counted(0), counted(1)), (json!(10), json!(50_001)));
    assert_eq!(all["has_more"], false);
}

fn jiff_now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.unwrap().as_secs()).unwrap()
}

/// Each change leaves a row: who, what, before and after, and never a secret.
#[test]
fn what_operators_change_is_written_down_with_it() {
    let (fal, folder) = (Emulated::start(), tempfile::tempdir().unwrap());
    let gateway = served(&fal, &folder, "");
    let keys = "/admin/v1/keys";
    let done = |method: &str, path: &str, body: &Value| {
        let answer = ask(&gateway, method, path, body);
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text());
        answer.json()
    };
    done("POST", "/admin/v1/projects", &json!({"name": "web"}));
    let made = done("POST", keys, &json!({"name": "ci", "project": "web"}));
    done("PATCH", &format!("{keys}/ci"), &json!({"concurrency": 5}));
    let refused = ask(
        &gateway,
        "PATCH",
        &format!("{keys}/ci"),
        &json!({"concurrency": 0}),
    );
    assert_eq!(refused.status, 400);
    let rotated = done("POST", &format!("{keys}/ci/rotate"), &json!({}));
    done("DELETE", &format!("{keys}/ci"), &Value::Null);
    // It is over already, and nothing changes.
    done("DELETE", &format!("{keys}/ci"), &Value::Null);
    done("DELETE", "/admin/v1/projects/web", &Value::Null);
    let (mut after, mut changes) = (String::new(), Vec::new());
    loop {
        let page = get(&gateway, &format!("/admin/v1/audit?limit=2&after={after}"));
        changes.extend(page["data"].as_array().unwrap().clone());
        after = page["last_id"].as_str().unwrap().to_owned();
        if page["has_more"] == false {
            break;
        }
    }
    let told: Vec<_> = changes
        .iter()
        .map(|one| {
            (
                one["action"].as_str().unwrap(),
                one["object"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("projects.archive", "project/web"),
        ("keys.revoke", "key/ci"),
        ("keys.rotate", "key/ci"),
        ("keys.change", "key/ci"),
        ("keys.create", "key/ci"),
        ("projects.create", "project/web"),
    ];
    assert_eq!(told, expected);
    assert!(changes.iter().all(|one| one["operator"] == "admin"));
    assert_eq!(changes[0]["address"], "127.0.0.1");
    let change = &changes[3];
    assert_eq!(
        (
            &change["before"]["concurrency"],
            &change["after"]["concurrency"]
        ),
        (&Value::Null, &json!(5))
    );
    assert_eq!(changes[4]["before"], Value::Null);
    let text = json!(changes).to_string();
    for secret in [&made["secret"], &rotated["secret"]] {
        let secret = secret.as_str().unwrap();
        assert!(!text.contains(secret) && !text.contains(&KeyHash::of(secret).to_string()));
    }
    let own = get(&gateway, "/admin/v1/audit?object=project/web");
    assert_eq!(own["data"].as_array().unwrap().len(), 2);
    assert_eq!(
        ask(&gateway, "GET", "/admin/v1/audit?after=x", &Value::Null).status,
        400
    );
}
