//! What holds whichever upstream is asked: how each fault ends, who is named in the log, and how many
//! images a conversation may have had.

use serde_json::{Value, json};

use crate::support::{Call, Emulated, Process, ScriptedUpstream, Setup, Step, question};

const UPSTREAMS: [&str; 4] = ["any-llm", "router", "router-openai", "auto"];

fn through(setup: Setup, upstream: &str) -> Setup {
    setup.set("fal.upstream", upstream)
}

/// One call, the same code, and nothing that looks like an end, whoever is asked.
#[test]
fn each_fault_ends_alike_through_each_upstream() {
    let fal = Emulated::start();
    for upstream in UPSTREAMS {
        let gateway = through(fal.setup(), upstream)
            .set("fal.max_event", "64KiB")
            .start();
        let hurried = through(fal.setup(), upstream)
            .set("fal.first_byte_timeout", "400ms")
            .set("fal.idle_timeout", "400ms")
            .start();
        for (script, code) in [
            ("hang", "upstream_timeout"),
            ("stall:3 size:3", "upstream_timeout"),
            ("drop:0", "upstream_disconnected"),
            ("drop:3 size:3", "upstream_disconnected"),
            ("eof:3 size:3", "upstream_disconnected"),
            ("garbage:3 size:3", "upstream_invalid_response"),
            ("badutf8:3 size:3", "upstream_invalid_response"),
            ("flood:1", "upstream_invalid_response"),
            ("error_event:3 size:3", "upstream_error"),
            ("error200", "upstream_error"),
            ("error:html_200", "upstream_invalid_response"),
            ("html", "upstream_error"),
            ("error:crash_500", "upstream_error"),
            ("error:rate_limit", "rate_limit_exceeded"),
            ("error:no_balance", "insufficient_quota"),
        ] {
            let before = fal.count();
            let text = format!("/emulate {script}\necho one two three four five six");
            let asked = if code == "upstream_timeout" {
                &hurried
            } else {
                &gateway
            };
            let answer = asked.ask(&question(&text, true)).text();
            assert!(answer.contains(code), "{upstream}, {script}: {answer}");
            assert!(!answer.contains("[DONE]"), "{upstream}, {script}: {answer}");
            assert!(
                !answer.contains("\"finish_reason\":\"stop\""),
                "{upstream}, {script}"
            );
            assert_eq!(fal.count() - before, 1, "{upstream}, {script}");
        }
        let before = fal.count();
        let text = "/emulate size:2 split:1 noise\necho Zo\u{eb} \u{1f388} and more";
        let answer = gateway.ask(&question(text, true));
        assert_eq!(
            answer.streamed_text(),
            "Zo\u{eb} \u{1f388} and more",
            "{upstream}"
        );
        assert_eq!(fal.count() - before, 1, "{upstream}");
    }
}

/// What comes of a request comes of the upstream that was asked last.
#[test]
fn the_log_and_the_counters_name_the_upstream_that_was_asked_in_the_place_of_another() {
    let answer = |status: u16, body: &str| {
        let length = body.len();
        let head = "connection: close\r\ncontent-type: application/json";
        let text = format!(
            "HTTP/1.1 {status} Whatever\r\n{head}\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        vec![Step::Read, Step::Write(text.into_bytes()), Step::Close]
    };
    let fal = ScriptedUpstream::with(move |number| match number {
        0 => answer(404, r#"{"detail":"Application not found"}"#),
        _ => answer(500, r#"{"detail":"Internal Server Error"}"#),
    });
    let (process, address) = Process::serving(&fal.setup());
    let mut raw = process.connect(address);
    raw.send(&Call::chat(&question("hi", false)).to_bytes());
    assert_eq!(raw.answer().status, 502);
    assert_eq!(fal.requests(), 2);
    let line = process.until_requests(1).remove(0).to_string();
    assert!(line.contains(r#""fal.upstream":"router""#), "{line}");
    assert!(line.contains(r#""fal.because":"gone""#), "{line}");
    let mut raw = process.connect(address);
    raw.send(&Call::get("/metrics").to_bytes());
    let metrics = raw.answer().text();
    let counter = r#"fal_gateway_upstreams_total{because="gone",upstream="router"} 1"#;
    assert!(metrics.contains(counter), "{metrics}");
}

const SEES: &str = "google/gemini-2.5-flash";

fn picture(number: usize) -> String {
    format!("https://example.com/{number}.png")
}

/// The history of an agent that has taken so many screenshots, one for each of its steps, as each API
/// takes it.
fn histories(steps: usize) -> [(&'static str, Value); 3] {
    let (mut chat, mut messages, mut input) = (Vec::new(), Vec::new(), Vec::new());
    let begin = json!({ "role": "user", "content": "Look around." });
    chat.push(begin.clone());
    messages.push(begin.clone());
    input.push(begin);
    for step in 0..steps {
        let (id, url) = (format!("call_{step}"), picture(step));
        chat.push(
            json!({ "role": "assistant", "content": null, "tool_calls": [{
            "id": id, "type": "function", "function": { "name": "look", "arguments": "{}" },
        }] }),
        );
        chat.push(json!({ "role": "tool", "tool_call_id": id, "content": "a picture" }));
        chat.push(json!({ "role": "user", "content": [{ "type": "image_url", "image_url": { "url": url } }] }));
        messages.push(json!({ "role": "assistant", "content": [
            { "type": "tool_use", "id": id, "name": "look", "input": {} },
        ] }));
        messages.push(json!({ "role": "user", "content": [{ "type": "tool_result", "tool_use_id": id, "content": [
            { "type": "image", "source": { "type": "url", "url": url } },
        ] }] }));
        input.push(
            json!({ "type": "function_call", "call_id": id, "name": "look", "arguments": "{}" }),
        );
        input.push(
            json!({ "type": "function_call_output", "call_id": id, "output": [
            { "type": "input_image", "image_url": url },
        ] }),
        );
    }
    [
        (
            "/v1/chat/completions",
            json!({ "model": SEES, "messages": chat }),
        ),
        (
            "/v1/messages",
            json!({ "model": SEES, "max_tokens": 100, "messages": messages }),
        ),
        (
            "/v1/responses",
            json!({ "model": SEES, "store": false, "input": input }),
        ),
    ]
}

fn post(path: &str, body: &Value) -> Call {
    let call = Call::new("POST", path).header("content-type", "application/json");
    call.body(body.to_string())
}

/// The pictures that fal was sent in its last call, by their numbers.
fn shown(fal: &Emulated, call: usize) -> Vec<usize> {
    let body = fal.requests(call).pop().unwrap()["body"].to_string();
    let is_shown = |number: &usize| body.contains(&picture(*number));
    (0..100).filter(is_shown).collect()
}

#[test]
fn an_agent_that_has_seen_many_pictures_goes_on() {
    for upstream in UPSTREAMS {
        let fal = Emulated::start();
        let gateway = through(fal.setup(), upstream)
            .set("limits.max_images", "6")
            .start();
        let mut calls = 0;
        for (steps, oldest) in [(6, 0), (7, 3), (9, 3), (10, 6), (40, 36)] {
            for (path, body) in histories(steps) {
                let answer = gateway.call(&post(path, &body));
                assert_eq!(answer.status, 200, "{upstream}, {path}: {}", answer.text());
                calls += 1;
                let kept: Vec<usize> = (oldest..steps).collect();
                assert_eq!(shown(&fal, calls), kept, "{upstream}, {path}, {steps}");
                let ignored = answer.header("x-gateway-ignored").unwrap_or_default();
                assert_eq!(ignored.contains("image"), oldest > 0, "{path}: {ignored}");
            }
        }
    }
}

#[test]
fn pictures_that_are_asked_about_are_never_left_out() {
    let fal = Emulated::start();
    let gateway = fal.setup().set("limits.max_images", "8").start();
    let [(path, mut body), ..] = histories(7);
    let asked =
        (50..58).map(|at| json!({ "type": "image_url", "image_url": { "url": picture(at) } }));
    let asked = json!({ "role": "user", "content": asked.collect::<Vec<_>>() });
    let messages = body["messages"].as_array_mut().unwrap();
    messages.push(json!({ "role": "assistant", "content": "I see." }));
    messages.push(asked);
    assert_eq!(gateway.call(&post(path, &body)).status, 200);
    assert_eq!(shown(&fal, 1), (50..58).collect::<Vec<_>>());
    // One more at once is one too many, and its place is named.
    let more = json!({ "type": "image_url", "image_url": { "url": picture(58) } });
    let last = body["messages"].as_array_mut().unwrap().last_mut().unwrap();
    last["content"].as_array_mut().unwrap().push(more);
    let answer = gateway.call(&post(path, &body));
    assert_eq!(
        answer.verdict(),
        "400 invalid_request_error invalid_image_url"
    );
    assert_eq!(fal.count(), 1);
}

#[test]
fn whoever_wants_it_refuses_what_is_too_much() {
    let fal = Emulated::start();
    let gateway = fal
        .setup()
        .set("limits.max_images", "8")
        .set("images.excess", "refuse")
        .start();
    for (path, body) in histories(9) {
        assert_eq!(gateway.call(&post(path, &body)).status, 400, "{path}");
    }
    // A caller who wants nothing left out in silence is told so.
    let gateway = fal.setup().set("limits.max_images", "8").start();
    let [(path, body), ..] = histories(9);
    let answer = gateway.call(&post(path, &body).header("x-gateway-strict", "true"));
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(fal.count(), 0);
}

/// Pictures in the request itself are no text, whether they are shown or left out.
#[test]
fn pictures_that_are_left_out_are_no_text() {
    let fal = Emulated::start();
    let setup = fal.setup().set("limits.max_images", "6");
    let gateway = setup.set("limits.max_text", "32KiB").start();
    let [chat, _, responses] = histories(12);
    for (path, body) in [chat, responses] {
        let mut body = body.to_string();
        for number in (0..12).rev() {
            let data = format!("data:image/png;base64,{}", "A".repeat(16 * 1024));
            body = body.replace(&picture(number), &data);
        }
        let call = Call::new("POST", path).header("content-type", "application/json");
        let answer = gateway.call(&call.body(body));
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert!(
            answer
                .header("x-gateway-ignored")
                .unwrap()
                .contains("image")
        );
    }
}

/// A turn that only thought answers nothing, so what came before it was not answered either.
#[test]
fn a_turn_of_thoughts_alone_lets_no_more_pictures_through() {
    let fal = Emulated::start();
    let gateway = fal.setup().set("limits.max_images", "4").start();
    let image = |number: usize| json!({ "type": "image", "source": { "type": "url", "url": picture(number) } });
    let user = json!({ "role": "user", "content": (0..3).map(image).collect::<Vec<_>>() });
    let thought = json!({ "role": "assistant", "content": [
        { "type": "thinking", "thinking": "Hm.", "signature": "c2ln" },
    ] });
    let messages = json!([user, thought, user, thought, user]);
    let body = json!({ "model": SEES, "max_tokens": 100, "messages": messages });
    let answer = gateway.call(&post("/v1/messages", &body));
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(fal.count(), 0);
}
