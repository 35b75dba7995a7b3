//! What is read while the gateway runs: the public lists of models, and the balance. Nothing waits
//! for them, nothing false is taken from them, and what was known stays known.

use std::fs;

use fal_gateway::emulator::Options;
use serde_json::{Value, json};

use crate::support::{
    Call, Emulated, Process, ScriptedUpstream, Setup, Step, TestGateway, nobody, question, until,
};

/// A gateway that reads the lists that an emulator plays, once.
fn reading(fal: &Emulated) -> Setup {
    fal.setup()
        .set("models.refresh", "1h")
        .set("fal.platform_url", &format!("{}/platform/v1", fal.url()))
        .set(
            "models.openrouter_url",
            &format!("{}/openrouter.ai/api/v1", fal.url()),
        )
}

fn listed(gateway: &TestGateway) -> Vec<String> {
    ids(&gateway.get("/v1/models").json())
}

fn ids(list: &Value) -> Vec<String> {
    let models = list["data"].as_array().unwrap().iter();
    models
        .map(|model| model["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn both_lists_are_read_without_a_key_and_kept_for_the_next_start() {
    let fal = Emulated::start();
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("models.json");
    let setup = reading(&fal).set("models.cache", &cache.display().to_string());
    let gateway = setup.start();
    until("a model that only fal's list has", || {
        listed(&gateway)
            .contains(&"anthropic/claude-sonnet-4.5".to_owned())
            .then_some(())
    });
    let before = listed(&gateway);
    assert!(
        !before.contains(&"openai/gpt-4o-audio-preview".to_owned()),
        "any-llm lacks it"
    );
    let requests = fal.requests(2);
    assert_eq!(requests.len(), 2, "{requests:?}");
    for request in &requests {
        let text = request.to_string();
        assert!(
            !text.contains("authorization") && !text.contains("ksecret"),
            "{text}"
        );
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&cache).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let beside = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(beside, 1, "nothing else is left in the folder");
    // At the next start what was kept is known at once, even if nobody answers.
    let next = Setup::towards(&format!("http://{}", nobody()))
        .set("models.cache", &cache.display().to_string())
        .start();
    assert_eq!(listed(&next), before);
}

#[test]
fn a_start_waits_for_no_list() {
    let silent = ScriptedUpstream::start(vec![Step::Read, Step::Hold]);
    let fal = Emulated::start();
    let gateway = reading(&fal)
        .set("fal.platform_url", &silent.url())
        .set("models.openrouter_url", &silent.url())
        .start();
    assert_eq!(gateway.get("/readyz").status, 200);
    assert!(listed(&gateway).contains(&"openai/gpt-4o".to_owned()));
}

#[test]
fn what_is_no_list_changes_nothing_and_is_named_once() {
    let answer = |head: &str, body: &str| {
        let length = body.len();
        format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
    };
    let json = "200 OK\r\ncontent-type: application/json";
    let endless = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n[";
    for steps in [
        vec![
            Step::Read,
            Step::Write(answer(json, "{\"data\":[],\"models\":[]}")),
        ],
        vec![Step::Read, Step::Write(answer(json, "{\"data\""))],
        vec![
            Step::Read,
            Step::Write(answer("200 OK\r\ncontent-type: text/html", "{}")),
        ],
        vec![
            Step::Read,
            Step::Write(answer("500 No\r\ncontent-type: application/json", "{}")),
        ],
        vec![
            Step::Read,
            Step::Write(answer(
                "302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-type: application/json",
                "{}",
            )),
        ],
        vec![Step::Read, Step::Close],
        vec![
            Step::Read,
            Step::Write(endless.into()),
            Step::Flood(vec![b' '; 65_536]),
        ],
    ] {
        let odd = ScriptedUpstream::start(steps);
        let fal = Emulated::start();
        let setup = reading(&fal)
            .set("fal.platform_url", &odd.url())
            .set("models.openrouter_url", &odd.url());
        let (process, address) = Process::serving(&setup);
        for whose in ["fal's", "OpenRouter's"] {
            process.until_line(&format!("{whose} public list of models could not be read"));
        }
        let mut raw = process.connect(address);
        raw.send(&Call::get("/v1/models").to_bytes());
        assert!(ids(&raw.answer().json()).contains(&"openai/gpt-4o".to_owned()));
        let log = process.log();
        assert_eq!(log.matches("could not be read").count(), 2, "{log}");
    }
}

#[test]
fn a_cache_that_is_something_else_is_left_alone() {
    let fal = Emulated::start();
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("precious.txt");
    fs::write(&cache, "something else").unwrap();
    let setup = reading(&fal).set("models.cache", &cache.display().to_string());
    let (process, _) = Process::serving(&setup);
    process.until_line("models.cache names a file that holds no lists of models");
    process.until_line("models.cache names a file that holds something else");
    assert_eq!(fs::read_to_string(&cache).unwrap(), "something else");
}

#[test]
fn what_vanished_is_served_still_and_what_is_hidden_stays_hidden() {
    let models = [
        "openai/gpt-4o-mini",
        "a/one",
        "b/two",
        "c/three",
        "d/four",
        "acme/secret",
    ];
    let entry = |id: &&str| {
        json!({
            "id": id, "context_length": 9,
            "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
            "pricing": {"prompt": "0", "completion": "0"}, "supported_parameters": [],
        })
    };
    let both = json!({
        "data": models.iter().map(entry).collect::<Vec<_>>(),
        "models": [{"openapi": {"components": {"schemas": {
            "Input": {"properties": {"model": {"enum": models}}},
        }}}}],
    })
    .to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ";
    let answer = format!("{head}{}\r\n\r\n{both}", both.len());
    let lists = ScriptedUpstream::start(vec![Step::Serve(answer.into_bytes())]);
    let fal = Emulated::start();
    let gateway = reading(&fal)
        .set("fal.platform_url", &lists.url())
        .set("models.openrouter_url", &lists.url())
        .set("models.hide", "acme/secret")
        .start();
    until("the new list", || {
        listed(&gateway).contains(&"a/one".to_owned()).then_some(())
    });
    let now = listed(&gateway);
    assert!(!now.contains(&"openai/gpt-4o".to_owned()), "{now:?}");
    assert!(!now.iter().any(|id| id.contains("secret")), "{now:?}");
    let asked = |model: &str| {
        let messages = json!([{"role": "user", "content": "echo hi"}]);
        gateway
            .ask(&json!({"model": model, "messages": messages}))
            .status
    };
    assert_eq!(asked("openai/gpt-4o"), 200);
    assert_eq!(asked("gpt-4o"), 200);
    assert_eq!(asked("acme/secret"), 404);
}

#[test]
fn the_balance_is_a_metric_where_fal_tells_it() {
    let fal = Emulated::with(Options {
        admin_key: Some("admin:planted".to_owned()),
        ..Options::default()
    });
    const METRIC: &str = "fal_gateway_fal_balance_dollars";
    let telling = reading(&fal).set("fal.admin_key", "admin:planted").start();
    telling.until_metric(METRIC, 42.5);
    let refused = reading(&fal).set("fal.admin_key", "other:key").start();
    let plain = reading(&fal).start();
    until("the refusal", || {
        let asked = fal.requests(0);
        let refusals = asked.iter().filter(|request| request["status"] == 403);
        (refusals.count() > 0).then_some(())
    });
    for gateway in [refused, plain] {
        assert!(!gateway.get("/metrics").text().contains(METRIC));
        assert_eq!(gateway.ask(&question("echo hi", false)).status, 200);
    }
}
