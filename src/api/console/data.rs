//! What the console's page is told, as JSON.

use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::door::{self, Door, Wanted};
use crate::api::auth::{Access, presented_key};
use crate::api::catalogue;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::paths;
use crate::config::Effective;
use crate::translate::problem::{Problem, ProblemKind};
use secrecy::ExposeSecret;

/// What a page has to know before anything else. Strangers may see that there is a console.
///
/// # Errors
/// 404 where there is no console, 403 for a foreign host or page.
pub async fn state(request: HttpRequest, context: Context) -> Result<HttpResponse, ApiError> {
    door::approach(&request, &context, Wanted::Data)?;
    let snapshot = &context.snapshot;
    let is_locked = Door::of(snapshot) == Door::Key && !door::has_token(&request, &context);
    if is_locked {
        return Ok(HttpResponse::Ok().json(json!({"locked": true})));
    }
    let callers = match &snapshot.access {
        Access::Open { .. } => "none",
        Access::Keys { .. } => "client",
        Access::PassThrough { .. } => "fal",
    };
    let fal = &snapshot.config.fal;
    Ok(HttpResponse::Ok().json(json!({
        "locked": false,
        "version": env!("CARGO_PKG_VERSION"),
        "needs_session": Door::of(snapshot) == Door::Key,
        "callers_key": callers,
        "fal": fal.url.host_str(),
        "app": fal.app,
        "default_model": snapshot.config.models.default,
    })))
}

/// The settings in force, and what deserves a second look.
///
/// # Errors
/// 401 without a token where one is needed; 404 and 403 as for all data.
pub async fn settings(request: HttpRequest, context: Context) -> Result<HttpResponse, ApiError> {
    door::enter(&request, &context)?;
    let config = &context.snapshot.config;
    let shown = |row: &Effective| json!({"key": row.key, "shown": row.shown, "origin": row.origin});
    let settings: Vec<_> = config.effective.iter().map(shown).collect();
    Ok(HttpResponse::Ok()
        .json(json!({"settings": settings, "warnings": catalogue::warnings(config)})))
}

/// What has happened in the last `minutes`, an hour if nothing is said.
///
/// # Errors
/// 401 without a token where one is needed; 404 and 403 as for all data.
pub async fn overview(request: HttpRequest, context: Context) -> Result<HttpResponse, ApiError> {
    door::enter(&request, &context)?;
    let asked = request.query_string().strip_prefix("minutes=");
    let minutes = asked.and_then(|text| text.parse().ok()).unwrap_or(60);
    let metrics = context.gateway.metrics();
    let overview = metrics.series.overview(minutes);
    Ok(HttpResponse::Ok().json(json!({
        "overview": &overview,
        "open_streams": metrics.open_streams.get(),
        "in_flight": context.gateway.inflight(),
    })))
}

/// The last requests, after the number that is asked for, and what is kept at the moment.
///
/// # Errors
/// 401 without a token where one is needed; 404 and 403 as for all data.
pub async fn requests(request: HttpRequest, context: Context) -> Result<HttpResponse, ApiError> {
    const MAX: usize = 500;
    door::enter(&request, &context)?;
    let asked = request.query_string().strip_prefix("after=");
    let after = asked.and_then(|text| text.parse().ok()).unwrap_or(0);
    let ring = &context.gateway.metrics().ring;
    Ok(HttpResponse::Ok().json(json!({
        "rows": ring.rows(after, MAX),
        "capture": ring.capture(),
        "may_keep_texts": may_keep_texts(&context),
    })))
}

/// All that is kept of one request.
///
/// # Errors
/// 404 if nothing is, or no longer; 401 without a token where one is needed; 403 as for all data.
pub async fn detail(
    request: HttpRequest,
    number: Path<u64>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    door::enter(&request, &context)?;
    match context.gateway.metrics().ring.detail(*number) {
        Some(detail) => Ok(HttpResponse::Ok().json(detail)),
        None => Err(ApiError::refusal(
            ProblemKind::NotFound,
            "unknown_request",
            "This request is not kept, or no longer.",
        )),
    }
}

/// Keeps texts for ten minutes, keeps them no longer, or forgets all that is kept.
///
/// # Errors
/// 403 for texts where callers bring their own fal keys and no admin key says who may read them;
/// 401 without a token where one is needed; 404 and 403 as for all data.
pub async fn capture(
    request: HttpRequest,
    wanted: Path<String>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    door::enter(&request, &context)?;
    let ring = &context.gateway.metrics().ring;
    match wanted.as_str() {
        "text" if !may_keep_texts(&context) => {
            return Err(ApiError::refusal(
                ProblemKind::Forbidden,
                "forbidden",
                "Others may call this gateway with their own keys. Set auth.admin_key to read their texts.",
            ));
        }
        "text" => ring.keep_texts(true),
        "shape" => ring.keep_texts(false),
        "wipe" => ring.wipe(),
        _ => return Err(paths::unknown(&request, &context)),
    }
    tracing::warn!(
        wanted = wanted.as_str(),
        client = context.address_of(&request).map(tracing::field::display),
        "what the console keeps of requests was changed"
    );
    Ok(HttpResponse::Ok().json(ring.capture()))
}

/// Where callers bring their own fal keys, whoever reaches the console is not the one who is read.
fn may_keep_texts(context: &Context) -> bool {
    let is_shared = matches!(context.snapshot.access, Access::PassThrough { .. });
    !is_shared || Door::of(&context.snapshot) == Door::Key
}

/// Exchanges the admin key for a token.
///
/// # Errors
/// 401 for another key, 429 after too many; 404 and 403 as for all data.
pub async fn open_session(
    request: HttpRequest,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    door::approach(&request, &context, Wanted::Data)?;
    if !context
        .snapshot
        .is_admin(request.headers(), context.gateway.purses().now())
    {
        return Err(context.wrong_admin_key(&request, "That is not the admin key."));
    }
    let token = context.gateway.sessions.open(&door::origin(&request));
    let token = token.ok_or_else(|| Problem::bug(false))?;
    tracing::info!(
        client = context.address_of(&request).map(tracing::field::display),
        "the console was opened"
    );
    Ok(HttpResponse::Ok().json(json!({"token": token})))
}

/// Ends a session.
///
/// # Errors
/// 404 and 403 as for all data.
pub async fn close_session(
    request: HttpRequest,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    door::approach(&request, &context, Wanted::Data)?;
    if let Ok(Some(token)) = presented_key(request.headers()) {
        let origin = door::origin(&request);
        context
            .gateway
            .sessions
            .close(token.expose_secret(), &origin);
    }
    Ok(HttpResponse::NoContent().finish())
}
