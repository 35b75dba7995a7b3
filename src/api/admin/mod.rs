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
mod query;
mod state;
mod usage;

use actix_web::web::{self, ServiceConfig};

use super::paths;
use super::{get_or_patch_or_delete, get_or_post, only};

/// The routes, one line each.
#[rustfmt::skip]
pub fn routes(config: &mut ServiceConfig) {
    let get = |path, served| only("GET", path, served);
    let post = |path, served| only("POST", path, served);
    config
        .service(get_or_post("/admin/v1/keys", web::to(keys::list), web::to(keys::create)))
        .service(get_or_patch_or_delete("/admin/v1/keys/{name}", web::to(keys::show), web::to(keys::change), web::to(keys::revoke)))
        .service(post("/admin/v1/keys/{name}/rotate", web::to(keys::rotate)))
        .service(get_or_post("/admin/v1/projects", web::to(projects::list), web::to(projects::create)))
        .service(get_or_patch_or_delete("/admin/v1/projects/{name}", web::to(projects::show), web::to(projects::change), web::to(projects::archive)))
        .service(get("/admin/v1/budgets", web::to(state::budgets)))
        .service(post("/admin/v1/budgets/adjust", web::to(state::adjust)))
        .service(get("/admin/v1/audit", web::to(state::audit)))
        .service(get("/admin/v1/replicas", web::to(state::replicas)))
        .service(get("/admin/v1/settings", web::to(state::settings)))
        .service(post("/admin/v1/reload", web::to(state::reload)))
        .configure(organization::routes)
        .default_service(web::to(paths::only_operators));
}
