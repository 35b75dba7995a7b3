//! Responses that are kept: read again, deleted, and what they were asked.

use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use super::auth::Caller;
use super::background;
use super::context::Context;
use super::error::ApiError;
use super::pages::{PageQuery, deleted_answer, hold, invalid, json_answer, listed_answer};
use super::{respond, scope};
use crate::config::Scope;
use crate::store::responses::{Order, Owner};
use crate::translate::face::responses::replay::replay;
use crate::translate::problem::{Problem, ProblemKind};

/// How many times its length a response takes while its events are written.
const REPLAY_COPIES: usize = 8;

/// `GET /v1/responses/{id}`, also as the events that a stream of it would be.
///
/// # Errors
/// 404 for a response that is not there or belongs to somebody else, 503 where the store fails.
pub async fn retrieve(
    request: HttpRequest,
    id: Path<String>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let (owner, caller) = enter(&request, &context).await?;
    let query = PageQuery::of(&request, Order::NewestFirst)?;
    if query.stream
        && let Some(stream) = follow(&request, &context, &owner, &id, &query).await?
    {
        return Ok(stream);
    }
    let found = context.gateway.responses().get(&owner, &id).await;
    let found = found.map_err(|error| context.store_failed(&error))?;
    let found = found.ok_or_else(|| not_found(&id))?;
    if found.is_running() {
        if query.stream {
            return Err(invalid(
                "stream",
                "The response is still being made, and it has no events before its end: it was not asked for with \
                 'stream'.",
            ));
        }
        if caller.brought_fal_key {
            background::go_on(&context, caller, &id).await;
        }
    }
    let json = found.json;
    if !query.stream {
        return json_answer(&context, json);
    }
    let _held = hold(&context, json.len().saturating_mul(REPLAY_COPIES))?;
    let events = replay(&json, query.starting_after).ok_or_else(|| Problem::bug(false))?;
    let mut answer = HttpResponse::Ok();
    respond::note_stream(&mut answer);
    Ok(answer.body(events))
}

/// The events of a response that is, or was, streamed in the background, also while they come. None for
/// any other response.
///
/// # Errors
/// 400 for what comes behind an event where the events are not kept any more, 503 where the store fails.
async fn follow(
    request: &HttpRequest,
    context: &Context,
    owner: &Owner,
    id: &str,
    query: &PageQuery,
) -> Result<Option<HttpResponse>, ApiError> {
    let from = query
        .starting_after
        .map_or(0, |after| after.saturating_add(1));
    let from = i64::try_from(from).unwrap_or(i64::MAX);
    let found = context.gateway.responses().events(owner, id, from).await;
    let Some(page) = found.map_err(|error| context.store_failed(&error))? else {
        return Ok(None);
    };
    if page.is_gone {
        return match query.starting_after {
            // From the beginning, it can be told from the response.
            None => Ok(None),
            Some(_) => Err(invalid(
                "starting_after",
                "The events of this response are not kept any more, since it ended a while ago. Leave it out, or ask \
                 for the response without 'stream'.",
            )),
        };
    }
    let scope = scope::scope(request).ok_or_else(|| Problem::bug(false))?;
    let reader = background::Reader::again(context.clone(), owner.clone(), id.to_owned(), from)?;
    Ok(Some(reader.stream(HttpResponse::Ok(), scope)))
}

/// `DELETE /v1/responses/{id}`.
///
/// # Errors
/// As [`retrieve`].
pub async fn delete(
    request: HttpRequest,
    id: Path<String>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let (owner, caller) = enter(&request, &context).await?;
    background::cancel(&context, &owner, &caller, &id).await?;
    let deleted = context.gateway.responses().delete(&owner, &id).await;
    match deleted.map_err(|error| context.store_failed(&error))? {
        true => Ok(deleted_answer("response", &id)),
        false => Err(not_found(&id)),
    }
}

/// `POST /v1/responses/{id}/cancel`. One that has ended stays as it is.
///
/// # Errors
/// As [`retrieve`], and 400 for a response that somebody waits for.
pub async fn cancel(
    request: HttpRequest,
    id: Path<String>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let (owner, caller) = enter(&request, &context).await?;
    background::cancel(&context, &owner, &caller, &id).await?;
    let found = context.gateway.responses().get(&owner, &id).await;
    let found = found.map_err(|error| context.store_failed(&error))?;
    let json = found.ok_or_else(|| not_found(&id))?.json;
    let kept: Kept = serde_json::from_str(&json).map_err(|_| Problem::bug(false))?;
    match kept.background {
        true => json_answer(&context, json),
        false => {
            let message = "Cannot cancel a response that was not made in the background.";
            let problem = Problem::new(ProblemKind::Invalid, "invalid_value", message);
            Err(problem.about("response_id").into())
        }
    }
}

/// What is looked for in a response.
#[derive(Deserialize)]
struct Kept {
    #[serde(default)]
    background: bool,
}

/// `GET /v1/responses/{id}/input_items`.
///
/// # Errors
/// As [`retrieve`], and 400 for a page that cannot be.
pub async fn input_items(
    request: HttpRequest,
    id: Path<String>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let (owner, _) = enter(&request, &context).await?;
    let page = PageQuery::of(&request, Order::NewestFirst)?.page;
    let after = page.after.clone();
    let items = context.gateway.responses().input_items(&owner, &id, page);
    let items = items.await.map_err(|error| context.store_failed(&error))?;
    listed_answer(&context, items, after.as_deref(), || not_found(&id))
}

/// Lets somebody in who asks for what is his.
pub(super) async fn enter(
    request: &HttpRequest,
    context: &Context,
) -> Result<(Owner, Caller), ApiError> {
    let caller = context.admit(request, Scope::Inference)?;
    Ok((context.owner(&caller).await?, caller))
}

/// The same whether there never was one, it is gone, or it is somebody else's.
fn not_found(id: &str) -> ApiError {
    let shown: String = id
        .chars()
        .filter(|letter| !letter.is_control())
        .take(128)
        .collect();
    let message = format!("Response with id '{shown}' not found.");
    ApiError::refusal(ProblemKind::NotFound, "response_not_found", message)
}
