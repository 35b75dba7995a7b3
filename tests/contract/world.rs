//! A gateway in front of an emulated fal, both in this process, and a client for it.

use bytes::Bytes;
use fal_gateway::app::{Application, Stopper};
use fal_gateway::config::{Config, Sources};
use fal_gateway::emulator::{Emulator, Options, Running};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

pub(crate) const FAL_KEY: &str = "kid:ksecret";

/// Ends with the test: its servers run in the test's own runtime.
pub(crate) struct World {
    pub(crate) url: String,
    pub(crate) fal: Running,
    pub(crate) stopper: Stopper,
    http: Client,
}

/// A complete answer, or what came of it before the connection broke.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl World {
    /// A gateway with a fal key, open to whoever can connect; `settings` are a file's.
    pub(crate) fn open(settings: &str) -> World {
        World::with(Sources::default().with_env("FAL_KEY", FAL_KEY), settings)
    }

    /// A gateway with a fal key that asks for a client key.
    pub(crate) fn keyed(settings: &str, key: &str) -> World {
        let sources = Sources::default()
            .with_env("FAL_KEY", FAL_KEY)
            .with_env("FAL_GATEWAY_KEYS", key);
        World::with(sources, settings)
    }

    /// A gateway without a fal key, in front of a fal that knows one.
    pub(crate) fn pass_through(settings: &str) -> World {
        World::with(Sources::default(), settings)
    }

    fn with(sources: Sources, settings: &str) -> World {
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
            .with_env("FAL_GATEWAY__FAL__REST_URL", format!("{}/rest", fal.url()))
            .with_flag("--listen", "127.0.0.1:0");
        let config = Config::load(&sources).unwrap_or_else(|problems| panic!("{problems}"));
        let application = Application::build(config).unwrap();
        let url = format!("http://{}", application.address());
        let stopper = application.stopper();
        actix_web::rt::spawn(application.run());
        let http = Client::builder().no_proxy().tls_certs_only([]);
        World {
            url,
            fal,
            stopper,
            http: http.build().unwrap(),
        }
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.http.request(method, format!("{}{path}", self.url))
    }

    pub(crate) fn chat(&self, body: &Value) -> RequestBuilder {
        self.post("/v1/chat/completions", body)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.request("POST", path)
            .header("content-type", "application/json")
            .body(body.to_string())
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request("GET", path)).await
    }

    /// What the gateway has asked of fal so far: (path, input).
    pub(crate) async fn asked(&self) -> Vec<(String, Value)> {
        let url = format!("{}/_emulator/requests", self.fal.url());
        let records = send(self.http.get(url)).await.json();
        let records = records.as_array().unwrap().iter();
        records
            .map(|record| {
                let path = record["path"].as_str().unwrap().to_owned();
                (path, record["body"].clone())
            })
            .collect()
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
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

/// A request of one user message.
pub(crate) fn question(text: &str) -> Value {
    json!({"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": text}]})
}

/// `base` with more fields.
pub(crate) fn with(mut base: Value, more: Value) -> Value {
    let fields = base.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    base
}
