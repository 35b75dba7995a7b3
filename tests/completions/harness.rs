//! A gateway in front of an emulated fal, a client for it, and answers that are easy to look at.

use std::time::Duration;

use bytes::Bytes;
use fal_gateway::app::{Application, Stopper};
use fal_gateway::cli::demo::point_at;
use fal_gateway::config::{Config, Sources};
use fal_gateway::emulator::{Emulator, Options, Running};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

/// Long enough for anything that is going to happen.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Gateway {
    url: String,
    http: Client,
    fal: Running,
    stopper: Stopper,
}

/// A complete answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Gateway {
    pub(crate) async fn start() -> Gateway {
        Gateway::with(|_| {}).await
    }

    /// A gateway with some settings of its own.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Gateway {
        let options = Options {
            listen: "127.0.0.1:0".to_owned(),
            tag: false,
            ..Options::default()
        };
        let fal = Emulator::bind(options).unwrap().start();
        let mut config = Config::load(&Sources::default()).unwrap();
        config.server.listen = "127.0.0.1:0".parse().unwrap();
        config.server.workers = Some(1);
        config.server.drain_timeout = Duration::ZERO;
        point_at(&mut config, &fal.url());
        change(&mut config);
        let application = Application::build(config).unwrap();
        let url = format!("http://{}", application.address());
        let stopper = application.stopper();
        actix_web::rt::spawn(application.run());
        let http = Client::builder().no_proxy().tls_certs_only([]);
        Gateway {
            url,
            http: http.build().unwrap(),
            fal,
            stopper,
        }
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        answer(self.request(method, path, body)).await
    }

    /// Posts with a header of its own.
    pub(crate) async fn send_with(
        &self,
        path: &str,
        body: &Value,
        (name, value): (&str, &str),
    ) -> Answer {
        answer(self.request("POST", path, Some(body)).header(name, value)).await
    }

    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> RequestBuilder {
        let method: Method = method.parse().unwrap();
        let url = match path.starts_with("http") {
            true => path.to_owned(),
            false => format!("{}{path}", self.url),
        };
        let request = self.http.request(method, url).timeout(PATIENCE);
        match body {
            None => request,
            Some(body) => request
                .header("content-type", "application/json")
                .body(body.to_string()),
        }
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, Some(body)).await
    }

    /// Asks for a completion of `prompt` with some more fields.
    pub(crate) async fn complete(&self, prompt: &str, more: Value) -> Answer {
        let mut body = json!({"model": "openai/gpt-4o-mini", "prompt": prompt});
        let fields = body.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        self.post("/v1/completions", &body).await
    }

    /// The same as a stream.
    pub(crate) async fn stream(&self, prompt: &str, mut more: Value) -> Answer {
        more["stream"] = true.into();
        self.complete(prompt, more).await
    }

    /// The bodies of the requests that have reached fal, oldest first.
    pub(crate) async fn asked_of_fal(&self) -> Vec<Value> {
        let url = format!("{}/_emulator/requests", self.fal.url());
        let record = self.send("GET", &url, None).await.json();
        let calls = record.as_array().unwrap();
        calls.iter().map(|call| call["body"].clone()).collect()
    }

    pub(crate) async fn stop(self) {
        self.stopper.stop().await;
        self.fal.stop().await;
    }
}

async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.bytes().await.unwrap(),
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {:?}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The data of each event of a stream that ended well, without its `[DONE]`.
    pub(crate) fn chunks(&self) -> Vec<Value> {
        let mut events = self.events();
        assert_eq!(events.pop().as_deref(), Some("[DONE]"));
        let parse = |event: String| serde_json::from_str(&event).unwrap();
        events.into_iter().map(parse).collect()
    }

    /// The data of each event of a stream, however it ended.
    pub(crate) fn events(&self) -> Vec<String> {
        assert_eq!(self.status, 200);
        let kind = self.header("content-type");
        assert_eq!(kind, Some("text/event-stream; charset=utf-8"));
        let text = std::str::from_utf8(&self.body).unwrap();
        let frames = text.strip_suffix("\n\n").unwrap().split("\n\n");
        let data = frames.map(|frame| frame.strip_prefix("data: ").unwrap().to_owned());
        data.collect()
    }

    /// Text and finish reason of each choice, whether the answer is whole or a stream.
    pub(crate) fn choices(&self) -> Vec<(String, String)> {
        let objects = match self.header("content-type") {
            Some("application/json") => vec![self.json()],
            _ => self.chunks(),
        };
        let mut choices: Vec<(String, String)> = Vec::new();
        for object in &objects {
            for choice in object["choices"].as_array().unwrap() {
                let index = usize::try_from(choice["index"].as_u64().unwrap()).unwrap();
                choices.resize(choices.len().max(index + 1), Default::default());
                let (text, reason) = &mut choices[index];
                assert_eq!(reason, "", "a choice goes on after its end");
                text.push_str(choice["text"].as_str().unwrap());
                reason.push_str(choice["finish_reason"].as_str().unwrap_or_default());
            }
        }
        choices
    }

    /// Text and finish reason of an answer with one choice.
    pub(crate) fn only_choice(&self) -> (String, String) {
        let mut choices = self.choices();
        assert_eq!(choices.len(), 1);
        choices.remove(0)
    }
}

/// What [`Answer::only_choice`] gives for a text that ended by itself.
pub(crate) fn stopped(text: &str) -> (String, String) {
    (text.to_owned(), "stop".to_owned())
}
