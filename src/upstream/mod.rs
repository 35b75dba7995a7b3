//! Talks to fal. Knows fal's shapes and statuses and nothing of OpenAI's; the only folder that
//! names the HTTP client that calls it.
//!
//! At most one request is sent per [`FalClient::call`]: only a failure to connect is tried again.
//! Dropping an [`Answer`], or the future that would bring one, closes the connection to fal.
#![deny(clippy::arithmetic_side_effects)]

pub mod client;
pub mod error;
mod knock;
pub mod obstacle;
mod openrouter;
pub mod public;
pub mod queue;
pub mod refusal;
pub mod said;
pub mod storage;
mod transport;
mod trust;

pub use client::{Answer, FalClient, FalKey, FalKeyPrint, Post};
pub use error::UpstreamError;
pub use knock::Knock;
pub use obstacle::Obstacle;
pub use public::{Page, PublicClient};
pub use queue::{Progress, QueueId};
pub use refusal::{Lacking, Refusal, RefusalKind};
pub use storage::{Storage, Upload};
