//! Through which upstream a model is asked: a function of the ask, of what the catalogue knows of the
//! model, and of the settings.
//!
//! Along a conversation the choice goes one way. Turns, tools and images stay in a conversation, and
//! each of them can only lead to the upstream that takes more of it as it is. So a conversation
//! changes its upstream at most once, after its first turn, and providers find what they have cached
//! of it.

use super::ask::{AnswerFormat, Ask, FinerSampling, Part, Speaker, Turn};
use super::logprobs;
use super::model::{Modality, ModelInfo, Parameter};
use super::plan::PlanLimits;
use super::sight;
use super::upstream::UpstreamId;
use super::usage;

/// How upstreams are chosen, as the operator set it, or a caller who may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routing {
    pub rule: Rule,
    /// Whether the router answers prompts in the place of an any-llm that fal no longer has.
    pub replaces_any_llm: bool,
}

impl Routing {
    /// Always this upstream, and no other in its place.
    pub const fn fixed(upstream: UpstreamId) -> Self {
        Self {
            rule: Rule::Fixed(upstream),
            replaces_any_llm: false,
        }
    }
}

/// By what an upstream is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// It is always this one.
    Fixed(UpstreamId),
    /// The caller wants this one, and no other in its place.
    Asked(UpstreamId),
    /// By the request.
    Auto(Preference),
}

/// What decides where a request could go through several upstreams and would lose nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preference {
    /// The upstream that takes the most of a request as it is, and tells what it cost.
    #[default]
    Native,
    /// The upstream that is likely to be the cheaper one.
    Cost,
    /// The one with a price for each request, which is known beforehand.
    Flat,
}

/// Why an upstream was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The caller wants it.
    Asked,
    /// The others have no `/enterprise`.
    Enterprise,
    /// The others do not have the model.
    Model,
    /// The text is too long for the others.
    Length,
    /// The model takes tools there.
    Tools,
    /// The model takes schemas there.
    Format,
    /// The model sees images where they stand there, or only there.
    Images,
    /// The model hears recordings there.
    Audio,
    /// The model watches videos there.
    Video,
    /// The model tells the probabilities of tokens there.
    Logprobs,
    /// There are sampling parameters that would be refused elsewhere.
    Sampling,
    /// The turns of a conversation stay turns there.
    Turns,
    /// A text that is to be gone on with is sent as it is there.
    Text,
    /// It is likely to be cheaper.
    Cost,
    /// It is preferred because it takes the most as it is.
    Native,
    /// It is preferred because its price is known beforehand.
    Flat,
    /// fal no longer has the application that comes first.
    Gone,
    /// The one that comes first has refused the request.
    Refused,
}

impl Reason {
    /// All there are, in the order in which tables show them.
    pub const ALL: [Self; 18] = [
        Self::Asked,
        Self::Enterprise,
        Self::Model,
        Self::Length,
        Self::Tools,
        Self::Format,
        Self::Images,
        Self::Audio,
        Self::Video,
        Self::Logprobs,
        Self::Sampling,
        Self::Turns,
        Self::Text,
        Self::Cost,
        Self::Native,
        Self::Flat,
        Self::Gone,
        Self::Refused,
    ];

    /// The word for it in headers, logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Enterprise => "enterprise",
            Self::Model => "model",
            Self::Length => "length",
            Self::Tools => "tools",
            Self::Format => "response_format",
            Self::Images => "images",
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Logprobs => "logprobs",
            Self::Sampling => "sampling",
            Self::Turns => "turns",
            Self::Text => "text",
            Self::Cost => "cost",
            Self::Native => "native",
            Self::Flat => "flat",
            Self::Gone => "gone",
            Self::Refused => "refused",
        }
    }
}

/// The upstream that is chosen for a request and a model, and what there is besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub upstream: UpstreamId,
    /// `None` where there was nothing to choose.
    pub because: Option<Reason>,
    /// The others that could serve the request.
    others: Vec<UpstreamId>,
    /// Whether they do so only where fal no longer has the application.
    only_when_gone: bool,
    /// Whether none does where fal no longer has the application.
    stays_when_gone: bool,
}

/// Why an upstream does not serve a request that it was chosen for. It has not worked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// fal has no such application.
    App,
    /// It does not have the model, or not for texts of this length.
    Model,
}

impl Route {
    /// Always this upstream, and no other.
    pub fn only(upstream: UpstreamId) -> Self {
        Self {
            upstream,
            because: None,
            others: Vec::new(),
            only_when_gone: false,
            stays_when_gone: false,
        }
    }

    /// The way round an upstream that does not serve the request; there is no way round that one.
    pub fn around(&self, lost: Lost) -> Option<Self> {
        let has_same_models = |id: UpstreamId| is_any_llm(id) == is_any_llm(self.upstream);
        let mut others = self.others.iter().copied();
        let (upstream, because) = match lost {
            Lost::App if self.stays_when_gone => (None, Reason::Gone),
            Lost::App => (others.next(), Reason::Gone),
            Lost::Model if self.only_when_gone => (None, Reason::Refused),
            Lost::Model => (others.find(|id| !has_same_models(*id)), Reason::Refused),
        };
        Some(Self {
            because: Some(because),
            ..Self::only(upstream?)
        })
    }
}

fn is_any_llm(upstream: UpstreamId) -> bool {
    upstream == UpstreamId::AnyLlm
}

/// Chooses the upstream that a model is asked through.
pub fn route(ask: &Ask<'_>, card: Option<&ModelInfo>, plan_limits: &PlanLimits) -> Route {
    let Routing {
        rule,
        replaces_any_llm,
    } = plan_limits.routing;
    let fixed = |upstream| Route {
        others: match replaces_any_llm && is_any_llm(upstream) {
            true => vec![UpstreamId::Router],
            false => Vec::new(),
        },
        only_when_gone: true,
        ..Route::only(upstream)
    };
    match rule {
        Rule::Fixed(upstream) => fixed(upstream),
        // Another upstream has another price.
        Rule::Asked(upstream) => Route {
            because: Some(Reason::Asked),
            ..Route::only(upstream)
        },
        Rule::Auto(preference) => {
            let candidates = Candidates::of(ask, card, plan_limits);
            let (upstream, because) = choose(ask, card, preference, &candidates, plan_limits);
            let mut others = candidates.ids;
            others.retain(|id| *id != upstream);
            Route {
                because: Some(because),
                others,
                stays_when_gone: is_any_llm(upstream) && !replaces_any_llm,
                ..Route::only(upstream)
            }
        }
    }
}

/// The upstream for a model about whose requests nothing is known.
pub fn usual(card: &ModelInfo, plan_limits: &PlanLimits) -> UpstreamId {
    match plan_limits.routing.rule {
        Rule::Fixed(upstream) | Rule::Asked(upstream) => upstream,
        Rule::Auto(preference) => {
            let candidates = Candidates::for_model(Some(card), plan_limits);
            match preference {
                Preference::Flat if candidates.has(UpstreamId::AnyLlm) => UpstreamId::AnyLlm,
                _ => candidates.first(),
            }
        }
    }
}

/// The upstream that serves a plain request in the place of the usual one, whose application fal does
/// not have.
pub fn stand_in(card: &ModelInfo, plan_limits: &PlanLimits) -> Option<UpstreamId> {
    let Routing {
        rule,
        replaces_any_llm,
    } = plan_limits.routing;
    let usual = usual(card, plan_limits);
    if is_any_llm(usual) && !replaces_any_llm {
        return None;
    }
    match rule {
        Rule::Asked(_) => None,
        Rule::Fixed(upstream) => is_any_llm(upstream).then_some(UpstreamId::Router),
        Rule::Auto(_) => {
            let candidates = Candidates::for_model(Some(card), plan_limits);
            candidates.ids.into_iter().find(|id| *id != usual)
        }
    }
}

/// The upstreams that can serve a request, those first that take the most of it as it is. There is
/// always one: where none is known to serve it, fal has to say so.
struct Candidates {
    ids: Vec<UpstreamId>,
    /// Why one was left out, the last time.
    because: Option<Reason>,
}

impl Candidates {
    fn of(ask: &Ask<'_>, card: Option<&ModelInfo>, plan_limits: &PlanLimits) -> Self {
        let mut candidates = Self::for_model(card, plan_limits);
        let needs_enterprise = plan_limits.enterprise;
        let is_blind = card.is_some_and(|card| card.any_llm.vision == Some(false));
        let has = |kind| ask.conversation.count(kind) > 0;
        if is_blind && has(Modality::Image) {
            candidates.keep(Reason::Images, |id| !is_any_llm(id));
        }
        for (kind, reason) in [
            (Modality::Audio, Reason::Audio),
            (Modality::Video, Reason::Video),
        ] {
            if has(kind) {
                let can_serve = |id| sight::is_taken(&ask.conversation, id, needs_enterprise);
                candidates.keep(reason, can_serve);
            }
        }
        if logprobs::are_listed(ask, card) {
            candidates.keep(Reason::Logprobs, |id| id == UpstreamId::RouterOpenai);
        }
        if is_too_long(ask, plan_limits) {
            candidates.keep(Reason::Length, |id| id == UpstreamId::RouterOpenai);
        }
        candidates
    }

    /// Those that have the model, whatever is asked of it.
    fn for_model(card: Option<&ModelInfo>, plan_limits: &PlanLimits) -> Self {
        let mut candidates = Self {
            ids: vec![
                UpstreamId::RouterOpenai,
                UpstreamId::Router,
                UpstreamId::AnyLlm,
            ],
            because: None,
        };
        let needs_enterprise = plan_limits.enterprise;
        if needs_enterprise {
            candidates.keep(Reason::Enterprise, |id| id.features().enterprise);
        }
        // any-llm has a short list of models; the router takes any name.
        let has_any_llm = card.is_some_and(|card| {
            card.any_llm.is_served == Some(true) && (card.any_llm.enterprise || !needs_enterprise)
        });
        let has_router = card.is_none_or(|card| card.router.is_served != Some(false));
        candidates.keep(Reason::Model, |id| match is_any_llm(id) {
            true => has_any_llm,
            false => has_router,
        });
        candidates
    }

    fn keep(&mut self, because: Reason, can_serve: impl Fn(UpstreamId) -> bool) {
        let kept: Vec<_> = self
            .ids
            .iter()
            .copied()
            .filter(|id| can_serve(*id))
            .collect();
        if !kept.is_empty() && kept.len() < self.ids.len() {
            self.ids = kept;
            self.because = Some(because);
        }
    }

    fn has(&self, id: UpstreamId) -> bool {
        self.ids.contains(&id)
    }

    fn first(&self) -> UpstreamId {
        self.ids.first().copied().unwrap_or_default()
    }
}

fn choose(
    ask: &Ask<'_>,
    card: Option<&ModelInfo>,
    preference: Preference,
    candidates: &Candidates,
    plan_limits: &PlanLimits,
) -> (UpstreamId, Reason) {
    let first = candidates.first();
    let left_out = candidates.because.unwrap_or(Reason::Native);
    if candidates.ids.len() == 1 {
        return (first, left_out);
    }
    let is_native = first == UpstreamId::RouterOpenai;
    if is_native && let Some(reason) = loss_elsewhere(ask, card, plan_limits) {
        return (first, reason);
    }
    let has_turns = ask.conversation.turns.len() > 1 || ask.conversation.prefill.is_some();
    // With each turn any-llm becomes the cheaper one, and still the conversation stays where it is.
    if has_turns && (is_native || preference == Preference::Cost) {
        return (first, Reason::Turns);
    }
    let has_flat = candidates.has(UpstreamId::AnyLlm);
    let (upstream, because) = match preference {
        Preference::Flat if has_flat => (UpstreamId::AnyLlm, Reason::Flat),
        Preference::Cost if has_flat => match is_cheaper_on_any_llm(ask, card, plan_limits) {
            Some(true) => (UpstreamId::AnyLlm, Reason::Cost),
            Some(false) => (first, Reason::Cost),
            None => (first, left_out),
        },
        Preference::Native if is_native => (first, Reason::Native),
        Preference::Native | Preference::Flat | Preference::Cost => (first, left_out),
    };
    // Whatever takes messages has a face for prompts beside it, with the same models.
    match ask.is_text && upstream == UpstreamId::RouterOpenai {
        true => (UpstreamId::Router, Reason::Text),
        false => (upstream, because),
    }
}

/// What would be emulated or lost where a conversation is sent as a prompt, and is not where the model
/// has its messages.
fn loss_elsewhere(
    ask: &Ask<'_>,
    card: Option<&ModelInfo>,
    plan_limits: &PlanLimits,
) -> Option<Reason> {
    let takes = |parameter| card.and_then(|card| card.supports(parameter)) != Some(false);
    let sees = card.and_then(|card| card.accepts(Modality::Image)) != Some(false);
    let has_calls = ask.tools.is_some() || ask.conversation.has_calls();
    let has_schema = matches!(ask.format, AnswerFormat::JsonSchema(_));
    let is_refused = plan_limits.strict && ask.sampling.finer != FinerSampling::default();
    let has = |kind| ask.conversation.count(kind) > 0;
    Some(match () {
        () if has(Modality::Audio) => Reason::Audio,
        () if has(Modality::Video) => Reason::Video,
        () if has_calls && takes(Parameter::Tools) => Reason::Tools,
        () if has_schema && takes(Parameter::StructuredOutputs) => Reason::Format,
        () if has_earlier_images(ask) && sees => Reason::Images,
        () if is_refused => Reason::Sampling,
        () => return None,
    })
}

/// Whether there are images in other messages than the user's last one: a prompt has all of them at
/// its end.
fn has_earlier_images(ask: &Ask<'_>) -> bool {
    let turns = &ask.conversation.turns;
    let last = turns
        .iter()
        .rposition(|turn| matches!(turn.speaker, Speaker::User { .. }));
    let is_image = |part: &Part<'_>| matches!(part, Part::Image(_));
    let has_image = |turn: &Turn<'_>| turn.parts.iter().any(is_image);
    let mut numbered = turns.iter().enumerate();
    numbered.any(|(at, turn)| Some(at) != last && has_image(turn))
}

/// Whether the texts are longer than the operator lets prompts be.
fn is_too_long(ask: &Ask<'_>, plan_limits: &PlanLimits) -> bool {
    let conversation = &ask.conversation;
    let chars = |text: &str| text.chars().count();
    let turns = conversation.turns.iter().flat_map(|turn| &turn.parts);
    let said = turns.map(|part| match part {
        Part::Text(text) => chars(text),
        Part::ToolCall(call) => chars(&call.arguments),
        Part::Image(_) | Part::Media(_) => 0,
    });
    let is_beyond = |most: Option<usize>, length: usize| most.is_some_and(|most| length > most);
    let instructions = conversation.instructions.as_deref();
    is_beyond(plan_limits.room.prompt, said.sum())
        || is_beyond(
            plan_limits.room.system_prompt,
            instructions.map_or(0, chars),
        )
}

/// How long an answer is taken to get where nobody says.
const USUAL_ANSWER: u64 = 500;

/// Whether any-llm is likely to be the cheaper one; `None` where prices are not known, and where there
/// are images and the like, whose tokens nobody knows beforehand.
fn is_cheaper_on_any_llm(
    ask: &Ask<'_>,
    card: Option<&ModelInfo>,
    plan_limits: &PlanLimits,
) -> Option<bool> {
    let has_others = ask.conversation.attached_bytes() > 0;
    let card = card.filter(|_| plan_limits.has_list_prices && !has_others)?;
    let prompt = ask.conversation.texts().map(usage::tokens).sum();
    let answer = ask.sampling.max_tokens.unwrap_or(USUAL_ANSWER);
    card.is_cheaper_on_any_llm(false, prompt, answer.min(USUAL_ANSWER))
}
