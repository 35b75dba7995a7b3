//! What becomes of responses once they are answered.

use std::time::Duration;

use super::kinds::{Count, Span, Switch};
use super::settings::settings;

settings! {
    /// What is kept of the answers on `/v1/responses`, so that clients can continue them.
    pub struct Responses in "responses" {
        /// Keep responses unless a request says `store: false`. Off, none is kept, and every answer
        /// says so.
        store: bool, Switch, default "true", reload live;
        /// How long a response is kept after it was made; and how long a conversation can be
        /// continued after its last response.
        retention: Duration, Span("1s", "87600h"), default "720h", reload live;
        /// How long a response may take that is made in the background. It has failed then.
        background_timeout: Duration, Span("1s", "24h"), default "1h", reload live;
        /// Responses that are being made in the background at the same time, by all gateways that
        /// share the store; one more is refused with status 429.
        max_background: usize, Count(1, 100_000), default "1000", reload live;
        /// The same for one owner: a client key, or a fal key that callers bring.
        max_background_per_owner: usize, Count(1, 100_000), default "100", reload live;
    }
}
