//! One short question, asked whole and as a stream through a gateway of our own: what callers get.

use std::io;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::report::Ailment::Answer;
use super::report::Finding::{self, Fine, Note, Wrong};
use crate::app::{Application, ShutdownHandle};
use crate::cli::client::{AskError, Client, Question};
use crate::config::Config;

/// Long enough to see whether it comes piece by piece.
const QUESTION: &str = "Count from 1 to 20, one number in each line, and say nothing else.";

/// A gateway with these settings, which this process alone can reach.
pub(super) struct Live {
    client: Client,
    gateway: ShutdownHandle,
}

impl Live {
    /// Starts it.
    ///
    /// # Errors
    /// When no port is free, or the settings cannot be put to use.
    pub(super) fn start(config: Config) -> io::Result<Self> {
        let application = Application::build(config).map_err(io::Error::other)?;
        let client = Client::new(&format!("http://{}/v1", application.address()), None);
        let gateway = application.stopper();
        actix_web::rt::spawn(application.run());
        Ok(Self {
            client: client.map_err(io::Error::other)?,
            gateway,
        })
    }

    /// The whole answer.
    pub(super) async fn whole(&self, model: &str) -> Finding {
        let messages = json!([{"role": "user", "content": QUESTION}]);
        let request = json!({"model": model, "messages": messages});
        let started = Instant::now();
        let reply = match self.client.complete(&request).await {
            Ok(reply) => reply,
            Err(error) => return Wrong(Answer, error.to_string()),
        };
        let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let message = body.pointer("/error/message").and_then(Value::as_str);
        match (reply.status, message) {
            (200, _) => Fine(format!(
                "{model} answers within {} ms",
                started.elapsed().as_millis()
            )),
            (status, Some(message)) => Wrong(Answer, format!("status {status}: {message}")),
            (status, None) => Wrong(Answer, format!("status {status}")),
        }
    }

    /// The answer as a stream, and whether something on the way holds it back.
    pub(super) async fn stream(&self, model: &str) -> Finding {
        let started = Instant::now();
        let mut arrivals = Vec::new();
        let question = Question {
            model: Some(model),
            system: None,
            prompt: QUESTION,
            reasoning: false,
        };
        let asking = self.client.ask(&question, |_| {
            arrivals.push(started.elapsed());
            Ok(())
        });
        match asking.await {
            Ok(_) => pace(&arrivals, started.elapsed()),
            Err(AskError::Broken) => Wrong(
                Answer,
                "the stream breaks off. Something on the way may end long answers.".to_owned(),
            ),
            Err(error) => Wrong(Answer, error.to_string()),
        }
    }

    pub(super) async fn stop(self) {
        drop(self.client);
        self.gateway.stop().await;
    }
}

/// What the times tell at which the pieces of a stream came.
fn pace(arrivals: &[Duration], total: Duration) -> Finding {
    /// An answer that is complete so soon may well come at once.
    const TELLING: Duration = Duration::from_secs(1);
    let (Some(first), Some(last)) = (arrivals.first(), arrivals.last()) else {
        return Note("the stream comes without a text".to_owned());
    };
    let during = last.saturating_sub(*first);
    // What a model takes many seconds to write does not come within moments of them.
    if total >= TELLING && during * 20 < total {
        return Note(format!(
            "all of it comes within {} ms after {} ms of silence: something on the way seems to hold \
             streams back until they are complete. See whether a proxy buffers.",
            during.as_millis(),
            first.as_millis()
        ));
    }
    Fine(format!(
        "the first text comes after {} ms, and the last {} ms later",
        first.as_millis(),
        during.as_millis()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_comes_all_at_once_after_a_while_was_held_back() {
        let at = |times: &[u64]| -> Vec<Duration> {
            times.iter().copied().map(Duration::from_millis).collect()
        };
        for (times, total, is_held_back) in [
            (&[3000, 3001, 3002][..], 3003, true),
            (&[3000], 3001, true),
            (&[200, 900, 1800, 3000], 3001, false),
            (&[100, 101, 102], 103, false),
            (&[2500, 2800, 3000], 3001, false),
        ] {
            let finding = pace(&at(times), Duration::from_millis(total));
            assert_eq!(matches!(finding, Note(_)), is_held_back, "{times:?}");
        }
        assert!(matches!(pace(&[], Duration::ZERO), Note(_)));
    }
}
