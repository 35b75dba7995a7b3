//! The budgets of keys and projects: asked before anything is sent, and told in headers.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest};
use jiff::Timestamp;

use super::auth::Caller;
use super::context::Context;
use super::error::ApiError;
use crate::access::purses::{Allowance, Level, Overdrawn};
use crate::engine::{Order, price};
use crate::translate::plan::Plan;
use crate::translate::problem::{Problem, ProblemKind, Source};

/// What the head of an answer says of budgets.
#[derive(Clone, Debug)]
struct Told {
    /// The tightest of them.
    level: Option<Box<Level>>,
    /// The one that is met.
    refused: Option<String>,
}

/// Takes what a request may cost at most from the budgets of its key and its project; `None` where
/// there are none. What it does not cost is there again once it is over.
///
/// # Errors
/// 429 `insufficient_quota` where too little is left, and 503 where nobody can tell at the moment.
pub async fn take(
    request: &HttpRequest,
    context: &Context,
    caller: &Caller,
    order: &Order<'_, '_>,
    plan: &Plan<'_>,
) -> Result<Option<Allowance>, ApiError> {
    let purses = caller.key.as_ref().map(|key| key.purses());
    let Some(purses) = purses.filter(|purses| !purses.is_empty()) else {
        return Ok(None);
    };
    let gateway = &context.gateway;
    let worst = price::worst_case(order, plan);
    let outcome = gateway.purses().admit(purses, &worst).await;
    let now = gateway.purses().now();
    let levels = purses.iter().map(|purse| purse.level(now));
    let refused = match &outcome {
        Err(Overdrawn::Exhausted { owner, terms, .. }) => {
            Some(format!("{owner} budget {}", terms.name()))
        }
        _ => None,
    };
    request.extensions_mut().insert(Told {
        level: tightest(levels).map(Box::new),
        refused,
    });
    match outcome {
        Ok(allowance) => Ok(Some(allowance)),
        Err(overdrawn) => {
            let limited = &gateway.metrics().limited;
            limited.with_label_values(&[word(&overdrawn)]).inc();
            Err(refusal(&overdrawn).into())
        }
    }
}

/// The one of which the smallest part is left, among those that refuse anything.
fn tightest(levels: impl Iterator<Item = Level>) -> Option<Level> {
    let hard = levels.filter(|level| !level.terms.is_soft);
    hard.min_by_key(|level| {
        let left = level.remaining.unwrap_or(level.terms.limit);
        // In millionths of the limit, so that units compare.
        i128::from(left.0) * 1_000_000 / i128::from(level.terms.limit.0.max(1))
    })
}

fn word(overdrawn: &Overdrawn) -> &'static str {
    match overdrawn {
        Overdrawn::Exhausted { .. } => "budget",
        Overdrawn::Busy | Overdrawn::Unavailable => "store",
    }
}

fn refusal(overdrawn: &Overdrawn) -> Problem {
    match overdrawn {
        Overdrawn::Exhausted {
            owner,
            terms,
            span,
            used,
            wanted,
        } => {
            let unit = terms.unit;
            let begins = match span.end {
                Some(end) => format!("It begins anew at {}.", seconds(end)),
                None => "It does not begin anew.".to_owned(),
            };
            let message = format!(
                "You exceeded your current quota: the budget of {} is {terms}, of which {} are used or \
                 reserved, and this request may take {}. {begins} Ask the gateway's operator for more.",
                owner.replace('/', " "),
                unit.number(*used),
                unit.number(*wanted),
            );
            Problem {
                should_retry: Some(false),
                ..Problem::new(ProblemKind::NoBalance, "insufficient_quota", message)
            }
        }
        Overdrawn::Busy => later(
            "budget_busy",
            "What is left of your budget is in the hands of other gateways. Nothing was sent; try again \
             in a second.",
        ),
        Overdrawn::Unavailable => later(
            "store_unavailable",
            "The gateway cannot reach the store with its budgets. Nothing was sent; try again in a \
             second.",
        ),
    }
}

fn later(code: &'static str, message: &str) -> Problem {
    Problem {
        source: Source::Gateway,
        retry_after_s: Some(1),
        ..Problem::new(ProblemKind::Overloaded, code, message)
    }
}

/// A time to the second.
fn seconds(time: Timestamp) -> String {
    time.to_string()
}

/// Says in the head of an answer how much is left, where there is a budget:
/// `units=993; resets=2026-12-01T00:00:00Z`.
pub fn tell(request: &HttpRequest, headers: &mut HeaderMap) {
    let extensions = request.extensions();
    let Some(told) = extensions.get::<Told>() else {
        return;
    };
    let mut say = |name, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    if let Some(limit) = &told.refused {
        say("x-gateway-limit", limit.clone());
    }
    if let Some(left) = told.level.as_deref().and_then(left) {
        say("x-gateway-budget-remaining", left);
    }
}

/// What is left of a budget, if that is known.
fn left(level: &Level) -> Option<String> {
    let Level { terms, span, .. } = level;
    let mut value = terms.unit.word().to_owned() + "=" + &terms.unit.number(level.remaining?);
    if let Some(end) = span.end {
        value.push_str("; resets=");
        value.push_str(&seconds(end));
    }
    Some(value)
}
