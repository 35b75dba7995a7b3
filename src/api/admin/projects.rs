//! Projects: listed, added, changed and closed.

use actix_web::web::{Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Map, Value as Json};

use super::desk::{
    answer, called, condition, managed_by_file, named, only_fields, refuse, refuse_equal_budgets,
    unknown, warn, write,
};
use super::door::{Operator, enter};
use super::keys::invalid;
use super::pages;
use super::query::Query;
use crate::access::filed::behind;
use crate::access::roster::{StoredProject, shown_file_project};
use crate::accounts::keys::{self as tables, ProjectChange};
use crate::api::catalogue;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::extract;
use crate::config::{AdminScope, Project, fault_of_project_name};

/// `GET /admin/v1/projects`.
///
/// # Errors
/// Those of the door, and 400 for a page that cannot be.
pub(super) async fn list(request: HttpRequest, context: Context) -> Result<HttpResponse, ApiError> {
    enter(&request, &context, AdminScope::Read)?;
    let query = Query::of(request.query_string(), &[pages::PAGE])?;
    let wanted = pages::wanted(&query, 1000)?;
    let (roster, snapshot) = (context.gateway.roster(), &context.snapshot);
    let stored = roster.projects.range::<str, _>(behind(&wanted.after));
    let stored = stored.map(|(name, stored)| (name.as_str(), Listed::Stored(stored)));
    let filed = snapshot
        .filed
        .projects_after(&snapshot.config, &wanted.after);
    let filed = filed.map(|project| (project.name.as_str(), Listed::Filed(project)));
    let all = pages::merged(stored, filed);
    let shown = |project| match project {
        Listed::Stored(stored) => StoredProject::shown(stored),
        Listed::Filed(project) => shown_file_project(project),
    };
    Ok(HttpResponse::Ok().json(pages::page(all, &wanted, shown)))
}

/// A project, wherever it stands.
enum Listed<'a> {
    Stored(&'a StoredProject),
    Filed(&'a Project),
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
    let snapshot = &context.snapshot;
    if let Some(project) = snapshot.filed.project(&snapshot.config, &name) {
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
    refuse_wrong(&fields)?;
    let change = ProjectChange::Add(fields);
    let stored = changed(&request, &context, &operator, &name, change).await?;
    Ok(looked_over(&context, &stored))
}

/// Looks at the fields of a project, old or new, before anything is written, to name the one that is
/// wrong.
///
/// # Errors
/// 400 for what cannot be.
fn refuse_wrong(fields: &Map<String, Json>) -> Result<(), ApiError> {
    only_fields(fields, Project::FIELDS)?;
    let project = Project::of_json(called("project", fields), "", fields);
    refuse_equal_budgets(&project.map_err(|problems| refuse(&problems))?.budgets)
}

/// A project with what of it deserves a second look.
fn looked_over(context: &Context, stored: &StoredProject) -> HttpResponse {
    let mut shown = stored.shown();
    warn(
        &mut shown,
        &catalogue::warnings_of_project(&context.snapshot.config, stored),
    );
    answer(&shown, stored.revision)
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
    let mut whole = fields.clone();
    whole.insert("name".to_owned(), named("project", &name)?.into());
    refuse_wrong(&whole)?;
    let change = ProjectChange::Fields(fields);
    let stored = changed(&request, &context, &operator, &name, change).await?;
    Ok(looked_over(&context, &stored))
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
    let stored = changed(&request, &context, &operator, &name, change).await?;
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
) -> Result<StoredProject, ApiError> {
    let name = match &change {
        // What is wrong with a new name is told in full.
        ProjectChange::Add(_) => match fault_of_project_name(name) {
            Some(fault) => return Err(invalid("name", &fault)),
            None => name,
        },
        _ => named("project", name)?,
    };
    let snapshot = &context.snapshot;
    if let Some(project) = snapshot.filed.project(&snapshot.config, name) {
        return Err(managed_by_file("project", name, &project.origin));
    }
    let (name, condition) = (name.to_owned(), condition(request, context, operator)?);
    let deed = operator.deed(change.action(), &name);
    write(context, deed, async move |transaction| {
        tables::put_project(transaction, &name, change, &condition).await
    })
    .await
}
