//! HTTP as OpenAI's clients know it: the routes, and what happens on the way to them.
//!
//! A request enters through [`scope`] (its id, its place, its record), is let in by [`auth`], read
//! by [`extract`], understood and planned by `translate`, sent to fal by [`exchange`], and answered
//! by [`respond`]; [`answer`] is that walk, for every API alike. Whatever goes wrong becomes an
//! [`error::ApiError`].

pub mod answer;
pub mod auth;
pub mod chat;
pub mod completions;
pub mod counting;
pub mod describe;
pub mod elsewhere;
pub mod error;
pub mod exchange;
pub mod extract;
pub mod gateway;
pub mod health;
pub mod learned;
pub mod models;
pub mod reask;
pub mod respond;
pub mod scope;
pub mod uploads;

use actix_web::web::{self, ServiceConfig, get, post, resource};

use chat::Chat;
use completions::Completions;

/// The routes, one line each. Every one of them is described in `openapi/openapi.yaml`, except
/// those of [`elsewhere`], which only refuse.
pub fn routes(config: &mut ServiceConfig) {
    let at = |path: &str| resource(path).default_service(web::to(scope::wrong_method));
    config
        .service(at("/v1/chat/completions").route(post().to(answer::create::<Chat>)))
        .service(at("/v1/completions").route(post().to(answer::create::<Completions>)))
        .service(at("/v1/models").route(get().to(models::list)))
        .service(at("/v1/models/{id:.+}").route(get().to(models::retrieve)))
        .service(at("/healthz").route(get().to(health::live)))
        .service(at("/livez").route(get().to(health::live)))
        .service(at("/readyz").route(get().to(health::ready)))
        .service(at("/metrics").route(get().to(health::metrics)))
        .service(at("/openapi.json").route(get().to(describe::openapi)))
        .service(at("/").route(get().to(describe::welcome)))
        .configure(elsewhere::routes)
        .default_service(web::to(scope::unknown_url));
}

/// The routes of a listener for metrics alone.
pub fn metrics_routes(config: &mut ServiceConfig) {
    let metrics = resource("/metrics").default_service(web::to(scope::wrong_method));
    config
        .service(metrics.route(get().to(health::metrics_only)))
        .default_service(web::to(scope::unknown_url));
}
