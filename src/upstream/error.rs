//! What can go wrong between the gateway and fal.

use super::obstacle::Obstacle;
use super::refusal::Refusal;

/// Why a call to fal brought no answer. The text is for the log.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// Nothing was sent: the name, the address, TLS or the connection failed.
    #[error("cannot connect to fal: {0}")]
    Unreachable(Obstacle),
    /// Nothing was sent: connecting took too long.
    #[error("connecting to fal took too long")]
    ConnectTimedOut,
    /// The request was sent and nothing came back in time.
    #[error("fal did not answer in time")]
    TimedOut,
    /// The request was sent and the connection broke.
    #[error("fal closed the connection inside the exchange")]
    Disconnected,
    /// What came back is no answer to an any-llm call.
    #[error("fal's answer is unusable: {0}")]
    Unusable(&'static str),
    /// The head of what came back shows that it is none; fal's id of the request stood in it.
    #[error("fal's answer is unusable: {0}")]
    UnusableHead(&'static str, Option<String>),
    /// fal answered that it will not do it.
    #[error("fal refused with status {status} ({kind:?})", status = .0.status, kind = .0.kind)]
    Refused(Box<Refusal>),
}

impl UpstreamError {
    /// fal's id of the request, when it gave one.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Refused(refusal) => refusal.request_id.as_deref(),
            Self::UnusableHead(_, request_id) => request_id.as_deref(),
            _ => None,
        }
    }

    /// The kind, as a label for metrics and logs.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::ConnectTimedOut => "connect_timeout",
            Self::TimedOut => "timeout",
            Self::Disconnected => "disconnected",
            Self::Unusable(_) | Self::UnusableHead(..) => "invalid_response",
            Self::Refused(refusal) => refusal.kind.label(),
        }
    }
}
