//! Recordings and videos: which upstream gets them in what form, and what happens where none takes
//! them.

use serde_json::{Value, json};

use crate::support::{
    Answer, Call, Emulated, ScriptedUpstream, Setup, Step, TestGateway, question,
};

/// It hears and watches.
const MODEL: &str = "google/gemini-2.5-flash";
/// It does neither.
const DEAF: &str = "openai/gpt-4o-mini";
const NATIVE: &str = "/openrouter/router/openai/v1/chat/completions";
const RECORDING: &str = "UklGRg==";

fn recording() -> Value {
    json!({ "type": "input_audio", "input_audio": { "data": RECORDING, "format": "wav" } })
}

fn video() -> Value {
    json!({ "type": "video_url", "video_url": { "url": "https://example.com/a.mp4" } })
}

fn picture() -> Value {
    json!({ "type": "image_url", "image_url": { "url": "https://example.com/a.png" } })
}

fn asking(model: &str, parts: &[Value], stream: bool) -> Value {
    let mut body = question("", stream);
    let text = json!({ "type": "text", "text": "echo heard" });
    let content: Vec<Value> = std::iter::once(text).chain(parts.to_vec()).collect();
    body["model"] = model.into();
    body["messages"] = json!([{ "role": "user", "content": content }]);
    body
}

fn towards(setup: Setup, upstream: &str) -> TestGateway {
    setup.set("fal.upstream", upstream).start()
}

/// The paths and bodies that a stand-in was sent.
fn sent(fal: &ScriptedUpstream) -> Vec<(String, Value)> {
    let requests = fal.seen().into_iter().flat_map(|seen| seen.requests);
    let read = |request: Vec<u8>| {
        let text = String::from_utf8(request).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let path = head.split(' ').nth(1).unwrap().to_owned();
        (path, serde_json::from_str(body).unwrap())
    };
    requests.map(read).collect()
}

/// A fal that gives these answers, each of a status and a body, one after the other.
fn scripted(answers: Vec<(u16, Value)>) -> ScriptedUpstream {
    ScriptedUpstream::with(move |number| {
        let (status, body) = answers.get(number).or(answers.last()).unwrap();
        let (body, length) = (body.to_string(), body.to_string().len());
        let answer = format!(
            "HTTP/1.1 {status} Whatever\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        );
        vec![Step::Read, Step::Write(answer.into_bytes()), Step::Close]
    })
}

fn said(text: &str) -> Value {
    json!({ "choices": [{ "index": 0, "message": { "content": text }, "finish_reason": "stop" }] })
}

fn is_served(answer: &Answer) {
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn each_upstream_gets_what_is_shown_as_it_takes_it() {
    let url = "data:audio/wav;base64,UklGRg==";
    for stream in [false, true] {
        let end = if stream { "/stream" } else { "" };
        let table = [
            (
                "router",
                recording(),
                format!("/openrouter/router/audio{end}"),
                "/audio_url",
                json!(url),
            ),
            (
                "router",
                video(),
                format!("/openrouter/router/video{end}"),
                "/video_urls/0",
                json!("https://example.com/a.mp4"),
            ),
            (
                "router-openai",
                recording(),
                NATIVE.to_owned(),
                "/messages/0/content/1",
                recording(),
            ),
            (
                "router-openai",
                video(),
                NATIVE.to_owned(),
                "/messages/0/content/1",
                video(),
            ),
            (
                "auto",
                recording(),
                NATIVE.to_owned(),
                "/messages/0/content/1",
                recording(),
            ),
            (
                "auto",
                video(),
                NATIVE.to_owned(),
                "/messages/0/content/1",
                video(),
            ),
        ];
        for (upstream, part, path, pointer, expected) in table {
            let fal = Emulated::start();
            let gateway = towards(fal.setup(), upstream);
            let answer = gateway.ask(&asking(MODEL, std::slice::from_ref(&part), stream));
            is_served(&answer);
            let asked = &fal.requests(1)[0];
            assert_eq!(asked["path"], path, "{upstream}");
            let body = match &asked["body"] {
                Value::String(text) => serde_json::from_str(text).unwrap(),
                body => body.clone(),
            };
            assert_eq!(body.pointer(pointer), Some(&expected), "{upstream}: {body}");
            let word = part["type"].as_str().unwrap().replace("input_", "");
            let word = word.trim_end_matches("_url");
            let told = answer.header("x-gateway-upstream").unwrap();
            let because = format!("because={word}");
            assert_eq!(told.contains(&because), upstream == "auto", "{told}");
        }
    }
}

#[test]
fn what_an_upstream_or_a_model_does_not_take_is_refused_before_a_call() {
    let table = [
        (
            "any-llm",
            MODEL,
            vec![recording()],
            "any-llm takes no audio",
        ),
        ("any-llm", MODEL, vec![video()], "any-llm takes no video"),
        ("router", DEAF, vec![recording()], "takes no audio"),
        ("router-openai", DEAF, vec![recording()], "takes no audio"),
        ("router-openai", DEAF, vec![video()], "takes no video"),
        ("auto", DEAF, vec![recording()], "takes no audio"),
        (
            "router",
            MODEL,
            vec![recording(), recording()],
            "one recording",
        ),
        (
            "router",
            MODEL,
            vec![recording(), picture()],
            "one recording",
        ),
        ("router", MODEL, vec![video(), recording()], "one recording"),
        ("router", MODEL, vec![picture(), video()], "videos alone"),
    ];
    for (upstream, model, parts, words) in table {
        let fal = Emulated::start();
        let gateway = towards(fal.setup(), upstream);
        let is_media = |part: &Value| part["type"] != "image_url";
        let last = parts.iter().rposition(is_media).unwrap() + 1;
        let answer = gateway.ask(&asking(model, &parts, true));
        assert_eq!(
            answer.verdict(),
            "400 invalid_request_error unsupported_value"
        );
        let error = &answer.json()["error"];
        assert_eq!(error["param"], format!("messages[0].content[{last}]"));
        assert!(
            error["message"].as_str().unwrap().contains(words),
            "{error}"
        );
        assert_eq!(fal.count(), 0, "{upstream}: {words}");
    }
}

#[test]
fn messages_hold_all_of_it_together() {
    let fal = Emulated::start();
    for upstream in ["router-openai", "auto"] {
        let gateway = towards(fal.setup(), upstream);
        let parts = [recording(), picture(), video(), recording()];
        is_served(&gateway.ask(&asking(MODEL, &parts, false)));
        let asked = fal.requests(1).pop().unwrap();
        assert_eq!(asked["path"], NATIVE);
    }
}

#[test]
fn a_model_that_fal_alone_knows_may_turn_out_to_take_none() {
    let body = json!({ "error": { "message": "No endpoints found that support input audio", "code": 404 } });
    let detail = json!({ "detail": "No endpoints found that support input audio" });
    for (upstream, refusal) in [("router-openai", body), ("router", detail)] {
        let fal = scripted(vec![(404, refusal)]);
        let gateway = towards(fal.setup(), upstream);
        let answer = gateway.ask(&asking("x/y", &[recording()], false));
        assert_eq!(
            answer.verdict(),
            "400 invalid_request_error unsupported_value"
        );
        assert!(
            answer.text().contains("takes no audio"),
            "{}",
            answer.text()
        );
        assert_eq!(sent(&fal).len(), 1, "{upstream}");
    }
}

#[test]
fn every_call_of_a_request_comes_with_the_recording() {
    // Two choices, of which each is asked again because it is not the JSON that it has to be.
    let fal = scripted(vec![
        (200, said("none")),
        (200, said("none")),
        (200, said("{\"a\": 1}")),
    ]);
    let gateway = towards(fal.setup(), "router-openai");
    let mut body = asking(MODEL, &[recording()], false);
    body["n"] = 2.into();
    body["response_format"] = json!({ "type": "json_schema", "json_schema": { "name": "x", "strict": true, "schema": {
        "type": "object", "properties": { "a": { "type": "integer" } }, "required": ["a"], "additionalProperties": false,
    } } });
    is_served(&gateway.ask(&body));
    let sent = sent(&fal);
    assert_eq!(sent.len(), 4);
    for (_, body) in sent {
        assert_eq!(body["messages"][0]["content"][1], recording(), "{body}");
    }
}

#[test]
fn a_model_without_tools_is_told_of_them_beside_the_recording() {
    let refusal =
        json!({ "error": { "message": "No endpoints found that support tool use.", "code": 404 } });
    let fal = scripted(vec![(404, refusal), (200, said("Hello."))]);
    let gateway = towards(fal.setup(), "router-openai");
    let mut body = asking("x/y", &[recording()], false);
    body["tools"] = json!([{ "type": "function", "function": { "name": "f" } }]);
    is_served(&gateway.ask(&body));
    let sent = sent(&fal);
    let last = &sent.last().unwrap().1;
    assert_eq!((sent.len(), &last["tools"]), (2, &Value::Null));
    let asked = last["messages"].as_array().unwrap().last().unwrap();
    assert_eq!(asked["content"][0]["text"], "echo heard\n[audio 1]");
    assert_eq!(asked["content"][1], recording());
}

#[test]
fn a_substitute_hears_too() {
    let gone = json!({ "error": { "message": "x/y is not a valid model ID", "code": 400 } });
    let fal = scripted(vec![(400, gone), (200, said("Heard."))]);
    let gateway = towards(fal.setup(), "router-openai");
    let mut body = asking("x/y", &[recording()], false);
    body["models"] = json!([DEAF, MODEL]);
    let answer = gateway.ask(&body);
    is_served(&answer);
    assert_eq!(answer.json()["model"], MODEL);
    let sent = sent(&fal);
    let models: Vec<_> = sent.iter().map(|(_, body)| body["model"].clone()).collect();
    assert_eq!(models, ["x/y", MODEL], "the deaf one is passed over");
    assert_eq!(sent[1].1["messages"][0]["content"][1], recording());
}

#[test]
fn large_files_with_an_address_go_to_fals_storage_first() {
    let large = json!({ "type": "video_url", "video_url": { "url": "data:video/mp4;base64,AAAAAAAAAAAAAAAAAAAA" } });
    for (upstream, part, pointer) in [
        (
            "router-openai",
            large.clone(),
            "/messages/0/content/1/video_url/url",
        ),
        ("router", large, "/video_urls/0"),
        ("router", recording(), "/audio_url"),
    ] {
        let fal = Emulated::start();
        let setup = fal
            .setup()
            .set("fal.rest_url", &format!("{}/rest", fal.url()))
            .set("images.upload_threshold", "10");
        let gateway = towards(setup, upstream);
        let answer = gateway.ask(&asking(MODEL, &[part], false));
        is_served(&answer);
        assert_eq!(answer.header("x-gateway-emulated"), Some("media_upload"));
        let asked = fal.requests(1).pop().unwrap();
        let body = match &asked["body"] {
            Value::String(text) => serde_json::from_str(text).unwrap(),
            body => body.clone(),
        };
        let address = body.pointer(pointer).and_then(Value::as_str).unwrap();
        assert!(
            address.starts_with("http") && !address.contains("base64"),
            "{address}"
        );
    }
}

#[test]
fn the_list_of_models_says_which_of_them_take_what() {
    let fal = Emulated::start();
    for (upstream, modality) in [
        ("router-openai", "text+image+audio+video->text"),
        ("any-llm", "text+image->text"),
    ] {
        let gateway = towards(fal.setup(), upstream);
        let model = gateway.get(&format!("/v1/models/{MODEL}")).json();
        assert_eq!(model["architecture"]["modality"], modality, "{upstream}");
    }
}

#[test]
fn an_explanation_shows_what_would_be_sent_and_counts_it() {
    let fal = Emulated::start();
    let gateway = towards(fal.setup(), "auto");
    let explained = |parts: &[Value]| {
        let call = Call::chat(&asking(MODEL, parts, false));
        gateway
            .call(&call.header("x-gateway-explain", "true"))
            .json()
    };
    let (with, without) = (explained(&[video()]), explained(&[]));
    assert_eq!(
        (&with["upstream"], &with["because"]),
        (&json!("router-openai"), &json!("video"))
    );
    let tokens = |explained: &Value| explained["estimated_tokens"]["prompt"].as_u64().unwrap();
    assert!(tokens(&with) > tokens(&without) + 10_000, "{with}");
    assert_eq!(fal.count(), 0);
}

/// A conversation in which a user has sent these earlier, and asks a last thing.
fn after(model: &str, earlier: &[Vec<Value>], question: Vec<Value>) -> Value {
    let text = json!({ "type": "text", "text": "echo heard" });
    let user = |parts: &[Value]| {
        let content: Vec<Value> = std::iter::once(text.clone())
            .chain(parts.to_vec())
            .collect();
        json!({ "role": "user", "content": content })
    };
    let reply = json!({ "role": "assistant", "content": "I hear." });
    let turns = earlier
        .iter()
        .flat_map(|parts| [user(parts), reply.clone()]);
    let messages: Vec<Value> = turns.chain([user(&question)]).collect();
    json!({ "model": model, "messages": messages })
}

/// A conversation in which each message had a recording goes on, as one with pictures does.
#[test]
fn what_earlier_messages_have_shown_ends_no_conversation() {
    let fal = Emulated::start();
    let most = 3;
    let table = [
        // More than a request may hold.
        (
            "router-openai",
            vec![vec![recording()]; most],
            vec![recording()],
            Some("input_audio"),
            most,
        ),
        // More than a prompt has a place for.
        (
            "router",
            vec![vec![recording()]],
            vec![recording()],
            Some("input_audio"),
            1,
        ),
        (
            "router",
            vec![vec![recording()]; 2],
            vec![],
            Some("input_audio"),
            1,
        ),
        (
            "router",
            vec![vec![recording()]],
            vec![picture()],
            Some("input_audio"),
            0,
        ),
        (
            "router",
            vec![vec![picture()]],
            vec![recording()],
            Some("image_url"),
            1,
        ),
        // Any at all.
        (
            "any-llm",
            vec![vec![recording()]],
            vec![],
            Some("input_audio"),
            0,
        ),
        (
            "any-llm",
            vec![vec![video()]],
            vec![picture()],
            Some("video_url"),
            0,
        ),
        // All of it has a place.
        ("router", vec![vec![recording()]], vec![], None, 1),
        ("auto", vec![vec![recording()]], vec![recording()], None, 2),
    ];
    for (upstream, earlier, question, ignored, heard) in table {
        let setup = fal.setup().set("limits.max_images", &most.to_string());
        let gateway = towards(setup, upstream);
        let before = fal.count();
        let answer = gateway.ask(&after(MODEL, &earlier, question));
        is_served(&answer);
        let ignored = ignored.map(|member| format!("messages[].content[].{member}"));
        assert_eq!(
            answer.header("x-gateway-ignored"),
            ignored.as_deref(),
            "{upstream}"
        );
        let call = fal.requests(before + 1).pop().unwrap();
        let body = call["body"].to_string();
        assert_eq!(body.matches(RECORDING).count(), heard, "{upstream}: {body}");
    }
}

#[test]
fn more_at_once_than_a_request_may_hold_is_refused_as_pictures_are() {
    let fal = Emulated::start();
    let gateway = towards(fal.setup().set("limits.max_images", "2"), "router-openai");
    let answer = gateway.ask(&asking(MODEL, &[recording(), video(), recording()], false));
    assert_eq!(answer.verdict(), "400 invalid_request_error invalid_value");
    let setup = fal.setup().set("limits.max_images", "2");
    let strict = towards(setup.set("images.excess", "refuse"), "router-openai");
    let body = after(MODEL, &vec![vec![recording()]; 2], vec![recording()]);
    assert_eq!(
        strict.ask(&body).verdict(),
        "400 invalid_request_error invalid_value"
    );
    assert_eq!(fal.count(), 0);
}

/// A model of which nobody knows that it hears nothing refuses a recording of an earlier message once.
#[test]
fn what_a_model_has_refused_to_hear_is_left_out_from_then_on() {
    let body = json!({ "error": { "message": "No endpoints found that support input audio", "code": 404 } });
    let detail = json!({ "detail": "No endpoints found that support input audio" });
    let output = json!({ "output": "yes", "usage": { "prompt_tokens": 1, "completion_tokens": 1, "cost": 0.1 } });
    for (upstream, refusal, answer) in [
        ("router-openai", body, said("yes")),
        ("router", detail, output),
    ] {
        let fal = scripted(vec![(404, refusal), (200, answer)]);
        let gateway = towards(fal.setup(), upstream);
        let body = after("x/y", &[vec![recording()]], vec![]);
        for calls in [2, 3] {
            let answer = gateway.ask(&body);
            is_served(&answer);
            let ignored = answer.header("x-gateway-ignored");
            assert_eq!(ignored, Some("messages[].content[].input_audio"));
            assert_eq!(sent(&fal).len(), calls, "{upstream}");
        }
        let heard = sent(&fal)
            .into_iter()
            .filter(|(_, body)| body.to_string().contains(RECORDING));
        assert_eq!(heard.count(), 1, "{upstream}");
    }
}

/// Where nothing may leave fal's enterprise endpoints nobody hears, and the conversation goes on.
#[test]
fn an_earlier_recording_stays_behind_where_only_enterprise_endpoints_may_be_asked() {
    let fal = Emulated::start();
    for prefer in ["native", "flat", "cost"] {
        let setup = fal.setup().set("fal.enterprise", "true");
        let gateway = towards(setup.set("fal.prefer", prefer), "auto");
        let answer = gateway.ask(&after(MODEL, &[vec![recording()]], vec![]));
        is_served(&answer);
        let ignored = answer.header("x-gateway-ignored");
        assert_eq!(
            ignored,
            Some("messages[].content[].input_audio"),
            "{prefer}"
        );
        let answer = gateway.ask(&asking(MODEL, &[recording()], false));
        assert_eq!(
            answer.verdict(),
            "400 invalid_request_error unsupported_value"
        );
    }
}

#[test]
fn an_explanation_names_no_model_that_would_be_passed_over() {
    let fal = Emulated::start();
    let gateway = towards(fal.setup(), "router-openai");
    let mut body = asking(MODEL, &[recording(), picture()], false);
    body["models"] = json!([DEAF, "openai/gpt-4o-audio-preview", "google/gemini-2.5-pro"]);
    let call = Call::chat(&body).header("x-gateway-explain", "true");
    let explained = gateway.call(&call).json();
    let fallbacks: Vec<&str> = explained["fallbacks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model.as_str().unwrap())
        .collect();
    assert!(fallbacks.contains(&"google/gemini-2.5-pro"), "{explained}");
    assert!(!fallbacks.contains(&DEAF), "{explained}");
}

/// No endpoint for images is one of fal's enterprise endpoints.
#[test]
fn no_image_leaves_the_enterprise_endpoints() {
    for (upstream, path) in [
        ("any-llm", "/fal-ai/any-llm/enterprise"),
        ("router", "/openrouter/router/enterprise"),
        ("auto", "/openrouter/router/enterprise"),
    ] {
        let fal = Emulated::start();
        let setup = fal.setup().set("fal.enterprise", "true");
        let gateway = towards(setup, upstream);
        let answer = gateway.ask(&asking(MODEL, &[picture()], false));
        assert_eq!(
            answer.verdict(),
            "400 invalid_request_error unsupported_value",
            "{upstream}"
        );
        assert_eq!(answer.error()["param"], "messages[0].content[1]");
        let told = answer.error()["message"].as_str().unwrap().to_owned();
        assert!(told.contains("fal.enterprise"), "{told}");
        assert_eq!(fal.count(), 0, "{upstream}");
        // An earlier one stays behind, and the conversation goes on.
        let answer = gateway.ask(&after(MODEL, &[vec![picture()]], vec![]));
        is_served(&answer);
        assert_eq!(
            answer.header("x-gateway-ignored"),
            Some("messages[].content[].image_url"),
            "{upstream}"
        );
        assert_eq!(fal.requests(1)[0]["path"], path);
        assert_eq!(fal.count(), 1);
    }
}
