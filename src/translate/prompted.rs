//! A request as a prompt: what the model is told of tools and formats, and the conversation folded.

use super::ask::{self, Ask, Conversation, Delivery, Reasoning};
use super::call::{Call, Endpoint, PromptCall, Variant};
use super::contract::Contract;
use super::correction::Forms;
use super::cost::Cost;
use super::fates::PRIORITY_FIELDS;
use super::fold::{Folded, Overflow, PromptLimits, Truncation, fold};
use super::guide::{DialectContext, Guide, GuideSettings, contract};
use super::media::Media;
use super::notes::Notes;
use super::plan::{PlanLimits, Target, Written};
use super::reading::decoder::DecoderKind;
use super::rejection::{Cause, Rejection};
use super::sizes;
use super::terms::Terms;
use super::tools::signature::Detail;
use super::upstream::UpstreamId;
use super::usage;
use crate::wire::fal::any_llm::{AnyLlmInput, Priority};

/// Writes a request for an upstream that takes a prompt.
///
/// # Errors
/// A conversation that does not fit, and a model that the wanted endpoint does not serve.
pub(super) fn write<'a>(
    ask: &Ask<'a>,
    target: &Target<'a>,
    terms: &Terms,
    sampling: &ask::Sampling,
    plan_limits: &PlanLimits,
    notes: &mut Notes,
) -> Result<Written<'a>, Rejection> {
    let Prompted {
        folded,
        contract,
        forms,
        fold,
    } = prompt(ask, &target.id, terms, &room(ask, plan_limits), plan_limits)?;
    // The images that are sent count, which may be fewer than there were.
    let has_images = !folded.image_urls.is_empty();
    let variant = match folded.media.first() {
        None => variant(has_images, target, plan_limits)?,
        Some(Media::Audio { .. }) => Variant::Audio,
        Some(Media::Video(_)) if plan_limits.enterprise => Variant::VideoEnterprise,
        Some(Media::Video(_)) => Variant::Video,
    };
    let definitions = ask.tools.as_ref().map(|offer| terms.definitions(offer));
    let media_tokens = usage::media_tokens(&folded.media);
    let prompt_tokens = usage::prompt_tokens_knowing(
        definitions.map(|known| &known.estimated),
        &folded.prompt,
        folded.system_prompt.as_deref(),
        folded.image_urls.len(),
    )
    .saturating_add(media_tokens);
    Ok(Written {
        decoder: decoder(target.route.upstream),
        contract,
        key: folded.key.clone(),
        forms,
        fold,
        prompt_tokens,
        media_tokens,
        price: flat_price(target, variant, plan_limits),
        call: Call::Prompt(PromptCall {
            endpoint: Endpoint {
                variant,
                // A whole answer with stop sequences is read as a stream, so that the call can be
                // dropped at the match instead of being paid for to its end.
                stream: ask.delivery != Delivery::Whole || !ask.stop.is_empty(),
            },
            input: input(folded, target, sampling, ask, notes),
            known: definitions.cloned(),
        }),
    })
}

/// The room there is for this request, and what becomes of it where that is too little.
fn room(ask: &Ask<'_>, plan_limits: &PlanLimits) -> PromptLimits {
    let room = plan_limits.room;
    match ask.drops_oldest {
        true => PromptLimits {
            overflow: Overflow::DropOldest,
            ..room
        },
        false => room,
    }
}

/// A request as two texts.
pub(super) struct Prompted<'a> {
    pub folded: Folded<'a>,
    /// What the answer has to be.
    pub contract: Contract,
    /// What is shown again if the answer misses its form.
    pub forms: Forms,
    /// How the conversation was written, where that is worth a note.
    pub fold: Option<String>,
}

/// Folds a conversation, with what this model is told of tools and formats.
///
/// # Errors
/// A conversation that does not fit into the room there is.
pub(super) fn prompt<'a>(
    ask: &Ask<'a>,
    model: &str,
    terms: &Terms,
    room: &PromptLimits,
    plan_limits: &PlanLimits,
) -> Result<Prompted<'a>, Rejection> {
    let spoken = DialectContext::new(
        plan_limits.guide.dialect(model),
        &ask.conversation,
        ask.tools.as_ref(),
    );
    let guide = guide(ask, terms, model, &plan_limits.guide);
    let (folded, detail) = fold_guided(&ask.conversation, guide, room).map_err(|rejection| {
        let rejection = rejection.about(ask.names.asked);
        sizes::too_long(ask, guide, plan_limits).unwrap_or(rejection)
    })?;
    let contract = contract(
        ask.tools.as_ref(),
        &ask.format,
        terms.schemas.clone(),
        folded.key.as_ref(),
        ask.delivery,
        spoken,
        &plan_limits.guide,
    );
    let fold = describe_fold(&folded, ask.conversation.turns.len(), detail);
    Ok(Prompted {
        forms: Forms::of(&guide, folded.key.as_ref()),
        folded,
        contract,
        fold,
    })
}

fn decoder(upstream: UpstreamId) -> DecoderKind {
    match upstream.features().tells_usage {
        true => DecoderKind::Router,
        false => DecoderKind::AnyLlm,
    }
}

/// What one call to any-llm costs, where the model's class is known.
fn flat_price(target: &Target<'_>, variant: Variant, plan_limits: &PlanLimits) -> Option<Cost> {
    let is_flat = target.route.upstream == UpstreamId::AnyLlm && plan_limits.has_list_prices;
    let model = target.card.filter(|_| is_flat)?;
    let units = model.any_llm.units(variant == Variant::Vision)?;
    Some(Cost::of_units(units))
}

/// What this model is told about this request.
fn guide<'g>(
    ask: &'g Ask<'_>,
    terms: &'g Terms,
    model: &str,
    settings: &GuideSettings,
) -> Guide<'g> {
    Guide {
        tools: ask.tools.as_ref(),
        terms: Some(terms),
        format: &ask.format,
        dialect: settings.dialect(model),
        detail: Detail::Full,
        shows_outline: settings.shows_outline(model),
        secret: settings.secret,
    }
}

/// Folds a conversation with what the model is told besides. Where there is too little room, less is
/// said about each tool, as little less as possible.
fn fold_guided<'a>(
    conversation: &Conversation<'a>,
    guide: Guide<'_>,
    room: &PromptLimits,
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
    fold(conversation.clone(), &guide, room).map(|folded| (folded, detail))
}

/// The note about the fold. It does not name the key: whoever reads answers need not know it.
fn describe_fold(folded: &Folded<'_>, turns: usize, detail: Detail) -> Option<String> {
    let record = folded.is_record.then(|| {
        let cut = match folded.cut {
            Truncation::Nothing => String::new(),
            Truncation::Shifted(count) => format!("; shifted={count}"),
            Truncation::Dropped(count) => format!("; dropped={count}"),
        };
        format!("record; turns={turns}{cut}")
    });
    let tools = (detail != Detail::Full).then(|| format!("tools={}", detail.label()));
    let parts = record.into_iter().chain(tools).collect::<Vec<_>>();
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn input<'a>(
    folded: Folded<'a>,
    target: &Target<'a>,
    sampling: &ask::Sampling,
    ask: &Ask<'_>,
    notes: &mut Notes,
) -> AnyLlmInput<'a> {
    let takes_priority = target.route.upstream.features().priority;
    if ask.priority.is_some() && !takes_priority {
        notes.without_effect(&PRIORITY_FIELDS, "priority");
    }
    if ask.reasoning == Reasoning::Off && target.must_reason() {
        notes.ignored(ask.names.reasoning);
    }
    let media = folded.media.into_iter();
    let (audio, videos): (Vec<_>, Vec<_>) =
        media.partition(|media| matches!(media, Media::Audio { .. }));
    let audio = audio.into_iter().next();
    AnyLlmInput {
        prompt: folded.prompt,
        system_prompt: folded.system_prompt,
        model: target.id.clone(),
        temperature: sampling.temperature,
        max_tokens: sampling.max_tokens,
        reasoning: match ask.reasoning {
            _ if target.must_reason() => Some(true),
            Reasoning::Unsaid => None,
            Reasoning::Off => Some(false),
            Reasoning::Hidden | Reasoning::Shown => Some(true),
        },
        priority: ask
            .priority
            .filter(|_| takes_priority)
            .map(|priority| match priority {
                ask::Priority::Throughput => Priority::Throughput,
                ask::Priority::Latency => Priority::Latency,
            }),
        image_urls: folded.image_urls,
        audio_url: audio.map(Media::into_url),
        video_urls: videos.into_iter().map(Media::into_url).collect(),
    }
}

/// The endpoint that serves a request.
///
/// # Errors
/// A model that is not served by `/enterprise`, where that is wanted.
pub(super) fn variant(
    has_images: bool,
    target: &Target<'_>,
    plan_limits: &PlanLimits,
) -> Result<Variant, Rejection> {
    let listed = target
        .card
        .filter(|_| target.route.upstream == UpstreamId::AnyLlm);
    match (has_images, listed) {
        (true, _) => Ok(Variant::Vision),
        (false, listed) if plan_limits.enterprise => match listed {
            Some(card) if !card.any_llm.enterprise => Err(Rejection::of(
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
