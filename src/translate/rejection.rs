//! Why a request cannot be served: the caller's side of things, found before fal is called.

/// A request that is refused. The message is for the caller: it names what is wrong and the cure,
/// and never repeats text out of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub cause: Cause,
    /// The field at fault, as a path: `messages[2].content[1]`.
    pub param: Option<String>,
    pub message: String,
    /// The numbers behind it, where it is about length and a shorter conversation would do.
    pub tokens: Option<TokenLimit>,
}

/// More tokens than a model takes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenLimit {
    /// The tokens of the request, estimated.
    pub wanted: u64,
    pub most: u64,
}

/// The kinds of refusal that a caller can tell apart by `code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    InvalidJson,
    InvalidValue,
    MissingParameter,
    UnsupportedParameter,
    UnsupportedValue,
    UnknownModel,
    /// Something that is named and not kept, by its code.
    NotKept(&'static str),
    /// Too long, which a shorter conversation would cure.
    ContextLengthExceeded,
    /// Too long, whatever is left out of the conversation.
    StringAboveMaxLength,
    InvalidImage,
    /// One that only its API knows, by its code.
    OfFace(&'static str),
}

impl Cause {
    /// OpenAI's `code` for this kind.
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::InvalidValue => "invalid_value",
            Self::MissingParameter => "missing_required_parameter",
            Self::UnsupportedParameter => "unsupported_parameter",
            Self::UnsupportedValue => "unsupported_value",
            Self::UnknownModel => "model_not_found",
            Self::ContextLengthExceeded => "context_length_exceeded",
            Self::StringAboveMaxLength => "string_above_max_length",
            Self::InvalidImage => "invalid_image_url",
            Self::NotKept(code) | Self::OfFace(code) => code,
        }
    }
}

impl Rejection {
    /// A refusal that concerns one field.
    pub fn of(cause: Cause, param: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            cause,
            param: Some(param.into()),
            message: message.into(),
            tokens: None,
        }
    }

    /// The same refusal, concerning another field.
    pub fn about(self, param: impl Into<String>) -> Self {
        Self {
            param: Some(param.into()),
            ..self
        }
    }

    /// A field that has to be there and is not.
    pub fn missing(param: impl Into<String>) -> Self {
        let param = param.into();
        let message = format!("Missing required parameter: '{param}'.");
        Self::of(Cause::MissingParameter, param, message)
    }

    /// A value of the wrong type or out of range.
    pub fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::of(Cause::InvalidValue, param, message)
    }

    /// A field that would change the answer and that nothing here can honour.
    pub fn unsupported(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::of(Cause::UnsupportedParameter, param, message)
    }

    /// A body that is not the JSON it should be.
    pub fn json(message: impl Into<String>) -> Self {
        Self {
            cause: Cause::InvalidJson,
            param: None,
            message: message.into(),
            tokens: None,
        }
    }
}
