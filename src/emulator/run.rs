//! `fal.run`: direct calls and streams. Source: fal's pages for the applications; fal docs, pages
//! "synchronous requests" and "streaming".

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use actix_web::http::Method;
use futures::{StreamExt, stream::LocalBoxStream};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    endpoint::{Target, resolve},
    http::{
        call::{Call, Flow, Reply, Whole},
        kinds::{self, Mention, Sender},
    },
    plan::Plan,
    play::{Body, Step, perform},
    script::Quirk,
    server::State,
};

const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";

/// Reads a call at the door: it goes somewhere, may come in, and its script is understood.
pub(super) fn enter(state: &State, call: &Call, target: Target) -> Result<Plan, Whole> {
    let plan = Plan::read(state, call, target.endpoint);
    if let Err(name) = state.keys.admit(call) {
        let kind = kinds::find(name).expect("the door's refusals are in the table");
        return Err(kind.reply(&Mention {
            app: target.endpoint.app(),
            variant: target.endpoint.variant(),
            input: &Value::Null,
        }));
    }
    plan
}

/// Answers a call to `fal.run`.
pub(super) async fn answer(state: &State, call: &Call) -> Reply {
    try_answer(state, call).await.unwrap_or_else(Reply::from)
}

async fn try_answer(state: &State, call: &Call) -> Result<Reply, Whole> {
    let target = resolve(&call.segments())?;
    let app = target.endpoint.application();
    if state.options.gone_apps.iter().any(|gone| gone == app) {
        let (_, alias) = app.split_once('/').unwrap_or(("", app));
        return Err(Whole::detail(
            404,
            format!("Application {alias:?} not found"),
        ));
    }
    if call.method != Method::POST {
        return Err(Whole::detail(405, "Method Not Allowed"));
    }
    let plan = enter(state, call, target)?;
    let slot = Slot::take(&state.in_progress);
    if let Some(limit) = plan
        .behaviour
        .concurrency
        .filter(|&limit| slot.in_progress > limit)
    {
        return Err(plan.with_retry_after(too_many(limit, slot.in_progress)));
    }
    if plan.behaviour.has(Quirk::Hang) {
        pending::<()>().await;
    }
    sleep(plan.behaviour.latency).await;
    if let Some(refusal) = plan.refusal(&[Sender::Door, Sender::App, Sender::Ingress]) {
        return Err(refusal);
    }
    if plan.streams(target) {
        let steps = plan.stream(state).await?;
        return Ok(flow(call, &plan, EVENT_STREAM, steps, slot));
    }
    Ok(match plan.whole(state).await? {
        Body::Whole(body) => Whole {
            body,
            ..with_extras(&plan, Whole::new(200, "application/json", ""))
        }
        .into(),
        Body::Steps(steps) => {
            let steps = futures::stream::iter(steps).boxed_local();
            flow(call, &plan, "application/json", steps, slot)
        }
    })
}

fn flow(
    call: &Call,
    plan: &Plan,
    content_type: &str,
    steps: LocalBoxStream<'static, Step>,
    slot: Slot,
) -> Reply {
    let body = perform(steps, &plan.behaviour, plan.ping(), call.entry.clone());
    let body = body.inspect(move |_| {
        // The call is in progress for as long as its body exists.
        let _ = &slot;
    });
    let headers = with_extras(
        plan,
        Whole::new(200, content_type, "").with("cache-control", "no-store"),
    )
    .headers;
    Reply::Flow(Flow {
        headers,
        body: body.boxed_local(),
    })
}

/// Headers that somebody in between should drop.
fn with_extras(plan: &Plan, whole: Whole) -> Whole {
    if !plan.behaviour.has(Quirk::Headers) {
        return whole;
    }
    whole
        .with("set-cookie", "fal_session=emulated; Path=/; Secure")
        .with("clear-site-data", "\"*\"")
        .with("x-fal-served-from", "emulator")
        .with("x-padding", "p".repeat(64 << 10))
}

/// The refusal of a call over the limit of concurrent ones, as users have met it.
fn too_many(limit: usize, current: usize) -> Whole {
    let body = json!({
        "detail": format!("Reached concurrent requests limit of {limit}"),
        "type": "concurrent_requests_limit",
        "data": { "limit": limit, "current": current },
    });
    Whole::json(429, &body).with("x-fal-needs-retry", "1")
}

/// A call in progress.
struct Slot {
    count: Arc<AtomicUsize>,
    /// Calls in progress when this one came, itself included.
    in_progress: usize,
}

impl Slot {
    fn take(count: &Arc<AtomicUsize>) -> Slot {
        let in_progress = count.fetch_add(1, Ordering::SeqCst) + 1;
        Slot {
            count: Arc::clone(count),
            in_progress,
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::SeqCst);
    }
}
