//! `POST /v1/chat/completions`.

use actix_web::web::{Payload, ThinData};
use actix_web::{HttpRequest, HttpResponse};
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

use super::error::ApiError;
use super::exchange::{Choices, Exchange};
use super::extract;
use super::gateway::{Gateway, Worker};
use super::respond;
use super::scope::{self, Scope};
use crate::translate::ask::{Ask, Delivery};
use crate::translate::explain::explain;
use crate::translate::face::chat::parse;
use crate::translate::face::chat::write::{ChatStream, ChatWhole, Head, UsageChunk};
use crate::translate::face::rules::parse_priority;
use crate::translate::notes::Notes;
use crate::translate::plan::{Capabilities, Plan, plan};
use crate::translate::reading::{Event, Sink};

/// Answers a chat completion request, whole or as a stream.
///
/// # Errors
/// Everything in OpenAI's envelope; see [`super::error`].
pub async fn create(
    request: HttpRequest,
    payload: Payload,
    worker: ThinData<Worker>,
) -> Result<HttpResponse, ApiError> {
    let gateway = worker.gateway.clone();
    scope::catch_panic(&gateway, answer(&request, payload, &worker)).await
}

async fn answer(
    request: &HttpRequest,
    payload: Payload,
    worker: &Worker,
) -> Result<HttpResponse, ApiError> {
    let gateway = &worker.gateway;
    let scope = scope::scope(request).ok_or_else(ApiError::bug)?;
    let caller = gateway.access.admit(request.headers())?;
    if let Some(id) = &caller.id {
        scope.record.key(id.as_str());
    }
    let server = &gateway.config.server;
    let body = extract::json_body(
        request.headers(),
        payload,
        server.max_body,
        server.body_timeout,
    )
    .await?;
    scope.record.received(body.len());
    let mut ask = parse::parse(&body, &gateway.message_limits)?;
    read_headers(&mut ask, request)?;
    let capabilities = capabilities(gateway, request);
    let mut plan = plan(ask, &capabilities, &gateway.catalogue)?;
    scope
        .record
        .model(&plan.input.model, gateway.model_label(&plan.input.model));
    if has_flag(request, "x-gateway-explain", "true") {
        let explanation = explain(&plan, &gateway.config.fal.app, &capabilities.room);
        return Ok(HttpResponse::Ok().json(explanation));
    }
    let wants_notes =
        gateway.config.compat.notes_in_body || has_flag(request, "x-gateway-notes", "body");
    let exchange = Exchange::open(worker, &caller, &mut plan, &scope.record).await?;
    scope
        .record
        .model(&plan.input.model, gateway.model_label(&plan.input.model));
    let notes = wants_notes.then_some(&plan.notes);
    match plan.delivery {
        Delivery::Whole => whole(gateway, &plan, exchange, &scope, notes).await,
        Delivery::Stream { include_usage } => {
            stream(gateway, &plan, exchange, scope, include_usage, notes).await
        }
    }
}

async fn whole(
    gateway: &Gateway,
    plan: &Plan<'_>,
    exchange: Exchange,
    scope: &Scope,
    notes: Option<&Notes>,
) -> Result<HttpResponse, ApiError> {
    let fal_request_id = exchange.fal_request_id();
    let mut answer = ChatWhole::new(head(gateway, plan), plan.choices);
    respond::read_whole(exchange, &mut answer, gateway, &scope.record).await?;
    let usage = answer.usage();
    scope.record.finished(usage.prompt, usage.completion);
    let json = answer.to_json(notes);
    scope.record.sent(json.len());
    let mut response = HttpResponse::Ok();
    respond::note_headers(&mut response, &plan.notes, fal_request_id.as_deref());
    Ok(response.content_type("application/json").body(json))
}

async fn stream(
    gateway: &Gateway,
    plan: &Plan<'_>,
    exchange: Exchange,
    scope: Scope,
    include_usage: bool,
    notes: Option<&Notes>,
) -> Result<HttpResponse, ApiError> {
    let usage = match (include_usage, gateway.config.usage.always_stream) {
        (true, _) => UsageChunk::Asked,
        (false, true) => UsageChunk::Volunteered,
        (false, false) => UsageChunk::None,
    };
    let answer = ChatStream::new(&head(gateway, plan), plan.choices, usage);
    let answer = match notes {
        Some(notes) => answer.with_notes(notes),
        None => answer,
    };
    let mut response = HttpResponse::Ok();
    respond::note_headers(
        &mut response,
        &plan.notes,
        exchange.fal_request_id().as_deref(),
    );
    respond::stream(response, exchange, answer, gateway, scope).await
}

fn head(gateway: &Gateway, plan: &Plan<'_>) -> Head {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Head {
        id: format!("chatcmpl-{}", Uuid::now_v7().simple()),
        created_unix_s: since_epoch.as_secs(),
        model: plan.input.model.clone().into_owned(),
        reasoning_field: gateway.reasoning_field,
    }
}

/// Whether a header says exactly this.
fn has_flag(request: &HttpRequest, name: &str, value: &str) -> bool {
    request
        .headers()
        .get(name)
        .is_some_and(|given| given == value)
}

/// fal's `priority` can be asked for by header, for clients whose body cannot be changed.
fn read_headers(ask: &mut Ask<'_>, request: &HttpRequest) -> Result<(), ApiError> {
    let Some(value) = request.headers().get("x-fal-priority") else {
        return Ok(());
    };
    let priority = value.to_str().ok().and_then(parse_priority);
    ask.priority = Some(priority.ok_or_else(|| {
        ApiError::invalid_header("x-fal-priority", "It must be latency or throughput.")
    })?);
    Ok(())
}

/// `x-gateway-strict: true` or `false` overrides the setting for one request.
fn capabilities(gateway: &Gateway, request: &HttpRequest) -> Capabilities {
    let mut capabilities = gateway.capabilities();
    if let Some(strict) = request.headers().get("x-gateway-strict") {
        capabilities.strict = strict == "true";
    }
    capabilities
}

impl Choices for ChatWhole {
    fn event(&mut self, choice: usize, event: Event<'_>) {
        if let Some(choice) = self.choice(choice) {
            choice.event(event);
        }
    }
}

impl Choices for ChatStream {
    fn event(&mut self, choice: usize, event: Event<'_>) {
        self.choice(choice).event(event);
    }
}
