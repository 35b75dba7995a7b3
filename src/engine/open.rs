//! The walk to a model that answers: the one that was asked for, once more with shorter texts where
//! fal names a limit, through another upstream where that one does not serve the request, and the
//! models to fall back on.

use std::any::Any;
use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Engine;
use super::attempt::{Carrier, Shared};
use super::failure::{Failure, another_model_may_do};
use super::ledger::{Grant, Ledger, Planned};
use super::observed::{Lengths, Longest, ObservedPlace};
use super::price::{plan_price, plan_worst_case};
use super::run::Run;
use super::uploads::Uploads;
use crate::observe::record::Record;
use crate::translate::ask::Ask;
use crate::translate::model::{Modality, PicoDollars};
use crate::translate::plan::{Plan, PlanLimits, Target, plan};
use crate::translate::reading::{Fault, UsageSource};
use crate::translate::rejection::Rejection;
use crate::translate::routing::{Lost, Reason};
use crate::translate::upstream::{InputShape, UpstreamId};
use crate::upstream::{FalClient, FalKey, Lacking, RefusalKind, UpstreamError};

/// What is to be run, and for whom.
pub struct Order<'o, 'a> {
    pub engine: &'o Engine,
    pub fal: &'o Rc<FalClient>,
    pub fal_key: &'o FalKey,
    pub ask: &'o Ask<'a>,
    pub target: Target<'a>,
    /// The models to fall back on.
    pub others: Vec<Target<'a>>,
    pub plan_limits: &'o PlanLimits,
    pub record: &'o Record,
    /// The memory that the request was granted; held for as long as its bytes are.
    pub memory: Rc<dyn Any>,
    /// What was taken of the caller's limits for it, if there are any.
    pub grant: Option<Grant>,
    /// How its calls reach fal, where they do not go to it directly.
    pub carrier: Option<Rc<dyn Carrier>>,
}

impl<'a> Order<'_, 'a> {
    /// The plan for the model that was asked for, within what fal is known to take there.
    ///
    /// # Errors
    /// Whatever [`plan`] refuses.
    pub fn plan(&self) -> Result<Plan<'a>, Rejection> {
        self.plan_for(&self.target, &self.others)
    }

    /// The models to fall back on that the request can be planned for.
    pub fn fallbacks(&self) -> Vec<String> {
        let others = self.others.iter();
        let able = others.filter(|other| self.plan_for(other, &[]).is_ok());
        able.map(|other| other.id.to_string()).collect()
    }

    /// The plan for a model, round an application that fal did not have lately, if there is a way.
    fn plan_for(&self, target: &Target<'a>, others: &[Target<'a>]) -> Result<Plan<'a>, Rejection> {
        let plan = self.plan_at(target, others);
        // What the application would not have taken is gone round with it.
        let place = match &plan {
            Ok(plan) => self.place(plan),
            Err(_) => self.plain_place(target),
        };
        if !self.engine.observed.is_gone(&place) {
            return plan;
        }
        match target.around(Lost::App) {
            Some(around) => self.plan_at(&around, others).or(plan),
            None => plan,
        }
    }

    /// What fal is known to take is a hint: a plan that does not fit into it is made without it, and
    /// fal may say so itself.
    fn plan_at(&self, target: &Target<'a>, others: &[Target<'a>]) -> Result<Plan<'a>, Rejection> {
        let mut first = plan(self.ask, target, others, self.plan_limits)?;
        let known = self.known(target, &first);
        if known.lacks != target.lacks {
            first = plan(self.ask, &known, others, self.plan_limits)?;
        }
        let target = known;
        let longest = self.engine.observed.longest(&self.place(&first));
        if longest.allows(|| lengths(&first)) {
            return Ok(first);
        }
        Ok(self.plan_within(&target, others, longest).unwrap_or(first))
    }

    /// The target with what it is known to refuse, at the place where this plan goes.
    fn known<'t>(&self, target: &'t Target<'a>, plan: &Plan<'_>) -> Cow<'t, Target<'a>> {
        let refused = self.engine.observed.lacking(&self.place(plan));
        let lacks = target.lacks.and(refused);
        match lacks == target.lacks {
            true => Cow::Borrowed(target),
            false => Cow::Owned(Target {
                lacks,
                ..target.clone()
            }),
        }
    }

    fn plan_within(
        &self,
        target: &Target<'a>,
        others: &[Target<'a>],
        longest: Longest,
    ) -> Result<Plan<'a>, Rejection> {
        let mut plan_limits = self.plan_limits.clone();
        let room = &mut plan_limits.room;
        let own = Longest {
            prompt: room.prompt,
            system_prompt: room.system_prompt,
        };
        let both = own.and(longest);
        (room.prompt, room.system_prompt) = (both.prompt, both.system_prompt);
        plan_limits.room_is_fals = true;
        plan(self.ask, target, others, &plan_limits)
    }

    /// Where a model's application is, whatever it is asked.
    fn plain_place(&self, target: &Target<'_>) -> ObservedPlace {
        ObservedPlace {
            key: self.fal_key.print(),
            upstream: target.route.upstream,
            path: "",
            model: target.id.to_string(),
        }
    }

    fn place(&self, plan: &Plan<'_>) -> ObservedPlace {
        ObservedPlace {
            key: self.fal_key.print(),
            upstream: plan.upstream,
            path: plan.call.path(),
            model: plan.call.model().to_owned(),
        }
    }
}

/// Calls fal, once for each choice, and waits for the heads of the answers. Large images are
/// uploaded first, and the plan's notes say so. The plan that comes back is the one that is run: it
/// may be for a fallback, or shorter than the first.
///
/// # Errors
/// No choice has an answer, all of it took too long, or the gateway stops.
pub async fn open<'a>(
    mut order: Order<'_, 'a>,
    plan: Plan<'a>,
) -> Result<(Run, Plan<'a>), Failure> {
    let settings = order.engine.settings;
    let grant = order.grant.take();
    let ledger = Ledger::new(
        order.record.clone(),
        plan.choices,
        settings.max_calls,
        grant,
        Arc::clone(&order.engine.calls),
    );
    let total = Instant::now() + settings.total;
    let mut walk = Walk {
        ledger: Rc::clone(&ledger),
        total,
        uploads: Uploads::default(),
        is_fallback: false,
        order: &order,
    };
    let broken_off = |fault| match ledger.calls() {
        0 if fault == Fault::ShuttingDown => Failure::Stopping,
        0 => Failure::Upload(UpstreamError::TimedOut),
        _ => Failure::Answer {
            fault,
            request_id: None,
        },
    };
    tokio::select! {
        outcome = tokio::time::timeout_at(total, walk.walk(plan)) => {
            outcome.unwrap_or_else(|_| Err(broken_off(Fault::TimedOut)))
        }
        () = order.engine.stop.cancelled() => Err(broken_off(Fault::ShuttingDown)),
    }
}

/// How often a model is asked in another way, each time without something that it has refused.
const MAX_CHANGES: u32 = 4;

/// The target that a plan is for: the model's own, or the way round it.
fn as_planned<'t, 'a>(target: &'t Target<'a>, plan: &Plan<'_>) -> Cow<'t, Target<'a>> {
    let around = match target.route.upstream == plan.upstream {
        true => None,
        false => target.around(Lost::App),
    };
    around.map_or(Cow::Borrowed(target), Cow::Owned)
}

/// What fal says by a refusal of the upstream rather than of the request.
fn lost(error: &UpstreamError) -> Option<Lost> {
    let UpstreamError::Refused(refusal) = error else {
        return None;
    };
    match refusal.kind {
        RefusalKind::UnknownApp => Some(Lost::App),
        RefusalKind::UnknownModel { .. } | RefusalKind::TooLong { .. } => Some(Lost::Model),
        _ => None,
    }
}

/// Whether an upstream is asked for something that a model could lack: a prompt asks for no tools and
/// no form.
pub(super) fn could_be_asked_for(lacking: Lacking, upstream: UpstreamId) -> bool {
    match lacking {
        Lacking::Images | Lacking::Audio | Lacking::Video | Lacking::NoReasoning => true,
        Lacking::Tools | Lacking::Format | Lacking::Parameters => {
            upstream.features().input == InputShape::Messages
        }
    }
}

struct Walk<'w, 'o, 'a> {
    order: &'w Order<'o, 'a>,
    ledger: Rc<Ledger>,
    total: Instant,
    uploads: Uploads,
    /// Whether it has left the model or the upstream that was to answer.
    is_fallback: bool,
}

impl<'a> Walk<'_, '_, 'a> {
    async fn walk(&mut self, mut plan: Plan<'a>) -> Result<(Run, Plan<'a>), Failure> {
        let order = self.order;
        let mut others = order.others.as_slice();
        let mut target = as_planned(&order.target, &plan);
        let mut may_go_round = true;
        let mut may_shorten = true;
        let mut changes_left = MAX_CHANGES;
        loop {
            let failure = match self.call(&mut plan, !others.is_empty()).await {
                Ok(run) => return Ok((run, plan)),
                Err(failure) => failure,
            };
            let Failure::Call { error, .. } = &failure else {
                return Err(failure);
            };
            // Also where this request may make no other call: the next one is planned with it.
            let is_news = self.learn_of_place(&plan, error);
            if !self.ledger.has_calls_left(plan.choices) {
                return Err(failure);
            }
            if may_go_round
                && let Some((around, next)) = self.go_round(&target, others, error)
                && self.affords(&next)
            {
                may_go_round = false;
                let was_any_llm = target.route.upstream == UpstreamId::AnyLlm;
                if was_any_llm && lost(error) == Some(Lost::App) {
                    self.tell_of_price(&next);
                }
                (target, plan) = (Cow::Owned(around), next);
                self.is_fallback = true;
                order.engine.metrics.fallbacks.inc();
                continue;
            }
            if may_shorten && let Some(shorter) = self.shorten(&plan, &target, others, error) {
                may_shorten = false;
                plan = shorter?;
                continue;
            }
            if changes_left > 0 && is_news && self.can_do_without(&plan, error) {
                let next = order.plan_for(&target, others).map_err(Failure::Rejected)?;
                if !self.affords(&next) {
                    return Err(failure);
                }
                if next.call.to_input().json != plan.call.to_input().json {
                    changes_left -= 1;
                    plan = next;
                    continue;
                }
            }
            let next = match another_model_may_do(error) {
                true => self.fall_back(&mut others),
                false => None,
            };
            let Some((model, next)) = next.filter(|(_, next)| self.affords(next)) else {
                return Err(failure);
            };
            (target, plan) = (as_planned(model, &next), next);
            self.is_fallback = true;
            may_shorten = true;
            changes_left = MAX_CHANGES;
            order.engine.metrics.fallbacks.inc();
            plan.notes.emulated("models");
        }
    }

    /// Whether the caller's budgets have room for a plan in the place of another, which may be for a
    /// dearer upstream.
    fn affords(&self, plan: &Plan<'a>) -> bool {
        let worst = plan_worst_case(plan, &self.order.engine.settings);
        self.ledger.affords(&worst)
    }

    /// Makes the calls of a plan. Where other models could take over, the first choice finds out who
    /// answers before the others are paid for.
    async fn call(&mut self, plan: &mut Plan<'a>, goes_first: bool) -> Result<Run, Failure> {
        let (engine, fal, fal_key) = (self.order.engine, self.order.fal, self.order.fal_key);
        self.ledger.plans(Planned {
            price: plan_price(plan),
            is_known_model: plan.card.is_some(),
            is_fallback: self.is_fallback,
        });
        // Whatever comes of it, it comes of this upstream.
        let because = plan.notes.because.map(Reason::word);
        self.order.record.upstream(plan.upstream.word(), because);
        let settings = engine.settings;
        let first_byte = settings.first_byte(plan.call.is_stream());
        let may_be_kept = settings.may_be_kept && self.order.ask.may_be_kept;
        // What is stored at fal stays there, so what may not be kept goes inside the request.
        if let Some(threshold) = settings.upload_threshold.filter(|_| may_be_kept) {
            self.upload(plan, threshold, first_byte).await?;
        }
        let counter = engine.counter.as_ref();
        let count = counter.and_then(|counter| counter.begin(plan, settings.always_tells_usage));
        plan.notes.usage = promised_usage(plan, count.is_some());
        let place = self.order.place(plan);
        let longest = engine.observed.longest(&place);
        let most = self.order.plan_limits.room.prompt;
        let max_prompt_chars = most.into_iter().chain(longest.prompt).min();
        let shared = Rc::new(Shared {
            engine: Engine::clone(engine),
            fal: Rc::clone(fal),
            fal_key: FalKey::clone(fal_key),
            place,
            is_stream: plan.call.is_stream(),
            may_be_kept,
            carrier: self.order.carrier.clone(),
            first_byte,
            ledger: Rc::clone(&self.ledger),
            keeps_texts: count.is_some(),
        });
        let input = plan.call.to_input();
        let reading = Rc::new(plan.reading.clone());
        let memory = &self.order.memory;
        let mut run = Run::new(
            Rc::clone(&shared),
            plan,
            &input,
            &reading,
            max_prompt_chars,
            memory,
            self.total,
        );
        run.count_with(count);
        let all = plan.choices as usize;
        let first = if goes_first { 1 } else { all };
        run.call(0..first, &input, &reading).await;
        if run.has_any_head() && self.could_go_on(plan, goes_first) {
            run.hear(0..first).await;
        }
        if !run.has_any_head() {
            let (failure, _) = run.take_failure();
            self.learn(&shared.place, &failure, plan);
            return Err(failure);
        }
        engine.observed.taken(&shared.place, || lengths(plan));
        run.call(first..all, &input, &reading).await;
        learn_of_choices(&shared, &run);
        Ok(run)
    }

    async fn upload(
        &mut self,
        plan: &mut Plan<'a>,
        threshold: usize,
        limit: Duration,
    ) -> Result<(), Failure> {
        let (fal, fal_key) = (self.order.fal, self.order.fal_key);
        let stored = self.uploads.store(plan, threshold, fal, fal_key, limit);
        stored.await.map_err(|error| {
            self.order.record.upstream_error(error.label());
            Failure::Upload(error)
        })
    }

    /// Whether anything else could be asked, should fal refuse a plan under a status of success: only
    /// then its first words are worth waiting for here.
    fn could_go_on(&self, plan: &Plan<'a>, has_others: bool) -> bool {
        let order = self.order;
        let conversation = &order.ask.conversation;
        let mut media = [Modality::Image, Modality::Audio, Modality::Video].into_iter();
        let may_lack = could_be_asked_for(Lacking::Tools, plan.upstream)
            || media.any(|kind| conversation.count(kind) > 0);
        has_others || may_lack || order.target.around(Lost::Model).is_some()
    }

    fn learn(&self, place: &ObservedPlace, failure: &Failure, plan: &Plan<'_>) {
        if let Failure::Call {
            error: UpstreamError::Refused(refusal),
            ..
        } = failure
        {
            let observed = &self.order.engine.observed;
            observed.refused(place, &refusal.kind, lengths(plan));
        }
    }

    /// Takes in what a refusal says of the place where a plan went; whether the model there lacks what
    /// it was not known to lack.
    fn learn_of_place(&self, plan: &Plan<'a>, error: &UpstreamError) -> bool {
        let UpstreamError::Refused(refusal) = error else {
            return false;
        };
        if let RefusalKind::Lacks(lacking) = refusal.kind
            && !could_be_asked_for(lacking, plan.upstream)
        {
            return false;
        }
        let observed = &self.order.engine.observed;
        observed.learn(&self.order.place(plan), &refusal.kind)
    }

    /// Whether the request can be planned without what a model has just refused. fal has not worked yet,
    /// so asking again pays for nothing twice.
    fn can_do_without(&self, plan: &Plan<'a>, error: &UpstreamError) -> bool {
        let UpstreamError::Refused(refusal) = error else {
            return false;
        };
        let RefusalKind::Lacks(lacking) = refusal.kind else {
            return false;
        };
        // What an earlier message has shown can be left out, and what is asked about cannot.
        let conversation = &self.order.ask.conversation;
        let can_leave_out = |kind| conversation.count(kind) > 0 && !conversation.asks_about(kind);
        match lacking {
            Lacking::Images => can_leave_out(Modality::Image),
            Lacking::Audio => can_leave_out(Modality::Audio),
            Lacking::Video => can_leave_out(Modality::Video),
            _ => could_be_asked_for(lacking, plan.upstream),
        }
    }

    /// The way round an upstream that does not serve the request. fal has not worked yet, so asking
    /// elsewhere pays for nothing twice.
    fn go_round(
        &self,
        target: &Target<'a>,
        others: &[Target<'a>],
        error: &UpstreamError,
    ) -> Option<(Target<'a>, Plan<'a>)> {
        let around = target.around(lost(error)?)?;
        let next = self.order.plan_at(&around, others).ok()?;
        Some((around, next))
    }

    /// Tells the operator, once, that another application answers than the one that was set up, and
    /// what that costs.
    fn tell_of_price(&self, next: &Plan<'_>) {
        if !self.order.engine.observed.is_first_telling() {
            return;
        }
        let price = next.card.as_ref().and_then(|card| card.router.price);
        let million = |price: PicoDollars| price.times(1_000_000).to_string();
        tracing::warn!(
            upstream = next.upstream.word(),
            model.id = next.call.model(),
            dollars_per_million_prompt_tokens = price.map(|price| million(price.prompt)),
            dollars_per_million_answer_tokens = price.map(|price| million(price.completion)),
            "fal no longer has any-llm; the router answers in its place and charges for each token. \
             fal.when_gone = \"refuse\" prevents that."
        );
    }

    /// A plan within the limit that fal has just named, if that is shorter; or the refusal that says
    /// what fills it. fal has not worked yet, so asking again pays for nothing twice.
    fn shorten(
        &self,
        plan: &Plan<'a>,
        target: &Target<'a>,
        others: &[Target<'a>],
        error: &UpstreamError,
    ) -> Option<Result<Plan<'a>, Failure>> {
        let UpstreamError::Refused(refusal) = error else {
            return None;
        };
        // Messages are sent as they are, however long.
        let is_prompt = plan.upstream.features().input == InputShape::Prompt;
        let longest = Longest::named_by(&refusal.kind).filter(|_| is_prompt)?;
        if longest.allows(|| lengths(plan)) {
            return None;
        }
        let target = self.order.known(target, plan);
        let shorter = self.order.plan_within(&target, others, longest);
        Some(shorter.map_err(Failure::Rejected))
    }

    /// The next model that the request can be planned for.
    fn fall_back<'w>(&self, others: &mut &'w [Target<'a>]) -> Option<(&'w Target<'a>, Plan<'a>)> {
        while let Some((next, rest)) = others.split_first() {
            *others = rest;
            if let Ok(plan) = self.order.plan_for(next, rest) {
                return Some((next, plan));
            }
        }
        None
    }
}

/// Takes in what fal has refused of some choices, while others are answered: nothing of this request
/// depends on it any more, but the next one is planned with it.
fn learn_of_choices(shared: &Shared, run: &Run) {
    for (_, failure) in run.failures() {
        if let Failure::Call { error, .. } = failure
            && let UpstreamError::Refused(refusal) = error
        {
            shared.learn(&refusal.kind);
        }
    }
}

/// Where the token counts of an answer are going to come from. A call that ends at a stop sequence is
/// dropped before it tells them.
fn promised_usage(plan: &Plan<'_>, is_counted: bool) -> UsageSource {
    match plan.upstream.features().tells_usage && plan.reading.stop.is_empty() {
        true => UsageSource::Reported,
        false if is_counted => UsageSource::Counted,
        false => UsageSource::Estimated,
    }
}

/// How long the texts of a plan are.
fn lengths(plan: &Plan<'_>) -> Lengths {
    let [prompt, system_prompt] = plan.call.lengths();
    Lengths {
        prompt,
        system_prompt,
    }
}
