//! Responses that are made while nobody waits for them.
//!
//! A request becomes a job in the store and is worked on in a task of its own, with calls that go
//! through fal's queue (`carrier`). The task does what a request does: it reads the body, plans, runs
//! the plan, and keeps the answer (`work`). Whatever it asks of fal is written down first, so another
//! gateway, or this one after a crash, does all of it again and finds its calls already made
//! (`watch`). What nobody reads any more is charged all the same (`unread`). [`jobs`] are the tasks
//! of this process.
//!
//! One that is streamed is made by the gateway that began it and by no other (`streamed`), with calls that
//! go to fal directly (`direct`). Its events are told while it is made ([`live`]) and kept in the store;
//! whoever reads them, here or at another gateway, follows these two (`follow`). What ends it there is
//! the response itself, so nobody is told of an end that is not kept.

mod carrier;
mod create;
mod direct;
mod follow;
pub mod jobs;
pub mod live;
mod looks;
mod streamed;
mod terms;
mod unread;
mod watch;
mod work;

pub use create::{Beginning, cancel, create, go_on, stream};
pub use follow::Reader;
pub use watch::{hand_back, keep_up};

use std::time::Duration;

use futures::future::join_all;

use super::context::Context;
use crate::store::responses::Submission;
use crate::upstream::{FalClient, FalKey, QueueId};

/// How long a job is left alone by others after its gateway was heard of last. The clocks of gateways
/// that share a store may differ by less than that.
const LEASE: Duration = Duration::from_secs(10);

/// Asks fal to leave calls whose answers nobody wants any more.
async fn cancel_calls(fal: &FalClient, key: &FalKey, calls: &[(String, QueueId)]) {
    let cancelled = calls.iter().map(|(app, id)| fal.cancel(app, id, key));
    // One that is over already cannot be cancelled, and nothing depends on it.
    let _ = join_all(cancelled).await;
}

/// The calls of a job that fal has.
fn made(calls: &[Submission]) -> Vec<(String, QueueId)> {
    let made = calls.iter().filter_map(|call| {
        let id = call.request_id.as_deref().and_then(QueueId::new)?;
        Some((call.app.clone(), id))
    });
    made.collect()
}

/// The same in a task of its own, since callers do not wait for it.
fn cancel_soon(context: &Context, key: FalKey, calls: Vec<(String, QueueId)>) {
    let fal = context.fal.clone();
    if !calls.is_empty() {
        actix_web::rt::spawn(async move { cancel_calls(&fal, &key, &calls).await });
    }
}
