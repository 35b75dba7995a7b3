//! Usage and costs out of the ledger, in the shapes of OpenAI's organisation API (source: its
//! reference, "Usage").

use std::collections::HashSet;

use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::door::enter;
use super::keys::invalid;
use super::query::Query;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::config::{AdminScope, DEFAULT_PROJECT};
use crate::store::ledger::{Dimension, Found, Ledger, Report, Source, Span};
use crate::translate::problem::ProblemKind;

/// The most lines of one answer.
const MOST_LINES: usize = 50_000;

/// How wide buckets are, and how many an answer has: if nothing is said, and at most.
#[derive(Clone, Copy, Debug)]
struct Width {
    seconds: i64,
    usual: i64,
    most: i64,
}

const MINUTE: Width = width(60, 60, 1440);
const HOUR: Width = width(60 * 60, 24, 168);
const DAY: Width = width(24 * 60 * 60, 7, 31);
/// Costs come by the day, and more of them at once.
const COSTS: Width = width(24 * 60 * 60, 7, 180);

const fn width(seconds: i64, usual: i64, most: i64) -> Width {
    Width {
        seconds,
        usual,
        most,
    }
}

/// What every report takes.
const REPORT: &[&str] = &[
    "start_time",
    "end_time",
    "bucket_width",
    "limit",
    "page",
    "group_by",
    "project_ids",
    "api_key_ids",
    "models",
];
/// What is taken besides of completions, and of other kinds.
const COMPLETIONS: &[&str] = &["user_ids", "batch"];
/// And of costs: their lines are models.
const COST_LINES: &str = "line_items";
const OTHERS: &[&str] = &[
    "user_ids",
    "sizes",
    "sources",
    "vector_store_ids",
    "context_levels",
];
/// The kinds of usage that OpenAI knows besides completions, of which there is none here.
const KINDS: &[&str] = &[
    "audio_speeches",
    "audio_transcriptions",
    "code_interpreter_sessions",
    "decisions",
    "embeddings",
    "file_search_calls",
    "images",
    "moderations",
    "vector_stores",
    "web_search_calls",
];

/// `GET /v1/organization/usage/{kind}`. All that is served counts as completions.
///
/// # Errors
/// Those of the door, 400 for parameters that cannot be, 404 for a kind that OpenAI does not know,
/// 503 where the store fails.
pub(super) async fn usage(
    request: HttpRequest,
    kind: Path<String>,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    enter(&request, &context, AdminScope::Read)?;
    let is_served = kind.as_str() == "completions";
    if !is_served && !KINDS.contains(&kind.as_str()) {
        let message = format!(
            "There is no usage of this kind. All that is served counts as completions; {} are empty.",
            KINDS.join(", ")
        );
        return Err(ApiError::refusal(
            ProblemKind::NotFound,
            "not_found",
            message,
        ));
    }
    let besides = match kind.as_str() {
        "completions" | "decisions" => COMPLETIONS,
        _ => OTHERS,
    };
    let query = Query::of(request.query_string(), &[REPORT, besides])?;
    let width = match query.one("bucket_width") {
        None | Some("1d") => DAY,
        Some("1h") => HOUR,
        Some("1m") => MINUTE,
        Some(_) => {
            return Err(invalid(
                "bucket_width",
                "Invalid 'bucket_width': 1m, 1h or 1d.",
            ));
        }
    };
    let mut buckets = Buckets::of(&query, width, context.gateway.purses().now())?;
    let is_batch = query.switch("batch")? == Some(true);
    // Nothing comes in batches, and keys have no users.
    if !is_served || is_batch || query.all("user_ids").next().is_some() {
        return Ok(HttpResponse::Ok().json(buckets.page(&[], shown_usage)));
    }
    let found = report(&context, &query, &mut buckets).await?;
    Ok(HttpResponse::Ok().json(buckets.page(&found, shown_usage)))
}

/// `GET /v1/organization/costs`.
///
/// # Errors
/// As [`usage`].
pub(super) async fn costs(
    request: HttpRequest,
    context: Context,
) -> Result<HttpResponse, ApiError> {
    enter(&request, &context, AdminScope::Read)?;
    let query = Query::of(request.query_string(), &[REPORT, &[COST_LINES]])?;
    if query.one("bucket_width").is_some_and(|width| width != "1d") {
        return Err(invalid(
            "bucket_width",
            "Invalid 'bucket_width': costs come by the day, 1d.",
        ));
    }
    let mut buckets = Buckets::of(&query, COSTS, context.gateway.purses().now())?;
    let found = report(&context, &query, &mut buckets).await?;
    Ok(HttpResponse::Ok().json(buckets.page(&found, shown_cost)))
}

async fn report(
    context: &Context,
    query: &Query,
    buckets: &mut Buckets,
) -> Result<Vec<Found>, ApiError> {
    let by = dimensions(query)?;
    let [keys, projects, models, lines] =
        ["api_key_ids", "project_ids", "models", COST_LINES].map(|filter| query.names(filter));
    let models = models
        .zip(lines)
        .and_then(|(one, other)| in_both(one, other));
    let (Some(keys), Some(projects), Some(models)) = (keys, projects, models) else {
        return Ok(Vec::new());
    };
    let in_ledger = |name: String| {
        if name == DEFAULT_PROJECT {
            String::new()
        } else {
            name
        }
    };
    let report = Report {
        spans: buckets.spans.clone(),
        by,
        keys,
        projects: projects.into_iter().map(in_ledger).collect(),
        models,
        // One more, to know whether there are any.
        most: i64::try_from(MOST_LINES.saturating_add(1)).unwrap_or(i64::MAX),
        skipped: 0,
        source: match buckets.width.seconds {
            60 => Source::Rows,
            _ => Source::Sums,
        },
    };
    let ledger = Ledger::new(context.gateway.store().clone());
    let found = ledger.report(&report, context.gateway.store().deadline());
    let mut found = found.await.map_err(|error| context.store_failed(&error))?;
    buckets.leave_out_what_is_too_much(&mut found)?;
    Ok(found)
}

/// What two filters of the same names leave; `None` where that is nothing. One that is empty leaves
/// everything.
fn in_both(one: Vec<String>, other: Vec<String>) -> Option<Vec<String>> {
    if one.is_empty() || other.is_empty() {
        return Some(if one.is_empty() { other } else { one });
    }
    let other: HashSet<String> = other.into_iter().collect();
    let both: Vec<String> = one
        .into_iter()
        .filter(|name| other.contains(name))
        .collect();
    (!both.is_empty()).then_some(both)
}

/// What a report tells apart.
///
/// # Errors
/// 400 for what it cannot.
fn dimensions(query: &Query) -> Result<Vec<Dimension>, ApiError> {
    let mut by = Vec::new();
    for name in query.all("group_by") {
        match name {
            "project_id" => by.push(Dimension::Project),
            "api_key_id" => by.push(Dimension::Key),
            "model" | "line_item" => by.push(Dimension::Model),
            // Nothing is told apart by these here.
            "user_id" | "batch" | "service_tier" | "api_source" => {}
            _ => {
                let message = "Invalid 'group_by': it takes project_id, api_key_id and model (or \
                               line_item), and user_id, batch, service_tier and api_source, which \
                               tell nothing apart here.";
                return Err(invalid("group_by", message));
            }
        }
    }
    Ok(by)
}

/// The spans of time that are asked for.
struct Buckets {
    width: Width,
    spans: Vec<Span>,
    /// Where the next page begins, in seconds since 1970.
    next: Option<i64>,
}

impl Buckets {
    /// # Errors
    /// 400 for times and numbers that cannot be.
    fn of(query: &Query, width: Width, now: Timestamp) -> Result<Self, ApiError> {
        let start = query
            .number("start_time")?
            .ok_or_else(|| invalid("start_time", "Missing 'start_time': seconds since 1970."))?;
        // The ledger goes by the store's clock too.
        let soon = now.as_second().saturating_add(1);
        let end = query.number("end_time")?.unwrap_or(soon);
        let limit = query.number("limit")?.unwrap_or(width.usual);
        if !(1..=width.most).contains(&limit) {
            let message = format!("Invalid 'limit': 1 to {}.", width.most);
            return Err(invalid("limit", &message));
        }
        let page = query.number("page")?;
        let first = page.unwrap_or(start).div_euclid(width.seconds);
        let last = end.saturating_sub(1).div_euclid(width.seconds);
        let starts = (0..limit).map(|at| first.saturating_add(at));
        let spans = starts
            .take_while(|bucket| *bucket <= last)
            .map(|bucket| Span {
                start: bucket.saturating_mul(width.seconds).saturating_mul(1000),
                end: bucket
                    .saturating_add(1)
                    .saturating_mul(width.seconds)
                    .saturating_mul(1000),
            });
        let spans: Vec<Span> = spans.collect();
        let next = first.saturating_add(limit);
        Ok(Self {
            width,
            spans,
            next: (next <= last).then(|| next.saturating_mul(width.seconds)),
        })
    }

    /// Where there are more lines than an answer has, it ends before the bucket that they reach into,
    /// and the next page begins with that.
    ///
    /// # Errors
    /// 400 where that is the first one.
    fn leave_out_what_is_too_much(&mut self, found: &mut Vec<Found>) -> Result<(), ApiError> {
        let Some(first) = found.get(MOST_LINES).map(|beyond| beyond.start) else {
            return Ok(());
        };
        found.retain(|one| one.start < first);
        self.spans.retain(|span| span.start < first);
        self.next = Some(first / 1000);
        if self.spans.is_empty() {
            let message = format!(
                "A bucket has more than {MOST_LINES} results. Group by less, ask for narrower \
                 buckets, or for some keys, projects or models alone."
            );
            return Err(invalid("group_by", &message));
        }
        Ok(())
    }

    /// The answer; buckets in which nothing was called are in it too.
    fn page(&self, found: &[Found], shown: fn(&Found) -> Json) -> Json {
        let mut rest = found;
        let buckets = self.spans.iter().map(|span| {
            let count = rest
                .iter()
                .take_while(|one| one.start == span.start)
                .count();
            let (own, others) = rest.split_at(count);
            rest = others;
            json!({
                "object": "bucket",
                "start_time": span.start / 1000,
                "end_time": span.end / 1000,
                "results": own.iter().map(shown).collect::<Vec<_>>(),
            })
        });
        json!({
            "object": "page",
            "data": buckets.collect::<Vec<_>>(),
            "has_more": self.next.is_some(),
            "next_page": self.next.map(|next| next.to_string()),
        })
    }
}

fn shown_usage(found: &Found) -> Json {
    let sums = &found.sums;
    json!({
        "object": "organization.usage.completions.result",
        "input_tokens": sums.tokens_in,
        "input_cached_tokens": sums.tokens_cached,
        "output_tokens": sums.tokens_out,
        "input_audio_tokens": 0,
        "output_audio_tokens": 0,
        "num_model_requests": sums.calls,
        "project_id": project_id(found),
        "user_id": null,
        "api_key_id": found.key,
        "model": found.model,
        "batch": null,
        "service_tier": null,
        "x_units": thousandths(sums.units),
        "x_estimated_requests": sums.estimated,
    })
}

fn shown_cost(found: &Found) -> Json {
    let sums = &found.sums;
    json!({
        "object": "organization.costs.result",
        "amount": {"value": billionths(sums.dollars), "currency": "usd"},
        "line_item": found.model,
        "project_id": project_id(found),
        "api_key_id": found.key,
        "quantity": thousandths(sums.units),
        "quantity_unit": "fal_units",
        "x_maybe": {"value": billionths(sums.maybe_dollars), "currency": "usd"},
    })
}

/// Requests without a project belong to the default one.
fn project_id(found: &Found) -> Option<&str> {
    let project = found.project.as_deref();
    project.map(|name| {
        if name.is_empty() {
            DEFAULT_PROJECT
        } else {
            name
        }
    })
}

#[expect(clippy::cast_precision_loss, reason = "a number to be shown")]
fn thousandths(amount: i64) -> f64 {
    amount as f64 / 1e3
}

#[expect(clippy::cast_precision_loss, reason = "a number to be shown")]
fn billionths(amount: i64) -> f64 {
    amount as f64 / 1e9
}
