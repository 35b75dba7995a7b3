//! Probes and metrics. They never call fal and never cost anything.

use std::net::SocketAddr;

use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::context::Context;
use super::error::ApiError;
use crate::translate::problem::ProblemKind;

/// The process runs. Strangers may ask, so nothing else is said.
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

/// The process takes requests: 200, or 503 while it is shutting down.
pub async fn ready(context: Context) -> HttpResponse {
    match context.gateway.stopping().announced.is_cancelled() {
        false => HttpResponse::Ok().json(json!({"status": "ready"})),
        true => HttpResponse::ServiceUnavailable()
            .json(json!({"status": "draining", "in_flight": context.gateway.inflight()})),
    }
}

/// The counters, for callers on this machine or with the admin key.
///
/// # Errors
/// 401 for callers from elsewhere without the admin key, 404 when metrics are switched off.
pub async fn metrics(request: HttpRequest, context: Context) -> Result<HttpResponse, ApiError> {
    let snapshot = &context.snapshot;
    if !snapshot.config.metrics.enabled || snapshot.config.metrics.listen.is_some() {
        return Err(ApiError::refusal(
            ProblemKind::NotFound,
            "unknown_url",
            "Metrics are not served here. See metrics.enabled and metrics.listen.",
        ));
    }
    if snapshot.config.beyond().is_some() || !snapshot.admin_keys.is_empty() {
        admit_admin(&request, &context)?;
    }
    Ok(render(&context))
}

/// The counters on a listener of their own: for callers on this machine, and for others with the
/// admin key.
///
/// # Errors
/// 401 for callers from elsewhere without the admin key.
pub async fn metrics_only(
    request: HttpRequest,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let is_here = |address: SocketAddr| address.ip().to_canonical().is_loopback();
    if !request.peer_addr().is_some_and(is_here) {
        admit_admin(&request, &context)?;
    }
    Ok(render(&context))
}

fn admit_admin(request: &HttpRequest, context: &Context) -> Result<(), ApiError> {
    if context
        .snapshot
        .is_admin(request.headers(), context.gateway.purses().now())
    {
        return Ok(());
    }
    let message = "Metrics need the admin key. Send it as Authorization: Bearer, or serve them elsewhere with metrics.listen.";
    Err(context.wrong_admin_key(request, message))
}

fn render(context: &Context) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(context.gateway.metrics().render())
}
