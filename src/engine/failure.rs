//! Why a run has no answer, and what that says about money.

use super::ledger::Billed;
use crate::translate::reading::Fault;
use crate::translate::rejection::Rejection;
use crate::translate::upstream::UpstreamId;
use crate::upstream::{RefusalKind, UpstreamError};

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// The request cannot be sent as it is.
    Rejected(Rejection),
    /// A call to fal for this model, through this upstream, brought no answer.
    Call {
        error: UpstreamError,
        model: String,
        upstream: UpstreamId,
    },
    /// An image could not be uploaded; no model was called.
    Upload(UpstreamError),
    /// An answer went wrong after its head.
    Answer {
        fault: Fault,
        /// fal's id of the call.
        request_id: Option<String>,
    },
    /// The gateway stops, and nothing has been sent.
    Stopping,
    /// An answer ended without an ending: a mistake in this program.
    Bug,
}

impl Failure {
    /// Whether fal may have worked and been paid.
    pub fn may_have_been_paid(&self) -> bool {
        match self {
            Self::Rejected(_) | Self::Upload(_) | Self::Stopping => false,
            Self::Call { error, .. } => billed_for_error(error) != Billed::No,
            Self::Answer { fault, .. } => billed_for_fault(*fault) != Billed::No,
            Self::Bug => true,
        }
    }

    /// fal's id of the call that failed.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Call { error, .. } | Self::Upload(error) => error.request_id(),
            Self::Answer { request_id, .. } => request_id.as_deref(),
            Self::Rejected(_) | Self::Stopping | Self::Bug => None,
        }
    }

    /// The one to tell a caller of: one that may have been paid for before one that cost nothing,
    /// since only the latter may be repeated.
    pub fn most_telling(failures: Vec<Self>) -> Option<Self> {
        let paid = failures.iter().position(Self::may_have_been_paid);
        failures.into_iter().nth(paid.unwrap_or_default())
    }
}

/// Whether a call that brought no answer is paid for: fal bills no answer whose status is an error
/// (source: fal's page "Billing").
pub fn billed_for_error(error: &UpstreamError) -> Billed {
    match error {
        // Its provider may have worked before it failed.
        UpstreamError::Refused(refusal) if refusal.kind == RefusalKind::Provider => Billed::Maybe,
        UpstreamError::Unreachable(_)
        | UpstreamError::ConnectTimedOut
        | UpstreamError::Refused(_) => Billed::No,
        UpstreamError::TimedOut
        | UpstreamError::Disconnected
        | UpstreamError::Unusable(_)
        | UpstreamError::UnusableHead(..) => Billed::Maybe,
    }
}

/// Whether an answer that went wrong is paid for.
pub fn billed_for_fault(fault: Fault) -> Billed {
    match fault {
        // A provider that refuses has not worked, whatever status fal puts that under.
        Fault::ContextLength | Fault::Busy => Billed::No,
        Fault::ToolCall | Fault::ToolChoice | Fault::JsonSchema => Billed::Yes,
        Fault::Disconnected
        | Fault::TimedOut
        | Fault::Unusable(_)
        | Fault::Model
        | Fault::Revised
        | Fault::ShuttingDown => Billed::Maybe,
    }
}

/// Whether fal refused before doing anything, and another model may not be refused. fal that cannot
/// be reached is not reached for another model either.
pub fn another_model_may_do(error: &UpstreamError) -> bool {
    matches!(error, UpstreamError::Refused(refusal) if matches!(
        refusal.kind,
        RefusalKind::UnknownModel { .. }
            | RefusalKind::Lacks(_)
            | RefusalKind::Busy
            | RefusalKind::Unavailable
    ))
}

/// What a failed call means for a choice, where nobody looks closer.
pub fn fault_of(error: &UpstreamError) -> Fault {
    match error {
        UpstreamError::TimedOut | UpstreamError::ConnectTimedOut => Fault::TimedOut,
        UpstreamError::Unreachable(_) | UpstreamError::Disconnected => Fault::Disconnected,
        UpstreamError::Unusable(reason) | UpstreamError::UnusableHead(reason, _) => {
            Fault::Unusable(reason)
        }
        UpstreamError::Refused(_) => Fault::Model,
    }
}

/// A fault as a label for metrics, in the words of [`UpstreamError::label`]; `None` where it is not
/// fal's.
pub fn fault_label(fault: Fault) -> Option<&'static str> {
    Some(match fault {
        Fault::Disconnected => "disconnected",
        Fault::TimedOut => "timeout",
        Fault::Unusable(_) => "invalid_response",
        Fault::Model => "model",
        Fault::ContextLength => "context_length",
        Fault::Busy => "busy",
        Fault::Revised => "revised",
        Fault::ToolCall => "tool_call",
        Fault::ToolChoice => "tool_choice",
        Fault::JsonSchema => "json_schema",
        Fault::ShuttingDown => return None,
    })
}
