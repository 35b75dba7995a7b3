//! OpenAI's organisation API, as far as its clients read it (source: its reference, "Administration").
//! Projects and keys go by their names; a service account is its key.

mod keys;
mod limits;

use actix_web::web::{self, Path, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Map, Value as Json, json};

use super::desk::{only_fields, unknown};
use super::door::enter;
use super::keys::invalid;
use super::projects::changed;
use super::query::Query;
use super::{pages, usage};
use crate::access::Roster;
use crate::access::filed::behind;
use crate::access::roster::StoredProject;
use crate::accounts::keys::ProjectChange;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::extract;
use crate::api::{get_or_delete, get_or_post, get_or_post_or_delete, only};
use crate::config::{AdminScope, DEFAULT_PROJECT, Project};

/// The most items of a page at OpenAI.
const MOST: usize = 100;

/// The routes, one line each.
#[rustfmt::skip]
pub(in crate::api::admin) fn routes(config: &mut ServiceConfig) {
    let at = |path: &str| format!("/v1/organization{path}");
    let get = |path, served| only("GET", &at(path), served);
    let post = |path, served| only("POST", &at(path), served);
    config
        .service(get("/usage/{kind}", web::to(usage::usage)))
        .service(get("/costs", web::to(usage::costs)))
        .service(get_or_post(&at("/projects"), web::to(projects), web::to(create_project)))
        .service(get("/projects/{project}", web::to(project)))
        .service(post("/projects/{project}/archive", web::to(archive_project)))
        .service(get("/projects/{project}/api_keys", web::to(keys::api_keys)))
        .service(get_or_delete(&at("/projects/{project}/api_keys/{key}"), web::to(keys::api_key), web::to(keys::delete_api_key)))
        .service(get_or_post(&at("/projects/{project}/service_accounts"), web::to(keys::service_accounts), web::to(keys::create_service_account)))
        .service(get_or_delete(&at("/projects/{project}/service_accounts/{key}"), web::to(keys::service_account), web::to(keys::delete_service_account)))
        .service(get("/projects/{project}/rate_limits", web::to(limits::rate_limits)))
        .service(post("/projects/{project}/rate_limits/{limit}", web::to(limits::change_rate_limit)))
        .service(get_or_post_or_delete(&at("/projects/{project}/spend_limit"), web::to(limits::spend_limit), web::to(limits::set_spend_limit), web::to(limits::delete_spend_limit)));
}

/// Where a project stands.
enum Found<'a> {
    File(&'a Project),
    Stored(&'a StoredProject),
    /// That of keys without one.
    Default,
}

impl<'a> Found<'a> {
    /// # Errors
    /// 404.
    fn of(context: &'a Context, roster: &'a Roster, name: &str) -> Result<Self, ApiError> {
        let snapshot = &context.snapshot;
        let filed = snapshot
            .filed
            .project(&snapshot.config, name)
            .map(Self::File);
        let stored = || roster.projects.get(name).map(|stored| Self::Stored(stored));
        let usual = || (name == DEFAULT_PROJECT).then_some(Self::Default);
        let found = filed.or_else(stored).or_else(usual);
        found.ok_or_else(|| unknown("project"))
    }

    fn project(&self) -> Option<&Project> {
        match self {
            Self::File(project) => Some(project),
            Self::Stored(stored) => Some(&stored.project),
            Self::Default => None,
        }
    }

    fn shown(&self) -> Json {
        let name = self
            .project()
            .map_or(DEFAULT_PROJECT, |project| &project.name);
        let (created_at, archived_at) = match self {
            Self::Stored(stored) => (stored.created_at, stored.archived_at),
            Self::File(_) | Self::Default => (0, None),
        };
        json!({
            "object": "organization.project",
            "id": name,
            "name": name,
            "created_at": created_at / 1000,
            "archived_at": archived_at.map(|at| at / 1000),
            "status": if archived_at.is_some() { "archived" } else { "active" },
        })
    }
}

async fn projects(request: HttpRequest, context: Context) -> Result<HttpResponse, ApiError> {
    enter(&request, &context, AdminScope::Read)?;
    let query = Query::of(
        request.query_string(),
        &[pages::PAGE, &["include_archived"]],
    )?;
    let with_archived = query.switch("include_archived")? == Some(true);
    let wanted = pages::wanted(&query, MOST)?;
    let (roster, snapshot) = (context.gateway.roster(), &context.snapshot);
    let stored = roster.projects.range::<str, _>(behind(&wanted.after));
    let stored = stored.filter(|(_, stored)| with_archived || stored.archived_at.is_none());
    let stored = stored.map(|(name, stored)| (name.as_str(), Found::Stored(stored)));
    let usual = std::iter::once((DEFAULT_PROJECT, Found::Default));
    let usual = usual.filter(|(name, _)| *name > wanted.after.as_str());
    let filed = snapshot
        .filed
        .projects_after(&snapshot.config, &wanted.after);
    let filed = filed.map(|project| (project.name.as_str(), Found::File(project)));
    let all = pages::merged(pages::merged(usual, stored), filed);
    Ok(HttpResponse::Ok().json(pages::page(all, &wanted, |found| found.shown())))
}

async fn project(
    request: HttpRequest,
    name: Path<String>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    enter(&request, &context, AdminScope::Read)?;
    let roster = context.gateway.roster();
    let found = Found::of(&context, &roster, &name)?;
    Ok(HttpResponse::Ok().json(found.shown()))
}

async fn create_project(
    request: HttpRequest,
    payload: Payload,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let operator = enter(&request, &context, AdminScope::Keys)?;
    let mut fields = extract::small_object(request.headers(), payload, &context).await?;
    leave_out_nulls(&mut fields, &["external_key_id", "geography"]);
    let name = only_text(&fields, "name")?;
    let change = ProjectChange::Add(Map::new());
    let stored = changed(&request, &context, &operator, &name, change).await?;
    Ok(HttpResponse::Ok().json(Found::Stored(&stored).shown()))
}

async fn archive_project(
    request: HttpRequest,
    name: Path<String>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let operator = enter(&request, &context, AdminScope::Keys)?;
    let change = ProjectChange::Archive;
    let stored = changed(&request, &context, &operator, &name, change).await?;
    Ok(HttpResponse::Ok().json(Found::Stored(&stored).shown()))
}

/// Leaves out fields of OpenAI's that say nothing: its clients write null for what is not set.
fn leave_out_nulls(fields: &mut Map<String, Json>, optional: &[&str]) {
    fields.retain(|field, value| !value.is_null() || !optional.contains(&field.as_str()));
}

/// The text of the only field that may be there.
///
/// # Errors
/// 400 where it is not there, or something else is.
fn only_text(fields: &Map<String, Json>, wanted: &str) -> Result<String, ApiError> {
    only_fields(fields, &[wanted])?;
    let text = fields.get(wanted).and_then(Json::as_str);
    text.map(str::to_owned)
        .ok_or_else(|| invalid(wanted, &format!("A '{wanted}' is needed.")))
}
