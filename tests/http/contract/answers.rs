//! Whatever the gateway says fits its description: whole, streamed, refused, failed.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use fal_gateway::emulator::ERROR_KINDS;
use serde_json::{Value, json};

use crate::contract::description::Judge;
use crate::contract::yaml;
use crate::harness::{Answer, Gateway, asking, send, with};
use crate::support::FAL_KEY;

const CHAT: &str = "/v1/chat/completions";
const COMPLETIONS: &str = "/v1/completions";
const RESPONSES: &str = "/v1/responses";
const MESSAGES: &str = "/v1/messages";

/// fal's limits, short enough to be met.
const IMPATIENT: &str = "[fal]\nfirst_byte_timeout = \"300ms\"\nidle_timeout = \"300ms\"\n";

#[track_caller]
fn code(answer: &Answer) -> String {
    answer.json()["error"]["code"].as_str().unwrap().to_owned()
}

fn streamed(request: &Value) -> Value {
    with(request.clone(), json!({"stream": true}))
}

/// Everything that a request can look like and still be answered.
fn good_requests() -> Vec<Value> {
    let image = "data:image/png;base64,iVBORw0KGgo=";
    let history = json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "name": "ada", "content": [{"type": "text", "text": "Hello"}, {"type": "text", "text": "there"}]},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "seen"},
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": "echo well"},
    ]);
    vec![
        asking("echo hi"),
        asking("unicode"),
        asking("long 40"),
        asking("/emulate empty"),
        with(asking("reason"), json!({"reasoning_effort": "high"})),
        with(
            asking("reason"),
            json!({"reasoning": {"enabled": true, "exclude": true}}),
        ),
        with(asking("echo abcdef"), json!({"stop": ["cd"], "n": 3})),
        with(asking("long 200"), json!({"max_tokens": 5})),
        with(
            asking("echo hi"),
            json!({"stream_options": {"include_usage": true}}),
        ),
        with(
            asking("echo hi"),
            json!({"top_p": 0.2, "unheard_of": {"a": [1]}, "tools": null}),
        ),
        with(asking("echo hi"), json!({"messages": history})),
        with(
            asking("x"),
            json!({"messages": [
                {"role": "user", "content": "Count"},
                {"role": "assistant", "content": "one, two,"},
            ]}),
        ),
        with(
            asking("x"),
            json!({"model": "gpt-4o", "messages": [{"role": "user", "content": [
                {"type": "text", "text": "describe"},
                {"type": "image_url", "image_url": {"url": image, "detail": "low"}},
            ]}]}),
        ),
        json!({"messages": [{"role": "user", "content": "the default model"}]}),
        with(
            asking("x"),
            json!({"messages": [{"role": "user", "content": [
                {"type": "text", "text": "echo what is in it?"},
                {"type": "file", "file": {"file_data": "data:text/plain;base64,aGk=", "filename": "a.txt"}},
            ]}]}),
        ),
    ]
}

/// The same of the older API.
fn good_prompts() -> Vec<Value> {
    vec![
        json!({"prompt": "echo hi"}),
        json!({"prompt": ["echo hi"], "model": "gpt-4o-mini", "echo": true, "n": 2}),
        json!({"prompt": "echo abcdef", "stop": "cd", "suffix": "", "best_of": 1}),
        json!({"prompt": "reason", "reasoning_effort": "high", "max_tokens": 900}),
        json!({"prompt": "echo hi", "stream_options": {"include_usage": true}, "top_p": 0.1}),
    ]
}

/// The same of the newer API.
fn good_inputs() -> Vec<Value> {
    let look = json!({"type": "function", "name": "look", "parameters": {"type": "object"}});
    let history = json!([
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "input_text", "text": "Look"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": null},
    ]);
    vec![
        json!({"input": "echo hi"}),
        json!({"input": "long 40", "instructions": "Be kind.", "metadata": {"a": "b"}}),
        json!({"input": "/emulate empty", "tools": null, "unheard_of": 1}),
        json!({"input": "reason", "reasoning": {"effort": "high", "summary": "auto"}}),
        json!({"input": "long 200", "max_output_tokens": 5}),
        json!({"input": history, "tools": [look, {"type": "web_search"}], "tool_choice": "none"}),
    ]
}

fn good_messages() -> Vec<Value> {
    let saying = |text: &str| json!({"model": "openai/gpt-4o-mini", "max_tokens": 2000, "messages": [{"role": "user", "content": text}]});
    let look = json!({"name": "look", "input_schema": {"type": "object"}});
    vec![
        saying("echo hi"),
        saying("/emulate empty"),
        with(saying("long 200"), json!({"max_tokens": 5})),
        with(
            saying("echo abcdef"),
            json!({"stop_sequences": ["cd"], "system": "Be brief."}),
        ),
        with(
            saying("reason"),
            json!({"thinking": {"type": "enabled", "budget_tokens": 1024}}),
        ),
        with(
            saying("Look"),
            json!({"tools": [look], "tool_choice": {"type": "any"}}),
        ),
    ]
}

#[actix_web::test]
async fn answers_fit_whole_and_streamed() {
    let judge = Judge::new();
    for settings in [
        "",
        "[usage]\nalways_stream = true\n",
        "[compat]\nnotes_in_body = true\nreasoning_field = \"reasoning\"\n",
        "[limits]\nmax_tokens = 5000\nmax_prompt_chars = 300\noverflow = \"shift\"\n",
    ] {
        let world = Gateway::open(settings);
        for request in good_requests() {
            assert_eq!(
                judge.schema_faults("ChatCompletionRequest", &request),
                [""; 0],
                "{request}"
            );
            for request in [request.clone(), streamed(&request)] {
                let answer = send(world.chat(&request)).await;
                assert_eq!(answer.status, 200, "{request}: {:?}", answer.body);
                judge.judge("POST", CHAT, &answer);
            }
        }
        for request in good_prompts() {
            let faults = judge.schema_faults("CompletionRequest", &request);
            assert!(faults.is_empty(), "{request}: {faults:?}");
            for request in [request.clone(), streamed(&request)] {
                let answer = send(world.post(COMPLETIONS, &request)).await;
                assert_eq!(answer.status, 200, "{request}: {:?}", answer.body);
                judge.judge("POST", COMPLETIONS, &answer);
            }
        }
        for request in good_inputs() {
            let faults = judge.schema_faults("ResponseRequest", &request);
            assert!(faults.is_empty(), "{request}: {faults:?}");
            for request in [request.clone(), streamed(&request)] {
                let answer = send(world.post(RESPONSES, &request)).await;
                assert_eq!(answer.status, 200, "{request}: {:?}", answer.body);
                judge.judge("POST", RESPONSES, &answer);
            }
        }
        for request in good_messages() {
            let faults = judge.schema_faults("MessageRequest", &request);
            assert!(faults.is_empty(), "{request}: {faults:?}");
            for request in [request.clone(), streamed(&request)] {
                let answer = send(world.post(MESSAGES, &request)).await;
                assert_eq!(answer.status, 200, "{request}: {:?}", answer.body);
                judge.judge("POST", MESSAGES, &answer);
            }
        }
        what_fal_was_asked_fits_its_description(&world).await;
    }
}

/// The other side of the same requests.
async fn what_fal_was_asked_fits_its_description(world: &Gateway) {
    let fal = Judge::of(yaml("openapi/fal/any-llm.yaml"));
    let described = fal.operations();
    let asked = world.asked().await;
    assert!(asked.len() > 20);
    for (path, input) in asked {
        assert!(
            described.contains(&("POST".to_owned(), path.clone())),
            "{path}"
        );
        let schema = match path.contains("/vision") {
            true => "AnyLlmVisionInput",
            false => "AnyLlmInput",
        };
        assert_eq!(fal.schema_faults(schema, &input), [""; 0], "{input}");
    }
}

#[actix_web::test]
async fn the_examples_of_the_description_are_answered() {
    let world = Gateway::open("");
    let judge = Judge::new();
    let document = crate::contract::description::document();
    for (path, schema) in [
        (CHAT, "ChatCompletionRequest"),
        (COMPLETIONS, "CompletionRequest"),
        (RESPONSES, "ResponseRequest"),
    ] {
        let body = &document["paths"][path]["post"]["requestBody"];
        let examples = &body["content"]["application/json"]["examples"];
        for example in examples.as_object().unwrap().values() {
            let request = &example["value"];
            assert_eq!(judge.schema_faults(schema, request), [""; 0]);
            let answer = send(world.post(path, request)).await;
            assert_eq!(answer.status, 200);
            judge.judge("POST", path, &answer);
        }
    }
}

#[actix_web::test]
async fn notes_and_explanations_come_where_a_header_asks_for_them() {
    let world = Gateway::open("");
    let judge = Judge::new();
    let prompt = json!({"prompt": "echo hi", "top_p": 0.1});
    let chat = with(asking("echo hi"), json!({"top_p": 0.1}));
    for (path, request) in [(CHAT, chat), (COMPLETIONS, prompt)] {
        for request in [request.clone(), streamed(&request)] {
            let noted = world.post(path, &request).header("x-gateway-notes", "body");
            let noted = send(noted).await;
            judge.judge("POST", path, &noted);
            let text = String::from_utf8(noted.body.to_vec()).unwrap();
            assert_eq!(text.matches("\"ignored\":[\"top_p\"]").count(), 1, "{text}");
        }
        let asked = world.asked().await.len();
        let explained = world
            .post(path, &request)
            .header("x-gateway-explain", "true");
        let explained = send(explained).await;
        judge.judge("POST", path, &explained);
        assert_eq!(explained.json()["object"], "gateway.explanation");
        assert_eq!(world.asked().await.len(), asked);
    }
}

/// The headers are gone by then; only the body can still say it.
#[actix_web::test]
async fn the_last_chunk_notes_what_was_mended_after_the_first_text() {
    let world = Gateway::open("");
    let judge = Judge::new();
    let weather = json!({"type": "function", "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }});
    for (slip, mended) in [
        ("tool:trailing", "trailing-comma"),
        ("tool:nokey", "tool-without-key"),
        ("tool:parameters", "tool-member"),
        ("tool:unknown", "reask"),
    ] {
        let text = format!("How is the weather in Paris? /emulate {slip} gap:20ms");
        let request = with(asking(text.as_str()), json!({"tools": [weather]}));
        let noted = world
            .chat(&streamed(&request))
            .header("x-gateway-notes", "body");
        let noted = send(noted).await;
        judge.judge("POST", CHAT, &noted);
        assert_eq!(noted.header("x-gateway-emulated"), Some("tools"));
        let text = String::from_utf8(noted.body.to_vec()).unwrap();
        let events = text.lines().filter_map(|line| line.strip_prefix("data: {"));
        let notes = events.filter_map(|event| {
            let event: Value = serde_json::from_str(&format!("{{{event}")).unwrap();
            event.get("gateway").map(|notes| notes["emulated"].clone())
        });
        let notes: Vec<Value> = notes.collect();
        assert_eq!(notes, [json!(["tools"]), json!(["tools", mended])]);
    }
}

#[actix_web::test]
async fn images_that_were_uploaded_and_tokens_that_were_counted_are_noted() {
    let world = Gateway::open("[images]\nupload_threshold = \"1\"\n[usage]\ncount = \"exact\"\n");
    let judge = Judge::new();
    let seeing = good_requests();
    let seeing = seeing.iter().find(|request| request["model"] == "gpt-4o");
    // A busy machine may not have loaded the dictionary in time for the first counts.
    for attempt in 1.. {
        let answer = send(world.chat(seeing.unwrap())).await;
        judge.judge("POST", CHAT, &answer);
        assert_eq!(answer.header("x-gateway-emulated"), Some("image_upload"));
        match answer.header("x-gateway-usage") {
            Some("counted; o200k_base") => return,
            source => assert!(attempt < 20 && source == Some("estimated"), "{source:?}"),
        }
    }
}

#[actix_web::test]
async fn endpoints_that_are_not_offered_say_what_to_use_instead() {
    let world = Gateway::open("");
    let judge = Judge::new();
    for path in ["/v1/embeddings", "/v1/files/file-1"] {
        for method in ["GET", "POST"] {
            let answer = send(world.request(method, path)).await;
            assert_eq!(answer.status, 404);
            assert_eq!(
                judge.schema_faults("ErrorResponse", &answer.json()),
                [""; 0]
            );
            assert_eq!(code(&answer), "unsupported_endpoint");
        }
    }
}

#[actix_web::test]
async fn whatever_fal_refuses_becomes_a_described_error() {
    let world = Gateway::open(IMPATIENT);
    let judge = Judge::new();
    for kind in ERROR_KINDS {
        let request = asking(format!("/emulate error:{}", kind.name));
        for request in [request.clone(), streamed(&request)] {
            let answer = send(world.chat(&request)).await;
            assert!(answer.status >= 400, "{}: {}", kind.name, answer.status);
            judge.judge("POST", CHAT, &answer);
        }
    }
}

#[actix_web::test]
async fn whatever_breaks_an_answer_becomes_a_described_ending() {
    let world = Gateway::open(IMPATIENT);
    let judge = Judge::new();
    for words in [
        "hang",
        "stall:0",
        "stall:3",
        "drop:0",
        "drop:3",
        "eof:3",
        "garbage:3",
        "badutf8:3",
        "error_event:3",
        "nofinal",
        "rewrite",
        "null_output",
        "error200",
        "html",
        "status:418",
        "status:204",
        "flood:5",
        "error:rate_limit retry_after:7",
    ] {
        let text = format!("long 30 /emulate size:5 {words}");
        let (chat, input) = (asking(text.as_str()), json!({"input": text}));
        for (path, request) in [(CHAT, chat), (RESPONSES, input)] {
            for request in [request.clone(), streamed(&request)] {
                let answer = send(world.post(path, &request)).await;
                judge.judge("POST", path, &answer);
            }
        }
    }
}

/// Status, code and `x-should-retry` of each way in which fal fails, as `docs/streaming.md` lists them.
#[actix_web::test]
async fn fals_failures_have_the_statuses_and_codes_that_are_written() {
    let world = Gateway::open(IMPATIENT);
    for (words, status, code, should_retry) in [
        ("error:rate_limit", 429, "rate_limit_exceeded", None),
        ("error:no_balance", 429, "insufficient_quota", Some("false")),
        ("error:model_unknown", 404, "model_not_found", None),
        (
            "error:prompt_too_long",
            400,
            "context_length_exceeded",
            None,
        ),
        (
            "error:content_policy",
            400,
            "content_policy_violation",
            None,
        ),
        ("error:image_download", 400, "invalid_image_url", None),
        ("error:bad_request", 400, "upstream_rejected", None),
        (
            "error:key_unknown",
            400,
            "upstream_auth_failed",
            Some("false"),
        ),
        (
            "error:app_unknown",
            400,
            "upstream_not_found",
            Some("false"),
        ),
        ("error:crash_500", 502, "upstream_error", None),
        ("error:runner_503", 503, "upstream_unavailable", None),
        ("error:timeout_504", 504, "upstream_timeout", None),
        (
            "error:html_200",
            400,
            "upstream_invalid_response",
            Some("false"),
        ),
        ("error200", 400, "upstream_error", Some("false")),
        ("hang", 400, "upstream_timeout", Some("false")),
        ("drop:0", 400, "upstream_disconnected", Some("false")),
    ] {
        let answer = send(world.chat(&asking(format!("/emulate {words}")))).await;
        let seen = (answer.status, self::code(&answer));
        assert_eq!(seen, (status, code.to_owned()), "{words}");
        assert_eq!(answer.header("x-should-retry"), should_retry, "{words}");
        let has_id = answer.header("x-fal-request-id").is_some();
        let came_with_one = !matches!(words, "hang" | "error:html_200");
        assert_eq!(has_id, came_with_one, "{words}: fal's id of the request");
    }
    let unreachable = Gateway::open("[fal]\nconnect_attempts = 1\n");
    unreachable.fal.stop().await;
    let answer = send(unreachable.chat(&asking("hi"))).await;
    let seen = (answer.status, code(&answer));
    assert_eq!(seen, (502, "upstream_unreachable".to_owned()));
    assert_eq!(answer.header("x-should-retry"), None);
    Judge::new().judge("POST", CHAT, &answer);
}

#[actix_web::test]
async fn the_callers_mistakes_have_the_statuses_and_codes_that_are_written() {
    let world = Gateway::open("[server]\nmax_body = \"2KiB\"\n");
    let judge = Judge::new();
    let ask = |body: &Value| world.chat(body);
    let raw = |body: &'static str| {
        world
            .request("POST", CHAT)
            .header("content-type", "application/json")
            .body(body)
    };
    let cases = [
        (raw("{\"model\": "), 400, "invalid_json"),
        (raw("[]"), 400, "invalid_json"),
        (
            raw(r#"{"messages": [], "messages": []}"#),
            400,
            "invalid_value",
        ),
        (raw("{}"), 400, "missing_required_parameter"),
        (
            ask(&with(asking("x"), json!({"temperature": 3}))),
            400,
            "invalid_value",
        ),
        (
            ask(&with(asking("x"), json!({"n": 100}))),
            400,
            "unsupported_value",
        ),
        (
            ask(&with(asking("x"), json!({"logprobs": true}))),
            400,
            "unsupported_parameter",
        ),
        (
            ask(&with(asking("x"), json!({"model": "gpt-4-turbo"}))),
            404,
            "model_not_found",
        ),
        (
            ask(&asking("x")).header("x-fal-priority", "fast"),
            400,
            "invalid_value",
        ),
        (
            ask(&with(asking("x"), json!({"seed": 1}))).header("x-gateway-strict", "true"),
            400,
            "unsupported_parameter",
        ),
        (
            ask(&asking("x")).header("host", "evil.example"),
            403,
            "forbidden_host",
        ),
        (
            ask(&asking("x")).header("origin", "https://evil.example"),
            403,
            "forbidden_host",
        ),
        (ask(&asking("long ".repeat(500))), 413, "request_too_large"),
        (
            world.request("POST", CHAT).body("hello"),
            415,
            "unsupported_media_type",
        ),
        (
            raw("{}").header("content-encoding", "gzip"),
            415,
            "unsupported_media_type",
        ),
    ];
    for (request, status, code) in cases {
        let answer = send(request).await;
        judge.judge("POST", CHAT, &answer);
        assert_eq!(
            (answer.status, self::code(&answer)),
            (status, code.to_owned())
        );
        assert_eq!(answer.header("x-should-retry"), None, "{code}");
    }
}

#[actix_web::test]
async fn keys_are_asked_for_where_the_description_says_so() {
    let judge = Judge::new();
    let keyed = Gateway::keyed("", "sk-alice");
    let pass_through = Gateway::pass_through("");
    for (world, good) in [
        (&keyed, "Bearer sk-alice"),
        (&pass_through, &format!("Key {FAL_KEY}")),
    ] {
        for (key, status) in [
            (None, 401),
            (Some("Bearer wrong:key"), 401),
            (Some("Basic eDp5"), 401),
            (Some(good), 200),
        ] {
            let request = world.chat(&asking("echo hi"));
            let request = match key {
                Some(key) => request.header("authorization", key),
                None => request,
            };
            let answer = send(request).await;
            assert_eq!(answer.status, status, "{key:?}");
            judge.judge("POST", CHAT, &answer);
        }
    }
    for path in ["/v1/models", "/v1/models/gpt-4o"] {
        let described = path.replace("gpt-4o", "{id}");
        for (world, status) in [(&keyed, 401), (&pass_through, 200)] {
            let answer = world.get(path).await;
            assert_eq!(answer.status, status, "{path}");
            judge.judge("GET", &described, &answer);
        }
    }
}

#[actix_web::test]
async fn models_fit_by_id_alias_and_escaped_slash() {
    let world = Gateway::open("[models]\nadd = [{ id = \"acme/own\", vision = true }]\n");
    let judge = Judge::new();
    let list = world.get("/v1/models").await;
    judge.judge("GET", "/v1/models", &list);
    let list = list.json();
    for model in list["data"].as_array().unwrap() {
        let id = model["id"].as_str().unwrap();
        for id in [id.to_owned(), id.replace('/', "%2F")] {
            let answer = world.get(&format!("/v1/models/{id}")).await;
            assert_eq!(answer.status, 200, "{id}");
            judge.judge("GET", "/v1/models/{id}", &answer);
            assert_eq!(answer.json(), *model);
        }
    }
    let unknown = world.get("/v1/models/gpt-4o-minni").await;
    judge.judge("GET", "/v1/models/{id}", &unknown);
    assert!(
        unknown.json()["error"]["message"]
            .to_string()
            .contains("openai/gpt-4o-mini")
    );
}

#[actix_web::test]
async fn metrics_are_described_with_and_without_the_admin_key() {
    let judge = Judge::new();
    let hash = fal_gateway::config::KeyHash::of("sk-admin").to_string();
    let guarded = Gateway::open(&format!("[auth]\nadmin_key = \"{hash}\"\n"));
    let answer = guarded.get("/metrics").await;
    assert_eq!(answer.status, 401);
    judge.judge("GET", "/metrics", &answer);
    let request = guarded.request("GET", "/metrics").bearer_auth("sk-admin");
    let answer = send(request).await;
    assert_eq!(answer.status, 200);
    judge.judge("GET", "/metrics", &answer);
    let without = Gateway::open("[metrics]\nenabled = false\n");
    let answer = without.get("/metrics").await;
    assert_eq!(answer.status, 404);
    judge.judge("GET", "/metrics", &answer);
}

/// A client that announces a body and sends none of it.
#[actix_web::test]
async fn a_body_that_does_not_come_is_408() {
    let world = Gateway::open("[server]\nbody_timeout = \"100ms\"\n");
    // Afterwards the server's threads need no help of this one, which is going to block.
    world.get("/livez").await;
    let address = world.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(Judge::new().schema_faults("ErrorResponse", &body), [""; 0]);
    assert_eq!(body["error"]["code"], "request_timeout");
}

#[actix_web::test]
async fn a_full_gateway_and_one_that_stops_say_so() {
    // A call that waits for fal's head, and one that has it and waits for the first words.
    for request in [
        asking("/emulate hang"),
        streamed(&asking("/emulate stall:0")),
    ] {
        let world = Gateway::open("[limits]\nmax_inflight = 1\n[server]\ndrain_timeout = \"1s\"\n");
        let judge = Judge::new();
        let hanging = actix_web::rt::spawn(send(world.chat(&request)));
        let reaches_fal = async {
            while world.asked().await.is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let patience = Duration::from_secs(20);
        tokio::time::timeout(patience, reaches_fal).await.unwrap();
        let full = world.get("/v1/models").await;
        judge.judge("GET", "/v1/models", &full);
        assert_eq!(code(&full), "overloaded");
        assert_eq!(full.header("retry-after"), Some("1"));
        let stopper = world.stopper.clone();
        let stopping = actix_web::rt::spawn(async move { stopper.stop().await });
        let draining = until(503, || world.get("/readyz")).await;
        judge.judge("GET", "/readyz", &draining);
        assert_eq!(
            draining.json(),
            json!({"status": "draining", "in_flight": 1})
        );
        let refused = send(world.chat(&asking("hi"))).await;
        judge.judge("POST", CHAT, &refused);
        assert_eq!(code(&refused), "shutting_down");
        let alive = world.get("/livez").await;
        judge.judge("GET", "/livez", &alive);
        let cut = hanging.await.unwrap();
        judge.judge("POST", CHAT, &cut);
        assert_eq!((cut.status, code(&cut)), (400, "shutting_down".to_owned()));
        stopping.await.unwrap();
    }
}

/// Asks again until the status comes.
async fn until<F: Future<Output = Answer>>(status: u16, ask: impl Fn() -> F) -> Answer {
    for _ in 0..200 {
        let answer = ask().await;
        if answer.status == status {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the status {status} does not come");
}
