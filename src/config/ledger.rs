//! What is kept of calls to fal.

use std::time::Duration;

use super::kinds::{Count, Optional, Span, Switch};
use super::settings::settings;

settings! {
    /// What is kept of calls to fal: a row for each, with what it cost and never with what was said.
    pub struct Ledger in "ledger" {
        /// Keep a ledger where there is a store in a file or on a server.
        enabled: bool, Switch, default "true", reload restart;
        /// How long the rows are kept. On PostgreSQL a day goes when all of it is older.
        keep_rows: Duration, Span("1h", "876000h"), default "720h", reload live;
        /// How long the sums by the hour and by the day are kept, which reports are made of; unset, for ever.
        keep_sums: Option<Duration>, Optional(Span("24h", "876000h")), reload live;
        /// How long is kept which operator has changed which key, project or budget; unset, for ever.
        keep_changes: Option<Duration>, Optional(Span("24h", "876000h")), reload live;
        /// How many calls may wait in memory while the store cannot be written to. What comes on
        /// top of them is counted as lost.
        max_waiting: usize, Count(500, 10_000_000), default "50000", reload restart;
    }
}
