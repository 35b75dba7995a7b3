//! Exact token counts (`usage.count = "exact"`), made beside the worker threads.
//!
//! A tokenizer needs milliseconds for an answer and half a second to load, which no other request
//! should wait for. So the dictionary is loaded by a thread of its own when the gateway starts, and
//! texts are counted by tokio's blocking threads, no more of them at once than half the cores:
//! the prompt while fal works, the answer after its last byte. Only the ending of an answer waits
//! for them, and nobody counts what nobody will see.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, LocalBoxFuture, Shared};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::translate::ask::Delivery;
use crate::translate::plan::Plan;
use crate::translate::reading::{Finish, Texts, Usage};
use crate::translate::{tokenizer, usage};

/// How long an ending waits for its count before it goes out with the estimate.
const PATIENCE: Duration = Duration::from_secs(5);

/// Counts texts for all workers.
#[derive(Debug)]
pub struct Counter {
    threads: Arc<Semaphore>,
}

/// The counting for one request. Dropping it, and the endings that came from it, ends it.
pub struct Tally {
    counter: Arc<Counter>,
    prompt: Shared<BoxFuture<'static, Option<u64>>>,
}

impl Counter {
    /// A counter, which loads its dictionary in the background.
    pub fn start() -> Arc<Self> {
        // Without the thread, the first count loads it.
        let _ = thread::Builder::new()
            .name("tokenizer".to_owned())
            .spawn(tokenizer::load);
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Arc::new(Self {
            threads: Arc::new(Semaphore::new((cores / 2).max(1))),
        })
    }

    /// The counting for a request, begun with its prompt; `None` when nobody will see the counts.
    pub fn tally(self: &Arc<Self>, plan: &Plan<'_>, always_stream: bool) -> Option<Tally> {
        let is_seen = match plan.delivery {
            Delivery::Whole => true,
            Delivery::Stream { include_usage } => include_usage || always_stream,
        };
        if !is_seen {
            return None;
        }
        let input = &plan.input;
        let system_prompt = input.system_prompt.as_deref().unwrap_or_default();
        let around = usage::tokens_around(input.image_urls.len());
        let counts = self.count([input.prompt.to_string(), system_prompt.to_owned()]);
        let prompt =
            counts.map(move |counts| counts.map(|[prompt, system]| prompt + system + around));
        Some(Tally {
            counter: Arc::clone(self),
            prompt: prompt.boxed().shared(),
        })
    }

    /// Counts two texts, starting at once. `None` when that went wrong.
    fn count(&self, texts: [String; 2]) -> impl Future<Output = Option<[u64; 2]>> + Send + 'static {
        let threads = self.threads.clone();
        let abandoned = CancellationToken::new();
        let guard = abandoned.clone().drop_guard();
        let counting = tokio::spawn(async move {
            let permit = tokio::select! {
                permit = threads.acquire_owned() => permit.ok()?,
                () = abandoned.cancelled() => return None,
            };
            let counted = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                let count = |text: &str| tokenizer::count(text, || !abandoned.is_cancelled());
                let [first, second] = &texts;
                Some([count(first)?, count(second)?])
            });
            counted.await.ok()?
        });
        async move {
            let _guard = guard;
            counting.await.ok().flatten()
        }
    }
}

impl Tally {
    /// An ending with its tokens counted. It keeps the estimate when no count comes.
    pub fn settle(&self, finish: Finish, texts: Texts) -> LocalBoxFuture<'static, Finish> {
        let prompt = self.prompt.clone();
        let answer = self.counter.count([texts.reasoning, texts.text]);
        async move {
            let counts = timeout(PATIENCE, futures::future::join(prompt, answer)).await;
            let Ok((Some(prompt), Some([reasoning, text]))) = counts else {
                tracing::warn!("tokens could not be counted and are reported as estimated");
                return finish;
            };
            let usage = Usage {
                prompt,
                completion: reasoning + text,
                reasoning,
            };
            Finish { usage, ..finish }
        }
        .boxed_local()
    }
}
