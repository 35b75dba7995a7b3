//! Golden files: a new case costs one file.
//!
//! - `tests/golden/plan/<case>.json` holds a `request` (or, for bytes that are no JSON, a `body`
//!   as a string), optional `capabilities`, and what comes of it: a `plan` or a `rejection`.
//! - `tests/golden/reading/<case>.fal.sse` (or `.fal.json` for a whole answer) is what fal sends,
//!   byte for byte. Beside it lie `<case>.openai.sse` and `<case>.whole.json`, what the caller gets,
//!   and `<case>.request.json` where the request matters. Cases called `notes-...` are answered with
//!   the notes in the body. The key of the conversation is `7K2Q` in all of them.
//! - Cases called `native-...` are about the upstream that takes messages, those called `router-...`
//!   about the router's prompts, all others about any-llm.
//! - `tests/golden/completions/plan` and `tests/golden/completions/reading` are the same for
//!   `POST /v1/completions`.
//! - `tests/golden/messages/plan` and `tests/golden/messages/reading` are the same for
//!   `POST /v1/messages`, with the streams in `<case>.messages.sse`.
//! - `tests/golden/responses/plan` and `tests/golden/responses/reading` are the same for
//!   `POST /v1/responses`.
//! - `tests/golden/explain/<case>.json` holds a chat `request` as above and its `explanation`.
//!
//! `UPDATE_GOLDEN=1 cargo test --test pure` writes the expectations; read the diff before you
//! commit it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use fal_gateway::translate::ask::Delivery;
use fal_gateway::translate::call::Call;
use fal_gateway::translate::draft::{Fate, Parameter};
use fal_gateway::translate::explain::explain;
use fal_gateway::translate::face::answer::{AnswerSink, FrameWriter, StreamedAnswer, WholeAnswer};
use fal_gateway::translate::face::objects::UsageChunk;
use fal_gateway::translate::face::{self, chat, completions, messages, responses};
use fal_gateway::translate::fold::{Overflow, PromptLimits};
use fal_gateway::translate::guide::GuideSettings;
use fal_gateway::translate::key::MarkerKey;
use fal_gateway::translate::notes::Notes;
use fal_gateway::translate::plan::{Plan, PlanLimits, Recipe};
use fal_gateway::translate::problem::Problem;
use fal_gateway::translate::reading::{
    BestEffort, ContractViolation, Event, Finish, FinishReason, Format, Reader, Sink,
};
use fal_gateway::translate::rejection::Rejection;
use fal_gateway::translate::tools::Dialect;
use fal_gateway::translate::upstream::{Apps, UpstreamId};
use fal_gateway::wire::openai::fields::Fields;

use crate::support::{self, CAPABILITIES, Face, Heard, LIMITS, byte_by_byte};

/// A file of `tests/golden/plan`. The request stays text: order, duplicates and numbers such as
/// `1e999` are part of the case.
#[derive(Deserialize)]
struct PlanCase<'a> {
    about: Option<String>,
    #[serde(borrow)]
    request: Option<&'a RawValue>,
    body: Option<String>,
    #[serde(borrow)]
    capabilities: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CaseCapabilities {
    max_choices: Option<u32>,
    max_tokens: Option<u64>,
    enterprise: bool,
    strict: bool,
    max_prompt_chars: Option<usize>,
    max_system_prompt_chars: Option<usize>,
    overflow: Option<String>,
    dialect: Option<String>,
}

/// What is written about a plan.
#[derive(Serialize)]
struct PlanShown<'a> {
    endpoint: &'static str,
    input: &'a Call<'a>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    fallbacks: &'a [String],
    #[serde(skip_serializing_if = "is_one")]
    choices: u32,
    delivery: &'static str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    prefill: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    echo: Option<&'a str>,
    #[serde(skip_serializing_if = "is_false")]
    show_reasoning: bool,
    emulated: &'a [&'static str],
    ignored: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fold: Option<&'a str>,
}

#[derive(Serialize)]
struct RejectionShown<'a> {
    code: &'static str,
    param: Option<&'a str>,
    message: &'a str,
}

#[test]
fn every_request_gives_the_plan_or_the_refusal_in_its_file() {
    let mut golden = Golden::default();
    for face in FACES {
        for (path, text) in files(face.plans()) {
            let case = PlanCase::new(&path, &text);
            let body = case.body();
            let upstream = upstream_of(stem(&path));
            let outcome = face.plan_on(upstream, body.as_bytes(), &case.capabilities());
            let outcome = outcome.map(|(plan, echo)| ("plan", shown(&plan, echo.as_deref())));
            golden.expect(&path, case.render(outcome).as_bytes());
        }
    }
    golden.conclude();
}

#[test]
fn every_request_is_explained_as_its_file_says() {
    let mut golden = Golden::default();
    for (path, text) in files("explain") {
        let case = PlanCase::new(&path, &text);
        let (body, capabilities) = (case.body(), case.capabilities());
        let outcome = support::plan(body.as_bytes(), &capabilities).map(|plan| {
            let explanation = explain(&plan, &Apps::default(), &capabilities.room);
            ("explanation", pretty(&explanation))
        });
        golden.expect(&path, case.render(outcome).as_bytes());
    }
    golden.conclude();
}

/// The upstream that a case of this name is about.
fn upstream_of(case: &str) -> UpstreamId {
    match case.split_once('-') {
        Some(("native", _)) => UpstreamId::RouterOpenai,
        Some(("router", _)) => UpstreamId::Router,
        _ => UpstreamId::AnyLlm,
    }
}

pub(crate) const FACES: [Face; 4] = [
    Face::Chat,
    Face::Completions,
    Face::Messages,
    Face::Responses,
];

impl Face {
    /// The folder of its plans.
    fn plans(self) -> &'static str {
        match self {
            Self::Chat => "plan",
            Self::Completions => "completions/plan",
            Self::Messages => "messages/plan",
            Self::Responses => "responses/plan",
        }
    }

    /// The folder of its answers.
    fn readings(self) -> &'static str {
        match self {
            Self::Chat => "reading",
            Self::Completions => "completions/reading",
            Self::Messages => "messages/reading",
            Self::Responses => "responses/reading",
        }
    }

    /// How the files of its streams end.
    fn stream(self) -> &'static str {
        match self {
            Self::Chat | Self::Completions | Self::Responses => "openai.sse",
            Self::Messages => "messages.sse",
        }
    }

    pub(crate) fn table(self) -> &'static [Parameter] {
        match self {
            Self::Chat => chat::parameters::PARAMETERS,
            Self::Completions => completions::parameters::PARAMETERS,
            Self::Messages => messages::parameters::PARAMETERS,
            Self::Responses => responses::parameters::PARAMETERS,
        }
    }

    /// The one field without which nothing is answered, saying "Hi".
    fn question(self) -> (&'static str, &'static str) {
        match self {
            Self::Chat => ("messages", r#""messages":[{"role":"user","content":"Hi"}]"#),
            Self::Completions => ("prompt", r#""prompt":"Hi""#),
            Self::Messages => (
                "messages",
                r#""model":"openai/gpt-4o-mini","max_tokens":100,"messages":[{"role":"user","content":"Hi"}]"#,
            ),
            Self::Responses => ("input", r#""input":"Hi""#),
        }
    }

    /// The plan of a request that says nothing else.
    fn shown_without_parameters(self) -> String {
        let body = format!("{{{}}}", self.question().1);
        let (plan, echo) = self.plan(body.as_bytes(), &CAPABILITIES).unwrap();
        shown(&plan, echo.as_deref())
    }
}

/// Each row needs `parameter-<name>-effect*.json`, with a value that has one, and
/// `parameter-<name>-none*.json`, with a value that says nothing.
#[test]
fn every_row_of_the_parameter_table_has_a_case_with_and_a_case_without_effect() {
    let missing: Vec<String> = FACES.into_iter().flat_map(missing_in_table).collect();
    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
}

fn missing_in_table(face: Face) -> Vec<String> {
    let folder = face.plans();
    let cases: BTreeMap<String, String> = files(folder)
        .into_iter()
        .map(|(path, text)| (stem(&path).to_owned(), text))
        .collect();
    let mut missing = Vec::new();
    for row in face.table() {
        for kind in ["effect", "none"] {
            let prefix = format!("parameter-{}-{kind}", row.name);
            let of_row = |stem: &str| stem == prefix || stem.starts_with(&format!("{prefix}-"));
            let mut found = cases.iter().filter(|(stem, _)| of_row(stem)).peekable();
            if found.peek().is_none() {
                missing.push(format!(
                    "tests/golden/{folder}/{prefix}.json does not exist"
                ));
            }
            for (stem, text) in found {
                let shows = match kind {
                    "effect" => shows_its_fate(face, row, text),
                    _ => shows_nothing(face, row, text),
                };
                if let Err(why) = shows {
                    missing.push(format!("tests/golden/{folder}/{stem}.json: {why}"));
                }
            }
        }
    }
    missing
}

/// Rows whose effect cannot be seen in the notes: `messages` is folded, which has cases of its
/// own, and so have `prompt`, `input` and `system`; `parallel_tool_calls` says nothing as long as there are no
/// tools; `metadata` and `cache_control` are sent by clients with every request; and nothing is kept
/// here that `previous_response_id` or `conversation` could lead to.
pub(crate) const WITHOUT_A_NOTE: [&str; 9] = [
    "messages",
    "prompt",
    "input",
    "parallel_tool_calls",
    "system",
    "metadata",
    "cache_control",
    "previous_response_id",
    "conversation",
];

fn shows_its_fate(face: Face, row: &Parameter, text: &str) -> Result<(), String> {
    let case: PlanCase<'_> = serde_json::from_str(text).unwrap();
    let body = case.body();
    if !body.contains(&format!("\"{}\"", row.name)) {
        return Err(format!("the request has no '{}'", row.name));
    }
    if WITHOUT_A_NOTE.contains(&row.name) {
        return Ok(());
    }
    let outcome = face.plan(body.as_bytes(), &case.capabilities());
    match (row.fate, outcome) {
        (Fate::Refused, Err(rejection)) => match rejection.param.as_deref() {
            Some(param) if param.starts_with(row.name) => Ok(()),
            param => Err(format!("the refusal names {param:?}")),
        },
        (Fate::Emulated, Ok((plan, _))) if plan.notes.emulated.contains(&row.name) => Ok(()),
        (Fate::Ignored, Ok((plan, _))) if plan.notes.ignored.iter().any(|it| it == row.name) => {
            Ok(())
        }
        (Fate::Forwarded, Ok((plan, echo)))
            if shown(&plan, echo.as_deref()) != face.shown_without_parameters() =>
        {
            Ok(())
        }
        (fate, _) => Err(format!(
            "the table says {fate:?}, the outcome does not show it"
        )),
    }
}

fn shows_nothing(face: Face, row: &Parameter, text: &str) -> Result<(), String> {
    if row.name == face.question().0 {
        return Ok(());
    }
    let case: PlanCase<'_> = serde_json::from_str(text).unwrap();
    let body = case.body();
    if !body.contains(&format!("\"{}\"", row.name)) {
        return Err(format!("the request has no '{}'", row.name));
    }
    match face.plan(body.as_bytes(), &case.capabilities()) {
        Ok((plan, echo)) => match shown(&plan, echo.as_deref()) {
            shown if shown == face.shown_without_parameters() => Ok(()),
            shown => Err(format!("it has an effect: {shown}")),
        },
        Err(rejection) => Err(format!("it is refused: {rejection:?}")),
    }
}

#[test]
fn null_is_the_same_as_leaving_a_parameter_out() {
    for face in FACES {
        let (_, question) = face.question();
        let is_in_question = |row: &&Parameter| question.contains(&format!("\"{}\":", row.name));
        for row in face.table().iter().filter(|row| !is_in_question(row)) {
            let body = format!(r#"{{{question},"{}":null}}"#, row.name);
            let (plan, echo) = face
                .plan(body.as_bytes(), &CAPABILITIES)
                .unwrap_or_else(|rejection| panic!("{}: {rejection:?}", row.name));
            let shown = shown(&plan, echo.as_deref());
            assert_eq!(shown, face.shown_without_parameters(), "{}", row.name);
        }
    }
}

/// JSON objects have no order, so no field may win by being the last.
#[test]
fn the_order_of_the_fields_does_not_matter() {
    let mut turned_round = 0;
    for (path, text) in files("plan") {
        let case: PlanCase<'_> = serde_json::from_str(&text).unwrap();
        let (body, capabilities) = (case.body(), case.capabilities());
        let Ok(Fields(fields)) = serde_json::from_str::<Fields<'_>>(&body) else {
            continue;
        };
        let fields = fields.iter().rev();
        let fields: Vec<String> = fields
            .map(|(name, value)| format!("{}:{}", json(name), value.get()))
            .collect();
        let other = format!("{{{}}}", fields.join(","));
        let plans = [&body, &other].map(|body| support::plan(body.as_bytes(), &capabilities));
        let [one, other] = plans.map(|plan| {
            plan.map(|mut plan| {
                plan.notes.emulated.sort_unstable();
                plan.notes.ignored.sort_unstable();
                shown(&plan, None)
            })
        });
        // Of several mistakes the first is named.
        match (one, other) {
            (Ok(one), Ok(other)) => assert_eq!(one, other, "{}", path.display()),
            (one, other) => assert_eq!(one.is_err(), other.is_err(), "{}", path.display()),
        }
        turned_round += 1;
    }
    assert!(turned_round > 100);
}

impl<'a> PlanCase<'a> {
    fn new(path: &Path, text: &'a str) -> Self {
        serde_json::from_str(text)
            .unwrap_or_else(|error| panic!("{} is no case: {error}", path.display()))
    }

    fn body(&self) -> String {
        match (self.request, &self.body) {
            (Some(request), None) => request.get().to_owned(),
            (None, Some(body)) => body.clone(),
            _ => panic!("a case has either a request or a body"),
        }
    }

    fn capabilities(&self) -> PlanLimits {
        let said: CaseCapabilities = self
            .capabilities
            .map_or_else(CaseCapabilities::default, |raw| {
                serde_json::from_str(raw.get()).unwrap()
            });
        PlanLimits {
            max_choices: said.max_choices.unwrap_or(CAPABILITIES.max_choices),
            max_calls: CAPABILITIES.max_calls,
            max_tokens: said.max_tokens,
            room_is_fals: false,
            has_list_prices: false,
            routing: CAPABILITIES.routing,
            enterprise: said.enterprise,
            strict: said.strict,
            room: PromptLimits {
                prompt: said.max_prompt_chars,
                system_prompt: said.max_system_prompt_chars,
                overflow: match said.overflow.as_deref() {
                    None => Overflow::Error,
                    Some("shift") => Overflow::Shift,
                    Some("drop_oldest") => Overflow::DropOldest,
                    Some(other) => panic!("overflow is no {other}"),
                },
            },
            guide: GuideSettings {
                dialects: match said.dialect.as_deref() {
                    None => Vec::new(),
                    Some("json") => vec![(String::new(), Dialect::Json)],
                    Some("xml") => vec![(String::new(), Dialect::Markup)],
                    Some(other) => panic!("dialect is no {other}"),
                },
                ..CAPABILITIES.guide
            },
        }
    }

    /// The whole file as it should be, with what came of the request under its name.
    fn render(&self, outcome: Result<(&str, String), Rejection>) -> String {
        let mut sections = Vec::new();
        if let Some(about) = &self.about {
            sections.push(format!("\"about\": {}", json(about)));
        }
        if let Some(request) = self.request {
            sections.push(format!("\"request\": {}", request.get()));
        }
        if let Some(body) = &self.body {
            sections.push(format!("\"body\": {}", json(body)));
        }
        if let Some(capabilities) = self.capabilities {
            sections.push(format!("\"capabilities\": {}", capabilities.get()));
        }
        sections.push(match outcome {
            Ok((name, shown)) => format!("\"{name}\": {}", indented(&shown)),
            Err(rejection) => format!(
                "\"rejection\": {}",
                indented(&pretty(&RejectionShown {
                    code: rejection.cause.code(),
                    param: rejection.param.as_deref(),
                    message: &rejection.message,
                }))
            ),
        });
        format!("{{\n  {}\n}}\n", sections.join(",\n  "))
    }
}

fn shown(plan: &Plan<'_>, echo: Option<&str>) -> String {
    pretty(&PlanShown {
        endpoint: plan.call.path(),
        input: &plan.call,
        fallbacks: &plan.fallbacks,
        choices: plan.choices,
        delivery: match plan.delivery {
            Delivery::Whole => "whole",
            Delivery::Stream {
                include_usage: false,
            } => "stream",
            Delivery::Stream {
                include_usage: true,
            } => "stream with usage",
        },
        stop: &plan.reading.stop,
        prefill: plan.reading.prefill.as_deref(),
        echo,
        show_reasoning: plan.reading.show_reasoning,
        emulated: &plan.notes.emulated,
        ignored: plan.notes.ignored.iter().map(AsRef::as_ref).collect(),
        fold: plan.notes.fold.as_deref(),
    })
}

#[test]
fn every_answer_of_fal_is_written_as_its_files_say_however_it_is_cut() {
    let mut golden = Golden::default();
    for face in FACES {
        let mut expected = BTreeSet::new();
        let all = files(face.readings());
        for (path, text) in &all {
            let name = file_name(path);
            let case = ["fal.sse", "fal.json"].into_iter().find_map(|kind| {
                let case = name.strip_suffix(kind)?.strip_suffix('.')?;
                Some((case, kind))
            });
            let Some((case, kind)) = case else { continue };
            let sibling = |end: &str| path.with_file_name(format!("{case}.{end}"));
            let request = fs::read_to_string(sibling("request.json"));
            let request = request.unwrap_or_else(|_| {
                let question = face.question().1;
                let usage = match face {
                    Face::Messages => "",
                    _ => r#","stream_options":{"include_usage":true}"#,
                };
                format!(r#"{{{question},"stream":true{usage}}}"#)
            });
            let format = match kind {
                "fal.sse" => Format::Events,
                _ => Format::Object,
            };
            let answer = answer(face, case, &request, format, text.as_bytes());
            golden.expect(&sibling(face.stream()), answer.stream.as_bytes());
            golden.expect(&sibling("whole.json"), answer.whole.as_bytes());
            for end in [kind, face.stream(), "whole.json", "request.json"] {
                expected.insert(sibling(end));
            }
        }
        for (path, _) in all.iter().filter(|(path, _)| !expected.contains(path)) {
            golden.complain(format!("{} belongs to no case", path.display()));
        }
    }
    golden.conclude();
}

struct Answer {
    stream: String,
    whole: String,
}

/// The key in the files, whichever key the request would have.
const KEY: &str = "7K2Q";

fn answer(face: Face, case: &str, request: &str, format: Format, bytes: &[u8]) -> Answer {
    let (mut plan, _) = face
        .plan_on(upstream_of(case), request.as_bytes(), &CAPABILITIES)
        .unwrap_or_else(|rejection| panic!("{case}: {rejection:?}"));
    let tools = plan.reading.contract.tools.iter_mut();
    let keys = tools.map(|tools| &mut tools.key);
    keys.chain(&mut plan.reading.key)
        .for_each(|key| *key = MarkerKey::of_text(KEY));
    every_cut_in_two_gives_the_same(case, &plan.reading, format, bytes);
    let usage = match plan.delivery {
        Delivery::Stream {
            include_usage: true,
        } => UsageChunk::Asked,
        _ => UsageChunk::None,
    };
    let notes = Some(&plan.notes).filter(|_| case.starts_with("notes-"));
    let reader = Reader::new(&plan.reading, format, LIMITS);
    match face {
        Face::Chat => written_by::<chat::Chat>(request, reader, bytes, usage, notes),
        Face::Completions => {
            written_by::<completions::Completions>(request, reader, bytes, usage, notes)
        }
        Face::Messages => written_by::<messages::Messages>(request, reader, bytes, usage, notes),
        Face::Responses => written_by::<responses::Responses>(request, reader, bytes, usage, notes),
    }
}

/// The answer as a public API writes it, without a server.
fn written_by<F: face::Face>(
    request: &str,
    reader: Reader,
    bytes: &[u8],
    usage: UsageChunk,
    notes: Option<&Notes>,
) -> Answer {
    let settings = support::face_settings();
    let asked = || F::parse(request.as_bytes(), &settings).unwrap().1;
    let (whole, head) = (asked(), support::head());
    let frames = asked().into_frames(&head, usage, notes);
    let (stream, answer) = read(reader, bytes, frames);
    let problem = answer.fault().map(|fault| support::problem::<F>(fault));
    let whole = match &problem {
        Some(problem) => F::problem(problem, support::REQUEST_ID).body,
        None => whole.to_json(&head, &answer, notes),
    };
    let whole: serde_json::Value = serde_json::from_slice(&whole).unwrap();
    Answer {
        stream: ended(stream, problem.as_ref()),
        whole: pretty(&whole) + "\n",
    }
}

/// The frames of a stream, with those of what went wrong in it.
fn ended<W: FrameWriter>(mut stream: StreamedAnswer<W>, problem: Option<&Problem>) -> String {
    if let Some(problem) = problem {
        stream.fail(problem);
    }
    assert!(stream.has_ended());
    let frames = stream.take_frames().unwrap_or_default();
    String::from_utf8(frames.to_vec()).unwrap()
}

/// Reads byte by byte, so that each of fal's events gives its own chunk.
fn read<W: FrameWriter>(
    reader: Reader,
    bytes: &[u8],
    writer: W,
) -> (StreamedAnswer<W>, WholeAnswer) {
    let mut both = Both {
        stream: StreamedAnswer::new(writer, 1),
        whole: WholeAnswer::new(1),
        unmet: None,
    };
    let reader = support::drive(reader, bytes, &byte_by_byte(bytes.len()), &mut both);
    both.settle(&reader);
    (both.stream, both.whole)
}

struct Both<W> {
    stream: StreamedAnswer<W>,
    whole: WholeAnswer,
    unmet: Option<ContractViolation>,
}

impl<W: FrameWriter> Both<W> {
    /// What becomes of an answer that is not what was asked for when the model is not asked again.
    fn settle(&mut self, reader: &Reader) {
        match self.unmet.take() {
            None => {}
            Some(ContractViolation {
                instead:
                    Some(BestEffort {
                        logprobs,
                        text,
                        calls,
                    }),
                ..
            }) => {
                if !text.is_empty() {
                    self.event(Event::Logprobs(&logprobs));
                    self.event(Event::Text(&text));
                }
                for call in &calls {
                    self.event(Event::Call(call));
                }
                let reason = match calls.is_empty() {
                    true => FinishReason::Stop,
                    false => FinishReason::ToolCalls,
                };
                let usage = reader.usage();
                self.event(Event::Finished(Finish { reason, usage }));
            }
            Some(unmet) => self.event(Event::Failed(unmet.fault)),
        }
    }
}

impl<W: FrameWriter> Sink for Both<W> {
    fn event(&mut self, event: Event<'_>) {
        if let Event::Unmet(unmet) = event {
            self.unmet = Some(unmet.clone());
            return;
        }
        self.stream.event(0, event);
        self.whole.event(0, event);
    }
}

fn every_cut_in_two_gives_the_same(case: &str, reading: &Recipe, format: Format, bytes: &[u8]) {
    use support::Act::{Feed, Read};
    let hear = |acts: &[support::Act]| {
        let mut heard = Heard::default();
        let reader = Reader::new(reading, format, LIMITS);
        support::drive(reader, bytes, acts, &mut heard);
        heard
    };
    let at_once = hear(&[]);
    assert_eq!(at_once.endings.len(), 1, "{case}");
    assert_eq!(
        hear(&byte_by_byte(bytes.len())),
        at_once,
        "{case}, byte by byte"
    );
    for cut in 0..=bytes.len() {
        assert_eq!(hear(&[Feed(cut), Read]), at_once, "{case}, cut at {cut}");
    }
    for seed in 0..8 {
        let acts: Vec<support::Act> = scattered(case, seed, bytes.len())
            .flat_map(|length| [Feed(length), Read])
            .collect();
        assert_eq!(hear(&acts), at_once, "{case}, cut at random, {acts:?}");
    }
}

/// Lengths of pieces that make up this many bytes: at random, and the same each time.
fn scattered(case: &str, seed: u64, bytes: usize) -> impl Iterator<Item = usize> {
    let mut state = case.bytes().fold(seed, |state, byte| {
        state.wrapping_mul(31).wrapping_add(u64::from(byte))
    });
    let mut left = bytes;
    std::iter::from_fn(move || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let most = 1 + (state >> 60) as usize * 6;
        let length = (1 + (state >> 33) as usize % most).min(left);
        left -= length;
        (length > 0).then_some(length)
    })
}

/// Expectations that were met or not; all of them are reported together.
#[derive(Default)]
struct Golden {
    complaints: Vec<String>,
}

impl Golden {
    fn expect(&mut self, path: &Path, rendered: &[u8]) {
        let on_disk = fs::read(path).unwrap_or_default();
        if on_disk == rendered {
            return;
        }
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(path, rendered).unwrap();
            return;
        }
        self.complain(format!(
            "{} says\n{}\nbut the outcome is\n{}",
            path.display(),
            String::from_utf8_lossy(&on_disk),
            String::from_utf8_lossy(rendered),
        ));
    }

    fn complain(&mut self, complaint: String) {
        self.complaints.push(complaint);
    }

    fn conclude(self) {
        assert!(
            self.complaints.is_empty(),
            "{} golden files do not fit (UPDATE_GOLDEN=1 rewrites them):\n\n{}",
            self.complaints.len(),
            self.complaints.join("\n\n"),
        );
    }
}

/// The files of a golden folder, in order.
fn files(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(folder);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

/// The cases in which a field has an effect: their names, bodies and limits.
pub(crate) fn effects(face: Face, field: &str) -> Vec<(String, String, PlanLimits)> {
    let wanted = format!("parameter-{field}-effect");
    let mut cases = Vec::new();
    for (path, text) in files(face.plans()) {
        let is_meant = stem(&path) == wanted || stem(&path).starts_with(&format!("{wanted}-"));
        if is_meant {
            let case = PlanCase::new(&path, &text);
            cases.push((stem(&path).to_owned(), case.body(), case.capabilities()));
        }
    }
    cases
}

/// The bodies of all plan cases, as seeds for those who bend them.
pub(crate) fn request_bodies() -> Vec<String> {
    files("plan")
        .iter()
        .map(|(_, text)| serde_json::from_str::<PlanCase<'_>>(text).unwrap().body())
        .collect()
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap()
}

fn stem(path: &Path) -> &str {
    path.file_stem().and_then(|name| name.to_str()).unwrap()
}

fn json(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

/// The same JSON, one level deeper.
fn indented(json: &str) -> String {
    json.replace('\n', "\n  ")
}

fn is_one(count: &u32) -> bool {
    *count == 1
}

fn is_false(flag: &bool) -> bool {
    !*flag
}
