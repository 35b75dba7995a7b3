//! Projects: listed, added, changed and closed.

use std::collections::BTreeMap;

use actix_web::web::{Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::Value as Json;

use super::desk::{answer, condition, managed_by_file, named, unknown, write};
use super::door::{Operator, enter};
use super::keys::invalid;
use super::pages;
use crate::access::roster::{StoredProject, shown_file_project};
use crate::accounts::keys::{self as tables, ProjectChange};
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::extract;
use crate::config::AdminScope;

/// `GET /admin/v1/projects`.
///
/// # Errors
/// Those of the door, and 400 for a page that cannot be.
pub(super) async fn list(request: HttpRequest, context: Context) -> Result<HttpResponse, ApiError> {
    enter(&request, &context, AdminScope::Read)?;
    let roster = context.gateway.roster();
    let stored = roster.projects.values();
    let stored = stored.map(|stored| (stored.project.name.clone(), stored.shown()));
    let filed = context.snapshot.config.projects.iter();
    let filed = filed.map(|project| (project.name.clone(), shown_file_project(project)));
    // Those of the file come last, and hold.
    let all: BTreeMap<String, Json> = stored.chain(filed).collect();
    let wanted = pages::wanted(request.query_string())?;
    Ok(HttpResponse::Ok().json(pages::page(all.into_iter(), &wanted, 1000)))
}

/// `GET /admin/v1/projects/{name}`.
///
/// # Errors
/// Those of the door, and 404.
pub(super) async fn show(
    request: HttpRequest,
    name: Path<String>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    enter(&request, &context, AdminScope::Read)?;
    let mut in_file = context.snapshot.config.projects.iter();
    if let Some(project) = in_file.find(|project| project.name == *name) {
        return Ok(HttpResponse::Ok().json(shown_file_project(project)));
    }
    let roster = context.gateway.roster();
    let stored = roster.projects.get(name.as_str());
    let stored = stored.ok_or_else(|| unknown("project"))?;
    Ok(answer(&stored.shown(), stored.revision))
}

/// `POST /admin/v1/projects`.
///
/// # Errors
/// Those of the door; 400 for what cannot be, 409 for what is taken, 503 where the store fails.
pub(super) async fn create(
    request: HttpRequest,
    payload: Payload,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let operator = enter(&request, &context, AdminScope::Keys)?;
    let fields = extract::small_object(request.headers(), payload, &context).await?;
    let name = fields.get("name").and_then(Json::as_str).map(str::to_owned);
    let name = name.ok_or_else(|| invalid("name", "A project needs a 'name'."))?;
    let change = ProjectChange::Add(fields);
    let stored = changed(
        &request,
        &context,
        &operator,
        &name,
        change,
        "projects.create",
    )
    .await?;
    Ok(answer(&stored.shown(), stored.revision))
}

/// `PATCH /admin/v1/projects/{name}`, as for keys.
///
/// # Errors
/// As [`create`]; 412 where `If-Match` names another revision.
pub(super) async fn change(
    request: HttpRequest,
    name: Path<String>,
    payload: Payload,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let operator = enter(&request, &context, AdminScope::Keys)?;
    let fields = extract::small_object(request.headers(), payload, &context).await?;
    if fields.contains_key("name") {
        return Err(invalid("name", "A project keeps its 'name'."));
    }
    let change = ProjectChange::Fields(fields);
    let stored = changed(
        &request,
        &context,
        &operator,
        &name,
        change,
        "projects.change",
    )
    .await?;
    Ok(answer(&stored.shown(), stored.revision))
}

/// `DELETE /admin/v1/projects/{name}`: refuses all of its keys for good.
///
/// # Errors
/// As [`change`].
pub(super) async fn archive(
    request: HttpRequest,
    name: Path<String>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let operator = enter(&request, &context, AdminScope::Keys)?;
    let change = ProjectChange::Archive;
    let stored = changed(
        &request,
        &context,
        &operator,
        &name,
        change,
        "projects.archive",
    )
    .await?;
    Ok(answer(&stored.shown(), stored.revision))
}

/// Does something to a project of the store, and says so in the log.
///
/// # Errors
/// As [`change`].
pub(super) async fn changed(
    request: &HttpRequest,
    context: &Context,
    operator: &Operator,
    name: &str,
    change: ProjectChange,
    action: &'static str,
) -> Result<StoredProject, ApiError> {
    let name = match &change {
        // What is wrong with a new name is told in full.
        ProjectChange::Add(_) => name,
        _ => named("project", name)?,
    };
    let mut in_file = context.snapshot.config.projects.iter();
    if let Some(project) = in_file.find(|project| project.name == name) {
        return Err(managed_by_file("project", name, &project.origin));
    }
    let (name, condition) = (name.to_owned(), condition(request, context)?);
    let deed = operator.deed(action, &name);
    write(context, deed, async move |transaction| {
        tables::put_project(transaction, &name, change, &condition).await
    })
    .await
}
