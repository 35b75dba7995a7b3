//! `Idempotency-Key`: a request with a key is worked on once, whoever repeats it, and paid for once.
//!
//! The key belongs to its caller. The same request with it gets the answer of the first one, also while that is
//! being made; another request is refused. A failure that cost nothing leaves no trace. What is worked
//! on goes on to its end when the client leaves, since it may come back for it.

mod claim;
mod progress;

pub use progress::Progress;

use std::collections::BTreeMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use ring::digest::{self, SHA256};
use tokio::time::sleep;

use super::auth::Caller;
use super::context::Context;
use super::error::{ApiError, REPLAYED};
use super::paths::Deployment;
use super::repeated::said_by_headers;
use super::scope;
use super::state::secret_id;
use super::wants::EXPLAIN;
use crate::store::responses::{Claimed, KeptAnswer, Keyed};
use crate::translate::meaning::fingerprint;
use crate::translate::problem::{Problem, ProblemKind, Source};

const NAME: HeaderName = HeaderName::from_static("idempotency-key");
const LONGEST: usize = 255;
/// How often a running request is looked at, at first and later on.
const FIRST_LOOK: Duration = Duration::from_millis(25);
const LAST_LOOK: Duration = Duration::from_secs(1);

/// Whether a request has a key. One that is only to be explained sends nothing, and needs none.
pub fn is_asked(request: &HttpRequest) -> bool {
    let explains = request.headers().get(EXPLAIN);
    request.headers().contains_key(NAME) && explains.is_none_or(|value| value != "true")
}

/// Takes a request up, if it has a key, so that it is worked on under a claim; or gives the answer to
/// it where it was worked on before, for which it waits.
///
/// # Errors
/// 400 for what cannot be a key, 422 for the key of another request, 409 for a request whose answer
/// is lost, 503 where the store fails. Nothing was sent for it.
pub async fn begin(
    request: &HttpRequest,
    context: &Context,
    caller: &Caller,
    body: &[u8],
    progress: &Rc<Progress>,
) -> Result<Option<HttpResponse>, ApiError> {
    let Some(key) = request.headers().get(NAME) else {
        return Ok(None);
    };
    let key = valid(key)?;
    if !is_asked(request) {
        return Ok(None);
    }
    let keyed = keyed(request, context, caller, body, key).await?;
    let responses = context.gateway.responses();
    let mut pause = FIRST_LOOK;
    loop {
        let claimed = claim::attempt(responses, &keyed).await;
        match claimed.map_err(|error| context.store_failed(&error))? {
            Claimed::Yes => break,
            Claimed::Mismatch => return Err(mismatch()),
            Claimed::Lost => return Err(lost()),
            Claimed::Answered(answer) => return Ok(Some(replay(answer))),
            Claimed::Running => {}
        }
        scope::refuse_at_the_end(&context.gateway)?;
        sleep(pause).await;
        pause = (pause * 2).min(LAST_LOOK);
    }
    progress.begin(context, keyed);
    Ok(None)
}

fn valid(key: &HeaderValue) -> Result<&[u8], ApiError> {
    let bytes = key.as_bytes();
    let is_valid = (1..=LONGEST).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
    match is_valid {
        true => Ok(bytes),
        false => Err(ApiError::invalid_header(
            "Idempotency-Key",
            "It must be 1 to 255 visible ASCII characters.",
        )),
    }
}

/// What a request is told from others by.
async fn keyed(
    request: &HttpRequest,
    context: &Context,
    caller: &Caller,
    body: &[u8],
    key: &[u8],
) -> Result<Keyed, ApiError> {
    let meaning = fingerprint(body, &BuildHasherDefault::<Sha256Hasher>::default());
    let owner = context.owner(caller).await?;
    let id = hex(&[owner.name().as_bytes(), b"\0", key]);
    let said = said_by_headers(request.headers()).map(Option::unwrap_or_default);
    let deployment = request.extensions().get::<Deployment>().cloned();
    let meaning = hex(&[
        request.path().as_bytes(),
        deployment
            .map_or(String::new(), |Deployment(model)| model)
            .as_bytes(),
        said.join(&b'\0').as_slice(),
        &meaning.to_be_bytes(),
    ]);
    Ok(Keyed {
        id: format!("idem_{id}"),
        owner,
        meaning,
        holder: secret_id(""),
    })
}

fn hex(parts: &[&[u8]]) -> String {
    let mut context = digest::Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let digest = context.finish();
    let bytes = digest.as_ref().iter();
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

/// Hashes alike wherever and whenever it runs.
#[derive(Clone)]
struct Sha256Hasher(digest::Context);

impl Default for Sha256Hasher {
    fn default() -> Self {
        Self(digest::Context::new(&SHA256))
    }
}

impl Hasher for Sha256Hasher {
    fn finish(&self) -> u64 {
        let digest = self.0.clone().finish();
        let first = digest.as_ref().first_chunk();
        first.copied().map_or(0, u64::from_be_bytes)
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

/// An answer that was given before.
fn replay(answer: KeptAnswer) -> HttpResponse {
    let status = u16::try_from(answer.status).ok();
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    let headers: BTreeMap<String, String> =
        serde_json::from_str(&answer.headers).unwrap_or_default();
    for (name, value) in &headers {
        response.insert_header((name.as_str(), value.as_str()));
    }
    let what = if status.is_success() {
        "answer"
    } else {
        "failure"
    };
    response.insert_header((REPLAYED, HeaderValue::from_static(what)));
    response.body(answer.body)
}

fn mismatch() -> ApiError {
    let problem = Problem::new(
        ProblemKind::Mismatch,
        "idempotency_mismatch",
        "This Idempotency-Key was used for another request. Use a new key for a new request.",
    );
    problem.about("Idempotency-Key").into()
}

/// Somebody else works on the request, because this process could not hold it.
fn taken_up() -> ApiError {
    let problem = Problem::new(
        ProblemKind::Unavailable,
        "store_unavailable",
        "The request with this Idempotency-Key is worked on by another gateway, since the store could not be reached \
         from this one. Send it again in a moment, and you get its answer.",
    );
    Problem {
        source: Source::Gateway,
        retry_after_s: Some(1),
        ..problem
    }
    .into()
}

fn lost() -> ApiError {
    let problem = Problem::new(
        ProblemKind::Conflict,
        "idempotency_answer_lost",
        "The request with this Idempotency-Key was worked on, and may have been paid for, but its answer is not known: \
         the gateway was interrupted, or the answer was too large to be kept or was deleted. Use a new key to have it worked on again.",
    );
    Problem {
        should_retry: Some(false),
        ..problem.about("Idempotency-Key")
    }
    .into()
}
