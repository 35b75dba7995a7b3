//! A small OpenAI client, for the commands that ask a gateway something.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::translate::reading::sse::SseDecoder;

/// Asks one gateway.
pub struct Client {
    http: reqwest::Client,
    base_url: String,
    key: Option<SecretString>,
}

/// What to ask.
pub struct Question<'q> {
    pub model: Option<&'q str>,
    pub system: Option<&'q str>,
    pub prompt: &'q str,
    pub reasoning: bool,
}

/// A piece of an answer.
pub struct Piece<'p> {
    pub text: &'p str,
    pub is_reasoning: bool,
}

/// What is known of an answer once it is complete.
pub struct Answer {
    pub model: String,
    first_piece: Option<Duration>,
    total: Duration,
    tokens: Option<(u64, u64)>,
}

/// An answer as it came, good or bad.
pub struct Reply {
    pub status: u16,
    pub body: Bytes,
    headers: reqwest::header::HeaderMap,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum AskError {
    /// The gateway cannot be reached.
    Unreachable { base_url: String },
    /// The gateway refused, in its own words.
    Refused(String),
    /// The answer broke off.
    Broken,
    /// What comes cannot be written.
    Output(io::Error),
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    model: String,
    #[serde(default)]
    choices: Vec<ChunkChoice>,
    usage: Option<ChunkUsage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct ChunkChoice {
    delta: Delta,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
    reasoning_content: Option<String>,
}

#[derive(Deserialize)]
struct ChunkUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
}

/// How long a silent gateway is waited for.
const TIMEOUT: Duration = Duration::from_secs(600);
/// The largest event that is read, in bytes.
const MAX_EVENT: usize = 4 * 1024 * 1024;

impl Client {
    /// A client for the gateway whose API lies at `base_url` (`http://127.0.0.1:3250/v1`).
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(base_url: &str, key: Option<&SecretString>) -> reqwest::Result<Self> {
        Ok(Self {
            http: builder(base_url).read_timeout(TIMEOUT).build()?,
            base_url: base_url.trim_end_matches('/').to_owned(),
            key: key.filter(|key| !key.expose_secret().is_empty()).cloned(),
        })
    }

    /// Asks, and hands on the answer piece by piece.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn ask(
        &self,
        question: &Question<'_>,
        mut on_piece: impl FnMut(Piece<'_>) -> io::Result<()>,
    ) -> Result<Answer, AskError> {
        let started = Instant::now();
        let request = self
            .http
            .post(format!("{}/chat/completions", self.base_url))
            .body(question.to_json());
        let response = self.send(request).await?;
        let mut answer = Answer {
            model: String::new(),
            first_piece: None,
            total: Duration::ZERO,
            tokens: None,
        };
        let mut decoder = SseDecoder::new(MAX_EVENT);
        let mut body = response.bytes_stream();
        while let Some(bytes) = body.next().await {
            decoder.feed(&bytes.map_err(|_| AskError::Broken)?);
            while let Some(event) = decoder.next_event() {
                let data = decoder.data(&event);
                if data == b"[DONE]" {
                    answer.total = started.elapsed();
                    return Ok(answer);
                }
                let chunk: Chunk = serde_json::from_slice(data).map_err(|_| AskError::Broken)?;
                answer.take(chunk, started, &mut on_piece)?;
            }
        }
        Err(AskError::Broken)
    }

    /// Sends a chat completion request and takes whatever comes, refusals included. The gateway is
    /// asked for its notes.
    ///
    /// # Errors
    /// [`AskError::Unreachable`], and [`AskError::Broken`] when the connection breaks off.
    pub async fn complete(&self, request: &Value) -> Result<Reply, AskError> {
        let request = self
            .http
            .post(format!("{}/chat/completions", self.base_url))
            .header("x-gateway-notes", "body")
            .body(request.to_string());
        let response = self.respond(request).await?;
        Ok(Reply {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await.map_err(|_| AskError::Broken)?,
        })
    }

    /// The gateway's list of models, as it sends it.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn models(&self) -> Result<Value, AskError> {
        let response = self
            .send(self.http.get(format!("{}/models", self.base_url)))
            .await?;
        let body = response.bytes().await.map_err(|_| AskError::Broken)?;
        serde_json::from_slice(&body).map_err(|_| AskError::Broken)
    }

    /// The response, whatever its status.
    async fn respond(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, AskError> {
        let request = request.header("content-type", "application/json");
        let request = match &self.key {
            Some(key) => request.bearer_auth(key.expose_secret()),
            None => request,
        };
        let unreachable = |_| AskError::Unreachable {
            base_url: self.base_url.clone(),
        };
        request.send().await.map_err(unreachable)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, AskError> {
        let response = self.respond(request).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = response.bytes().await.unwrap_or_default();
        let error: Option<Value> = serde_json::from_slice(&body).ok();
        let message = error
            .as_ref()
            .and_then(|error| error.pointer("/error/message")?.as_str());
        Err(AskError::Refused(
            message.map_or_else(|| status.to_string(), str::to_owned),
        ))
    }
}

/// Gives an order that has no body; the status and the body of the answer, or nothing if nobody
/// answers in time.
pub async fn order(
    url: &str,
    key: Option<&SecretString>,
    patience: Duration,
    is_own: bool,
) -> Option<(u16, Value)> {
    let http = builder(url).timeout(patience);
    let http = http.tls_danger_accept_invalid_certs(is_own).build().ok()?;
    let mut request = http.post(url).header("content-type", "application/json");
    if let Some(key) = key {
        request = request.bearer_auth(key.expose_secret());
    }
    let response = request.send().await.ok()?;
    let status = response.status().as_u16();
    let body = response.bytes().await.ok()?;
    Some((status, serde_json::from_slice(&body).unwrap_or_default()))
}

/// The status with which `url` answers within `patience`; `None` when nobody does. The certificate of
/// `is_own` listener need not be for the address that it is asked under, and nothing is told to it.
pub async fn status_of(url: &str, patience: Duration, is_own: bool) -> Option<u16> {
    let http = builder(url).timeout(patience);
    let http = http.tls_danger_accept_invalid_certs(is_own).build().ok()?;
    let response = http.get(url).send().await.ok()?;
    Some(response.status().as_u16())
}

/// An HTTP client for this address. One without TLS is asked directly, and needs no certificates.
fn builder(url: &str) -> reqwest::ClientBuilder {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder();
    match url.starts_with("http://") {
        true => builder.no_proxy().tls_certs_only([]),
        false => builder,
    }
}

impl Reply {
    /// A header, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether it came as a stream of events.
    pub fn is_event_stream(&self) -> bool {
        self.header("content-type")
            .is_some_and(|kind| kind.starts_with("text/event-stream"))
    }
}

impl Question<'_> {
    fn to_json(&self) -> String {
        let system = self
            .system
            .map(|text| json!({"role": "system", "content": text}));
        let user = json!({"role": "user", "content": self.prompt});
        let messages: Vec<Value> = system.into_iter().chain([user]).collect();
        let effort = self.reasoning.then_some("medium");
        json!({
            "model": self.model, "messages": messages, "stream": true,
            "stream_options": {"include_usage": true}, "reasoning_effort": effort,
        })
        .to_string()
    }
}

impl Answer {
    fn take(
        &mut self,
        chunk: Chunk,
        started: Instant,
        on_piece: &mut impl FnMut(Piece<'_>) -> io::Result<()>,
    ) -> Result<(), AskError> {
        if let Some(error) = chunk.error {
            let message = error
                .get("message")
                .and_then(Value::as_str)
                .unwrap_or("the answer broke off");
            return Err(AskError::Refused(message.to_owned()));
        }
        self.model = chunk.model;
        if let Some(usage) = chunk.usage {
            self.tokens = Some((usage.prompt_tokens, usage.completion_tokens));
        }
        for choice in chunk.choices {
            let pieces = [
                (choice.delta.reasoning_content, true),
                (choice.delta.content, false),
            ];
            for (text, is_reasoning) in pieces {
                let Some(text) = text.filter(|text| !text.is_empty()) else {
                    continue;
                };
                self.first_piece.get_or_insert_with(|| started.elapsed());
                on_piece(Piece {
                    text: &text,
                    is_reasoning,
                })
                .map_err(AskError::Output)?;
            }
        }
        Ok(())
    }

    /// One line about the answer: who wrote it, how fast, how long it is.
    pub fn summary(&self) -> String {
        let first = self.first_piece.unwrap_or_default().as_millis();
        let total = self.total.as_secs_f64();
        let tokens = self
            .tokens
            .map(|(prompt, answer)| format!(" · ~{prompt} tokens in, ~{answer} out"));
        format!(
            "{} · {first} ms to the first text · {total:.1} s{}",
            self.model,
            tokens.unwrap_or_default()
        )
    }
}

impl fmt::Display for AskError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { base_url } => {
                write!(
                    formatter,
                    "nobody answers at {base_url}. Start a gateway: fal-gateway demo"
                )
            }
            Self::Refused(message) => formatter.write_str(message),
            Self::Broken => formatter.write_str("the answer broke off"),
            Self::Output(error) => write!(formatter, "{error}"),
        }
    }
}

impl std::error::Error for AskError {}
