//! What a project may do in a minute, and spend in a month.

use actix_web::web::{Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Map, Value as Json, json};

use super::{Found, MOST, leave_out_nulls};
use crate::access::roster::StoredProject;
use crate::accounts::keys::{ProjectChange, is_spend_limit};
use crate::api::admin::desk::only_fields;
use crate::api::admin::desk::{conflict, unknown};
use crate::api::admin::door::enter;
use crate::api::admin::keys::invalid;
use crate::api::admin::pages;
use crate::api::admin::projects::changed;
use crate::api::admin::query::Query;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::extract;
use crate::config::{AdminScope, Project};
use crate::store::windows::WantedWindows;

/// A project has one set of limits, for all models.
const ALL_MODELS: &str = "rl-all";

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

pub(super) async fn rate_limits(
    request: HttpRequest,
    name: Path<String>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    enter(&request, &context, AdminScope::Read)?;
    let roster = context.gateway.roster();
    let found = Found::of(&context, &roster, &name)?;
    let limits = found.project().map(shown_limits);
    let query = Query::of(request.query_string(), &[pages::PAGE, &["before"]])?;
    let wanted = pages::wanted(&query, MOST)?;
    let is_before = query.one("before").is_none_or(|before| ALL_MODELS < before);
    let items = limits.filter(|_| is_before && wanted.after.as_str() < ALL_MODELS);
    let items = items.map(|limits| (ALL_MODELS, limits));
    Ok(HttpResponse::Ok().json(pages::page(items, &wanted, |limits| limits)))
}

pub(super) async fn change_rate_limit(
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
    let mut given = extract::small_object(request.headers(), payload, &context).await?;
    leave_out_nulls(&mut given, OTHERS);
    only_fields(&given, &OWN.map(|(theirs, _)| theirs))?;
    let mut fields = Map::new();
    for (field, value) in given {
        let own = OWN.iter().find(|(theirs, _)| *theirs == field);
        if let Some((_, own)) = own {
            fields.insert((*own).to_owned(), value);
        }
    }
    refuse_no_limits(&fields)?;
    let change = ProjectChange::Fields(fields);
    let stored = changed(&request, &context, &operator, &name, change).await?;
    Ok(HttpResponse::Ok().json(shown_limits(&stored.project)))
}

/// OpenAI's names for limits, and those of a project's fields.
const OWN: [(&str, &str); 2] = [
    ("max_requests_per_1_minute", "requests_per_minute"),
    ("max_tokens_per_1_minute", "tokens_per_minute"),
];

/// Limits of OpenAI's that there are none of here.
const OTHERS: &[&str] = &[
    "batch_1_day_max_input_tokens",
    "max_audio_megabytes_per_1_minute",
    "max_images_per_1_minute",
    "max_requests_per_1_day",
];

/// Looks at limits before they are written, to speak of them by OpenAI's names.
///
/// # Errors
/// 400 for what no limit can be.
fn refuse_no_limits(fields: &Map<String, Json>) -> Result<(), ApiError> {
    let mut whole = fields.clone();
    whole.insert("name".to_owned(), ALL_MODELS.into());
    let Err(problems) = Project::of_json("the limits".to_owned(), "", &whole) else {
        return Ok(());
    };
    for problem in problems.iter() {
        let field = problem.field.as_deref().unwrap_or_default();
        let theirs = OWN.iter().find(|(_, own)| *own == field);
        if let Some((theirs, own)) = theirs {
            return Err(invalid(theirs, &problem.sentence.replacen(own, theirs, 1)));
        }
    }
    Ok(())
}

async fn shown_spend_limit(context: &Context, project: &Project) -> Result<Json, ApiError> {
    let terms = project.budgets.iter().find(|terms| is_spend_limit(terms));
    let terms = terms.ok_or_else(|| unknown("spend limit"))?;
    let wanted = WantedWindows::of(format!("project/{}", project.name));
    let windows = context.gateway.store().windows(wanted).await;
    let windows = windows.map_err(|error| context.store_failed(&error))?;
    let name = terms.name();
    let is_spent = windows
        .iter()
        .any(|window| window.budget == name && window.used >= window.limit);
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

pub(super) async fn spend_limit(
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

pub(super) async fn set_spend_limit(
    request: HttpRequest,
    name: Path<String>,
    payload: Payload,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    enter(&request, &context, AdminScope::Keys)?;
    let mut given = extract::small_object(request.headers(), payload, &context).await?;
    leave_out_nulls(&mut given, &["currency", "interval"]);
    let cents = cents(&given)?;
    let terms = format!("{}.{:02} usd/month", cents / 100, cents % 100);
    let stored = put_spend_limit(&request, &context, &name, Some(terms)).await?;
    Ok(HttpResponse::Ok().json(shown_spend_limit(&context, &stored.project).await?))
}

/// The spend limit that is asked for.
///
/// # Errors
/// 400 for what is none.
fn cents(given: &Map<String, Json>) -> Result<u64, ApiError> {
    // As many dollars as the largest limit of a budget.
    const MOST: u64 = 100_000_000_000;
    only_fields(given, &["threshold_amount", "currency", "interval"])?;
    for (field, only) in [("currency", "USD"), ("interval", "month")] {
        if given.get(field).is_some_and(|value| value != only) {
            let message = format!("Invalid '{field}': only {only} is there.");
            return Err(invalid(field, &message));
        }
    }
    let cents = given.get("threshold_amount").and_then(Json::as_u64);
    cents
        .filter(|cents| (1..=MOST).contains(cents))
        .ok_or_else(|| {
            let message = format!("Invalid 'threshold_amount': whole cents, 1 to {MOST}.");
            invalid("threshold_amount", &message)
        })
}

pub(super) async fn delete_spend_limit(
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
    if matches!(
        Found::of(context, &context.gateway.roster(), name)?,
        Found::Default
    ) {
        let message = "The default project has no limits. Make a project.";
        return Err(conflict("no_project", message));
    }
    let change = ProjectChange::SpendLimit(terms);
    changed(request, context, &operator, name, change).await
}
