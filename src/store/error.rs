//! What can go wrong with the store.

/// Why the store did not do what it was asked. The words are for the operator's log: what the
/// engine said may name paths and tables, and no caller of the API is shown any of it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// It had no time within the deadline. A write may have been done all the same.
    #[error("the store did not answer in time")]
    Busy,
    /// No more fits on the disk, or within its limit.
    #[error("the store is full")]
    Full,
    /// It cannot be reached, opened, or written to.
    #[error("the store cannot be reached: {0}")]
    Gone(String),
    /// What it holds is damaged.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// A newer program has changed its tables.
    #[error(
        "the store has version {found}, and this program knows versions up to {known}: use a newer fal-gateway"
    )]
    Newer {
        /// The version of the store's tables.
        found: i64,
        /// The newest one that this program knows.
        known: i64,
    },
    /// Anything else; most likely a fault of ours.
    #[error("the store has failed: {0}")]
    Failed(String),
}

impl StoreError {
    /// The kind in one word, as logs and counters have it.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Full => "full",
            Self::Gone(_) => "gone",
            Self::Corrupt(_) => "corrupt",
            Self::Newer { .. } => "newer",
            Self::Failed(_) => "failed",
        }
    }
}

/// Source: sqlite.org/rescode.html.
impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        let said = error.to_string();
        match error.sqlite_error_code() {
            Some(Code::DatabaseBusy | Code::DatabaseLocked | Code::OperationInterrupted) => {
                Self::Busy
            }
            Some(Code::DiskFull | Code::OutOfMemory) => Self::Full,
            Some(Code::DatabaseCorrupt | Code::NotADatabase) => Self::Corrupt(said),
            Some(
                Code::CannotOpen
                | Code::ReadOnly
                | Code::PermissionDenied
                | Code::SystemIoFailure
                | Code::FileLockingProtocolFailed,
            ) => Self::Gone(said),
            _ => Self::Failed(said),
        }
    }
}

/// Source: PostgreSQL's manual, appendix A, "PostgreSQL Error Codes".
#[cfg(feature = "postgres")]
impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        let said = match error.as_db_error() {
            Some(refusal) => refusal.to_string(),
            None => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
            }
        };
        let Some(state) = error.code().map(tokio_postgres::error::SqlState::code) else {
            // A connection that was lost, refused, or closed; or a value of the wrong type.
            return match error.is_closed() || std::error::Error::source(&error).is_some() {
                true => Self::Gone(said),
                false => Self::Failed(said),
            };
        };
        match state {
            "53100" | "53200" | "54000" => Self::Full,
            // Too many connections, serialisation, deadlock, a lock or a statement that took too long.
            "53300" | "40001" | "40P01" | "55P03" | "57014" => Self::Busy,
            "XX001" | "XX002" => Self::Corrupt(said),
            // A standby, a server that stops, a login that is refused, a database that is not there.
            "25006" | "3D000" => Self::Gone(said),
            state
                if ["08", "28", "57"]
                    .iter()
                    .any(|class| state.starts_with(class)) =>
            {
                Self::Gone(said)
            }
            _ => Self::Failed(said),
        }
    }
}
