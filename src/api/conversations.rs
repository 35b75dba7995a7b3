//! Conversations that are kept by themselves: `/v1/conversations`.

use std::time::Duration;

use actix_web::web::{Bytes, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::answer::{Heard, hear};
use super::auth::Caller;
use super::context::Context;
use super::error::ApiError;
use super::held::locked_out;
use super::pages::{PageQuery, deleted_answer, json_answer, list_answer, listed_answer};
use super::responses::enter;
use super::state::{self, new_items};
use crate::store::responses::{Added, Conversation, Listing, MAX_ITEMS, NewItem, Order};
use crate::translate::face::responses::conversations::{Change, conversation_json, read_metadata};
use crate::translate::face::responses::parse::{duplicate, no_conversation};
use crate::translate::notes::shortened;
use crate::translate::problem::ProblemKind;
use crate::translate::rejection::Rejection;

/// How long a conversation is kept whose owner has shown a fal key that fal has not accepted yet.
/// What ends first makes room first, so strangers take nobody's room.
const UNPROVEN: Duration = Duration::from_secs(600);

/// `POST /v1/conversations`.
///
/// # Errors
/// 400 for items or metadata that cannot be, 404 where nothing is kept, 503 where the store fails.
pub async fn create(
    request: HttpRequest,
    payload: Payload,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let heard = hear(&request, payload, &context).await?;
    refuse_unkept(&context)?;
    let change = read(&heard.body, &context)?;
    let id = state::secret_id("conv_");
    let items = items_of(&change, &heard, &context, &id).await?;
    let owner = context.owner(&heard.caller).await?;
    let metadata = change.metadata();
    let kept = retention(&context, &heard.caller);
    let made = context
        .gateway
        .responses()
        .create_conversation(&owner, id, metadata, items, kept)
        .await;
    match made.map_err(|error| context.store_failed(&error))? {
        Some(conversation) => shown(&context, &conversation),
        None => Err(no_room(&context)),
    }
}

/// `GET /v1/conversations/{id}`.
///
/// # Errors
/// 404 for a conversation that is not there or belongs to somebody else, 503 where the store fails.
pub async fn retrieve(
    request: HttpRequest,
    id: Path<String>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let (owner, _) = enter(&request, &context).await?;
    let found = context.gateway.responses().conversation(&owner, &id).await;
    let found = found.map_err(|error| context.store_failed(&error))?;
    shown(&context, &found.ok_or_else(|| not_found(&id))?)
}

/// `POST /v1/conversations/{id}`, which replaces the metadata.
///
/// # Errors
/// As [`create`] and [`retrieve`].
pub async fn update(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let heard = hear(&request, payload, &context).await?;
    let metadata = read_metadata(&heard.body)?;
    let owner = context.owner(&heard.caller).await?;
    let kept = retention(&context, &heard.caller);
    let responses = context.gateway.responses();
    let changed = responses
        .update_conversation(&owner, &id, metadata, kept)
        .await;
    let changed = changed.map_err(|error| context.store_failed(&error))?;
    shown(&context, &changed.ok_or_else(|| not_found(&id))?)
}

/// `DELETE /v1/conversations/{id}`.
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
    let deleted = responses.delete_conversation(&owner, &id).await;
    match deleted.map_err(|error| context.store_failed(&error))? {
        true => Ok(deleted_answer("conversation.deleted", &id)),
        false => Err(not_found(&id)),
    }
}

/// `GET /v1/conversations/{id}/items`.
///
/// # Errors
/// As [`retrieve`], and 400 for a page that cannot be.
pub async fn items(
    request: HttpRequest,
    id: Path<String>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let (owner, _) = enter(&request, &context).await?;
    let page = PageQuery::of(&request, Order::NewestFirst)?.page;
    let after = page.after.clone();
    let responses = context.gateway.responses();
    let items = responses.conversation_items(&owner, &id, page).await;
    let items = items.map_err(|error| context.store_failed(&error))?;
    listed_answer(&context, items, after.as_deref(), || not_found(&id))
}

/// `POST /v1/conversations/{id}/items`.
///
/// # Errors
/// As [`create`] and [`retrieve`], and 400 while a response is being made in the conversation.
pub async fn add_items(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let heard = hear(&request, payload, &context).await?;
    refuse_unkept(&context)?;
    let change = read(&heard.body, &context)?;
    if !change.has_items() {
        return Err(Rejection::missing("items").into());
    }
    // Apart from the ids of other items that the conversation was given.
    let seed = state::secret_id("");
    let items = items_of(&change, &heard, &context, &seed).await?;
    let owner = context.owner(&heard.caller).await?;
    let kept = retention(&context, &heard.caller);
    let listing = Listing {
        items: items
            .iter()
            .map(|item| (item.id.clone(), item.body.clone()))
            .collect(),
        has_more: false,
    };
    let responses = context.gateway.responses();
    let added = responses
        .add_to_conversation(&owner, &id, items, kept)
        .await;
    changed(
        &context,
        &id,
        added.map_err(|error| context.store_failed(&error))?,
    )?;
    list_answer(&context, listing)
}

/// `GET /v1/conversations/{id}/items/{item}`.
///
/// # Errors
/// As [`retrieve`].
pub async fn item(
    request: HttpRequest,
    path: Path<(String, String)>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let (owner, _) = enter(&request, &context).await?;
    let (id, item) = path.into_inner();
    let responses = context.gateway.responses();
    let found = responses.conversation_item(&owner, &id, &item).await;
    let found = found.map_err(|error| context.store_failed(&error))?;
    json_answer(&context, found.ok_or_else(|| no_item(&id, &item))?)
}

/// `DELETE /v1/conversations/{id}/items/{item}`, which gives the conversation.
///
/// # Errors
/// As [`retrieve`], and 400 while a response is being made in the conversation.
pub async fn delete_item(
    request: HttpRequest,
    path: Path<(String, String)>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let (owner, _) = enter(&request, &context).await?;
    let (id, item) = path.into_inner();
    let responses = context.gateway.responses();
    let deleted = responses.delete_conversation_item(&owner, &id, &item).await;
    match deleted.map_err(|error| context.store_failed(&error))? {
        Added::NotThere => Err(no_item(&id, &item)),
        deleted => shown(&context, &changed(&context, &id, deleted)?),
    }
}

fn read<'a>(body: &'a Bytes, context: &Context) -> Result<Change<'a>, ApiError> {
    Ok(Change::read(body, &context.snapshot.face.messages)?)
}

/// The items that a request brings, those that it only names looked up.
async fn items_of(
    change: &Change<'_>,
    heard: &Heard,
    context: &Context,
    seed: &str,
) -> Result<Vec<NewItem>, ApiError> {
    let past = state::look_up(context, &heard.caller, change.wanted()).await?;
    Ok(new_items(change.record(&past.found, seed)?))
}

/// What has become of a change.
fn changed(context: &Context, id: &str, added: Added) -> Result<Conversation, ApiError> {
    match added {
        Added::Yes(conversation) => Ok(conversation),
        Added::NotThere => Err(not_found(id)),
        Added::Locked => Err(locked_out(id).into()),
        Added::Twice(item) => Err(duplicate(&item).about("items").into()),
        Added::TooMany => {
            let message = format!(
                "The conversation has too many items: at most {MAX_ITEMS} are possible. Begin another one."
            );
            Err(Rejection::invalid("items", message).into())
        }
        Added::NoRoom => Err(no_room(context)),
    }
}

/// # Errors
/// 404 where the settings say that nothing is kept.
fn refuse_unkept(context: &Context) -> Result<(), ApiError> {
    match context.snapshot.face.keeps_responses {
        true => Ok(()),
        false => Err(ApiError::refusal(
            ProblemKind::NotFound,
            "unsupported_endpoint",
            "Nothing is kept here (the operator has switched responses.store off). Send the whole conversation in 'input'.",
        )),
    }
}

/// The same whether there never was one, it is gone, or it is somebody else's.
fn not_found(id: &str) -> ApiError {
    let rejection = no_conversation(id);
    ApiError::refusal(
        ProblemKind::NotFound,
        rejection.cause.code(),
        rejection.message,
    )
}

fn no_item(id: &str, item: &str) -> ApiError {
    let message = format!(
        "Item with id '{}' not found in the conversation '{}'.",
        shortened(item),
        shortened(id)
    );
    ApiError::refusal(ProblemKind::NotFound, "item_not_found", message)
}

fn no_room(context: &Context) -> ApiError {
    context.no_room("Delete what is not needed any more, or send the conversation in 'input'.")
}

/// How long a conversation is kept after its last change.
fn retention(context: &Context, caller: &Caller) -> Duration {
    let retention = context.snapshot.config.responses.retention;
    match caller.is_new {
        true => retention.min(UNPROVEN),
        false => retention,
    }
}

fn shown(context: &Context, conversation: &Conversation) -> Result<HttpResponse, ApiError> {
    let Conversation {
        id,
        created_at,
        metadata,
    } = conversation;
    json_answer(context, conversation_json(id, created_at / 1000, metadata))
}
