//! How a request to any API is answered: read, planned, sent to fal, and written.
//! What sets the APIs apart is their [`Face`].

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::http::header::HeaderMap;
use actix_web::web::{Bytes, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use futures::{FutureExt, StreamExt, stream};
use jiff::Timestamp;
use uuid::Uuid;

use super::auth::{Caller, presented_key};
use super::background::{self, Beginning};
use super::budget;
use super::context::Context;
use super::early;
use super::error::ApiError;
use super::extract;
use super::gateway::MemoryPermit;
use super::held::Hold;
use super::idempotency::{self, Progress};
use super::outliving::Outliving;
use super::paths::Deployment;
use super::quota;
use super::repeated::{PRIORITY, PRIORITY_NAME, Repeatable, STRICT, UPSTREAM};
use super::respond::{self, Answering, Reporter};
use super::scope;
use super::snapshot::{Snapshot, preference};
use super::state::{self, Keeper, Recalled};
use super::wants::{Wants, flag, only};
use crate::access::purses::Allowance;
use crate::config::Scope;
use crate::engine::price::dearest_call;
use crate::engine::{self, Audience, Engine, Grant, Order, Run};
use crate::observe::calls::Payer;
use crate::observe::record::Record;
use crate::translate::ask::{Ask, Delivery};
use crate::translate::body::{Body, Shortened};
use crate::translate::explain::explain;
use crate::translate::face::answer::StreamedAnswer;
use crate::translate::face::objects::{ResponseMeta, UsageChunk};
use crate::translate::face::rules::parse_priority;
use crate::translate::face::{Face, Reading};
use crate::translate::notes::Notes;
use crate::translate::plan::{Plan, PlanLimits, Target, candidates};
use crate::translate::problem::Problem;
use crate::translate::reading::UsageSource;
use crate::translate::routing::{Reason, Rule};
use crate::translate::upstream::UpstreamId;

/// Answers a request, whole or as a stream.
///
/// # Errors
/// Everything in the face's envelope; see [`super::error`].
pub async fn create<F: Face>(
    request: HttpRequest,
    payload: Payload,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let progress = Rc::<Progress>::default();
    let seen = Rc::clone(&progress);
    let heartbeat = context.snapshot.config.server.heartbeat;
    let work = match idempotency::is_asked(&request) {
        false => {
            async move { attempt::<F>(&request, payload, &context, &progress).await }.boxed_local()
        }
        true => once::<F>(request, payload, context, progress).boxed_local(),
    };
    early::answer::<F>(work, &seen, heartbeat).await
}

/// Works on a request that has a key: its claim is settled by what comes of it, also when its client has
/// left.
async fn once<F: Face>(
    request: HttpRequest,
    payload: Payload,
    context: Context,
    progress: Rc<Progress>,
) -> Result<HttpResponse, ApiError> {
    let seen = Rc::clone(&progress);
    let once = async move {
        let outcome = attempt::<F>(&request, payload, &context, &progress).await;
        match progress.take_claim() {
            Some(claim) => claim.settle::<F>(outcome, progress).await,
            None => outcome,
        }
    };
    // Whoever only waits for what somebody else works on leaves for good.
    let mut outcome = Outliving::once(stream::once(once), move || seen.is_claimed());
    let outcome = outcome.next().await;
    outcome.unwrap_or_else(|| Err(Problem::bug(true).into()))
}

async fn attempt<F: Face>(
    request: &HttpRequest,
    payload: Payload,
    context: &Context,
    progress: &Rc<Progress>,
) -> Result<HttpResponse, ApiError> {
    let scope = scope::scope(request);
    let record = scope.as_ref().map(|scope| &scope.record);
    // It is large: in a box it is not moved with everything that is wrapped around it.
    let answer = Box::pin(answer::<F>(request, payload, context, progress));
    scope::catch_panic(&context.gateway, record, answer).await
}

async fn answer<F: Face>(
    request: &HttpRequest,
    payload: Payload,
    context: &Context,
    progress: &Rc<Progress>,
) -> Result<HttpResponse, ApiError> {
    let snapshot = &context.snapshot;
    let Heard {
        mut scope,
        caller,
        body,
        mut held,
    } = hear(request, payload, context).await?;
    take_down(request, &body, snapshot, &scope.record);
    if let Some(answer) = idempotency::begin(request, context, &caller, &body, progress).await? {
        return Ok(answer);
    }
    let shortened = shorten(&body, snapshot, &caller);
    let reading = F::read(Body::new(&body, shortened.as_ref()), &snapshot.face)?;
    let past = state::look_up(context, &caller, reading.wanted()).await?;
    let bytes = past.hold_with(&body, &mut held)?;
    let (mut ask, face) = reading.finish(&past.found, &snapshot.face)?;
    scope.keeps(held.split(face.kept_bytes()));
    refuse_long_text(&ask, bytes, snapshot)?;
    read_path(&mut ask, request);
    let wish = Wish::of(&mut ask, request.headers(), snapshot, &caller)?;
    let memory = Rc::new(held);
    let record = &scope.record;
    let mut order = wish.order((context, &snapshot.engine), &caller, &ask, record, &memory);
    let plan = order.plan()?;
    record_model(&plan, snapshot, record);
    if wish.wants.explains {
        return Ok(explained(&order, plan, snapshot, &wish));
    }
    let repeat = repeatable(request, context, (&caller, &*past), (&face, &body), &wish)?;
    let hold = past.hold(context, &caller, face.is_kept()).await?;
    let grant = grant(request, context, &caller, (&order, &plan), progress).await?;
    if face.is_background() {
        let beginning = Beginning {
            context: context.clone(),
            headers: request.headers().clone(),
            head: head::<F>(&plan, record),
            price: (dearest_call(&order, &plan), plan.reading.prompt_tokens),
            notes: plan.notes,
            grant,
            repeat,
            past: Rc::clone(&past),
            memory: Rc::clone(&memory),
        };
        let from = (scope.clone(), Rc::clone(progress), ask.delivery);
        return Box::pin(in_background(face, (caller, body.clone()), beginning, from)).await;
    }
    order.grant = Some(grant);
    let reporter = reporter(context, &caller, &ask, &scope.record, repeat, progress);
    let (run, plan) = match open((context, &caller), (order, plan), &reporter).await {
        Ok(opened) => opened,
        Err(problem) => return failed(face, problem, &reporter, scope),
    };
    // What the head could not say any more is said in the body.
    let shows_notes = wish.wants.shows_notes || scope.record.has_stream_begun();
    let promised = Promised::by::<F>(plan, &scope.record, shows_notes);
    drop(ask);
    drop(shortened);
    let keeper = keeper(&face, context, caller, body, (past, hold, memory));
    match promised.delivery {
        Delivery::Whole => whole((face, keeper), promised, run, reporter, &scope).await,
        Delivery::Stream { .. } => stream((face, keeper), promised, run, reporter, scope).await,
    }
}

/// Asks fal for an answer. Its stream may begin before fal does.
///
/// # Errors
/// Why there is none.
async fn open<'a>(
    (context, caller): (&Context, &Caller),
    (order, plan): (Order<'_, 'a>, Plan<'a>),
    reporter: &Reporter,
) -> Result<(Run, Plan<'a>), Problem> {
    if let Delivery::Stream { .. } = plan.delivery {
        reporter.progress.awaits_fal(&reporter.record);
    }
    let opened = engine::open(order, plan).await;
    reporter.progress.hears_fal();
    let opened = opened.map_err(|failure| reporter.report(&failure, failure.may_have_been_paid()));
    context.learn_of_key(caller, opened.as_ref().err());
    let (run, plan) = opened?;
    record_model(&plan, &context.snapshot, &reporter.record);
    Ok((run, plan))
}

/// A body without the tools in it, where they are known.
fn shorten(body: &[u8], snapshot: &Snapshot, caller: &Caller) -> Option<Shortened> {
    let terms = &snapshot.engine.terms;
    terms.shorten(body, || caller.terms_owner())
}

/// What would be sent to fal. Models to fall back on are left out that would be passed over.
fn explained(
    order: &Order<'_, '_>,
    plan: Plan<'_>,
    snapshot: &Snapshot,
    wish: &Wish<'_>,
) -> HttpResponse {
    let plan = Plan {
        fallbacks: order.fallbacks(),
        ..plan
    };
    let explanation = explain(&plan, &snapshot.engine.apps, &wish.plan_limits.room);
    HttpResponse::Ok().json(explanation)
}

/// Begins an answer that nobody has to wait for. It stands in a box, so that other requests have no room
/// for it.
///
/// # Errors
/// What keeps it from being begun.
async fn in_background<F: Face>(
    face: F,
    (caller, body): (Caller, Bytes),
    beginning: Beginning,
    (scope, progress, delivery): (scope::Scope, Rc<Progress>, Delivery),
) -> Result<HttpResponse, ApiError> {
    progress.keep_as(&beginning.head.id);
    match delivery {
        Delivery::Whole => background::create(&face, caller, body, beginning).await,
        Delivery::Stream { .. } => {
            let from = (scope, progress);
            background::stream(face, caller, body, beginning, from).await
        }
    }
}

/// The model may stand in the path.
fn read_path(ask: &mut Ask<'_>, request: &HttpRequest) {
    if let Some(Deployment(model)) = request.extensions().get::<Deployment>() {
        ask.model = Some(Cow::Owned(model.clone()));
    }
}

/// Takes a request's share of what its caller may ask for and spend, and then takes down under its key,
/// if it has one, that fal is going to be asked.
///
/// # Errors
/// There is too little left of it, or the key cannot be held on to.
async fn grant(
    request: &HttpRequest,
    context: &Context,
    caller: &Caller,
    (order, plan): (&Order<'_, '_>, &Plan<'_>),
    progress: &Progress,
) -> Result<Grant, ApiError> {
    let allowance = budget::take(request, context, caller, order, plan).await?;
    let hold = quota::take(request, context, caller, plan).await?;
    let at = allowance.as_ref().map(Allowance::at);
    progress.asks(context).await?;
    Ok(Grant {
        hold,
        since: context.gateway.since,
        payer: payer(context, caller, at),
        allowance,
        escrow: None,
    })
}

/// Who pays, and since when.
pub(super) fn payer(context: &Context, caller: &Caller, at: Option<Timestamp>) -> Payer {
    let key = caller.key.as_ref();
    let at = at.unwrap_or_else(|| context.gateway.purses().now());
    Payer {
        key: key.map(|key| key.id.to_shared()).unwrap_or_default(),
        project: key
            .and_then(|key| key.project().cloned())
            .unwrap_or_default(),
        at_ms: at.as_millisecond(),
    }
}

/// What keeps the answer. Where it is not kept, the memory that was granted for the request is given
/// back here, but for what the face keeps.
fn keeper<F: Face>(
    face: &F,
    context: &Context,
    caller: Caller,
    body: Bytes,
    (past, hold, memory): (Rc<Recalled>, Option<Hold>, Rc<MemoryPermit>),
) -> Option<Keeper> {
    face.is_kept().then(|| Keeper {
        context: context.clone(),
        caller,
        input: input_of(face, &body),
        past,
        hold,
        record_input: F::record_input,
        _memory: memory,
    })
}

/// What of a body is kept as the input.
pub(super) fn input_of<F: Face>(face: &F, body: &Bytes) -> Bytes {
    let place = face.input_place();
    let place = place.filter(|place| place.start <= place.end && place.end <= body.len());
    place.map_or_else(|| body.clone(), |place| body.slice(place))
}

pub(super) fn reporter(
    context: &Context,
    caller: &Caller,
    ask: &Ask<'_>,
    record: &Record,
    repeat: Option<Repeatable>,
    progress: &Rc<Progress>,
) -> Reporter {
    Reporter {
        snapshot: Arc::clone(&context.snapshot),
        audience: Audience::of(ask, caller.brought_fal_key),
        key: caller.fal_key.print(),
        record: record.clone(),
        gateway: Arc::clone(&context.gateway),
        repeat,
        progress: Rc::clone(progress),
    }
}

/// What a request is recognized by should it be repeated, where that has to be expected.
///
/// # Errors
/// How it has failed a moment ago, where that may have been paid for: nobody pays for it twice,
/// unless he says that he wants to.
fn repeatable<F: Face>(
    request: &HttpRequest,
    context: &Context,
    (caller, past): (&Caller, &Recalled),
    (face, body): (&F, &Bytes),
    wish: &Wish<'_>,
) -> Result<Option<Repeatable>, ApiError> {
    if !F::CLIENTS_REPEAT {
        return Ok(None);
    }
    let failures = &context.gateway.paid_failures;
    let said = (body, face.is_kept());
    let repeat = failures.repeatable(caller, request.headers(), past.state(), said);
    match failures.find(&repeat).filter(|_| !wish.wants.retries) {
        None => Ok(Some(repeat)),
        Some(problem) => {
            context.gateway.metrics().failures_replayed.inc();
            Err(ApiError {
                is_replayed: true,
                ..problem.into()
            })
        }
    }
}

/// What an answer is to be, once the request is gone.
struct Promised {
    head: ResponseMeta,
    choices: u32,
    delivery: Delivery,
    notes: Notes,
    /// Whether the caller wants the notes in the body.
    shows_notes: bool,
}

impl Promised {
    /// What is left of a plan.
    fn by<F: Face>(plan: Plan<'_>, record: &Record, shows_notes: bool) -> Self {
        Self {
            head: head::<F>(&plan, record),
            choices: plan.choices,
            delivery: plan.delivery,
            notes: plan.notes,
            shows_notes,
        }
    }
}

/// A request that has been let in and read.
pub(super) struct Heard {
    pub scope: scope::Scope,
    pub caller: Caller,
    pub body: Bytes,
    /// The memory that the body takes up.
    pub held: MemoryPermit,
}

/// Lets a request in, reads its body, and gives it a place.
///
/// # Errors
/// What is wrong with the key or the body, and 503 where there is no room.
pub(super) async fn hear(
    request: &HttpRequest,
    payload: Payload,
    context: &Context,
) -> Result<Heard, ApiError> {
    let mut scope = scope::scope(request).ok_or_else(|| Problem::bug(false))?;
    let caller = context.admit(request, Scope::Inference)?;
    if let Some(key) = &caller.key {
        scope.record.key(key.id.as_str());
    }
    let (body, held) = extract::json_body(request.headers(), payload, context, &caller).await?;
    scope.heard();
    scope.takes(scope::place(context, Some(&caller))?);
    scope.record.received(body.len());
    Ok(Heard {
        scope,
        caller,
        body,
        held,
    })
}

/// Judges the length of a request whose body has so many bytes.
///
/// # Errors
/// 413 for more text than is possible.
pub(super) fn refuse_long_text(
    ask: &Ask<'_>,
    bytes: usize,
    snapshot: &Snapshot,
) -> Result<(), ApiError> {
    let text = bytes.saturating_sub(ask.attached_bytes());
    extract::refuse_long_text(text, snapshot.config.limits.max_text)
}

/// The model that answers; a fallback may have taken the place of the one that was asked for.
pub(super) fn record_model(plan: &Plan<'_>, snapshot: &Snapshot, record: &Record) {
    let because = plan.notes.because.map(Reason::word);
    record.upstream(plan.upstream.word(), because);
    let model = plan.call.model();
    record.model(model, snapshot.model_label(model));
}

async fn whole<F: Face>(
    (mut face, keeper): (F, Option<Keeper>),
    promised: Promised,
    mut run: Run,
    reporter: Reporter,
    scope: &scope::Scope,
) -> Result<HttpResponse, ApiError> {
    let mut response = HttpResponse::Ok();
    let answer = respond::read_whole(&mut run, promised.choices, &reporter, &mut response).await?;
    let mut notes = promised.notes.with_mended(&run.mended());
    notes.usage = answer.usage().source;
    let head = &promised.head;
    if let Some(keeper) = keeper
        && let Some(record) = face.record(head, &answer)
        && !keeper.keep(&head.id, record, &reporter.progress).await
    {
        face.forget();
        notes.emulated.retain(|name| *name != "store");
        notes.ignored.push("store".into());
    }
    let json = face.to_json(head, &answer, promised.shows_notes.then_some(&notes));
    scope.record.sent(json.len());
    scope.record.trace().got(&json);
    respond::note_trace(&scope.record, &notes);
    respond::note_headers(&mut response, &notes, run.fal_request_id().as_deref());
    Ok(response.content_type("application/json").body(json))
}

/// Tells why there is no answer: in the stream, where that has begun.
///
/// # Errors
/// Why, where it has not.
fn failed<F: Face>(
    face: F,
    problem: Problem,
    reporter: &Reporter,
    scope: scope::Scope,
) -> Result<HttpResponse, ApiError> {
    if !scope.record.has_stream_begun() {
        return Err(problem.into());
    }
    let head = ResponseMeta {
        id: new_id::<F>(),
        created_unix_s: unix_s(),
        clock: unix_s,
        model: scope.record.model_id(),
        usage: UsageSource::default(),
        request_id: scope.record.request_id().to_owned(),
        prompt_tokens: 0,
    };
    reporter.progress.fail(&problem);
    let frames = face.into_frames(&head, UsageChunk::None, None);
    let answer = StreamedAnswer::new(frames, 1);
    Ok(respond::failed(answer, &problem, scope))
}

async fn stream<F: Face>(
    (face, keeper): (F, Option<Keeper>),
    promised: Promised,
    run: Run,
    reporter: Reporter,
    scope: scope::Scope,
) -> Result<HttpResponse, ApiError> {
    let usage = match (
        promised.delivery,
        reporter.snapshot.config.usage.always_stream,
    ) {
        (
            Delivery::Stream {
                include_usage: true,
            },
            _,
        ) => UsageChunk::Asked,
        (_, true) => UsageChunk::Volunteered,
        (_, false) => UsageChunk::None,
    };
    let notes = promised.shows_notes.then_some(&promised.notes);
    let frames = face.into_frames(&promised.head, usage, notes);
    let mut answer = StreamedAnswer::new(frames, promised.choices);
    if keeper.is_some() {
        answer = answer.holding_its_end();
    }
    let keeper = keeper.map(|keeper| Box::new((keeper, promised.head.id)));
    let answering = Answering { answer, keeper };
    let response = HttpResponse::Ok();
    respond::stream(response, run, answering, &promised.notes, reporter, scope).await
}

pub(super) fn head<F: Face>(plan: &Plan<'_>, record: &Record) -> ResponseMeta {
    ResponseMeta {
        id: new_id::<F>(),
        created_unix_s: unix_s(),
        clock: unix_s,
        model: plan.call.model().to_owned(),
        usage: plan.notes.usage,
        request_id: record.request_id().to_owned(),
        prompt_tokens: plan.reading.prompt_tokens,
    }
}

/// The time, in seconds since 1970.
fn unix_s() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.unwrap_or_default().as_secs()
}

/// Shows the request to those who look on, without the keys that it may hold.
fn take_down(request: &HttpRequest, body: &[u8], snapshot: &Snapshot, record: &Record) {
    let trace = record.trace();
    let shown = presented_key(request.headers()).ok().flatten();
    for key in shown.iter().chain(&snapshot.config.fal.key) {
        trace.cover(key);
    }
    trace.sent(body);
}

/// An id that tells when it was made, of 128 bits or of 192 that nobody guesses.
fn new_id<F: Face>() -> String {
    match F::IDS_ARE_SECRET {
        false => format!("{}{}", F::ID_PREFIX, Uuid::now_v7().simple()),
        true => state::ordered_id(F::ID_PREFIX),
    }
}

/// Whom a request is for, and within what limits.
pub(super) struct Wish<'a> {
    pub target: Target<'a>,
    /// The models to fall back on.
    pub others: Vec<Target<'a>>,
    pub plan_limits: PlanLimits,
    /// What else is asked for.
    pub wants: Wants,
}

impl<'a> Wish<'a> {
    /// Reads the headers that mean something, and looks for the models that the caller may ask.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn of(
        ask: &mut Ask<'a>,
        headers: &HeaderMap,
        snapshot: &'a Snapshot,
        caller: &Caller,
    ) -> Result<Self, ApiError> {
        let wants = Wants::of(headers, snapshot.config.compat.notes_in_body)?;
        read_priority(ask, headers)?;
        let plan_limits = plan_limits(snapshot, headers)?;
        let (target, others) = candidates(ask, &snapshot.catalogue, &plan_limits)?;
        let (target, others) = caller.allowed(target, others)?;
        ask.terms = snapshot.engine.terms.of(ask, &caller.terms_owner())?;
        Ok(Self {
            target,
            others,
            plan_limits,
            wants,
        })
    }

    /// What is to be run for it, directly and without limits.
    pub(super) fn order<'o>(
        &'o self,
        (context, engine): (&'o Context, &'o Engine),
        caller: &'o Caller,
        ask: &'o Ask<'a>,
        record: &'o Record,
        memory: &Rc<MemoryPermit>,
    ) -> Order<'o, 'a> {
        Order {
            engine,
            fal: &context.fal,
            fal_key: &caller.fal_key,
            ask,
            target: self.target.clone(),
            others: self.others.clone(),
            plan_limits: &self.plan_limits,
            record,
            memory: memory.clone(),
            grant: None,
            carrier: None,
        }
    }
}

/// fal's `priority` can be asked for by header, for clients whose body cannot be changed.
fn read_priority(ask: &mut Ask<'_>, headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(value) = only(headers, &PRIORITY)? else {
        return Ok(());
    };
    let priority = value.to_str().ok().and_then(parse_priority);
    let cure = "It must be latency or throughput.";
    let wrong = || ApiError::invalid_header(PRIORITY_NAME, cure);
    ask.priority = Some(priority.ok_or_else(wrong)?);
    ask.priority_name = PRIORITY_NAME;
    Ok(())
}

/// `x-gateway-strict: true` or `false` overrides the setting for one request.
fn plan_limits(snapshot: &Snapshot, headers: &HeaderMap) -> Result<PlanLimits, ApiError> {
    let mut plan_limits = snapshot.plan_limits.clone();
    if let Some(strict) = flag(headers, &STRICT)? {
        plan_limits.strict = strict;
    }
    if let Some(rule) = asked_route(snapshot, headers)? {
        plan_limits.routing.rule = rule;
    }
    Ok(plan_limits)
}

/// `x-gateway-upstream` chooses the upstream for one request, where callers may.
///
/// # Errors
/// Where they may not, since a caller who is not heard would pay another price, and for an upstream
/// that there is not.
pub(super) fn asked_route(
    snapshot: &Snapshot,
    headers: &HeaderMap,
) -> Result<Option<Rule>, ApiError> {
    let Some(wanted) = only(headers, &UPSTREAM)? else {
        return Ok(None);
    };
    let fal = &snapshot.config.fal;
    if !fal.allow_upstream_header {
        let cure = "Callers do not choose the upstream here: leave the header out. The operator can let them, with \
                    fal.allow_upstream_header.";
        return Err(ApiError::invalid_header(UPSTREAM.as_str(), cure));
    }
    if wanted.as_bytes() == b"auto" {
        return Ok(Some(Rule::Auto(preference(fal))));
    }
    let named = wanted.to_str().ok().and_then(UpstreamId::named);
    let upstream = named.ok_or_else(|| {
        ApiError::invalid_header(
            UPSTREAM.as_str(),
            "It must be any-llm, router, router-openai or auto.",
        )
    })?;
    if fal.enterprise && !upstream.features().enterprise {
        let cure = "The gateway is set up for fal's enterprise endpoints, and this upstream has none. Take any-llm or \
                    router.";
        return Err(ApiError::invalid_header(UPSTREAM.as_str(), cure));
    }
    Ok(Some(Rule::Asked(upstream)))
}
