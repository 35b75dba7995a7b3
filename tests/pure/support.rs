//! What the tests of the pure core share: one set of limits, and an ear for events.

use std::sync::LazyLock;

use proptest::test_runner::{Config as ProptestConfig, RngSeed};

use fal_gateway::engine::{Audience, Failure};
use fal_gateway::translate::face::answer::{StreamedAnswer, WholeAnswer};
use fal_gateway::translate::face::chat::messages::MessageLimits;
use fal_gateway::translate::face::chat::parse::parse_kept;
use fal_gateway::translate::face::chat::write::{
    self, CallStyle, ChatChunks, ReasoningField, Style,
};
use fal_gateway::translate::face::messages::StandIns;
use fal_gateway::translate::face::objects::{ResponseMeta, UsageChunk};
use fal_gateway::translate::face::{self, FaceSettings, completions, messages, responses};
use fal_gateway::translate::fold::{Overflow, PromptLimits};
use fal_gateway::translate::guide::GuideSettings;
use fal_gateway::translate::image;
use fal_gateway::translate::key::Secret;
use fal_gateway::translate::model::{Catalogue, Changes};
use fal_gateway::translate::plan::{self, Plan, PlanLimits, Recipe};
use fal_gateway::translate::problem::Problem;
use fal_gateway::translate::reading::{
    Call, ContractViolation, Event, Fault, Finish, Format, Reader, ReaderLimits, Sink,
    TokenLogprob, UsageSource,
};
use fal_gateway::translate::rejection::Rejection;
use fal_gateway::translate::routing::Routing;
use fal_gateway::translate::upstream::UpstreamId;

/// So many generated inputs, the same ones each time. `PROPTEST_RNG_SEED=7` looks elsewhere, and
/// `PROPTEST_CASES` has no say.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed: match config.rng_seed {
            RngSeed::Random => RngSeed::Fixed(1),
            fixed => fixed,
        },
        ..config
    }
}

/// Small enough that a golden file can go beyond each of them.
pub(crate) const MESSAGE_LIMITS: MessageLimits = MessageLimits {
    max_messages: 16,
    ignore: Vec::new(),
    images: image::ImageLimits {
        max_images: 3,
        excess: image::Excess::DropOldest,
        max_image_bytes: 96,
        allow_http: false,
    },
};

pub(crate) const CAPABILITIES: PlanLimits = PlanLimits {
    max_choices: 4,
    max_calls: 8,
    max_tokens: None,
    room_is_fals: false,
    has_list_prices: false,
    routing: Routing::fixed(UpstreamId::AnyLlm),
    enterprise: false,
    strict: false,
    room: PromptLimits {
        prompt: None,
        system_prompt: None,
        overflow: Overflow::Error,
    },
    guide: GuideSettings {
        is_lenient: true,
        dialects: Vec::new(),
        outlines: Vec::new(),
        measured: std::collections::BTreeMap::new(),
        secret: Secret::new([7; 32]),
    },
};

pub(crate) const LIMITS: ReaderLimits = ReaderLimits {
    max_event: 1 << 20,
    max_object: 1 << 20,
    accept_missing_final: true,
};

pub(crate) static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
    let substitutes = ["openai/gpt-4o-mini", "deepseek/deepseek-r1"].map(str::to_owned);
    Catalogue::new(Changes {
        builtin_aliases: true,
        fallbacks: vec![("openai/gpt-4.1".to_owned(), substitutes.to_vec())],
        ..Changes::default()
    })
});

/// The public APIs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Face {
    Chat,
    Completions,
    Messages,
    Responses,
}

impl Face {
    /// A request, from its bytes to the plan for it, and what the answer is to begin with.
    pub(crate) fn plan<'a>(
        self,
        body: &'a [u8],
        capabilities: &PlanLimits,
    ) -> Result<(Plan<'a>, Option<String>), Rejection> {
        self.plan_on(UpstreamId::AnyLlm, body, capabilities)
    }

    /// The same for this upstream.
    pub(crate) fn plan_on<'a>(
        self,
        upstream: UpstreamId,
        body: &'a [u8],
        capabilities: &PlanLimits,
    ) -> Result<(Plan<'a>, Option<String>), Rejection> {
        let (ask, echo) = match self {
            Self::Chat => (parse_kept(body, &MESSAGE_LIMITS, true)?.0, None),
            Self::Completions => {
                let request = completions::parse::parse(body, &[])?;
                (request.ask, request.echo)
            }
            Self::Messages => (messages::parse::parse(body, &face_settings())?, None),
            Self::Responses => (responses::parse::parse(body, &MESSAGE_LIMITS)?.0, None),
        };
        let capabilities = &through(upstream, capabilities);
        let (target, others) = plan::candidates(&ask, &CATALOGUE, capabilities)?;
        Ok((plan::plan(&ask, &target, &others, capabilities)?, echo))
    }
}

/// The same limits, with this upstream.
pub(crate) fn through(upstream: UpstreamId, plan_limits: &PlanLimits) -> PlanLimits {
    PlanLimits {
        routing: Routing::fixed(upstream),
        ..plan_limits.clone()
    }
}

/// A chat request, from its bytes to the plan for it.
pub(crate) fn plan<'a>(body: &'a [u8], capabilities: &PlanLimits) -> Result<Plan<'a>, Rejection> {
    Face::Chat.plan(body, capabilities).map(|(plan, _)| plan)
}

/// What all written answers have in common, fixed.
pub(crate) fn head() -> ResponseMeta {
    ResponseMeta {
        usage: UsageSource::Estimated,
        id: "chatcmpl-golden".to_owned(),
        clock: || 1_764_000_060,
        created_unix_s: 1_764_000_000,
        model: "google/gemini-2.5-flash-lite".to_owned(),
        request_id: REQUEST_ID.to_owned(),
        prompt_tokens: 12,
    }
}

/// What faces know of the settings here.
pub(crate) fn face_settings() -> FaceSettings {
    FaceSettings {
        messages: MESSAGE_LIMITS,
        keeps_responses: false,
        reasoning_field: STYLE.reasoning_field,
        stand_ins: StandIns {
            large: "openai/gpt-4.1".to_owned(),
            small: "google/gemini-2.5-flash-lite".to_owned(),
        },
    }
}

/// What requests go by here.
pub(crate) const REQUEST_ID: &str = "req_golden";

/// What callers of an API are told of a fault.
pub(crate) fn problem<F: face::Face>(fault: Fault) -> Problem {
    let failure = Failure::Answer {
        fault,
        request_id: None,
    };
    failure.to_problem(Audience {
        names: F::NAMES,
        max_tokens: "max_tokens",
        priority: "priority",
        key_is_callers: false,
    })
}

/// How chat completions are written here.
pub(crate) const STYLE: Style = Style {
    reasoning_field: ReasoningField::Both,
    calls: CallStyle::Tools,
};

/// A streamed chat completion with this many choices.
pub(crate) fn chat_stream(choices: usize, usage: UsageChunk) -> StreamedAnswer<ChatChunks> {
    let chunks = ChatChunks::new(&head(), STYLE, usage, None);
    StreamedAnswer::new(chunks, u32::try_from(choices).unwrap())
}

/// The JSON of a whole chat completion.
pub(crate) fn chat_json(answer: &WholeAnswer) -> Vec<u8> {
    write::to_json(&head(), answer, STYLE, None)
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
    pub text: String,
    pub tokens: Vec<TokenLogprob>,
    pub reasoning: String,
    pub calls: Vec<Call>,
    pub blocks: Option<String>,
    pub refusal: Option<String>,
    pub endings: Vec<Ending>,
}

impl Sink for Heard {
    fn event(&mut self, event: Event<'_>) {
        assert!(
            self.endings.is_empty(),
            "{event:?} came after {:?}",
            self.endings
        );
        match event {
            Event::Logprobs(tokens) => self.tokens.extend_from_slice(tokens),
            Event::Text(text) => self.text.push_str(text),
            Event::Reasoning(text) => self.reasoning.push_str(text),
            Event::Call(call) => self.calls.push(call.clone()),
            Event::ReasoningBlocks(blocks) => {
                assert_eq!(self.blocks.replace(blocks.to_owned()), None);
            }
            Event::Refusal(words) => assert_eq!(self.refusal.replace(words.to_owned()), None),
            Event::Mended(names) => assert_ne!(names, [""; 0]),
            Event::Unmet(unmet) => self.endings.push(Ending::Unmet(unmet.clone())),
            Event::Finished(finish) => self.endings.push(Ending::Finished(finish)),
            Event::Failed(fault) => self.endings.push(Ending::Failed(fault)),
        }
    }
}

/// Something done to a reader.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Act {
    /// Feed this many of the bytes that are left.
    Feed(usize),
    Read,
}

/// Plays a script of acts; what is left after it is fed at once, and the upstream closes.
pub(crate) fn drive(
    mut reader: Reader,
    mut bytes: &[u8],
    acts: &[Act],
    sink: &mut dyn Sink,
) -> Reader {
    for act in acts {
        match *act {
            Act::Feed(count) => {
                let (now, later) = bytes.split_at(count.min(bytes.len()));
                reader.feed(now);
                bytes = later;
            }
            Act::Read => reader.read(sink),
        }
    }
    reader.feed(bytes);
    reader.finish(sink);
    assert!(
        reader.has_ended(),
        "the upstream has closed, but the reading has not ended"
    );
    reader
}

pub(crate) fn hear(reading: &Recipe, limits: ReaderLimits, bytes: &[u8], acts: &[Act]) -> Heard {
    let mut heard = Heard::default();
    let reader = Reader::new(reading, Format::Events, limits);
    drive(reader, bytes, acts, &mut heard);
    heard
}

/// The acts that look after every byte.
pub(crate) fn byte_by_byte(length: usize) -> Vec<Act> {
    [Act::Feed(1), Act::Read].repeat(length)
}
