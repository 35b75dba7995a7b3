//! The upstreams: fal's applications that models are asked through, and what each of them can.

use std::fmt;

/// An application of fal's that answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UpstreamId {
    /// `fal-ai/any-llm`: a prompt, at a price for each request.
    #[default]
    AnyLlm,
    /// `openrouter/router`: a prompt, at a price for each token, which it tells.
    Router,
    /// `openrouter/router/openai/v1`: OpenAI's chat completions as OpenRouter serves them.
    RouterOpenai,
}

/// What an upstream takes and gives, whatever the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    pub input: InputShape,
    pub tools: Means,
    pub schemas: Means,
    pub stops: Means,
    pub deltas: Deltas,
    /// Whether it tells the tokens and the cost of an answer.
    pub tells_usage: bool,
    /// Whether it has an `/enterprise` route.
    pub enterprise: bool,
    /// Whether it takes `priority`.
    pub priority: bool,
    /// What follows the application's path when a text is sent.
    pub path: &'static str,
}

/// What a conversation is sent as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputShape {
    /// One text, into which the conversation is folded.
    Prompt,
    /// Its messages.
    Messages,
}

/// How something is brought about that a caller asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// The gateway sees to it: by what it tells the model, and by what it makes of the answer.
    Emulated,
    /// The upstream has a field for it, where the model has it.
    Native,
}

/// What the events of a stream hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deltas {
    /// All the text so far.
    Cumulative,
    /// What is new.
    Incremental,
}

impl UpstreamId {
    /// Every upstream, in the order in which tables show them.
    pub const ALL: [Self; 3] = [Self::AnyLlm, Self::Router, Self::RouterOpenai];

    /// Its name in settings, headers, logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::AnyLlm => "any-llm",
            Self::Router => "router",
            Self::RouterOpenai => "router-openai",
        }
    }

    /// The setting that names its application.
    pub fn app_setting(self) -> &'static str {
        match self {
            Self::AnyLlm => "fal.app",
            Self::Router => "fal.router_app",
            Self::RouterOpenai => "fal.openai_app",
        }
    }

    /// The upstream of this name.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|id| id.word() == word)
    }

    /// What it takes and gives (source: fal's pages for the applications, and OpenRouter's
    /// documentation of chat completions).
    pub fn features(self) -> &'static Features {
        match self {
            Self::AnyLlm => &ANY_LLM,
            Self::Router => &ROUTER,
            Self::RouterOpenai => &ROUTER_OPENAI,
        }
    }
}

impl fmt::Display for UpstreamId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

const ANY_LLM: Features = Features {
    input: InputShape::Prompt,
    tools: Means::Emulated,
    schemas: Means::Emulated,
    stops: Means::Emulated,
    deltas: Deltas::Cumulative,
    tells_usage: false,
    enterprise: true,
    priority: true,
    path: "",
};

const ROUTER: Features = Features {
    tells_usage: true,
    priority: false,
    ..ANY_LLM
};

const ROUTER_OPENAI: Features = Features {
    input: InputShape::Messages,
    tools: Means::Native,
    schemas: Means::Native,
    stops: Means::Native,
    deltas: Deltas::Incremental,
    tells_usage: true,
    enterprise: false,
    priority: false,
    path: "/chat/completions",
};

/// The applications' paths at fal, by upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apps {
    pub any_llm: String,
    pub router: String,
    pub router_openai: String,
}

impl Default for Apps {
    /// fal's own.
    fn default() -> Self {
        Self {
            any_llm: "fal-ai/any-llm".to_owned(),
            router: "openrouter/router".to_owned(),
            router_openai: "openrouter/router/openai/v1".to_owned(),
        }
    }
}

impl Apps {
    /// The path of an upstream's application, without slashes at its ends.
    pub fn path(&self, upstream: UpstreamId) -> &str {
        match upstream {
            UpstreamId::AnyLlm => &self.any_llm,
            UpstreamId::Router => &self.router,
            UpstreamId::RouterOpenai => &self.router_openai,
        }
    }
}
