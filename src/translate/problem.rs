//! What went wrong with a request, in our own words: no API's envelope and no HTTP status.
//!
//! Every refusal and every failure becomes a [`Problem`], and each face writes it in its own
//! envelope ([`Face::problem`](super::face::Face::problem)). A problem says whose it is, what it
//! concerns, and whether the request may be sent again; the status belongs to the API.

use super::rejection::{Cause, Rejection, TokenLimit};

/// Something that a caller is told in place of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub kind: ProblemKind,
    /// What tells this problem from others of its kind, for programs.
    pub code: &'static str,
    /// Whose failure it is, for the log and the metrics.
    pub source: Source,
    /// The field or header at fault, as the face calls it.
    pub param: Option<Box<str>>,
    /// What is wrong and what to do about it, in sentences.
    pub message: Box<str>,
    /// Whether a client should send the request again. `Some(false)` where it may have been paid for.
    pub should_retry: Option<bool>,
    /// Whether any call of the request may have been paid for.
    pub may_be_paid: bool,
    /// After how many seconds.
    pub retry_after_s: Option<u32>,
    /// fal's id of the call that failed.
    pub fal_request_id: Option<Box<str>>,
    /// The numbers behind it, which some APIs put into words of their own.
    pub tokens: Option<TokenLimit>,
}

/// Kinds of problems, which decide the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// The request is not one that can be served.
    Invalid,
    /// A key is missing, or opens nothing.
    Unauthenticated,
    /// Whoever asks from there may not.
    Forbidden,
    /// The path or the model does not exist.
    NotFound,
    /// The path is served under another method.
    WrongMethod,
    /// A WebSocket is wanted, and there are none.
    NoWebSocket,
    /// It does not go together with what is there.
    Conflict,
    /// What is there was changed meanwhile.
    Stale,
    /// The head or the body did not come in time.
    TooSlow,
    /// Another request stands in the way.
    Mismatch,
    TooLarge,
    /// The head is too large.
    HeadTooLarge,
    /// The body is not plain JSON.
    MediaType,
    /// Too many requests or wrong keys, at the gateway or at fal. Nothing was paid.
    RateLimited,
    /// More requests than the caller's key or project may send at this time. Nothing was sent.
    TooManyRequests,
    /// More tokens than the caller's key or project may use at this time. Nothing was sent.
    TooManyTokens,
    /// The account at fal has no balance left.
    NoBalance,
    /// It may have been paid for, or no other try can cure it.
    Final,
    /// A mistake in this program, before anything was sent.
    Internal,
    /// fal cannot be reached or has failed; nothing was paid.
    BadUpstream,
    /// fal is not available at the moment; nothing was paid.
    Unavailable,
    /// fal took too long; nothing was paid.
    Timeout,
    /// The gateway has no room, or is stopping; nothing was sent.
    Overloaded,
}

/// Whose failure a problem is. The status does not tell: a failure of fal's that must not be
/// repeated is a 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Caller,
    Upstream,
    Gateway,
}

impl ProblemKind {
    /// The status that HTTP has for it (source: RFC 9110, 15; RFC 6585). An API may have another.
    pub fn status(self) -> u16 {
        match self {
            Self::Invalid | Self::Final => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::WrongMethod => 405,
            Self::TooSlow => 408,
            Self::Conflict => 409,
            Self::Stale => 412,
            Self::TooLarge => 413,
            Self::MediaType => 415,
            Self::Mismatch => 422,
            Self::RateLimited | Self::TooManyRequests | Self::TooManyTokens | Self::NoBalance => {
                429
            }
            Self::NoWebSocket => 426,
            Self::HeadTooLarge => 431,
            Self::Internal => 500,
            Self::BadUpstream => 502,
            Self::Unavailable | Self::Overloaded => 503,
            Self::Timeout => 504,
        }
    }

    /// Whether clients repeat such requests by themselves, by the status that it usually has.
    fn is_repeated(self) -> bool {
        self.status() >= 500 || self.status() == 429
    }
}

impl Problem {
    /// A problem of the caller's.
    pub fn new(kind: ProblemKind, code: &'static str, message: impl Into<Box<str>>) -> Self {
        Self {
            kind,
            code,
            source: Source::Caller,
            param: None,
            message: message.into(),
            should_retry: None,
            may_be_paid: false,
            retry_after_s: None,
            fal_request_id: None,
            tokens: None,
        }
    }

    /// A failure of fal's that cost nothing, so that the client may try again.
    pub fn repeatable(kind: ProblemKind, code: &'static str, message: &str) -> Self {
        Self {
            source: Source::Upstream,
            ..Self::new(kind, code, message)
        }
    }

    /// A failure that may have been paid for, or that no other try can cure.
    pub fn not_repeatable(code: &'static str, message: &str) -> Self {
        Self {
            source: Source::Upstream,
            should_retry: Some(false),
            ..Self::new(ProblemKind::Final, code, message)
        }
    }

    /// A failure that can only come from a mistake in this program. `has_called_fal` tells whether
    /// the request may have been paid for by then.
    pub fn bug(has_called_fal: bool) -> Self {
        let kind = match has_called_fal {
            true => ProblemKind::Final,
            false => ProblemKind::Internal,
        };
        Self {
            source: Source::Gateway,
            should_retry: Some(false),
            may_be_paid: has_called_fal,
            ..Self::new(
                kind,
                "internal_error",
                "The gateway failed because of a bug of its own. Please report it with the request id.",
            )
        }
    }

    /// The same problem, concerning a field or header.
    pub fn about(self, param: impl Into<Box<str>>) -> Self {
        Self {
            param: Some(param.into()),
            ..self
        }
    }

    /// The same problem, where something else of the request may have been paid for.
    pub fn after_payment(self) -> Self {
        if !self.kind.is_repeated() {
            return Self {
                should_retry: Some(false),
                may_be_paid: true,
                ..self
            };
        }
        // After its first sentence a repeatable failure says that it can be repeated.
        let what = self
            .message
            .split_inclusive(". ")
            .next()
            .unwrap_or_default();
        let message = format!(
            "{} Other calls of this request may have been paid for.",
            what.trim_end()
        );
        Self {
            source: self.source,
            param: self.param,
            fal_request_id: self.fal_request_id,
            may_be_paid: true,
            ..Self::not_repeatable(self.code, &message)
        }
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let kind = match rejection.cause {
            Cause::UnknownModel | Cause::NotKept(_) => ProblemKind::NotFound,
            _ => ProblemKind::Invalid,
        };
        Self {
            param: rejection.param.map(Into::into),
            tokens: rejection.tokens,
            ..Self::new(kind, rejection.cause.code(), rejection.message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_told_to_repeat_what_was_partly_paid() {
        for kind in [
            ProblemKind::RateLimited,
            ProblemKind::NoBalance,
            ProblemKind::BadUpstream,
            ProblemKind::Unavailable,
            ProblemKind::Timeout,
            ProblemKind::Overloaded,
        ] {
            let problem = Problem::repeatable(kind, "busy", "fal is busy. Try again in a moment.");
            let problem = problem.about("model").after_payment();
            assert_eq!(problem.kind, ProblemKind::Final);
            assert_eq!(
                (problem.should_retry, problem.may_be_paid),
                (Some(false), true)
            );
            assert_eq!(problem.param.as_deref(), Some("model"));
            assert_eq!(
                &*problem.message,
                "fal is busy. Other calls of this request may have been paid for."
            );
        }
        let refused = Problem::new(ProblemKind::Invalid, "invalid_value", "No. Send less.");
        let after = refused.clone().after_payment();
        assert_eq!(after.should_retry, Some(false));
        assert_eq!((after.kind, after.message), (refused.kind, refused.message));
    }
}
