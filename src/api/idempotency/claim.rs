//! Claims: who works on a request that has a key, and what becomes of the answer.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::{BodyStream, BoxBody, MessageBody};
use actix_web::http::header::CONTENT_TYPE;
use futures::{StreamExt, stream};

use super::Progress;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::gateway::MemoryPermit;
use crate::api::lease::{LEASE, Renewal, give_back};
use crate::api::outliving::Outliving;
use crate::store::StoreError;
use crate::store::responses::{Claimed, KeptAnswer, Keyed, Responses};
use crate::translate::face::Face;

/// How long a key is known.
const RETENTION: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest answer that is kept, in bytes.
const LONGEST_ANSWER: usize = 4 << 20;

/// Claims a request, unless somebody else has. Where nobody hears what came of it, because the store
/// was too slow or the client has left, it is given back, since nobody works on it.
///
/// # Errors
/// See [`StoreError`].
pub(super) async fn attempt(responses: &Responses, keyed: &Keyed) -> Result<Claimed, StoreError> {
    let mut attempt = Attempt(Some((responses.clone(), keyed.clone())));
    let claimed = responses.claim(keyed.clone(), LEASE, RETENTION).await?;
    attempt.0 = None;
    Ok(claimed)
}

/// A request that may be claimed, and is to be given back.
struct Attempt(Option<(Responses, Keyed)>);

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some((responses, keyed)) = self.0.take() {
            give_back(move || {
                let (responses, keyed) = (responses.clone(), keyed.clone());
                async move { responses.release_claim(&keyed).await }
            });
        }
    }
}

/// The right to work on a request. It is held until it is settled; dropped before that, it ends with
/// its lease, and what came of the request is not known.
pub struct Claim {
    responses: Responses,
    keyed: Keyed,
    _renewal: Renewal,
    /// The memory that the answer takes up while it is written.
    held: MemoryPermit,
}

impl Claim {
    pub(super) fn of(context: &Context, keyed: Keyed) -> Self {
        let responses = context.gateway.responses().clone();
        let (store, held) = (responses.clone(), keyed.clone());
        let renewal = Renewal::begin(move || {
            let (store, held) = (store.clone(), held.clone());
            async move { store.hold_claim(&held, LEASE).await }
        });
        Self {
            responses,
            keyed,
            _renewal: renewal,
            held: context
                .gateway
                .hold(context.snapshot.config.limits.max_body_memory),
        }
    }

    /// Writes down that fal is going to be asked. Whether it may be: if not, somebody else works on the
    /// request.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(super) async fn begin(&self) -> Result<bool, StoreError> {
        self.responses
            .begin_claimed(self.keyed.clone(), LEASE)
            .await
    }

    /// Keeps what came of the request, and hands it on.
    ///
    /// # Errors
    /// The failure that came of it.
    pub async fn settle<F: Face>(
        self,
        outcome: Result<HttpResponse, ApiError>,
        progress: Rc<Progress>,
    ) -> Result<HttpResponse, ApiError> {
        match outcome {
            Ok(response) => Ok(self.keep(response, progress).await),
            Err(error) => {
                self.keep_failure::<F>(&error).await;
                Err(error)
            }
        }
    }

    /// A failure that may have been paid for is the answer. One that was not is forgotten, so that
    /// the request may be tried again; so is one that was paid for under no key or another.
    async fn keep_failure<F: Face>(self, error: &ApiError) {
        if !error.problem.may_be_paid || error.is_replayed {
            let mut held = Attempt(Some((self.responses.clone(), self.keyed.clone())));
            let released = self.responses.release_claim(&self.keyed).await;
            if released.is_ok() {
                held.0 = None;
            }
            self.noted(released);
            return;
        }
        // The id of the request that fails is not the one of those who are told of it.
        let written = F::problem(&error.problem, "");
        let headers = BTreeMap::from([
            (CONTENT_TYPE.as_str(), "application/json"),
            ("x-should-retry", "false"),
        ]);
        let answer = KeptAnswer {
            status: written.status.into(),
            headers: serde_json::to_string(&headers).unwrap_or_default(),
            body: written.body,
        };
        self.noted(self.responses.settle(&self.keyed, Some(answer), None).await);
    }

    async fn keep(self, response: HttpResponse, progress: Rc<Progress>) -> HttpResponse {
        let (head, body) = response.into_parts();
        let status = head.status().as_u16().into();
        let headers = shown_headers(&head);
        match body.try_into_bytes() {
            Ok(body) => {
                let answer = KeptAnswer {
                    status,
                    headers,
                    body: body.to_vec(),
                };
                self.noted(
                    self.responses
                        .settle(&self.keyed, Some(answer), progress.kept_as())
                        .await,
                );
                head.set_body(BoxBody::new(body))
            }
            Err(body) => {
                let recorded = self.recorded((status, headers), body, progress);
                head.set_body(BoxBody::new(recorded))
            }
        }
    }

    /// A stream that is kept once it is over, unless it has failed for nothing. It goes on when its
    /// client leaves.
    fn recorded(
        mut self,
        (status, headers): (i64, String),
        body: BoxBody,
        progress: Rc<Progress>,
    ) -> impl MessageBody {
        let frames = async_stream::stream! {
            let mut body = body;
            let mut body = stream::poll_fn(move |context| Pin::new(&mut body).poll_next(context));
            let mut so_far = Some(Vec::new());
            while let Some(frames) = body.next().await {
                if let (Some(all), Ok(frames)) = (&mut so_far, &frames) {
                    all.extend_from_slice(frames);
                    if all.len() > LONGEST_ANSWER || !self.held.grow_to(all.len()) {
                        so_far = None;
                    }
                }
                yield frames;
            }
            if progress.has_failed_for_nothing() {
                self.noted(self.responses.release_claim(&self.keyed).await);
                return;
            }
            let so_far = so_far.filter(|_| !progress.is_broken_off());
            let answer = so_far.map(|body| KeptAnswer { status, headers, body });
            let settled = self.responses.settle(&self.keyed, answer, progress.kept_as());
            self.noted(settled.await);
        };
        BodyStream::new(Outliving::new(frames))
    }

    /// An answer that is not kept is delivered all the same; its key is not used again.
    fn noted<T>(&self, done: Result<T, StoreError>) {
        if let Err(error) = done {
            tracing::error!(%error, kind = error.label(), "the answer to an Idempotency-Key is not kept");
        }
    }
}

/// The headers that say something of an answer, as JSON.
fn shown_headers(head: &HttpResponse<()>) -> String {
    const SHOWN: [&str; 4] = [
        "content-type",
        "cache-control",
        "x-accel-buffering",
        "x-fal-request-id",
    ];
    let headers = head.headers().iter();
    let shown = headers.filter(|(name, _)| {
        SHOWN.contains(&name.as_str()) || name.as_str().starts_with("x-gateway-")
    });
    let shown: BTreeMap<_, _> = shown
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    serde_json::to_string(&shown).unwrap_or_default()
}
