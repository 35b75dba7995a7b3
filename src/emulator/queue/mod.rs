//! `queue.fal.run`: submit, status, status stream, result, cancel. Source: fal docs, page "queue",
//! and fal's clients where they and the page differ.
//!
//! A queued call moves on when somebody has seen its state or, unseen, after a while. A client that
//! polls therefore meets every state, and one that only waits for a webhook still gets it.

mod status;
mod ticket;
mod webhook;

pub(super) use ticket::Queue;
pub(super) use webhook::jwks;

use std::{sync::Arc, time::Duration};

use actix_web::{http::Method, web::Data};
use serde_json::json;

use super::{
    endpoint::resolve,
    http::{
        call::{Call, Reply, Whole},
        kinds::{self, Mention, Sender},
    },
    run::enter,
    script::Quirk,
    server::State,
};
use ticket::Ticket;

/// How long a state lasts when nobody looks; the JavaScript client polls every 500 ms.
const UNSEEN: Duration = Duration::from_millis(700);
/// The same for a caller that has asked for a webhook instead.
const UNSEEN_WITH_WEBHOOK: Duration = Duration::from_millis(50);

/// Answers a call to `queue.fal.run`.
pub(super) async fn answer(state: &Data<State>, call: &Call) -> Reply {
    let segments = call.segments();
    // The sub-path is optional in the addresses of a request: fal's clients leave it out.
    let request = segments
        .iter()
        .position(|&segment| segment == "requests")
        .filter(|&at| at >= 2);
    let Some((_, [_, id, action @ ..])) = request.and_then(|at| segments.split_at_checked(at))
    else {
        return submit(state, call).unwrap_or_else(|refusal| refusal).into();
    };
    // An unknown id is told even to callers without a key.
    let Some(ticket) = state.queue.find(id) else {
        return Whole::json(404, &json!({ "status": "NOT_FOUND" })).into();
    };
    if let Err(name) = state.keys.admit(call) {
        return refusal(name, &ticket).into();
    }
    match (call.method.as_str(), action) {
        ("GET", ["status"]) => status::poll(state, call, &ticket).into(),
        ("GET", ["status", "stream"]) => status::stream(state, call, ticket),
        ("GET", [] | ["response"]) => result(&ticket).into(),
        ("PUT", ["cancel"]) => cancel(&ticket).into(),
        _ => Whole::detail(405, "Method Not Allowed").into(),
    }
}

fn submit(state: &Data<State>, call: &Call) -> Result<Whole, Whole> {
    let target = resolve(&call.segments())?;
    if call.method != Method::POST {
        return Err(Whole::detail(405, "Method Not Allowed"));
    }
    let plan = enter(state, call, target)?;
    let webhook = call.query("fal_webhook").map(str::to_owned);
    if let Some(url) = &webhook {
        webhook::allow(url, state.options.webhooks)?;
    }
    if let Some(refusal) = plan.refusal(&[Sender::Door]) {
        return Err(refusal);
    }
    let most: Option<usize> = call
        .query("fal_max_queue_length")
        .and_then(|most| most.parse().ok());
    let ticket = Arc::new(Ticket::new(call.request_id.clone(), plan));
    if most.is_some_and(|most| state.queue.waiting() > most) {
        return Err(refusal("queue_full", &ticket));
    }
    state.queue.push(Arc::clone(&ticket));
    let unseen = if webhook.is_some() {
        UNSEEN_WITH_WEBHOOK
    } else {
        UNSEEN
    };
    actix_web::rt::spawn(work(state.clone(), Arc::clone(&ticket), unseen, webhook));
    Ok(Whole::json(200, &status::of(state, call, &ticket)))
}

/// Takes a call through its states to its end, and tells the webhook.
async fn work(state: Data<State>, ticket: Arc<Ticket>, unseen: Duration, webhook: Option<String>) {
    let result = tokio::select! {
        result = ticket.progress(&state, unseen) => result,
        () = ticket.cancelled() => refusal("client_cancelled", &ticket),
    };
    ticket.finish(result.clone());
    if let Some(url) = webhook {
        webhook::deliver(&state.client, &url, ticket.id(), &result).await;
    }
}

fn result(ticket: &Ticket) -> Whole {
    ticket
        .result()
        .unwrap_or_else(|| Whole::detail(400, "Request is still in progress"))
}

fn cancel(ticket: &Ticket) -> Whole {
    if ticket.result().is_some() {
        return Whole::json(400, &json!({ "status": "ALREADY_COMPLETED" }));
    }
    if ticket.plan().behaviour.has(Quirk::Stuck) {
        return Whole::detail(400, "Request cannot be cancelled");
    }
    ticket.cancel();
    Whole::json(202, &json!({ "status": "CANCELLATION_REQUESTED" }))
}

fn refusal(kind: &str, ticket: &Ticket) -> Whole {
    let kind = kinds::find(kind).expect("the queue's refusals are in the table");
    let endpoint = ticket.plan().endpoint;
    kind.reply(&Mention {
        app: endpoint.app(),
        variant: endpoint.variant(),
        input: &json!({}),
    })
}
