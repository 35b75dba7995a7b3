//! What becomes of responses once they are answered.

use std::time::Duration;

use super::kinds::{Span, Switch};
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
    }
}
