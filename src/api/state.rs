//! What requests refer to, and what of their answers is kept: between the faces, which know what that
//! is, and the store, which knows where.

use std::hash::Hash;
use std::rc::Rc;

use actix_web::web::Bytes;
use ring::hmac;
use ring::rand::SystemRandom;
use uuid::Uuid;

use super::auth::Caller;
use super::context::Context;
use super::error::ApiError;
use super::extract;
use super::gateway::MemoryPermit;
use super::held::Hold;
use super::idempotency::Progress;
use crate::store::StoreError;
use crate::store::responses::{Chain, Continued, Kept, NewCompletion, NewItem, NewResponse, Owner};
use crate::translate::face::responses::parse::{no_answer, no_conversation, no_previous, too_long};
use crate::translate::face::state::{Past, Record, RecordItem, RecordKind, Wanted};
use crate::translate::problem::{Problem, ProblemKind, Source};
use crate::translate::rejection::{Cause, Rejection};

impl Context {
    /// Whose the things are that this caller keeps: those of a client key's name, which survives a
    /// new key; of a fal key that callers bring, by a keyed hash; or of all who may come.
    ///
    /// # Errors
    /// 503 while the store cannot be asked for the key of the hash.
    pub async fn owner(&self, caller: &Caller) -> Result<Owner, ApiError> {
        if let Some(key) = &caller.key {
            return Ok(Owner::new(format!("key:{}", key.id.as_str())));
        }
        if !caller.brought_fal_key {
            return Ok(Owner::new("local"));
        }
        let secret = self.gateway.store().secret("owner", draw).await;
        let secret = secret.map_err(|error| self.store_failed(&error))?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let tag = hmac::sign(&key, caller.fal_key.expose_secret().as_bytes());
        let digits: String = tag
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Owner::new(format!("fal:{digits}")))
    }

    /// What a caller is told whom the store has failed, and the log.
    pub fn store_failed(&self, error: &StoreError) -> ApiError {
        self.note_store_failure(error.label());
        tracing::error!(%error, kind = error.label(), "the store has failed");
        let message = match error {
            StoreError::Busy => {
                "What the gateway keeps was not told in time. Nothing was sent to fal; try again in a moment, or ask for less."
            }
            _ => {
                "What the gateway keeps cannot be reached at the moment. Nothing was sent to fal; try again in a moment."
            }
        };
        let problem = Problem::new(ProblemKind::Unavailable, "store_unavailable", message);
        Problem {
            source: Source::Gateway,
            retry_after_s: Some(1),
            ..problem
        }
        .into()
    }

    /// What a caller is told for whom there is no room, also where others made room, and the log.
    pub fn no_room(&self, cure: &str) -> ApiError {
        self.note_store_failure("no_room");
        let message = format!("There is no room for it in what the gateway may keep. {cure}");
        let problem = Problem::new(ProblemKind::Unavailable, "store_full", message);
        Problem {
            source: Source::Gateway,
            ..problem
        }
        .into()
    }

    /// Counts a failure of the store.
    pub fn note_store_failure(&self, kind: &str) {
        let failures = &self.gateway.metrics().store_failures;
        failures.with_label_values(&[kind]).inc();
    }
}

fn draw() -> Option<Vec<u8>> {
    let drawn = ring::rand::generate::<[u8; 32]>(&SystemRandom::new()).ok()?;
    Some(drawn.expose().to_vec())
}

fn was_deleted(id: &str) -> Rejection {
    Rejection::of(
        Cause::OfFace("previous_response_not_found"),
        "previous_response_id",
        format!(
            "The conversation before this request is not whole any more: its response '{id}' was deleted. \
             Send the conversation itself in 'input'."
        ),
    )
}

fn in_conversation(previous: &str, conversation: &str) -> Rejection {
    Rejection::invalid(
        "previous_response_id",
        format!(
            "The response '{previous}' was made in the conversation '{conversation}', which holds what was said before. \
             Go on with 'conversation' instead of 'previous_response_id'."
        ),
    )
}

/// What a request refers to, and what was found of it.
pub struct Recalled {
    pub wanted: Wanted,
    pub found: Past,
    /// The state of its conversation.
    version: i64,
}

impl Recalled {
    /// Makes room for what was found beside the body; gives the bytes of both.
    ///
    /// # Errors
    /// 503 where there is no room.
    pub fn hold_with(&self, body: &[u8], held: &mut MemoryPermit) -> Result<usize, ApiError> {
        let bytes = body.len().saturating_add(self.found.bytes());
        match held.grow_to(bytes) {
            true => Ok(bytes),
            false => Err(extract::too_many()),
        }
    }
}

/// Looks up what a request refers to.
///
/// # Errors
/// 400 for a response that is not there or cannot be continued, 503 where the store fails.
pub async fn look_up(
    context: &Context,
    caller: &Caller,
    wanted: Wanted,
) -> Result<Rc<Recalled>, ApiError> {
    let (mut found, mut state) = (Past::default(), 0);
    if !wanted.is_empty() {
        let owner = context.owner(caller).await?;
        let continued = Continued {
            previous: wanted.previous.clone(),
            conversation: wanted.conversation.clone(),
            items: wanted.items.clone(),
        };
        let max_bytes = context.snapshot.config.server.max_body;
        let chain = context
            .gateway
            .responses()
            .before(&owner, continued, max_bytes)
            .await;
        let previous = wanted.previous.as_deref();
        let conversation = wanted.conversation.as_deref();
        found = match chain.map_err(|error| context.store_failed(&error))? {
            Chain::Found {
                before,
                items,
                version,
            } => {
                state = version;
                Past {
                    has_previous: previous.is_some(),
                    has_conversation: conversation.is_some(),
                    before,
                    items,
                }
            }
            Chain::NoConversation => {
                return Err(no_conversation(conversation.unwrap_or_default()).into());
            }
            Chain::InConversation(conversation) => {
                let previous = previous.unwrap_or_default();
                return Err(in_conversation(previous, &conversation).into());
            }
            Chain::NoResponse => return Err(no_previous(previous.unwrap_or_default()).into()),
            Chain::NoAnswer { is_running } => {
                return Err(no_answer(previous.unwrap_or_default(), is_running).into());
            }
            Chain::Deleted(id) => return Err(was_deleted(&id).into()),
            Chain::TooLong => {
                return Err(too_long(match (conversation, previous) {
                    (Some(_), _) => "conversation",
                    (None, Some(_)) => "previous_response_id",
                    (None, None) => "input",
                })
                .into());
            }
        };
    }
    Ok(Rc::new(Recalled {
        wanted,
        found,
        version: state,
    }))
}

impl Recalled {
    /// What a request has besides its body that may be another one when it is sent again: the state of
    /// its conversation, and the items that it names.
    pub fn state(&self) -> impl Hash + use<'_> {
        (self.version, &self.found.items)
    }

    /// Holds the conversation that the request goes on with, for its answer, if that is to be kept.
    ///
    /// # Errors
    /// 400 while another response is made in it, or where it has changed since it was read; 404 where
    /// it is gone, 503 where the store fails.
    pub async fn hold(
        &self,
        context: &Context,
        caller: &Caller,
        is_kept: bool,
    ) -> Result<Option<Hold>, ApiError> {
        let Some(id) = self.wanted.conversation.as_ref().filter(|_| is_kept) else {
            return Ok(None);
        };
        let owner = context.owner(caller).await?;
        Hold::take(context, owner, id, self.version).await.map(Some)
    }
}

/// Keeps the answer to one request.
pub struct Keeper {
    pub context: Context,
    pub caller: Caller,
    /// What of the body the face makes items of.
    pub input: Bytes,
    pub past: Rc<Recalled>,
    /// The conversation that the answer is added to.
    pub hold: Option<Hold>,
    /// How it does.
    pub record_input: fn(&[u8], &Past, &str) -> Vec<RecordItem>,
    /// What the body takes up is held as long as the body is.
    pub _memory: Rc<MemoryPermit>,
}

impl Keeper {
    /// Keeps the response of this id. Whether it is kept: if so, whoever asks next finds it.
    pub async fn keep(self, id: &str, record: Record, progress: &Progress) -> bool {
        // In a box, so that answers that are not kept have no room for it.
        let is_kept = Box::pin(self.put(id, record)).await;
        if is_kept {
            progress.keep_as(id);
        }
        is_kept
    }

    async fn put(self, id: &str, record: Record) -> bool {
        let context = &self.context;
        let Ok(owner) = context.owner(&self.caller).await else {
            return false;
        };
        let retention = context.snapshot.config.responses.retention;
        let input = new_items((self.record_input)(&self.input, &self.past.found, id));
        if let RecordKind::ChatCompletion { model, metadata } = record.kind {
            let new = NewCompletion {
                id: id.to_owned(),
                model,
                metadata,
                body: record.head,
                messages: input,
                retention,
            };
            let put = context
                .gateway
                .responses()
                .put_completion(&owner, new)
                .await;
            return is_kept(context, put);
        }
        let new = NewResponse {
            id: id.to_owned(),
            parent: self.past.wanted.previous.clone(),
            conversation: self.hold.as_ref().map(Hold::joined),
            status: record.status,
            head: record.head,
            tail: record.tail,
            input,
            output: new_items(record.output),
            retention,
        };
        let put = context.gateway.responses().put(&owner, new).await;
        is_kept(context, put)
    }
}

/// Whether it is, and if not, who is told why.
fn is_kept(context: &Context, put: Result<Kept, StoreError>) -> bool {
    let why = match put {
        Ok(Kept::Yes) => return true,
        Ok(Kept::NoRoom) => "no_room",
        Ok(Kept::NoParent) => "no_parent",
        Err(error) => {
            tracing::error!(%error, kind = error.label(), "an answer is not kept");
            error.label()
        }
    };
    context.note_store_failure(why);
    false
}

/// Items as the store takes them.
pub(super) fn new_items(items: Vec<RecordItem>) -> Vec<NewItem> {
    let items = items.into_iter();
    items
        .map(|RecordItem { id, body }| NewItem { id, body })
        .collect()
}

/// How many letters of an id tell when it was made.
const TIME: usize = 12;

/// An id of 192 bits whose first ones tell when it was made, in milliseconds since 1970. The others are drawn,
/// and nobody guesses them. What is kept under such ids is written one behind the other, instead of all over
/// a large index.
pub(super) fn ordered_id(prefix: &str) -> String {
    let mut letters = [0; 32];
    let time = &*Uuid::now_v7().simple().encode_lower(&mut letters);
    let drawn = secret_id("");
    let (time, drawn) = (time.get(..TIME), drawn.get(TIME..));
    [prefix, time.unwrap_or_default(), drawn.unwrap_or_default()].concat()
}

/// An id of 192 bits that nobody guesses and that tells nothing.
pub fn secret_id(prefix: &str) -> String {
    let mut letters = [[0; 32]; 2];
    let [one, other] = &mut letters;
    let one = &*Uuid::new_v4().simple().encode_lower(one);
    let other = &*Uuid::new_v4().simple().encode_lower(other);
    [prefix, one, other.get(..16).unwrap_or_default()].concat()
}
