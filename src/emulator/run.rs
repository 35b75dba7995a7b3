//! `fal.run`: direct calls and streams. Source: fal's any-llm API page; fal docs, pages
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
    http::{
        call::{Call, Flow, Reply, Whole},
        kinds::{self, Mention, Sender},
    },
    llm::Variant,
    plan::Plan,
    play::{Body, Snapshot, Step, perform, steps, whole_steps},
    script::Quirk,
    server::State,
};

/// An endpoint of the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) variant: Variant,
    pub(super) stream: bool,
}

/// The endpoint at `segments`, the whole path split at its slashes.
///
/// # Errors
///
/// fal's 404: of the platform for an unknown app, of the app for an unknown path.
pub(super) fn resolve(segments: &[&str]) -> Result<Target, Whole> {
    let (variant, rest) = match segments {
        ["fal-ai", "any-llm", "vision", rest @ ..] => (Variant::Vision, rest),
        ["fal-ai", "any-llm", "enterprise", rest @ ..] => (Variant::Enterprise, rest),
        ["fal-ai", "any-llm", rest @ ..] => (Variant::Plain, rest),
        [_, alias, ..] => {
            return Err(Whole::detail(
                404,
                format!("Application {alias:?} not found"),
            ));
        }
        [path] => return Err(path_unknown(path)),
        [] => return Err(path_unknown("")),
    };
    match rest {
        [] => Ok(Target {
            variant,
            stream: false,
        }),
        ["stream"] => Ok(Target {
            variant,
            stream: true,
        }),
        unknown => Err(path_unknown(&unknown.join("/"))),
    }
}

fn path_unknown(path: &str) -> Whole {
    Whole::detail(404, format!("Path /{path} not found")).with("x-fal-billable-units", "0")
}

/// Reads a call at the door: it goes somewhere, may come in, and its script is understood.
pub(super) fn enter(state: &State, call: &Call, target: Target) -> Result<Plan, Whole> {
    let plan = Plan::read(state, call, target.variant);
    if let Err(name) = state.keys.admit(call) {
        let kind = kinds::find(name).expect("the door's refusals are in the table");
        return Err(kind.reply(&Mention {
            app: "fal-ai/any-llm",
            variant: target.variant,
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
    if target.stream {
        let snapshots = plan.snapshots(state).await?;
        return Ok(stream(call, plan, snapshots, slot));
    }
    let snapshot = plan.closing(state).await?;
    Ok(match whole_steps(&snapshot, &plan.behaviour) {
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

fn stream(
    call: &Call,
    plan: Plan,
    snapshots: LocalBoxStream<'static, Snapshot>,
    slot: Slot,
) -> Reply {
    let steps = steps(snapshots, plan.behaviour.clone());
    flow(call, &plan, "text/event-stream; charset=utf-8", steps, slot)
}

fn flow(
    call: &Call,
    plan: &Plan,
    content_type: &str,
    steps: LocalBoxStream<'static, Step>,
    slot: Slot,
) -> Reply {
    let body = perform(steps, &plan.behaviour, call.entry.clone());
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
