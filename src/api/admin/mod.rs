//! What operators do over HTTP, on a listener of its own: keys, projects, budgets, gateways, settings,
//! and as much of OpenAI's organisation API as its clients read.
//!
//! Described in `openapi/admin.yaml`.

mod desk;
mod door;
mod keys;
mod organization;
mod pages;
mod projects;
mod state;
mod usage;

use actix_web::web::{self, ServiceConfig, resource};

use super::only;
use super::paths;

/// The routes, one line each.
pub fn routes(config: &mut ServiceConfig) {
    let get = |path, served| only("GET", path, served);
    let post = |path, served| only("POST", path, served);
    config
        .service(
            resource("/admin/v1/keys")
                .route(web::get().to(keys::list))
                .route(web::post().to(keys::create)),
        )
        .service(
            resource("/admin/v1/keys/{name}")
                .route(web::get().to(keys::show))
                .route(web::patch().to(keys::change))
                .route(web::delete().to(keys::revoke)),
        )
        .service(post("/admin/v1/keys/{name}/rotate", web::to(keys::rotate)))
        .service(
            resource("/admin/v1/projects")
                .route(web::get().to(projects::list))
                .route(web::post().to(projects::create)),
        )
        .service(
            resource("/admin/v1/projects/{name}")
                .route(web::get().to(projects::show))
                .route(web::patch().to(projects::change))
                .route(web::delete().to(projects::archive)),
        )
        .service(get("/admin/v1/budgets", web::to(state::budgets)))
        .service(post("/admin/v1/budgets/adjust", web::to(state::adjust)))
        .service(get("/admin/v1/audit", web::to(state::audit)))
        .service(get("/admin/v1/replicas", web::to(state::replicas)))
        .service(get("/admin/v1/settings", web::to(state::settings)))
        .service(post("/admin/v1/reload", web::to(state::reload)))
        .configure(organization::routes)
        .default_service(web::to(paths::only_operators));
}
