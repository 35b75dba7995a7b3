//! The keys of a project: as keys, and as the service accounts that they are.

use actix_web::web::{Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use secrecy::ExposeSecret;
use serde_json::{Map, Value as Json, json};

use super::{Found, MOST, leave_out_nulls, only_text};
use crate::access::Roster;
use crate::access::filed::behind;
use crate::access::roster::StoredKey;
use crate::access::secret::{self, Secret};
use crate::accounts::keys::Edit;
use crate::api::admin::desk::unknown;
use crate::api::admin::door::enter;
use crate::api::admin::keys::{add, edited, invalid};
use crate::api::admin::pages;
use crate::api::admin::query::Query;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::extract;
use crate::api::snapshot::Snapshot;
use crate::config::{AdminScope, DEFAULT_PROJECT, Key};
use crate::translate::problem::Problem;

/// A key of a project: those of the file have neither a time nor letters that may be shown.
struct Listed<'a> {
    key: &'a Key,
    created_at: i64,
    hint: &'a str,
}

impl<'a> Listed<'a> {
    fn filed(key: &'a Key) -> Self {
        Self {
            key,
            created_at: 0,
            hint: "",
        }
    }

    fn stored(stored: &'a StoredKey) -> Self {
        Self {
            key: &stored.key,
            created_at: stored.created_at / 1000,
            hint: &stored.hint,
        }
    }

    fn belongs_to(&self, project: &str) -> bool {
        self.key.project.as_deref().unwrap_or(DEFAULT_PROJECT) == project
    }

    /// The keys of a project that were not taken back, those whose names come after this one, in
    /// their order.
    fn all_after(
        snapshot: &'a Snapshot,
        roster: &'a Roster,
        project: &'a str,
        after: &'a str,
    ) -> impl Iterator<Item = (&'a str, Self)> {
        let (config, filed) = (&snapshot.config, &snapshot.filed);
        let stored = roster.keys.range::<str, _>(behind(after));
        let stored = stored.filter(|(_, stored)| is_served(snapshot, stored));
        let stored = stored.map(|(_, stored)| Self::stored(stored));
        let of_file = filed.keys_after(config, after).map(Self::filed);
        let named = |listed: Self| (listed.key.name.as_str(), listed);
        let all = pages::merged(stored.map(named), of_file.map(named));
        all.filter(move |(_, listed)| listed.belongs_to(project))
    }

    /// One of them.
    ///
    /// # Errors
    /// 404 where it is not there.
    fn one(
        snapshot: &'a Snapshot,
        roster: &'a Roster,
        project: &str,
        name: &str,
    ) -> Result<Self, ApiError> {
        let filed = snapshot.filed.key(&snapshot.config, name);
        let stored = || {
            let stored = roster.keys.get(name);
            stored.filter(|stored| is_served(snapshot, stored))
        };
        let found = filed
            .map(Self::filed)
            .or_else(|| stored().map(|stored| Self::stored(stored)));
        let found = found.filter(|listed| listed.belongs_to(project));
        found.ok_or_else(|| unknown("key"))
    }

    /// Whether it opens anything, as OpenAI says it.
    fn access(&self) -> &'static str {
        match self.key.disabled {
            true => "inactive",
            false => "active",
        }
    }

    fn as_api_key(&self) -> Json {
        let name = &self.key.name;
        json!({
            "object": "organization.project.api_key",
            "id": name,
            "name": name,
            "redacted_value": format!("sk-fg-***{}", self.hint),
            "created_at": self.created_at,
            "last_used_at": null,
            "owner": {"type": "service_account", "service_account": self.as_account()},
            "owner_project_access": self.access(),
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

/// Whether a key of the store may open something: it was not taken back, and the file has nothing
/// like it.
fn is_served(snapshot: &Snapshot, stored: &StoredKey) -> bool {
    let (config, filed) = (&snapshot.config, &snapshot.filed);
    stored.revoked_at.is_none() && filed.contradicts(config, &stored.key).is_none()
}

/// Which keys of a project are listed, by what they open.
const ACCESS: &str = "owner_project_access";

/// Lists them, with these parameters besides those of every list.
fn list_keys(
    request: &HttpRequest,
    context: &Context,
    project: &str,
    known: &[&str],
    shown: fn(&Listed<'_>) -> Json,
) -> Result<HttpResponse, ApiError> {
    enter(request, context, AdminScope::Read)?;
    let query = Query::of(request.query_string(), &[pages::PAGE, known])?;
    let access = query.one(ACCESS).filter(|access| *access != "any");
    if access.is_some_and(|access| !["active", "inactive"].contains(&access)) {
        let message = format!("Invalid '{ACCESS}': it takes active, inactive or any.");
        return Err(invalid(ACCESS, &message));
    }
    let wanted = pages::wanted(&query, MOST)?;
    let roster = context.gateway.roster();
    Found::of(context, &roster, project)?;
    let keys = Listed::all_after(&context.snapshot, &roster, project, &wanted.after);
    let keys = keys.filter(|(_, listed)| access.is_none_or(|access| access == listed.access()));
    Ok(HttpResponse::Ok().json(pages::page(keys, &wanted, |listed| shown(&listed))))
}

fn show_key(
    request: &HttpRequest,
    context: &Context,
    (project, name): &(String, String),
    shown: fn(&Listed<'_>) -> Json,
) -> Result<HttpResponse, ApiError> {
    enter(request, context, AdminScope::Read)?;
    let roster = context.gateway.roster();
    let listed = Listed::one(&context.snapshot, &roster, project, name)?;
    Ok(HttpResponse::Ok().json(shown(&listed)))
}

async fn delete_key(
    request: &HttpRequest,
    context: &Context,
    (project, name): &(String, String),
    object: &str,
) -> Result<HttpResponse, ApiError> {
    let operator = enter(request, context, AdminScope::Keys)?;
    Listed::one(&context.snapshot, &context.gateway.roster(), project, name)?;
    edited(request, context, &operator, name, Edit::Revoke).await?;
    Ok(HttpResponse::Ok().json(json!({"object": object, "id": name, "deleted": true})))
}

pub(super) async fn api_keys(
    request: HttpRequest,
    project: Path<String>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    list_keys(&request, &context, &project, &[ACCESS], |listed| {
        listed.as_api_key()
    })
}

pub(super) async fn api_key(
    request: HttpRequest,
    place: Path<(String, String)>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    show_key(&request, &context, &place, |listed| listed.as_api_key())
}

pub(super) async fn delete_api_key(
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

pub(super) async fn service_accounts(
    request: HttpRequest,
    project: Path<String>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    list_keys(&request, &context, &project, &[], |listed| {
        listed.as_account()
    })
}

pub(super) async fn service_account(
    request: HttpRequest,
    place: Path<(String, String)>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    show_key(&request, &context, &place, |listed| listed.as_account())
}

pub(super) async fn delete_service_account(
    request: HttpRequest,
    place: Path<(String, String)>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let object = "organization.project.service_account.deleted";
    delete_key(&request, &context, &place, object).await
}

/// A service account comes with its key, whose secret is in this answer and in no other.
pub(super) async fn create_service_account(
    request: HttpRequest,
    project: Path<String>,
    payload: Payload,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let operator = enter(&request, &context, AdminScope::Keys)?;
    let mut given = extract::small_object(request.headers(), payload, &context).await?;
    let optional = ["create_service_account_only", "expires_in_seconds"];
    leave_out_nulls(&mut given, &optional);
    let name = only_text(&given, "name")?;
    let belongs = Found::of(&context, &context.gateway.roster(), &project)?
        .project()
        .is_some();
    let mut fields = Map::new();
    fields.insert("name".to_owned(), name.into());
    if belongs {
        fields.insert("project".to_owned(), project.as_str().into());
    }
    let plain = secret::draw().ok_or_else(|| Problem::bug(false))?;
    let secret = Secret::of(plain.expose_secret());
    let stored = add(&request, &context, &operator, fields, secret).await?;
    let listed = Listed::stored(&stored);
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
