//! Requests for upstreams that speak OpenAI's chat completions: what of a request a model takes as it
//! is, and how that is written.
//!
//! What a model is not known to take is sent all the same, since only a refusal tells. What it is
//! known not to take is emulated: tools as they are for a prompt, with the conversation folded; the
//! form of an answer by what the model is told. What nothing can emulate is named among what has no
//! effect.

pub mod abilities;
pub mod fields;
pub mod format;
pub mod messages;
pub mod sizes;

use std::borrow::Cow;

use super::ask::{self, AnswerFormat, Ask, Delivery};
use super::call::Call;
use super::contract::{Contract, NativeTools};
use super::correction::Forms;
use super::fold::{Folded, PromptLimits};
use super::guide::{Guide, format_contract};
use super::key::MarkerKey;
use super::model::Parameter;
use super::notes::Notes;
use super::plan::{PlanLimits, Target, Written};
use super::prompted::{self, Prompted};
use super::reading::decoder::DecoderKind;
use super::rejection::{Cause, Rejection};
use super::terms::Terms;
use crate::wire::openrouter::request::{Message, Role};
pub use abilities::{Abilities, Lacks, Natively};
use fields::Fields;

/// Writes a request for an upstream that takes messages. `notes` are told what goes as it is after
/// all, and what has no effect.
///
/// # Errors
/// Where the request may only go through fal's enterprise endpoints, of which this is none.
pub(super) fn write<'a>(
    ask: &Ask<'a>,
    target: &Target<'a>,
    terms: &Terms,
    sampling: &ask::Sampling,
    plan_limits: &PlanLimits,
    notes: &mut Notes,
) -> Result<Written<'a>, Rejection> {
    if plan_limits.enterprise {
        let message = "The gateway is set up for fal's enterprise endpoints (fal.enterprise), and fal has none that \
                       takes messages. Its operator has to choose another fal.upstream.";
        return Err(Rejection::of(Cause::UnsupportedValue, "model", message));
    }
    let abilities = Abilities {
        card: target.card,
        lacking: target.lacks,
    };
    let natively = Natively::of(ask, abilities);
    let Spoken {
        messages,
        contract,
        forms,
        key,
        fold,
    } = match natively.tools {
        true => as_messages(ask, terms, natively, &target.id, plan_limits, notes),
        false => as_record(ask, terms, &target.id, plan_limits)?,
    };
    // Where a call is due, no text is delivered that could be stopped.
    let has_stops = !ask.stop.is_empty() && !contract.requires_call();
    // In calls and in JSON a provider would stop, too, and nobody could tell that from a mistake.
    let is_text = contract.is_plain() && !ask.names_stop;
    let sends_stops = has_stops && is_text && abilities.takes(Parameter::Stop);
    // A whole answer that is stopped here is read as a stream, so that the call can be dropped at
    // the match instead of being paid for to its end.
    let is_stopped_here = has_stops && !sends_stops;
    let fields = Fields {
        ask,
        abilities,
        natively,
        sends_stops,
        max_tokens: sampling.max_tokens,
        is_stream: ask.delivery != Delivery::Whole || is_stopped_here,
    };
    let request = fields.write(target.id.clone(), messages, notes);
    Ok(Written {
        decoder: DecoderKind::Chunks,
        contract,
        forms,
        key,
        fold,
        prompt_tokens: sizes::prompt_tokens(&request),
        media_tokens: sizes::media_tokens(&request),
        price: None,
        call: Call::Chat(Box::new(request)),
    })
}

/// A conversation in messages, and what comes of that.
struct Spoken<'a> {
    messages: Vec<Message<'a>>,
    contract: Contract,
    forms: Forms,
    key: Option<MarkerKey>,
    fold: Option<String>,
}

/// The conversation as it is. A form of the answer that the model does not take is described to it.
fn as_messages<'a>(
    ask: &Ask<'a>,
    terms: &Terms,
    natively: Natively,
    model: &str,
    plan_limits: &PlanLimits,
    notes: &mut Notes,
) -> Spoken<'a> {
    let conversation = &ask.conversation;
    let guide = Guide {
        terms: Some(terms),
        format: &ask.format,
        shows_outline: plan_limits.guide.shows_outline(model),
        ..Guide::default()
    };
    let told = match &ask.format {
        AnswerFormat::Text => None,
        AnswerFormat::JsonObject if natively.format && speaks_of_json(ask) => None,
        AnswerFormat::JsonSchema(_) if natively.format => None,
        AnswerFormat::JsonObject | AnswerFormat::JsonSchema(_) => {
            Some(guide.format_text(ask.tools.is_some()))
        }
    };
    let forms = match told {
        Some(_) => Forms::of(&guide, None),
        None => Forms::default(),
    };
    let instructions = match (&conversation.instructions, told) {
        (Some(own), None) => Some(own.clone()),
        (Some(own), Some(told)) => Some(Cow::Owned(format!("{own}\n\n{told}"))),
        (None, told) => told.map(Cow::Owned),
    };
    let mut thoughts = ask.thoughts.iter();
    let has_foreign = thoughts.any(|(_, thoughts)| !thoughts.origin.may_be(model));
    if !ask.thoughts.is_empty() && !has_foreign {
        notes.forwarded(&["messages[].reasoning_details"]);
    }
    let native = ask.tools.as_ref();
    Spoken {
        messages: messages::messages(conversation, instructions, &ask.thoughts, model),
        contract: Contract {
            tools: None,
            native: native.map(|offer| NativeTools::new(offer, terms.schemas.tools.clone())),
            format: format_contract(&ask.format, terms.schemas.format.clone(), ask.delivery),
        },
        forms,
        key: None,
        fold: None,
    }
}

/// The conversation as a prompt, for a model that knows nothing of calls.
fn as_record<'a>(
    ask: &Ask<'a>,
    terms: &Terms,
    model: &str,
    plan_limits: &PlanLimits,
) -> Result<Spoken<'a>, Rejection> {
    let Prompted {
        folded,
        contract,
        forms,
        fold,
    } = prompted::prompt(ask, model, terms, &PromptLimits::default(), plan_limits)?;
    let Folded {
        prompt,
        system_prompt,
        image_urls,
        media,
        key,
        ..
    } = folded;
    let system = system_prompt.map(|text| messages::said(Role::System, text));
    let asked = messages::illustrated(prompt, image_urls, media);
    let user = Message {
        content: Some(asked),
        ..messages::said(Role::User, Cow::Borrowed(""))
    };
    Ok(Spoken {
        messages: system.into_iter().chain([user]).collect(),
        contract,
        forms,
        key,
        fold,
    })
}

/// Whether the word is there without which OpenAI refuses to write a JSON object.
fn speaks_of_json(ask: &Ask<'_>) -> bool {
    let is_word = |window: &[u8]| window.eq_ignore_ascii_case(b"json");
    let mut texts = ask.conversation.texts();
    texts.any(|text| text.as_bytes().windows(4).any(is_word))
}
