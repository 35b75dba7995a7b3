//! Which of fal's applications a path leads to, and which of its endpoints.

use super::{http::call::Whole, llm::Variant, router::Prompt};

/// An endpoint that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    AnyLlm(Variant),
    /// `openrouter/router` with a prompt.
    Router(Prompt),
    /// `openrouter/router` with messages, as OpenAI takes them.
    Chat,
}

/// An endpoint as it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) endpoint: Endpoint,
    /// By its path; the chat face is told in the body.
    pub(super) stream: bool,
}

/// The endpoint at `segments`, the whole path split at its slashes.
///
/// # Errors
///
/// fal's 404: of the platform for an unknown app, of the app for an unknown path.
pub(super) fn resolve(segments: &[&str]) -> Result<Target, Whole> {
    let (endpoint, rest) = match segments {
        ["fal-ai", "any-llm", "vision", rest @ ..] => (Endpoint::AnyLlm(Variant::Vision), rest),
        ["fal-ai", "any-llm", "enterprise", rest @ ..] => {
            (Endpoint::AnyLlm(Variant::Enterprise), rest)
        }
        ["fal-ai", "any-llm", rest @ ..] => (Endpoint::AnyLlm(Variant::Plain), rest),
        [
            "openrouter",
            "router",
            "openai",
            "v1",
            "chat",
            "completions",
        ] => (Endpoint::Chat, &[][..]),
        ["openrouter", "router", rest @ ..] => {
            let (prompt, rest) = Prompt::at(rest);
            (Endpoint::Router(prompt), rest)
        }
        [_, alias, ..] => {
            return Err(Whole::detail(
                404,
                format!("Application {alias:?} not found"),
            ));
        }
        [path] => return Err(path_unknown(path)),
        [] => return Err(path_unknown("")),
    };
    match rest {
        [] => Ok(Target {
            endpoint,
            stream: false,
        }),
        ["stream"] => Ok(Target {
            endpoint,
            stream: true,
        }),
        unknown => Err(path_unknown(&unknown.join("/"))),
    }
}

fn path_unknown(path: &str) -> Whole {
    Whole::detail(404, format!("Path /{path} not found")).with("x-fal-billable-units", "0")
}

impl Endpoint {
    /// Its name at fal.
    pub(super) fn app(self) -> &'static str {
        match self {
            Endpoint::AnyLlm(Variant::Plain) => "fal-ai/any-llm",
            Endpoint::AnyLlm(Variant::Vision) => "fal-ai/any-llm/vision",
            Endpoint::AnyLlm(Variant::Enterprise) => "fal-ai/any-llm/enterprise",
            Endpoint::Router(prompt) => prompt.app(),
            Endpoint::Chat => "openrouter/router/openai/v1/chat/completions",
        }
    }

    /// The application without the path of the endpoint in it.
    pub(super) fn application(self) -> &'static str {
        match self {
            Endpoint::AnyLlm(_) => "fal-ai/any-llm",
            Endpoint::Router(_) | Endpoint::Chat => "openrouter/router",
        }
    }

    /// Whose list of models an error about a model shows.
    pub(super) fn variant(self) -> Variant {
        match self {
            Endpoint::AnyLlm(variant) => variant,
            Endpoint::Router(_) | Endpoint::Chat => Variant::Plain,
        }
    }
}
