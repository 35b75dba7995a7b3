//! Conversations that are kept by themselves, on every engine.

use serde_json::{Value, json};

use super::completions::refuses_no_metadata;
use super::places;
use super::responses::{
    assert_no_place, create, events, id, on_each, on_each_with, post, prompt, request, with,
};
use crate::support::{
    Answer, Call, Emulated, ScriptedUpstream, TestGateway, one_and_two_later, until,
};

fn call(method: &str, path: &str, body: &Value) -> Call {
    let call = Call::new(method, path).header("content-type", "application/json");
    call.body(body.to_string())
}

fn made(gateway: &TestGateway, body: &Value) -> String {
    let answer = gateway.call(&call("POST", "/v1/conversations", body));
    assert_eq!(answer.status, 200, "{}", answer.text());
    id(&answer.json())
}

fn add(gateway: &TestGateway, conversation: &str, items: &Value) -> Answer {
    let path = format!("/v1/conversations/{conversation}/items");
    gateway.call(&call("POST", &path, &json!({ "items": items })))
}

fn listed(gateway: &TestGateway, conversation: &str) -> Vec<Value> {
    let answer = gateway.get(&format!(
        "/v1/conversations/{conversation}/items?order=asc&limit=100"
    ));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["data"].as_array().unwrap().clone()
}

/// A request that goes on with a conversation.
fn within(conversation: &str, input: Value) -> Value {
    let mut body = request(input);
    body["conversation"] = conversation.into();
    body
}

fn text(item: &Value) -> &str {
    item["content"][0]["text"].as_str().unwrap()
}

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

#[test]
fn a_conversation_is_made_read_changed_and_deleted() {
    on_each(|_, gateway| {
        let body = json!({"metadata": {"topic": "tea"}, "items": [user("Hello")]});
        let conversation = made(gateway, &body);
        assert!(conversation.starts_with("conv_"), "{conversation}");
        let path = format!("/v1/conversations/{conversation}");
        let read = gateway.get(&path).json();
        assert_eq!(
            (&read["object"], &read["metadata"]),
            (&json!("conversation"), &body["metadata"])
        );
        assert!(read["created_at"].as_i64().unwrap() > 1_700_000_000);
        let changed = gateway.call(&call("POST", &path, &json!({"metadata": {"topic": "rum"}})));
        assert_eq!(changed.json()["metadata"], json!({"topic": "rum"}));
        assert_eq!(gateway.get(&path).json(), changed.json());
        refuses_no_metadata(gateway, &path);
        let cleared = gateway.call(&call("POST", &path, &json!({"metadata": null})));
        assert_eq!(cleared.json()["metadata"], json!({}));
        let deleted = gateway.call(&Call::new("DELETE", &path)).json();
        let expected =
            json!({"id": conversation, "object": "conversation.deleted", "deleted": true});
        assert_eq!(deleted, expected);
        for again in [
            Call::get(&path),
            Call::new("DELETE", &path),
            Call::get(&format!("{path}/items")),
        ] {
            assert_eq!(
                gateway.call(&again).verdict(),
                "404 invalid_request_error conversation_not_found"
            );
        }
    });
}

#[test]
fn what_is_asked_and_said_is_added_and_comes_before_what_is_asked_next() {
    on_each(|fal, gateway| {
        let conversation = made(gateway, &json!({"items": [user("My name is Rumpel.")]}));
        let first = create(
            gateway,
            &within(&conversation, "I live in Osterwald.".into()),
        );
        assert_eq!(first["conversation"], json!({"id": conversation}));
        let mut body = within(&conversation, json!([user("Who am I?")]));
        body["conversation"] = json!({"id": conversation});
        body["stream"] = true.into();
        let streamed = events(&gateway.call(&post(&body)).text());
        let last = &streamed.last().unwrap()["response"];
        assert_eq!(last["conversation"], json!({"id": conversation}));
        let asked = prompt(fal);
        let said = text(&first["output"][0]);
        let places = [
            "My name is Rumpel.",
            "I live in Osterwald.",
            said,
            "Who am I?",
        ]
        .map(|text| {
            asked
                .find(text)
                .unwrap_or_else(|| panic!("{text} in {asked}"))
        });
        assert!(places.is_sorted(), "{asked}");
        // The end of the stream has been read, so all of it is there.
        let items = listed(gateway, &conversation);
        let texts: Vec<&str> = items.iter().map(text).collect();
        let answer = text(&last["output"][0]);
        assert_eq!(
            texts,
            [
                "My name is Rumpel.",
                "I live in Osterwald.",
                said,
                "Who am I?",
                answer
            ]
        );
        assert_eq!(items[2], first["output"][0]);
        let path = format!("/v1/responses/{}", id(&first));
        assert_eq!(gateway.get(&path).json(), first);
        gateway.call(&Call::new(
            "DELETE",
            &format!("/v1/conversations/{conversation}"),
        ));
        assert_eq!(gateway.get(&path).json(), first, "responses stay");
    });
}

#[test]
fn items_are_added_listed_read_and_deleted() {
    on_each(|_, gateway| {
        let conversation = made(gateway, &json!({}));
        let call =
            json!({"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"});
        let items = json!([user("One"), {"role": "assistant", "content": "Two"}, call]);
        let added = add(gateway, &conversation, &items).json();
        assert_eq!(
            (&added["object"], &added["has_more"]),
            (&json!("list"), &json!(false))
        );
        assert_eq!(added["first_id"], added["data"][0]["id"]);
        // The call came with an earlier request.
        let output = json!([{"type": "function_call_output", "call_id": "c1", "output": "42"}]);
        assert_eq!(add(gateway, &conversation, &output).status, 200);
        let all = listed(gateway, &conversation);
        assert_eq!(all.len(), 4);
        assert_eq!(all[..3], added["data"].as_array().unwrap()[..]);
        let kinds: Vec<_> = all
            .iter()
            .map(|item| item["type"].as_str().unwrap())
            .collect();
        assert_eq!(
            kinds,
            [
                "message",
                "message",
                "function_call",
                "function_call_output"
            ]
        );
        let path = format!("/v1/conversations/{conversation}/items");
        let second = all[1]["id"].as_str().unwrap();
        let page = gateway
            .get(&format!("{path}?limit=1&after={second}"))
            .json();
        assert_eq!(
            (&page["data"][0], &page["has_more"]),
            (&all[0], &json!(false))
        );
        let page = gateway.get(&format!("{path}?limit=2")).json();
        assert_eq!(
            (&page["data"][0], &page["has_more"]),
            (&all[3], &json!(true))
        );
        assert_no_place(&gateway.get(&format!("{path}?after=none")), &conversation);
        let item = format!("{path}/{second}");
        assert_eq!(gateway.get(&item).json(), all[1]);
        let deleted = gateway.call(&Call::new("DELETE", &item)).json();
        assert_eq!(
            deleted,
            gateway
                .get(&format!("/v1/conversations/{conversation}"))
                .json()
        );
        for gone in [Call::get(&item), Call::new("DELETE", &item)] {
            assert_eq!(
                gateway.call(&gone).verdict(),
                "404 invalid_request_error item_not_found"
            );
        }
        assert_eq!(listed(gateway, &conversation).len(), 3);
        let more = create(gateway, &within(&conversation, "And?".into()));
        assert_eq!(more["status"], "completed");
        let reference = json!([{"type": "item_reference", "id": all[0]["id"]}, user("Hm")]);
        assert_eq!(create(gateway, &request(reference))["status"], "completed");
    });
}

#[test]
fn what_no_response_could_be_made_of_is_not_added() {
    on_each(|fal, gateway| {
        let conversation = made(
            gateway,
            &json!({"items": [{"type": "message", "id": "mine", "role": "user", "content": "x"}]}),
        );
        let pairs: serde_json::Map<_, _> =
            (0..17).map(|at| (format!("k{at}"), json!("v"))).collect();
        let many: Vec<_> = (0..21).map(|_| user("x")).collect();
        let unknown = json!([{"type": "item_reference", "id": "msg_none"}]);
        for (items, verdict, param) in [
            (
                json!([{"role": "wizard", "content": "x"}]),
                "400 invalid_request_error invalid_value",
                "items[0].role",
            ),
            (
                json!([{"content": "x"}]),
                "400 invalid_request_error missing_required_parameter",
                "items[0].role",
            ),
            (
                json!("x"),
                "400 invalid_request_error invalid_value",
                "items",
            ),
            (
                json!(many),
                "400 invalid_request_error invalid_value",
                "items",
            ),
            (
                json!([{"id": "mine", "role": "user", "content": "x"}]),
                "400 invalid_request_error invalid_value",
                "items",
            ),
            (unknown, "404 invalid_request_error item_not_found", "items"),
            (
                json!([{"type": "item_reference"}]),
                "400 invalid_request_error missing_required_parameter",
                "items[0].id",
            ),
            (
                json!([{"id": "two", "role": "user", "content": "x"}, {"id": "two", "role": "user", "content": "y"}]),
                "400 invalid_request_error invalid_value",
                "items",
            ),
            (
                json!([user("x"), {"id": "x".repeat(65), "role": "user", "content": "x"}]),
                "400 invalid_request_error string_above_max_length",
                "items[1].id",
            ),
            (
                Value::Null,
                "400 invalid_request_error missing_required_parameter",
                "items",
            ),
        ] {
            let refused = add(gateway, &conversation, &items);
            assert_eq!(
                (
                    refused.verdict().as_str(),
                    refused.error()["param"].as_str()
                ),
                (verdict, Some(param)),
                "{items}"
            );
            let begun = call("POST", "/v1/conversations", &json!({ "items": items }));
            let begun = gateway.call(&begun);
            // It has no items yet, and may have none.
            let is_fine = begun.status == 200 && (items.is_null() || items[0]["id"] == "mine");
            assert!(is_fine || begun.verdict() == verdict, "{items}");
        }
        let refused = gateway.call(&call(
            "POST",
            "/v1/conversations",
            &json!({"metadata": pairs}),
        ));
        assert_eq!(refused.error()["param"], "metadata");
        let calls = fal.count();
        let twice = gateway.call(&post(&within(
            &conversation,
            json!([{"id": "mine", "role": "user", "content": "x"}]),
        )));
        assert!(
            twice.text().contains("Duplicate item found"),
            "{}",
            twice.text()
        );
        let long = json!([{"id": "x".repeat(3000), "role": "user", "content": "x"}]);
        let long = gateway.call(&post(&within(&conversation, long)));
        assert_eq!(
            (long.verdict().as_str(), long.error()["param"].as_str()),
            (
                "400 invalid_request_error string_above_max_length",
                Some("input[0].id")
            )
        );
        let mut both = within(&conversation, "x".into());
        both["previous_response_id"] = "resp_x".into();
        assert_eq!(
            gateway.call(&post(&both)).verdict(),
            "400 invalid_request_error mutually_exclusive_parameters"
        );
        let none = gateway.call(&post(&within("conv_none", "x".into())));
        assert_eq!(
            none.verdict(),
            "404 invalid_request_error conversation_not_found"
        );
        assert_eq!(none.error()["param"], "conversation");
        assert_eq!(fal.count(), calls);
        assert_eq!(listed(gateway, &conversation).len(), 1);
    });
}

/// What keeps a conversation from going on can be found in it, and deleted.
#[test]
fn an_output_whose_call_is_gone_is_named() {
    on_each(|_, gateway| {
        let call =
            json!({"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"});
        let output = json!({"type": "function_call_output", "call_id": "c1", "output": "42"});
        let conversation = made(gateway, &json!({"items": [user("Look"), call, output]}));
        let items = listed(gateway, &conversation);
        let delete = |item: &Value| {
            let path = format!("/v1/conversations/{conversation}/items/{}", id(item));
            assert_eq!(gateway.call(&Call::new("DELETE", &path)).status, 200);
        };
        delete(&items[1]);
        let next = within(&conversation, "And?".into());
        let refused = gateway.call(&post(&next));
        assert_eq!(refused.status, 400, "{}", refused.text());
        let place = format!("conversation[{}].call_id", id(&items[2]));
        assert_eq!(refused.error()["param"], place);
        assert!(refused.text().contains(&place), "{}", refused.text());
        delete(&items[2]);
        create(gateway, &next);
    });
}

/// What failed is told again as long as the request is the same, and what it goes on with is part of it.
#[test]
fn a_failure_in_a_conversation_is_told_again_until_something_changes() {
    on_each(|fal, gateway| {
        let conversation = made(gateway, &json!({"items": [user("Before")]}));
        let add_soon = |items: &Value| {
            until("the conversation is free", || {
                (add(gateway, &conversation, items).status == 200).then_some(())
            });
        };
        let told_again = |body: &Value| {
            let answer = gateway.call(&post(body));
            assert_ne!(answer.status, 200, "{}", answer.text());
            answer.header("x-gateway-replayed") == Some("failure")
        };
        let failing = within(&conversation, "go on /emulate error200".into());
        assert_eq!([(); 2].map(|()| told_again(&failing)), [false, true]);
        add_soon(&json!([user("More")]));
        assert_eq!([(); 2].map(|()| told_again(&failing)), [false, true]);
        let name = json!({"type": "item_reference", "id": "mine"});
        let naming = request(json!([name, user("go on /emulate error200")]));
        for text in ["one", "two"] {
            add_soon(&json!([{"id": "mine", "role": "user", "content": text}]));
            assert_eq!(
                [(); 2].map(|()| told_again(&naming)),
                [false, true],
                "{text}"
            );
            let path = format!("/v1/conversations/{conversation}/items/mine");
            assert_eq!(gateway.call(&Call::new("DELETE", &path)).status, 200);
        }
        assert_eq!(fal.count(), 4);
    });
}

#[test]
fn a_response_of_a_conversation_is_continued_there_and_nowhere_else() {
    on_each(|_, gateway| {
        let conversation = made(gateway, &json!({}));
        let first = create(gateway, &within(&conversation, "One".into()));
        let mut body = request("Two".into());
        body["previous_response_id"] = first["id"].clone();
        let refused = gateway.call(&post(&body));
        assert_eq!(refused.status, 400);
        assert_eq!(refused.error()["param"], "previous_response_id");
        assert!(refused.text().contains(&conversation), "{}", refused.text());
    });
}

#[test]
fn nothing_is_added_by_who_wants_nothing_kept() {
    on_each(|fal, gateway| {
        let conversation = made(gateway, &json!({"items": [user("Before")]}));
        let mut body = within(&conversation, "Now".into());
        body["store"] = false.into();
        let response = create(gateway, &body);
        assert!(prompt(fal).contains("Before"));
        assert_eq!(
            (&response["store"], &response["conversation"]),
            (&json!(false), &Value::Null)
        );
        assert_eq!(listed(gateway, &conversation).len(), 1);
    });
    on_each_with(
        |setup| setup.set("responses.store", "false"),
        |_, gateway| {
            let refused = gateway.call(&call("POST", "/v1/conversations", &json!({})));
            assert_eq!(
                refused.verdict(),
                "404 invalid_request_error unsupported_endpoint"
            );
        },
    );
}

/// One response at a time, whoever asks; a failure and a client that leaves let the next one in.
#[test]
fn two_responses_are_never_made_in_one_conversation_at_once() {
    let (_folder, places) = places();
    for place in places {
        let fal = ScriptedUpstream::start(one_and_two_later());
        let gateway = with(fal.setup(), &place).start();
        let conversation = made(&gateway, &json!({}));
        let mut body = within(&conversation, "One".into());
        body["stream"] = true.into();
        let mut first = gateway.open(&post(&body)).stream();
        first.until("output_text.delta");
        let second = gateway.call(&post(&within(&conversation, "Two".into())));
        assert_eq!(
            second.verdict(),
            "400 invalid_request_error conversation_locked"
        );
        let added = add(&gateway, &conversation, &json!([user("Three")]));
        assert_eq!(
            added.verdict(),
            "400 invalid_request_error conversation_locked"
        );
        assert_eq!(fal.requests(), 1);
        // Counting and reading change nothing.
        assert!(listed(&gateway, &conversation).is_empty());
        drop(first);
        until("the conversation is free", || {
            let added = add(&gateway, &conversation, &json!([user("Three")]));
            (added.status == 200).then_some(())
        });
        assert_eq!(
            listed(&gateway, &conversation).len(),
            1,
            "nothing of who has left"
        );
    }
}

#[test]
fn a_failure_adds_nothing_and_lets_the_next_in() {
    on_each(|_, gateway| {
        let conversation = made(gateway, &json!({}));
        let failed = gateway.call(&post(&within(
            &conversation,
            "/emulate error:0\nlong 40".into(),
        )));
        assert!(failed.status >= 400, "{}", failed.text());
        create(gateway, &within(&conversation, "Two".into()));
        assert_eq!(listed(gateway, &conversation).len(), 2);
    });
}

#[test]
fn a_conversation_that_is_deleted_meanwhile_takes_nothing_and_the_answer_says_so() {
    let (_folder, places) = places();
    for place in places {
        let fal = ScriptedUpstream::start(one_and_two_later());
        let gateway = with(fal.setup(), &place).start();
        let conversation = made(&gateway, &json!({}));
        let mut body = within(&conversation, "One".into());
        body["stream"] = true.into();
        let mut stream = gateway.open(&post(&body)).stream();
        stream.until("output_text.delta");
        let path = format!("/v1/conversations/{conversation}");
        assert_eq!(gateway.call(&Call::new("DELETE", &path)).status, 200);
        fal.open_gate();
        let (body, _) = stream.rest();
        let events = events(&body);
        let last = &events.last().unwrap()["response"];
        assert_eq!(
            (&last["store"], &last["conversation"]),
            (&json!(false), &Value::Null),
            "{body}"
        );
        assert_eq!(gateway.get(&path).status, 404);
    }
}

#[test]
fn a_conversation_of_somebody_else_is_not_there() {
    let hash = |key: &str| fal_gateway::config::KeyHash::of(key).to_string();
    let keys = format!("alice:{},bob:{}", hash("sk-alice"), hash("sk-bob"));
    on_each_with(
        |setup| setup.set("auth.keys", &keys),
        |_, gateway| {
            let by = |key: &str, call: Call| {
                gateway.call(&call.header("authorization", &format!("Bearer {key}")))
            };
            let body = json!({"items": [user("A secret")]});
            let own = id(&by("sk-alice", call("POST", "/v1/conversations", &body)).json());
            let path = format!("/v1/conversations/{own}/items");
            let item = by("sk-alice", Call::get(&path)).json()["first_id"].clone();
            let item = item.as_str().unwrap();
            let unknown = "conv_0000000000000000000000000000000000000000000000aa";
            let asks = |id: &str, item: &str| {
                let path = format!("/v1/conversations/{id}");
                let reference = json!([{"type": "item_reference", "id": item}]);
                let calls = [
                    Call::get(&path),
                    call("POST", &path, &json!({"metadata": {}})),
                    Call::new("DELETE", &path),
                    Call::get(&format!("{path}/items")),
                    call(
                        "POST",
                        &format!("{path}/items"),
                        &json!({"items": [user("x")]}),
                    ),
                    Call::get(&format!("{path}/items/{item}")),
                    Call::new("DELETE", &format!("{path}/items/{item}")),
                    post(&within(id, "And?".into())),
                    post(&request(reference)),
                ];
                let answers = calls.into_iter().map(|call| by("sk-bob", call));
                let said = answers.map(|answer| (answer.status, answer.text()));
                said.collect::<Vec<_>>()
            };
            let (foreign, none) = (asks(&own, item), asks(unknown, "msg_none"));
            for ((status, said), none) in foreign.into_iter().zip(none) {
                let said = said.replace(&own, unknown).replace(item, "msg_none");
                assert_eq!((status, said), none);
            }
            assert_eq!(
                by("sk-alice", Call::get(&path)).json()["data"]
                    .as_array()
                    .unwrap()
                    .len(),
                1
            );
        },
    );
}

#[test]
fn a_conversation_outlives_the_gateway_and_is_over_when_its_time_is() {
    let (_folder, places) = places();
    for place in places.into_iter().skip(1) {
        let fal = Emulated::start();
        let first = with(fal.setup(), &place).start();
        let conversation = made(&first, &json!({"items": [user("My name is Rumpel.")]}));
        first.begin_stop();
        first.finished();
        let second = with(fal.setup(), &place).start();
        create(&second, &within(&conversation, "Who am I?".into()));
        assert!(prompt(&fal).contains("Rumpel"));
    }
    on_each_with(
        |setup| setup.set("responses.retention", "1s"),
        |_, gateway| {
            let conversation = made(gateway, &json!({}));
            until("the conversation is over", || {
                let path = format!("/v1/conversations/{conversation}");
                (gateway.get(&path).status == 404).then_some(())
            });
            let refused = gateway.call(&post(&within(&conversation, "And?".into())));
            assert_eq!(refused.status, 404);
        },
    );
}

#[test]
fn a_conversation_that_does_not_fit_is_refused_and_one_that_is_used_stays() {
    on_each_with(
        |setup| setup.set("store.max_bytes", "128KiB"),
        |_, gateway| {
            let word = "word ".repeat(2000);
            let conversation = made(gateway, &json!({"items": [user(&word)]}));
            let large = json!({"items": [user(&word.repeat(10))]});
            let refused = gateway.call(&call("POST", "/v1/conversations", &large));
            assert_eq!(
                (refused.status, refused.error()["code"].as_str()),
                (503, Some("store_full"))
            );
            assert_eq!(add(gateway, &conversation, &large["items"]).status, 503);
            // Others go before it: it has been used last.
            for _ in 0..12 {
                create(gateway, &request(word.as_str().into()));
                let path = format!("/v1/conversations/{conversation}");
                gateway.call(&call("POST", &path, &json!({"metadata": {}})));
            }
            let response = create(gateway, &within(&conversation, word.as_str().into()));
            assert_eq!(response["store"], true);
            assert_eq!(listed(gateway, &conversation).len(), 3);
            let full = create(gateway, &within(&conversation, word.repeat(5).into()));
            assert_eq!(
                (&full["store"], &full["conversation"]),
                (&json!(false), &Value::Null)
            );
            assert_eq!(listed(gateway, &conversation).len(), 3);
        },
    );
}

/// Whoever shows keys that nobody knows takes no room from those whose keys are good.
#[test]
fn a_conversation_of_a_key_that_fal_has_not_seen_goes_first() {
    let fal = Emulated::start();
    let gateway = fal
        .setup()
        .without_fal_key()
        .set("store.max_bytes", "128KiB")
        .start();
    let by = |key: &str, call: Call| {
        gateway.call(&call.header("authorization", &format!("Bearer {key}")))
    };
    let kept = id(&by("good:secret", post(&request("Hello".into()))).json());
    let large = json!({"items": [user(&"word ".repeat(2000))]});
    for stranger in 0..30 {
        let made = by(
            &format!("s{stranger}:secret"),
            call("POST", "/v1/conversations", &large),
        );
        assert_eq!(made.status, 200, "{}", made.text());
    }
    let own = by("good:secret", Call::get(&format!("/v1/responses/{kept}")));
    assert_eq!(own.status, 200);
}

#[cfg(feature = "postgres")]
#[test]
fn a_conversation_is_held_on_all_gateways() {
    let (_folder, mut places) = places();
    let place = places.pop().unwrap();
    let fal = ScriptedUpstream::start(crate::support::silent_at_first());
    let gateways = [
        with(fal.setup(), &place).start(),
        with(fal.setup(), &place).start(),
    ];
    let conversation = made(&gateways[0], &json!({}));
    let mut body = within(&conversation, "One".into());
    body["stream"] = true.into();
    let held = gateways[0].open(&post(&body));
    fal.until_requests(1);
    let refused = gateways[1].call(&post(&within(&conversation, "Two".into())));
    assert_eq!(
        refused.verdict(),
        "400 invalid_request_error conversation_locked"
    );
    drop(held);
}
