//! Asking a model again when its answer is not what the caller was promised.
//!
//! Each time is another paid call, so there is a limit on how often, and nothing is asked again
//! once a call of the model's has been delivered.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::LocalBoxFuture;

use super::auth::Caller;
use super::gateway::{Gateway, Worker};
use crate::translate::correction::correct;
use crate::translate::plan::{Plan, Reading};
use crate::translate::reading::{Format, Reader, Unmet};
use crate::upstream::{Answer, FalClient, FalKey, UpstreamError};
use crate::wire::fal::any_llm::AnyLlmInput;

/// What it takes to ask again.
#[derive(Clone)]
pub struct Reask {
    gateway: Arc<Gateway>,
    fal: Rc<FalClient>,
    fal_key: FalKey,
    path: &'static str,
    first_byte: Duration,
    input: AnyLlmInput<'static>,
    reading: Reading,
    left: usize,
}

/// An answer that is on its way.
pub type Asking = LocalBoxFuture<'static, Result<Answer, UpstreamError>>;

impl Reask {
    /// `None` where any answer will do.
    pub fn new(
        worker: &Worker,
        caller: &Caller,
        plan: &Plan<'_>,
        first_byte: Duration,
    ) -> Option<Self> {
        let gateway = &worker.gateway;
        (!plan.reading.contract.is_plain()).then(|| Self {
            gateway: gateway.clone(),
            fal: worker.fal.clone(),
            fal_key: caller.fal_key.clone(),
            path: plan.endpoint.path(),
            first_byte,
            input: owned(&plan.input),
            reading: plan.reading.clone(),
            left: gateway.config.tools.max_reasks,
        })
    }

    /// Asks again, telling the model what was wrong with its reply; `None` once it has been asked
    /// often enough.
    pub fn ask(&mut self, unmet: &Unmet, reply: &str) -> Option<Asking> {
        self.left = self.left.checked_sub(1)?;
        self.gateway.metrics.reasks.inc();
        let input = correct(&self.input, self.gateway.secret, reply, unmet);
        let input = Bytes::from(serde_json::to_vec(&input).unwrap_or_default());
        let (fal, key, path, first_byte) = (
            self.fal.clone(),
            self.fal_key.clone(),
            self.path,
            self.first_byte,
        );
        Some(async move { fal.call(path, input, &key, first_byte).await }.boxed_local())
    }

    /// Counts what had to be forgiven or repaired.
    pub fn count(&self, leniencies: &[&'static str]) {
        for kind in leniencies {
            self.gateway
                .metrics
                .mended
                .with_label_values(&[*kind])
                .inc();
        }
    }

    /// The reader for the next answer, which goes on where the one before has ended.
    pub fn reader(&self, answer: &Answer, before: &Reader) -> Reader {
        let format = match answer.is_event_stream {
            true => Format::Events,
            false => Format::Object,
        };
        Reader::after(before, &self.reading, format, self.gateway.reading_limits)
    }
}

fn owned(input: &AnyLlmInput<'_>) -> AnyLlmInput<'static> {
    let own = |text: &Cow<'_, str>| Cow::Owned(text.clone().into_owned());
    AnyLlmInput {
        prompt: own(&input.prompt),
        system_prompt: input.system_prompt.as_ref().map(own),
        model: own(&input.model),
        temperature: input.temperature,
        max_tokens: input.max_tokens,
        reasoning: input.reasoning,
        priority: input.priority,
        image_urls: input.image_urls.iter().map(own).collect(),
    }
}
