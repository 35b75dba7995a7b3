//! Lists that are given in pages: which page a request asks for, and a page as JSON.

use actix_web::HttpRequest;

use super::error::ApiError;
use crate::store::responses::{Listing, Order, Page};
use crate::translate::problem::{Problem, ProblemKind};

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
                "stream" => query.stream = value == "true",
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
pub fn list_json(listing: &Listing) -> String {
    let bodies: Vec<&str> = listing
        .items
        .iter()
        .map(|(_, body)| body.as_str())
        .collect();
    let id = |item: Option<&(String, String)>| serde_json::json!(item.map(|(id, _)| id));
    format!(
        "{{\"object\":\"list\",\"data\":[{}],\"first_id\":{},\"last_id\":{},\"has_more\":{}}}",
        bodies.join(","),
        id(listing.items.first()),
        id(listing.items.last()),
        listing.has_more
    )
}
