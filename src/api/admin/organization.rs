//! OpenAI's organisation API, as far as its clients read it (source: its reference, "Administration").
//! Projects and keys go by their names; a service account is its key.

use std::collections::BTreeMap;

use actix_web::web::{self, Path, Payload, ServiceConfig, resource};
use actix_web::{HttpRequest, HttpResponse};
use secrecy::ExposeSecret;
use serde_json::{Map, Value as Json, json};

use super::desk::{conflict, unknown};
use super::door::enter;
use super::keys::{add, edited, invalid};
use super::projects::changed;
use super::{pages, usage};
use crate::access::Roster;
use crate::access::roster::StoredProject;
use crate::access::secret::{self, Secret};
use crate::accounts::books;
use crate::accounts::keys::{Edit, ProjectChange, is_spend_limit};
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::extract;
use crate::config::{AdminScope, Key, Project};
use crate::translate::problem::Problem;

/// The project of keys that have none.
pub(super) const DEFAULT_PROJECT: &str = "default";
/// The most items of a page at OpenAI.
const MOST: usize = 100;
/// A project has one set of limits, for all models.
const ALL_MODELS: &str = "rl-all";

/// The routes, one line each.
pub(super) fn routes(config: &mut ServiceConfig) {
    let at = |path: &str| resource(format!("/v1/organization{path}"));
    config
        .service(at("/usage/{kind}").route(web::get().to(usage::usage)))
        .service(at("/costs").route(web::get().to(usage::costs)))
        .service(
            at("/projects")
                .route(web::get().to(projects))
                .route(web::post().to(create_project)),
        )
        .service(at("/projects/{project}").route(web::get().to(project)))
        .service(at("/projects/{project}/archive").route(web::post().to(archive_project)))
        .service(at("/projects/{project}/api_keys").route(web::get().to(api_keys)))
        .service(
            at("/projects/{project}/api_keys/{key}")
                .route(web::get().to(api_key))
                .route(web::delete().to(delete_api_key)),
        )
        .service(
            at("/projects/{project}/service_accounts")
                .route(web::get().to(service_accounts))
                .route(web::post().to(create_service_account)),
        )
        .service(
            at("/projects/{project}/service_accounts/{key}")
                .route(web::get().to(service_account))
                .route(web::delete().to(delete_service_account)),
        )
        .service(at("/projects/{project}/rate_limits").route(web::get().to(rate_limits)))
        .service(
            at("/projects/{project}/rate_limits/{limit}").route(web::post().to(change_rate_limit)),
        )
        .service(
            at("/projects/{project}/spend_limit")
                .route(web::get().to(spend_limit))
                .route(web::post().to(set_spend_limit))
                .route(web::delete().to(delete_spend_limit)),
        );
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
        let mut in_file = context.snapshot.config.projects.iter();
        let filed = in_file.find(|project| project.name == name).map(Self::File);
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
    let query = request.query_string();
    let with_archived = pages::parameter(query, "include_archived").as_deref() == Some("true");
    let roster = context.gateway.roster();
    let stored = roster.projects.values();
    let stored = stored.filter(|stored| with_archived || stored.archived_at.is_none());
    let stored = stored.map(|stored| (stored.project.name.clone(), Found::Stored(stored)));
    let filed = context.snapshot.config.projects.iter();
    let filed = filed.map(|project| (project.name.clone(), Found::File(project)));
    let usual = std::iter::once((DEFAULT_PROJECT.to_owned(), Found::Default));
    let all: BTreeMap<String, Found<'_>> = usual.chain(stored).chain(filed).collect();
    let items = all
        .iter()
        .map(|(name, found)| (name.clone(), found.shown()));
    Ok(HttpResponse::Ok().json(pages::page(items, &pages::wanted(query)?, MOST)))
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
    let fields = extract::small_object(request.headers(), payload, &context).await?;
    let name = only_text(&fields, "name")?;
    let change = ProjectChange::Add(Map::new());
    let stored = changed(
        &request,
        &context,
        &operator,
        &name,
        change,
        "projects.create",
    )
    .await?;
    Ok(HttpResponse::Ok().json(Found::Stored(&stored).shown()))
}

async fn archive_project(
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
    Ok(HttpResponse::Ok().json(Found::Stored(&stored).shown()))
}

/// A key of a project: those of the file have neither a time nor letters that may be shown.
struct Listed<'a> {
    key: &'a Key,
    created_at: i64,
    hint: &'a str,
}

/// The keys of a project that were not taken back, by their names.
///
/// # Errors
/// 404 where there is no such project.
fn keys_of<'a>(
    context: &'a Context,
    roster: &'a Roster,
    project: &str,
) -> Result<BTreeMap<&'a str, Listed<'a>>, ApiError> {
    Found::of(context, roster, project)?;
    let belongs = |key: &Key| key.project.as_deref().unwrap_or(DEFAULT_PROJECT) == project;
    let (stored, _) = roster.beside(&context.snapshot.config);
    let stored = stored.into_iter().map(|stored| Listed {
        key: &stored.key,
        created_at: stored.created_at / 1000,
        hint: &stored.hint,
    });
    let filed = context.snapshot.config.keys.iter().map(|key| Listed {
        key,
        created_at: 0,
        hint: "",
    });
    let all = stored.chain(filed).filter(|listed| belongs(listed.key));
    Ok(all
        .map(|listed| (listed.key.name.as_str(), listed))
        .collect())
}

impl Listed<'_> {
    fn as_api_key(&self) -> Json {
        let name = &self.key.name;
        let account = json!({
            "object": "organization.project.service_account",
            "id": name,
            "name": name,
            "role": "member",
            "created_at": self.created_at,
        });
        json!({
            "object": "organization.project.api_key",
            "id": name,
            "name": name,
            "redacted_value": format!("sk-fg-***{}", self.hint),
            "created_at": self.created_at,
            "last_used_at": null,
            "owner": {"type": "service_account", "service_account": account},
            "owner_project_access": if self.key.disabled { "inactive" } else { "active" },
        })
    }

    fn as_account(&self) -> Json {
        json!({
            "object": "organization.project.service_account",
            "id": self.key.name,
            "name": self.key.name,
            "role": "member",
            "created_at": self.created_at,
        })
    }
}

fn list_keys(
    request: &HttpRequest,
    context: &Context,
    project: &str,
    shown: fn(&Listed<'_>) -> Json,
) -> Result<HttpResponse, ApiError> {
    enter(request, context, AdminScope::Read)?;
    let roster = context.gateway.roster();
    let keys = keys_of(context, &roster, project)?;
    let items = keys
        .iter()
        .map(|(name, listed)| ((*name).to_owned(), shown(listed)));
    let wanted = pages::wanted(request.query_string())?;
    Ok(HttpResponse::Ok().json(pages::page(items, &wanted, MOST)))
}

fn show_key(
    request: &HttpRequest,
    context: &Context,
    place: &(String, String),
    shown: fn(&Listed<'_>) -> Json,
) -> Result<HttpResponse, ApiError> {
    enter(request, context, AdminScope::Read)?;
    let roster = context.gateway.roster();
    let keys = keys_of(context, &roster, &place.0)?;
    let listed = keys.get(place.1.as_str()).ok_or_else(|| unknown("key"))?;
    Ok(HttpResponse::Ok().json(shown(listed)))
}

async fn delete_key(
    request: &HttpRequest,
    context: &Context,
    (project, name): &(String, String),
    object: &str,
) -> Result<HttpResponse, ApiError> {
    let operator = enter(request, context, AdminScope::Keys)?;
    let roster = context.gateway.roster();
    if !keys_of(context, &roster, project)?.contains_key(name.as_str()) {
        return Err(unknown("key"));
    }
    edited(
        request,
        context,
        &operator,
        name,
        Edit::Revoke,
        "keys.revoke",
    )
    .await?;
    Ok(HttpResponse::Ok().json(json!({"object": object, "id": name, "deleted": true})))
}

async fn api_keys(
    request: HttpRequest,
    project: Path<String>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    list_keys(&request, &context, &project, |listed| listed.as_api_key())
}

async fn api_key(
    request: HttpRequest,
    place: Path<(String, String)>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    show_key(&request, &context, &place, |listed| listed.as_api_key())
}

async fn delete_api_key(
    request: HttpRequest,
    place: Path<(String, String)>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    delete_key(
        &request,
        &context,
        &place,
        "organization.project.api_key.deleted",
    )
    .await
}

async fn service_accounts(
    request: HttpRequest,
    project: Path<String>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    list_keys(&request, &context, &project, |listed| listed.as_account())
}

async fn service_account(
    request: HttpRequest,
    place: Path<(String, String)>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    show_key(&request, &context, &place, |listed| listed.as_account())
}

async fn delete_service_account(
    request: HttpRequest,
    place: Path<(String, String)>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let object = "organization.project.service_account.deleted";
    delete_key(&request, &context, &place, object).await
}

/// A service account comes with its key, whose secret is in this answer and in no other.
async fn create_service_account(
    request: HttpRequest,
    project: Path<String>,
    payload: Payload,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let operator = enter(&request, &context, AdminScope::Keys)?;
    let given = extract::small_object(request.headers(), payload, &context).await?;
    let name = only_text(&given, "name")?;
    let roster = context.gateway.roster();
    let belongs = Found::of(&context, &roster, &project)?.project().is_some();
    let mut fields = Map::new();
    fields.insert("name".to_owned(), name.into());
    if belongs {
        fields.insert("project".to_owned(), project.as_str().into());
    }
    let plain = secret::draw().ok_or_else(|| Problem::bug(false))?;
    let secret = Secret::of(plain.expose_secret());
    let stored = add(&request, &context, &operator, fields, secret).await?;
    let listed = Listed {
        key: &stored.key,
        created_at: stored.created_at / 1000,
        hint: &stored.hint,
    };
    let mut shown = listed.as_account();
    if let Json::Object(fields) = &mut shown {
        let key = json!({
            "object": "organization.project.service_account.api_key",
            "id": stored.key.name,
            "name": stored.key.name,
            "created_at": listed.created_at,
            "value": plain.expose_secret(),
        });
        fields.insert("api_key".to_owned(), key);
    }
    Ok(HttpResponse::Ok().json(shown))
}

fn shown_limits(project: &Project) -> Json {
    json!({
        "object": "project.rate_limit",
        "id": ALL_MODELS,
        "model": "*",
        "max_requests_per_1_minute": project.requests_per_minute,
        "max_tokens_per_1_minute": project.tokens_per_minute,
        "x_concurrency": project.concurrency,
    })
}

async fn rate_limits(
    request: HttpRequest,
    name: Path<String>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    enter(&request, &context, AdminScope::Read)?;
    let roster = context.gateway.roster();
    let found = Found::of(&context, &roster, &name)?;
    let limits = found.project().map(shown_limits);
    let items = limits
        .into_iter()
        .map(|limits| (ALL_MODELS.to_owned(), limits));
    let wanted = pages::wanted(request.query_string())?;
    Ok(HttpResponse::Ok().json(pages::page(items, &wanted, MOST)))
}

async fn change_rate_limit(
    request: HttpRequest,
    place: Path<(String, String)>,
    payload: Payload,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let operator = enter(&request, &context, AdminScope::Keys)?;
    let (name, limit) = place.into_inner();
    if limit != ALL_MODELS {
        return Err(unknown("rate limit"));
    }
    let given = extract::small_object(request.headers(), payload, &context).await?;
    let mut fields = Map::new();
    for (field, value) in given {
        let own = match field.as_str() {
            "max_requests_per_1_minute" => "requests_per_minute",
            "max_tokens_per_1_minute" => "tokens_per_minute",
            _ => {
                let message = format!("'{field}' is not limited here.");
                return Err(invalid(&field, &message));
            }
        };
        fields.insert(own.to_owned(), value);
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
    Ok(HttpResponse::Ok().json(shown_limits(&stored.project)))
}

async fn shown_spend_limit(context: &Context, project: &Project) -> Result<Json, ApiError> {
    let terms = project.budgets.iter().find(|terms| is_spend_limit(terms));
    let terms = terms.ok_or_else(|| unknown("spend limit"))?;
    let owner = format!("project/{}", project.name);
    let store = context.gateway.store();
    let read = store.read(store.deadline(), async move |transaction| {
        books::windows(transaction, &owner).await
    });
    let windows = read.await.map_err(|error| context.store_failed(&error))?;
    let name = terms.name();
    let is_spent = windows
        .iter()
        .any(|window| window.budget == name && window.is_spent());
    #[expect(clippy::cast_possible_truncation, reason = "limits are far below")]
    let cents = (terms.unit.to_f64(terms.limit) * 100.0).round() as i64;
    Ok(json!({
        "object": "project.spend_limit",
        "threshold_amount": cents,
        "currency": "USD",
        "interval": "month",
        "enforcement": {"status": if is_spent { "enforcing" } else { "inactive" }},
    }))
}

async fn spend_limit(
    request: HttpRequest,
    name: Path<String>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    enter(&request, &context, AdminScope::Read)?;
    let roster = context.gateway.roster();
    let found = Found::of(&context, &roster, &name)?;
    let project = found.project().ok_or_else(|| unknown("spend limit"))?;
    Ok(HttpResponse::Ok().json(shown_spend_limit(&context, project).await?))
}

async fn set_spend_limit(
    request: HttpRequest,
    name: Path<String>,
    payload: Payload,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    enter(&request, &context, AdminScope::Keys)?;
    let given = extract::small_object(request.headers(), payload, &context).await?;
    let cents = given.get("threshold_amount").and_then(Json::as_u64);
    let cents = cents
        .filter(|cents| (1..=100_000_000_000).contains(cents))
        .ok_or_else(|| {
            invalid(
                "threshold_amount",
                "Invalid 'threshold_amount': whole cents, more than none.",
            )
        })?;
    for (field, only) in [("currency", "USD"), ("interval", "month")] {
        let value = given.get(field).and_then(Json::as_str);
        if value.is_some_and(|value| value != only) {
            let message = format!("Invalid '{field}': only {only} is there.");
            return Err(invalid(field, &message));
        }
    }
    let terms = format!("{}.{:02} usd/month", cents / 100, cents % 100);
    let stored = put_spend_limit(&request, &context, &name, Some(terms)).await?;
    Ok(HttpResponse::Ok().json(shown_spend_limit(&context, &stored.project).await?))
}

async fn delete_spend_limit(
    request: HttpRequest,
    name: Path<String>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    put_spend_limit(&request, &context, &name, None).await?;
    let deleted = json!({"object": "project.spend_limit.deleted", "deleted": true});
    Ok(HttpResponse::Ok().json(deleted))
}

/// Gives a project another spend limit, and leaves its other budgets alone.
async fn put_spend_limit(
    request: &HttpRequest,
    context: &Context,
    name: &str,
    terms: Option<String>,
) -> Result<StoredProject, ApiError> {
    let operator = enter(request, context, AdminScope::Keys)?;
    let roster = context.gateway.roster();
    if matches!(Found::of(context, &roster, name)?, Found::Default) {
        let message = "The default project has no limits. Make a project.";
        return Err(conflict("no_project", message));
    }
    let change = ProjectChange::SpendLimit(terms);
    changed(request, context, &operator, name, change, "projects.change").await
}

/// The text of the only field that may be there.
///
/// # Errors
/// 400 where it is not there, or something else is.
fn only_text(fields: &Map<String, Json>, wanted: &str) -> Result<String, ApiError> {
    if let Some(other) = fields.keys().find(|field| *field != wanted) {
        let message = format!("'{}' is not supported here.", other.escape_debug());
        return Err(invalid(other, &message));
    }
    let text = fields.get(wanted).and_then(Json::as_str);
    text.map(str::to_owned)
        .ok_or_else(|| invalid(wanted, &format!("A '{wanted}' is needed.")))
}
