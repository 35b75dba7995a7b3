//! Reasoning that a model writes into its output.

use fal_gateway::translate::plan::Recipe;
use fal_gateway::translate::reading::{
    Event, Finish, FinishReason, Format, Reader, ReaderLimits, Sink,
};
use serde_json::{Value, json};

use crate::harness::{Gateway, asking, with};

/// What came out of a reader.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    reasoning: String,
    text: String,
    finish: Option<Finish>,
}

impl Sink for Heard {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Reasoning(piece) => self.reasoning.push_str(piece),
            Event::Text(piece) => self.text.push_str(piece),
            Event::Finished(finish) => self.finish = Some(finish),
            other => panic!("{other:?}"),
        }
    }
}

/// Reads a stream of fal's events, given as (reasoning, output), cut into pieces at these places.
fn read(events: &[(Option<&str>, &str)], reading: &Recipe, cuts: &[usize]) -> Heard {
    let last = events.len() - 1;
    let frames = events
        .iter()
        .enumerate()
        .map(|(position, (reasoning, output))| {
            let data =
                json!({ "output": output, "reasoning": reasoning, "partial": position < last });
            format!("event: message\r\ndata: {data}\r\n\r\n")
        });
    let bytes = frames.collect::<String>().into_bytes();
    let limits = ReaderLimits {
        max_event: 1 << 20,
        max_object: 1 << 20,
        accept_missing_final: false,
    };
    let mut reader = Reader::new(reading, Format::Events, limits);
    let mut heard = Heard::default();
    let mut rest = bytes.as_slice();
    for cut in cuts {
        let (piece, after) = rest.split_at((*cut).min(rest.len()));
        reader.feed(piece);
        reader.read(&mut heard);
        rest = after;
    }
    reader.feed(rest);
    reader.finish(&mut heard);
    heard
}

fn showing() -> Recipe {
    Recipe {
        show_reasoning: true,
        ..Recipe::default()
    }
}

#[test]
fn it_does_not_matter_where_the_bytes_are_cut() {
    let events = [
        (None, " <th"),
        (None, " <think>\nA "),
        (None, " <think>\nA <b> </"),
        (None, " <think>\nA <b> </think"),
        (None, " <think>\nA <b> </think> \n\nYes, <think>."),
        (None, " <think>\nA <b> </think> \n\nYes, <think>."),
    ];
    let whole = read(&events, &showing(), &[]);
    assert_eq!(
        (whole.reasoning.as_str(), whole.text.as_str()),
        ("A <b>", "Yes, <think>.")
    );
    for first in 0..330 {
        for second in [1, 2, 7, 50, 90] {
            let cut = read(&events, &showing(), &[first, second]);
            assert_eq!(cut, whole, "{first} {second}");
        }
    }
}

#[test]
fn of_two_places_the_one_that_speaks_first_is_heard() {
    let block = "<think>Hm.</think>Yes.";
    let field_first = [(Some("Hm"), ""), (Some("Hm."), block), (Some("Hm."), block)];
    let block_first = [(None, "<think>H"), (None, block), (Some("Hm."), block)];
    for events in [field_first, block_first] {
        let heard = read(&events, &showing(), &[]);
        assert_eq!(
            (heard.reasoning.as_str(), heard.text.as_str()),
            ("Hm.", "Yes.")
        );
        let usage = heard.finish.unwrap().usage;
        let hidden = read(&events, &Recipe::default(), &[]);
        assert_eq!(
            (hidden.reasoning.as_str(), hidden.text.as_str()),
            ("", "Yes.")
        );
        assert_eq!(
            hidden.finish.unwrap().usage,
            usage,
            "hidden or not, it was paid for"
        );
        assert!(usage.reasoning > 0 && usage.reasoning < 4, "{usage:?}");
    }
}

#[test]
fn a_block_that_is_never_closed_was_cut_by_max_tokens_if_it_reached_them() {
    let thought = format!("<think>{}", "I wonder. ".repeat(30));
    let events = [(None, thought.as_str()), (None, thought.as_str())];
    let reasons = [None, Some(100), Some(10_000)].map(|max_tokens| {
        let reading = Recipe {
            max_tokens,
            ..showing()
        };
        let heard = read(&events, &reading, &[]);
        assert_eq!(heard.text, "");
        heard.finish.unwrap().reason
    });
    assert_eq!(
        reasons,
        [FinishReason::Stop, FinishReason::Length, FinishReason::Stop]
    );
}

#[test]
fn stop_sequences_end_answers_and_not_thoughts() {
    let reading = Recipe {
        stop: vec!["END".to_owned()],
        ..showing()
    };
    let text = "<think>No END yet.</think>Yes. END or not";
    let heard = read(&[(None, text), (None, text)], &reading, &[]);
    assert_eq!(
        (heard.reasoning.as_str(), heard.text.as_str()),
        ("No END yet.", "Yes. ")
    );
}

fn message(body: &Value) -> &Value {
    &body["choices"][0]["message"]
}

#[actix_web::test]
async fn an_inlined_block_is_the_same_as_fals_own_field() {
    let gateway = Gateway::start().await;
    let shown = json!({ "reasoning_effort": "high" });
    let plain = gateway.ask(&with(asking("reason it"), &shown)).await.json();
    let inlined = with(asking("/emulate inline_think\nreason it"), &shown);
    let inlined = gateway.ask(&inlined).await.json();
    assert_eq!(message(&inlined), message(&plain));
    let details = |body: &Value| body["usage"]["completion_tokens_details"].clone();
    assert_eq!(details(&inlined), details(&plain));
    assert_ne!(details(&plain)["reasoning_tokens"], 0);
    gateway.stop().await;
}

#[actix_web::test]
async fn a_block_nobody_asked_to_see_is_dropped_and_counted() {
    let gateway = Gateway::start().await;
    let hidden = json!({ "reasoning": { "enabled": true, "exclude": true } });
    let request = with(asking("/emulate inline_think\nreason it"), &hidden);
    let body = gateway.ask(&request).await.json();
    let content = message(&body)["content"].as_str().unwrap();
    assert!(
        content.starts_with("Having thought it through"),
        "{content}"
    );
    assert!(message(&body).get("reasoning").is_none());
    let details = &body["usage"]["completion_tokens_details"];
    assert_ne!(details["reasoning_tokens"], 0);
    gateway.stop().await;
}

#[actix_web::test]
async fn a_streamed_block_comes_as_reasoning_before_the_content() {
    let gateway = Gateway::start().await;
    let fields = json!({ "stream": true, "reasoning_effort": "high" });
    for size in [3, 7, 50] {
        // What arrives together is passed on together: the events come one after the other.
        let prompt = format!("/emulate inline_think size:{size} gap:1ms\nreason it");
        let answer = gateway.ask(&with(asking(prompt), &fields)).await;
        let content = answer.joined("content");
        assert!(
            content.starts_with("Having thought it through"),
            "{content}"
        );
        let reasoning = answer.joined("reasoning_content");
        assert!(reasoning.starts_with("The message begins"), "{reasoning}");
        assert!(!reasoning.contains("think>"), "{reasoning}");
        let chunks = answer.chunks();
        let first = |field: &str| {
            chunks.iter().position(|chunk| {
                chunk["choices"][0]["delta"][field]
                    .as_str()
                    .is_some_and(|text| !text.is_empty())
            })
        };
        assert!(first("reasoning_content") < first("content"));
        let steps = chunks.iter().filter(|chunk| {
            chunk["choices"][0]["delta"]
                .get("reasoning_content")
                .is_some()
        });
        assert!(steps.count() > 5, "reasoning is streamed, not saved up");
    }
    gateway.stop().await;
}

#[actix_web::test]
async fn a_block_given_twice_is_delivered_once() {
    let gateway = Gateway::start().await;
    let shown = json!({ "reasoning_effort": "high" });
    let request = with(asking("echo <think>Hm.</think>Yes."), &shown);
    let body = gateway.ask(&request).await.json();
    assert_eq!(message(&body)["content"], "Yes.");
    let reasoning = message(&body)["reasoning"].as_str().unwrap();
    assert!(
        reasoning.starts_with("The message begins \"echo"),
        "{reasoning}"
    );
    assert!(!reasoning.ends_with("Hm."), "{reasoning}");
    gateway.stop().await;
}

#[actix_web::test]
async fn tags_later_in_the_text_stay() {
    let gateway = Gateway::start().await;
    let text = "Write <think>so</think>, or <thinking>.";
    let body = gateway.ask(&asking(format!("echo {text}"))).await.json();
    assert_eq!(message(&body)["content"], text);
    gateway.stop().await;
}
