//! Chat completions that are kept, on every engine.

use serde_json::{Value, json};

use super::responses::{assert_no_place, on_each, on_each_with};
use crate::support::{Answer, Call, Emulated, Stream, TestGateway, question, until};

const PATH: &str = "/v1/chat/completions";

fn stored(text: &str) -> Value {
    let mut body = question(text, false);
    body["store"] = true.into();
    body
}

fn kept(gateway: &TestGateway, body: &Value) -> Value {
    let answer = gateway.ask(body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn path(completion: &Value) -> String {
    format!("{PATH}/{}", completion["id"].as_str().unwrap())
}

fn post(path: &str, body: &Value) -> Call {
    let call = Call::new("POST", path).header("content-type", "application/json");
    call.body(body.to_string())
}

/// Nobody means to take all metadata away by saying nothing of them.
pub(super) fn refuses_no_metadata(gateway: &TestGateway, path: &str) {
    let before = gateway.get(path).json();
    for nothing in [json!({}), json!({"name": "x"})] {
        let refused = gateway.call(&post(path, &nothing));
        assert_eq!(
            refused.verdict(),
            "400 invalid_request_error missing_required_parameter"
        );
        assert_eq!(refused.error()["param"], "metadata");
    }
    assert_eq!(gateway.get(path).json(), before);
}

fn ids(list: &Answer) -> Vec<String> {
    assert_eq!(list.status, 200, "{}", list.text());
    let list = list.json();
    let data = list["data"].as_array().unwrap().iter();
    data.map(|each| each["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_completion_is_kept_read_changed_and_deleted() {
    on_each(|_, gateway| {
        let mut body = stored("echo hi");
        body["metadata"] = json!({"topic": "tea"});
        let answer = gateway.ask(&body);
        let emulated = answer.header("x-gateway-emulated").unwrap();
        assert!(
            emulated.contains("store") && emulated.contains("metadata"),
            "{emulated}"
        );
        let completion = answer.json();
        let mut expected = completion.clone();
        expected["metadata"] = body["metadata"].clone();
        let path = path(&completion);
        assert_eq!(gateway.get(&path).json(), expected);
        expected["metadata"] = json!({"topic": "rum"});
        let changed = gateway.call(&post(&path, &json!({"metadata": {"topic": "rum"}})));
        assert_eq!((changed.status, changed.json()), (200, expected.clone()));
        assert_eq!(gateway.get(&path).json(), expected);
        refuses_no_metadata(gateway, &path);
        let cleared = gateway
            .call(&post(&path, &json!({"metadata": null})))
            .json();
        assert_eq!(cleared["metadata"], json!({}));
        let deleted = gateway.call(&Call::new("DELETE", &path)).json();
        let gone =
            json!({"object": "chat.completion.deleted", "id": completion["id"], "deleted": true});
        assert_eq!(deleted, gone);
        for again in [
            Call::get(&path),
            Call::new("DELETE", &path),
            post(&path, &json!({"metadata": {}})),
            Call::get(&format!("{path}/messages")),
        ] {
            let refused = gateway.call(&again);
            assert_eq!(
                refused.verdict(),
                "404 invalid_request_error completion_not_found"
            );
        }
    });
}

#[test]
fn a_stream_is_kept_by_its_end_with_all_its_choices() {
    on_each(|_, gateway| {
        let mut body = stored("echo hello there");
        (body["stream"], body["n"]) = (true.into(), 2.into());
        let streamed = gateway.ask(&body).text();
        let id = Stream::chunks(&streamed)[0]["id"].clone();
        let completion = gateway.get(&format!("{PATH}/{}", id.as_str().unwrap()));
        assert_eq!(completion.status, 200, "{}", completion.text());
        let completion = completion.json();
        assert_eq!(completion["object"], "chat.completion");
        for choice in [0, 1] {
            let message = &completion["choices"][choice]["message"];
            assert_eq!(message["content"], "hello there");
        }
        assert!(completion["usage"]["total_tokens"].as_u64().unwrap() > 0);
        let cost = completion["usage"]["cost"].as_f64();
        assert!(cost.is_some_and(|cost| cost > 0.0), "{completion}");
    });
}

#[test]
fn calls_of_tools_are_kept_as_they_were_streamed() {
    on_each(|_, gateway| {
        let mut body = stored("call look {\"at\": \"it\"}");
        body["stream"] = true.into();
        body["tools"] = json!([{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]);
        let streamed = gateway.ask(&body).text();
        let chunks = Stream::chunks(&streamed);
        let call = chunks
            .iter()
            .find_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"][0]["id"].as_str());
        let kept = gateway.get(&path(&chunks[0])).json();
        let message = &kept["choices"][0]["message"];
        assert_eq!(message["tool_calls"][0]["id"].as_str(), call);
        assert_eq!(message["tool_calls"][0]["function"]["name"], "look");
    });
}

#[test]
fn what_was_asked_is_listed() {
    on_each(|_, gateway| {
        let mut body = stored("");
        body["messages"] = json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "echo hi"}], "name": "ada"},
        ]);
        let completion = kept(gateway, &body);
        let messages = format!("{}/messages", path(&completion));
        let list = gateway.get(&messages).json();
        let id = |at: usize| format!("{}-{at}", completion["id"].as_str().unwrap());
        assert_eq!(
            list["data"],
            json!([
                {"id": id(0), "role": "system", "content": "Be brief.", "content_parts": null},
                {"id": id(1), "role": "user", "name": "ada", "content": null,
                 "content_parts": [{"type": "text", "text": "echo hi"}]},
            ])
        );
        let page = gateway.get(&format!("{messages}?limit=1")).json();
        assert_eq!(
            (&page["has_more"], &page["last_id"]),
            (&json!(true), &json!(id(0)))
        );
        let rest = gateway.get(&format!("{messages}?after={}&order=asc", id(0)));
        assert_eq!(ids(&rest), [id(1)]);
    });
}

#[test]
fn completions_are_listed_in_pages_by_model_and_metadata() {
    on_each(|_, gateway| {
        let all: Vec<String> = (0..6)
            .map(|number| {
                let mut body = stored("echo hi");
                let model = ["openai/gpt-4o-mini", "google/gemini-2.5-flash"][number % 2];
                body["model"] = model.into();
                body["metadata"] =
                    json!({"number": number.to_string(), "half": (number / 3).to_string()});
                kept(gateway, &body)["id"].as_str().unwrap().to_owned()
            })
            .collect();
        gateway.ask(&question("echo not kept", false));
        let list = |query: &str| gateway.get(&format!("{PATH}?{query}"));
        // Some may have been made in the same millisecond.
        let mut listed = ids(&list(""));
        listed.sort();
        let mut sorted = all.clone();
        sorted.sort();
        assert_eq!(listed, sorted);
        let oldest = ids(&list(""));
        let newest = ids(&list("order=desc"));
        assert_eq!(
            newest.iter().rev().collect::<Vec<_>>(),
            oldest.iter().collect::<Vec<_>>()
        );
        let mut pages = Vec::new();
        let mut after = String::new();
        loop {
            let page = list(&format!("limit=4{after}"));
            pages.extend(ids(&page));
            if page.json()["has_more"] == false {
                break;
            }
            after = format!("&after={}", page.json()["last_id"].as_str().unwrap());
        }
        assert_eq!(pages, oldest);
        assert_eq!(ids(&list("model=google/gemini-2.5-flash")).len(), 3);
        assert_eq!(ids(&list("metadata[half]=1")).len(), 3);
        assert_eq!(
            ids(&list("metadata[half]=1&metadata[number]=4")),
            [all[4].clone()]
        );
        assert_eq!(
            ids(&list("metadata%5Bnumber%5D=2&model=openai/gpt-4o-mini")),
            [all[2].clone()]
        );
        assert!(ids(&list("metadata[number]=9")).is_empty());
        assert_no_place(&list("after=nothing"), &all[0]);
        let messages = gateway.get(&format!("{PATH}/{}/messages?after=nothing", all[0]));
        assert_no_place(&messages, &all[0]);
        assert_eq!(list("limit=0").status, 400);
    });
}

#[test]
fn only_what_is_asked_for_is_kept_and_only_where_that_may_be() {
    on_each(|_, gateway| {
        let plain = gateway.ask(&question("echo hi", false)).json();
        assert_eq!(gateway.get(&path(&plain)).status, 404);
        let mut bad = stored("echo hi");
        bad["metadata"] = json!({"number": 1});
        let refused = gateway.ask(&bad);
        assert_eq!(
            (refused.status, refused.error()["param"].as_str()),
            (400, Some("metadata.number"))
        );
        bad["store"] = false.into();
        assert_eq!(gateway.ask(&bad).status, 200, "nobody looks at it");
    });
    on_each_with(
        |setup| setup.set("responses.store", "false"),
        |_, gateway| {
            let answer = gateway.ask(&stored("echo hi"));
            assert!(
                answer
                    .header("x-gateway-ignored")
                    .unwrap()
                    .contains("store")
            );
            assert_eq!(gateway.get(&path(&answer.json())).status, 404);
        },
    );
    on_each_with(
        |setup| setup.set("store.max_bytes", "64KiB"),
        |_, gateway| {
            let mut large = stored(&format!("echo {}", "word ".repeat(10_000)));
            let answer = gateway.ask(&large);
            assert!(
                answer
                    .header("x-gateway-ignored")
                    .unwrap()
                    .contains("store")
            );
            assert_eq!(gateway.get(&path(&answer.json())).status, 404);
            large["stream"] = true.into();
            let text = gateway.ask(&large).text();
            assert!(
                text.contains("\n: this completion is not stored\n"),
                "{text}"
            );
        },
    );
}

#[test]
fn a_completion_of_somebody_else_is_not_there_and_one_that_is_over_is_gone() {
    let hash = |key: &str| fal_gateway::config::KeyHash::of(key).to_string();
    let keys = format!("alice:{},bob:{}", hash("sk-alice"), hash("sk-bob"));
    on_each_with(
        |setup| setup.set("auth.keys", &keys),
        |_, gateway| {
            let by = |key: &str, call: Call| {
                gateway.call(&call.header("authorization", &format!("Bearer {key}")))
            };
            let completion = by("sk-alice", Call::chat(&stored("echo hi"))).json();
            let own = path(&completion);
            let none = format!("{PATH}/chatcmpl-none");
            for rest in ["", "/messages"] {
                let foreign = by("sk-bob", Call::get(&format!("{own}{rest}")));
                let unknown = by("sk-bob", Call::get(&format!("{none}{rest}")));
                let said = foreign
                    .text()
                    .replace(&own[PATH.len() + 1..], "chatcmpl-none");
                assert_eq!((foreign.status, said), (404, unknown.text()));
            }
            assert_eq!(by("sk-bob", Call::new("DELETE", &own)).status, 404);
            assert_eq!(
                by("sk-bob", post(&own, &json!({"metadata": {}}))).status,
                404
            );
            assert!(ids(&by("sk-bob", Call::get(PATH))).is_empty());
            let after = format!("{PATH}?after={}", &own[PATH.len() + 1..]);
            assert_eq!(by("sk-bob", Call::get(&after)).status, 404);
            assert_eq!(ids(&by("sk-alice", Call::get(PATH))).len(), 1);
        },
    );
    let fal = Emulated::start();
    let gateway = fal.setup().set("responses.retention", "1s").start();
    let completion = kept(&gateway, &stored("echo hi"));
    until("the completion is over", || {
        (gateway.get(&path(&completion)).status == 404).then_some(())
    });
    assert!(ids(&gateway.get(PATH)).is_empty());
}
