//! An emulator, a client for it, and answers that are easy to look at.

use std::time::Duration;

use bytes::Bytes;
use fal_gateway::emulator::{Emulator, Options, Running};
use futures::StreamExt;
use reqwest::{Client, RequestBuilder, header::HeaderMap};
use serde_json::Value;

/// Long enough for anything that is going to happen.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) const KEY: &str = "Key kid:ksecret";

pub(crate) struct Fal {
    pub(crate) url: String,
    pub(crate) http: Client,
    running: Running,
}

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Fal {
    /// An emulator whose answers carry no tag.
    pub(crate) async fn start() -> Fal {
        Fal::with(Options {
            tag: false,
            ..Options::default()
        })
        .await
    }

    pub(crate) async fn with(options: Options) -> Fal {
        let options = Options {
            listen: "127.0.0.1:0".to_owned(),
            ..options
        };
        let emulator = Emulator::bind(options).unwrap();
        assert_ne!(emulator.addr().port(), 0);
        let running = emulator.start();
        let http = Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .redirect(reqwest::redirect::Policy::none());
        Fal {
            url: running.url(),
            http: http.build().unwrap(),
            running,
        }
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.request("POST", path)
            .header("content-type", "application/json")
            .body(body.to_string())
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{path}", self.url)
        };
        self.http
            .request(method.parse().unwrap(), url)
            .header("authorization", KEY)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request("GET", path)).await
    }

    /// Asks any-llm for a whole answer to `prompt`.
    pub(crate) async fn ask(&self, prompt: &str) -> Answer {
        send(self.post("/fal-ai/any-llm", &serde_json::json!({ "prompt": prompt }))).await
    }

    /// The output of the whole answer to `prompt`.
    pub(crate) async fn output(&self, prompt: &str) -> String {
        self.ask(prompt).await.json()["output"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Asks for a stream and reads it to its end, clean or not.
    pub(crate) async fn stream(&self, prompt: &str) -> Streamed {
        let request = self.post(
            "/fal-ai/any-llm/stream",
            &serde_json::json!({ "prompt": prompt }),
        );
        read_stream(request).await
    }

    /// The newest line of the record, once it has ended.
    pub(crate) async fn ended(&self, request_id: &str) -> Value {
        self.get(&format!("/_emulator/requests/{request_id}?wait=ended"))
            .await
            .json()
    }

    pub(crate) async fn stop(&self) {
        tokio::time::timeout(TIMEOUT, self.running.stop())
            .await
            .unwrap();
    }
}

pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let answer = tokio::time::timeout(TIMEOUT, request.send())
        .await
        .unwrap()
        .unwrap();
    Answer {
        status: answer.status().as_u16(),
        headers: answer.headers().clone(),
        body: answer.bytes().await.unwrap(),
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {:?}", self.body))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A stream as it came: its chunks, and whether the body ended as a body should.
#[derive(Debug)]
pub(crate) struct Streamed {
    pub(crate) chunks: Vec<Bytes>,
    pub(crate) clean: bool,
}

pub(crate) async fn read_stream(request: RequestBuilder) -> Streamed {
    let answer = tokio::time::timeout(TIMEOUT, request.send())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer.status(), 200);
    let mut body = answer.bytes_stream();
    let mut chunks = Vec::new();
    let mut clean = true;
    while let Some(chunk) = tokio::time::timeout(TIMEOUT, body.next()).await.unwrap() {
        match chunk {
            Ok(chunk) => chunks.push(chunk),
            Err(_) => clean = false,
        }
    }
    Streamed { chunks, clean }
}

impl Streamed {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.chunks.concat()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.bytes()).unwrap()
    }

    /// The data of each event.
    pub(crate) fn events(&self) -> Vec<Value> {
        let text = self.text().replace("\r\n", "\n");
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        data.map(|data| serde_json::from_str(data).unwrap())
            .collect()
    }

    pub(crate) fn outputs(&self) -> Vec<String> {
        self.events()
            .iter()
            .map(|event| event["output"].as_str().unwrap().to_owned())
            .collect()
    }
}
