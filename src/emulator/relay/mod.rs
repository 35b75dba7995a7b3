//! Lets a real model answer: a call to any-llm becomes a chat completion of any server that speaks
//! OpenAI's API, and its answer becomes fal's.

mod lines;

use std::sync::PoisonError;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream::LocalBoxStream};
use serde_json::{Value, json};

use super::{
    http::{
        call::Whole,
        kinds::{self, Mention},
    },
    llm::Input,
    options::{Options, Overheard},
    play::{Snapshot, Step},
};
use lines::Lines;

/// Characters of a server's error text that are passed on.
const MAX_ERROR_CHARS: usize = 2000;
/// Bytes of one answer.
const MAX_BYTES: usize = 16 << 20;

/// The server to relay to.
pub(super) struct Relay {
    client: reqwest::Client,
    url: String,
    key: Option<String>,
    model: Option<String>,
    overheard: Option<Overheard>,
}

/// Prints a line on stderr for what the server did not answer; nothing else shows its words.
fn tell(what: &str) {
    const MAX_SHOWN: usize = 200;
    let shown = what.chars().take(MAX_SHOWN).flat_map(char::escape_debug);
    eprintln!("relay: the server {}", shown.collect::<String>());
}

impl Relay {
    pub(super) fn new(options: &Options, client: reqwest::Client) -> Option<Relay> {
        let base = options.relay.as_ref()?.trim_end_matches('/');
        Some(Relay {
            client,
            url: format!("{base}/chat/completions"),
            key: options.relay_key.clone(),
            model: options.relay_model.clone(),
            overheard: options.overheard.clone(),
        })
    }

    /// Asks the server; dropping the answer hangs up on it.
    ///
    /// # Errors
    ///
    /// Its error, wrapped as fal's app wraps the errors of its own provider.
    pub(super) async fn ask(
        &self,
        input: &Input,
    ) -> Result<LocalBoxStream<'static, Snapshot>, Whole> {
        let mut request = self
            .client
            .post(&self.url)
            .header("content-type", "application/json")
            .header("accept", "text/event-stream")
            .body(self.request_body(input).to_string());
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let answer = request.send().await.map_err(|_| unreachable(input))?;
        let status = answer.status().as_u16();
        if status != 200 {
            let text = answer.text().await.unwrap_or_default();
            tell(&format!("answered {status}: {text}"));
            let text: String = text.chars().take(MAX_ERROR_CHARS).collect();
            return Err(Whole::detail(400, format!("Error code: {status} - {text}")));
        }
        let overheard = self.overheard.clone();
        Ok(growing(answer.bytes_stream(), overheard).boxed_local())
    }

    /// Passes a chat completion on as it is, for the model that the relay is set up for.
    ///
    /// # Errors
    ///
    /// The server's error, in the words of the router's own provider.
    pub(super) async fn pass_on(&self, body: &Value) -> Result<Bytes, Whole> {
        let mut chunks = self.completion(body).await?.bytes_stream();
        let mut whole = BytesMut::new();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| provider_error(502, "the relay's answer broke off"))?;
            whole.extend_from_slice(&chunk);
            if whole.len() > MAX_BYTES {
                return Err(provider_error(502, "the relay's answer is too long"));
            }
        }
        Ok(whole.freeze())
    }

    /// The same for a stream, event by event as it comes.
    ///
    /// # Errors
    ///
    /// As [`Relay::pass_on`].
    pub(super) async fn stream_on(
        &self,
        body: &Value,
    ) -> Result<LocalBoxStream<'static, Step>, Whole> {
        let answer = self.completion(body).await?;
        let steps = answer.bytes_stream().map(|chunk| match chunk {
            Ok(bytes) => Step::Event(bytes),
            Err(_) => Step::Cut,
        });
        Ok(steps
            .chain(futures::stream::iter([Step::Last]))
            .boxed_local())
    }

    async fn completion(&self, body: &Value) -> Result<reqwest::Response, Whole> {
        let mut body = body.clone();
        if let (Some(model), Some(fields)) = (&self.model, body.as_object_mut()) {
            fields.insert("model".to_owned(), json!(model));
        }
        let mut request = self
            .client
            .post(&self.url)
            .header("content-type", "application/json")
            .body(body.to_string());
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let answer = request
            .send()
            .await
            .map_err(|_| provider_error(502, "the relay does not answer"))?;
        let status = answer.status().as_u16();
        if status == 200 {
            return Ok(answer);
        }
        let text = answer.text().await.unwrap_or_default();
        let text: String = text.chars().take(MAX_ERROR_CHARS).collect();
        tell(&format!("answered {status}: {text}"));
        Err(provider_error(status, &text))
    }

    fn request_body(&self, input: &Input) -> Value {
        let mut messages = Vec::new();
        if let Some(system) = &input.system_prompt {
            messages.push(json!({ "role": "system", "content": system }));
        }
        let content = if input.image_urls.is_empty() {
            json!(input.prompt)
        } else {
            let text = json!({ "type": "text", "text": input.prompt });
            let images = input
                .image_urls
                .iter()
                .map(|url| json!({ "type": "image_url", "image_url": { "url": url } }));
            std::iter::once(text).chain(images).collect()
        };
        messages.push(json!({ "role": "user", "content": content }));
        let model = self.model.as_ref().unwrap_or(&input.model);
        let mut body = json!({ "model": model, "messages": messages, "stream": true });
        if let Some(fields) = body.as_object_mut() {
            let temperature = input
                .temperature
                .map(|value| ("temperature".to_owned(), json!(value)));
            let max_tokens = input
                .max_tokens
                .map(|value| ("max_tokens".to_owned(), json!(value)));
            fields.extend(temperature.into_iter().chain(max_tokens));
        }
        body
    }
}

fn provider_error(status: u16, raw: &str) -> Whole {
    let metadata = json!({ "raw": raw, "provider_name": "relay" });
    let error =
        json!({ "message": "Provider returned error", "code": status, "metadata": metadata });
    Whole::json(status, &json!({ "error": error }))
}

fn unreachable(input: &Input) -> Whole {
    let kind = kinds::find("runner_503").expect("the relay's refusal is in the table");
    kind.reply(&Mention {
        app: "fal-ai/any-llm",
        variant: input.variant,
        input: &Value::Null,
    })
}

/// What one line of the server's stream adds.
enum Piece {
    Delta { content: String, reasoning: String },
    Failed(String),
    Done,
}

/// The snapshots of a chat completion that is streamed as `body`.
fn growing(
    body: impl Stream<Item = reqwest::Result<Bytes>> + 'static,
    overheard: Option<Overheard>,
) -> impl Stream<Item = Snapshot> {
    async_stream::stream! {
        let mut heard = Hearing { text: String::new(), overheard };
        let mut body = Box::pin(body);
        let mut lines = Lines::default();
        let mut so_far = Snapshot { output: Some(String::new()), reasoning: None, partial: true, error: None };
        let failure = 'answer: loop {
            let chunk = match body.next().await {
                None => break Some("the relay's answer ended early".to_owned()),
                Some(Err(error)) => break Some(format!("the relay's answer broke off: {error}")),
                Some(Ok(chunk)) => chunk,
            };
            if lines.push(&chunk) > MAX_BYTES || so_far.output.as_ref().map_or(0, String::len) > MAX_BYTES {
                break Some("the relay's answer is too long".to_owned());
            }
            while let Some(line) = lines.next_line() {
                match read_line(&line) {
                    None => {}
                    Some(Piece::Done) => break 'answer None,
                    Some(Piece::Failed(error)) => break 'answer Some(error),
                    Some(Piece::Delta { content, reasoning }) => {
                        if content.is_empty() && reasoning.is_empty() {
                            continue;
                        }
                        so_far.output.get_or_insert_default().push_str(&content);
                        heard.text.push_str(&content);
                        if !reasoning.is_empty() {
                            so_far.reasoning.get_or_insert_default().push_str(&reasoning);
                        }
                        yield so_far.clone();
                    }
                }
            }
        };
        if let Some(failure) = &failure {
            tell(&format!("broke off: {failure}"));
        }
        drop(heard);
        yield Snapshot { partial: false, error: failure, ..so_far };
    }
}

/// What the server has written so far. It is handed over at its end, also where the caller hangs up.
struct Hearing {
    text: String,
    overheard: Option<Overheard>,
}

impl Drop for Hearing {
    fn drop(&mut self) {
        if let Some(overheard) = &self.overheard {
            let mut texts = overheard.lock().unwrap_or_else(PoisonError::into_inner);
            texts.push(std::mem::take(&mut self.text));
        }
    }
}

/// Reads a line of the stream; comments and empty lines are nothing.
fn read_line(line: &str) -> Option<Piece> {
    let data = line.strip_prefix("data:")?.trim();
    if data == "[DONE]" {
        return Some(Piece::Done);
    }
    let Ok(chunk) = serde_json::from_str::<Value>(data) else {
        return Some(Piece::Failed("the relay sent what is not JSON".to_owned()));
    };
    if let Some(error) = chunk.get("error").filter(|error| !error.is_null()) {
        let text = error.get("message").and_then(Value::as_str);
        return Some(Piece::Failed(
            text.map_or_else(|| error.to_string(), str::to_owned),
        ));
    }
    let delta = chunk.pointer("/choices/0/delta")?;
    let text = |field| delta.get(field).and_then(Value::as_str).map(str::to_owned);
    Some(Piece::Delta {
        content: text("content").unwrap_or_default(),
        reasoning: text("reasoning_content")
            .or_else(|| text("reasoning"))
            .unwrap_or_default(),
    })
}
