//! Exact token counts (`usage.count = "exact"`), made beside the worker threads.
//!
//! A tokenizer needs milliseconds for an answer and half a second to load, which no other request
//! should wait for. So the dictionary is loaded by a thread of its own when the gateway starts, and
//! texts are counted by tokio's blocking threads, no more of them at once than half the cores:
//! the prompt while fal works, the answer after its last byte. Only the ending of an answer waits
//! for them. Counts are skipped where the answer will not report them.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, LocalBoxFuture, Shared};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::translate::ask::Delivery;
use crate::translate::plan::Plan;
use crate::translate::reading::{Finish, Texts, Usage, UsageSource};
use crate::translate::{tokenizer, usage};

/// How long an ending waits for its count before it goes out with the estimate.
const COUNT_TIMEOUT: Duration = Duration::from_secs(5);

/// Counts texts for all workers.
#[derive(Debug)]
pub struct TokenCounter {
    threads: Arc<Semaphore>,
}

/// The counting of one request's tokens. Dropping it, and the endings that came from it, ends it.
pub struct TokenCount {
    counter: Arc<TokenCounter>,
    prompt: Shared<BoxFuture<'static, Option<u64>>>,
}

impl TokenCounter {
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

    /// The counting for a request, begun with its prompt; `None` when nobody will see the counts,
    /// and where the upstream tells its own.
    pub fn begin(self: &Arc<Self>, plan: &Plan<'_>, always_stream: bool) -> Option<TokenCount> {
        if plan.upstream.features().tells_usage {
            return None;
        }
        let is_seen = match plan.delivery {
            Delivery::Whole => true,
            Delivery::Stream { include_usage } => include_usage || always_stream,
        };
        if !is_seen {
            return None;
        }
        let around = usage::tokens_around(plan.call.images());
        let counts = self.count(plan.call.texts());
        let prompt =
            counts.map(move |counts| counts.map(|[prompt, system]| prompt + system + around));
        Some(TokenCount {
            counter: Arc::clone(self),
            prompt: prompt.boxed().shared(),
        })
    }

    /// Counts texts, starting at once. `None` when that went wrong.
    fn count<const N: usize>(
        &self,
        texts: [String; N],
    ) -> impl Future<Output = Option<[u64; N]>> + Send + 'static {
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
                let mut counts = [0; N];
                for (count, text) in counts.iter_mut().zip(&texts) {
                    *count = tokenizer::count(text, || !abandoned.is_cancelled())?;
                }
                Some(counts)
            });
            counted.await.ok()?
        });
        async move {
            let _guard = guard;
            counting.await.ok().flatten()
        }
    }
}

/// All that was written for one choice, by all its attempts: what is paid for.
#[derive(Debug, Default)]
pub struct Written {
    answers: Texts,
    /// What each later prompt has that the first one has not.
    corrections: Vec<String>,
}

impl Written {
    /// A model was asked again with this behind the prompt.
    pub fn add_prompt(&mut self, correction: String) {
        self.corrections.push(correction);
    }

    /// The last prompt is not paid for: fal refused it.
    pub fn drop_prompt(&mut self) {
        self.corrections.pop();
    }

    /// A model wrote this.
    pub fn add_answer(&mut self, texts: Texts) {
        self.answers.reasoning.push_str(&texts.reasoning);
        self.answers.text.push_str(&texts.text);
    }
}

impl TokenCount {
    /// An ending with its tokens counted. It keeps the estimate when no count comes.
    pub fn settle(&self, finish: Finish, written: Written) -> LocalBoxFuture<'static, Finish> {
        let prompt = self.prompt.clone();
        let Written {
            answers,
            corrections,
        } = written;
        let prompts = (corrections.len() as u64).saturating_add(1);
        let texts = [answers.reasoning, answers.text, corrections.concat()];
        let answer = self.counter.count(texts);
        async move {
            let counts = timeout(COUNT_TIMEOUT, futures::future::join(prompt, answer)).await;
            let Ok((Some(prompt), Some([reasoning, text, corrections]))) = counts else {
                tracing::warn!("tokens could not be counted and are reported as estimated");
                return finish;
            };
            let usage = Usage {
                prompt: prompt.saturating_mul(prompts).saturating_add(corrections),
                completion: reasoning.saturating_add(text),
                reasoning,
                source: UsageSource::Counted,
                ..finish.usage
            };
            Finish { usage, ..finish }
        }
        .boxed_local()
    }
}
