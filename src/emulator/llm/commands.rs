//! What the stand-in understands: a few commands at the start of a message, a few questions about
//! the conversation, and small talk for all the rest.

use serde_json::{Value, json};

use super::{
    Input,
    conversation::{Conversation, Turn},
    input::data_uri,
    prose,
};

/// Longest answer of `long N`, in characters.
const LONGEST: usize = 2_000_000;
/// Largest number that `count N` counts to.
const HIGHEST: usize = 100_000;

/// An answer before it is tagged and cut.
pub(super) struct Said {
    pub(super) text: String,
    /// The bytes matter: no tag.
    pub(super) exact: bool,
    /// Takes many steps of reasoning.
    pub(super) ponders: bool,
}

pub(super) fn plainly(text: impl Into<String>) -> Said {
    Said {
        text: text.into(),
        exact: false,
        ponders: false,
    }
}

pub(super) fn exactly(text: impl Into<String>) -> Said {
    Said {
        exact: true,
        ..plainly(text)
    }
}

/// Answers the message of `conversation`, which was read out of `input`.
pub(super) fn answer(input: &Input, conversation: &Conversation<'_>) -> Said {
    let message = conversation.message;
    command(input, message)
        .or_else(|| question(conversation).map(plainly))
        .unwrap_or_else(|| plainly(prose::small_talk(message)))
}

fn command(input: &Input, message: &str) -> Option<Said> {
    let (word, rest) = match message.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest),
        None => (message, ""),
    };
    let number = || rest.split_whitespace().next()?.parse::<usize>().ok();
    Some(match word.to_lowercase().as_str() {
        "echo" => exactly(rest),
        "json" => exactly(JSON),
        "describe" => exactly(describe(input).to_string()),
        "count" => plainly(count(number()?.min(HIGHEST))),
        "long" => plainly(prose::long(message, number()?.min(LONGEST))),
        "unicode" => plainly(UNICODE),
        "markdown" => plainly(MARKDOWN),
        "reason" => Said {
            ponders: true,
            ..plainly(prose::conclusion(message))
        },
        _ => return None,
    })
}

fn count(to: usize) -> String {
    let numbers: Vec<String> = (1..=to).map(|number| number.to_string()).collect();
    numbers.join(" ")
}

/// What we were sent, so that a caller can see what arrives at fal.
fn describe(input: &Input) -> Value {
    let images: Vec<Value> = input
        .image_urls
        .iter()
        .map(|url| describe_image(url))
        .collect();
    let mut seen = json!({
        "endpoint": input.endpoint,
        "prompt_chars": input.prompt.chars().count(),
        "system_prompt": input.system_prompt,
        "model": input.model,
        "temperature": input.temperature,
        "max_tokens": input.max_tokens,
        "reasoning": input.reasoning,
        "priority": input.priority,
        "image_count": images.len(),
        "images": images,
    });
    if let Some(fields) = seen.as_object_mut() {
        let audio = input.audio_url.as_deref().map(describe_image);
        fields.extend(audio.map(|audio| ("audio".to_owned(), audio)));
        if !input.video_urls.is_empty() {
            let videos = input.video_urls.iter().map(|url| describe_image(url));
            fields.insert("videos".to_owned(), videos.collect());
        }
    }
    seen
}

fn describe_image(url: &str) -> Value {
    match data_uri(url) {
        Some((kind, bytes)) => json!({ "source": "data", "type": kind, "bytes": bytes.len() }),
        None => json!({ "source": "url", "url": url }),
    }
}

/// Answers questions about what was said before.
fn question(conversation: &Conversation<'_>) -> Option<String> {
    let asked = conversation.message.to_lowercase();
    let asks = |words: &[&str]| words.iter().any(|words| asked.contains(words));
    let turns = &conversation.turns;
    let mut users = turns.iter().filter(|turn| turn.role == "user");
    if asked.trim() == "recall" || asks(&["what did i say first", "what was my first message"]) {
        return Some(users.next().map_or_else(
            || "This is the first thing you said.".to_owned(),
            |turn| format!("You first said: \"{}\"", turn.text),
        ));
    }
    if asks(&["what did i say last", "what did i just say"]) {
        return users
            .next_back()
            .map(|turn| format!("You last said: \"{}\"", turn.text));
    }
    asks(&["what is my name", "what's my name", "who am i"]).then(|| {
        name(users).map_or_else(
            || "You have not told me your name.".to_owned(),
            |name| format!("Your name is {name}."),
        )
    })
}

/// The word after "my name is" (or "I am called") in the latest turn that has it.
fn name<'a>(users: impl DoubleEndedIterator<Item = &'a Turn<'a>>) -> Option<&'a str> {
    users.rev().find_map(|turn| {
        let (at, phrase) = ["my name is ", "My name is ", "I am called "]
            .iter()
            .find_map(|phrase| Some((turn.text.find(phrase)?, phrase)))?;
        let rest = turn.text.get(at + phrase.len()..)?;
        rest.split(|c: char| !c.is_alphanumeric() && c != '-')
            .next()
            .filter(|name| !name.is_empty())
    })
}

const JSON: &str = r#"{"name": "Ada", "languages": ["English", "日本語"], "address": {"city": "London", "zip": null}, "score": 9.75, "active": true}"#;

const UNICODE: &str = "Emoji 👩‍👩‍👧‍👦 🏳️‍🌈 𝒻𝒶𝓁; combining n\u{303}o\u{308}e\u{301}; Chinese 你好，世界; Japanese こんにちは; Arabic مرحبا بالعالم; Hebrew שלום; \
Devanagari नमस्ते; line separator \u{2028}paragraph separator \u{2029}zero width \u{200b}joiner; quotes \"double\" 'single' “curly”; backslashes \\ \\n \\u0041; \
tab\tend; control \u{1}\u{7f}; tags </script> & <b>; last plane \u{10FFFD}.";

const MARKDOWN: &str = "# A heading\n\nSome **bold**, *italic* and `inline code`, and a [link](https://example.com).\n\n\
1. First\n2. Second\n   - nested\n\n> A quotation\n\n| Left | Right |\n|:-----|------:|\n| a    | 1     |\n\n\
```python\ndef gate(words):\n    for word in words:\n        yield word\n```\n\nInline math: $e^{i\\pi} + 1 = 0$.\n";
