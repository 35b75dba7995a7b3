//! How likely a text's tokens were, as OpenAI and OpenRouter tell it: tokens here are stretches of a
//! few letters, and the rarer characters are two tokens, as they are for real models.

use std::fmt::Write;

use serde_json::{Map, Value, json};

/// The most letters of a token.
const LONGEST: usize = 4;

/// What a request asks to be told; `None` where it does not.
pub(super) fn wanted(body: &Map<String, Value>) -> Option<u64> {
    let is_wanted = body.get("logprobs") == Some(&json!(true));
    let top = body.get("top_logprobs").and_then(Value::as_u64);
    is_wanted.then_some(top.unwrap_or_default())
}

/// What is told of a text: null where nothing is asked for, and an empty text has no tokens.
pub(super) fn told(text: &str, top: Option<u64>) -> Value {
    match top.filter(|_| !text.is_empty()) {
        None => Value::Null,
        Some(top) => {
            let content: Vec<Value> = tokens(text)
                .iter()
                .map(|token| likely(token, top))
                .collect();
            json!({ "content": content, "refusal": null })
        }
    }
}

fn tokens(text: &str) -> Vec<Vec<u8>> {
    let mut tokens: Vec<Vec<u8>> = Vec::new();
    let mut last = String::new();
    for letter in text.chars() {
        let is_rare = letter.len_utf8() == 4;
        if is_rare || letter == ' ' || last.chars().count() == LONGEST {
            tokens.extend((!last.is_empty()).then(|| std::mem::take(&mut last).into_bytes()));
        }
        match is_rare {
            true => {
                let bytes = letter.to_string().into_bytes();
                tokens.extend(bytes.chunks(2).map(<[u8]>::to_vec));
            }
            false => last.push(letter),
        }
    }
    tokens.extend((!last.is_empty()).then(|| last.into_bytes()));
    tokens
}

fn likely(token: &[u8], top: u64) -> Value {
    let mut told = candidate(token, 1);
    let others = (2..=top).map(|rank| candidate(format!(" {rank}").as_bytes(), rank));
    let first = (top > 0).then(|| told.clone());
    let top: Vec<Value> = first.into_iter().chain(others).collect();
    if let Some(members) = told.as_object_mut() {
        members.insert("top_logprobs".to_owned(), json!(top));
    }
    told
}

/// A token of this rank: the higher, the less likely.
fn candidate(token: &[u8], rank: u64) -> Value {
    let bytes = token.len() as f64;
    let logprob = -0.125 * bytes - (rank - 1) as f64;
    json!({ "token": name(token), "logprob": logprob, "bytes": token })
}

/// A token as it is shown: one that is no text, by its bytes.
fn name(token: &[u8]) -> String {
    match std::str::from_utf8(token) {
        Ok(text) => text.to_owned(),
        Err(_) => token.iter().fold(String::new(), |mut name, byte| {
            let _ = write!(name, "\\x{byte:02x}");
            name
        }),
    }
}
