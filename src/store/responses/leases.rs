//! Who works on a job: a gateway holds a lease of it, and renews that; a job whose lease has run out may
//! be taken by any gateway.

use std::time::Duration;

use super::submissions::{Submission, calls};
use super::{Owner, Responses, after, events, now};
use crate::store::error::StoreError;
use crate::store::sql::Transaction;

/// A job as it is kept.
#[derive(Clone, Debug)]
pub struct Job {
    pub response: String,
    pub owner: Owner,
    /// Both in milliseconds since 1970.
    pub created_at: i64,
    pub deadline: i64,
    pub terms: String,
    pub body: String,
    /// The JSON of its response as it was begun, also where nobody is shown that any more.
    pub begun: String,
    /// What it has asked of fal so far, in that order.
    pub submissions: Vec<Submission>,
    /// Whether it is streamed: only the gateway that began it can end it well.
    pub is_streamed: bool,
}

impl Responses {
    /// Renews this gateway's leases. Gives the responses that are still its own.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn renew(&self, gateway: &str, lease: Duration) -> Result<Vec<String>, StoreError> {
        let gateway = gateway.to_owned();
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            let update = "update job set lease_until = $1 where lease_by = $2 returning response";
            let values = [after(lease).into(), (&gateway).into()];
            super::texts(transaction.query(update, &values).await?)
        };
        self.database.write(deadline, write).await
    }

    /// Gives jobs of this gateway's to whoever takes them.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn release(&self, gateway: &str) -> Result<(), StoreError> {
        let gateway = gateway.to_owned();
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            let update = "update job set lease_until = 0, lease_by = '' where lease_by = $1";
            transaction
                .execute(update, &[(&gateway).into()])
                .await
                .map(drop)
        };
        self.database.write(deadline, write).await
    }

    /// Gives one of them.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn release_one(&self, gateway: &str, response: &str) -> Result<(), StoreError> {
        let (gateway, response) = (gateway.to_owned(), response.to_owned());
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            let update = "update job set lease_until = 0, lease_by = '' \
                          where lease_by = $1 and response = $2";
            let values = [(&gateway).into(), (&response).into()];
            transaction.execute(update, &values).await.map(drop)
        };
        self.database.write(deadline, write).await
    }

    /// The responses of some jobs that nobody works on: of those that go on without their owner's key,
    /// and those whose time is over.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn unheld(&self, at_once: i64) -> Result<Vec<String>, StoreError> {
        let read = async move |transaction: &Transaction<'_>| {
            let found = "select response from job where lease_until <= $1 \
                         and (needs_key = 0 or deadline <= $1) order by lease_until limit $2";
            super::texts(
                transaction
                    .query(found, &[now().into(), at_once.into()])
                    .await?,
            )
        };
        // Most often there is none, and looking for it keeps nobody from writing.
        self.database.read(self.database.deadline(), read).await
    }

    /// Takes the job of a response, if nobody works on it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn take_over(
        &self,
        gateway: &str,
        lease: Duration,
        response: &str,
    ) -> Result<Option<Job>, StoreError> {
        let (gateway, response) = (gateway.to_owned(), response.to_owned());
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            let take = "update job set lease_by = $1, lease_until = $2 \
                        where response = $3 and lease_until <= $4 \
                        returning owner, created_at, deadline, terms, body";
            let values = [
                (&gateway).into(),
                after(lease).into(),
                (&response).into(),
                now().into(),
            ];
            let Some(mut row) = transaction.first(take, &values).await? else {
                return Ok(None);
            };
            let begun = "select head, tail from response where id = $1";
            let begun = match transaction.first(begun, &[(&response).into()]).await? {
                Some(mut begun) => [begun.text(0)?, begun.text(1)?].concat(),
                None => String::new(),
            };
            Ok(Some(Job {
                begun,
                submissions: calls(transaction, &response).await?,
                is_streamed: events::is_there(transaction, &response).await?,
                owner: Owner::new(row.text(0)?),
                created_at: row.integer(1)?,
                deadline: row.integer(2)?,
                terms: row.text(3)?,
                body: row.text(4)?,
                response,
            }))
        };
        self.database.write(deadline, write).await
    }
}

/// Whether a job is this gateway's; it stays so until the transaction ends.
pub(super) async fn holds(
    transaction: &Transaction<'_>,
    gateway: &str,
    response: &str,
) -> Result<bool, StoreError> {
    let found = match transaction.is_postgres() {
        true => "select 1 from job where response = $1 and lease_by = $2 for update",
        false => "select 1 from job where response = $1 and lease_by = $2",
    };
    let values = [response.into(), gateway.into()];
    let row = transaction.first(found, &values).await?;
    Ok(row.is_some())
}
