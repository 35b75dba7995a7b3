//! Probes and metrics. They never call fal and never cost anything.

use std::net::SocketAddr;

use actix_web::http::StatusCode;
use actix_web::web::ThinData;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::error::ApiError;
use super::gateway::Worker;

/// The process runs. Strangers may ask, so nothing else is said.
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

/// The process takes requests: 200, or 503 while it is shutting down.
pub async fn ready(worker: ThinData<Worker>) -> HttpResponse {
    match worker.gateway.stopping.announced.is_cancelled() {
        false => HttpResponse::Ok().json(json!({"status": "ready"})),
        true => HttpResponse::ServiceUnavailable()
            .json(json!({"status": "draining", "in_flight": worker.gateway.inflight()})),
    }
}

/// The counters, for callers on this machine or with the admin key.
///
/// # Errors
/// 401 for callers from elsewhere without the admin key, 404 when metrics are switched off.
pub async fn metrics(
    request: HttpRequest,
    worker: ThinData<Worker>,
) -> Result<HttpResponse, ApiError> {
    let gateway = &worker.gateway;
    if !gateway.config.metrics.enabled || gateway.config.metrics.listen.is_some() {
        return Err(ApiError::invalid_request(
            StatusCode::NOT_FOUND,
            "unknown_url",
            "Metrics are not served here. See metrics.enabled and metrics.listen.",
        ));
    }
    if !gateway.config.server.listen.ip().is_loopback() || !gateway.admin_keys.is_empty() {
        admit_admin(&request, &worker)?;
    }
    Ok(render(&worker))
}

/// The counters on a listener of their own: for callers on this machine, and for others with the
/// admin key.
///
/// # Errors
/// 401 for callers from elsewhere without the admin key.
pub async fn metrics_only(
    request: HttpRequest,
    worker: ThinData<Worker>,
) -> Result<HttpResponse, ApiError> {
    let is_here = |address: SocketAddr| address.ip().to_canonical().is_loopback();
    if !request.peer_addr().is_some_and(is_here) {
        admit_admin(&request, &worker)?;
    }
    Ok(render(&worker))
}

fn admit_admin(request: &HttpRequest, worker: &Worker) -> Result<(), ApiError> {
    if worker.gateway.is_admin(request.headers()) {
        return Ok(());
    }
    let message = "Metrics need the admin key. Send it as Authorization: Bearer, or serve them elsewhere with metrics.listen.";
    Err(worker.gateway.wrong_admin_key(request, message))
}

fn render(worker: &Worker) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(worker.gateway.metrics.render())
}
