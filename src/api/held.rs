//! A conversation that is held while a response is made in it, so that what two requests say at once
//! never gets mixed.

use std::time::Duration;

use tokio::time::sleep;

use super::context::Context;
use super::error::ApiError;
use super::lease::{LEASE, Renewal, give_back};
use crate::store::StoreError;
use crate::store::responses::{Joined, Locked, Owner, Responses};
use crate::translate::face::responses::parse::no_conversation;
use crate::translate::notes::shortened;
use crate::translate::rejection::{Cause, Rejection};

/// Who gives a conversation up needs a moment for it, and the next request may come at once.
const PATIENCE: [Duration; 3] = [
    Duration::from_millis(20),
    Duration::from_millis(60),
    Duration::from_millis(120),
];

/// A conversation that is held; given up when it is dropped.
pub struct Hold {
    claim: Claim,
    _renewal: Renewal,
}

#[derive(Clone)]
struct Claim {
    responses: Responses,
    owner: Owner,
    conversation: String,
    holder: String,
}

impl Hold {
    /// Holds a conversation in the state in which it was read.
    ///
    /// # Errors
    /// 400 while somebody else holds it or where it has changed, 404 where it is gone, 503 where the
    /// store fails.
    pub(super) async fn take(
        context: &Context,
        owner: Owner,
        conversation: &str,
        version: i64,
    ) -> Result<Self, ApiError> {
        let claim = Claim {
            responses: context.gateway.responses().clone(),
            owner,
            conversation: conversation.to_owned(),
            holder: super::state::secret_id(""),
        };
        let mut patience = PATIENCE.into_iter();
        loop {
            let locked = claim.attempt(version).await;
            match locked.map_err(|error| context.store_failed(&error))? {
                Locked::Yes => break,
                Locked::NotThere => return Err(no_conversation(conversation).into()),
                Locked::BySomebodyElse => match patience.next() {
                    Some(pause) => sleep(pause).await,
                    None => return Err(locked_out(conversation).into()),
                },
            }
        }
        let renewed = claim.clone();
        let renewal = Renewal::begin(move || {
            let claim = renewed.clone();
            async move { claim.hold(Some(LEASE)).await }
        });
        Ok(Self {
            claim,
            _renewal: renewal,
        })
    }

    /// What is to be added to the conversation is added under this name.
    pub fn joined(&self) -> Joined {
        Joined {
            id: self.claim.conversation.clone(),
            holder: self.claim.holder.clone(),
        }
    }
}

impl Claim {
    /// Locks the conversation. Where nobody hears what came of it, because the store was too slow or the
    /// client has left, it is given back, since nobody works on it.
    async fn attempt(&self, version: i64) -> Result<Locked, StoreError> {
        let mut attempt = Attempt(Some(self.clone()));
        let locked = self
            .responses
            .lock_conversation(
                &self.owner,
                &self.conversation,
                version,
                &self.holder,
                LEASE,
            )
            .await?;
        attempt.0 = None;
        Ok(locked)
    }

    async fn hold(&self, lease: Option<Duration>) -> Result<bool, StoreError> {
        let Self {
            responses,
            owner,
            conversation,
            holder,
        } = self;
        responses
            .hold_conversation(owner, conversation, holder, lease)
            .await
    }
}

/// A conversation that may have been locked.
struct Attempt(Option<Claim>);

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(claim) = self.0.take() {
            give_back(move || {
                let claim = claim.clone();
                async move { claim.hold(None).await }
            });
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let claim = self.claim.clone();
        // Without a runtime the process ends, and the lease with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ = claim.hold(None).await;
            });
        }
    }
}

/// The refusal while another response is made in a conversation.
pub fn locked_out(id: &str) -> Rejection {
    Rejection::of(
        Cause::OfFace("conversation_locked"),
        "conversation",
        format!(
            "Another response is being made in the conversation '{}', or it has just changed. Try again when that is done.",
            shortened(id)
        ),
    )
}
