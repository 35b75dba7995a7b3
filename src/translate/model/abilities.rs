//! What models can, in OpenRouter's words (source: openrouter.ai/docs/overview/models, "Supported
//! Parameters" and "Architecture").

use std::fmt;

/// Writes an enum of which a set fits into an integer, and the set.
macro_rules! named_set {
    (
        $(#[$about:meta])* $one:ident,
        $(#[$about_set:meta])* $set:ident,
        $($(#[$meaning:meta])* $variant:ident = $name:literal,)+
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $one {
            $($(#[$meaning])* $variant,)+
        }

        impl $one {
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in OpenRouter's list.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// What goes by a name in OpenRouter's list, if it is known here.
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        $(#[$about_set])*
        #[derive(Clone, Copy, Default, PartialEq, Eq)]
        pub struct $set(u32);

        impl $set {
            /// The set of these.
            pub const fn of(members: &[$one]) -> Self {
                let mut bits = 0;
                let mut rest = members;
                while let [first, more @ ..] = rest {
                    bits |= 1 << *first as u32;
                    rest = more;
                }
                Self(bits)
            }

            /// These and those.
            #[must_use]
            pub const fn and(self, others: Self) -> Self {
                Self(self.0 | others.0)
            }

            pub const fn contains(self, member: $one) -> bool {
                self.0 & (1 << member as u32) != 0
            }

            /// The members, in the order of their definition.
            pub fn iter(self) -> impl Iterator<Item = $one> {
                $one::ALL.iter().copied().filter(move |member| self.contains(*member))
            }
        }

        impl FromIterator<$one> for $set {
            fn from_iter<I: IntoIterator<Item = $one>>(members: I) -> Self {
                let one = |set: Self, member| set.and(Self::of(&[member]));
                members.into_iter().fold(Self::default(), one)
            }
        }

        impl fmt::Debug for $set {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_set().entries(self.iter()).finish()
            }
        }
    };
}

named_set! {
    /// A request parameter that some models take natively and others do not. What all take
    /// (`messages`, `stream`, `max_tokens`) and what the list names for few of those that take it
    /// (`parallel_tool_calls`, `max_completion_tokens`) is not among them.
    Parameter,
    /// A set of parameters.
    Parameters,
    Tools = "tools",
    ToolChoice = "tool_choice",
    /// JSON without a schema, `{"type": "json_object"}`.
    ResponseFormat = "response_format",
    /// JSON by a schema, `{"type": "json_schema"}`.
    StructuredOutputs = "structured_outputs",
    Stop = "stop",
    Seed = "seed",
    Logprobs = "logprobs",
    TopLogprobs = "top_logprobs",
    LogitBias = "logit_bias",
    Temperature = "temperature",
    TopP = "top_p",
    TopK = "top_k",
    MinP = "min_p",
    FrequencyPenalty = "frequency_penalty",
    PresencePenalty = "presence_penalty",
    RepetitionPenalty = "repetition_penalty",
    Reasoning = "reasoning",
    Verbosity = "verbosity",
    WebSearchOptions = "web_search_options",
}

named_set! {
    /// What a message may hold.
    Modality,
    /// A set of modalities.
    Modalities,
    Text = "text",
    Image = "image",
    File = "file",
    Audio = "audio",
    Video = "video",
}

/// Whether a model thinks before it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reasoning {
    Never,
    /// Where it is asked to.
    Optional,
    /// Always; it refuses to be told not to.
    Mandatory,
}

impl Reasoning {
    /// Whether it can think at all.
    pub fn is_possible(self) -> bool {
        self != Self::Never
    }
}
