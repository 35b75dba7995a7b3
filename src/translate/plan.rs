//! What is done for a request: an [`Ask`] and what fal can do make a [`Plan`] or a [`Rejection`].

use std::borrow::Cow;

use super::ask::{self, AnswerFormat, Ask, Conversation, Delivery, Reasoning};
use super::contract::{Contract, Schemas};
use super::fold::{Cut, Folded, Room, fold};
use super::guide::{Guide, GuideSettings, Spoken, contract};
use super::key::Key;
use super::model::{Catalogue, ModelCard, Resolved};
use super::notes::{Notes, shortened};
use super::rejection::{Cause, Rejection};
use super::sight;
use super::tools::Offer;
use super::tools::signature::Detail;
use super::usage;
use crate::wire::fal::any_llm::{AnyLlmInput, Priority};

/// What may be asked of fal, as the operator set it.
#[derive(Clone, Debug)]
pub struct Capabilities {
    /// The most answers per request; each is a paid call.
    pub max_choices: u32,
    /// A ceiling on `max_tokens`, if there is one.
    pub max_tokens: Option<u64>,
    /// Whether models are asked for through `/enterprise`.
    pub enterprise: bool,
    /// Whether a field that would be ignored is refused instead.
    pub strict: bool,
    /// How long prompts may be.
    pub room: Room,
    pub guide: GuideSettings,
}

/// Everything that is needed to call fal and to read its answer.
#[derive(Debug)]
pub struct Plan<'a> {
    pub endpoint: Endpoint,
    pub input: AnyLlmInput<'a>,
    /// Models to ask, in order, should the first one refuse before working.
    pub fallbacks: Vec<String>,
    pub card: Option<ModelCard>,
    pub choices: u32,
    pub delivery: Delivery,
    pub reading: Reading,
    pub notes: Notes,
}

/// fal's routes below the application's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub variant: Variant,
    /// Whether the answer comes as a stream.
    pub stream: bool,
}

/// The flavours of any-llm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    Plain,
    Vision,
    Enterprise,
}

impl Endpoint {
    /// The path after the application: ``, `/stream`, `/vision`, `/vision/stream`, ...
    pub fn path(self) -> &'static str {
        match (self.variant, self.stream) {
            (Variant::Plain, false) => "",
            (Variant::Plain, true) => "/stream",
            (Variant::Vision, false) => "/vision",
            (Variant::Vision, true) => "/vision/stream",
            (Variant::Enterprise, false) => "/enterprise",
            (Variant::Enterprise, true) => "/enterprise/stream",
        }
    }
}

/// How the answer is to be read.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The key of the conversation's markup, which an answer must not continue.
    pub key: Option<Key>,
    pub stop: Vec<String>,
    /// What the answer has to be.
    pub contract: Contract,
    /// Whether the caller wants to read the reasoning.
    pub show_reasoning: bool,
    /// What the caller began the answer with; an answer that repeats it is relieved of it.
    pub prefill: Option<String>,
    pub max_tokens: Option<u64>,
    /// Estimated.
    pub prompt_tokens: u64,
}

/// Plans a request.
///
/// # Errors
/// An unknown model, more choices than allowed, an image for a model that cannot see, and under
/// `strict` any field that would have been ignored.
pub fn plan<'a>(
    mut ask: Ask<'a>,
    capabilities: &Capabilities,
    catalogue: &'a Catalogue,
) -> Result<Plan<'a>, Rejection> {
    let mut names = ask.model.iter().chain(&ask.fallbacks);
    let Resolved { id, card } = catalogue.resolve(names.next().map(AsRef::as_ref))?;
    let schemas = compile(ask.tools.as_ref(), &ask.format, &mut ask.notes)?;
    if sight::fit(&mut ask.conversation, card, ask.last_image.as_deref())? {
        ask.notes.ignored.push(sight::LEFT_OUT.into());
    }
    refuse_ignored(&ask.notes, capabilities)?;
    refuse_amounts(&ask, capabilities)?;
    let prefill = ask.conversation.prefill.clone().map(Cow::into_owned);
    let turns = ask.conversation.turns.len();
    let spoken = Spoken::new(
        capabilities.guide.dialect(&id),
        &ask.conversation,
        ask.tools.as_ref(),
    );
    let guide = guide(ask.tools.as_ref(), &ask.format, &id, &capabilities.guide);
    let (folded, detail) = fold_guided(ask.conversation, guide, &capabilities.room)?;
    let contract = contract(
        ask.tools.as_ref(),
        &ask.format,
        schemas,
        folded.key.as_ref(),
        ask.delivery,
        spoken,
        &capabilities.guide,
    );
    // The images that are sent count, which may be fewer than there were.
    let has_images = !folded.image_urls.is_empty();
    let variant = variant(has_images, card, capabilities)?;
    let fallbacks = fallbacks(names, &id, has_images, catalogue)?;
    let mut notes = ask.notes;
    notes.fold = describe_fold(&folded, turns, detail);
    let sampling = with_ceiling(ask.sampling, &mut notes, capabilities);
    let prompt_tokens = usage::prompt_tokens(
        &folded.prompt,
        folded.system_prompt.as_deref(),
        folded.image_urls.len(),
    );
    refuse_beyond_context(card, prompt_tokens)?;
    let reading = Reading {
        stop: ask.stop,
        contract,
        show_reasoning: ask.reasoning == Reasoning::Shown,
        prefill,
        max_tokens: sampling.max_tokens,
        prompt_tokens,
        key: folded.key.clone(),
    };
    // A whole answer with stop sequences is read as a stream, so that the call can be dropped at
    // the match instead of being paid for to its end.
    let stream = ask.delivery != Delivery::Whole || !reading.stop.is_empty();
    Ok(Plan {
        endpoint: Endpoint { variant, stream },
        input: input(folded, id, &sampling, ask.reasoning, ask.priority),
        fallbacks,
        card: card.cloned(),
        choices: ask.choices,
        delivery: ask.delivery,
        reading,
        notes,
    })
}

/// What answers are checked against; what of it is not is noted.
fn compile(
    tools: Option<&Offer<'_>>,
    format: &AnswerFormat<'_>,
    notes: &mut Notes,
) -> Result<Schemas, Rejection> {
    let schemas = Schemas::of(tools, format)?;
    notes.unchecked(&schemas.unchecked);
    Ok(schemas)
}

/// Where there is a ceiling on `max_tokens`, it also holds for requests that do not say.
fn with_ceiling(
    mut sampling: ask::Sampling,
    notes: &mut Notes,
    capabilities: &Capabilities,
) -> ask::Sampling {
    if sampling.max_tokens.is_none() && capabilities.max_tokens.is_some() {
        sampling.max_tokens = capabilities.max_tokens;
        notes.emulated("max_tokens");
    }
    sampling
}

/// The ids to fall back on: those of the request, or else those the operator configured for the
/// model. A model that cannot see is no substitute for one that has to.
fn fallbacks<'n>(
    names: impl Iterator<Item = &'n Cow<'n, str>>,
    first: &str,
    has_images: bool,
    catalogue: &'n Catalogue,
) -> Result<Vec<String>, Rejection> {
    let mut asked = names.map(AsRef::as_ref).peekable();
    let configured = match asked.peek() {
        Some(_) => &[][..],
        None => catalogue.fallbacks(first),
    };
    let mut ids = Vec::new();
    for name in asked.chain(configured.iter().map(String::as_str)) {
        let Resolved { id, card } =
            catalogue
                .resolve(Some(name))
                .map_err(|rejection| Rejection {
                    param: Some("models".to_owned()),
                    ..rejection
                })?;
        let is_blind = has_images && card.is_some_and(|card| card.vision == Some(false));
        if !is_blind && *id != *first && !ids.iter().any(|known: &String| **known == *id) {
            ids.push(id.into_owned());
        }
    }
    Ok(ids)
}

/// What this model is told about this request.
fn guide<'g>(
    tools: Option<&'g Offer<'_>>,
    format: &'g AnswerFormat<'_>,
    model: &str,
    settings: &GuideSettings,
) -> Guide<'g> {
    Guide {
        tools,
        format,
        dialect: settings.dialect(model),
        detail: Detail::Full,
        shows_outline: settings.shows_outline(model),
        secret: settings.secret,
    }
}

/// Folds a conversation with what the model is told besides. Where there is too little room, less is
/// said about each tool, as little less as possible.
fn fold_guided<'a>(
    conversation: Conversation<'a>,
    guide: Guide<'_>,
    room: &Room,
) -> Result<(Folded<'a>, Detail), Rejection> {
    let mut levels = match guide.tools.is_some() && room.system_prompt.is_some() {
        true => &Detail::ALL[..],
        false => &[Detail::Full],
    };
    while let [detail, less @ ..] = levels
        && !less.is_empty()
    {
        let guide = Guide {
            detail: *detail,
            ..guide
        };
        if let Ok(folded) = fold(conversation.clone(), &guide, room) {
            return Ok((folded, *detail));
        }
        levels = less;
    }
    let detail = levels.first().copied().unwrap_or_default();
    let guide = Guide { detail, ..guide };
    fold(conversation, &guide, room).map(|folded| (folded, detail))
}

/// The note about the fold. It does not name the key: whoever reads answers need not know it.
fn describe_fold(folded: &Folded<'_>, turns: usize, detail: Detail) -> Option<String> {
    let record = folded.is_record.then(|| {
        let cut = match folded.cut {
            Cut::Nothing => String::new(),
            Cut::Shifted(count) => format!("; shifted={count}"),
            Cut::Dropped(count) => format!("; dropped={count}"),
        };
        format!("record; turns={turns}{cut}")
    });
    let tools = (detail != Detail::Full).then(|| format!("tools={}", detail.label()));
    let parts = record.into_iter().chain(tools).collect::<Vec<_>>();
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn refuse_beyond_context(card: Option<&ModelCard>, prompt_tokens: u64) -> Result<(), Rejection> {
    match card.and_then(|card| card.context_length) {
        Some(most) if prompt_tokens > u64::from(most) => Err(Rejection::of(
            Cause::ContextLengthExceeded,
            "messages",
            format!(
                "This model's maximum context length is {most} tokens. However, your messages resulted in about \
                 {prompt_tokens} tokens. Please reduce the length of the messages."
            ),
        )),
        _ => Ok(()),
    }
}

fn input<'a>(
    folded: Folded<'a>,
    model: Cow<'a, str>,
    sampling: &ask::Sampling,
    reasoning: Reasoning,
    priority: Option<ask::Priority>,
) -> AnyLlmInput<'a> {
    AnyLlmInput {
        prompt: folded.prompt,
        system_prompt: folded.system_prompt,
        model,
        temperature: sampling.temperature,
        max_tokens: sampling.max_tokens,
        reasoning: match reasoning {
            Reasoning::Unsaid => None,
            Reasoning::Off => Some(false),
            Reasoning::Hidden | Reasoning::Shown => Some(true),
        },
        priority: priority.map(|priority| match priority {
            ask::Priority::Throughput => Priority::Throughput,
            ask::Priority::Latency => Priority::Latency,
        }),
        image_urls: folded.image_urls,
    }
}

fn refuse_ignored(notes: &Notes, capabilities: &Capabilities) -> Result<(), Rejection> {
    match notes.ignored.first() {
        Some(name) if capabilities.strict => {
            let shown = shortened(name);
            let message = format!(
                "Unsupported parameter: '{shown}' has no effect on fal's any-llm, and strict parameters are on. \
                 Remove it, or switch strict parameters off."
            );
            Err(Rejection::unsupported(shown, message))
        }
        _ => Ok(()),
    }
}

fn refuse_amounts(ask: &Ask<'_>, capabilities: &Capabilities) -> Result<(), Rejection> {
    let most = capabilities.max_choices;
    if ask.choices > most {
        let message = format!(
            "Unsupported value: 'n' can be at most {most} here, because each choice is a paid call to fal."
        );
        return Err(Rejection::of(Cause::UnsupportedValue, "n", message));
    }
    match (ask.sampling.max_tokens, capabilities.max_tokens) {
        (Some(wanted), Some(most)) if wanted > most => {
            let name = ask.sampling.max_tokens_name;
            let message = format!("Unsupported value: '{name}' can be at most {most} here.");
            Err(Rejection::of(Cause::UnsupportedValue, name, message))
        }
        _ => Ok(()),
    }
}

fn variant(
    has_images: bool,
    card: Option<&ModelCard>,
    capabilities: &Capabilities,
) -> Result<Variant, Rejection> {
    match (has_images, card) {
        (true, _) => Ok(Variant::Vision),
        (false, card) if capabilities.enterprise => match card {
            Some(card) if !card.enterprise => Err(Rejection::of(
                Cause::UnsupportedValue,
                "model",
                format!(
                    "Unsupported value: the model '{}' is not served by fal's enterprise endpoint.",
                    card.id
                ),
            )),
            _ => Ok(Variant::Enterprise),
        },
        (false, _) => Ok(Variant::Plain),
    }
}
