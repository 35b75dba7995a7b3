//! A gateway in front of an emulated fal, both in this process on ports of their own, and a client
//! that looks at whole answers. `support` has what looks below HTTP: raw sockets and scripts.

use std::borrow::Borrow;
use std::time::Duration;

use bytes::Bytes;
use fal_gateway::app::{Application, ShutdownHandle};
use fal_gateway::config::{Config, Sources};
use fal_gateway::emulator::{Emulator, Options, Running};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::FAL_KEY;

/// Long enough for anything that is going to happen.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Ends with the test: its servers run in the test's own runtime.
pub(crate) struct Gateway {
    pub(crate) url: String,
    pub(crate) fal: Running,
    pub(crate) stopper: ShutdownHandle,
    http: Client,
}

/// A complete answer, or what came of it before the connection broke.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Gateway {
    /// A gateway with a fal key and no settings but the necessary ones.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// The same, with some settings changed.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::build(Sources::default().with_env("FAL_KEY", FAL_KEY), "", change)
    }

    /// A gateway with a fal key, open to whoever can connect; `settings` are a file's.
    pub(crate) fn open(settings: &str) -> Self {
        let sources = Sources::default().with_env("FAL_KEY", FAL_KEY);
        Self::build(sources, settings, |_| {})
    }

    /// A gateway with a fal key that asks for a client key.
    pub(crate) fn keyed(settings: &str, key: &str) -> Self {
        let sources = Sources::default()
            .with_env("FAL_KEY", FAL_KEY)
            .with_env("FAL_GATEWAY_KEYS", key);
        Self::build(sources, settings, |_| {})
    }

    /// A gateway without a fal key, in front of a fal that knows one.
    pub(crate) fn pass_through(settings: &str) -> Self {
        Self::build(Sources::default(), settings, |_| {})
    }

    fn build(sources: Sources, settings: &str, change: impl FnOnce(&mut Config)) -> Self {
        let options = Options {
            listen: "127.0.0.1:0".to_owned(),
            tag: false,
            key: Some(FAL_KEY.to_owned()),
            ..Options::default()
        };
        let fal = Emulator::bind(options).unwrap().start();
        let sources = sources
            .with_file("fal-gateway.toml", settings)
            .with_env("FAL_GATEWAY__FAL__URL", fal.url())
            .with_env(
                "FAL_GATEWAY__FAL__QUEUE_URL",
                format!("{}/queue", fal.url()),
            )
            .with_env("FAL_GATEWAY__FAL__REST_URL", format!("{}/rest", fal.url()))
            .with_env("FAL_GATEWAY__ADMIN__ENABLED", "false")
            .with_flag("--listen", "127.0.0.1:0");
        let mut config = Config::load(&sources).unwrap_or_else(|problems| panic!("{problems}"));
        change(&mut config);
        let application = Application::build(config).unwrap();
        let url = format!("http://{}", application.address());
        let stopper = application.stopper();
        actix_web::rt::spawn(application.run());
        let http = Client::builder().no_proxy().tls_certs_only([]);
        Self {
            url,
            fal,
            stopper,
            http: http.build().unwrap(),
        }
    }

    /// A request to a path of the gateway, or to a whole URL.
    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let url = match path.starts_with("http") {
            true => path.to_owned(),
            false => format!("{}{path}", self.url),
        };
        self.http.request(method, url).timeout(TIMEOUT)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.request("POST", path)
            .header("content-type", "application/json")
            .body(body.to_string())
    }

    pub(crate) fn chat(&self, body: &Value) -> RequestBuilder {
        self.post("/v1/chat/completions", body)
    }

    pub(crate) async fn ask(&self, body: &Value) -> Answer {
        send(self.chat(body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request("GET", path)).await
    }

    /// What has reached fal so far at paths that contain `path`, oldest first: the emulator's
    /// records.
    pub(crate) async fn seen_by_fal(&self, path: &str) -> Vec<Value> {
        let url = format!("{}/_emulator/requests", self.fal.url());
        let Value::Array(mut records) = self.get(&url).await.json() else {
            panic!("the emulator's record is no list");
        };
        records.retain(|record| record["path"].as_str().unwrap().contains(path));
        records
    }

    /// What the gateway has asked of fal so far: (path, input).
    pub(crate) async fn asked(&self) -> Vec<(String, Value)> {
        let records = self.seen_by_fal("").await;
        let call = |record: &Value| {
            let path = record["path"].as_str().unwrap().to_owned();
            (path, record["body"].clone())
        };
        records.iter().map(call).collect()
    }

    pub(crate) async fn stop(&self) {
        self.stopper.stop().await;
        self.fal.stop().await;
    }
}

pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let mut response = request.send().await.unwrap();
    let mut body = Vec::new();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    while let Ok(Some(bytes)) = response.chunk().await {
        body.extend_from_slice(&bytes);
    }
    Answer {
        status,
        headers,
        body: body.into(),
    }
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The data of each event of a stream, however it ended.
    pub(crate) fn events(&self) -> Vec<String> {
        assert_eq!(self.status, 200);
        let kind = self.header("content-type");
        assert_eq!(kind, Some("text/event-stream; charset=utf-8"));
        // Between the events may be comments that keep the connection alive.
        let frames = self.text().strip_suffix("\n\n").unwrap().split("\n\n");
        let data = frames.filter_map(|frame| frame.strip_prefix("data: "));
        data.map(str::to_owned).collect()
    }

    /// The chunks of a stream that ended well, without its `[DONE]`.
    pub(crate) fn chunks(&self) -> Vec<Value> {
        let mut events = self.events();
        assert_eq!(events.pop().as_deref(), Some("[DONE]"), "{}", self.text());
        let parse = |event: String| serde_json::from_str(&event).unwrap();
        events.into_iter().map(parse).collect()
    }

    /// All that a stream's chunks say in one field of their deltas.
    pub(crate) fn joined(&self, field: &str) -> String {
        let chunks = self.chunks();
        let pieces = chunks
            .iter()
            .filter_map(|chunk| chunk["choices"][0]["delta"][field].as_str());
        pieces.collect()
    }
}

/// A chat request of one user message, which may be a list of parts.
pub(crate) fn asking(content: impl Into<Value>) -> Value {
    json!({"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": content.into()}]})
}

/// `request` with more fields.
pub(crate) fn with(mut request: Value, more: impl Borrow<Value>) -> Value {
    let fields = more.borrow().as_object().unwrap().clone();
    request.as_object_mut().unwrap().extend(fields);
    request
}
