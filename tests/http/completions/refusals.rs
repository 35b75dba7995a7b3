//! Requests that are refused: by name, with a cure, and before fal is asked.

use serde_json::{Value, json};

use crate::harness::{Answer, Gateway, send};

/// Status, code and parameter of an error, and its message.
fn refusal(answer: &Answer) -> (u16, String, String, String) {
    let error = answer.json()["error"].take();
    let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
    assert_eq!(text("type"), "invalid_request_error");
    (answer.status, text("code"), text("param"), text("message"))
}

#[actix_web::test]
async fn what_cannot_be_honoured_is_refused_by_name() {
    let gateway = Gateway::start().await;
    #[rustfmt::skip]
    let cases = [
        (json!({}), "missing_required_parameter", "prompt", "Send a text"),
        (json!({"prompt": null}), "missing_required_parameter", "prompt", "Send a text"),
        (json!({"messages": [{"role": "user", "content": "hi"}]}), "missing_required_parameter", "prompt", "/v1/chat/completions"),
        (json!({"prompt": ""}), "invalid_value", "prompt", "it is empty"),
        (json!({"prompt": [""]}), "invalid_value", "prompt", "it is empty"),
        (json!({"prompt": []}), "invalid_value", "prompt", "the list is empty"),
        (json!({"prompt": 7}), "invalid_value", "prompt", "a string"),
        (json!({"prompt": {"text": "hi"}}), "invalid_value", "prompt", "a string"),
        (json!({"prompt": [null]}), "invalid_value", "prompt", "a string"),
        (json!({"prompt": ["a", "b"]}), "unsupported_value", "prompt", "a request for each prompt"),
        (json!({"prompt": [15496, 11]}), "unsupported_value", "prompt", "tokens"),
        (json!({"prompt": [[15496, 11]]}), "unsupported_value", "prompt", "tokens"),
        (json!({"prompt": "hi", "suffix": "!"}), "unsupported_parameter", "suffix", "Remove it"),
        (json!({"prompt": "hi", "best_of": 2}), "unsupported_value", "best_of", "Send 1"),
        (json!({"prompt": "hi", "logprobs": 0}), "unsupported_parameter", "logprobs", "Remove it"),
        (json!({"prompt": "hi", "logprobs": 5}), "unsupported_parameter", "logprobs", "Remove it"),
        (json!({"prompt": "hi", "logit_bias": {"50256": -100}}), "unsupported_parameter", "logit_bias", "Remove it"),
        (json!({"prompt": "hi", "max_tokens": 0}), "invalid_value", "max_tokens", "from 1"),
        (json!({"prompt": "hi", "temperature": 3}), "invalid_value", "temperature", "from 0 to 2"),
        (json!({"prompt": "hi", "echo": "yes"}), "invalid_value", "echo", "true or false"),
        (json!({"prompt": "hi", "n": 5}), "unsupported_value", "n", "at most 4"),
        (json!({"prompt": "hi", "stop": (0..17).map(|at| at.to_string()).collect::<Vec<_>>()}), "invalid_value", "stop", "at most 16"),
    ];
    for (body, code, param, cure) in cases {
        for stream in [false, true] {
            let mut body = body.clone();
            body["stream"] = stream.into();
            let answer = send(gateway.post("/v1/completions", &body)).await;
            let (status, found_code, found_param, message) = refusal(&answer);
            assert_eq!(
                (status, found_code.as_str(), found_param.as_str()),
                (400, code, param),
                "{body}"
            );
            assert!(message.contains(cure), "{body}: {message}");
        }
    }
    assert_eq!(gateway.asked_of_fal().await, Vec::<Value>::new());
    gateway.stop().await;
}

#[actix_web::test]
async fn an_unknown_model_and_a_wrong_method_are_refused_as_in_chat() {
    let gateway = Gateway::start().await;
    let body = json!({"model": "gpt-4oo", "prompt": "hi"});
    let (status, code, param, _) = refusal(&send(gateway.post("/v1/completions", &body)).await);
    assert_eq!(
        (status, code.as_str(), param.as_str()),
        (404, "model_not_found", "model")
    );
    let (status, code, ..) = refusal(&gateway.get("/v1/completions").await);
    assert_eq!((status, code.as_str()), (405, "method_not_allowed"));
    gateway.stop().await;
}

#[actix_web::test]
async fn a_prompt_that_is_too_long_is_called_a_prompt() {
    let gateway = Gateway::with(|config| config.limits.max_prompt_chars = Some(5)).await;
    let answer = gateway.complete("echo hi", json!({})).await;
    let (status, code, param, message) = refusal(&answer);
    assert_eq!(
        (status, code.as_str(), param.as_str()),
        (400, "string_above_max_length", "prompt")
    );
    assert!(!message.contains("messages"), "{message}");
    gateway.stop().await;
}

#[actix_web::test]
async fn a_body_of_the_responses_api_is_told_what_chat_needs() {
    let gateway = Gateway::start().await;
    let body =
        json!({"model": "gpt-4o", "input": [{"role": "user", "content": "hi"}], "stream": true});
    let answer = send(gateway.post("/v1/chat/completions", &body)).await;
    let (status, code, param, message) = refusal(&answer);
    assert_eq!(
        (status, code.as_str(), param.as_str()),
        (400, "missing_required_parameter", "messages")
    );
    assert!(
        message.contains("'input'") && message.contains("Responses API"),
        "{message}"
    );
    let (.., message) = refusal(&send(gateway.post("/v1/chat/completions", &json!({}))).await);
    assert!(!message.contains("'input'"), "{message}");
    gateway.stop().await;
}
