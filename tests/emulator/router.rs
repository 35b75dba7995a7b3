//! The router's prompt faces: any-llm's prompt, any model, and what it cost.

use fal_gateway::emulator::Options;
use serde_json::{Value, json};

use crate::harness::{Answer, Fal, read_stream, send};

const IMAGE: &str = "data:image/png;base64,aGVsbG8=";
const MODEL: &str = "google/gemini-2.5-flash";

/// A request for a face, with what it requires.
fn input(face: &str, prompt: &str) -> Value {
    let mut input = json!({ "prompt": prompt, "model": MODEL });
    match face.trim_start_matches('/').split('/').next().unwrap() {
        "vision" => input["image_urls"] = json!([IMAGE]),
        "audio" => input["audio_url"] = json!("https://example.com/a.mp3"),
        "video" => input["video_urls"] = json!(["https://example.com/a.mp4"]),
        _ => {}
    }
    input
}

const FACES: [&str; 6] = [
    "",
    "/enterprise",
    "/vision",
    "/audio",
    "/video",
    "/video/enterprise",
];

async fn ask(fal: &Fal, face: &str, input: &Value) -> Answer {
    send(fal.post(&format!("/openrouter/router{face}"), input)).await
}

async fn events(fal: &Fal, face: &str, input: &Value) -> Vec<Value> {
    let path = format!("/openrouter/router{face}/stream");
    read_stream(fal.post(&path, input)).await.events()
}

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[tokio::test]
async fn every_face_answers_and_tells_what_it_cost() {
    let fal = Fal::start().await;
    for face in FACES {
        let answer = ask(&fal, face, &input(face, "echo hello there")).await;
        assert_eq!(answer.status, 200, "{face}: {}", answer.text());
        let answer = answer.json();
        assert_eq!(answer["output"], "hello there");
        let tells_progress = matches!(face, "" | "/enterprise");
        let expected = match tells_progress {
            true => vec!["output", "reasoning", "partial", "error", "usage"],
            false => vec!["output", "usage"],
        };
        assert_eq!(keys(&answer), expected, "{face}");
        let usage = &answer["usage"];
        let count = |field: &str| usage[field].as_u64().unwrap();
        assert_eq!(count("completion_tokens"), 3);
        assert_eq!(count("total_tokens"), count("prompt_tokens") + 3);
        // The list price of this model, in dollars for a million tokens: 0.3 in, 2.5 out.
        let cost = count("prompt_tokens") as f64 * 0.3e-6 + 3.0 * 2.5e-6;
        assert!(
            (usage["cost"].as_f64().unwrap() - cost).abs() < 1e-12,
            "{usage}"
        );
    }
}

#[tokio::test]
async fn streams_grow_and_end_in_the_way_of_their_face() {
    let fal = Fal::start().await;
    for face in FACES {
        let events = events(&fal, face, &input(face, "echo one two three four")).await;
        let (last, before) = events.split_last().unwrap();
        assert!(before.len() > 3);
        let mut so_far = "";
        for event in before {
            let output = event["output"].as_str().unwrap();
            assert!(output.starts_with(so_far), "{event}");
            so_far = output;
            assert!(event["usage"].is_null());
            let tells_progress = matches!(face, "" | "/enterprise");
            assert_eq!(
                event.get("partial"),
                tells_progress.then_some(&json!(true)),
                "{face}"
            );
        }
        assert_eq!(
            (so_far, &last["output"]),
            ("one two three four", &json!(so_far))
        );
        assert!(last["usage"]["cost"].as_f64().unwrap() > 0.0);
        assert_ne!(last.get("partial"), Some(&json!(true)));
    }
}

/// The three signs of an end: a flag, usage, and nothing but the end itself.
#[tokio::test]
async fn the_end_can_be_told_in_each_of_its_forms() {
    let fal = Fal::start().await;
    let each = events(&fal, "", &input("", "echo hello /emulate usage_each")).await;
    let counts: Vec<u64> = each
        .iter()
        .map(|event| event["usage"]["completion_tokens"].as_u64().unwrap())
        .collect();
    assert!(
        counts.is_sorted() && counts.first() < counts.last(),
        "{counts:?}"
    );
    for face in ["", "/vision"] {
        let none = events(
            &fal,
            face,
            &input(face, "echo hello /emulate nousage nonulls"),
        )
        .await;
        assert!(
            none.iter().all(|event| event.get("usage").is_none()),
            "{none:?}"
        );
        let open = events(&fal, face, &input(face, "echo hello /emulate nofinal")).await;
        let last = open.last().unwrap();
        assert!(
            last["usage"].is_null() && last["output"] == "hello",
            "{last}"
        );
    }
}

#[tokio::test]
async fn the_input_is_the_routers() {
    let fal = Fal::start().await;
    let wrong =
        |field: &str| json!([{"type": "missing", "loc": ["body", field], "msg": "Field required"}]);
    for (face, body, field) in [
        ("", json!({"prompt": "x"}), "model"),
        ("", json!({"model": MODEL}), "prompt"),
        (
            "/vision",
            json!({"prompt": "x", "model": MODEL}),
            "image_urls",
        ),
        (
            "/audio",
            json!({"prompt": "x", "model": MODEL}),
            "audio_url",
        ),
        (
            "/video",
            json!({"prompt": "x", "model": MODEL}),
            "video_urls",
        ),
    ] {
        let answer = ask(&fal, face, &body).await;
        assert_eq!(answer.status, 422, "{face}");
        let mut detail = answer.json()["detail"].clone();
        detail[0].as_object_mut().unwrap().shift_remove("input");
        assert_eq!(detail, wrong(field), "{face}");
    }
    // `priority` means nothing here, whatever it is; the temperature is 1 unless it is another.
    let mut described = input("", "describe");
    described["priority"] = json!("whatever");
    let answer = ask(&fal, "", &described).await.json();
    let seen: Value = serde_json::from_str(answer["output"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&seen["endpoint"], &seen["temperature"]),
        (&json!("router"), &json!(1.0))
    );
    let one_video =
        json!({"prompt": "describe", "model": MODEL, "video_url": "https://x.example/v"});
    let answer = ask(&fal, "/video", &one_video).await.json();
    assert!(
        answer["output"]
            .as_str()
            .unwrap()
            .contains("https://x.example/v")
    );
}

#[tokio::test]
async fn models_are_any_that_openrouter_lists_and_refuse_what_they_cannot() {
    let fal = Fal::start().await;
    let with = |face: &str, model: &str, field: &str, value: Value| {
        let mut input = input(face, "echo hi");
        input["model"] = json!(model);
        input[field] = value;
        input
    };
    let mandatory = "Reasoning is mandatory and cannot be disabled";
    let images = json!([IMAGE, IMAGE, IMAGE, IMAGE, IMAGE, IMAGE, IMAGE]);
    let cases = [
        (
            "",
            with("", "anthropic/claude-3.5-sonnet", "x", json!(0)),
            400,
            "anthropic/claude-3.5-sonnet is not a valid model ID",
        ),
        (
            "",
            with("", "nobody/knows", "x", json!(0)),
            400,
            "nobody/knows is not a valid model ID",
        ),
        (
            "",
            with("", "openai/gpt-oss-120b", "x", json!(0)),
            400,
            mandatory,
        ),
        (
            "",
            with("", "openai/gpt-oss-120b", "reasoning", json!(false)),
            400,
            mandatory,
        ),
        (
            "/audio",
            with("/audio", "openai/gpt-4o-mini", "x", json!(0)),
            404,
            "No endpoints found that support input audio",
        ),
        (
            "/vision",
            with("/vision", "meta-llama/llama-3.2-1b-instruct", "x", json!(0)),
            404,
            "No endpoints found that support image input",
        ),
        (
            "/vision",
            with("/vision", MODEL, "image_urls", images),
            400,
            "Provider returned error",
        ),
        (
            "",
            with(
                "",
                "meta-llama/llama-3.1-8b-instruct",
                "prompt",
                json!("x".repeat(80_000)),
            ),
            400,
            "maximum context length",
        ),
    ];
    for (face, input, status, words) in cases {
        for path in [face.to_owned(), format!("{face}/stream")] {
            let answer = ask(&fal, &path, &input).await;
            assert_eq!(answer.status, status, "{path}: {}", answer.text());
            let detail = answer.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(words), "{detail}");
        }
    }
    let thinking = with("", "openai/gpt-oss-120b", "reasoning", json!(true));
    let answer = ask(&fal, "", &thinking).await.json();
    assert!(!answer["reasoning"].as_str().unwrap().is_empty());
    assert_eq!(
        ask(
            &fal,
            "",
            &with("", "openai/gpt-4o-mini:nitro", "x", json!(0))
        )
        .await
        .status,
        200
    );
}

#[tokio::test]
async fn the_same_words_make_it_misbehave() {
    let fal = Fal::start().await;
    for (word, status) in [
        ("error:no_balance", 403),
        ("error:rate_limit", 429),
        ("error:provider_error", 400),
        ("error:model_invalid", 400),
        ("error:reasoning_mandatory", 400),
        ("error:runner_503", 503),
        ("error:nginx_502", 502),
        ("status:410", 410),
    ] {
        let answer = ask(&fal, "", &input("", &format!("hi /emulate {word}"))).await;
        assert_eq!(answer.status, status, "{word}");
    }
    let failed = events(
        &fal,
        "",
        &input("", "echo one two three /emulate error_event:2"),
    )
    .await;
    assert_eq!((failed.len(), failed[2]["error"].is_string()), (3, true));
    // Nothing in an event about media could say it: the answer merely ends.
    let cut = events(
        &fal,
        "/vision",
        &input("/vision", "echo one two three /emulate error_event:2"),
    )
    .await;
    assert!(cut.len() == 2 && cut[1]["usage"].is_null(), "{cut:?}");
    let dropped = read_stream(fal.post(
        "/openrouter/router/stream",
        &input("", "echo hello /emulate drop:1"),
    ))
    .await;
    assert!(!dropped.clean);
}

#[tokio::test]
async fn keys_and_paths_are_as_everywhere_at_fal() {
    let fal = Fal::start().await;
    let url = |path: &str| format!("{}/openrouter/router{path}", fal.url);
    let bearer = fal.http.post(url("")).bearer_auth("kid:ksecret");
    assert_eq!(
        send(bearer.body(input("", "hi").to_string())).await.status,
        401
    );
    let answer = send(fal.http.post(url("/vision")).body("{}")).await;
    assert_eq!(answer.status, 401);
    assert!(
        answer
            .text()
            .contains(r#"Cannot access application \"openrouter/router/vision\""#)
    );
    assert_eq!(ask(&fal, "/nowhere", &json!({})).await.status, 404);
    assert_eq!(
        fal.get("/openrouter/router/openai/v1/models").await.status,
        404
    );
    assert_eq!(
        ask(&fal, "/vision/enterprise", &json!({})).await.status,
        404
    );
}

#[tokio::test]
async fn a_queued_call_ends_in_the_same_answer() {
    let fal = Fal::start().await;
    for face in ["", "/vision"] {
        let path = format!("/queue/openrouter/router{face}");
        let ticket = send(fal.post(&path, &input(face, "echo queued")))
            .await
            .json();
        let url = ticket["status_url"].as_str().unwrap();
        assert!(url.contains("/queue/openrouter/router/requests/"), "{url}");
        while fal.get(url).await.json()["status"] != "COMPLETED" {}
        let result = fal
            .get(ticket["response_url"].as_str().unwrap())
            .await
            .json();
        assert_eq!(result["output"], "queued");
        assert!(result["usage"]["cost"].is_number());
    }
}

#[tokio::test]
async fn answers_are_tagged_as_any_llms_are() {
    let fal = Fal::with(Options::default()).await;
    let answer = ask(&fal, "", &input("", "Hello!")).await.json();
    assert!(
        answer["output"]
            .as_str()
            .unwrap()
            .starts_with("[fal-gateway emulator")
    );
}
