//! Probabilities of tokens: they come from models that tell them, and nobody else is said to.

use serde_json::{Value, json};

use crate::contract::description::Judge;
use crate::support::{
    Answer, Call, Emulated, ScriptedUpstream, Setup, Step, Stream, TestGateway, question,
};

const PATH: &str = "/v1/chat/completions";
const MODEL: &str = "openai/gpt-4o-mini";

fn through(setup: Setup, upstream: &str) -> TestGateway {
    setup.set("fal.upstream", upstream).start()
}

/// A question whose answer's tokens are wanted.
fn asking(text: &str, stream: bool, fields: &Value) -> Value {
    let mut body = question(text, stream);
    body["model"] = MODEL.into();
    body["logprobs"] = true.into();
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// The texts of an answer, each with the tokens that are told with it.
fn said(answer: &Answer, stream: bool, choice: usize) -> Vec<(String, Vec<Value>)> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let tokens = |choice: &Value| {
        let content = choice["logprobs"]["content"].as_array();
        content.cloned().unwrap_or_default()
    };
    let text = |said: &Value| said["content"].as_str().unwrap_or_default().to_owned();
    if !stream {
        let choice = &answer.json()["choices"][choice];
        return vec![(text(&choice["message"]), tokens(choice))];
    }
    let chunks = Stream::chunks(&answer.text());
    let of_choice = chunks.iter().map(|chunk| &chunk["choices"][0]);
    let of_choice = of_choice.filter(|said| said["index"] == choice);
    of_choice
        .map(|choice| (text(&choice["delta"]), tokens(choice)))
        .collect()
}

/// The text that tokens spell.
fn spelt(tokens: &[Value]) -> Vec<u8> {
    let bytes = tokens
        .iter()
        .flat_map(|token| token["bytes"].as_array().unwrap());
    bytes
        .map(|byte| u8::try_from(byte.as_u64().unwrap()).unwrap())
        .collect()
}

fn refused(answer: &Answer, param: &str) {
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(answer.json()["error"]["code"], "unsupported_parameter");
    assert_eq!(answer.json()["error"]["param"], param);
}

#[test]
fn each_text_comes_with_the_tokens_that_it_is_made_of() {
    let fal = Emulated::start();
    let judge = Judge::new();
    for upstream in ["router-openai", "auto"] {
        let gateway = through(fal.setup(), upstream);
        for stream in [false, true] {
            let fields = json!({ "top_logprobs": 2, "n": 2 });
            let answer = gateway.ask(&asking("echo Zoë 🎈 and more", stream, &fields));
            for choice in 0..2 {
                let mut text = String::new();
                for (piece, tokens) in said(&answer, stream, choice) {
                    assert_eq!(spelt(&tokens), piece.as_bytes(), "{}", answer.text());
                    let has_two =
                        |token: &Value| token["top_logprobs"].as_array().map(Vec::len) == Some(2);
                    assert!(tokens.iter().all(has_two), "{tokens:?}");
                    text += &piece;
                }
                assert_eq!(text, "Zoë 🎈 and more");
            }
            let schema = match stream {
                false => "ChatCompletion",
                true => "ChatCompletionChunk",
            };
            let bodies = match stream {
                false => vec![answer.json()],
                true => Stream::chunks(&answer.text()),
            };
            for body in bodies {
                assert_eq!(judge.schema_faults(schema, &body), [""; 0], "{body}");
            }
        }
    }
}

#[test]
fn nothing_is_told_of_tokens_that_a_stop_sequence_cuts() {
    let fal = Emulated::start();
    let gateway = through(fal.setup(), "router-openai");
    for stream in [false, true] {
        // The emulator ends at the sequence of its own accord only where it is told of it.
        let fields = json!({ "stop": ["d mo"] });
        let answer = gateway.ask(&asking("echo bread and more", stream, &fields));
        let pieces = said(&answer, stream, 0);
        let text: String = pieces.iter().map(|(text, _)| text.as_str()).collect();
        let tokens: Vec<Value> = pieces.into_iter().flat_map(|(_, tokens)| tokens).collect();
        assert_eq!(text, "bread an");
        assert!(text.as_bytes().starts_with(&spelt(&tokens)), "{tokens:?}");
        assert!(spelt(&tokens).len() >= "bread".len(), "{tokens:?}");
    }
}

#[test]
fn whoever_cannot_have_them_is_told_so() {
    let fal = Emulated::start();
    for upstream in ["any-llm", "router"] {
        let gateway = through(fal.setup(), upstream);
        refused(
            &gateway.ask(&asking("echo hi", false, &json!({}))),
            "logprobs",
        );
    }
    for upstream in ["router-openai", "auto"] {
        let gateway = through(fal.setup(), upstream);
        for model in ["openai/gpt-4.1", "nobody/knows-this"] {
            let fields = json!({ "model": model, "top_logprobs": 2 });
            refused(&gateway.ask(&asking("echo hi", true, &fields)), "logprobs");
        }
    }
    assert_eq!(fal.count(), 0);
}

#[test]
fn auto_takes_the_upstream_that_tells_them_unless_another_is_forced() {
    let fal = Emulated::start();
    let setup = fal.setup().set("fal.prefer", "flat");
    let setup = setup.set("fal.allow_upstream_header", "true");
    let gateway = through(setup, "auto");
    let body = asking("echo hi", false, &json!({})).to_string();
    let call = || Call::new("POST", PATH).header("content-type", "application/json");
    let answer = gateway.call(&call().body(body.as_str()));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let because = answer.header("x-gateway-upstream");
    assert_eq!(because, Some("router-openai; because=logprobs"));
    let forced = call().header("x-gateway-upstream", "any-llm");
    refused(&gateway.call(&forced.body(body.as_str())), "logprobs");
}

#[test]
fn whoever_lets_them_pass_gets_an_answer_without_them() {
    let fal = Emulated::start();
    let ignore = "[compat]\nignore = [\"logprobs\", \"top_logprobs\"]\n";
    for (upstream, model) in [("any-llm", MODEL), ("router-openai", "openai/gpt-4.1")] {
        let gateway = through(fal.setup().file(ignore), upstream);
        let fields = json!({ "model": model, "top_logprobs": 2 });
        let answer = gateway.ask(&asking("echo hi", false, &fields));
        assert_eq!(said(&answer, false, 0), [("hi".to_owned(), Vec::new())]);
        let ignored = answer.header("x-gateway-ignored");
        assert_eq!(ignored, Some("top_logprobs, logprobs"));
    }
    // A model that tells them does so all the same.
    let gateway = through(fal.setup().file(ignore), "router-openai");
    let answer = gateway.ask(&asking("echo hi", false, &json!({})));
    assert_eq!(spelt(&said(&answer, false, 0)[0].1), b"hi");
}

fn http(status: u16, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Whatever\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A whole answer of one token.
fn one(token: &str) -> Vec<u8> {
    let told =
        json!({ "token": token, "logprob": -0.5, "bytes": token.as_bytes(), "top_logprobs": [] });
    let choice = json!({
        "index": 0, "message": { "content": token }, "finish_reason": "stop",
        "logprobs": { "content": [told] },
    });
    http(200, &json!({ "choices": [choice] }))
}

/// What one was asked that gives these answers one after the other, and what came of it.
fn asked(answers: Vec<Vec<u8>>, body: &Value) -> (Vec<Value>, Answer) {
    let fal = ScriptedUpstream::with(move |number| {
        let answer = answers.get(number).or(answers.last()).unwrap();
        vec![Step::Read, Step::Write(answer.clone()), Step::Close]
    });
    let gateway = through(fal.setup(), "router-openai");
    let answer = gateway.ask(body);
    let requests = fal.seen().into_iter().flat_map(|seen| seen.requests);
    let body = |request: Vec<u8>| {
        let text = String::from_utf8(request).unwrap();
        serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap()
    };
    (requests.map(body).collect(), answer)
}

#[test]
fn no_model_is_fallen_back_on_that_does_not_tell_them() {
    let gone = http(
        404,
        &json!({ "error": { "code": 404, "message": format!("No endpoints found for {MODEL}.") } }),
    );
    let fields = json!({ "models": ["openai/gpt-4.1", "openai/gpt-4o"] });
    let (sent, answer) = asked(vec![gone, one("hi")], &asking("hi", false, &fields));
    assert_eq!(spelt(&said(&answer, false, 0)[0].1), b"hi");
    let models: Vec<&str> = sent
        .iter()
        .filter_map(|body| body["model"].as_str())
        .collect();
    assert_eq!(models, [MODEL, "openai/gpt-4o"]);
    assert!(sent.iter().all(|body| body["logprobs"] == true));
}

#[test]
fn the_tokens_of_a_reply_that_is_asked_for_again_are_those_of_the_last_one() {
    let schema = json!({
        "type": "object", "properties": { "a": { "type": "integer" } }, "required": ["a"],
        "additionalProperties": false,
    });
    let format = json!({ "type": "json_schema", "json_schema": { "name": "a", "strict": true, "schema": schema } });
    let fields = json!({ "response_format": format });
    let answers = vec![one("{\"b\":1}"), one("{\"a\":1}")];
    let (sent, answer) = asked(answers, &asking("hi", false, &fields));
    assert_eq!(sent.len(), 2);
    let pieces = said(&answer, false, 0);
    assert_eq!(pieces[0].0, "{\"a\":1}");
    assert_eq!(spelt(&pieces[0].1), b"{\"a\":1}");
}

#[test]
fn a_provider_that_has_none_is_not_asked_for_the_answer_alone() {
    let words = "No endpoints found that can handle the requested parameters.";
    let none = http(404, &json!({ "error": { "code": 404, "message": words } }));
    let (sent, answer) = asked(vec![none, one("hi")], &asking("hi", false, &json!({})));
    refused(&answer, "logprobs");
    assert_eq!(sent.len(), 1);
}
