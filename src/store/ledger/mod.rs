//! The ledger: a row for each call to fal, and sums of them by the hour.
//!
//! Rows are written in batches, each once and together with its sums ([`Batch`]). Reports read the
//! sums ([`Report`]), which stay when the rows have gone; whoever wants the rows themselves reads
//! them page by page ([`Place`]).

mod keep;
mod report;
mod rows;
mod write;

use super::Database;

pub use report::{Dimension, Found, Report, Source, Span, Sums};
pub use rows::{Place, StoredCall};
pub use write::Batch;

/// The ledger in a database.
#[derive(Clone, Debug)]
pub struct Ledger {
    database: Database,
}

impl Ledger {
    /// The one in this database.
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}
