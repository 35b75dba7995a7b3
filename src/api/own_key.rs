//! `GET /v1/key`: what a caller's own key is, what it may do, and what it has used.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::context::Context;
use super::error::ApiError;
use crate::access::ClientKey;
use crate::access::limits::{Left, Limiter};
use crate::access::purses::Purse;
use crate::budget::{Amount, Period, Unit};
use crate::store::ledger::{Ledger, Report, Span, Sums};
use crate::store::windows::{StoredWindow, WantedWindows};

/// The answer; OpenRouter's has its member too (source: openrouter.ai, "Get current API key").
#[derive(Debug, Serialize)]
struct OwnKey {
    data: Shown,
}

#[derive(Debug, Serialize)]
struct Shown {
    /// Its name; null where callers need no key of the gateway's.
    label: Option<String>,
    project: Option<String>,
    /// Null for all.
    scopes: Option<Vec<&'static str>>,
    expires_at: Option<String>,
    limits: Vec<ShownLimits>,
    budgets: Vec<ShownBudget>,
    /// Null where there is no ledger, or the store does not answer.
    usage: Option<ShownUsage>,
}

/// The limits of the key or of its project.
#[derive(Debug, Serialize)]
struct ShownLimits {
    owner: String,
    requests_per_minute: Option<ShownLeft>,
    tokens_per_minute: Option<ShownLeft>,
    concurrency: Option<u64>,
    running: u64,
}

#[derive(Debug, Serialize)]
struct ShownLeft {
    limit: u64,
    remaining: u64,
    reset_seconds: f64,
}

#[derive(Debug, Serialize)]
struct ShownBudget {
    owner: String,
    /// As the settings have it: `1000 units/day`.
    budget: String,
    unit: &'static str,
    limit: f64,
    /// Null while the store does not answer.
    used: Option<f64>,
    remaining: Option<f64>,
    resets_at: Option<String>,
    /// Whether it is only counted.
    soft: bool,
    premium_only: bool,
}

#[derive(Debug, Serialize)]
struct ShownUsage {
    today: ShownSums,
    month: ShownSums,
}

#[derive(Debug, Serialize)]
struct ShownSums {
    requests: i64,
    input_tokens: i64,
    output_tokens: i64,
    units: f64,
    usd: f64,
}

/// Shows the caller's key. Nothing is taken of its limits.
///
/// # Errors
/// 401 for a key that is missing or wrong.
pub async fn show(request: HttpRequest, context: Context) -> Result<HttpResponse, ApiError> {
    let caller = context.admit_any(&request)?;
    let data = match &caller.key {
        None => Shown::without_key(),
        Some(key) => Shown::of(key, &context).await,
    };
    Ok(HttpResponse::Ok().json(OwnKey { data }))
}

impl Shown {
    fn without_key() -> Self {
        Self {
            label: None,
            project: None,
            scopes: None,
            expires_at: None,
            limits: Vec::new(),
            budgets: Vec::new(),
            usage: None,
        }
    }

    async fn of(key: &Arc<ClientKey>, context: &Context) -> Self {
        let gateway = &context.gateway;
        let since = gateway.since.elapsed();
        let limits = key.limiters().iter();
        let scopes = key.scopes().map(|scopes| scopes.iter());
        Self {
            label: Some(key.id.to_string()),
            project: key.project().map(ToString::to_string),
            scopes: scopes.map(|scopes| scopes.map(|scope| scope.word()).collect()),
            expires_at: key.expires().map(seconds),
            limits: limits
                .map(|limiter| ShownLimits::of(limiter, since))
                .collect(),
            budgets: budgets(key, context).await,
            usage: usage(key, context).await,
        }
    }
}

impl ShownLimits {
    fn of(limiter: &Limiter, now: std::time::Duration) -> Self {
        let standing = limiter.standing(now);
        let left = |left: Left| ShownLeft {
            limit: left.limit,
            remaining: left.remaining,
            reset_seconds: left.reset.as_secs_f64(),
        };
        Self {
            owner: limiter.owner.label(),
            requests_per_minute: standing.requests.map(left),
            tokens_per_minute: standing.tokens.map(left),
            concurrency: standing.concurrency,
            running: standing.running,
        }
    }
}

/// What the store says of the budgets of a key and its project.
async fn budgets(key: &ClientKey, context: &Context) -> Vec<ShownBudget> {
    let now = context.gateway.purses().now();
    let mut shown: Vec<ShownBudget> = Vec::new();
    let mut known: Option<(Arc<str>, Option<Vec<StoredWindow>>)> = None;
    for purse in key.purses() {
        let owner = Arc::clone(&purse.id.owner);
        if known.as_ref().is_none_or(|(known, _)| *known != owner) {
            let windows = context.gateway.store();
            let windows = windows.windows(WantedWindows::of(owner.to_string()));
            known = Some((owner, windows.await.ok()));
        }
        let windows = known.as_ref().and_then(|(_, windows)| windows.as_deref());
        shown.push(ShownBudget::of(purse, now, windows));
    }
    shown
}

impl ShownBudget {
    fn of(purse: &Purse, now: Timestamp, windows: Option<&[StoredWindow]>) -> Self {
        let (terms, span) = (purse.terms(), purse.span(now));
        let start = span.start.as_millisecond();
        let used = windows.map(|windows| {
            let is_it =
                |window: &&StoredWindow| window.budget == *purse.id.budget && window.start == start;
            let window = windows.iter().find(is_it);
            Amount(window.map_or(0, |window| window.used.saturating_add(window.beyond)))
        });
        let number = |amount: Amount| terms.unit.to_f64(amount);
        Self {
            owner: purse.id.owner.to_string(),
            budget: terms.to_string(),
            unit: terms.unit.word(),
            limit: number(terms.limit),
            used: used.map(number),
            remaining: used.map(|used| number((terms.limit - used).or_zero())),
            resets_at: span.end.map(seconds),
            soft: terms.is_soft,
            premium_only: terms.only_premium,
        }
    }
}

/// What the ledger says of the key's day and month, of UTC's calendar.
async fn usage(key: &ClientKey, context: &Context) -> Option<ShownUsage> {
    if !context.gateway.calls().is_on() {
        return None;
    }
    let now = context.gateway.purses().now();
    let store = context.gateway.store();
    let (ledger, deadline) = (Ledger::new(store.clone()), store.deadline());
    let sums = async |period: Period| {
        let span = period.span(now, &TimeZone::UTC);
        let end = span.end.map_or(i64::MAX, Timestamp::as_millisecond);
        let report = Report {
            spans: vec![Span {
                start: span.start.as_millisecond(),
                end,
            }],
            keys: vec![key.id.to_string()],
            most: 1,
            ..Report::default()
        };
        let found = ledger.report(&report, deadline).await.ok()?;
        Some(found.first().map(|line| line.sums).unwrap_or_default())
    };
    Some(ShownUsage {
        today: ShownSums::of(&sums(Period::Day).await?),
        month: ShownSums::of(&sums(Period::Month).await?),
    })
}

impl ShownSums {
    fn of(sums: &Sums) -> Self {
        Self {
            requests: sums.requests,
            input_tokens: sums.tokens_in,
            output_tokens: sums.tokens_out,
            units: Unit::Units.to_f64(Amount(sums.units)),
            usd: Unit::Dollars.to_f64(Amount(sums.dollars)),
        }
    }
}

/// A time to the second.
fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
