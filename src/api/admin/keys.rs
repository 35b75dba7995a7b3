//! Keys: listed, made, changed, replaced and taken back.

use actix_web::web::{Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use jiff::SignedDuration;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value as Json};

use super::desk::{
    answer, called, condition, conflict, managed_by_file, named, only_fields, refuse,
    refuse_equal_budgets, unknown, warn, write,
};
use super::door::{Operator, enter};
use super::pages;
use super::query::Query;
use crate::access::filed::behind;
use crate::access::roster::{StoredKey, shown_file_key};
use crate::access::secret::{self, Secret};
use crate::accounts::keys::{self as tables, Edit};
use crate::api::catalogue;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::extract;
use crate::config::{AdminScope, Key, KeyHash};
use crate::translate::problem::{Problem, ProblemKind};

/// The longest time for that.
const LONGEST_GRACE_S: i64 = 366 * 24 * 60 * 60;

/// `GET /admin/v1/keys`.
///
/// # Errors
/// Those of the door, and 400 for a page that cannot be.
pub(super) async fn list(request: HttpRequest, context: Context) -> Result<HttpResponse, ApiError> {
    enter(&request, &context, AdminScope::Read)?;
    let query = Query::of(request.query_string(), &[pages::PAGE, &["project"]])?;
    let project = query.one("project");
    let wanted = pages::wanted(&query, 1000)?;
    let (roster, snapshot) = (context.gateway.roster(), &context.snapshot);
    let stored = roster.keys.range::<str, _>(behind(&wanted.after));
    let stored = stored.map(|(name, stored)| (name.as_str(), Listed::Stored(stored)));
    let filed = snapshot.filed.keys_after(&snapshot.config, &wanted.after);
    let filed = filed.map(|key| (key.name.as_str(), Listed::Filed(key)));
    let all = pages::merged(stored, filed);
    let all = all.filter(|(_, key)| project.is_none() || key.project() == project);
    Ok(HttpResponse::Ok().json(pages::page(all, &wanted, |key| key.shown())))
}

/// A key, wherever it stands.
enum Listed<'a> {
    Stored(&'a StoredKey),
    Filed(&'a Key),
}

impl Listed<'_> {
    fn project(&self) -> Option<&str> {
        match self {
            Self::Stored(stored) => stored.key.project.as_deref(),
            Self::Filed(key) => key.project.as_deref(),
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
    let (plain, secret) = drawn_or_brought(&mut fields)?;
    let same = || same_key(&context, &fields, &secret.hash);
    if let Some(same) = plain.is_none().then(same).flatten() {
        return Ok(answer(&same.shown(), same.revision));
    }
    let stored = add(&request, &context, &operator, fields, secret).await?;
    Ok(handed_over(&context, &stored, plain.as_ref()))
}

/// The secret that a key gets: a new one, or one of which the caller has brought the `hash`.
///
/// # Errors
/// 400 for a hash that is none.
fn drawn_or_brought(
    fields: &mut Map<String, Json>,
) -> Result<(Option<SecretString>, Secret), ApiError> {
    let Some(brought) = fields.remove("hash").filter(|hash| !hash.is_null()) else {
        let plain = secret::draw().ok_or_else(|| Problem::bug(false))?;
        let secret = Secret::of(plain.expose_secret());
        return Ok((Some(plain), secret));
    };
    let hash = brought.as_str().and_then(KeyHash::parse);
    let hash = hash.filter(|hash| hash.name().is_none()).ok_or_else(|| {
        let message = "Invalid 'hash': it takes `sha256:` and 64 hex digits.";
        invalid("hash", message)
    })?;
    Ok((None, Secret::of_hash(hash)))
}

/// A key with the secret that was drawn for it, if one was, and what of it deserves a second look.
fn handed_over(
    context: &Context,
    stored: &StoredKey,
    plain: Option<&SecretString>,
) -> HttpResponse {
    let mut shown = stored.shown();
    if let (Some(plain), Json::Object(fields)) = (plain, &mut shown) {
        fields.insert("secret".to_owned(), plain.expose_secret().into());
    }
    warn(
        &mut shown,
        &catalogue::warnings_of_key(&context.snapshot.config, stored),
    );
    answer(&shown, stored.revision)
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
    refuse_wrong(&fields, &secret.hash)?;
    let name = fields.get("name").and_then(Json::as_str);
    let (config, filed) = (&context.snapshot.config, &context.snapshot.filed);
    if let Some(sentence) = filed.refuses(config, name, Some(&secret.hash)) {
        return Err(conflict("managed_by_file", sentence));
    }
    let condition = condition(request, context, operator)?;
    let deed = operator.deed("keys.create", name.unwrap_or_default());
    write(context, deed, async move |transaction| {
        tables::add_key(transaction, fields, &secret, &condition).await
    })
    .await
}

/// Looks at the fields of a key, old or new, before anything is written, to name the one that is wrong.
///
/// # Errors
/// 400 for what cannot be.
fn refuse_wrong(fields: &Map<String, Json>, hash: &KeyHash) -> Result<(), ApiError> {
    let of_rotation = ["hash", "previous_hash", "previous_until"];
    let own = Key::FIELDS.iter().copied();
    let own: Vec<&str> = own.filter(|field| !of_rotation.contains(field)).collect();
    only_fields(fields, &own)?;
    let mut whole = fields.clone();
    whole.insert("hash".to_owned(), hash.to_string().into());
    let key = Key::of_json(called("key", fields), "", &whole);
    refuse_equal_budgets(&key.map_err(|problems| refuse(&problems))?.budgets)
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
    if fields.contains_key("name") {
        return Err(invalid("name", "A key keeps its 'name'."));
    }
    let mut whole = fields.clone();
    whole.insert("name".to_owned(), named("key", &name)?.into());
    refuse_wrong(&whole, &KeyHash::of(""))?;
    let edit = Edit::Fields(fields);
    let stored = edited(&request, &context, &operator, &name, edit).await?;
    Ok(handed_over(&context, &stored, None))
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
/// still. As with a new key, whoever brings its hash may repeat the request; the old secret then ends
/// by what is asked last, unless it ends sooner.
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
    let mut fields = extract::small_object(request.headers(), payload, &context).await?;
    only_fields(&fields, &["grace_seconds", "end_previous", "hash"])?;
    let grace = match fields.get("grace_seconds") {
        None | Some(Json::Null) => None,
        Some(given) => {
            let seconds = given.as_i64().filter(|s| (0..=LONGEST_GRACE_S).contains(s));
            let seconds = seconds.ok_or_else(|| {
                let message = "Invalid 'grace_seconds': it takes whole seconds, up to a year.";
                invalid("grace_seconds", message)
            })?;
            Some(SignedDuration::from_secs(seconds))
        }
    };
    let ends_previous = match fields.get("end_previous") {
        None | Some(Json::Null) => false,
        Some(Json::Bool(given)) => *given,
        Some(_) => {
            let message = "Invalid 'end_previous': it takes true or false.";
            return Err(invalid("end_previous", message));
        }
    };
    let (plain, secret) = drawn_or_brought(&mut fields)?;
    let (config, filed) = (&context.snapshot.config, &context.snapshot.filed);
    if let Some(sentence) = filed.refuses(config, None, Some(&secret.hash)) {
        return Err(conflict("managed_by_file", sentence));
    }
    let edit = Edit::Rotate {
        secret,
        grace,
        ends_previous,
    };
    let stored = edited(&request, &context, &operator, &name, edit).await?;
    Ok(handed_over(&context, &stored, plain.as_ref()))
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
