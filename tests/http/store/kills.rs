//! A gateway that is killed, at any moment: what a client was told holds afterwards, and nothing
//! that is half done is served.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::responses::{events, with};
use super::{Place, places};
use crate::support::{
    Answer, Call, Process, ScriptedUpstream, Setup, one_and_two_later, silent_at_first, until,
};

/// A gateway of its own process, on a place that outlives it.
pub(super) struct Victim {
    process: Process,
    address: SocketAddr,
}

impl Victim {
    pub(super) fn start(setup: &Setup) -> Self {
        let (process, address) = Process::serving(setup);
        let victim = Self { process, address };
        until("the store is met", || {
            (victim.get("/v1/models").status != 503).then_some(())
        });
        victim
    }

    pub(super) fn open(&self, call: &Call) -> crate::support::Raw {
        let mut raw = self.process.connect(self.address);
        raw.send(&call.to_bytes());
        raw
    }

    pub(super) fn call(&self, call: &Call) -> Answer {
        self.open(call).answer()
    }

    fn get(&self, path: &str) -> Answer {
        self.call(&Call::get(path))
    }

    pub(super) fn kill(mut self) {
        self.process.signal("KILL");
        self.process.exit();
    }
}

fn post(path: &str, body: &Value) -> Call {
    let call = Call::new("POST", path).header("content-type", "application/json");
    call.body(body.to_string())
}

fn streamed(conversation: &str, key: &str) -> Call {
    let body = json!({
        "model": "openai/gpt-4o-mini", "input": "hi", "stream": true, "conversation": conversation,
    });
    post("/v1/responses", &body).header("idempotency-key", key)
}

fn conversation(victim: &Victim) -> String {
    let made = victim.call(&post("/v1/conversations", &json!({})));
    made.json()["id"].as_str().unwrap().to_owned()
}

fn items(victim: &Victim, conversation: &str) -> Vec<Value> {
    let listed = victim.get(&format!("/v1/conversations/{conversation}/items?order=asc"));
    assert_eq!(listed.status, 200, "{}", listed.text());
    listed.json()["data"].as_array().unwrap().clone()
}

/// The places that outlive a process.
fn lasting() -> (tempfile::TempDir, Vec<Place>) {
    let (folder, places) = places();
    (folder, places.into_iter().skip(1).collect())
}

/// Whether fal has the request and says nothing yet, or has begun to answer: nothing is there
/// afterwards, and who repeats the request with its key is not made to pay again.
#[test]
fn what_was_not_complete_is_not_there() {
    let (_folder, places) = lasting();
    for place in places {
        for (script, sign) in [
            (silent_at_first(), None),
            (one_and_two_later(), Some("one")),
        ] {
            let fal = ScriptedUpstream::start(script);
            let setup = with(fal.setup(), &place);
            let first = Victim::start(&setup);
            let conversation = conversation(&first);
            let key = format!("key-{}", sign.unwrap_or("none"));
            let raw = first.open(&streamed(&conversation, &key));
            fal.until_requests(1);
            let id = sign.map(|sign| {
                let mut stream = raw.stream();
                let created = events(
                    stream
                        .until("response.created")
                        .split("\n\n")
                        .next()
                        .unwrap(),
                );
                stream.until(sign);
                created[0]["response"]["id"].as_str().unwrap().to_owned()
            });
            first.kill();
            let second = Victim::start(&setup);
            assert!(items(&second, &conversation).is_empty());
            if let Some(id) = id {
                assert_eq!(second.get(&format!("/v1/responses/{id}")).status, 404);
            }
            let again = second.call(&streamed(&conversation, &key));
            assert_eq!(
                again.verdict(),
                "409 invalid_request_error idempotency_answer_lost"
            );
            assert_eq!(fal.requests(), 1);
            // Nobody holds the conversation any more.
            let item = json!({"items": [{"role": "user", "content": "x"}]});
            let path = format!("/v1/conversations/{conversation}/items");
            until("the conversation is free", || {
                (second.call(&post(&path, &item)).status == 200).then_some(())
            });
            second.kill();
        }
    }
}

/// Killed about when the answer is kept: it is there as a whole or not at all, and it is there if
/// its end was told.
#[test]
fn what_was_told_to_be_kept_is_there() {
    let (_folder, places) = lasting();
    for place in places {
        let mut told = 0;
        for after_us in [
            Some(0),
            Some(300),
            Some(1_000),
            Some(2_000),
            Some(4_000),
            None,
        ] {
            let fal = ScriptedUpstream::start(one_and_two_later());
            let setup = with(fal.setup(), &place);
            let first = Victim::start(&setup);
            let conversation = conversation(&first);
            let key = format!("k{after_us:?}");
            let mut stream = first.open(&streamed(&conversation, &key)).stream();
            stream.until("one");
            fal.open_gate();
            match after_us {
                Some(after_us) => thread::sleep(Duration::from_micros(after_us)),
                None => drop(stream.until("response.completed")),
            }
            first.kill();
            let (text, _) = stream.rest();
            let whole: Vec<&str> = text
                .split_inclusive("\n\n")
                .filter(|frame| frame.ends_with("\n\n"))
                .collect();
            let seen = events(&whole.concat());
            let id = seen[0]["response"]["id"].as_str().unwrap();
            let second = Victim::start(&setup);
            let kept = second.get(&format!("/v1/responses/{id}"));
            let items = items(&second, &conversation);
            let last = seen
                .iter()
                .find(|event| event["type"] == "response.completed");
            if let Some(last) = last {
                told += 1;
                assert_eq!(kept.json(), last["response"]);
            }
            match kept.status {
                200 => {
                    assert_eq!(kept.json()["status"], "completed");
                    assert_eq!(items.len(), 2, "{items:?}");
                    assert_eq!(items[1], kept.json()["output"][0]);
                }
                status => assert_eq!((status, items.len()), (404, 0)),
            }
            second.kill();
        }
        assert!(told > 0, "the latest kill comes behind the end");
    }
}
