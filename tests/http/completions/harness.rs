//! What the legacy API is asked, and answers that are easy to look at.

use serde_json::{Value, json};

use crate::harness::{Answer, Gateway, send, with};

impl Gateway {
    /// Asks for a completion of `prompt` with some more fields.
    pub(crate) async fn complete(&self, prompt: &str, more: Value) -> Answer {
        let body = json!({"model": "openai/gpt-4o-mini", "prompt": prompt});
        send(self.post("/v1/completions", &with(body, &more))).await
    }

    /// The same as a stream.
    pub(crate) async fn stream(&self, prompt: &str, mut more: Value) -> Answer {
        more["stream"] = true.into();
        self.complete(prompt, more).await
    }

    /// The bodies of the requests that have reached fal, oldest first.
    pub(crate) async fn asked_of_fal(&self) -> Vec<Value> {
        let calls = self.asked().await.into_iter();
        calls.map(|(_, body)| body).collect()
    }
}

impl Answer {
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
