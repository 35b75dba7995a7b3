//! What operators look at, and the order to read settings again.

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value as Json, json};

use super::desk::{condition, conflict, only_fields, write};
use super::door::enter;
use super::keys::invalid;
use super::pages;
use super::query::Query;
use crate::accounts::books::Adjustment;
use crate::accounts::{books, keys, presence};
use crate::api::catalogue;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::extract;
use crate::budget::{Amount, Unit};
use crate::config::AdminScope;
use crate::store::windows::WantedWindows;

/// How many contradictions between the file and the store are told.
const MOST_WARNINGS: usize = 1000;

/// `GET /admin/v1/budgets`: what is used of each budget in the window that holds, in whole units.
///
/// # Errors
/// Those of the door, 400 for a page that cannot be, 503 where the store fails.
pub(super) async fn budgets(
    request: HttpRequest,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    const MOST: usize = 1000;
    enter(&request, &context, AdminScope::Read)?;
    let query = Query::of(request.query_string(), &[pages::PAGE, &["owner"]])?;
    let page = pages::wanted(&query, MOST)?;
    let owner = query.one("owner").filter(|owner| !owner.is_empty());
    let wanted = WantedWindows {
        owner: owner.map(str::to_owned),
        after: books::place(&page.after),
        // One more, to know whether there are any.
        most: page.limit.saturating_add(1),
    };
    let windows = context.gateway.store().windows(wanted).await;
    let windows = windows.map_err(|error| context.store_failed(&error))?;
    let items = windows.iter().map(|window| (books::id(window), window));
    Ok(HttpResponse::Ok().json(pages::page(items, &page, books::shown)))
}

/// `POST /admin/v1/budgets/adjust`: counts more or less as used of a budget, in the window that holds.
///
/// # Errors
/// Those of the door; 400 for what cannot be, 404 for a budget that is not there, 503 where the store
/// fails.
pub(super) async fn adjust(
    request: HttpRequest,
    payload: Payload,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let operator = enter(&request, &context, AdminScope::Keys)?;
    let mut fields = extract::small_object(request.headers(), payload, &context).await?;
    only_fields(&fields, &["owner", "budget", "amount", "note"])?;
    let mut text = |name: &str| match fields.remove(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(Json::Number(number)) if name == "amount" => Ok(Some(number.to_string())),
        Some(_) => Err(invalid(
            name,
            &format!("Invalid '{name}': it takes a text."),
        )),
    };
    let needed = |name: &str, value: Option<String>| {
        let missing = || invalid(name, &format!("Missing '{name}'."));
        value.ok_or_else(missing)
    };
    let adjustment = Adjustment {
        owner: needed("owner", text("owner")?)?,
        budget: text("budget")?,
        amount: needed("amount", text("amount")?)?,
        note: text("note")?.unwrap_or_default(),
    };
    let means = |unit: Unit| unit.parse_signed(&adjustment.amount);
    if Unit::ALL.into_iter().filter_map(means).all(Amount::is_zero) {
        let message = "Invalid 'amount': how much more counts as used, `+100`, or less, `-100`.";
        return Err(invalid("amount", message));
    }
    if adjustment.note.len() > books::MOST_NOTE {
        let message = format!(
            "Invalid 'note': it has more than {} bytes.",
            books::MOST_NOTE
        );
        return Err(invalid("note", &message));
    }
    let condition = condition(&request, &context, &operator)?;
    let deed = operator.deed(books::ADJUST, &adjustment.owner);
    let adjusted = write(&context, deed, async move |transaction| {
        books::adjust(transaction, &adjustment, &condition).await
    });
    let adjusted = adjusted.await?;
    Ok(HttpResponse::Ok().json(books::shown(&adjusted.window)))
}

/// `GET /admin/v1/audit`: what was changed in keys and projects, the newest first.
///
/// # Errors
/// Those of the door, 400 for a page that cannot be, 503 where the store fails.
pub(super) async fn audit(
    request: HttpRequest,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    const MOST: usize = 1000;
    enter(&request, &context, AdminScope::Read)?;
    let query = Query::of(request.query_string(), &[pages::PAGE, &["object"]])?;
    let page = pages::wanted(&query, MOST)?;
    let object = query.one("object").unwrap_or_default().to_owned();
    let before = match page.after.as_str() {
        "" => i64::MAX,
        number => number.parse().map_err(|_| {
            invalid(
                "after",
                "Invalid 'after': it takes the `last_id` of a page.",
            )
        })?,
    };
    // One more, to know whether there are any.
    let most = i64::try_from(page.limit.saturating_add(1)).unwrap_or(i64::MAX);
    let store = context.gateway.store();
    let changes = store.read(store.deadline(), async move |transaction| {
        keys::changes(transaction, &object, before, most).await
    });
    let changes = changes
        .await
        .map_err(|error| context.store_failed(&error))?;
    let items = changes.iter().map(|one| (one.number.to_string(), one));
    Ok(HttpResponse::Ok().json(pages::page(items, &page, keys::Change::shown)))
}

/// `GET /admin/v1/replicas`: the gateways on the store.
///
/// # Errors
/// Those of the door, and 503 where the store fails.
pub(super) async fn replicas(
    request: HttpRequest,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    enter(&request, &context, AdminScope::Read)?;
    Query::of(request.query_string(), &[])?;
    let store = context.gateway.store();
    let present = store.read(store.deadline(), async |transaction| {
        presence::present(transaction).await
    });
    let present = present
        .await
        .map_err(|error| context.store_failed(&error))?;
    let own = &*context.gateway.id;
    let shown = present.iter().map(|gateway| {
        let state: Json = serde_json::from_str(&gateway.state).unwrap_or_default();
        json!({
            "id": gateway.id,
            "is_this": gateway.id == own,
            "version": gateway.program,
            "heard_ms_ago": gateway.silent_ms,
            "state": state,
        })
    });
    let data: Vec<Json> = shown.collect();
    Ok(HttpResponse::Ok().json(json!({"object": "list", "has_more": false, "data": data})))
}

/// `GET /admin/v1/settings`: which settings hold, where each comes from, and what deserves a second
/// look. Secrets are masked.
///
/// # Errors
/// Those of the door.
pub(super) async fn settings(
    request: HttpRequest,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    enter(&request, &context, AdminScope::Read)?;
    let snapshot = &context.snapshot;
    let rows = snapshot.config.effective.iter();
    let rows = rows.map(|row| json!({"key": row.key, "value": row.shown, "origin": row.origin}));
    let mut warnings = catalogue::warnings(&snapshot.config);
    warnings.extend(context.gateway.differing());
    let roster = context.gateway.roster();
    let contradictions = roster.contradictions(&snapshot.config, &snapshot.filed);
    warnings.extend(contradictions.into_iter().take(MOST_WARNINGS));
    let idle = catalogue::warnings_of_store(&snapshot.config, &roster);
    warnings.extend(idle.into_iter().take(MOST_WARNINGS));
    Ok(HttpResponse::Ok().json(json!({
        "version": snapshot.version,
        "keys_revision": context.gateway.roster_revision(),
        "settings": rows.collect::<Vec<_>>(),
        "warnings": warnings,
    })))
}

/// `POST /admin/v1/reload`: reads the settings again, all of them or none.
///
/// # Errors
/// Those of the door; 409 with what is wrong where the old ones hold.
pub(super) async fn reload(
    request: HttpRequest,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    let operator = enter(&request, &context, AdminScope::Reload)?;
    let operator = operator.name.as_str();
    match context.gateway.reload().await {
        None => Err(conflict(
            "no_settings",
            "There are no settings here that could be read again.",
        )),
        Some(Err(problems)) => {
            tracing::warn!(operator, action = "reload", "administered, in vain");
            let message = format!("The settings are not taken up, the old ones hold. {problems}");
            Err(conflict("settings_refused", message))
        }
        Some(Ok((version, needs_restart))) => {
            tracing::info!(operator, action = "reload", version, "administered");
            Ok(HttpResponse::Ok().json(json!({
                "version": version,
                "needs_restart": needs_restart,
            })))
        }
    }
}
