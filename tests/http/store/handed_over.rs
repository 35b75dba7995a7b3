//! What responses in the background cost whose gateway stops while fal works on them: every call is
//! charged once, whoever reads it, and also where nobody does.

use fal_gateway::config::KeyHash;
use fal_gateway::store::Transaction;

use super::background::{background, cancellations, submissions};
use super::killed::lasting;
use super::ledger::{rows, soon};
use super::responses::{id, post, request, with};
use super::{Place, run};
use crate::support::{Answer, Call, Emulated, Process, Setup, TestGateway, until};
use serde_json::{Value, json};

/// A client key in a project, with these budgets.
pub(super) fn key(name: &str, budgets: &str) -> String {
    let hash = KeyHash::of(name);
    format!(
        "[[keys]]\nname = \"{name}\"\nhash = \"{hash}\"\nproject = \"web\"\nbudgets = [{budgets}]\n\
         [[projects]]\nname = \"web\"\nbudgets = [\"90/total\"]\n"
    )
}

pub(super) fn call(gateway: &TestGateway, call: Call) -> Answer {
    gateway.call(&call.header("authorization", "Bearer ci"))
}

fn begin(gateway: &TestGateway, body: &Value) -> String {
    let answer = call(gateway, post(body));
    assert_eq!(answer.status, 200, "{}", answer.text());
    id(&answer.json())
}

fn completed(gateway: &TestGateway, id: &str) {
    until("the end of the response", || {
        let found = call(gateway, Call::get(&format!("/v1/responses/{id}")));
        (found.json()["status"] == "completed").then_some(())
    });
}

fn stop(gateway: &TestGateway) {
    gateway.begin_stop();
    gateway.finished();
}

/// What is used of the budget of an owner, in its limit and beyond it. Nothing is in hand any more.
pub(super) fn used(place: &Place, owner: &'static str) -> (i64, i64) {
    let read = async move |transaction: &Transaction<'_>| {
        let sql = "select used, beyond, leased from budget_window where owner = $1";
        let row = transaction.first(sql, &[owner.into()]).await?.unwrap();
        assert_eq!(row.integer(2)?, 0);
        Ok((row.integer(0)?, row.integer(1)?))
    };
    run(place.open().read(soon(), read)).unwrap()
}

/// Who paid what, and how certain that is.
pub(super) fn charged(place: &Place) -> Vec<(String, i64, String)> {
    let rows = rows(&place.open()).into_iter();
    rows.map(|row| {
        assert!(!row.fal_request.is_empty(), "{row:?}");
        (row.key, row.units, row.billed)
    })
    .collect()
}

pub(super) fn row(key: &str, billed: &str) -> (String, i64, String) {
    (key.to_owned(), 1000, billed.to_owned())
}

pub(super) fn setup(fal: &Emulated, place: &Place, keys: &str) -> Setup {
    with(fal.setup(), place).file(keys)
}

#[test]
fn what_does_not_fit_any_more_is_read_and_charged_beyond_the_budget() {
    let (_folder, places) = lasting();
    for place in places {
        let fal = Emulated::start();
        let first = setup(&fal, &place, &key("ci", "\"2/total\"")).start();
        let begun = begin(&first, &background("Hello /emulate latency:2s"));
        assert_eq!(call(&first, post(&request("Hello".into()))).status, 200);
        stop(&first);
        assert_eq!(used(&place, "key/ci"), (1000, 0));
        // What is left is gone before the other gateway takes the job.
        let second = setup(&fal, &place, &key("ci", "\"1/total\"")).start();
        completed(&second, &begun);
        stop(&second);
        assert_eq!(used(&place, "key/ci"), (1000, 1000));
        assert_eq!(used(&place, "project/web"), (2000, 0));
        assert_eq!(charged(&place), [row("ci", "yes"), row("ci", "yes")]);
        assert_eq!(submissions(&fal).len(), 2);
    }
}

#[test]
fn calls_that_had_ended_before_are_charged_once() {
    let (_folder, places) = lasting();
    for place in places {
        let fal = Emulated::start();
        let first = setup(&fal, &place, &key("ci", "\"9/total\"")).start();
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
        let mut body = background("What is the weather in Paris? /emulate tool:none latency:1s");
        body["tool_choice"] = "required".into();
        body["tools"] = json!([tool("get_weather"), tool("get_climate")]);
        let begun = begin(&first, &body);
        until("the second call", || {
            (submissions(&fal).len() == 2).then_some(())
        });
        stop(&first);
        assert_eq!(used(&place, "key/ci"), (0, 0));
        let second = setup(&fal, &place, &key("ci", "\"9/total\"")).start();
        completed(&second, &begun);
        stop(&second);
        assert_eq!(used(&place, "key/ci"), (2000, 0));
        assert_eq!(charged(&place), [row("ci", "yes"), row("ci", "yes")]);
        assert_eq!(submissions(&fal).len(), 2);
    }
}

#[test]
fn calls_of_a_key_that_is_gone_are_charged_to_its_project() {
    let (_folder, places) = lasting();
    for place in places {
        let fal = Emulated::start();
        let first = setup(&fal, &place, &key("ci", "\"9/total\"")).start();
        begin(&first, &background("Hello /emulate hang"));
        stop(&first);
        let second = setup(&fal, &place, &key("other", "")).start();
        until("the call off at fal", || {
            (cancellations(&fal) == 1).then_some(())
        });
        until("the row", || (charged(&place).len() == 1).then_some(()));
        stop(&second);
        assert_eq!(charged(&place), [row("ci", "maybe")]);
        assert_eq!(used(&place, "project/web"), (1000, 0));
    }
}

#[test]
fn calls_of_a_response_that_is_called_off_while_nobody_has_it_are_charged() {
    let (_folder, places) = lasting();
    for place in places {
        let fal = Emulated::start();
        // Nobody goes on with it before its owner shows the key for fal again.
        let start = || with(fal.setup().without_fal_key(), &place).start();
        let own = |call: Call| call.header("authorization", "Bearer kid:ksecret");
        let first = start();
        let begun = first.call(&own(post(&background("Hello /emulate hang"))));
        let begun = id(&begun.json());
        stop(&first);
        assert_eq!(charged(&place), []);
        let second = start();
        let off = Call::new("POST", &format!("/v1/responses/{begun}/cancel"));
        let off = until("the store is met", || {
            let off = second.call(&own(off.clone()));
            (off.status != 503).then_some(off)
        });
        assert_eq!(off.json()["status"], "cancelled");
        stop(&second);
        assert_eq!(charged(&place), [row("", "maybe")]);
    }
}

#[test]
fn where_nobody_can_go_on_the_last_gateway_settles_and_calls_off() {
    let fal = Emulated::start();
    let (process, address) = Process::serving(&fal.setup());
    let mut raw = process.connect(address);
    raw.send(&post(&background("Hello /emulate hang")).to_bytes());
    assert_eq!(raw.answer().status, 200);
    process.signal("TERM");
    let lines = process.until_requests(2);
    let made = lines.iter().find(|line| line["route"] == "background");
    assert_eq!(made.unwrap()["fal.billed"], "maybe", "{lines:?}");
    until("the call off at fal", || {
        (cancellations(&fal) == 1).then_some(())
    });
}
