//! The limits of keys and projects: asked before anything is sent, and told in headers.

use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest};

use super::auth::Caller;
use super::context::Context;
use super::error::ApiError;
use crate::access::limits::{Exceeded, Hold, Kind, Left, Levels, Tokens};
use crate::translate::plan::Plan;
use crate::translate::problem::{Problem, ProblemKind};

/// The tokens of an answer that are reckoned with beforehand, where it may have more or nothing is
/// said of it.
const USUAL_ANSWER: u64 = 1024;
/// The longest wait that clients are told; OpenAI's SDKs heed none that is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What the headers of an answer say of limits (source: OpenAI's guide to rate limits, "Rate limits
/// in headers").
#[derive(Clone, Debug)]
struct Told {
    levels: Levels,
    refused: Option<Refused>,
}

/// What is said besides of a limit that was met.
#[derive(Clone, Debug)]
struct Refused {
    limit: String,
    wait: Option<Duration>,
}

/// Takes a request's share of what its key and its project may ask for; `None` where nothing is
/// limited. Requests that are refused before this take nothing.
///
/// # Errors
/// 429 when there is no room.
pub async fn take(
    request: &HttpRequest,
    context: &Context,
    caller: &Caller,
    plan: &Plan<'_>,
) -> Result<Option<Hold>, ApiError> {
    let limiters = caller.key.as_ref().map(|key| key.limiters());
    let Some(limiters) = limiters.filter(|limiters| !limiters.is_empty()) else {
        return Ok(None);
    };
    let gateway = &context.gateway;
    let clock = || gateway.since.elapsed();
    let (outcome, levels) = gateway
        .limiters()
        .admit(limiters, tokens(plan), clock)
        .await;
    let refused = outcome.as_ref().err().map(|exceeded| Refused {
        limit: format!("{} {}", exceeded.owner.label(), word(exceeded.kind)),
        wait: exceeded.wait.map(|wait| wait.min(LONGEST_WAIT)),
    });
    request.extensions_mut().insert(Told { levels, refused });
    match outcome {
        Ok(hold) => Ok(Some(hold)),
        Err(exceeded) => {
            let limited = &gateway.metrics().limited;
            limited.with_label_values(&[word(exceeded.kind)]).inc();
            Err(refusal(&exceeded, plan.call.model()).into())
        }
    }
}

fn tokens(plan: &Plan<'_>) -> Tokens {
    let prompt = plan.reading.prompt_tokens;
    let answer = plan.reading.max_tokens.unwrap_or(USUAL_ANSWER);
    let answers = answer
        .min(USUAL_ANSWER)
        .saturating_mul(u64::from(plan.choices));
    Tokens {
        prompt,
        expected: prompt.saturating_add(answers),
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Requests => "requests",
        Kind::Tokens => "tokens",
        Kind::Concurrency => "concurrency",
    }
}

/// In OpenAI's words, out of which clients read how long to wait.
fn refusal(exceeded: &Exceeded, model: &str) -> Problem {
    let Exceeded {
        limit,
        used,
        requested,
        ..
    } = exceeded;
    let (kind, what) = match exceeded.kind {
        Kind::Requests => (ProblemKind::TooManyRequests, "requests per min (RPM)"),
        Kind::Tokens => (ProblemKind::TooManyTokens, "tokens per min (TPM)"),
        Kind::Concurrency => (ProblemKind::TooManyRequests, "concurrent requests"),
    };
    let owner = exceeded.owner.label().replace('/', " ");
    let (message, should_retry) = match exceeded.wait {
        Some(wait) => (
            format!(
                "Rate limit reached for {model} in {owner} on {what}: Limit {limit}, Used {used}, \
                 Requested {requested}. Please try again in {}.",
                short(wait.min(LONGEST_WAIT))
            ),
            None,
        ),
        None => (
            format!(
                "Request too large for {model} in {owner} on {what}: Limit {limit}, Requested {requested}. \
                 The request never fits: send less text."
            ),
            Some(false),
        ),
    };
    let wait_s = exceeded
        .wait
        .map(|wait| whole_seconds(wait.min(LONGEST_WAIT)));
    Problem {
        should_retry,
        retry_after_s: wait_s,
        ..Problem::new(kind, "rate_limit_exceeded", message)
    }
}

/// At least one.
fn whole_seconds(wait: Duration) -> u32 {
    let seconds = wait.as_millis().div_ceil(1000).max(1);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

/// Milliseconds or seconds; some clients read no other units out of the message.
fn short(wait: Duration) -> String {
    let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
    match millis {
        0..1000 => format!("{millis}ms"),
        _ => format!("{}s", thousandths(millis)),
    }
}

/// A duration as Go writes it, which OpenAI's headers hold: `12ms`, `1s`, `1m0.5s`. Each answer has
/// some, so they are put together without a formatter.
fn in_go(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    match (millis, millis / 60_000) {
        (0..1000, _) => millis.to_string() + "ms",
        (_, 0) => thousandths(millis) + "s",
        (_, minutes) => minutes.to_string() + "m" + &thousandths(millis % 60_000) + "s",
    }
}

/// Thousandths as a decimal number without needless zeros.
fn thousandths(millis: u64) -> String {
    let whole = (millis / 1000).to_string();
    match millis % 1000 {
        0 => whole,
        rest => {
            let digits = (1000 + rest).to_string();
            let digits = digits.get(1..).unwrap_or_default();
            whole + "." + digits.trim_end_matches('0')
        }
    }
}

/// Says in the head of an answer how much of the limits is left, where there are any.
pub fn tell(request: &HttpRequest, headers: &mut HeaderMap) {
    let extensions = request.extensions();
    let Some(told) = extensions.get::<Told>() else {
        return;
    };
    let mut insert = |name: &'static str, value: Option<HeaderValue>| {
        if let Some(value) = value {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    let number = |number: u64| Some(HeaderValue::from(number));
    let text = |text: String| HeaderValue::try_from(text).ok();
    if let Some(left) = told.levels.requests {
        let Left {
            limit,
            remaining,
            reset,
        } = left;
        insert("x-ratelimit-limit-requests", number(limit));
        insert("x-ratelimit-remaining-requests", number(remaining));
        insert("x-ratelimit-reset-requests", text(in_go(reset)));
    }
    if let Some(left) = told.levels.tokens {
        let Left {
            limit,
            remaining,
            reset,
        } = left;
        insert("x-ratelimit-limit-tokens", number(limit));
        insert("x-ratelimit-remaining-tokens", number(remaining));
        insert("x-ratelimit-reset-tokens", text(in_go(reset)));
    }
    if let Some(refused) = &told.refused {
        insert("x-gateway-limit", text(refused.limit.clone()));
        if let Some(wait) = refused.wait {
            insert("retry-after-ms", text(wait.as_millis().max(1).to_string()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_clients_read_them() {
        let ms = Duration::from_millis;
        for (millis, message, header) in [
            (0, "1ms", "0ms"),
            (12, "12ms", "12ms"),
            (1000, "1s", "1s"),
            (1574, "1.574s", "1.574s"),
            (20_500, "20.5s", "20.5s"),
            (60_000, "60s", "1m0s"),
            (60_500, "60.5s", "1m0.5s"),
        ] {
            assert_eq!(short(ms(millis)), message);
            assert_eq!(in_go(ms(millis)), header);
        }
        assert_eq!(whole_seconds(ms(1)), 1);
        assert_eq!(whole_seconds(ms(1001)), 2);
    }
}
