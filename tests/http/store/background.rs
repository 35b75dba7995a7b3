//! Responses that are made in the background, on every engine: asked for again and again, called off,
//! failed, limited.

use serde_json::{Value, json};

use super::responses::{
    continuing, create, delete, events, get, id, laid_out, on_each, on_each_with, post, request,
    whole_events,
};
use crate::contract::description::Judge;
use crate::support::{Answer, Call, Emulated, TestGateway, until};

/// A request for a response in the background.
pub(super) fn background(input: &str) -> Value {
    let mut request = request(input.into());
    request["background"] = true.into();
    request
}

pub(super) fn cancel(gateway: &TestGateway, id: &str) -> Answer {
    gateway.call(&Call::new("POST", &format!("/v1/responses/{id}/cancel")))
}

/// Asks for a response until it has ended.
pub(super) fn ended(gateway: &TestGateway, id: &str) -> Value {
    until("the end of the response", || {
        let answer = get(gateway, id);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let response = answer.json();
        assert_described(&response);
        let status = response["status"].as_str().unwrap();
        (!["queued", "in_progress"].contains(&status)).then_some(response)
    })
}

/// Holds a response against the description of the API.
pub(super) fn assert_described(response: &Value) {
    let faults = Judge::new().schema_faults("Response", response);
    assert_eq!(faults, [""; 0], "{response}");
}

pub(super) fn until_status(gateway: &TestGateway, id: &str, status: &str) {
    until(status, || {
        (get(gateway, id).json()["status"] == status).then_some(())
    });
}

/// What fal was asked, as `POST /queue/fal-ai/any-llm`, of all its endpoints for models.
pub(super) fn submissions(fal: &Emulated) -> Vec<String> {
    asked(fal, "POST")
}

fn asked(fal: &Emulated, method: &str) -> Vec<String> {
    let all = fal.requests(0);
    let asked = all.iter().filter(|request| request["method"] == method);
    asked
        .map(|request| request["path"].as_str().unwrap().to_owned())
        .collect()
}

pub(super) fn cancellations(fal: &Emulated) -> usize {
    let asked = asked(fal, "PUT");
    asked
        .iter()
        .filter(|path| path.ends_with("/cancel"))
        .count()
}

#[test]
fn a_response_is_made_while_nobody_waits_and_is_there_in_the_end() {
    on_each(|fal, gateway| {
        let begun = create(gateway, &background("Hello"));
        assert_described(&begun);
        assert_eq!(begun["status"], "queued");
        assert_eq!(begun["background"], true);
        assert_eq!(begun["output"], json!([]));
        assert_eq!(
            (&begun["usage"], &begun["error"]),
            (&Value::Null, &Value::Null)
        );
        let items = gateway.get(&format!("/v1/responses/{}/input_items", id(&begun)));
        assert_eq!(items.json()["data"].as_array().unwrap().len(), 1);
        let done = ended(gateway, &id(&begun));
        assert_eq!(done["status"], "completed");
        for member in ["id", "created_at", "background", "store", "model"] {
            assert_eq!(done[member], begun[member], "{member}");
        }
        let waited = create(gateway, &request("Hello".into()));
        let text = |response: &Value| response["output"][0]["content"][0]["text"].clone();
        assert_eq!(text(&done), text(&waited));
        assert_eq!(done["usage"], waited["usage"]);
        assert_eq!(
            submissions(fal),
            ["/queue/fal-ai/any-llm", "/fal-ai/any-llm"]
        );
        assert_eq!(cancellations(fal), 0);
        let next = create(gateway, &continuing(&id(&done), "And?".into()));
        assert_eq!(next["status"], "completed");
        let replayed = gateway.get(&format!("/v1/responses/{}?stream=true", id(&done)));
        assert!(replayed.text().contains("response.completed"));
    });
}

#[test]
fn a_response_says_when_it_is_worked_on() {
    on_each(|_, gateway| {
        let begun = create(gateway, &background("Hello /emulate latency:2s"));
        until_status(gateway, &id(&begun), "in_progress");
        let running = get(gateway, &id(&begun)).json();
        assert_eq!(running["output"], json!([]));
        assert_eq!(running["created_at"], begun["created_at"]);
        let refused = gateway.call(&post(&continuing(&id(&begun), "And?".into())));
        assert_eq!(refused.status, 400);
        assert_eq!(refused.error()["param"], "previous_response_id");
        let streamed = gateway.get(&format!("/v1/responses/{}?stream=true", id(&begun)));
        assert_eq!(streamed.status, 400);
        assert_eq!(ended(gateway, &id(&begun))["status"], "completed");
    });
}

#[test]
fn every_upstream_has_a_queue() {
    for (upstream, path) in [
        ("any-llm", "/queue/fal-ai/any-llm"),
        ("router", "/queue/openrouter/router"),
        (
            "router-openai",
            "/queue/openrouter/router/openai/v1/chat/completions",
        ),
    ] {
        let fal = Emulated::start();
        let gateway = fal.setup().set("fal.upstream", upstream).start();
        let begun = create(&gateway, &background("Hello"));
        let done = ended(&gateway, &id(&begun));
        assert_eq!(done["status"], "completed", "{upstream}: {done}");
        let text = done["output"][0]["content"][0]["text"].as_str().unwrap();
        assert!(!text.is_empty(), "{upstream}");
        assert_eq!(submissions(&fal), [path], "{upstream}");
        let cost = done["usage"]["cost"].as_f64();
        assert!(cost.is_some_and(|cost| cost > 0.0) || upstream == "any-llm");
    }
}

#[test]
fn a_model_that_goes_wrong_is_asked_again_through_the_queue() {
    on_each(|fal, gateway| {
        let tool = |name: &str| {
            json!({
                "type": "function", "name": name,
                "parameters": {
                    "type": "object",
                    "properties": {"city": {"type": "string"}},
                    "required": ["city"],
                },
            })
        };
        let mut body = background("What is the weather in Paris? /emulate tool:none");
        body["tool_choice"] = "required".into();
        body["tools"] = json!([tool("get_weather"), tool("get_climate")]);
        let begun = create(gateway, &body);
        let done = ended(gateway, &id(&begun));
        assert_eq!(done["status"], "completed", "{done}");
        let call = done["output"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(call["type"], "function_call");
        assert_eq!(submissions(fal), ["/queue/fal-ai/any-llm"; 2]);
        gateway.until_metric("fal_gateway_reasks_total", 1.0);
    });
}

#[test]
fn a_response_can_be_called_off_at_any_time_and_stays_so() {
    on_each(|fal, gateway| {
        // Worked on, for ever.
        let begun = create(gateway, &background("Hello /emulate hang"));
        until_status(gateway, &id(&begun), "in_progress");
        let cancelled = cancel(gateway, &id(&begun));
        assert_eq!(cancelled.status, 200, "{}", cancelled.text());
        let cancelled = cancelled.json();
        assert_described(&cancelled);
        assert_eq!(cancelled["status"], "cancelled");
        assert_eq!(cancelled["output"], json!([]));
        until("the call off at fal", || {
            (cancellations(fal) == 1).then_some(())
        });
        assert_eq!(cancel(gateway, &id(&begun)).json(), cancelled);
        assert_eq!(get(gateway, &id(&begun)).json(), cancelled);
        let replayed = gateway.get(&format!("/v1/responses/{}?stream=true", id(&begun)));
        let replayed = replayed.text();
        assert!(!replayed.contains("response.completed"), "{replayed}");
        assert!(replayed.contains("\"code\":\"cancelled\""), "{replayed}");
        let refused = gateway.call(&post(&continuing(&id(&begun), "And?".into())));
        assert_eq!(refused.status, 400);
        // Waiting, where fal refuses to call it off.
        let stuck = create(gateway, &background("Hello /emulate stuck"));
        assert_eq!(cancel(gateway, &id(&stuck)).json()["status"], "cancelled");
        // Ended.
        let done = create(gateway, &background("Hello"));
        let done = ended(gateway, &id(&done));
        assert_eq!(cancel(gateway, &id(&done)).json(), done);
        // Not in the background, and not there.
        let waited = create(gateway, &request("Hello".into()));
        assert_eq!(cancel(gateway, &id(&waited)).status, 400);
        assert_eq!(cancel(gateway, "resp_none").status, 404);
    });
}

#[test]
fn a_response_that_is_deleted_is_called_off() {
    on_each(|fal, gateway| {
        let begun = create(gateway, &background("Hello /emulate hang"));
        assert_eq!(delete(gateway, &id(&begun)).status, 200);
        assert_eq!(get(gateway, &id(&begun)).status, 404);
        until("the call off at fal", || {
            (cancellations(fal) == 1).then_some(())
        });
        assert_eq!(delete(gateway, &id(&begun)).status, 404);
    });
}

#[test]
fn what_fal_refuses_at_once_is_refused_at_once() {
    on_each_with(
        |setup| setup.set("responses.max_background", "1"),
        |_, gateway| {
            let refused = gateway.call(&post(&background("Hello /emulate error:auth")));
            assert!(refused.status >= 400, "{}", refused.text());
            // Nothing is left of it that would count.
            let begun = create(gateway, &background("Hello"));
            assert_eq!(ended(gateway, &id(&begun))["status"], "completed");
        },
    );
}

#[test]
fn a_call_that_fails_in_the_queue_fails_the_response() {
    on_each(|fal, gateway| {
        let begun = create(gateway, &background("Hello /emulate error:crash_500"));
        let failed = ended(gateway, &id(&begun));
        assert_eq!(failed["status"], "failed", "{failed}");
        assert_eq!(failed["output"], json!([]));
        let error = &failed["error"];
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
        assert!(
            error["code"].is_string() && error["type"].is_string(),
            "{error}"
        );
        assert_eq!(submissions(fal).len(), 1);
        // As any stream that fails.
        let told = gateway.get(&format!("/v1/responses/{}?stream=true", id(&begun)));
        let told = events(&told.text());
        let kinds: Vec<_> = told
            .iter()
            .map(|event| event["type"].as_str().unwrap())
            .collect();
        assert_eq!(
            kinds,
            [
                "response.created",
                "response.in_progress",
                "error",
                "response.failed"
            ]
        );
        assert_eq!(
            (&told[2]["code"], &told[2]["message"]),
            (&error["type"], &error["message"])
        );
        assert_eq!(told[3]["response"], failed);
    });
}

/// Numbers that no reader takes, and halves of letters: whoever sends them gets them back.
#[test]
fn whatever_a_response_repeats_of_its_request_its_end_is_told() {
    on_each(|_, gateway| {
        for odd in ["1e999", r#""\ud800""#, "12345678901234567890123", "1E2"] {
            let send = |input: &str, rest: &str| {
                let tools = format!(r#"[{{"type":"web_search","x":{odd}}}]"#);
                let model = r#""model":"openai/gpt-4o-mini""#;
                let body = format!(r#"{{{model},"input":"{input}"{rest},"tools":{tools}}}"#);
                gateway
                    .call(&post(&Value::Null).body(body))
                    .text()
                    .to_owned()
            };
            let id_of = |text: &str| {
                let mut parts = text.split('"');
                parts
                    .find(|part| part.starts_with("resp_"))
                    .unwrap_or_else(|| panic!("{text}"))
                    .to_owned()
            };
            let begin = |input: &str| id_of(&send(input, ",\"background\":true"));
            let read = |id: &str, query: &str| {
                let answer = gateway.get(&format!("/v1/responses/{id}{query}"));
                let text = answer.text().to_owned();
                assert!(text.contains(&format!("\"x\":{odd}")), "{text}");
                text
            };
            let is_so = |id: &str, status: &str| {
                let status = format!("\"status\":\"{status}\"");
                until(&status, || read(id, "").contains(&status).then_some(()));
            };
            let stuck = begin("Hello /emulate hang");
            is_so(&stuck, "in_progress");
            let cancelled = cancel(gateway, &stuck).text().to_owned();
            assert!(
                cancelled.contains("\"status\":\"cancelled\""),
                "{cancelled}"
            );
            assert_eq!(read(&stuck, ""), cancelled);
            let failed = begin("Hello /emulate error:crash_500");
            is_so(&failed, "failed");
            let told = read(&failed, "?stream=true");
            assert!(told.contains("event: response.failed"), "{told}");
            let told = read(&id_of(&send("Hello", "")), "?stream=true");
            assert!(told.contains("event: response.completed"), "{told}");
            let streamed = ",\"background\":true,\"stream\":true";
            let told = send("/emulate error:2\\nlong 40", streamed);
            assert!(told.contains("event: response.failed"), "{told}");
        }
    });
}

#[test]
fn the_end_of_a_request_of_several_lines_is_told_in_whole_events() {
    on_each(|_, gateway| {
        let begin = |input: &str, rest: Value| {
            let answer = gateway.call(&laid_out(input, &rest));
            assert_eq!(answer.status, 200, "{}", answer.text());
            answer
        };
        let told = |id: &str| {
            let answer = gateway.get(&format!("/v1/responses/{id}?stream=true"));
            whole_events(&answer.text())
        };
        let is_so = |id: &str, status: &str| {
            until(status, || {
                (get(gateway, id).json()["status"] == status).then_some(())
            });
        };
        let stuck = id(&begin("Hello /emulate hang", json!({"background": true})).json());
        is_so(&stuck, "in_progress");
        assert_eq!(cancel(gateway, &stuck).json()["metadata"]["a"], "b");
        assert_eq!(told(&stuck).last().unwrap()["code"], "cancelled");
        let failed = id(&begin(
            "Hello /emulate error:crash_500",
            json!({"background": true}),
        )
        .json());
        is_so(&failed, "failed");
        let last = told(&failed).pop().unwrap();
        assert_eq!(
            (&last["type"], &last["response"]["metadata"]["a"]),
            (&json!("response.failed"), &json!("b"))
        );
        let live = json!({"background": true, "stream": true});
        for (input, kind) in [
            ("Hello", "response.completed"),
            ("/emulate error:2\nlong 40", "response.failed"),
        ] {
            let live = whole_events(&begin(input, live.clone()).text());
            let last = live.last().unwrap();
            assert_eq!(last["type"], kind);
            let again = told(&id(&last["response"]));
            assert_eq!(again.last().unwrap()["response"], last["response"]);
        }
    });
}

#[test]
fn a_response_that_has_no_room_is_refused_and_says_what_helps() {
    on_each_with(
        |setup| setup.set("store.max_bytes", "256KiB"),
        |fal, gateway| {
            for is_stream in [false, true] {
                let mut body = background(&"w ".repeat(70_000));
                body["stream"] = is_stream.into();
                let refused = gateway.call(&post(&body));
                assert_eq!(
                    (refused.status, refused.error()["code"].as_str()),
                    (503, Some("store_full"))
                );
                assert!(
                    refused.text().contains("'background'"),
                    "{}",
                    refused.text()
                );
            }
            assert_eq!(fal.count(), 0);
        },
    );
}

#[test]
fn a_queue_that_never_ends_has_an_end() {
    on_each_with(
        |setup| setup.set("responses.background_timeout", "1s"),
        |fal, gateway| {
            let begun = create(gateway, &background("Hello /emulate stuck"));
            let failed = ended(gateway, &id(&begun));
            assert_eq!(failed["status"], "failed");
            assert_eq!(failed["error"]["type"], "upstream_timeout");
            until("the call off at fal", || {
                (cancellations(fal) == 1).then_some(())
            });
        },
    );
}

#[test]
fn there_are_as_many_as_there_may_be() {
    let hash = |key: &str| fal_gateway::config::KeyHash::of(key).to_string();
    let keys = format!("alice:{},bob:{}", hash("sk-alice"), hash("sk-bob"));
    on_each_with(
        |setup| {
            setup
                .set("auth.keys", &keys)
                .set("responses.max_background_per_owner", "1")
                .set("responses.max_background", "2")
        },
        |_, gateway| {
            let by = |key: &str, call: Call| {
                gateway.call(&call.header("authorization", &format!("Bearer {key}")))
            };
            let begin = |key: &str| by(key, post(&background("Hello /emulate hang")));
            let first = begin("sk-alice").json();
            let refused = begin("sk-alice");
            assert_eq!(refused.status, 429, "{}", refused.text());
            assert!(refused.header("retry-after").is_some());
            assert_eq!(begin("sk-bob").status, 200);
            let path = format!("/v1/responses/{}/cancel", id(&first));
            assert_eq!(by("sk-bob", Call::new("POST", &path)).status, 404);
            assert_eq!(by("sk-alice", Call::new("POST", &path)).status, 200);
            assert_eq!(begin("sk-alice").status, 200);
        },
    );
}

#[test]
fn a_response_that_could_never_be_read_is_not_begun() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    for is_stream in [false, true] {
        let mut body = background("Hello");
        body["store"] = false.into();
        body["stream"] = is_stream.into();
        let refused = gateway.call(&post(&body));
        assert_eq!(refused.status, 400, "{}", refused.text());
        assert_eq!(refused.error()["param"], "store");
    }
    let made = gateway.call(
        &Call::new("POST", "/v1/conversations")
            .header("content-type", "application/json")
            .body("{}"),
    );
    let conversation = id(&made.json());
    for value in [json!(conversation), json!({"id": conversation})] {
        let mut body = background("Hello");
        body["conversation"] = value;
        let refused = gateway.call(&post(&body));
        assert_eq!(refused.status, 400, "{}", refused.text());
        assert_eq!(refused.error()["param"], "conversation");
    }
    let items = gateway.get(&format!("/v1/conversations/{conversation}/items"));
    assert_eq!(items.json()["data"], json!([]));
    let gateway = fal.setup().set("responses.store", "false").start();
    let refused = gateway.call(&post(&background("Hello")));
    assert_eq!(refused.error()["param"], "background");
    assert_eq!(fal.count(), 0);
}

#[test]
fn a_response_with_an_idempotency_key_is_begun_once() {
    on_each(|fal, gateway| {
        let keyed = |key: &str, input: &str| {
            gateway.call(&post(&background(input)).header("idempotency-key", key))
        };
        let first = keyed("one", "Hello /emulate latency:1s");
        assert_eq!(first.status, 200, "{}", first.text());
        let begun = id(&first.json());
        let again = keyed("one", "Hello /emulate latency:1s");
        assert_eq!(again.text(), first.text());
        assert_eq!(again.header("x-gateway-replayed"), Some("answer"));
        assert_eq!(ended(gateway, &begun)["status"], "completed");
        // What was told first is told again, also when there is more to tell.
        assert_eq!(
            keyed("one", "Hello /emulate latency:1s").text(),
            first.text()
        );
        let other = keyed("one", "Hello");
        assert_eq!(
            other.verdict(),
            "422 invalid_request_error idempotency_mismatch"
        );
        assert_eq!(submissions(fal).len(), 1);
        // What fal refused at once cost nothing and is tried again.
        for tries in 2..4 {
            let refused = keyed("two", "Hello /emulate error:auth");
            assert!(refused.status >= 400, "{}", refused.text());
            assert_eq!(refused.header("x-gateway-replayed"), None);
            assert_eq!(submissions(fal).len(), tries);
        }
    });
}

#[test]
fn a_job_counts_as_one_of_its_keys_requests_until_it_ends() {
    let fal = Emulated::start();
    let hash = fal_gateway::config::KeyHash::of("sk-alice");
    let keys = format!("[[keys]]\nname = \"alice\"\nhash = \"{hash}\"\nconcurrency = 1\n");
    let gateway = fal.setup().file(&keys).start();
    let by = |call: Call| gateway.call(&call.header("authorization", "Bearer sk-alice"));
    let begun = by(post(&background("Hello /emulate hang"))).json();
    assert_eq!(begun["status"], "queued", "{begun}");
    let refused = by(post(&request("Hello".into())));
    assert_eq!(
        refused.status,
        429,
        "{begun} {} {:?}",
        refused.text(),
        fal.requests(0)
    );
    let path = format!("/v1/responses/{}/cancel", id(&begun));
    assert_eq!(by(Call::new("POST", &path)).status, 200);
    until("room for a request", || {
        (by(post(&request("Hello".into()))).status == 200).then_some(())
    });
}
