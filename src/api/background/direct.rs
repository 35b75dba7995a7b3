//! The way of the calls of a job that is streamed: to fal directly, since its queue gives no piece of an
//! answer before the end. Each of them is written down first, so that it is charged even if this
//! process is killed.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use super::carrier::{Trouble, choice_of, with_patience};
use super::jobs::Running;
use crate::api::gateway::Gateway;
use crate::engine::failure::billed_for_error;
use crate::engine::ledger::Billed;
use crate::engine::{Call, Carrier};
use crate::store::responses::{Sent, Submission};
use crate::upstream::{Answer, FalClient, FalKey, UpstreamError};

/// Makes the calls of one job.
pub(super) struct DirectCarrier {
    pub gateway: Arc<Gateway>,
    pub fal: Rc<FalClient>,
    pub key: FalKey,
    pub running: Running,
    pub first_byte: Duration,
    pub next: Cell<i64>,
    pub trouble: Cell<Option<Trouble>>,
}

impl Carrier for DirectCarrier {
    fn carry<'c>(&'c self, call: Call<'c>) -> LocalBoxFuture<'c, Result<Answer, UpstreamError>> {
        async move {
            let position = self.next.replace(self.next.get().saturating_add(1));
            let written = Submission {
                position,
                choice: choice_of(&call),
                app: call.post.app.to_owned(),
                path: call.post.path.to_owned(),
                model: call.model.to_owned(),
                request_id: None,
                is_refused: false,
            };
            let (gateway, response) = (self.running.gateway(), self.running.response());
            let responses = self.gateway.responses();
            let intended =
                with_patience(|| responses.intend(gateway, response, written.clone())).await;
            match intended {
                Ok(true) => {}
                Ok(false) => {
                    self.running.lose();
                    return std::future::pending().await;
                }
                Err(_) => {
                    self.trouble.set(Some(Trouble::Store));
                    return Err(UpstreamError::ConnectTimedOut);
                }
            }
            call.is_sent.set(true);
            let answer = self.fal.call(call.post, &self.key, self.first_byte).await;
            if let Err(error) = &answer
                && billed_for_error(error) == Billed::No
            {
                // If that fails, it is charged only where this process is killed, too.
                let _ = responses
                    .sent(gateway, response, position, Sent::Refused)
                    .await;
            }
            answer
        }
        .boxed_local()
    }

    /// Nobody else goes on with what is said in pieces.
    fn is_handed_over(&self) -> bool {
        false
    }
}
