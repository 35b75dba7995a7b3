//! What surrounds every request: its id, its place, its record, and the refusals that need no
//! handler.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use actix_http::ConnectionType;
use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::Version;
use actix_web::http::header::{
    CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::middleware::Next;
use actix_web::web::ThinData;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use futures::FutureExt;
use uuid::Uuid;

use super::auth::Caller;
use super::connection::{DECLINED, RequestGuard};
use super::context::Context;
use super::error::{self, ApiError};
use super::gateway::{Gateway, InFlightPermit, MemoryPermit, Worker};
use super::paths::{self, Manner};
use super::{budget, quota, strangers};
use crate::observe::record::Record;
use crate::translate::problem::{Problem, ProblemKind, Source};

/// The id of a request, in and out.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// How often a client of OpenAI's or Anthropic's has sent the request before.
const RETRY_COUNT: HeaderName = HeaderName::from_static("x-stainless-retry-count");
/// Milliseconds until the head of the answer, as OpenAI sends them.
const PROCESSING_MS: HeaderName = HeaderName::from_static("openai-processing-ms");

/// What a request carries with it: given back when the last part of its answer has left.
#[derive(Clone, Debug)]
pub struct Scope {
    pub context: Context,
    pub record: Record,
    place: Option<Rc<InFlightPermit>>,
    memory: Option<Rc<MemoryPermit>>,
    turn: Option<Rc<RequestGuard>>,
}

impl Scope {
    /// Says that all of the request has come, so that nothing more is read until it is answered.
    pub fn heard(&self) {
        if let Some(turn) = &self.turn {
            turn.heard();
        }
    }

    /// Keeps the request's place as long as this lives.
    pub fn takes(&mut self, place: InFlightPermit) {
        self.place = Some(Rc::new(place));
    }

    /// The request's place, for work that goes on when the request is over.
    pub fn place(&self) -> Option<Rc<InFlightPermit>> {
        self.place.clone()
    }

    /// Keeps memory granted as long as this lives.
    pub fn keeps(&mut self, memory: MemoryPermit) {
        self.memory = Some(Rc::new(memory));
    }
}

/// Wraps every request, so that every answer carries its id.
///
/// # Errors
/// Those of the framework; errors of handlers are answers here.
pub async fn enter(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let Some(worker) = request.app_data::<ThinData<Worker>>().cloned() else {
        return next
            .call(request)
            .await
            .map(ServiceResponse::map_into_left_body);
    };
    let turn = RequestGuard::begin(&request).map(Rc::new);
    if turn.as_ref().is_some_and(|turn| turn.is_too_late()) {
        // The connection is closed in a moment, and drops this.
        return std::future::pending().await;
    }
    worker.gateway.until_keys_are_known().await;
    let context = Context::of(&worker);
    let gateway = &context.gateway;
    paths::correct(&mut request);
    let route = paths::label(request.path());
    let record = Record::start(
        gateway.metrics().clone(),
        request_id(request.headers()),
        route,
    );
    record.client(context.address_of(request.request()));
    if request
        .headers()
        .get(RETRY_COUNT)
        .is_some_and(|count| count != "0")
    {
        gateway.metrics().sdk_retries.inc();
    }
    let manner = Manner::of_request(request.path(), request.headers());
    let mut response = match admit(&request, &context, route) {
        Ok(place) => {
            let scope = Scope {
                context: context.clone(),
                record: record.clone(),
                place: place.map(Rc::new),
                memory: None,
                turn: turn.clone(),
            };
            request.extensions_mut().insert(scope);
            next.call(request).await?.map_into_left_body()
        }
        Err(refusal) => {
            let refusal = HttpResponse::from_error(refusal);
            let (request, _) = request.into_parts();
            ServiceResponse::new(request, refusal).map_into_right_body()
        }
    };
    if response.response().error().is_some_and(is_cors_refusal) {
        let refusal = HttpResponse::from_error(strangers::foreign_page());
        response = response.into_response(refusal.map_into_right_body());
    }
    response = error::write_body(response, |problem| {
        (manner.problem)(problem, record.request_id())
    });
    finish(&mut response, &record, manner);
    if let Some(turn) = turn {
        settle(&mut response, &turn);
    }
    Ok(response)
}

/// The CORS middleware refuses in plain text what a page may not ask.
fn is_cors_refusal(error: &actix_web::Error) -> bool {
    error.as_error::<actix_cors::CorsError>().is_some()
}

/// Turns a panic in a handler into an error: one request fails, the others go on.
///
/// # Errors
/// Those of the handler, and [`Problem::bug`] for a panic.
pub async fn catch_panic<T>(
    gateway: &Gateway,
    record: Option<&Record>,
    handler: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, ApiError> {
    match AssertUnwindSafe(handler).catch_unwind().await {
        Ok(outcome) => outcome,
        Err(_) => {
            gateway.metrics().panics.inc();
            tracing::error!("a request ended in a bug of the gateway");
            Err(Problem::bug(record.is_some_and(Record::has_called_fal)).into())
        }
    }
}

/// The record of a request, as the middleware put it there.
pub fn scope(request: &HttpRequest) -> Option<Scope> {
    request.extensions().get::<Scope>().cloned()
}

/// Decides whether the connection goes on after this answer, and how the answer's end is found.
fn settle<B: MessageBody>(response: &mut ServiceResponse<B>, turn: &RequestGuard) {
    let request = response.request().head();
    let is_old = request.version < Version::HTTP_11;
    let asked_to_close = request.connection_type() == ConnectionType::Close;
    let is_stream = matches!(response.response().body().size(), BodySize::Stream);
    let head = response.response_mut().head_mut();
    // It may have been the head of an older answer, whose version would close the connection; which one
    // is written is decided later.
    head.version = Version::HTTP_11;
    if is_old && is_stream {
        // HTTP/1.0 knows no chunks (source: RFC 9112, 6.1): the end of the connection is the end
        // of the answer.
        head.no_chunking(true);
        head.set_connection_type(ConnectionType::Close);
    }
    if turn.is_unheard() {
        head.set_connection_type(ConnectionType::Close);
    }
    if asked_to_close || head.connection_type() == ConnectionType::Close {
        turn.is_last();
    }
}

fn finish<B: MessageBody>(response: &mut ServiceResponse<B>, record: &Record, manner: Manner) {
    record.status(response.status().as_u16());
    if let Some(error) = response
        .response()
        .error()
        .and_then(|error| error.as_error::<ApiError>())
    {
        let (code, source) = error.label();
        record.error(code, source);
    }
    let is_stream = matches!(response.response().body().size(), BodySize::Stream);
    if !is_stream {
        record.complete();
    }
    let milliseconds = u64::try_from(record.elapsed().as_millis()).unwrap_or(u64::MAX);
    let request = response.request().clone();
    let headers = response.headers_mut();
    quota::tell(&request, headers);
    budget::tell(&request, headers);
    if let Ok(id) = HeaderValue::from_str(record.request_id()) {
        headers.insert(HeaderName::from_static(manner.request_id), id.clone());
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(PROCESSING_MS, HeaderValue::from(milliseconds));
    protect(headers);
}

/// Keeps browsers from guessing what an answer is, and everybody from keeping it.
pub(super) fn protect(headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// The caller's own id when it is one, else a fresh one in OpenAI's form.
fn request_id(headers: &HeaderMap) -> String {
    let is_plain = |id: &&str| {
        let is_id_letter = |letter: char| letter.is_ascii_alphanumeric() || "-_.:".contains(letter);
        (1..=128).contains(&id.len()) && id.chars().all(is_id_letter)
    };
    let given = headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(is_plain);
    given.map_or_else(fresh_id, str::to_owned)
}

/// Numbers that opencode takes for a passing failure wherever they stand in an error's body.
const MISREAD: [&str; 6] = ["429", "500", "502", "503", "504", "524"];

/// An id for a request that brought none, in OpenAI's form. It is part of an error's body in
/// Anthropic's API, so it holds no number that is taken for a status; one id in thirty would.
pub(super) fn fresh_id() -> String {
    loop {
        let id = format!("req_{}", Uuid::new_v4().simple());
        if !MISREAD.iter().any(|status| id.contains(status)) {
            return id;
        }
    }
}

/// Refuses what no handler should see, and finds a place for what costs something.
fn admit(
    request: &ServiceRequest,
    context: &Context,
    route: &str,
) -> Result<Option<InFlightPermit>, ApiError> {
    if paths::is_disguised(request.path()) {
        return Err(paths::unknown(request.request(), context));
    }
    strangers::refuse(request, context, route)?;
    match route {
        "health" | "metrics" | "console" | "admin" => Ok(None),
        // They get their place when their body has come, but are refused before it where possible.
        route if paths::takes_body(route) && *request.method() == Method::POST => {
            refuse_at_the_end(&context.gateway)?;
            match is_full(context) {
                true => Err(overloaded()),
                false => Ok(None),
            }
        }
        _ => place(context, None).map(Some),
    }
}

/// A place among the requests being served. `caller` is who pays, where somebody does.
///
/// # Errors
/// 503 when all places are taken, or may not be taken any more.
pub fn place(context: &Context, caller: Option<&Caller>) -> Result<InFlightPermit, ApiError> {
    refuse_at_the_end(&context.gateway)?;
    let most = context.snapshot.config.limits.max_inflight;
    context.gateway.place(most, caller).ok_or_else(overloaded)
}

/// Whether every place is taken.
fn is_full(context: &Context) -> bool {
    context.gateway.inflight() >= context.snapshot.config.limits.max_inflight
}

pub(super) fn refuse_at_the_end(gateway: &Gateway) -> Result<(), ApiError> {
    match gateway.stopping().announced.is_cancelled() {
        false => Ok(()),
        true => Err(unavailable(
            "shutting_down",
            "The gateway is shutting down. Try again.",
        )),
    }
}

/// The answer when all places are taken.
pub(super) fn overloaded() -> ApiError {
    unavailable(
        "overloaded",
        "The gateway serves as many requests as it can. Try again.",
    )
}

/// An answer for a moment in which there is no room.
pub(super) fn unavailable(code: &'static str, message: &str) -> ApiError {
    ApiError::from(Problem {
        retry_after_s: Some(1),
        source: Source::Gateway,
        ..Problem::new(ProblemKind::Overloaded, code, message)
    })
}

/// The answer to a path that is served under another method only, which the `Allow` header names
/// (source: RFC 9110, 15.5.6). Whoever wants a WebSocket there is told that there is none, by the status
/// after which clients fall back to requests at once (source: RFC 9110, 15.5.22).
///
/// # Errors
/// Always.
pub fn wrong_method(
    request: &HttpRequest,
    allowed: &'static str,
) -> Result<HttpResponse, ApiError> {
    let method = request.method();
    if *method == Method::GET && wants_websocket(request) {
        let message = format!(
            "There are no WebSockets here. Send {allowed} {}.",
            request.path()
        );
        return Err(ApiError::refusal(
            ProblemKind::NoWebSocket,
            "websocket_not_supported",
            message,
        ));
    }
    let message = format!("Not allowed to {method} here. Use {allowed}.");
    Err(ApiError {
        allow: Some(if allowed == "GET" {
            "GET, HEAD"
        } else {
            allowed
        }),
        ..ApiError::refusal(ProblemKind::WrongMethod, "method_not_allowed", message)
    })
}

/// Whether the connection's offer to switch protocols, which was declined before its head was read, was
/// that of a WebSocket.
fn wants_websocket(request: &HttpRequest) -> bool {
    let wanted = request.headers().get(DECLINED);
    let wanted = wanted.and_then(|value| value.to_str().ok());
    wanted.is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_id_holds_no_number_that_a_client_takes_for_a_status() {
        for _ in 0..5_000 {
            let id = fresh_id();
            assert!(!MISREAD.iter().any(|status| id.contains(status)), "{id}");
        }
    }
}
