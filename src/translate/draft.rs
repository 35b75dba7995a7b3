//! A request between its JSON and the [`Ask`]: each field read by the rule that belongs to it.
//!
//! The faces bring a table of [`Parameter`]s. For every field of a request its row is looked up
//! and its rule fills in the [`Draft`] and says what becomes of the field. Fields without a row
//! are ignored with a note, so nothing is ever dropped unseen.
#![deny(clippy::arithmetic_side_effects)]

use std::borrow::Cow;

use memchr::memmem;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::ask::{
    AnswerFormat, Ask, Conversation, Delivery, Effort, FieldNames, FinerSampling, Priority,
    Reasoning, Sampling,
};
use super::body::{Body, SentTools, TOOLS};
use super::json::Extent;
use super::model::Parameter as Ability;
use super::notes::{Members, Notes, shortened};
use super::rejection::{Cause, Rejection};
use crate::wire::list::List;
use crate::wire::openai::fields::{DUPLICATE_FIELD, Fields, TOO_MANY_FIELDS};

/// What the gateway does with a field that has an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// fal has the same thing.
    Forwarded,
    /// The gateway does it itself.
    Emulated,
    /// Without effect; the response says so.
    Ignored,
    /// A 400, because the answer would mean something else without it.
    Refused,
}

/// What a rule found in one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The value says what would happen anyway.
    NoEffect,
    Forwarded,
    Emulated,
    Ignored,
}

/// Reads one value into the draft.
pub type Rule = for<'a> fn(&mut Draft<'a>, &Field<'a>) -> Result<Found, Rejection>;

/// One row of a face's table.
pub struct Parameter {
    pub name: &'static str,
    /// What happens to a value that has an effect. Values that change nothing are never refused.
    pub fate: Fate,
    /// How, in a phrase for the documentation.
    pub says: &'static str,
    pub rule: Rule,
    /// Of a field that is refused: what a model has to list for it to be passed on after all, where
    /// the model has its messages.
    pub unless_listed: Option<Ability>,
}

/// Writes a row, so that tables can be read as tables.
pub const fn row(name: &'static str, fate: Fate, says: &'static str, rule: Rule) -> Parameter {
    Parameter {
        name,
        fate,
        says,
        rule,
        unless_listed: None,
    }
}

impl Parameter {
    /// The row of a field that is passed on to models that list this.
    #[must_use]
    pub const fn unless_listed(self, ability: Ability) -> Self {
        Self {
            unless_listed: Some(ability),
            ..self
        }
    }
}

/// A field as it was sent.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    pub name: &'static str,
    pub value: &'a RawValue,
    /// How many items it holds directly, where they were counted.
    items: Option<usize>,
}

/// What the rules have found so far. `None` is "not said".
#[derive(Debug, Default)]
pub struct Draft<'a> {
    pub messages: Option<Field<'a>>,
    pub prompt: Option<&'a RawValue>,
    pub model: Option<Cow<'a, str>>,
    pub temperature: Option<f64>,
    pub max_tokens: Option<u64>,
    pub max_completion_tokens: Option<u64>,
    pub finer: FinerSampling,
    pub stream: bool,
    pub include_usage: bool,
    /// Chunks of even length are asked for, which hide what is in them.
    pub include_obfuscation: bool,
    pub stop: Vec<String>,
    pub choices: Option<u32>,
    pub echo: bool,
    /// Whether the caller wants nothing of the request to be kept.
    pub forbids_keeping: bool,
    pub wishes: ReasoningWishes,
    pub priority: Option<Priority>,
    /// Whether the probabilities of tokens are wanted.
    pub logprobs: bool,
    pub top_logprobs: u8,
    pub service_tier: Option<Priority>,
    pub fallbacks: Vec<Cow<'a, str>>,
    pub tools: Option<&'a RawValue>,
    /// The same, with what is known of them.
    pub sent_tools: Option<SentTools<'a>>,
    pub tool_choice: Option<&'a RawValue>,
    pub parallel_tool_calls: Option<bool>,
    pub functions: Option<&'a RawValue>,
    pub function_call: Option<&'a RawValue>,
    pub response_format: Option<&'a RawValue>,
    /// Fields that are read once all are known, by name.
    kept: Vec<Field<'a>>,
    pub notes: Notes,
    /// What inside the fields has no effect.
    pub members: Members,
}

/// What the fields about reasoning say, each for itself: clients send several of them at once, in
/// any order.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReasoningWishes {
    /// Whether the model shall reason, by `reasoning`.
    pub object: Option<bool>,
    /// The same by `reasoning_effort`.
    pub effort: Option<bool>,
    /// How much, by `reasoning`.
    pub object_effort: Option<Effort>,
    /// The same by `reasoning_effort`.
    pub effort_level: Option<&'static str>,
    /// Whether the text is wanted, by `reasoning`.
    pub object_shows: Option<bool>,
    /// The same by `include_reasoning`, which asks for reasoning where no other field speaks of it.
    pub include: Option<bool>,
    /// The answer has no place for the text.
    pub has_no_place: bool,
}

impl ReasoningWishes {
    /// Where fields contradict each other, `reasoning` is believed before `reasoning_effort`, and
    /// that before `include_reasoning`.
    fn settled(self) -> Reasoning {
        let shows = self.object_shows.or(self.include);
        let reasons = self.object.or(self.effort);
        match reasons.or(self.include.filter(|wanted| *wanted)) {
            None => Reasoning::Unsaid,
            Some(false) => Reasoning::Off,
            Some(true) if self.has_no_place || shows == Some(false) => Reasoning::Hidden,
            Some(true) => Reasoning::Shown,
        }
    }

    /// How much the model shall reason, by the field that is believed.
    fn effort(self) -> Option<Effort> {
        let level = self.effort_level.filter(|_| self.object.is_none());
        self.object_effort.or(level.map(Effort::Level))
    }
}

impl<'a> Draft<'a> {
    /// Reads a request body with a face's table. Fields that the table refuses are ignored if they
    /// are named in `ignore`.
    ///
    /// # Errors
    /// Anything that is not a JSON object in valid UTF-8, a field written twice, nesting deeper
    /// than [`MAX_DEPTH`], more values than [`MAX_VALUES`], and whatever the rules refuse.
    pub fn read(
        body: impl Into<Body<'a>>,
        table: &'static [Parameter],
        ignore: &[&'static str],
    ) -> Result<Self, Rejection> {
        let (fields, known) = fields(body.into())?;
        let mut draft = Self::default();
        let mut values = 0_usize;
        for (name, mut value) in fields {
            if value.get() == "null" {
                continue;
            }
            let known = known.filter(|_| name == TOOLS);
            let extent = known.map_or_else(|| Extent::of(value.get()), |known| known.extent);
            if name == TOOLS {
                value = known.map_or(value, |known| known.json);
                draft.sent_tools = known.or(Some(SentTools {
                    json: value,
                    extent,
                    known: None,
                }));
            }
            if extent.depth > MAX_DEPTH {
                return Err(too_deep());
            }
            values = values.saturating_add(extent.values);
            if values > MAX_VALUES {
                return Err(too_many_values());
            }
            match table.iter().find(|parameter| parameter.name == name) {
                Some(parameter) => draft.apply(parameter, (value, extent.items), ignore)?,
                None => draft.notes.ignored.push(Cow::Owned(name.into_owned())),
            }
        }
        match draft.stream {
            // Without a stream there is no chunk that could carry the usage.
            false => draft
                .notes
                .emulated
                .retain(|name| *name != "stream_options"),
            true => draft.members.add_if(
                draft.include_obfuscation,
                "stream_options",
                "include_obfuscation",
            ),
        }
        Ok(draft)
    }

    /// What the fields and the conversation amount to. `names` are the face's.
    pub fn into_ask(
        mut self,
        conversation: Conversation<'a>,
        names: &'static FieldNames,
    ) -> Ask<'a> {
        self.notes.ignored.extend(self.members.into_paths());
        Ask {
            model: self.model,
            is_text: false,
            may_be_kept: !self.forbids_keeping,
            conversation,
            drops_oldest: false,
            last_image: None,
            last_media: None,
            sampling: Sampling {
                temperature: self.temperature,
                max_tokens: self.max_completion_tokens.or(self.max_tokens),
                max_tokens_name: match self.max_completion_tokens {
                    Some(_) => "max_completion_tokens",
                    None => "max_tokens",
                },
                finer: self.finer,
                lowers_max_tokens: false,
            },
            reasoning: self.wishes.settled(),
            effort: self.wishes.effort(),
            thoughts: Vec::new(),
            priority: self.priority.or(self.service_tier),
            priority_name: match (self.priority, self.service_tier) {
                (None, Some(_)) => "service_tier",
                _ => "priority",
            },
            logprobs: None,
            stop: self.stop,
            names_stop: false,
            choices: self.choices.unwrap_or(1),
            delivery: match self.stream {
                true => Delivery::Stream {
                    include_usage: self.include_usage,
                },
                false => Delivery::Whole,
            },
            fallbacks: self.fallbacks,
            tools: None,
            sent_tools: self.sent_tools,
            format: AnswerFormat::Text,
            notes: self.notes,
            names,
            stand_in: None,
            reasons_if_able: false,
            omitted_bytes: 0,
            terms: None,
        }
    }

    /// Keeps a field for when all are known.
    pub fn keep(&mut self, field: &Field<'a>) {
        self.kept.push(*field);
    }

    /// A field that was kept.
    pub fn kept(&self, name: &str) -> Option<Field<'a>> {
        let mut kept = self.kept.iter().copied();
        kept.find(|field| field.name == name)
    }

    /// Takes back that these fields have an effect.
    pub fn ignore_after_all(&mut self, names: [&'static str; 2]) {
        let Notes {
            emulated, ignored, ..
        } = &mut self.notes;
        let ignore = |name: &&'static str| names.contains(name);
        ignored.extend(emulated.iter().copied().filter(ignore).map(Cow::Borrowed));
        emulated.retain(|name| !ignore(name));
    }

    fn apply(
        &mut self,
        parameter: &'static Parameter,
        (value, items): (&'a RawValue, usize),
        ignore: &[&'static str],
    ) -> Result<(), Rejection> {
        let field = Field {
            items: Some(items),
            ..Field::new(parameter.name, value)
        };
        let is_let_pass = parameter.fate == Fate::Refused && ignore.contains(&parameter.name);
        let found = match (parameter.rule)(self, &field) {
            Err(_) if is_let_pass => Found::Ignored,
            outcome => outcome?,
        };
        match found {
            Found::NoEffect | Found::Forwarded => {}
            Found::Emulated => self.notes.emulated(parameter.name),
            Found::Ignored => self.notes.ignored.push(Cow::Borrowed(parameter.name)),
        }
        Ok(())
    }
}

/// The fields of a body, and the tools that belong in the place of those in it, where they are known.
fn fields(body: Body<'_>) -> Result<(FieldList<'_>, Option<SentTools<'_>>), Rejection> {
    // What is wrong with the rest is told of the whole body, whose lines and columns are the caller's.
    if let Some(shortened) = body.shortened
        && let Ok(Fields(fields)) = parse_object(shortened.text().as_bytes())
        && let Some((_, tools)) = fields.iter().find(|(name, _)| name == TOOLS)
        && let Some(known) = shortened.tools_at(tools)
    {
        return Ok((fields, Some(known)));
    }
    parse_object(body.bytes).map(|Fields(fields)| (fields, None))
}

/// Fields by their names.
type FieldList<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

/// How deep a request may be nested.
pub const MAX_DEPTH: usize = 64;
/// How many JSON values a request may hold: messages, parts, calls, tools, and what is in them. A
/// value can be written in two bytes, and takes a hundred and more once it is read.
pub const MAX_VALUES: usize = 200_000;

/// The fields of a request body, as they stand there.
///
/// # Errors
/// Anything that is not a JSON object in valid UTF-8, and a field written twice.
pub fn parse_object(body: &[u8]) -> Result<Fields<'_>, Rejection> {
    let Ok(text) = std::str::from_utf8(body) else {
        return Err(Rejection::json(
            "The request body is not valid UTF-8. Send JSON encoded as UTF-8.",
        ));
    };
    // A mark of the byte order may be ignored (RFC 8259, section 8.1), and some clients write one.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    serde_json::from_str(text).map_err(|error| {
        let said = error.to_string();
        if let Some(name) = without_place(&said).strip_prefix(DUPLICATE_FIELD) {
            let name = shortened(name);
            let message = format!("Invalid '{name}': the field is written twice. Send it once.");
            Rejection::invalid(name, message)
        } else if said.starts_with(TOO_MANY_FIELDS) {
            let message = "The request body has more than 256 fields. Send only the fields of the API.";
            Rejection { cause: Cause::InvalidValue, ..Rejection::json(message) }
        } else if error.is_data() {
            Rejection::json("The request body must be a JSON object, such as {\"model\": ..., \"messages\": [...]}.")
        } else {
            Rejection::json(format!(
                "The request body is not valid JSON (line {}, column {}). Check quotes, commas and braces there.",
                error.line(),
                error.column()
            ))
        }
    })
}

impl<'a> Field<'a> {
    pub const fn new(name: &'static str, value: &'a RawValue) -> Self {
        Self {
            name,
            value,
            items: None,
        }
    }

    /// The value as a `T`.
    ///
    /// # Errors
    /// When it is something else; the refusal names the path inside the field and, with `expected`,
    /// what belongs there.
    pub fn parse<T: Deserialize<'a>>(&self, expected: &str) -> Result<T, Rejection> {
        read_at(self.value, self.name, expected)
    }

    /// How many items the value holds, which is a list. None of them is read: each would take many
    /// times the memory of its text.
    ///
    /// # Errors
    /// As [`Self::parse`], when it is something else.
    pub fn count_items(&self, expected: &str) -> Result<usize, Rejection> {
        match (self.value.get().starts_with('['), self.items) {
            (true, Some(items)) => Ok(items),
            (true, None) => Ok(Extent::of(self.value.get()).items),
            (false, _) => self
                .parse::<List<IgnoredAny, 0>>(expected)
                .map(|list| list.total),
        }
    }

    /// A refusal of this field's value.
    pub fn invalid(&self, message: impl Into<String>) -> Rejection {
        Rejection::invalid(self.name, message)
    }

    /// A refusal because nothing here can honour the field.
    pub fn unsupported(&self, message: impl Into<String>) -> Rejection {
        Rejection::unsupported(self.name, message)
    }

    /// A refusal because nothing here can honour this value of it.
    pub fn unsupported_value(&self, message: impl Into<String>) -> Rejection {
        Rejection::of(Cause::UnsupportedValue, self.name, message)
    }

    /// Whether the value is empty: `[]`, `{}`, `""`, `false` or `0`.
    pub fn is_empty(&self) -> bool {
        let text = self.value.get();
        let inner = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .or_else(|| {
                text.strip_prefix('{')
                    .and_then(|rest| rest.strip_suffix('}'))
            });
        match inner {
            Some(inner) => inner.trim().is_empty(),
            None => matches!(text, "\"\"" | "false" | "0" | "0.0"),
        }
    }
}

/// A value that stands at `path` in a request, as a `T`.
///
/// # Errors
/// When it is something else; the refusal names the path inside the value and, with `expected`,
/// what belongs there.
pub fn read_at<'a, T: Deserialize<'a>>(
    value: &'a RawValue,
    path: &str,
    expected: &str,
) -> Result<T, Rejection> {
    serde_json::from_str(value.get()).map_err(|error| refusal::<T>(value, path, &error, expected))
}

/// The same text is read again with its path tracked, which only a refusal has to pay for.
fn refusal<'a, T: Deserialize<'a>>(
    value: &'a RawValue,
    place: &str,
    error: &serde_json::Error,
    expected: &str,
) -> Rejection {
    let said = error.to_string();
    if said.starts_with("recursion limit") {
        return too_deep();
    }
    let mut reader = serde_json::Deserializer::from_str(value.get());
    let path = match serde_path_to_error::deserialize::<_, T>(&mut reader) {
        Err(error) => error.path().to_string(),
        Ok(_) => String::new(),
    };
    let param = match path.as_str() {
        "" | "." => place.to_owned(),
        inner if inner.starts_with('[') => format!("{place}{inner}"),
        inner => format!("{place}.{inner}"),
    };
    if error.is_syntax() && !said.starts_with("number out of range") {
        return no_character(param);
    }
    let reason = without_place(&said);
    if let Some(member) = reason.strip_prefix("missing field ") {
        return Rejection::missing(format!("{param}.{}", member.trim_matches('`')));
    }
    if let Some(member) = reason.strip_prefix("duplicate field ") {
        let param = format!("{param}.{}", member.trim_matches('`'));
        let message = format!("Invalid '{param}': the field is written twice. Send it once.");
        return Rejection::invalid(param, message);
    }
    let expected = match param == place {
        true => expected,
        false => expectation(reason).unwrap_or(expected),
    };
    let found = describe(reason);
    let message = format!("Invalid '{param}': {found} Expected {expected}.");
    Rejection::invalid(param, message)
}

/// The parser's reason without the place, which it appends.
fn without_place(said: &str) -> &str {
    said.rsplit_once(" at line ")
        .map_or(said, |(reason, _)| reason)
}

/// What the parser says belongs where it found something else. The type that was to be read says
/// it, so it quotes nothing, and it comes last.
fn expectation(reason: &str) -> Option<&str> {
    let (_, expected) = reason.rsplit_once(", expected ")?;
    Some(match expected {
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "u64" | "i64" => "an integer",
        "f64" => "a number",
        said => said,
    })
}

/// The parser's reason without the values it quotes: they may be prompt text.
fn describe(reason: &str) -> String {
    if reason.starts_with("number out of range") {
        return "the number is out of range.".to_owned();
    }
    let found = [
        "a map",
        "map",
        "sequence",
        "string",
        "integer",
        "floating point",
        "boolean",
        "null",
    ]
    .into_iter()
    .find(|kind| reason.starts_with(&format!("invalid type: {kind}")));
    match found {
        Some("map" | "a map") => "found an object.".to_owned(),
        Some("sequence") => "found an array.".to_owned(),
        Some("string") => "found a string.".to_owned(),
        Some("integer" | "floating point") => "found a number.".to_owned(),
        Some(other) => format!("found {other}."),
        None => "the value does not fit.".to_owned(),
    }
}

/// Refuses a value whose strings hold half of a surrogate pair, which stands for no character. The
/// parser finds that in what it reads, but not in what it hands on as text.
///
/// # Errors
/// With `path` as the place.
pub fn refuse_lone_surrogates(value: &RawValue, path: &str) -> Result<(), Rejection> {
    let mut rest = value.get();
    // Hardly any text spells out halves of pairs, whole ones included.
    let may_have = |half: &[u8]| memmem::find(rest.as_bytes(), half).is_some();
    if !may_have(br"\ud") && !may_have(br"\uD") {
        return Ok(());
    }
    while let Some((_, escape)) = rest.split_once('\\') {
        let unit = code_unit(escape);
        let after = unit.map_or(1, |_| 5);
        rest = escape.get(after..).unwrap_or_default();
        match unit {
            Some(0xd800..=0xdbff) => {
                let second = rest.strip_prefix('\\').and_then(code_unit);
                if !matches!(second, Some(0xdc00..=0xdfff)) {
                    return Err(no_character(path.to_owned()));
                }
                rest = rest.get(6..).unwrap_or_default();
            }
            Some(0xdc00..=0xdfff) => return Err(no_character(path.to_owned())),
            _ => {}
        }
    }
    Ok(())
}

/// The unit of UTF-16 that an escape names, from behind its backslash on.
fn code_unit(escape: &str) -> Option<u16> {
    let digits = escape.strip_prefix('u')?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

fn no_character(param: String) -> Rejection {
    let message = format!(
        "The value of '{param}' is not valid JSON: a string in it holds an escape that stands for no character."
    );
    Rejection::of(Cause::InvalidJson, param, message)
}

fn too_many_values() -> Rejection {
    Rejection::json(format!(
        "The request body holds more than {MAX_VALUES} JSON values. Send fewer messages, parts or members."
    ))
}

fn too_deep() -> Rejection {
    Rejection::json(format!(
        "The request body is nested deeper than {MAX_DEPTH} levels. Flatten it."
    ))
}
