//! What the upstream answers. A prompt `bench:NAME` chooses the scenario.

use std::fmt::Write;

use serde_json::json;

use crate::asked::{Asked, Tools};

/// One kind of answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) asked: Asked,
    /// Events of the stream; none for a whole answer.
    pub(crate) events: usize,
    /// Characters of the whole text.
    pub(crate) characters: usize,
    /// Milliseconds between two events; without, all of them are sent at once.
    pub(crate) pause_ms: u64,
}

pub(crate) const WHOLE: Scenario = scenario("whole", 0, 512, 0);
pub(crate) const FIRST: Scenario = scenario("first", 1, 24, 0);
pub(crate) const PACED: Scenario = scenario("paced", 24, 512, 500);
pub(crate) const PACED_INPUT: Scenario = Scenario {
    name: "paced-input",
    asked: Asked::Input,
    ..PACED
};
pub(crate) const PACED_KEPT: Scenario = Scenario {
    name: "paced-kept",
    asked: Asked::KeptInput,
    ..PACED
};
pub(crate) const BURST: Scenario = scenario("burst", 200, 512, 0);
pub(crate) const LONG_200: Scenario = scenario("long-200", 200, 1_000, 0);
pub(crate) const LONG_2000: Scenario = scenario("long-2000", 2_000, 10_000, 0);

pub(crate) const INPUT: Scenario = whole("input", Asked::Input);
pub(crate) const KEPT: Scenario = whole("kept", Asked::KeptInput);
pub(crate) const FOUR: Scenario = whole("four", Asked::Messages(4));
pub(crate) const SIXTY: Scenario = whole("sixty", Asked::Messages(60));
pub(crate) const AGENT: Scenario = whole("agent", Asked::Agent(Tools::Same));
pub(crate) const NEW_AGENT: Scenario = whole("new-agent", Asked::Agent(Tools::New));
pub(crate) const SCHEMA: Scenario = whole("schema", Asked::Schema);

pub(crate) const ALL: [Scenario; 15] = [
    WHOLE,
    FIRST,
    PACED,
    PACED_INPUT,
    PACED_KEPT,
    BURST,
    LONG_200,
    LONG_2000,
    INPUT,
    KEPT,
    FOUR,
    SIXTY,
    AGENT,
    NEW_AGENT,
    SCHEMA,
];

const fn scenario(name: &'static str, events: usize, characters: usize, pause_ms: u64) -> Scenario {
    Scenario {
        name,
        asked: Asked::Message,
        events,
        characters,
        pause_ms,
    }
}

const fn whole(name: &'static str, asked: Asked) -> Scenario {
    Scenario {
        asked,
        ..scenario(name, 0, 512, 0)
    }
}

impl Scenario {
    /// The scenario that a request asks for.
    pub(crate) fn asked_for(request: &str) -> Option<Self> {
        let (_, rest) = request.split_once("bench:")?;
        let name = rest.split('"').next()?;
        ALL.into_iter().find(|scenario| scenario.name == name)
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.events > 0
    }

    /// The whole text: words, and now and then something that JSON escapes; where a schema was
    /// sent, JSON that fits it.
    pub(crate) fn text(&self) -> String {
        match self.asked {
            Asked::Schema => {
                let words = self.words();
                let step = |_| json!({"explanation": words.get(..100), "output": "What is told.", "certainty": 0.5});
                let steps: Vec<_> = (0..3).map(step).collect();
                json!({"steps": steps, "kind": "other", "answer": words.get(..50)}).to_string()
            }
            _ => self.words(),
        }
    }

    fn words(&self) -> String {
        let words = [
            "The ", "quick ", "brown ", "fox ", "says ", "\"hi\" ", "to ", "the ", "lazy ",
            "dog.\n",
        ];
        let mut text: String = words
            .iter()
            .cycle()
            .take(self.characters)
            .copied()
            .collect();
        text.truncate(self.characters);
        text
    }

    /// The answer's body, as fal writes it.
    pub(crate) fn whole_body(&self) -> String {
        object(&self.text(), false)
    }

    /// The stream's events, each in an HTTP chunk of its own, as fal sends them; the last one says
    /// that the text is complete.
    pub(crate) fn chunks(&self) -> Vec<Vec<u8>> {
        let text = self.text();
        let event = |number: usize| {
            let end = self.characters * number.min(self.events) / self.events;
            let is_partial = number <= self.events;
            let data = object(text.get(..end).unwrap_or(&text), is_partial);
            chunk(&format!("event: event\r\ndata: {data}\r\n\r\n"))
        };
        (1..=self.events + 1).map(event).collect()
    }
}

fn object(text: &str, is_partial: bool) -> String {
    let output = serde_json::Value::from(text);
    format!(
        "{{\"output\": {output}, \"reasoning\": null, \"partial\": {is_partial}, \"error\": null}}"
    )
}

fn chunk(data: &str) -> Vec<u8> {
    let mut chunk = String::new();
    let _ = write!(chunk, "{:X}\r\n{data}\r\n", data.len());
    chunk.into_bytes()
}
