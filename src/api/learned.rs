//! What fal's refusals teach about fal: its live catalogue, and how long prompts may be.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::upstream::RefusalKind;

/// Facts learnt since the start; none of them outlives the process.
#[derive(Debug)]
pub struct Learned {
    since: Instant,
    prompt: Limit,
    system_prompt: Limit,
    models: RwLock<BTreeSet<String>>,
}

/// A limit in characters, believed for a while: fal may lift it.
#[derive(Debug, Default)]
struct Limit {
    /// 0 is "none known".
    chars: AtomicUsize,
    learnt_at_s: AtomicU64,
}

/// How long a limit is believed.
const BELIEVED: Duration = Duration::from_secs(600);
/// How many models are remembered.
const MOST_MODELS: usize = 1024;

impl Default for Learned {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            prompt: Limit::default(),
            system_prompt: Limit::default(),
            models: RwLock::default(),
        }
    }
}

impl Learned {
    /// Takes in what a refusal tells.
    pub fn learn(&self, refusal: &RefusalKind) {
        match refusal {
            RefusalKind::TooLong {
                field,
                limit: Some(limit),
            } => {
                let kept = if *field == "system_prompt" {
                    &self.system_prompt
                } else {
                    &self.prompt
                };
                kept.chars
                    .store(usize::try_from(*limit).unwrap_or(0), Ordering::Relaxed);
                kept.learnt_at_s
                    .store(self.since.elapsed().as_secs(), Ordering::Relaxed);
            }
            RefusalKind::UnknownModel { known } => {
                let mut models = self.models.write().unwrap_or_else(PoisonError::into_inner);
                let room = MOST_MODELS.saturating_sub(models.len());
                models.extend(known.iter().take(room).cloned());
            }
            _ => {}
        }
    }

    /// The longest prompt, in characters, if fal has named a limit lately.
    pub fn prompt_limit(&self) -> Option<usize> {
        self.believed(&self.prompt)
    }

    /// The longest system prompt, likewise.
    pub fn system_prompt_limit(&self) -> Option<usize> {
        self.believed(&self.system_prompt)
    }

    /// The models that fal has listed in its refusals.
    pub fn models(&self) -> BTreeSet<String> {
        self.models
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn believed(&self, limit: &Limit) -> Option<usize> {
        let chars = limit.chars.load(Ordering::Relaxed);
        if chars == 0 {
            return None;
        }
        let age = self
            .since
            .elapsed()
            .as_secs()
            .saturating_sub(limit.learnt_at_s.load(Ordering::Relaxed));
        (age < BELIEVED.as_secs()).then_some(chars)
    }
}
