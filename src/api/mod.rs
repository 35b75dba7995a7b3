//! HTTP as OpenAI's clients know it: the routes, and what happens on the way to them.
//!
//! A request enters through [`scope`] (its id, its place, its record), is let in by [`auth`], read
//! by [`extract`], understood and planned by `translate`, sent to fal by [`crate::engine`], and answered
//! by [`respond`]; [`answer`] is that walk, for every API alike. Whatever goes wrong becomes an
//! [`error::ApiError`].

pub mod address;
pub mod admin;
pub mod answer;
pub mod auth;
pub mod background;
pub mod budget;
pub mod catalogue;
pub mod completions;
pub mod connection;
pub mod console;
pub mod context;
pub mod conversations;
pub mod count;
pub mod describe;
pub mod early;
pub mod error;
pub mod extract;
pub mod gateway;
pub mod health;
pub mod held;
pub mod idempotency;
pub mod lease;
pub mod lists;
pub mod models;
pub mod outliving;
pub mod own_key;
pub mod pages;
pub mod paths;
pub mod quota;
pub mod repeated;
pub mod respond;
pub mod responses;
pub mod scope;
pub mod snapshot;
pub mod state;
pub mod strangers;
pub mod unsupported;
mod wants;

use std::future::ready;

use actix_web::web::{self, ServiceConfig, resource};
use actix_web::{HttpRequest, Resource, Route, guard};

use crate::translate::face::chat::Chat;
use crate::translate::face::completions::Completions;
use crate::translate::face::messages::Messages;
use crate::translate::face::responses::Responses;

/// The routes, one line each. Every one of them is described in `openapi/openapi.yaml`, except
/// those of [`unsupported`], which only refuse, and of [`console`], which serve its own page alone.
/// Where models are asked comes first: a path is tried in this order, and one with an id in it is a
/// pattern to match.
#[rustfmt::skip]
pub fn routes(config: &mut ServiceConfig) {
    let get = |path, served| only("GET", path, served);
    let post = |path, served| only("POST", path, served);
    config
        .service(get_or_post("/v1/chat/completions", web::to(completions::list), web::to(answer::create::<Chat>)))
        .service(post("/v1/completions", web::to(answer::create::<Completions>)))
        .service(post("/v1/messages", web::to(answer::create::<Messages>)))
        .service(post("/v1/messages/count_tokens", web::to(count::count_tokens::<Messages>)))
        .service(post("/v1/responses", web::to(answer::create::<Responses>)))
        .service(post("/v1/responses/input_tokens", web::to(count::count_tokens::<Responses>)))
        .service(get_or_post_or_delete("/v1/chat/completions/{id:chatcmpl-[^/]*}", web::to(completions::retrieve), web::to(completions::update), web::to(completions::delete)))
        .service(get("/v1/chat/completions/{id:chatcmpl-[^/]*}/messages", web::to(completions::messages)))
        .configure(unsupported::ahead)
        .service(get_or_delete("/v1/responses/{id}", web::to(responses::retrieve), web::to(responses::delete)))
        .service(post("/v1/responses/{id}/cancel", web::to(responses::cancel)))
        .service(get("/v1/responses/{id}/input_items", web::to(responses::input_items)))
        .service(post("/v1/conversations", web::to(conversations::create)))
        .service(get_or_post_or_delete("/v1/conversations/{id}", web::to(conversations::retrieve), web::to(conversations::update), web::to(conversations::delete)))
        .service(get_or_post("/v1/conversations/{id}/items", web::to(conversations::items), web::to(conversations::add_items)))
        .service(get_or_delete("/v1/conversations/{id}/items/{item}", web::to(conversations::item), web::to(conversations::delete_item)))
        .service(get("/v1/models", web::to(models::list)))
        .service(get("/v1/models/{id:.+}", web::to(models::retrieve)))
        .service(get("/v1/key", web::to(own_key::show)))
        .service(get("/healthz", web::to(health::live)))
        .service(get("/livez", web::to(health::live)))
        .service(get("/readyz", web::to(health::ready)))
        .service(get("/metrics", web::to(health::metrics)))
        .service(get("/openapi.json", web::to(describe::openapi)))
        .service(get("/", web::to(console::welcome)))
        .configure(console::routes)
        .configure(unsupported::routes)
        .default_service(web::to(paths::unknown_url));
}

/// The routes of a listener for metrics alone.
pub fn metrics_routes(config: &mut ServiceConfig) {
    config
        .service(only("GET", "/metrics", web::to(health::metrics_only)))
        .default_service(web::to(paths::only_metrics));
}

/// A path under which something can be read, and deleted.
fn get_or_delete(path: &str, read: Route, delete: Route) -> Resource {
    served_as("GET, HEAD, DELETE", path, read).route(delete.guard(guard::Delete()))
}

/// A path under which something can be read, and added.
fn get_or_post(path: &str, read: Route, add: Route) -> Resource {
    served_as("GET, HEAD, POST", path, read).route(add.guard(guard::Post()))
}

/// A path under which something can be read, changed in part, and deleted.
fn get_or_patch_or_delete(path: &str, read: Route, change: Route, delete: Route) -> Resource {
    served_as("GET, HEAD, PATCH, DELETE", path, read)
        .route(change.guard(guard::Patch()))
        .route(delete.guard(guard::Delete()))
}

/// A path under which something can be read, changed, and deleted.
fn get_or_post_or_delete(path: &str, read: Route, change: Route, delete: Route) -> Resource {
    served_as("GET, HEAD, POST, DELETE", path, read)
        .route(change.guard(guard::Post()))
        .route(delete.guard(guard::Delete()))
}

/// A path under which something can be read; the other methods are to be added.
fn served_as(allowed: &'static str, path: &str, read: Route) -> Resource {
    let refused = move |request: HttpRequest| ready(scope::wrong_method(&request, allowed));
    let reads = guard::fn_guard(|context| matches!(context.head().method.as_str(), "GET" | "HEAD"));
    resource(path)
        .route(read.guard(reads))
        .default_service(web::to(refused))
}

/// A path that is served under one method and says so when asked under another. `HEAD` is `GET`
/// whose body the server leaves out (source: RFC 9110, 9.3.2).
fn only(method: &'static str, path: &str, served: Route) -> Resource {
    let refused = move |request: HttpRequest| ready(scope::wrong_method(&request, method));
    let is_allowed = guard::fn_guard(move |context| match context.head().method.as_str() {
        "HEAD" => method == "GET",
        asked => asked == method,
    });
    resource(path)
        .route(served.guard(is_allowed))
        .default_service(web::to(refused))
}
