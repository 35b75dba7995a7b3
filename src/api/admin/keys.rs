//! Keys: listed, made, changed, replaced and taken back.

use actix_web::web::{Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use jiff::SignedDuration;
use secrecy::ExposeSecret;
use serde_json::{Map, Value as Json, json};

use super::desk::{answer, condition, conflict, managed_by_file, named, unknown, write};
use super::door::{Operator, enter};
use super::pages;
use crate::access::filed::behind;
use crate::access::roster::{StoredKey, shown_file_key};
use crate::access::secret::{self, Secret};
use crate::accounts::keys::{self as tables, Edit};
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::extract;
use crate::config::{AdminScope, Key, KeyHash};
use crate::translate::problem::{Problem, ProblemKind};

/// How long the old secret of a key is taken where nothing is said.
const USUAL_GRACE_S: i64 = 24 * 60 * 60;
/// The longest time for that.
const LONGEST_GRACE_S: i64 = 366 * 24 * 60 * 60;

/// `GET /admin/v1/keys`.
///
/// # Errors
/// Those of the door, and 400 for a page that cannot be.
pub(super) async fn list(request: HttpRequest, context: Context) -> Result<HttpResponse, ApiError> {
    enter(&request, &context, AdminScope::Read)?;
    let query = request.query_string();
    let project = pages::parameter(query, "project");
    let wanted = pages::wanted(query, 1000)?;
    let (roster, snapshot) = (context.gateway.roster(), &context.snapshot);
    let stored = roster.keys.range::<str, _>(behind(&wanted.after));
    let stored = stored.map(|(name, stored)| (name.as_str(), Listed::Stored(stored)));
    let filed = snapshot.filed.keys_after(&snapshot.config, &wanted.after);
    let filed = filed.map(|key| (key.name.as_str(), Listed::Filed(key)));
    let all = pages::merged(stored, filed);
    let all = all.filter(|(_, key)| project.is_none() || key.project() == project.as_ref());
    Ok(HttpResponse::Ok().json(pages::page(all, &wanted, |key| key.shown())))
}

/// A key, wherever it stands.
enum Listed<'a> {
    Stored(&'a StoredKey),
    Filed(&'a Key),
}

impl Listed<'_> {
    fn project(&self) -> Option<&String> {
        match self {
            Self::Stored(stored) => stored.key.project.as_ref(),
            Self::Filed(key) => key.project.as_ref(),
        }
    }

    fn shown(&self) -> Json {
        match self {
            Self::Stored(stored) => stored.shown(),
            Self::Filed(key) => shown_file_key(key),
        }
    }
}

/// `GET /admin/v1/keys/{name}`.
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
    if let Some(key) = snapshot.filed.key(&snapshot.config, &name) {
        return Ok(HttpResponse::Ok().json(shown_file_key(key)));
    }
    let roster = context.gateway.roster();
    let stored = roster
        .keys
        .get(name.as_str())
        .ok_or_else(|| unknown("key"))?;
    Ok(answer(&stored.shown(), stored.revision))
}

/// `POST /admin/v1/keys`. Whoever brings a hash instead of being given a secret may repeat the
/// request: the key that is there already is the answer then.
///
/// # Errors
/// Those of the door; 400 for what cannot be, 409 for what is taken, 503 where the store fails.
pub(super) async fn create(
    request: HttpRequest,
    payload: Payload,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let operator = enter(&request, &context, AdminScope::Keys)?;
    let mut fields = extract::small_object(request.headers(), payload, &context).await?;
    let brought = fields.remove("hash");
    let (plain, secret) = match brought
        .as_ref()
        .map(|hash| hash.as_str().unwrap_or_default())
    {
        None => {
            let plain = secret::draw().ok_or_else(|| Problem::bug(false))?;
            let secret = Secret::of(plain.expose_secret());
            (Some(plain), secret)
        }
        Some(hash) => {
            let hash = KeyHash::parse(hash).filter(|hash| hash.name().is_none());
            let hash = hash.ok_or_else(|| {
                invalid(
                    "hash",
                    "Invalid 'hash': it takes `sha256:` and 64 hex digits.",
                )
            })?;
            if let Some(same) = same_key(&context, &fields, &hash) {
                return Ok(answer(&same.shown(), same.revision));
            }
            (None, Secret::of_hash(hash))
        }
    };
    let stored = add(&request, &context, &operator, fields, secret).await?;
    let mut shown = stored.shown();
    if let (Some(plain), Json::Object(fields)) = (plain, &mut shown) {
        fields.insert("secret".to_owned(), plain.expose_secret().into());
    }
    Ok(answer(&shown, stored.revision))
}

/// Adds a key to the store, unless the file has one like it.
///
/// # Errors
/// As [`create`].
pub(super) async fn add(
    request: &HttpRequest,
    context: &Context,
    operator: &Operator,
    fields: Map<String, Json>,
    secret: Secret,
) -> Result<StoredKey, ApiError> {
    let mut whole = fields.clone();
    whole.insert("hash".to_owned(), secret.hash.to_string().into());
    let key = Key::of_json("the key".to_owned(), "", &whole);
    let (config, filed) = (&context.snapshot.config, &context.snapshot.filed);
    if let Some(sentence) = key.ok().and_then(|key| filed.contradicts(config, &key)) {
        return Err(conflict("managed_by_file", sentence));
    }
    let condition = condition(request, context, operator)?;
    let name = fields.get("name").and_then(Json::as_str);
    let deed = operator.deed("keys.create", name.unwrap_or_default());
    write(context, deed, async move |transaction| {
        tables::add_key(transaction, fields, &secret, &condition).await
    })
    .await
}

/// The key of this name, if it has this hash and was not taken back.
fn same_key(
    context: &Context,
    fields: &Map<String, Json>,
    hash: &KeyHash,
) -> Option<std::sync::Arc<StoredKey>> {
    let name = fields.get("name")?.as_str()?;
    let roster = context.gateway.roster();
    let stored = roster.keys.get(name)?;
    let is_same = stored.key.hash.sha256() == hash.sha256() && stored.revoked_at.is_none();
    is_same.then(|| stored.clone())
}

/// `PATCH /admin/v1/keys/{name}`: the fields that are named get other values, or with null the
/// values that they have if nothing is said.
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
    for fixed in ["name", "hash", "previous_hash", "previous_until"] {
        if fields.contains_key(fixed) {
            let message = format!("'{fixed}' does not change so. A new secret comes with /rotate.");
            return Err(invalid(fixed, &message));
        }
    }
    let edit = Edit::Fields(fields);
    let stored = edited(&request, &context, &operator, &name, edit).await?;
    Ok(answer(&stored.shown(), stored.revision))
}

/// `DELETE /admin/v1/keys/{name}`: takes a key back for good.
///
/// # Errors
/// As [`change`].
pub(super) async fn revoke(
    request: HttpRequest,
    name: Path<String>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let operator = enter(&request, &context, AdminScope::Keys)?;
    let edit = Edit::Revoke;
    let stored = edited(&request, &context, &operator, &name, edit).await?;
    Ok(answer(&stored.shown(), stored.revision))
}

/// `POST /admin/v1/keys/{name}/rotate`: another secret, while the old one is taken for some seconds
/// still.
///
/// # Errors
/// As [`change`]; 409 where that would end the secret from before an earlier rotation, unless
/// `grace_seconds` is 0 or `end_previous` true.
pub(super) async fn rotate(
    request: HttpRequest,
    name: Path<String>,
    payload: Payload,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let operator = enter(&request, &context, AdminScope::Keys)?;
    let fields = extract::small_object(request.headers(), payload, &context).await?;
    let grace = match fields.get("grace_seconds") {
        None | Some(Json::Null) => Some(USUAL_GRACE_S),
        Some(given) => given.as_i64().filter(|s| (0..=LONGEST_GRACE_S).contains(s)),
    };
    let grace = grace.ok_or_else(|| {
        let message = "Invalid 'grace_seconds': it takes whole seconds, up to a year.";
        invalid("grace_seconds", message)
    })?;
    let ends_previous = match fields.get("end_previous") {
        None | Some(Json::Null) => false,
        Some(Json::Bool(given)) => *given,
        Some(_) => {
            let message = "Invalid 'end_previous': it takes true or false.";
            return Err(invalid("end_previous", message));
        }
    };
    let plain = secret::draw().ok_or_else(|| Problem::bug(false))?;
    let edit = Edit::Rotate {
        secret: Secret::of(plain.expose_secret()),
        grace: SignedDuration::from_secs(grace),
        ends_previous,
    };
    let stored = edited(&request, &context, &operator, &name, edit).await?;
    let mut shown = stored.shown();
    if let Json::Object(fields) = &mut shown {
        fields.insert("secret".to_owned(), json!(plain.expose_secret()));
    }
    Ok(answer(&shown, stored.revision))
}

/// Does something to a key of the store, and says so in the log.
///
/// # Errors
/// As [`change`].
pub(super) async fn edited(
    request: &HttpRequest,
    context: &Context,
    operator: &Operator,
    name: &str,
    edit: Edit,
) -> Result<StoredKey, ApiError> {
    let name = named("key", name)?.to_owned();
    let (config, filed) = (&context.snapshot.config, &context.snapshot.filed);
    if let Some(place) = filed.place_of_key(config, &name) {
        return Err(managed_by_file("key", &name, place));
    }
    let condition = condition(request, context, operator)?;
    let deed = operator.deed(edit.action(), &name);
    write(context, deed, async move |transaction| {
        tables::edit_key(transaction, &name, edit, &condition).await
    })
    .await
}

pub(super) fn invalid(parameter: &str, message: &str) -> ApiError {
    let problem = Problem::new(ProblemKind::Invalid, "invalid_value", message);
    problem.about(parameter).into()
}
