//! What the console's overview is told out of the ledger: the last days, and who spent what.

use actix_web::{HttpRequest, HttpResponse};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::door;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::budget::{Amount, Unit};
use crate::store::StoreError;
use crate::store::ledger::{Dimension, Found, Ledger, Report, Span, Sums};

/// How many days are shown, today included.
const DAYS: i64 = 30;
const DAY_MS: i64 = 86_400_000;
/// How many keys are shown; the table is for people.
const MOST_KEYS: usize = 100;
/// How many keys are read to find those that spent most.
const READ_KEYS: i64 = 10_000;

/// What calls came to, under a date or a key's name.
#[derive(Debug, Serialize)]
struct Line {
    name: String,
    requests: i64,
    calls: i64,
    failed: i64,
    prompt_tokens: i64,
    completion_tokens: i64,
    units: f64,
    dollars: f64,
}

/// The last days and the keys of these days, those first that spent most; `kept` says whether there is
/// a ledger, `known` whether the store has answered.
///
/// # Errors
/// 401 without a token where one is needed; 404 and 403 as for all data.
pub async fn usage(request: HttpRequest, context: Context) -> Result<HttpResponse, ApiError> {
    door::enter(&request, &context)?;
    if !context.gateway.calls().is_on() {
        return Ok(HttpResponse::Ok().json(json!({"kept": false})));
    }
    let today = context.gateway.purses().now().as_millisecond();
    let first = today.div_euclid(DAY_MS).saturating_sub(DAYS - 1);
    let days = (first..first.saturating_add(DAYS)).map(|day| Span {
        start: day.saturating_mul(DAY_MS),
        end: day.saturating_add(1).saturating_mul(DAY_MS),
    });
    let days: Vec<Span> = days.collect();
    let found = read(&context, &days).await;
    Ok(HttpResponse::Ok().json(match found {
        Ok((found, keys)) => {
            let days: Vec<Line> = days.iter().map(|day| of_day(*day, &found)).collect();
            json!({"kept": true, "known": true, "days": days, "keys": keys})
        }
        Err(_) => json!({"kept": true, "known": false}),
    }))
}

async fn read(context: &Context, days: &[Span]) -> Result<(Vec<Found>, Vec<Line>), StoreError> {
    let store = context.gateway.store();
    let (ledger, deadline) = (Ledger::new(store.clone()), store.deadline());
    let mut report = Report {
        spans: days.to_vec(),
        most: DAYS,
        ..Report::default()
    };
    let found = ledger.report(&report, deadline).await?;
    let ends = days.first().zip(days.last());
    report.spans = ends
        .map(|(first, last)| Span {
            start: first.start,
            end: last.end,
        })
        .into_iter()
        .collect();
    report.by = vec![Dimension::Key];
    report.most = READ_KEYS;
    let mut keys = ledger.report(&report, deadline).await?;
    keys.sort_by_key(|line| std::cmp::Reverse((line.sums.dollars, line.sums.calls)));
    keys.truncate(MOST_KEYS);
    let keys = keys
        .into_iter()
        .map(|line| Line::of(line.key.unwrap_or_default(), &line.sums));
    Ok((found, keys.collect()))
}

fn of_day(day: Span, found: &[Found]) -> Line {
    let name = Timestamp::from_millisecond(day.start).unwrap_or_default();
    let name = name.strftime("%Y-%m-%d").to_string();
    let line = found.iter().find(|line| line.start == day.start);
    Line::of(name, &line.map(|line| line.sums).unwrap_or_default())
}

impl Line {
    fn of(name: String, sums: &Sums) -> Self {
        Self {
            name,
            requests: sums.requests,
            calls: sums.calls,
            failed: sums.failed,
            prompt_tokens: sums.tokens_in,
            completion_tokens: sums.tokens_out,
            units: Unit::Units.to_f64(Amount(sums.units)),
            dollars: Unit::Dollars.to_f64(Amount(sums.dollars)),
        }
    }
}
