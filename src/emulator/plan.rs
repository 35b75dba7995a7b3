//! What one call to a model asks for, script taken out, and its way to an answer. The same for a
//! direct call, a stream and a queued one.

use bytes::Bytes;
use futures::{StreamExt, stream::LocalBoxStream};
use serde_json::Value;

use super::{
    endpoint::{Endpoint, Target},
    http::{
        call::{Call, Whole},
        kinds::{self, Mention, Sender},
    },
    llm::{Input, Invalid, compose},
    play::{Body, Form, Framing, Snapshot, Step, snapshots, steps, whole_steps, with_quirks},
    router::{self, chat},
    script::{Behaviour, Fault, strip},
    server::State,
};

/// A call, read as far as its script.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) behaviour: Behaviour,
    pub(super) endpoint: Endpoint,
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
    pub(super) fn read(state: &State, call: &Call, endpoint: Endpoint) -> Result<Plan, Whole> {
        let (body, words) = match endpoint {
            Endpoint::Chat => chat::take_markers(&call.body),
            Endpoint::AnyLlm(_) | Endpoint::Router(_) => take_markers(&call.body),
        };
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
        Ok(Plan {
            behaviour,
            endpoint,
            body,
        })
    }

    /// The scripted error, if it comes from one of `senders`.
    pub(super) fn refusal(&self, senders: &[Sender]) -> Option<Whole> {
        let whole = match self.behaviour.fault? {
            Fault::Kind(name) => {
                let kind = kinds::find(name).filter(|kind| senders.contains(&kind.sender))?;
                let input = serde_json::from_slice(&self.body).unwrap_or(Value::Null);
                if self.endpoint == Endpoint::Chat
                    && let Some(refusal) = chat::refusal(kind, &input)
                {
                    return Some(self.with_retry_after(refusal));
                }
                kind.reply(&Mention {
                    app: self.endpoint.app(),
                    variant: self.endpoint.variant(),
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

    /// Whether the caller wants to see the answer grow.
    pub(super) fn streams(&self, target: Target) -> bool {
        match self.endpoint {
            Endpoint::Chat => chat::wants_stream(&self.body),
            Endpoint::AnyLlm(_) | Endpoint::Router(_) => target.stream,
        }
    }

    /// What fills the silences of a stream.
    pub(super) fn ping(&self) -> Bytes {
        match self.endpoint {
            Endpoint::Chat => chat::PROCESSING,
            Endpoint::AnyLlm(_) | Endpoint::Router(_) => {
                Framing::new(&self.behaviour, Form::AnyLlm).ping()
            }
        }
    }

    /// The answer as it grows.
    ///
    /// # Errors
    ///
    /// The app's refusal of the input.
    pub(super) async fn stream(
        &self,
        state: &State,
    ) -> Result<LocalBoxStream<'static, Step>, Whole> {
        if self.endpoint == Endpoint::Chat {
            return chat::stream(state, &self.body, &self.behaviour).await;
        }
        let (input, form) = self.input(state)?;
        let snapshots = self.snapshots(state, &input).await?;
        Ok(steps(snapshots, self.behaviour.clone(), form))
    }

    /// The whole answer, broken if the script says so.
    ///
    /// # Errors
    ///
    /// The app's refusal of the input.
    pub(super) async fn whole(&self, state: &State) -> Result<Body, Whole> {
        if self.endpoint == Endpoint::Chat {
            return chat::whole(state, &self.body, &self.behaviour).await;
        }
        let (input, form) = self.input(state)?;
        let snapshot = self.closing(state, &input).await?;
        Ok(whole_steps(&snapshot, &self.behaviour, form))
    }

    /// What a queued call ends in.
    pub(super) async fn result(&self, state: &State) -> Whole {
        if let Some(refusal) = self.refusal(&[Sender::App, Sender::Ingress]) {
            return refusal;
        }
        let unbroken = Plan {
            behaviour: Behaviour {
                rupture: None,
                flood_mib: None,
                ..self.behaviour.clone()
            },
            ..self.clone()
        };
        match unbroken.whole(state).await {
            Ok(Body::Whole(body)) => Whole::new(200, "application/json", body),
            // Nothing breaks where nothing is sent.
            Ok(Body::Steps(_)) => Whole::detail(500, "Internal Server Error"),
            Err(refusal) => refusal,
        }
    }

    /// The quirks that change a text need all of it beforehand; a relayed answer has only those of
    /// its form and its end.
    async fn snapshots(
        &self,
        state: &State,
        input: &Input,
    ) -> Result<LocalBoxStream<'static, Snapshot>, Whole> {
        match &state.relay {
            Some(relay) => relay.ask(input).await,
            None => {
                let answer = compose(input, state.options.tag, &self.behaviour);
                let answer = with_quirks(answer, &self.behaviour);
                Ok(futures::stream::iter(snapshots(answer, &self.behaviour)).boxed_local())
            }
        }
    }

    /// The answer at its end.
    async fn closing(&self, state: &State, input: &Input) -> Result<Snapshot, Whole> {
        if state.relay.is_none() {
            let answer = compose(input, state.options.tag, &self.behaviour);
            return Ok(Snapshot::closing(with_quirks(answer, &self.behaviour)));
        }
        let mut snapshots = self.snapshots(state, input).await?;
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

    /// What is asked of a prompt face, and the form of its answer.
    fn input(&self, state: &State) -> Result<(Input, Form), Whole> {
        let limit = self.behaviour.limit;
        let read =
            |input: Result<Input, Vec<Invalid>>| input.map_err(|errors| Whole::invalid(&errors));
        match self.endpoint {
            Endpoint::AnyLlm(variant) => {
                // With a relay, its server's models answer, whatever fal lists.
                let any_model = state.relay.is_some();
                let input = read(Input::parse(&self.body, variant, limit, any_model))?;
                Ok((input, Form::AnyLlm))
            }
            Endpoint::Router(prompt) => {
                let input = read(Input::parse_for_router(&self.body, prompt, limit))?;
                let tally = router::admit(&input, prompt, state.relay.is_some())?;
                let form = match prompt.tells_progress() {
                    true => Form::Router(tally),
                    false => Form::Media(tally),
                };
                Ok((input, form))
            }
            // It has no prompt.
            Endpoint::Chat => Err(Whole::detail(404, "Not Found")),
        }
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
