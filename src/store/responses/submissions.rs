//! What jobs have asked of fal's queue: written down before it is asked, so that nothing is asked twice.

use super::Responses;
use super::leases::holds;
use crate::store::error::StoreError;
use crate::store::sql::Transaction;

/// A call to fal's queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    pub position: i64,
    pub choice: i64,
    pub app: String,
    pub path: String,
    pub model: String,
    /// fal's id of it. Without one, nobody knows whether fal has it.
    pub request_id: Option<String>,
    /// It was never sent, or fal has refused it.
    pub is_refused: bool,
}

/// What became of a call that was written before it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// fal has it, under this id.
    As(String),
    /// fal does not have it.
    Refused,
}

impl Responses {
    /// Writes down that a call is going to be made. Whether the job is still this gateway's; else the
    /// call must not be made. After an error it may have been written down all the same, and it can
    /// be asked for again.
    ///
    /// # Errors
    /// See [`StoreError`]. The call must not be made then, either.
    pub async fn intend(
        &self,
        gateway: &str,
        response: &str,
        call: Submission,
    ) -> Result<bool, StoreError> {
        let (gateway, response) = (gateway.to_owned(), response.to_owned());
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            if !holds(transaction, &gateway, &response).await? {
                return Ok(false);
            }
            let insert = "insert into submission (response, position, choice, app, path, model, refused) \
                          values ($1, $2, $3, $4, $5, $6, 0) \
                          on conflict (response, position) do nothing";
            let values = [
                (&response).into(),
                call.position.into(),
                call.choice.into(),
                (&call.app).into(),
                (&call.path).into(),
                (&call.model).into(),
            ];
            transaction.execute(insert, &values).await?;
            Ok(true)
        };
        self.database.write(deadline, write).await
    }

    /// Writes down what became of a call. Whether the job is still this gateway's.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn sent(
        &self,
        gateway: &str,
        response: &str,
        position: i64,
        sent: Sent,
    ) -> Result<bool, StoreError> {
        let (gateway, response) = (gateway.to_owned(), response.to_owned());
        let deadline = self.database.deadline();
        let write = async move |transaction: &Transaction<'_>| {
            if !holds(transaction, &gateway, &response).await? {
                return Ok(false);
            }
            let (id, refused) = match &sent {
                Sent::As(id) => (Some(id.as_str()), 0_i64),
                Sent::Refused => (None, 1),
            };
            let update = "update submission set request_id = $1, refused = $2 \
                          where response = $3 and position = $4";
            let values = [
                id.into(),
                refused.into(),
                (&response).into(),
                position.into(),
            ];
            transaction.execute(update, &values).await?;
            Ok(true)
        };
        self.database.write(deadline, write).await
    }
}

pub(super) async fn calls(
    transaction: &Transaction<'_>,
    response: &str,
) -> Result<Vec<Submission>, StoreError> {
    let all = "select position, choice, app, path, model, request_id, refused from submission \
               where response = $1 order by position";
    let rows = transaction.query(all, &[response.into()]).await?;
    let calls = rows.into_iter().map(|mut row| {
        Ok(Submission {
            position: row.integer(0)?,
            choice: row.integer(1)?,
            app: row.text(2)?,
            path: row.text(3)?,
            model: row.text(4)?,
            request_id: row.optional_text(5)?,
            is_refused: row.integer(6)? != 0,
        })
    });
    calls.collect()
}

pub(super) async fn forget_calls(
    transaction: &Transaction<'_>,
    response: &str,
) -> Result<(), StoreError> {
    let all = "delete from submission where response = $1";
    transaction.execute(all, &[response.into()]).await.map(drop)
}
