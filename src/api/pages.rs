//! What is kept, as answers: JSON as it was kept, and lists in pages.

use std::convert::Infallible;
use std::fmt::Write;

use actix_web::body::SizedStream;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use futures::stream;

use super::context::Context;
use super::error::ApiError;
use super::extract;
use super::gateway::MemoryPermit;
use crate::store::responses::{Listed, Listing, Order, Page};
use crate::translate::notes::shortened;
use crate::translate::problem::{Problem, ProblemKind};

/// How many times its length a page takes while it is written: what was read, and what is sent.
const LIST_COPIES: usize = 2;
/// How many bytes of an answer are handed on at once.
const PIECE: usize = 64 * 1024;

/// What a request asks for behind its path.
#[derive(Debug)]
pub struct PageQuery {
    pub stream: bool,
    /// The number of the last event that is not wanted.
    pub starting_after: Option<u64>,
    pub page: Page,
}

impl PageQuery {
    /// Reads what is known; the rest is let pass, as OpenAI does. Lists are in this order unless
    /// it says otherwise.
    ///
    /// # Errors
    /// 400 for a page that cannot be.
    pub fn of(request: &HttpRequest, order: Order) -> Result<Self, ApiError> {
        let mut query = Self {
            stream: false,
            starting_after: None,
            page: Page {
                limit: 20,
                order,
                after: None,
            },
        };
        for (name, value) in url::form_urlencoded::parse(request.query_string().as_bytes()) {
            match name.as_ref() {
                "stream" => {
                    query.stream = value
                        .parse()
                        .map_err(|_| invalid(&name, "It must be true or false."))?;
                }
                "starting_after" => {
                    let number = value.parse();
                    query.starting_after = Some(number.map_err(|_| {
                        invalid(&name, "It must be the sequence number of an event.")
                    })?);
                }
                "after" => query.page.after = Some(value.into_owned()),
                "order" => {
                    query.page.order = match value.as_ref() {
                        "asc" => Order::OldestFirst,
                        "desc" => Order::NewestFirst,
                        _ => return Err(invalid(&name, "It must be asc or desc.")),
                    };
                }
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=100).contains(limit));
                    query.page.limit = limit
                        .ok_or_else(|| invalid(&name, "It must be a number from 1 to 100."))?;
                }
                _ => {}
            }
        }
        Ok(query)
    }
}

/// The refusal of a query parameter.
pub fn invalid(name: &str, cure: &str) -> ApiError {
    let message = format!("Invalid '{name}'. {cure}");
    let problem = Problem::new(ProblemKind::Invalid, "invalid_value", message);
    problem.about(name).into()
}

/// A page of a list, in OpenAI's form.
///
/// # Errors
/// 503 where all the memory for large bodies is taken.
pub fn list_answer(context: &Context, listing: Listing) -> Result<HttpResponse, ApiError> {
    let bytes: usize = listing.items.iter().map(|(_, body)| body.len() + 1).sum();
    let held = hold(context, bytes.saturating_mul(LIST_COPIES))?;
    Ok(in_pieces(list_json(listing, bytes), held))
}

/// A page that was looked for, which was to begin behind the id `after`.
///
/// # Errors
/// 404 where there is no list (`no_list` says which), or nothing in it has that id; as [`list_answer`].
pub fn listed_answer(
    context: &Context,
    listed: Listed,
    after: Option<&str>,
    no_list: impl FnOnce() -> ApiError,
) -> Result<HttpResponse, ApiError> {
    match listed {
        Listed::Page(listing) => list_answer(context, listing),
        Listed::NoList => Err(no_list()),
        Listed::NoPlace => Err(no_place(after.unwrap_or_default())),
    }
}

/// The refusal of a page behind an id that nothing in its list has.
pub fn no_place(after: &str) -> ApiError {
    let message = format!(
        "Invalid 'after': nothing in this list has the id '{}'. Take an id of the list, or leave it out.",
        shortened(after)
    );
    let problem = Problem::new(ProblemKind::NotFound, "item_not_found", message);
    problem.about("after").into()
}

/// JSON that was kept, as an answer.
///
/// # Errors
/// 503 where all the memory for large bodies is taken.
pub fn json_answer(context: &Context, json: String) -> Result<HttpResponse, ApiError> {
    let held = hold(context, json.len())?;
    Ok(in_pieces(json, held))
}

/// The answer where something was deleted.
pub fn deleted_answer(object: &str, id: &str) -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({"id": id, "object": object, "deleted": true}))
}

/// The memory for an answer of what was kept.
///
/// # Errors
/// 503 where all the memory for large bodies is taken.
pub fn hold(context: &Context, bytes: usize) -> Result<MemoryPermit, ApiError> {
    let most = context.snapshot.config.limits.max_body_memory;
    let mut held = context.gateway.hold(most);
    match held.grow_to(bytes) {
        true => Ok(held),
        false => Err(extract::too_many()),
    }
}

/// JSON as an answer that is handed on as fast as its reader takes it, and holds its memory as long.
fn in_pieces(json: String, held: MemoryPermit) -> HttpResponse {
    let (size, mut rest) = (json.len(), Bytes::from(json));
    let pieces = stream::iter(std::iter::from_fn(move || {
        let _ = &held;
        let piece = rest.split_to(rest.len().min(PIECE));
        (!piece.is_empty()).then_some(Ok::<_, Infallible>(piece))
    }));
    HttpResponse::Ok()
        .content_type("application/json")
        .body(SizedStream::new(size as u64, pieces))
}

/// The items are taken, so that each lies in memory no longer than until it is written.
fn list_json(listing: Listing, bytes: usize) -> String {
    const AROUND: usize = 256;
    let id =
        |item: Option<&(String, String)>| serde_json::json!(item.map(|(id, _)| id)).to_string();
    let (first, last) = (id(listing.items.first()), id(listing.items.last()));
    let mut json = String::with_capacity(bytes + first.len() + last.len() + AROUND);
    json.push_str("{\"object\":\"list\",\"data\":[");
    for (at, (_, body)) in listing.items.into_iter().enumerate() {
        if at > 0 {
            json.push(',');
        }
        json.push_str(&body);
    }
    let _ = write!(
        json,
        "],\"first_id\":{first},\"last_id\":{last},\"has_more\":{}}}",
        listing.has_more
    );
    json
}
