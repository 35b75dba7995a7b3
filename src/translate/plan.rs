//! What is done for a request: an [`Ask`] and what fal can do make a [`Plan`] or a [`Rejection`].

use std::borrow::Cow;
use std::sync::Arc;

use super::ask::{self, Ask, Delivery, Reasoning};
use super::call::Call;
use super::contract::Contract;
use super::correction::Forms;
use super::cost::Cost;
use super::fold::PromptLimits;
use super::guide::GuideSettings;
use super::key::MarkerKey;
use super::logprobs;
use super::model::{self, Catalogue, Modality, ModelInfo, Resolved};
use super::native::{self, Lacks};
use super::notes::{Notes, shortened};
use super::prompted;
use super::reading::decoder::DecoderKind;
use super::rejection::{Cause, Rejection};
use super::routing::{Lost, Route, Routing, route};
use super::sight;
use super::sizes;
use super::terms::Terms;
use super::upstream::{InputShape, UpstreamId};

/// What may be asked of fal, as the operator set it.
#[derive(Clone, Debug)]
pub struct PlanLimits {
    /// The most answers per request; each is a paid call.
    pub max_choices: u32,
    /// The most calls per request, those included that are made again.
    pub max_calls: u32,
    /// A ceiling on `max_tokens`, if there is one.
    pub max_tokens: Option<u64>,
    /// Whether any-llm is fal's own, whose prices are known.
    pub has_list_prices: bool,
    /// Whether models are asked for through `/enterprise`.
    pub enterprise: bool,
    /// Whether a field that would be ignored is refused instead.
    pub strict: bool,
    /// How an upstream is chosen.
    pub routing: Routing,
    /// How long prompts may be.
    pub room: PromptLimits,
    /// Whether fal has named those lengths, rather than the operator.
    pub room_is_fals: bool,
    pub guide: GuideSettings,
}

/// Everything that is needed to call fal and to read its answer.
#[derive(Debug)]
pub struct Plan<'a> {
    pub upstream: UpstreamId,
    pub call: Call<'a>,
    /// Models to ask, in order, should the first one refuse before working.
    pub fallbacks: Vec<String>,
    pub card: Option<ModelInfo>,
    /// Tokens of prompt and answer together that the model takes there, where it is known.
    pub context_length: Option<u32>,
    pub choices: u32,
    pub delivery: Delivery,
    pub reading: Recipe,
    /// What is shown again if the answer misses its form.
    pub forms: Forms,
    pub notes: Notes,
}

/// How the answer is to be read.
#[derive(Clone, Debug, Default)]
pub struct Recipe {
    pub decoder: DecoderKind,
    /// The key of the conversation's markup, which an answer must not continue.
    pub key: Option<MarkerKey>,
    /// The key of the markup around an earlier reply, if the model was shown one.
    pub correction_key: Option<MarkerKey>,
    pub stop: Vec<String>,
    /// What the answer has to be.
    pub contract: Contract,
    /// Whether the caller wants to read the reasoning.
    pub show_reasoning: bool,
    /// What the caller began the answer with; an answer that repeats it is relieved of it.
    pub prefill: Option<String>,
    /// How many of the likeliest tokens are told in the place of each, where probabilities are.
    pub top_logprobs: Option<u8>,
    pub max_tokens: Option<u64>,
    /// Estimated.
    pub prompt_tokens: u64,
    /// Those of them that are for recordings and videos, whose lengths are guessed.
    pub media_tokens: u64,
    /// What a call costs, however long its answer; `None` where that depends on it, or is not known.
    pub price: Option<Cost>,
    /// Whether nothing of the answer is delivered before all of it is there.
    pub is_whole: bool,
}

impl Recipe {
    /// The keys of all markup that the model was shown.
    pub fn keys(&self) -> impl Iterator<Item = &MarkerKey> {
        self.key.iter().chain(&self.correction_key)
    }

    /// Whether an answer can be other than what was asked for: one to plain words cannot, unless it
    /// is nothing but markup of the conversation.
    pub fn can_be_unmet(&self) -> bool {
        self.key.is_some() || !self.contract.is_plain()
    }
}

/// A model that may answer a request, and the upstream that it is asked through.
#[derive(Clone, Debug)]
pub struct Target<'a> {
    pub route: Route,
    /// fal's id of the model.
    pub id: Cow<'a, str>,
    /// What the catalogue knows of it.
    pub card: Option<&'a ModelInfo>,
    /// What it has refused lately.
    pub lacks: Lacks,
}

/// The models that may answer a request: the one that was asked for, and those to fall back on, in
/// order: the request's own, or else those that the operator configured for the model. For each the
/// upstream is chosen that fits it.
///
/// # Errors
/// A name that the catalogue refuses.
pub fn candidates<'a>(
    ask: &Ask<'a>,
    catalogue: &'a Catalogue,
    plan_limits: &PlanLimits,
) -> Result<(Target<'a>, Vec<Target<'a>>), Rejection> {
    let resolve = |name| Target::resolve(ask, name, catalogue, plan_limits);
    let mut names = ask.model.iter().chain(&ask.fallbacks).map(AsRef::as_ref);
    let first = names.next();
    let first = resolve(first).or_else(|rejection| {
        let is_hidden = first.is_some_and(|name| catalogue.hides(name));
        match ask.stand_in.as_deref().filter(|_| !is_hidden) {
            Some(stand_in) => resolve(Some(stand_in)),
            None => Err(rejection),
        }
    })?;
    let mut asked = names.peekable();
    let configured = match asked.peek() {
        Some(_) => &[][..],
        None => catalogue.fallbacks(&first.id),
    };
    let mut others: Vec<Target<'a>> = Vec::new();
    for name in asked.chain(configured.iter().map(String::as_str)) {
        let target = resolve(Some(name)).map_err(|rejection| Rejection {
            param: Some(ask.names.fallbacks.to_owned()),
            ..rejection
        })?;
        let is_known = |known: &Target<'_>| known.id == target.id;
        if !is_known(&first) && !others.iter().any(is_known) {
            others.push(target);
        }
    }
    Ok((first, others))
}

impl<'a> Target<'a> {
    fn resolve(
        ask: &Ask<'_>,
        name: Option<&str>,
        catalogue: &'a Catalogue,
        plan_limits: &PlanLimits,
    ) -> Result<Self, Rejection> {
        let Resolved { id, card } = catalogue.resolve(name)?;
        Ok(Self {
            route: route(ask, card, plan_limits),
            id,
            card,
            lacks: Lacks::default(),
        })
    }

    /// The same model through another upstream, where there is one that may serve the request after
    /// this one did not.
    pub fn around(&self, lost: Lost) -> Option<Self> {
        Some(Self {
            route: self.route.around(lost)?,
            lacks: Lacks::default(),
            ..self.clone()
        })
    }

    /// Whether the model refuses to answer without reasoning there. The router tells models that
    /// they are not to reason where nothing is said.
    pub fn must_reason(&self) -> bool {
        let is_told = self.route.upstream == UpstreamId::Router;
        let always = |card: &ModelInfo| card.reasoning == Some(model::Reasoning::Mandatory);
        self.lacks.silence || is_told && self.card.is_some_and(always)
    }

    /// Tokens of prompt and answer together that the model takes there; `None` is not known.
    fn context_length(&self) -> Option<u32> {
        self.card?.on(self.route.upstream).context_length
    }

    /// Whether the model sees images there, hears recordings or watches videos; `None` is not known.
    pub fn takes(&self, kind: Modality) -> Option<bool> {
        let service = self.card?.on(self.route.upstream);
        match kind {
            Modality::Image => service.sees,
            Modality::Audio => service.hears,
            Modality::Video => service.watches,
            Modality::Text | Modality::File => None,
        }
    }
}

/// Plans a request for one model; `others` are those to fall back on, each of which is planned by
/// itself when its turn comes.
///
/// # Errors
/// More choices than allowed, an image for a model that cannot see, a conversation that does not
/// fit, and under `strict` any field that would have been ignored.
pub fn plan<'a>(
    ask: &Ask<'a>,
    target: &Target<'a>,
    others: &[Target<'_>],
    plan_limits: &PlanLimits,
) -> Result<Plan<'a>, Rejection> {
    let mut ask = Cow::Borrowed(ask);
    let mut notes = ask.notes.clone();
    let terms = match &ask.terms {
        Some(known) => Arc::clone(known),
        None => Arc::new(Terms::of(&ask)?),
    };
    notes.unchecked(&terms.schemas.unchecked);
    fit_attached(&mut ask, target, &mut notes, plan_limits)?;
    fit_reasoning(&mut ask, target, &mut notes);
    logprobs::fit(&mut ask, target, &mut notes)?;
    let upstream = target.route.upstream;
    let input = upstream.features().input;
    if input == InputShape::Prompt {
        refuse_ignored(&notes, upstream, plan_limits)?;
    }
    refuse_amounts(&ask, plan_limits)?;
    let sampling = with_ceiling(ask.sampling, target, &mut notes, plan_limits);
    let written = match input {
        InputShape::Prompt => {
            prompted::write(&ask, target, &terms, &sampling, plan_limits, &mut notes)?
        }
        InputShape::Messages => {
            native::write(&ask, target, &terms, &sampling, plan_limits, &mut notes)?
        }
    };
    refuse_ignored(&notes, upstream, plan_limits)?;
    notes.fold = written.fold;
    notes.upstream = upstream;
    notes.because = target.route.because;
    let context_length = target.context_length();
    // How long a recording is only fal can tell, and it refuses what is too long.
    let text_tokens = written.prompt_tokens.saturating_sub(written.media_tokens);
    sizes::refuse_beyond_context(&ask, context_length, text_tokens)?;
    let has_images = written.call.images() > 0;
    let reading = Recipe {
        decoder: written.decoder,
        key: written.key,
        stop: ask.stop.clone(),
        contract: written.contract,
        show_reasoning: ask.reasoning == Reasoning::Shown,
        prefill: ask.conversation.prefill.clone().map(Cow::into_owned),
        top_logprobs: ask.logprobs.map(|wanted| wanted.top),
        max_tokens: sampling.max_tokens,
        prompt_tokens: written.prompt_tokens,
        media_tokens: written.media_tokens,
        price: written.price,
        is_whole: ask.delivery == Delivery::Whole,
        correction_key: None,
    };
    Ok(Plan {
        upstream,
        call: written.call,
        fallbacks: fallbacks(&ask, has_images, others, plan_limits),
        card: target.card.cloned(),
        context_length,
        choices: ask.choices,
        delivery: ask.delivery,
        reading,
        forms: written.forms,
        notes,
    })
}

/// A request in an upstream's terms.
pub(super) struct Written<'a> {
    pub call: Call<'a>,
    pub decoder: DecoderKind,
    /// What the answer has to be.
    pub contract: Contract,
    /// The key of the markup, where there is any.
    pub key: Option<MarkerKey>,
    /// What is shown again if the answer misses its form.
    pub forms: Forms,
    /// How the conversation was written, where that is worth a note.
    pub fold: Option<String>,
    /// Estimated.
    pub prompt_tokens: u64,
    /// Those of them that are for recordings and videos.
    pub media_tokens: u64,
    /// What a call costs, where that is known before its answer.
    pub price: Option<Cost>,
}

/// Leaves out what a model that cannot see or hear need not be shown.
fn fit_attached(
    ask: &mut Cow<'_, Ask<'_>>,
    target: &Target<'_>,
    notes: &mut Notes,
    plan_limits: &PlanLimits,
) -> Result<(), Rejection> {
    if ask.conversation.attached_bytes() == 0 {
        return Ok(());
    }
    let Ask {
        conversation,
        last_image,
        last_media,
        names,
        ..
    } = ask.to_mut();
    let last_image = last_image.as_deref().unwrap_or(names.asked);
    if sight::fit(conversation, target, last_image)? {
        notes.ignored(names.image);
    }
    let last_media = last_media.as_deref().unwrap_or(names.asked);
    let needs_enterprise = plan_limits.enterprise;
    for kind in [Modality::Audio, Modality::Video] {
        if sight::fit_media(conversation, kind, target, needs_enterprise, last_media)? {
            notes.ignored(names.of(kind));
        }
    }
    let upstream = target.route.upstream;
    for kind in sight::fit_together(conversation, upstream, needs_enterprise) {
        notes.ignored(names.of(kind));
    }
    sight::refuse_mixed(
        conversation,
        target,
        needs_enterprise,
        (last_image, last_media),
    )
}

/// Says nothing of reasoning to a model that cannot be told, where that is all the caller wants.
fn fit_reasoning(ask: &mut Cow<'_, Ask<'_>>, target: &Target<'_>, notes: &mut Notes) {
    let nature = target.card.and_then(|card| card.reasoning);
    let is_pointless = match ask.reasoning {
        Reasoning::Unsaid => false,
        Reasoning::Off => nature == Some(model::Reasoning::Mandatory),
        Reasoning::Hidden | Reasoning::Shown => nature == Some(model::Reasoning::Never),
    };
    if ask.reasons_if_able && is_pointless {
        notes.without_effect(&[ask.names.reasoning], "");
        ask.to_mut().reasoning = Reasoning::Unsaid;
    }
}

/// The models to fall back on that could serve the request, as far as can be told before each is
/// planned by itself.
fn fallbacks(
    ask: &Ask<'_>,
    has_images: bool,
    others: &[Target<'_>],
    plan_limits: &PlanLimits,
) -> Vec<String> {
    let is_asked = [Modality::Image, Modality::Audio, Modality::Video];
    let is_asked = is_asked.map(|kind| (kind, ask.conversation.asks_about(kind)));
    let may_serve = |other: &&Target<'_>| {
        let mut asked = is_asked.iter().filter(|(_, is_asked)| *is_asked);
        let is_too_dull = asked.any(|(kind, _)| other.takes(*kind) == Some(false));
        prompted::variant(has_images, other, plan_limits).is_ok()
            && !is_too_dull
            && logprobs::may_serve(ask, other)
    };
    let serving = others.iter().filter(may_serve);
    serving.map(|other| other.id.to_string()).collect()
}

/// Where there is a ceiling on `max_tokens`, it also holds for requests that do not say. A number
/// that the API demands is lowered to it, and to what the model can write.
fn with_ceiling(
    mut sampling: ask::Sampling,
    target: &Target<'_>,
    notes: &mut Notes,
    plan_limits: &PlanLimits,
) -> ask::Sampling {
    let longest = target.card.and_then(|card| card.max_output).map(u64::from);
    let ceilings = [
        plan_limits.max_tokens,
        longest.filter(|_| sampling.lowers_max_tokens),
    ];
    let wanted = match sampling.lowers_max_tokens {
        true => sampling.max_tokens,
        false => None,
    };
    let lowest = ceilings.into_iter().flatten().chain(wanted).min();
    if lowest != wanted && (wanted.is_some() || sampling.max_tokens.is_none()) {
        sampling.max_tokens = lowest;
        notes.emulated("max_tokens");
    }
    sampling
}

fn refuse_ignored(
    notes: &Notes,
    upstream: UpstreamId,
    plan_limits: &PlanLimits,
) -> Result<(), Rejection> {
    match notes.ignored.first() {
        Some(name) if plan_limits.strict => {
            let shown = shortened(name);
            let message = format!(
                "Unsupported parameter: '{shown}' has no effect on fal's {upstream}, and strict parameters are on. \
                 Remove it, or switch strict parameters off."
            );
            Err(Rejection::unsupported(shown, message))
        }
        _ => Ok(()),
    }
}

fn refuse_amounts(ask: &Ask<'_>, plan_limits: &PlanLimits) -> Result<(), Rejection> {
    let most = plan_limits.max_choices;
    if ask.choices > most {
        let message = format!(
            "Unsupported value: 'n' can be at most {most} here, because each choice is a paid call to fal."
        );
        return Err(Rejection::of(Cause::UnsupportedValue, "n", message));
    }
    let most = plan_limits.max_calls;
    if ask.choices > most {
        let message = format!(
            "Unsupported value: 'n' can be at most {most} here, because each choice is a call to fal, and \
             limits.max_calls allows no more for one request."
        );
        return Err(Rejection::of(Cause::UnsupportedValue, "n", message));
    }
    match (ask.sampling.max_tokens, plan_limits.max_tokens) {
        (Some(wanted), Some(most)) if wanted > most && !ask.sampling.lowers_max_tokens => {
            let name = ask.sampling.max_tokens_name;
            let message = format!("Unsupported value: '{name}' can be at most {most} here.");
            Err(Rejection::of(Cause::UnsupportedValue, name, message))
        }
        _ => Ok(()),
    }
}
