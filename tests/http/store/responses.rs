//! Responses that are kept, on every engine: continued, read again, listed, deleted, forgotten.

use serde_json::{Value, json};

use super::{Place, places};
use crate::support::{Answer, Call, Emulated, Setup, TestGateway, until};

pub(super) fn with(setup: Setup, place: &Place) -> Setup {
    let settings = place.settings().into_iter();
    settings.fold(setup, |setup, (name, value)| setup.set(name, &value))
}

/// Runs a test against a gateway on each engine.
pub(super) fn on_each(test: impl Fn(&Emulated, &TestGateway)) {
    on_each_with(|setup| setup, test);
}

pub(super) fn on_each_with(
    settings: impl Fn(Setup) -> Setup,
    test: impl Fn(&Emulated, &TestGateway),
) {
    let (_folder, places) = places();
    for place in places {
        let fal = Emulated::start();
        let gateway = with(settings(fal.setup()), &place).start();
        ready(&gateway);
        test(&fal, &gateway);
    }
}

/// Waits until the gateway has heard of its store.
pub(super) fn ready(gateway: &TestGateway) {
    until("a gateway that is ready", || {
        (get(gateway, "resp_none").status != 503).then_some(())
    });
}

pub(super) fn request(input: Value) -> Value {
    json!({"model": "openai/gpt-4o-mini", "input": input})
}

pub(super) fn continuing(previous: &str, input: Value) -> Value {
    let mut request = request(input);
    request["previous_response_id"] = previous.into();
    request
}

pub(super) fn post(body: &Value) -> Call {
    let call = Call::new("POST", "/v1/responses").header("content-type", "application/json");
    call.body(body.to_string())
}

pub(super) fn create(gateway: &TestGateway, body: &Value) -> Value {
    let answer = gateway.call(&post(body));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// What fal was asked last.
pub(super) fn prompt(fal: &Emulated) -> String {
    let prompt = fal.ended()["body"]["prompt"].clone();
    prompt.as_str().unwrap().to_owned()
}

pub(super) fn id(response: &Value) -> String {
    response["id"].as_str().unwrap().to_owned()
}

pub(super) fn get(gateway: &TestGateway, id: &str) -> Answer {
    gateway.get(&format!("/v1/responses/{id}"))
}

pub(super) fn delete(gateway: &TestGateway, id: &str) -> Answer {
    gateway.call(&Call::new("DELETE", &format!("/v1/responses/{id}")))
}

/// The data of the events of a stream.
pub(super) fn events(body: &str) -> Vec<Value> {
    let data = body.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

/// A request in the form that people write, whose members have line breaks between them.
pub(super) fn laid_out(input: &str, rest: &Value) -> Call {
    let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let tools = json!([
        {"type": "function", "name": "weather", "strict": false, "parameters": parameters},
        {"type": "function", "name": "time", "parameters": parameters},
    ]);
    let mut body = request(input.into());
    let members = json!({"metadata": {"a": "b"}, "tools": tools});
    for more in [&members, rest] {
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
    }
    let body = serde_json::to_string_pretty(&body).unwrap();
    post(&Value::Null).body(body.replace('\n', "\r\n"))
}

/// The data of the events of a stream that has no line besides what makes up events.
pub(super) fn whole_events(stream: &str) -> Vec<Value> {
    for line in stream.split(['\n', '\r']) {
        let is_of_event = line.is_empty() || [':', 'e', 'd'].iter().any(|&of| line.starts_with(of));
        assert!(is_of_event, "{line:?} in {stream}");
    }
    events(stream)
}

#[test]
fn what_was_answered_can_be_read_again() {
    on_each(|_, gateway| {
        let response = create(gateway, &request("Hello".into()));
        assert_eq!(response["store"], true);
        let again = get(gateway, &id(&response));
        assert_eq!((again.status, again.json()), (200, response));
    });
}

#[test]
fn a_stream_can_be_read_again_as_soon_as_its_end_is_there() {
    on_each(|_, gateway| {
        let mut body = request("Hello".into());
        body["stream"] = true.into();
        let streamed = events(&gateway.call(&post(&body)).text());
        let last = &streamed.last().unwrap()["response"];
        assert_eq!(last["store"], true);
        let again = get(gateway, &id(last));
        assert_eq!((again.status, &again.json()), (200, last));
        let replayed = gateway.get(&format!("/v1/responses/{}?stream=true", id(last)));
        let replayed = events(&replayed.text());
        assert_eq!(&replayed.last().unwrap()["response"], last);
        let kinds = |events: &[Value]| {
            let kinds = events
                .iter()
                .map(|event| event["type"].as_str().unwrap().to_owned());
            let mut kinds: Vec<_> = kinds.collect();
            kinds.dedup();
            kinds
        };
        assert_eq!(kinds(&replayed), kinds(&streamed));
        let unclear = gateway.get(&format!("/v1/responses/{}?stream=True", id(last)));
        assert_eq!(
            (unclear.status, &unclear.error()["param"]),
            (400, &json!("stream"))
        );
        let late = format!("/v1/responses/{}?stream=true&starting_after=999", id(last));
        let late = events(&gateway.get(&late).text());
        assert_eq!(late.len(), 1);
        assert_eq!(&late[0]["response"], last);
    });
}

/// So that what is kept later comes behind what is kept already, and a store that is nearly full is written to
/// as fast as an empty one.
#[test]
fn an_id_begins_with_the_time_and_the_rest_of_it_is_drawn() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let now = || jiff::Timestamp::now().as_millisecond();
    let drawn = [(); 2].map(|()| {
        let before = now();
        let response = create(&gateway, &request("Hello".into()));
        let letters = id(&response).strip_prefix("resp_").unwrap().to_owned();
        let (time, drawn) = letters.split_at(12);
        let time = i64::from_str_radix(time, 16).unwrap();
        assert!((before..=now()).contains(&time), "{letters}");
        assert_eq!(drawn.len(), 36, "{letters}");
        let item = response["output"][0]["id"].as_str().unwrap();
        assert!(item.contains(&letters[..16]), "{item} of {letters}");
        assert!(!item.contains(&drawn[4..]), "{item} of {letters}");
        drawn.to_owned()
    });
    assert_ne!(drawn[0], drawn[1]);
}

/// Numbers that no reader takes, and halves of letters: whoever sends them gets them back.
#[test]
fn whatever_a_response_repeats_of_its_request_it_can_be_read_again() {
    on_each(|_, gateway| {
        for odd in ["1e999", r#""\ud800""#, "12345678901234567890123", "1E2"] {
            let tool = format!(r#"{{"type":"web_search","x":{odd}}}"#);
            let body =
                format!(r#"{{"model":"openai/gpt-4o-mini","input":"Hello","tools":[{tool}]}}"#);
            let answer = gateway.call(&post(&Value::Null).body(body));
            let text = answer.text().to_owned();
            let id = text.split('"').find(|part| part.starts_with("resp_"));
            let id = id.unwrap_or_else(|| panic!("{text}"));
            assert_eq!(get(gateway, id).text(), text);
            let replayed = gateway.get(&format!("/v1/responses/{id}?stream=true"));
            let replayed = replayed.text().to_owned();
            assert!(replayed.contains("event: response.completed"), "{replayed}");
            let member = format!("\"x\":{odd}");
            assert_eq!(replayed.matches(&member).count(), 3, "{replayed}");
        }
    });
}

#[test]
fn a_request_of_several_lines_makes_a_stream_of_whole_events() {
    on_each(|_, gateway| {
        let streamed = gateway.call(&laid_out("Hello", &json!({"stream": true})));
        let streamed = whole_events(&streamed.text());
        let last = &streamed.last().unwrap()["response"];
        assert_eq!(
            (&last["status"], &last["metadata"]["a"]),
            (&json!("completed"), &json!("b"))
        );
        assert_eq!(last["tools"][0]["parameters"]["type"], "object");
        let replayed = gateway.get(&format!("/v1/responses/{}?stream=true", id(last)));
        let replayed = whole_events(&replayed.text());
        assert_eq!(&replayed.last().unwrap()["response"], last);
    });
}

#[test]
fn a_response_that_continues_another_knows_all_that_was_said() {
    on_each(|fal, gateway| {
        let mut first = request(json!([{"role": "user", "content": "My name is Rumpel."}]));
        first["instructions"] = "Speak like a pirate.".into();
        let first = create(gateway, &first);
        let second = create(
            gateway,
            &continuing(&id(&first), "I live in Osterwald.".into()),
        );
        assert_eq!(second["previous_response_id"], first["id"]);
        create(gateway, &continuing(&id(&second), "Who am I?".into()));
        let asked = prompt(fal);
        let said = first["output"][0]["content"][0]["text"].as_str().unwrap();
        let order = [
            "My name is Rumpel.",
            said,
            "I live in Osterwald.",
            "Who am I?",
        ];
        let places = order.map(|text| {
            asked
                .find(text)
                .unwrap_or_else(|| panic!("{text} in {asked}"))
        });
        assert!(places.is_sorted(), "{asked}");
        assert!(!asked.contains("pirate"), "instructions are not inherited");
    });
}

#[test]
fn two_may_continue_one_and_know_nothing_of_each_other() {
    on_each(|fal, gateway| {
        let first = id(&create(gateway, &request("One".into())));
        let left = id(&create(gateway, &continuing(&first, "Left".into())));
        create(gateway, &continuing(&first, "Right".into()));
        assert!(!fal.ended()["body"].to_string().contains("Left"));
        create(gateway, &continuing(&left, "On".into()));
        let asked = fal.ended()["body"].to_string();
        assert!(
            asked.contains("Left") && !asked.contains("Right"),
            "{asked}"
        );
    });
}

#[test]
fn an_item_that_is_named_by_its_id_is_the_item() {
    on_each(|fal, gateway| {
        let first = create(gateway, &request("Hello".into()));
        let item = &first["output"][0];
        for reference in [
            json!({"type": "item_reference", "id": item["id"]}),
            json!({"id": item["id"]}),
        ] {
            let thought = json!({"type": "item_reference", "id": "rs_gone"});
            let input = json!([{"role": "user", "content": "Hello"}, thought, reference, {"role": "user", "content": "More"}]);
            let second = create(gateway, &request(input));
            let said = item["content"][0]["text"].as_str().unwrap();
            assert!(prompt(fal).contains(said));
            let listed = gateway.get(&format!(
                "/v1/responses/{}/input_items?order=asc",
                id(&second)
            ));
            assert_eq!(&listed.json()["data"][1], item);
        }
        assert_eq!(delete(gateway, &id(&first)).status, 200);
        let unknown = json!([{"type": "item_reference", "id": "msg_unknown"}]);
        let refused = gateway.call(&post(&request(unknown)));
        assert_eq!(
            refused.verdict(),
            "404 invalid_request_error item_not_found"
        );
        assert!(
            refused
                .text()
                .contains("Item with id 'msg_unknown' not found.")
        );
    });
}

#[test]
fn what_is_deleted_is_gone_and_what_grew_out_of_it_says_so() {
    on_each(|fal, gateway| {
        let first = id(&create(gateway, &request("One".into())));
        let second = id(&create(gateway, &continuing(&first, "Two".into())));
        let deleted = delete(gateway, &first);
        let expected = json!({"id": first, "object": "response", "deleted": true});
        assert_eq!((deleted.status, deleted.json()), (200, expected));
        assert_eq!(delete(gateway, &first).status, 404);
        assert_eq!(get(gateway, &first).status, 404);
        assert_eq!(get(gateway, &second).status, 200);
        let calls = fal.count();
        for (previous, says) in [(&first, "not found"), (&second, first.as_str())] {
            let refused = gateway.call(&post(&continuing(previous, "Three".into())));
            assert_eq!(
                refused.verdict(),
                "400 invalid_request_error previous_response_not_found"
            );
            assert_eq!(refused.error()["param"], "previous_response_id");
            assert!(refused.text().contains(says), "{}", refused.text());
        }
        assert_eq!(fal.count(), calls);
    });
}

#[test]
fn nothing_is_kept_of_who_says_so() {
    on_each(|_, gateway| {
        let first = id(&create(gateway, &request("One".into())));
        let mut body = continuing(&first, "Two".into());
        body["store"] = false.into();
        let second = create(gateway, &body);
        assert_eq!(second["store"], false);
        assert_eq!(get(gateway, &id(&second)).status, 404);
        let refused = gateway.call(&post(&continuing(&id(&second), "Three".into())));
        assert_eq!(refused.status, 400);
    });
    on_each_with(
        |setup| setup.set("responses.store", "false"),
        |_, gateway| {
            let response = create(gateway, &request("One".into()));
            assert_eq!(response["store"], false);
            assert_eq!(get(gateway, &id(&response)).status, 404);
        },
    );
}

#[test]
fn what_was_asked_is_listed_in_pages() {
    on_each(|_, gateway| {
        let messages = (0..25).map(|at| match at % 2 {
            0 => json!({"role": "user", "content": format!("n{at}")}),
            _ => json!({"type": "message", "id": format!("own_{at}"), "role": "assistant", "content": format!("n{at}")}),
        });
        let response = id(&create(gateway, &request(messages.collect())));
        let page =
            |query: &str| gateway.get(&format!("/v1/responses/{response}/input_items?{query}"));
        let texts = |page: &Value| {
            let items = page["data"].as_array().unwrap().iter();
            items
                .map(|item| item["content"][0]["text"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let newest = page("").json();
        assert_eq!(texts(&newest).len(), 20);
        assert_eq!(texts(&newest)[0], "n24");
        assert_eq!(newest["has_more"], true);
        assert_eq!(newest["first_id"], newest["data"][0]["id"]);
        let rest = page(&format!("after={}", newest["last_id"].as_str().unwrap())).json();
        assert_eq!(texts(&rest), ["n4", "n3", "n2", "n1", "n0"]);
        assert_eq!(rest["has_more"], false);
        let oldest = page("order=asc&limit=3").json();
        assert_eq!(texts(&oldest), ["n0", "n1", "n2"]);
        assert_eq!(oldest["data"][1]["id"], "own_1");
        assert_eq!(oldest["data"][0]["content"][0]["type"], "input_text");
        assert_eq!(oldest["data"][1]["content"][0]["type"], "output_text");
        for bad in ["limit=0", "limit=101", "order=up"] {
            assert_eq!(
                page(bad).verdict(),
                "400 invalid_request_error invalid_value",
                "{bad}"
            );
        }
        for after in ["nothing", ""] {
            assert_no_place(&page(&format!("after={after}")), &response);
        }
    });
}

/// Whoever asks for what is behind nothing is told of that, and not that the list is gone.
pub(super) fn assert_no_place(answer: &Answer, list: &str) {
    assert_eq!(answer.verdict(), "404 invalid_request_error item_not_found");
    assert_eq!(answer.error()["param"], "after");
    assert!(!answer.text().contains(list), "{}", answer.text());
}

/// What was asked, page by page: the id and the text of each item.
fn asked_in_pages(gateway: &TestGateway, response: &str) -> Vec<(String, String)> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/responses/{response}/input_items?order=asc&limit=10{after}");
        let page = gateway.get(&path).json();
        for item in page["data"].as_array().unwrap() {
            let text = item["content"][0]["text"].as_str().unwrap();
            all.push((id(item), text.to_owned()));
        }
        after = format!("&after={}", page["last_id"].as_str().unwrap());
        assert!(all.len() <= 100, "{all:?}");
        if page["has_more"] == false {
            return all;
        }
    }
}

#[test]
fn items_that_are_sent_under_one_id_are_told_apart() {
    on_each(|_, gateway| {
        let texts: Vec<String> = (0..30).map(|at| format!("n{at}")).collect();
        let items = texts
            .iter()
            .map(|text| json!({"type": "message", "id": "d", "role": "user", "content": text}));
        let first = create(gateway, &request(items.collect()));
        let listed = asked_in_pages(gateway, &id(&first));
        assert_eq!(listed[0].0, "d");
        let told: Vec<_> = listed.iter().map(|(_, text)| text.clone()).collect();
        assert_eq!(told, texts);
        let ids: std::collections::BTreeSet<_> = listed.iter().map(|(id, _)| id).collect();
        assert_eq!(ids.len(), 30);
        // Named, and sent besides.
        let item = &first["output"][0];
        let name = json!({"type": "item_reference", "id": item["id"]});
        for both in [json!([item, name]), json!([name, item])] {
            let mut input = both.as_array().unwrap().clone();
            input.push(json!({"role": "user", "content": "More"}));
            let second = create(gateway, &request(input.into()));
            let listed = asked_in_pages(gateway, &id(&second));
            assert_eq!(listed[0].0, id(item));
            assert_ne!(listed[1].0, id(item));
            assert_eq!(listed[0].1, listed[1].1);
        }
    });
}

#[test]
fn an_item_with_a_long_id_is_kept_under_another() {
    on_each(|_, gateway| {
        // Nothing that a server could pack.
        let long: String = (0..80).map(|_| uuid::Uuid::new_v4().to_string()).collect();
        for (own, is_kept) in [
            (&long[..], false),
            (&long[..65], false),
            (&long[..64], true),
        ] {
            let message = json!({"type": "message", "id": own, "role": "user", "content": "Hello"});
            let mut body = request(json!([message]));
            let response = create(gateway, &body);
            assert_eq!(response["store"], true);
            let listed = asked_in_pages(gateway, &id(&response));
            assert_eq!(listed[0].0 == own, is_kept, "{listed:?}");
            assert!(listed[0].0.len() <= 64, "{listed:?}");
            let name = json!({"type": "item_reference", "id": listed[0].0});
            create(gateway, &request(json!([name])));
            body["background"] = true.into();
            create(gateway, &body);
        }
    });
}

/// OpenAI's own form has no `call_id`: the output names the item of its call.
#[test]
fn the_output_of_a_shell_may_name_the_item_of_its_call() {
    on_each(|fal, gateway| {
        let action = json!({"type": "exec", "command": ["ls"], "env": {}});
        let call = json!({"type": "local_shell_call", "id": "lsh_1", "call_id": "call_1", "status": "completed", "action": action});
        let output = json!({"type": "local_shell_call_output", "id": "lsh_1", "output": "seen it"});
        let user = json!({"role": "user", "content": "Look"});
        let first = create(gateway, &request(json!([user, call, output])));
        assert!(prompt(fal).contains("seen it"));
        create(gateway, &continuing(&id(&first), "And?".into()));
        assert!(prompt(fal).contains("seen it"));
        let unknown = json!({"type": "local_shell_call_output", "id": "lsh_2", "output": "x"});
        let refused = gateway.call(&post(&request(json!([user, call, unknown]))));
        assert_eq!(refused.error()["param"], "input[2].call_id");
    });
}

/// Whatever the items of calls are kept under, their outputs find them in every request that goes on.
#[test]
fn the_output_of_a_shell_finds_its_call_in_what_is_kept() {
    on_each(|fal, gateway| {
        let action = |word: &str| json!({"type": "exec", "command": ["echo", word], "env": {}});
        let long = "l".repeat(65);
        let call = |id: &str, call_id: Option<&str>, word: &str| json!({"type": "local_shell_call", "id": id, "call_id": call_id, "action": action(word)});
        let output = |id: &str, said: &str| json!({"type": "local_shell_call_output", "id": id, "output": said});
        let named =
            json!({"type": "local_shell_call_output", "call_id": long, "output": "wrote four"});
        for (input, said) in [
            (
                vec![call(&long, None, "x"), output(&long, "wrote one")],
                vec!["wrote one"],
            ),
            (
                vec![call(&long, Some("c1"), "x"), output(&long, "wrote two")],
                vec!["wrote two"],
            ),
            (
                vec![call(&long, Some("c1"), "x"), named],
                vec!["wrote four"],
            ),
            (
                vec![
                    call("same", Some("c1"), "x"),
                    output("same", "wrote five"),
                    call("same", Some("c2"), "y"),
                    output("same", "wrote six"),
                ],
                vec!["wrote five", "wrote six"],
            ),
            (
                vec![
                    call("same", None, "x"),
                    output("same", "wrote seven"),
                    call("same", None, "y"),
                    output("same", "wrote eight"),
                ],
                vec!["wrote seven", "wrote eight"],
            ),
        ] {
            let first = create(gateway, &request(json!(input)));
            let asked = prompt(fal);
            create(gateway, &continuing(&id(&first), "And?".into()));
            let again = prompt(fal);
            for said in said {
                assert!(asked.contains(said) && again.contains(said), "{again}");
            }
        }
        let calls = json!([
            call("same", Some("c1"), "x"),
            call("same", Some("c2"), "y"),
            output("same", "z"),
            output("c1", "z")
        ]);
        let first = create(gateway, &request(calls));
        let listed = gateway.get(&format!(
            "/v1/responses/{}/input_items?order=asc",
            id(&first)
        ));
        let listed = listed.json();
        let call_ids = [0, 1, 2, 3].map(|at| listed["data"][at]["call_id"].clone());
        assert_eq!(call_ids, ["c1", "c2", "c2", "c1"]);
    });
}

/// Items that are named may be longer than a request can be, without any conversation.
#[test]
fn names_of_too_much_are_told_as_what_they_are() {
    on_each_with(
        |setup| setup.set("server.max_body", "64KiB"),
        |_, gateway| {
            let text = "x".repeat(40 << 10);
            let names = [0, 1].map(|_| {
                let response = create(gateway, &request(text.as_str().into()));
                let (name, _) = asked_in_pages(gateway, &id(&response)).remove(0);
                json!({"type": "item_reference", "id": name})
            });
            let refused = gateway.call(&post(&request(json!(names))));
            assert_eq!(
                refused.verdict(),
                "400 invalid_request_error context_length_exceeded"
            );
            assert_eq!(refused.error()["param"], "input");
            let message = "The items that 'input' names are too long together. Name fewer of them.";
            assert_eq!(refused.error()["message"], message);
        },
    );
}

#[test]
fn what_is_anothers_is_not_there() {
    let hash = |key: &str| fal_gateway::config::KeyHash::of(key).to_string();
    let keys = format!("alice:{},bob:{}", hash("sk-alice"), hash("sk-bob"));
    on_each_with(
        |setup| setup.set("auth.keys", &keys),
        |_, gateway| {
            let by = |key: &str, call: Call| {
                gateway.call(&call.header("authorization", &format!("Bearer {key}")))
            };
            let response = by("sk-alice", post(&request("A secret".into()))).json();
            let (own, item) = (id(&response), response["output"][0]["id"].clone());
            assert_eq!(
                by("sk-alice", Call::get(&format!("/v1/responses/{own}"))).status,
                200
            );
            let unknown = "resp_0000000000000000000000000000000000000000000000aa";
            let reference =
                |id: &Value| post(&request(json!([{"type": "item_reference", "id": id}])));
            let asks = |id: &str, item: &Value| {
                let paths = [
                    ("GET", ""),
                    ("GET", "?stream=true"),
                    ("GET", "/input_items"),
                    ("POST", "/cancel"),
                    ("DELETE", ""),
                ];
                let paths = paths
                    .map(|(method, rest)| Call::new(method, &format!("/v1/responses/{id}{rest}")));
                let bodies = [post(&continuing(id, "And?".into())), reference(item)];
                let answers = paths
                    .into_iter()
                    .chain(bodies)
                    .map(|call| by("sk-bob", call));
                let said = answers.map(|answer| {
                    (
                        answer.status,
                        answer.error()["message"].as_str().unwrap().to_owned(),
                    )
                });
                said.collect::<Vec<_>>()
            };
            let (foreign, none) = (asks(&own, &item), asks(unknown, &json!("msg_none")));
            let item = item.as_str().unwrap();
            for ((status, said), (none_status, none_said)) in foreign.into_iter().zip(none) {
                let said = said.replace(&own, unknown).replace(item, "msg_none");
                assert_eq!((status, said), (none_status, none_said));
            }
            assert_eq!(
                by("sk-alice", Call::get(&format!("/v1/responses/{own}"))).status,
                200
            );
        },
    );
}

#[test]
fn a_fal_key_that_callers_bring_is_an_owner() {
    let (_folder, places) = places();
    for place in places {
        let fal = Emulated::start();
        let gateway = with(fal.setup().without_fal_key(), &place).start();
        let by = |key: &str, call: Call| {
            gateway.call(&call.header("authorization", &format!("Bearer {key}")))
        };
        let response = by("one:secret", post(&request("Hello".into()))).json();
        let path = format!("/v1/responses/{}", id(&response));
        assert_eq!(by("one:secret", Call::get(&path)).status, 200);
        assert_eq!(by("two:secret", Call::get(&path)).status, 404);
    }
}

#[test]
fn what_was_kept_outlives_the_gateway() {
    let (_folder, places) = places();
    for place in places.into_iter().skip(1) {
        let fal = Emulated::start();
        let start = || with(fal.setup().without_fal_key(), &place).start();
        let by = |gateway: &TestGateway, call: Call| {
            gateway.call(&call.header("authorization", "Bearer one:secret"))
        };
        let first = start();
        let response = by(&first, post(&request("My name is Rumpel.".into()))).json();
        first.begin_stop();
        first.finished();
        let second = start();
        by(
            &second,
            post(&continuing(&id(&response), "Who am I?".into())),
        );
        assert!(fal.ended()["body"].to_string().contains("Rumpel"));
        let path = format!("/v1/responses/{}", id(&response));
        assert_eq!(by(&second, Call::get(&path)).json(), response);
    }
}

#[test]
fn what_is_over_is_gone() {
    on_each_with(
        |setup| setup.set("responses.retention", "1s"),
        |_, gateway| {
            let response = id(&create(gateway, &request("Hello".into())));
            until("the response is over", || {
                (get(gateway, &response).status == 404).then_some(())
            });
            let refused = gateway.call(&post(&continuing(&response, "And?".into())));
            assert_eq!(refused.status, 400);
        },
    );
}

#[test]
fn the_oldest_make_room_and_what_is_too_large_is_delivered_all_the_same() {
    on_each_with(
        |setup| setup.set("store.max_bytes", "128KiB"),
        |_, gateway| {
            let text = "word ".repeat(2000);
            let made: Vec<String> = (0..12)
                .map(|_| id(&create(gateway, &request(text.as_str().into()))))
                .collect();
            assert_eq!(get(gateway, &made[0]).status, 404);
            assert_eq!(get(gateway, &made[11]).status, 200);
            let large = gateway.call(&post(&request(text.repeat(10).into())));
            assert_eq!(large.status, 200);
            assert_eq!(large.json()["store"], false);
            assert!(large.header("x-gateway-ignored").unwrap().contains("store"));
            assert_eq!(get(gateway, &id(&large.json())).status, 404);
            gateway.until_metric("fal_gateway_store_failures_total{kind=\"no_room\"}", 1.0);
            assert_eq!(get(gateway, &made[11]).status, 200);
        },
    );
}

#[cfg(feature = "postgres")]
#[test]
fn while_the_store_is_away_answers_are_delivered_and_called_not_kept() {
    use crate::support::{PostgresServer, Relay};
    let (line, url) = Relay::to(&PostgresServer::database());
    let fal = Emulated::start();
    let setup = fal
        .setup()
        .set("store.timeout", "300ms")
        .set("store.url", &url);
    let gateway = setup.start();
    let first = until("the store is met", || {
        let response = create(&gateway, &request("Hello".into()));
        (response["store"] == true).then_some(response)
    });
    for trouble in [Relay::stall as fn(&Relay), Relay::cut] {
        trouble(&line);
        let response = create(&gateway, &request("Hello".into()));
        assert_eq!(response["store"], false);
        let mut body = request("Hello".into());
        body["stream"] = true.into();
        let streamed = events(&gateway.call(&post(&body)).text());
        let last = streamed.last().unwrap();
        assert_eq!(
            (&last["type"], &last["response"]["store"]),
            (&json!("response.completed"), &json!(false))
        );
        let calls = fal.count();
        for call in [
            Call::get(&format!("/v1/responses/{}", id(&first))),
            post(&continuing(&id(&first), "And?".into())),
        ] {
            let refused = gateway.call(&call);
            assert_eq!(refused.status, 503);
            assert_eq!(refused.error()["code"], "store_unavailable");
        }
        assert_eq!(
            fal.count(),
            calls,
            "nothing is sent that would be without its past"
        );
        line.flow();
        until("the store is back", || {
            (get(&gateway, &id(&first)).status == 200).then_some(())
        });
    }
}

#[cfg(feature = "postgres")]
#[test]
fn two_gateways_on_one_server_are_one() {
    use crate::support::PostgresServer;
    let place = Place::Server(PostgresServer::database());
    let fal = Emulated::start();
    let gateways = [
        with(fal.setup(), &place).start(),
        with(fal.setup(), &place).start(),
    ];
    let mut previous = id(&create(&gateways[0], &request("turn 0".into())));
    for turn in 1..8 {
        let body = continuing(&previous, format!("turn {turn}").into());
        previous = id(&create(&gateways[turn % 2], &body));
    }
    let asked = fal.ended()["body"].to_string();
    assert!(
        (0..8).all(|turn| asked.contains(&format!("turn {turn}"))),
        "{asked}"
    );
    assert_eq!(delete(&gateways[0], &previous).status, 200);
    assert_eq!(get(&gateways[1], &previous).status, 404);
}

#[test]
fn a_long_chain_stays_quick() {
    on_each(|fal, gateway| {
        let mut previous = id(&create(gateway, &request("turn 0".into())));
        for turn in 1..60 {
            previous = id(&create(
                gateway,
                &continuing(&previous, format!("turn {turn}").into()),
            ));
        }
        let asked = fal.ended()["body"].to_string();
        assert!((0..60).all(|turn| asked.contains(&format!("turn {turn}"))));
    });
}

#[test]
fn a_response_that_fails_in_mid_stream_says_that_it_is_not_kept() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let mut body = request("/emulate error:2\nlong 40".into());
    body["stream"] = true.into();
    let text = gateway.call(&post(&body)).text().to_owned();
    let events = events(&text);
    let failed = events
        .iter()
        .find(|event| event["type"] == "response.failed");
    let failed = failed.unwrap_or_else(|| panic!("{text}"));
    assert_eq!(failed["response"]["store"], false);
    assert_eq!(get(&gateway, &id(&failed["response"])).status, 404);
}

/// A name of a few letters stands for a text of any length.
#[test]
fn an_item_is_named_once_in_a_request() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let response = create(&gateway, &request("Hello".into()));
    let name = json!({"type": "item_reference", "id": response["output"][0]["id"]});
    let last = json!({"role": "user", "content": "And?"});
    let once = request(json!([name, last]));
    assert_eq!(gateway.call(&post(&once)).status, 200);
    let twice = gateway.call(&post(&request(json!([name, name, last]))));
    assert_eq!(twice.status, 400);
    let error = twice.json()["error"].take();
    assert_eq!(error["param"], "input");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .starts_with("Duplicate item found")
    );
}

#[test]
fn the_tokens_of_a_conversation_that_goes_on_are_all_counted() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    let count = |body: &Value| {
        let call = Call::new("POST", "/v1/responses/input_tokens");
        let call = call.header("content-type", "application/json");
        let answer = gateway.call(&call.body(body.to_string()));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["input_tokens"].as_u64().unwrap()
    };
    let first = create(
        &gateway,
        &request("a fairly long beginning of a conversation".into()),
    );
    let alone = count(&request("And?".into()));
    let whole = count(&continuing(&id(&first), "And?".into()));
    assert!(whole > alone + 10, "{whole} {alone}");
}

/// A conversation that goes on outlives its first responses, and so does the right to delete them.
#[test]
fn what_a_conversation_still_uses_can_be_deleted() {
    on_each_with(
        |setup| setup.set("responses.retention", "2s"),
        |_, gateway| {
            let first = create(gateway, &request("Hello".into()));
            let mut last = first.clone();
            until("the first response is too old to be read", || {
                last = create(gateway, &continuing(&id(&last), "And?".into()));
                (get(gateway, &id(&first)).status == 404).then_some(())
            });
            assert_eq!(delete(gateway, &id(&first)).status, 200);
            let next = gateway.call(&post(&continuing(&id(&last), "And?".into())));
            assert_eq!(next.status, 400, "{}", next.text());
        },
    );
}

#[test]
fn an_id_with_a_nul_is_that_of_nothing() {
    on_each(|_, gateway| {
        let asked = gateway.call(&post(&continuing("a\0", "x".into())));
        assert_eq!(asked.status, 400, "{}", asked.text());
        assert_eq!(get(gateway, "resp_a%00").status, 404);
    });
}
