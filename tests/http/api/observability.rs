//! What an operator sees: probes, counters, ids.

use fal_gateway::api::error::ApiError;
use fal_gateway::api::gateway::Gateway;
use fal_gateway::api::scope::catch_panic;
use fal_gateway::config::{Config, Sources};
use fal_gateway::observe::record::Record;
use fal_gateway::translate::face::Face;
use fal_gateway::translate::face::chat::Chat;
use fal_gateway::translate::problem::ProblemKind;
use serde_json::json;

use crate::support::{Call, Emulated, ScriptedUpstream, Step, question, whole};

#[test]
fn the_probes_say_whether_it_lives_and_takes_requests() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    for path in ["/healthz", "/livez"] {
        let answer = gateway.get(path);
        assert_eq!(answer.json()["status"], "ok");
        assert!(answer.header("x-request-id").is_some());
    }
    assert_eq!(gateway.get("/readyz").json()["status"], "ready");
    for path in ["/healthz", "/livez", "/readyz", "/metrics", "/v1/models"] {
        // A body would come before the end of the connection.
        let mut raw = gateway.open(&Call::new("HEAD", path).header("connection", "close"));
        assert_eq!(raw.head().status, 200, "{path}");
        assert_eq!(raw.rest(), b"", "{path}");
    }
    assert_eq!(fal.count(), 0);
}

#[test]
fn a_draining_gateway_says_so_refuses_new_work_and_finishes_the_old() {
    let fal = ScriptedUpstream::start(vec![Step::Read, Step::Gate(1), Step::Write(whole("hi"))]);
    let gateway = fal.setup().set("server.drain_timeout", "20s").start();
    let mut running = gateway.open(&Call::chat(&question("hi", false)));
    fal.until_requests(1);
    gateway.begin_stop();
    let ready = crate::support::until("draining", || {
        Some(gateway.get("/readyz")).filter(|answer| answer.status == 503)
    });
    assert_eq!(ready.json(), json!({"status": "draining", "in_flight": 1}));
    assert_eq!(gateway.get("/livez").status, 200);
    let refused = gateway.ask(&question("hi", false));
    assert_eq!(refused.verdict(), "503 server_error shutting_down");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("x-should-retry"), None);
    fal.open_gate();
    assert_eq!(running.answer().content(), "hi");
    gateway.finished();
    assert_eq!(fal.requests(), 1);
}

#[test]
fn traffic_shows_in_the_counters() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    gateway.ask(&question("echo hi", false));
    gateway.ask(&question("echo hi", true));
    gateway.ask(&question("echo hi", true));
    gateway.ask(&question("/emulate status:500\nhi", false));
    gateway.ask(&question("/emulate drop:0\nhi", false));
    gateway.ask(&question(
        "/emulate drop:1 gap:20ms size:1\necho abcdef",
        true,
    ));
    let mut unknown = question("echo hi", false);
    unknown["model"] = "made-up/by-a-caller".into();
    assert_eq!(gateway.ask(&unknown).status, 404);
    unknown["model"] = "made-up".into();
    assert_eq!(gateway.ask(&unknown).status, 404);
    gateway.get("/v1/nothing/planted-path");
    gateway.until_metric("fal_gateway_active_requests{route=\"chat\"}", 0.0);

    let page = gateway.get("/metrics").text();
    let chat = |model: &str, status: u16, error: &str, stream: bool| {
        let source = match error {
            "" => "",
            "model_not_found" => "caller",
            _ => "upstream",
        };
        gateway.metric(&format!(
            "fal_gateway_requests_total{{error_source=\"{source}\",error_type=\"{error}\",model=\"{model}\",route=\"chat\",status=\"{status}\",stream=\"{stream}\"}}"
        ))
    };
    let mini = "openai/gpt-4o-mini";
    assert_eq!(chat(mini, 200, "", false), 1.0, "{page}");
    assert_eq!(chat(mini, 200, "", true), 2.0, "{page}");
    assert_eq!(chat(mini, 502, "upstream_error", false), 1.0, "{page}");
    // The status is 400 so that nobody repeats it, and still the failure is fal's.
    let cut = chat(mini, 400, "upstream_disconnected", false);
    assert_eq!(cut, 1.0, "{page}");
    assert_eq!(
        chat(mini, 200, "upstream_disconnected", true),
        1.0,
        "{page}"
    );
    assert_eq!(chat("other", 404, "model_not_found", false), 1.0, "{page}");
    assert_eq!(chat("", 404, "model_not_found", false), 1.0, "{page}");
    for (line, value) in [
        ("fal_gateway_open_streams", 0.0),
        ("fal_gateway_client_disconnects_total", 0.0),
        ("fal_gateway_panics_total", 0.0),
        ("fal_gateway_upstream_errors_total{kind=\"failed\"}", 1.0),
        (
            "fal_gateway_upstream_errors_total{kind=\"disconnected\"}",
            2.0,
        ),
        (
            "fal_gateway_request_duration_seconds_count{route=\"chat\",stream=\"true\"}",
            3.0,
        ),
    ] {
        assert_eq!(gateway.metric(line), value, "{line}\n{page}");
    }
    let first = format!(
        "gen_ai_client_operation_time_to_first_chunk_seconds_count{{gen_ai_provider_name=\"fal\",gen_ai_request_model=\"{mini}\"}}"
    );
    assert_eq!(gateway.metric(&first), 4.0, "{page}");
    let tokens = format!("fal_gateway_tokens_total{{model=\"{mini}\",type=\"output\"}}");
    assert!(gateway.metric(&tokens) >= 3.0, "{page}");
    for planted in ["made-up", "planted", "kid", "ksecret"] {
        assert!(!page.contains(planted), "{planted} in {page}");
    }
}

#[test]
fn a_stream_that_is_being_sent_is_counted_until_its_end() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let prompt = "/emulate stall:2\necho one two three";
    let mut reading = gateway.open(&Call::chat(&question(prompt, true))).stream();
    reading.until("content\":\"");
    assert_eq!(gateway.metric("fal_gateway_open_streams"), 1.0);
    assert_eq!(
        gateway.metric("fal_gateway_active_requests{route=\"chat\"}"),
        1.0
    );
    drop(reading);
    gateway.until_metric("fal_gateway_open_streams", 0.0);
    gateway.until_metric("fal_gateway_client_disconnects_total", 1.0);
}

/// The answer's head has left by then, so all that can be done is to cut it and to count.
#[test]
fn a_bug_inside_a_stream_is_counted_and_not_taken_for_a_client_that_left() {
    let gateway = Gateway::new(Config::load(&Sources::default()).unwrap()).unwrap();
    let metrics = gateway.metrics().clone();
    let streaming = std::thread::spawn(move || {
        let record = Record::start(metrics, "req_1".to_owned(), "chat");
        record.stream_begins();
        panic!("planted-prompt");
    });
    assert!(streaming.join().is_err());
    assert_eq!(gateway.metrics().panics.get(), 1);
    assert_eq!(gateway.metrics().client_disconnects.get(), 0);
    assert_eq!(gateway.metrics().open_streams.get(), 0);
}

/// No request from outside is known to lead to a bug, so this one is planted.
#[tokio::test]
async fn a_bug_in_one_request_is_an_error_of_that_request_and_counted() {
    let gateway = Gateway::new(Config::load(&Sources::default()).unwrap()).unwrap();
    let buggy = async { panic!("planted-prompt") };
    let outcome: Result<(), ApiError> = catch_panic(&gateway, None, buggy).await;
    let error = outcome.unwrap_err();
    let problem = &error.problem;
    assert_eq!(
        (problem.kind, problem.code),
        (ProblemKind::Internal, "internal_error")
    );
    assert_eq!(Chat::problem(problem, "req_1").status, 500);
    assert_eq!(problem.should_retry, Some(false));
    assert!(!problem.message.contains("planted"));
    assert_eq!(gateway.metrics().panics.get(), 1);
    let record = Record::start(gateway.metrics().clone(), "req_1".to_owned(), "chat");
    record.calls_fal();
    let buggy = async { panic!("planted-prompt") };
    let outcome: Result<(), ApiError> = catch_panic(&gateway, Some(&record), buggy).await;
    let error = outcome.unwrap_err();
    let problem = &error.problem;
    assert_eq!(problem.kind, ProblemKind::Final, "fal may have been paid");
    assert_eq!(problem.should_retry, Some(false));
    assert_eq!(Chat::problem(problem, "req_1").status, 400);
    assert!(catch_panic(&gateway, None, async { Ok(()) }).await.is_ok());
}

#[test]
fn the_counters_are_for_this_machine_or_the_admin() {
    let fal = Emulated::start();
    // `printf sk-admin | sha256sum`
    let admin = fal_gateway::config::KeyHash::of("sk-admin").to_string();
    let gateway = fal
        .setup()
        .set("auth.admin_key", &admin)
        .env("FAL_GATEWAY_KEYS", "sk-fg-alice")
        .set("server.listen", "0.0.0.0:0");
    let gateway = gateway.start();
    let at = std::net::SocketAddr::from(([127, 0, 0, 1], gateway.address.port()));
    let get = |key: Option<&str>| {
        let call = Call::get("/metrics");
        let call = match key {
            Some(key) => call.header("authorization", &format!("Bearer {key}")),
            None => call,
        };
        let mut raw = crate::support::Raw::connect(at);
        raw.send(&call.to_bytes());
        raw.answer()
    };
    for key in [None, Some("sk-fg-alice"), Some("wrong"), Some("")] {
        let verdict = "401 invalid_request_error invalid_api_key";
        assert_eq!(get(key).verdict(), verdict, "{key:?}");
    }
    assert_eq!(get(Some("sk-admin")).status, 200);
    let chat = Call::chat(&question("hi", false)).header("authorization", "Bearer sk-admin");
    let mut raw = crate::support::Raw::connect(at);
    raw.send(&chat.to_bytes());
    assert_eq!(raw.answer().status, 401, "the admin key is no client key");
}

#[test]
fn the_counters_can_have_a_listener_of_their_own_or_none() {
    let fal = Emulated::start();
    let gateway = fal.setup().set("metrics.listen", "127.0.0.1:0").start();
    assert_eq!(
        gateway.get("/metrics").verdict(),
        "404 invalid_request_error unknown_url"
    );
    let own = |path: &str| {
        let mut raw = crate::support::Raw::connect(gateway.metrics_address.unwrap());
        raw.send(&Call::get(path).to_bytes());
        raw.answer()
    };
    assert!(own("/metrics").text().contains("fal_gateway_build_info"));
    assert_eq!(
        own("/v1/models").verdict(),
        "404 invalid_request_error unknown_url"
    );

    let off = fal.setup().set("metrics.enabled", "false").start();
    assert_eq!(
        off.get("/metrics").verdict(),
        "404 invalid_request_error unknown_url"
    );
}
