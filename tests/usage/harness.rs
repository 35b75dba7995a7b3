//! A gateway in front of an emulated fal, both on ports of their own, and what tests ask them.

use std::time::Duration;

use fal_gateway::app::{Application, Stopper};
use fal_gateway::cli::demo::point_at;
use fal_gateway::config::{Config, Sources};
use fal_gateway::emulator::{Emulator, Options, Running};
use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

/// Long enough for anything that is going to happen.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Gateway {
    pub(crate) url: String,
    pub(crate) emulator: Running,
    stopper: Stopper,
    http: Client,
}

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Gateway {
    pub(crate) async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let options = Options {
            listen: "127.0.0.1:0".to_owned(),
            tag: false,
            ..Options::default()
        };
        let emulator = Emulator::bind(options).unwrap().start();
        let sources = Sources::default().with_flag("--listen", "127.0.0.1:0");
        let mut config = Config::load(&sources).unwrap();
        point_at(&mut config, &emulator.url());
        change(&mut config);
        let application = Application::build(config).unwrap();
        let url = format!("http://{}", application.address());
        let stopper = application.stopper();
        actix_web::rt::spawn(application.run());
        let http = Client::builder().no_proxy().tls_certs_only([]);
        Self {
            url,
            emulator,
            stopper,
            http: http.build().unwrap(),
        }
    }

    pub(crate) fn post(&self, body: &Value) -> RequestBuilder {
        self.http
            .post(format!("{}/v1/chat/completions", self.url))
            .header("content-type", "application/json")
            .body(body.to_string())
    }

    pub(crate) async fn ask(&self, body: &Value) -> Answer {
        let response = self.post(body).timeout(PATIENCE).send().await.unwrap();
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.text().await.unwrap(),
        }
    }

    /// The bodies that fal was sent at paths that contain `path`, oldest first.
    pub(crate) async fn seen_by_fal(&self, path: &str) -> Vec<Value> {
        let url = format!("{}/_emulator/requests", self.emulator.url());
        let list = self.http.get(url).send().await.unwrap();
        let list: Value = serde_json::from_str(&list.text().await.unwrap()).unwrap();
        list.as_array()
            .unwrap()
            .iter()
            .filter(|record| record["path"].as_str().unwrap().contains(path))
            .cloned()
            .collect()
    }

    pub(crate) async fn get(&self, url: &str) -> Vec<u8> {
        let response = self.http.get(url).send().await.unwrap();
        response.bytes().await.unwrap().to_vec()
    }

    pub(crate) async fn stop(&self) {
        self.stopper.stop().await;
        self.emulator.stop().await;
    }
}

/// A request of one message.
pub(crate) fn asking(content: impl Into<Value>) -> Value {
    json!({ "model": "openai/gpt-4o-mini", "messages": [{ "role": "user", "content": content.into() }] })
}

/// The same, with more fields.
pub(crate) fn with(mut request: Value, fields: &Value) -> Value {
    let fields = fields.as_object().unwrap().clone();
    request.as_object_mut().unwrap().extend(fields);
    request
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The chunks of a stream that ended as it should.
    pub(crate) fn chunks(&self) -> Vec<Value> {
        let data = self
            .body
            .lines()
            .filter_map(|line| line.strip_prefix("data: "));
        let mut data = data.collect::<Vec<_>>();
        assert_eq!(data.pop(), Some("[DONE]"), "{}", self.body);
        data.into_iter()
            .map(|chunk| serde_json::from_str(chunk).unwrap())
            .collect()
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
