//! The words and tokens that families of models put around their calls.
//!
//! | Family | Form |
//! |---|---|
//! | Llama 3 | `<|python_tag|>{"name": ..., "parameters": ...}`, `<|python_tag|>f.call(a=1)` |
//! | Mistral | `[TOOL_CALLS][{...}]`, `[TOOL_CALLS]f[ARGS]{...}` |
//! | DeepSeek | `<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f`, then JSON in a fence |
//! | Kimi | `<|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{...}<|tool_call_end|>` |
//! | gpt-oss | `<|channel|>commentary to=functions.f <|constrain|>json<|message|>{...}<|call|>` |
//! | Granite, Phi | `<|tool_call|>[{...}]`, `functools[{...}]` |
//! | Nemotron | `<TOOLCALL>[{...}]</TOOLCALL>` |
//! | Command R | `<|START_ACTION|>[{"tool_name": ..., "parameters": ...}]<|END_ACTION|>` |
//! | LFM | `<|tool_call_start|>[f(a=1)]<|tool_call_end|>` |
//! | FunctionGemma | `<start_function_call>call:f{a:<escape>x<escape>}<end_function_call>` |
//! | Gemini | `tool_code` as the language of a fence around `print(f(a=1))` |
//! | ReAct | `Action: f`, then `Action Input: {...}` |
//!
//! What stands between the marks is read as in any other form, so a mark is only something to go
//! past. Hosts that strip tokens leave the rest, which is why names may follow plain words.

use super::markup::window;

/// What a mark tells about the call behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A token of a family.
    Token,
    /// A label of ReAct.
    Label,
}

/// Marks that are spelt in one way only.
const FIXED: [(&str, Mark); 13] = [
    ("[TOOL_CALLS]", Mark::Token),
    ("[ARGS]", Mark::Token),
    ("<TOOLCALL>", Mark::Token),
    ("</TOOLCALL>", Mark::Token),
    ("<start_function_call>", Mark::Token),
    ("<end_function_call>", Mark::Token),
    ("</s>", Mark::Token),
    ("functools", Mark::Token),
    ("commentary to=functions.", Mark::Token),
    ("to=functions.", Mark::Token),
    ("Action Input:", Mark::Label),
    ("Action:", Mark::Label),
    ("Observation:", Mark::Label),
];
/// What the tokens of families begin and end with, in between being their name.
const TOKENS: [(&str, &str); 2] = [("<|", "|>"), ("<｜", "｜>")];
/// The longest name of a token, in bytes.
const MAX_NAME: usize = 48;
/// Words that stand between tokens and name no tool.
const BETWEEN: [&str; 5] = ["assistant", "commentary", "function", "json", "call:"];

/// The mark at the beginning of a text, and what follows it.
pub fn skip_mark(text: &str) -> Option<(Mark, &str)> {
    let fixed = FIXED.iter().find_map(|(word, mark)| {
        let after = text.strip_prefix(word)?;
        Some((*mark, after))
    });
    fixed.or_else(|| skip_token(text).map(|after| (Mark::Token, after)))
}

fn skip_token(text: &str) -> Option<&str> {
    TOKENS.iter().find_map(|(open, close)| {
        let inside = text.strip_prefix(open)?;
        let (name, _) = window(inside, MAX_NAME).split_once(close)?;
        is_token_name(name).then(|| inside.get(name.len()..)?.strip_prefix(close))?
    })
}

/// Whether a text of which more may come could turn out to begin with a mark.
pub fn could_be_mark(text: &str) -> bool {
    let could_be_token = TOKENS.iter().any(|(open, close)| {
        let begins = |inside: &str| {
            let name = close
                .chars()
                .next()
                .and_then(|mark| inside.strip_suffix(mark));
            inside.len() < MAX_NAME && is_token_name(name.unwrap_or(inside))
        };
        open.starts_with(text) || text.strip_prefix(open).is_some_and(begins)
    });
    could_be_token || FIXED.iter().any(|(word, _)| word.starts_with(text))
}

/// Whether a mark can stand in the midst of a line: tokens can, since their families write them
/// without a line break.
pub fn could_be_mark_in_line(text: &str) -> bool {
    let begins = |word: &str| word.starts_with(text) || text.starts_with(word);
    TOKENS.iter().any(|(open, _)| begins(open)) || begins("[TOOL_CALLS]")
}

/// What follows a word that stands between tokens and names no tool.
pub fn skip_between(text: &str) -> Option<&str> {
    BETWEEN.iter().find_map(|word| {
        let after = text.strip_prefix(word)?;
        let is_whole = word.ends_with(':')
            || !after.starts_with(|next: char| next.is_alphanumeric() || next == '_');
        is_whole.then_some(after)
    })
}

/// Whether a text of which more may come could turn out to be such a word.
pub fn could_be_between(text: &str) -> bool {
    BETWEEN.iter().any(|word| word.starts_with(text))
}

fn is_token_name(name: &str) -> bool {
    name.chars()
        .all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '▁' | '/' | '-'))
}
