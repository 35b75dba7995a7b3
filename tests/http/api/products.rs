//! Every feature of a request together with every other, and what has to hold whatever meets what.

use serde_json::{Value, json};

use crate::support::{Answer, Emulated, Stream, TestGateway, question};

/// What the answer has to be.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wish {
    None,
    Auto,
    Required,
    Schema,
}

/// What becomes of it at fal.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Ok,
    /// The first answer is not what was wished for, the second is.
    Mend,
    Refuse,
    Drop,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    stream: bool,
    n: usize,
    wish: Wish,
    fate: Fate,
    has_fallback: bool,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for stream in [false, true] {
        for n in [1, 4] {
            for wish in [Wish::None, Wish::Auto, Wish::Required, Wish::Schema] {
                for fate in [Fate::Ok, Fate::Mend, Fate::Refuse, Fate::Drop] {
                    for has_fallback in [false, true] {
                        cases.push(Case {
                            stream,
                            n,
                            wish,
                            fate,
                            has_fallback,
                        });
                    }
                }
            }
        }
    }
    cases
}

impl Case {
    fn body(self) -> Value {
        let words = match (self.fate, self.wish) {
            (Fate::Ok, _) | (Fate::Mend, Wish::None) => "",
            (Fate::Mend, Wish::Schema) => " /emulate json:wrong silent",
            (Fate::Mend, _) => " /emulate tool:unknown silent",
            (Fate::Refuse, _) => " /emulate error:rate_limit",
            (Fate::Drop, _) => " /emulate drop:0",
        };
        let prompt = format!("How is the weather in Paris for 3 days?{words}");
        let mut body = question(&prompt, self.stream);
        body["n"] = self.n.into();
        let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}},
            "required": ["city"], "additionalProperties": false});
        let tool = |name: &str| {
            json!({"type": "function", "function": {"name": name, "strict": true,
                "description": "The weather of a city", "parameters": parameters}})
        };
        match self.wish {
            Wish::None => {}
            Wish::Auto => body["tools"] = json!([tool("get_weather"), tool("get_climate")]),
            Wish::Required => {
                body["tools"] = json!([tool("get_weather"), tool("get_climate")]);
                body["tool_choice"] = "required".into();
            }
            Wish::Schema => {
                body["response_format"] = json!({"type": "json_schema",
                    "json_schema": {"name": "place", "strict": true, "schema": parameters}});
            }
        }
        if self.has_fallback {
            body["models"] = json!(["google/gemini-2.5-flash"]);
        }
        body
    }

    fn is_paid(self) -> bool {
        self.fate != Fate::Refuse
    }
}

fn tokens(gateway: &TestGateway) -> f64 {
    let page = gateway.get("/metrics").text();
    let lines = page
        .lines()
        .filter(|line| line.starts_with("fal_gateway_tokens_total{"));
    lines
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

/// The choices that have something to say and an ending.
fn delivered(answer: &Answer, stream: bool) -> usize {
    if !stream {
        let json = answer.json();
        let choices = json["choices"].as_array().unwrap().clone();
        let says = choices.iter().filter(|choice| {
            let message = &choice["message"];
            message["content"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
                || message["tool_calls"].is_array()
        });
        return says.count();
    }
    let chunks = Stream::chunks(&answer.text());
    let of = |index: u64, part: fn(&Value) -> bool| {
        chunks.iter().any(|chunk| {
            let choice = &chunk["choices"][0];
            choice["index"] == index && part(choice)
        })
    };
    let says = |choice: &Value| {
        let delta = &choice["delta"];
        delta["content"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
            || delta["tool_calls"].is_array()
    };
    let ends = |choice: &Value| choice["finish_reason"].is_string();
    (0..4)
        .filter(|index| of(*index, says) && of(*index, ends))
        .count()
}

fn judge(gateway: &TestGateway, case: Case) {
    let before = tokens(gateway);
    let answer = gateway.ask(&case.body());
    gateway.until_metric("fal_gateway_active_requests{route=\"chat\"}", 0.0);
    match case.fate {
        Fate::Ok | Fate::Mend => {
            assert_eq!(answer.status, 200, "{case:?}: {}", answer.text());
            assert_eq!(
                delivered(&answer, case.stream),
                case.n,
                "{case:?}: {}",
                answer.text()
            );
        }
        Fate::Refuse | Fate::Drop => {
            assert_ne!(answer.status, 200, "{case:?}: {}", answer.text());
            let retry = answer.header("x-should-retry");
            assert_eq!(retry, case.is_paid().then_some("false"), "{case:?}");
            assert_eq!(
                answer.status == 400,
                case.is_paid(),
                "{case:?}: {}",
                answer.text()
            );
        }
    }
    let counted = tokens(gateway) > before;
    assert_eq!(counted, case.is_paid(), "tokens of {case:?}");
}

/// No text is lost, tokens are counted if and only if something is or may be paid for, nobody is told
/// to repeat that, and every place is given back.
#[test]
fn whatever_meets_whatever_nothing_is_lost_or_paid_twice() {
    let fal = Emulated::start();
    let exact = cfg!(feature = "tokenizer").then_some("exact");
    for count in ["estimate"].into_iter().chain(exact) {
        // Two workers, so that what they share is used by both.
        let gateway = fal
            .setup()
            .set("usage.count", count)
            .set("server.workers", "2")
            .start();
        for case in cases() {
            judge(&gateway, case);
        }
    }
}
