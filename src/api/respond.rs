//! Answers on their way out: read to the end, or sent on as they come.

use std::borrow::Cow;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::{HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use futures::{Stream, stream};
use tokio::time::Instant;

use super::error::{self, ApiError, FAL_REQUEST_ID};
use super::gateway::Gateway;
use super::idempotency::Progress;
use super::repeated::{Repeatable, UPSTREAM};
use super::scope::Scope;
use super::snapshot::Snapshot;
use super::state::Keeper;
use crate::engine::{Audience, Failure, Run, Waited};
use crate::observe::record::Record;
use crate::translate::face::answer::{FrameWriter, StreamedAnswer, WholeAnswer};
use crate::translate::notes::Notes;
use crate::translate::problem::Problem;
use crate::translate::reading::Fault;
use crate::upstream::{FalKeyPrint, Refusal, RefusalKind, UpstreamError};

/// Which choices of a whole answer have failed, and why.
const MISSING_CHOICES: HeaderName = HeaderName::from_static("x-gateway-missing-choices");

/// What all calls of the request cost, where that is known.
const COST: HeaderName = HeaderName::from_static("x-gateway-cost");
const USAGE: HeaderName = HeaderName::from_static("x-gateway-usage");
const EMULATED: HeaderName = HeaderName::from_static("x-gateway-emulated");
const IGNORED: HeaderName = HeaderName::from_static("x-gateway-ignored");
const FOLD: HeaderName = HeaderName::from_static("x-gateway-fold");

/// Tells the caller, the log and the metrics of failures.
pub struct Reporter {
    pub snapshot: Arc<Snapshot>,
    pub audience: Audience,
    pub key: FalKeyPrint,
    pub record: Record,
    pub gateway: Arc<Gateway>,
    /// What the request is recognized by should it be repeated.
    pub repeat: Option<Repeatable>,
    pub progress: Rc<Progress>,
}

impl Reporter {
    /// Why there is no answer. `is_paid` says whether any call of the request may be paid for.
    pub fn report(&self, failure: &Failure, is_paid: bool) -> Problem {
        let mut problem = failure.to_problem(self.audience);
        if let Failure::Call {
            error: UpstreamError::Refused(refusal),
            model,
            ..
        } = failure
        {
            self.log(refusal);
            if let RefusalKind::UnknownModel { .. } = refusal.kind {
                let live = self.snapshot.engine.observed.models(self.key);
                let others = live.iter().map(String::as_str);
                problem.message = self.snapshot.catalogue.refused(model, others).into();
            }
        }
        if is_paid {
            problem = problem.after_payment();
            if let Some(request) = &self.repeat {
                self.gateway.paid_failures.keep(request, &problem);
            }
        }
        self.record(&problem);
        problem
    }

    fn record(&self, problem: &Problem) {
        let (code, source) = error::label(problem);
        self.record.error(code, source);
    }

    /// What fal says may quote the prompt, so the log has to do with what kind of refusal it is.
    fn log(&self, refusal: &Refusal) {
        tracing::warn!(
            request.id = self.record.request_id(),
            status = refusal.status,
            kind = refusal.kind.label(),
            field = refusal.kind.field(),
            "fal refused a request"
        );
    }

    /// The failure of a run that has ended.
    pub(super) fn report_run(&self, run: &mut Run) -> Problem {
        let (failure, is_paid) = run.take_failure();
        self.report(&failure, is_paid)
    }

    /// What became of the choices that are missing in an answer: `1 upstream_disconnected, 3 ...`.
    fn missing(&self, run: &Run) -> Option<String> {
        let missing = run.failures().map(|(choice, failure)| {
            let problem = failure.to_problem(self.audience);
            self.record(&problem);
            format!("{choice} {}", problem.code)
        });
        let missing: Vec<_> = missing.collect();
        (!missing.is_empty()).then(|| missing.join(", "))
    }
}

/// Reads a run to its end. Where some choices fail, the others are the answer; a header says which
/// ones are missing and why.
///
/// # Errors
/// No choice is complete.
pub async fn read_whole(
    run: &mut Run,
    choices: u32,
    reporter: &Reporter,
    response: &mut HttpResponseBuilder,
) -> Result<WholeAnswer, ApiError> {
    let mut answer = WholeAnswer::new(choices);
    while !run.has_ended() {
        let deadline = run.deadline();
        match run.advance(deadline, &mut answer).await {
            Waited::Progress => {}
            Waited::Quiet => run.expire(&mut answer),
            Waited::ShutDown => run.fail(Fault::ShuttingDown, &mut answer),
        }
    }
    if answer.complete().next().is_none() {
        return Err(reporter.report_run(run).into());
    }
    answer.cost = run.cost();
    if let Some(cost) = answer.cost {
        response.insert_header((COST, cost.to_string()));
    }
    if let Some(missing) = reporter.missing(run) {
        response.insert_header((MISSING_CHOICES, missing));
    }
    Ok(answer)
}

/// A stream on its way out, and what keeps its answer.
pub struct Answering<W> {
    pub answer: StreamedAnswer<W>,
    /// With the id that the answer is kept under. In a box, since most answers are not kept.
    pub keeper: Option<Box<(Keeper, String)>>,
}

impl<W: FrameWriter> Answering<W> {
    /// Ends a stream that waits for it; what is to be kept is kept by then, so that whoever reads the
    /// end may ask for it.
    async fn end(&mut self, progress: &Progress) {
        let keeper = self.keeper.take().map(|keeper| *keeper);
        if let Some((keeper, id)) = keeper
            && let Some(record) = self.answer.record()
            && !keeper.keep(&id, record, progress).await
        {
            self.answer.forget();
        }
        self.answer.end();
    }
}

/// Sends a run on as it comes. A choice that fails does not end the others: the stream ends with an
/// error once all of them have ended.
///
/// The status line waits for fal's first words, so that what goes wrong before them is an HTTP
/// error; but no longer than the heartbeat, because a silent connection looks dead to proxies. Where
/// that is over before fal's head has come, the stream has begun without this ([`early`](super::early)).
///
/// # Errors
/// What goes wrong before the first byte of the answer has been sent.
pub async fn stream<W: FrameWriter + 'static>(
    mut response: HttpResponseBuilder,
    mut run: Run,
    mut answering: Answering<W>,
    notes: &Notes,
    reporter: Reporter,
    scope: Scope,
) -> Result<HttpResponse, ApiError> {
    let answer = &mut answering.answer;
    let heartbeat = reporter.snapshot.config.server.heartbeat;
    let first_wait = heartbeat.unwrap_or(Duration::MAX);
    let heartbeat_due = Instant::now().checked_add(first_wait);
    while !answer.has_begun() && !run.has_ended() {
        let deadline = run.deadline();
        let until = heartbeat_due.map_or(deadline, |due| due.min(deadline));
        match run.advance(until, answer).await {
            Waited::Progress => {}
            Waited::Quiet if until < deadline => break,
            Waited::Quiet => run.expire(answer),
            Waited::ShutDown => run.fail(Fault::ShuttingDown, answer),
        }
    }
    let has_begun = answer.has_begun() || scope.record.has_stream_begun();
    if run.has_ended() && !has_begun && !answer.has_ended() {
        return Err(reporter.report_run(&mut run).into());
    }
    scope.record.stream_begins();
    let notes = notes.with_mended(&run.mended());
    note_trace(&scope.record, &notes);
    note_headers(&mut response, &notes, run.fal_request_id().as_deref());
    note_stream(&mut response);
    Ok(response.streaming(frames(run, answering, reporter, scope, heartbeat)))
}

/// A stream that has begun, and of which nothing comes but why there is no answer.
pub fn failed<W: FrameWriter>(
    mut answer: StreamedAnswer<W>,
    problem: &Problem,
    scope: Scope,
) -> HttpResponse {
    answer.fail(problem);
    let frames = answer.take_frames().unwrap_or_default();
    let mut response = HttpResponse::Ok();
    note_stream(&mut response);
    response.streaming(stream::once(async move {
        scope.record.sent(frames.len());
        scope.record.trace().got(&frames);
        scope.record.complete();
        Ok::<_, Infallible>(frames)
    }))
}

/// Headers that say that an answer is a stream of events, which nobody on its way holds back.
pub fn note_stream(response: &mut HttpResponseBuilder) {
    response
        .insert_header((
            CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream; charset=utf-8"),
        ))
        .insert_header((
            CACHE_CONTROL,
            HeaderValue::from_static("no-cache, no-transform"),
        ))
        .insert_header((
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ));
}

/// The frames of a stream. Whatever is ready together leaves together; nothing waits to be joined
/// by more. Dropping the stream drops the calls to fal.
fn frames<W: FrameWriter>(
    mut run: Run,
    mut answering: Answering<W>,
    mut reporter: Reporter,
    scope: Scope,
    heartbeat: Option<Duration>,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    async_stream::stream! {
        // All of it, not only the record: the place belongs to the stream until its end.
        let scope = &scope;
        let mut is_late = !answering.answer.has_begun();
        loop {
            if run.has_ended() && !answering.answer.has_ended() && !answering.answer.waits_for_its_end() {
                let problem = reporter.report_run(&mut run);
                reporter.progress.fail(&problem);
                answering.answer.fail(&problem);
            }
            if let Some(frames) = answering.answer.take_frames() {
                scope.record.sent(frames.len());
                scope.record.trace().got(&frames);
                if answering.answer.has_ended() {
                    scope.record.complete();
                }
                yield Ok(frames);
            } else if std::mem::take(&mut is_late) {
                yield Ok(answering.answer.ping());
            }
            if answering.answer.has_ended() {
                break;
            }
            if answering.answer.waits_for_its_end() {
                // It has come to its end, and holds the body of its request no more.
                reporter.repeat = None;
                // In a box, or it would have its room from the stream's beginning on.
                Box::pin(answering.end(&reporter.progress)).await;
                continue;
            }
            let deadline = run.deadline();
            let heartbeat_due = heartbeat.and_then(|pause| Instant::now().checked_add(pause));
            let until = heartbeat_due.map_or(deadline, |due| due.min(deadline));
            match run.advance(until, &mut answering.answer).await {
                Waited::Progress => {}
                Waited::Quiet if until < deadline => is_late = true,
                Waited::Quiet => run.expire(&mut answering.answer),
                Waited::ShutDown => run.fail(Fault::ShuttingDown, &mut answering.answer),
            }
        }
    }
}

/// Shows what became of the request to those who look on.
pub fn note_trace(record: &Record, notes: &Notes) {
    record.trace().facts(|facts| {
        facts.emulated = notes.emulated.join(", ");
        // Names that are the caller's own words are only counted.
        let (ours, theirs): (Vec<_>, Vec<_>) = notes
            .ignored
            .iter()
            .partition(|name| matches!(name, Cow::Borrowed(_)));
        facts.ignored = ours
            .iter()
            .map(|name| name.as_ref())
            .collect::<Vec<_>>()
            .join(", ");
        facts.unknown_fields = theirs.len();
        facts.fold = notes.fold.clone().unwrap_or_default();
    });
}

/// Headers that tell the caller what became of the request, and fal's id of it.
pub fn note_headers(
    response: &mut HttpResponseBuilder,
    notes: &Notes,
    fal_request_id: Option<&str>,
) {
    let mut insert = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.insert_header((name, value));
        }
    };
    insert(UPSTREAM, &notes.route());
    insert(USAGE, &notes.usage.label());
    if !notes.emulated.is_empty() {
        insert(EMULATED, &notes.emulated.join(", "));
    }
    if !notes.ignored.is_empty() {
        insert(IGNORED, &listed(&notes.ignored));
    }
    if let Some(fold) = &notes.fold {
        insert(FOLD, fold);
    }
    if let Some(id) = fal_request_id {
        insert(FAL_REQUEST_ID, id);
    }
}

/// Names for a header. Unknown fields are the caller's own words: what no header can carry is
/// replaced, and a list that would be too long says how much it leaves out.
fn listed(names: &[Cow<'static, str>]) -> String {
    const MAX: usize = 32;
    let plain = |letter: char| {
        if letter.is_ascii_graphic() && letter != ',' {
            letter
        } else {
            '?'
        }
    };
    let shown = names
        .iter()
        .take(MAX)
        .map(|name| name.chars().take(128).map(plain).collect::<String>());
    let mut list = shown.collect::<Vec<_>>().join(", ");
    if names.len() > MAX {
        list.push_str(&format!(", and {} more", names.len() - MAX));
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::face::chat::write::ChatChunks;
    use crate::translate::face::responses::events::ResponseEvents;

    /// Of what a function makes, in bytes.
    fn size<A, B, C, D, E, Made>(_: fn(A, B, C, D, E) -> Made) -> usize {
        size_of::<Made>()
    }

    #[test]
    fn a_stream_stays_small_and_one_of_responses_is_hardly_larger() {
        let chat = size(frames::<ChatChunks>);
        let responses = size(frames::<ResponseEvents>);
        assert!(chat <= 896, "{chat} bytes");
        assert!(responses <= chat + 128, "{responses} bytes");
    }
}
