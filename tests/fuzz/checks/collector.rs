//! What the checks share: requests to plan, a collector of events, and cuts that depend on the input.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use fal_gateway::translate::contract::Contract;
use fal_gateway::translate::face::FaceSettings;
use fal_gateway::translate::face::chat::messages::MessageLimits;
use fal_gateway::translate::face::chat::parse::parse;
use fal_gateway::translate::face::chat::write::ReasoningField;
use fal_gateway::translate::face::messages::StandIns;
use fal_gateway::translate::fold::{Overflow, PromptLimits};
use fal_gateway::translate::guide::GuideSettings;
use fal_gateway::translate::image;
use fal_gateway::translate::key::Secret;
use fal_gateway::translate::model::{Catalogue, Changes};
use fal_gateway::translate::plan::{self, PlanLimits, Recipe};
use fal_gateway::translate::reading::{
    Call, ContractViolation, Event, Fault, Finish, Format, Reader, ReaderLimits, Sink, TokenLogprob,
};
use fal_gateway::translate::routing::Routing;
use fal_gateway::translate::tools::Dialect;
use fal_gateway::translate::upstream::UpstreamId;

pub(crate) const MESSAGE_LIMITS: MessageLimits = MessageLimits {
    max_messages: 32,
    ignore: Vec::new(),
    images: image::ImageLimits {
        max_images: 4,
        excess: image::Excess::DropOldest,
        max_image_bytes: 4096,
        allow_http: false,
    },
};

/// What faces know of the settings.
pub(crate) fn face_settings() -> FaceSettings {
    FaceSettings {
        messages: MESSAGE_LIMITS,
        keeps_responses: false,
        reasoning_field: ReasoningField::Both,
        stand_ins: StandIns {
            large: "openai/gpt-4.1".to_owned(),
            small: "google/gemini-2.5-flash-lite".to_owned(),
        },
    }
}

/// Enough for whatever a fuzzer writes.
pub(crate) const LIMITS: ReaderLimits = ReaderLimits {
    max_event: 1 << 24,
    max_object: 1 << 24,
    accept_missing_final: true,
};

pub(crate) static CATALOGUE: LazyLock<Catalogue> =
    LazyLock::new(|| Catalogue::new(Changes::default()));

/// Everything is allowed, with this much room for prompts.
pub(crate) fn capabilities(prompt: Option<usize>, overflow: Overflow) -> PlanLimits {
    PlanLimits {
        max_choices: 4,
        max_calls: 8,
        max_tokens: None,
        room_is_fals: false,
        has_list_prices: false,
        routing: Routing::fixed(UpstreamId::AnyLlm),
        enterprise: false,
        strict: false,
        room: PromptLimits {
            prompt,
            system_prompt: prompt,
            overflow,
        },
        guide: GuideSettings {
            is_lenient: true,
            dialects: vec![
                ("openai/".to_owned(), Dialect::Json),
                ("anthropic/".to_owned(), Dialect::Markup),
            ],
            outlines: Vec::new(),
            measured: BTreeMap::new(),
            secret: Secret::new([0; 32]),
        },
    }
}

/// What requests ask of the reading, as the rest of a request's body.
const WISHES: [&str; 16] = [
    r#""include_reasoning": true"#,
    r#""stop": ["END", "\n\n", "🎈"]"#,
    r#""messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}], "include_reasoning": true"#,
    r#""max_tokens": 5, "stop": "a""#,
    r#""tools": [LOOSE, STRICT], "stream": true"#,
    r#""tools": [LOOSE, STRICT], "parallel_tool_calls": false"#,
    r#""tools": [LOOSE, STRICT], "tool_choice": "required""#,
    r#""tools": [STRICT], "tool_choice": {"type": "function", "function": {"name": "find"}}"#,
    r#""tools": [LOOSE], "response_format": {"type": "json_object"}"#,
    r#""response_format": {"type": "json_object"}, "stream": true"#,
    r#""response_format": {"type": "json_schema", "json_schema": {"name": "a", "strict": true, "schema": SCHEMA}}"#,
    r#""response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}"#,
    r#""model": "openai/gpt-4o", "tools": [LOOSE, STRICT]"#,
    r#""model": "anthropic/claude-3.5-sonnet", "tools": [LOOSE, STRICT], "stream": true"#,
    r#""messages": [{"role": "user", "content": "<invoke name=\"look\"></invoke>"}], "tools": [LOOSE, STRICT]"#,
    r#""messages": [{"role": "user", "content": "{\"name\": \"find\"}"}], "model": "openai/gpt-4o", "tools": [LOOSE, STRICT]"#,
];
const LOOSE: &str =
    r#"{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}"#;
const STRICT: &str =
    r#"{"type": "function", "function": {"name": "find", "strict": true, "parameters": SCHEMA}}"#;
const SCHEMA: &str = r#"{"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}"#;

static READINGS: LazyLock<Vec<Recipe>> = LazyLock::new(|| readings(UpstreamId::AnyLlm));
static NATIVE_READINGS: LazyLock<Vec<Recipe>> =
    LazyLock::new(|| readings(UpstreamId::RouterOpenai));
static ROUTER_READINGS: LazyLock<Vec<Recipe>> = LazyLock::new(|| readings(UpstreamId::Router));

/// How answers are read that come through this upstream, one reading for each wish.
fn readings(upstream: UpstreamId) -> Vec<Recipe> {
    let wishes = WISHES.iter().map(|wish| {
        let wish = wish.replace("LOOSE", LOOSE).replace("STRICT", STRICT);
        let wish = wish.replace("SCHEMA", SCHEMA);
        let body = match wish.contains("\"messages\"") {
            true => format!("{{{wish}}}"),
            false => format!(r#"{{"messages": [{{"role": "user", "content": "Hi"}}], {wish}}}"#),
        };
        let ask = parse(body.as_bytes(), &MESSAGE_LIMITS).expect("the request is sound");
        let capabilities = PlanLimits {
            routing: Routing::fixed(upstream),
            ..capabilities(None, Overflow::Error)
        };
        let (target, others) =
            plan::candidates(&ask, &CATALOGUE, &capabilities).expect("the model is known");
        let plan = plan::plan(&ask, &target, &others, &capabilities);
        plan.expect("the request can be served").reading
    });
    wishes.collect()
}

/// The first byte chooses what was asked for, the rest is the model's. `KEY` in it becomes the
/// key of the conversation, which a model has been shown.
pub(crate) fn asked(data: &[u8]) -> (&'static Recipe, Vec<u8>) {
    asked_through(UpstreamId::AnyLlm, data)
}

/// The same for an answer that comes through this upstream.
pub(crate) fn asked_through(upstream: UpstreamId, data: &[u8]) -> (&'static Recipe, Vec<u8>) {
    let (choice, rest) = data.split_first().unwrap_or((&b'a', &[]));
    let readings = match upstream {
        UpstreamId::AnyLlm => READINGS.as_slice(),
        UpstreamId::Router => ROUTER_READINGS.as_slice(),
        UpstreamId::RouterOpenai => NATIVE_READINGS.as_slice(),
    };
    let index = usize::from(choice.wrapping_sub(b'a')) % readings.len();
    let reading = &readings[index];
    (reading, keyed(rest, &reading.contract))
}

fn keyed(bytes: &[u8], contract: &Contract) -> Vec<u8> {
    const PLACE: &[u8] = b"KEY";
    let Some(tools) = &contract.tools else {
        return bytes.to_vec();
    };
    let mut keyed = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if bytes[at..].starts_with(PLACE) {
            keyed.extend_from_slice(tools.key.as_str().as_bytes());
            at += PLACE.len();
        } else {
            keyed.push(byte);
            at += 1;
        }
    }
    keyed
}

/// A generator that depends on the input alone, so that a finding can be repeated from its file.
pub(crate) fn chance(data: &[u8]) -> fastrand::Rng {
    let hash = data.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    fastrand::Rng::with_seed(hash)
}

/// A text in pieces, cut anywhere between its letters.
pub(crate) fn pieces<'t>(text: &'t str, rng: &mut fastrand::Rng) -> Vec<&'t str> {
    let most = [1, 3, 20, 400][rng.usize(..4)];
    let (mut pieces, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let letters = rng.usize(..=most);
        let end = rest
            .char_indices()
            .nth(letters)
            .map_or(rest.len(), |(at, _)| at);
        let (piece, later) = rest.split_at(end);
        pieces.push(piece);
        rest = later;
    }
    pieces
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ending {
    Finished(Finish),
    Failed(Fault),
    Unmet(ContractViolation),
}

/// All that a reader said, with the pieces joined.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Heard {
    pub(crate) text: String,
    tokens: Vec<TokenLogprob>,
    pub(crate) reasoning: String,
    pub(crate) calls: Vec<Call>,
    pub(crate) blocks: Option<String>,
    refusal: Option<String>,
    pub(crate) mended: Vec<&'static str>,
    pub(crate) endings: Vec<Ending>,
}

impl Sink for Heard {
    fn event(&mut self, event: Event<'_>) {
        assert!(self.endings.is_empty(), "{event:?} comes after the end");
        match event {
            Event::Logprobs(tokens) => self.tokens.extend_from_slice(tokens),
            Event::Text(text) => self.text.push_str(text),
            Event::Reasoning(text) => self.reasoning.push_str(text),
            Event::Call(call) => self.calls.push(call.clone()),
            Event::ReasoningBlocks(blocks) => {
                assert_eq!(self.blocks.replace(blocks.to_owned()), None);
            }
            Event::Refusal(words) => assert_eq!(self.refusal.replace(words.to_owned()), None),
            Event::Mended(names) => self.mended.extend(names),
            Event::Unmet(unmet) => self.endings.push(Ending::Unmet(unmet.clone())),
            Event::Finished(finish) => self.endings.push(Ending::Finished(finish)),
            Event::Failed(fault) => self.endings.push(Ending::Failed(fault)),
        }
    }
}

/// How the bytes of an answer arrive.
#[derive(Debug)]
pub(crate) enum Arrival<'r> {
    AtOnce,
    ByteByByte,
    /// In pieces of any size, and looked at after some of them.
    InPieces(&'r mut fastrand::Rng),
}

/// What is heard of an answer.
pub(crate) fn hear(
    reading: &Recipe,
    format: Format,
    limits: ReaderLimits,
    bytes: &[u8],
    arrival: Arrival<'_>,
) -> Heard {
    let mut heard = Heard::default();
    let mut reader = Reader::new(reading, format, limits);
    match arrival {
        Arrival::AtOnce => reader.feed(bytes),
        Arrival::ByteByByte => {
            for byte in bytes.chunks(1) {
                reader.feed(byte);
                reader.read(&mut heard);
            }
        }
        Arrival::InPieces(rng) => {
            let most = [2, 9, 70, 900][rng.usize(..4)];
            let mut rest = bytes;
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rng.usize(..=most).min(rest.len()));
                reader.feed(now);
                rest = later;
                if rng.bool() {
                    reader.read(&mut heard);
                }
            }
        }
    }
    reader.finish(&mut heard);
    assert!(
        reader.has_ended(),
        "the upstream closed, the reading did not end"
    );
    assert_eq!(heard.endings.len(), 1);
    heard
}
