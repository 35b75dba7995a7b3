//! The models each variant of any-llm lists. Source: fal's any-llm, any-llm/vision and
//! any-llm/enterprise API pages as of October 2025, and later additions seen in fal's own
//! validation errors.

/// Which of the app's endpoints is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::emulator) enum Variant {
    Plain,
    Vision,
    Enterprise,
}

/// The model that answers when none is named.
pub(super) const DEFAULT_MODEL: &str = "google/gemini-2.5-flash-lite";

/// Not in the documented list, but accepted later.
const LATER: &[&str] = &[
    "anthropic/claude-sonnet-4.5",
    "anthropic/claude-haiku-4.5",
    "anthropic/claude-sonnet-4",
    "anthropic/claude-opus-4",
    "moonshotai/kimi-k2",
];

const PLAIN: &[&str] = &[
    "deepseek/deepseek-r1",
    "anthropic/claude-3.7-sonnet",
    "anthropic/claude-3.5-sonnet",
    "anthropic/claude-3-5-haiku",
    "anthropic/claude-3-haiku",
    "google/gemini-pro-1.5",
    "google/gemini-flash-1.5",
    "google/gemini-flash-1.5-8b",
    "google/gemini-2.0-flash-001",
    "google/gemini-2.5-flash",
    "google/gemini-2.5-flash-lite",
    "google/gemini-2.5-pro",
    "meta-llama/llama-3.2-1b-instruct",
    "meta-llama/llama-3.2-3b-instruct",
    "meta-llama/llama-3.1-8b-instruct",
    "meta-llama/llama-3.1-70b-instruct",
    "openai/gpt-oss-120b",
    "openai/gpt-4o-mini",
    "openai/gpt-4o",
    "openai/gpt-4.1",
    "openai/o3",
    "openai/gpt-5-chat",
    "openai/gpt-5-mini",
    "openai/gpt-5-nano",
    "meta-llama/llama-4-maverick",
    "meta-llama/llama-4-scout",
];

const VISION: &[&str] = &[
    "anthropic/claude-3.7-sonnet",
    "anthropic/claude-3.5-sonnet",
    "anthropic/claude-3-haiku",
    "google/gemini-pro-1.5",
    "google/gemini-flash-1.5",
    "google/gemini-flash-1.5-8b",
    "google/gemini-2.0-flash-001",
    "google/gemini-2.5-flash",
    "google/gemini-2.5-flash-lite",
    "google/gemini-2.5-pro",
    "openai/gpt-4o",
    "openai/gpt-4.1",
    "openai/gpt-5-chat",
    "meta-llama/llama-3.2-90b-vision-instruct",
    "meta-llama/llama-4-maverick",
    "meta-llama/llama-4-scout",
];

/// Enterprise endpoints leave this one out: it is trained on what it is asked.
const NOT_ENTERPRISE: &str = "deepseek/deepseek-r1";

/// The models of a variant, the later ones first, as fal's validation error lists them.
pub(in crate::emulator) fn models(variant: Variant) -> impl Iterator<Item = &'static str> {
    let documented = match variant {
        Variant::Plain | Variant::Enterprise => PLAIN,
        Variant::Vision => VISION,
    };
    LATER
        .iter()
        .chain(documented)
        .copied()
        .filter(move |&model| variant != Variant::Enterprise || model != NOT_ENTERPRISE)
}

/// `'a', 'b' or 'c'`, as pydantic writes the choices of a literal.
pub(in crate::emulator) fn options_text(variant: Variant) -> String {
    quoted_choice(&models(variant).collect::<Vec<_>>())
}

pub(super) fn quoted_choice(options: &[&str]) -> String {
    let quoted: Vec<String> = options.iter().map(|option| format!("'{option}'")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
    }
}
