//! What one call to any-llm asks for, script taken out, and its way to an answer. The same for a
//! direct call, a stream and a queued one.

use bytes::Bytes;
use futures::{StreamExt, stream::LocalBoxStream};
use serde_json::Value;

use super::{
    http::{
        call::{Call, Whole},
        kinds::{self, Mention, Sender},
    },
    llm::{Input, Variant, compose},
    play::{Framing, Snapshot, snapshots, with_quirks},
    script::{Behaviour, Fault, strip},
    server::State,
};

/// A call, read as far as its script.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) behaviour: Behaviour,
    pub(super) variant: Variant,
    /// The app as its errors call it.
    pub(super) app: String,
    /// The request body without its markers.
    body: Bytes,
}

impl Plan {
    /// Reads the script of `call`: first the emulator's own, then the header's, then the prompt's.
    ///
    /// # Errors
    ///
    /// A 400 that names the word we do not know: a script that is silently ignored makes a test
    /// that proves nothing.
    pub(super) fn read(state: &State, call: &Call, variant: Variant) -> Result<Plan, Whole> {
        let (body, words) = take_markers(&call.body);
        let header = call.header("x-emulate").unwrap_or_default();
        let behaviour = state
            .options
            .behaviour
            .clone()
            .with(header)
            .and_then(|so_far| so_far.with(&words));
        let behaviour = behaviour.map_err(|problem| {
            Whole::detail(
                400,
                format!("fal-gateway emulator: {problem}; see /_emulator/help"),
            )
        })?;
        let app = match variant {
            Variant::Plain => "fal-ai/any-llm",
            Variant::Vision => "fal-ai/any-llm/vision",
            Variant::Enterprise => "fal-ai/any-llm/enterprise",
        };
        Ok(Plan {
            behaviour,
            variant,
            app: app.to_owned(),
            body,
        })
    }

    /// The scripted error, if it comes from one of `senders`.
    pub(super) fn refusal(&self, senders: &[Sender]) -> Option<Whole> {
        let whole = match self.behaviour.fault? {
            Fault::Kind(name) => {
                let kind = kinds::find(name).filter(|kind| senders.contains(&kind.sender))?;
                let input = serde_json::from_slice(&self.body).unwrap_or(Value::Null);
                kind.reply(&Mention {
                    app: &self.app,
                    variant: self.variant,
                    input: &input,
                })
            }
            Fault::Status(status) if senders.contains(&Sender::App) => {
                Whole::detail(status, format!("Emulated status {status}"))
            }
            Fault::Status(_) => return None,
        };
        Some(self.with_retry_after(whole))
    }

    pub(super) fn with_retry_after(&self, whole: Whole) -> Whole {
        match &self.behaviour.retry_after {
            Some(value) => whole.with("retry-after", value),
            None => whole,
        }
    }

    /// Size of the request body that the plan keeps.
    pub(super) fn body_bytes(&self) -> usize {
        self.body.len()
    }

    /// The answer as it grows. The quirks that change a text need all of it beforehand; a relayed
    /// answer has only those of its form and its end.
    ///
    /// # Errors
    ///
    /// The app's refusal of the input.
    pub(super) async fn snapshots(
        &self,
        state: &State,
    ) -> Result<LocalBoxStream<'static, Snapshot>, Whole> {
        let input = self.input()?;
        match &state.relay {
            Some(relay) => relay.ask(&input).await,
            None => {
                let answer = compose(&input, state.options.tag, &self.behaviour);
                let answer = with_quirks(answer, &self.behaviour);
                Ok(futures::stream::iter(snapshots(answer, &self.behaviour)).boxed_local())
            }
        }
    }

    /// The answer at its end.
    ///
    /// # Errors
    ///
    /// As [`Plan::snapshots`].
    pub(super) async fn closing(&self, state: &State) -> Result<Snapshot, Whole> {
        if state.relay.is_none() {
            let answer = compose(&self.input()?, state.options.tag, &self.behaviour);
            return Ok(Snapshot::closing(with_quirks(answer, &self.behaviour)));
        }
        let mut snapshots = self.snapshots(state).await?;
        let mut latest = Snapshot {
            output: Some(String::new()),
            reasoning: None,
            partial: false,
            error: None,
        };
        while let Some(snapshot) = snapshots.next().await {
            latest = snapshot;
        }
        Ok(Snapshot {
            partial: false,
            ..latest
        })
    }

    /// What a queued call ends in.
    pub(super) async fn result(&self, state: &State) -> Whole {
        if let Some(refusal) = self.refusal(&[Sender::App, Sender::Ingress]) {
            return refusal;
        }
        match self.closing(state).await {
            Ok(snapshot) => Whole::new(
                200,
                "application/json",
                Framing::new(&self.behaviour).body(&snapshot),
            ),
            Err(refusal) => refusal,
        }
    }

    fn input(&self) -> Result<Input, Whole> {
        Input::parse(&self.body, self.variant, self.behaviour.limit)
            .map_err(|errors| Whole::invalid(&errors))
    }
}

/// The body without the markers in its two texts, and the markers' words. A body that has none is
/// left as it is, byte for byte.
fn take_markers(body: &Bytes) -> (Bytes, String) {
    let untouched = || (body.clone(), String::new());
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(body) else {
        return untouched();
    };
    let mut words = String::new();
    for field in ["system_prompt", "prompt"] {
        if let Some(Value::String(text)) = fields.get_mut(field) {
            let marked = strip(text);
            *text = marked.text;
            words.push_str(&marked.words);
        }
    }
    if words.trim().is_empty() {
        return untouched();
    }
    (Value::Object(fields).to_string().into(), words)
}
