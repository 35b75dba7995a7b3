//! The requests of a scenario, in the words of whoever is asked.

use serde_json::Value;

use crate::asked::{Asked, MARK, Texts};
use crate::peer::Kind;
use crate::scenario::Scenario;

/// What stands in a request where each one differs; digits of the same length take its place.
const NUMBER: &str = "00000000";
/// The key that every caller brings, as clients do whether one is asked for or not.
const KEY: &str = "bench";

/// A request, to be sent again and again with another number in it.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    places: Vec<usize>,
}

impl Template {
    /// A request for a scenario, in the words of whoever is asked.
    pub(crate) fn new(kind: Kind, scenario: Scenario) -> Self {
        let texts = Texts::new(scenario.asked, &format!("bench:{}", scenario.name));
        let bytes = match (kind, scenario.asked) {
            (Kind::Gateway, asked) if asked.is_input() => {
                let is_kept = asked == Asked::KeptInput;
                let body = texts.as_input(is_kept, scenario.is_stream());
                post("/v1/responses", &body)
            }
            (Kind::Gateway, _) => {
                post("/v1/chat/completions", &texts.as_chat(scenario.is_stream()))
            }
            (Kind::Direct | Kind::Nginx, _) => {
                let path = match scenario.is_stream() {
                    true => "/fal-ai/any-llm/stream",
                    false => "/fal-ai/any-llm",
                };
                post(path, &texts.as_prompt())
            }
        };
        let marks = memchr::memmem::find_iter(&bytes, MARK);
        let places = marks.map(|at| at + MARK.len() - NUMBER.len()).collect();
        Self { bytes, places }
    }

    /// The request with this number.
    pub(crate) fn numbered(&mut self, number: usize) -> &[u8] {
        let digits = format!("{number:0width$}", width = NUMBER.len());
        for place in &self.places {
            let end = place + digits.len();
            self.bytes[*place..end].copy_from_slice(digits.as_bytes());
        }
        &self.bytes
    }
}

/// A request with a JSON body.
pub(crate) fn post(path: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\n\
         content-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
