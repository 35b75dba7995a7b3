//! Chat completions that are kept (`store`): listed, read again, changed, deleted.

use actix_web::web::{Path, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::answer::hear;
use super::context::Context;
use super::error::ApiError;
use super::pages::{PageQuery, deleted_answer, json_answer, list_answer, listed_answer, no_place};
use super::responses::enter;
use crate::store::responses::{Filter, Order, Search};
use crate::translate::face::responses::conversations::read_metadata;
use crate::translate::notes::shortened;
use crate::translate::problem::{Problem, ProblemKind};

/// `GET /v1/chat/completions`.
///
/// # Errors
/// 400 for a page that cannot be, 503 where the store fails.
pub async fn list(request: HttpRequest, context: Context) -> Result<HttpResponse, ApiError> {
    let (owner, _) = enter(&request, &context).await?;
    let page = PageQuery::of(&request, Order::OldestFirst)?.page;
    let after = page.after.clone().unwrap_or_default();
    let responses = context.gateway.responses();
    let filter = filter(&request);
    let searched_for = match filter.metadata.is_empty() {
        true => "model",
        false => "metadata",
    };
    let found = responses.completions(&owner, filter, page).await;
    match found.map_err(|error| context.store_failed(&error))? {
        Search::Found(listing) => list_answer(&context, listing),
        Search::NotThere => Err(no_place(&after)),
        Search::TooMany { searched, last } => {
            let message = format!(
                "None of {searched} completions matches, and no more are looked through at once. \
                 Go on behind the last of them with after={last}"
            );
            let problem = Problem::new(ProblemKind::Invalid, "invalid_value", message);
            Err(problem.about(searched_for).into())
        }
    }
}

/// `GET /v1/chat/completions/{id}`.
///
/// # Errors
/// 404 for a completion that is not there or belongs to somebody else, 503 where the store fails.
pub async fn retrieve(
    request: HttpRequest,
    id: Path<String>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let (owner, _) = enter(&request, &context).await?;
    let found = context.gateway.responses().completion(&owner, &id).await;
    let found = found.map_err(|error| context.store_failed(&error))?;
    json_answer(&context, found.ok_or_else(|| not_found(&id))?)
}

/// `POST /v1/chat/completions/{id}`, which replaces the metadata.
///
/// # Errors
/// As [`retrieve`], and 400 for metadata that cannot be.
pub async fn update(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let heard = hear(&request, payload, &context).await?;
    let metadata = read_metadata(&heard.body)?;
    let owner = context.owner(&heard.caller).await?;
    let responses = context.gateway.responses();
    let changed = responses.update_completion(&owner, &id, metadata).await;
    let changed = changed.map_err(|error| context.store_failed(&error))?;
    json_answer(&context, changed.ok_or_else(|| not_found(&id))?)
}

/// `DELETE /v1/chat/completions/{id}`.
///
/// # Errors
/// As [`retrieve`].
pub async fn delete(
    request: HttpRequest,
    id: Path<String>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let (owner, _) = enter(&request, &context).await?;
    let responses = context.gateway.responses();
    let deleted = responses.delete_completion(&owner, &id).await;
    match deleted.map_err(|error| context.store_failed(&error))? {
        true => Ok(deleted_answer("chat.completion.deleted", &id)),
        false => Err(not_found(&id)),
    }
}

/// `GET /v1/chat/completions/{id}/messages`: what was asked.
///
/// # Errors
/// As [`retrieve`], and 400 for a page that cannot be.
pub async fn messages(
    request: HttpRequest,
    id: Path<String>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let (owner, _) = enter(&request, &context).await?;
    let page = PageQuery::of(&request, Order::OldestFirst)?.page;
    let after = page.after.clone();
    let responses = context.gateway.responses();
    let messages = responses.completion_messages(&owner, &id, page).await;
    let messages = messages.map_err(|error| context.store_failed(&error))?;
    listed_answer(&context, messages, after.as_deref(), || not_found(&id))
}

/// `model=...` and `metadata[name]=value`.
fn filter(request: &HttpRequest) -> Filter {
    let mut filter = Filter::default();
    for (name, value) in url::form_urlencoded::parse(request.query_string().as_bytes()) {
        let inside = name.strip_prefix("metadata[");
        if name == "model" {
            filter.model = Some(value.into_owned());
        } else if let Some(name) = inside.and_then(|rest| rest.strip_suffix(']')) {
            filter.metadata.insert(name.to_owned(), value.into_owned());
        }
    }
    filter
}

/// The same whether there never was one, it is gone, or it is somebody else's.
fn not_found(id: &str) -> ApiError {
    let message = format!(
        "Chat completion with id '{}' not found. Completions are kept when their request has \"store\": true.",
        shortened(id)
    );
    ApiError::refusal(ProblemKind::NotFound, "completion_not_found", message)
}
