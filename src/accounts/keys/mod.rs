//! The tables of keys and projects: what has changed in them, and how they are changed.
//!
//! Whoever changes something takes the next number first and holds it until the end, so that changes
//! become visible in the order of their numbers.

mod audit;
mod edit;
mod projects;
mod rows;

pub use audit::{Change, changes};
pub(super) use audit::{forget_before, note};
pub use edit::{Edit, add_key, edit_key};
pub use projects::{ProjectChange, is_spend_limit, put_project};

use crate::access::roster::News;
use crate::store::{Row, StoreError, Transaction};

/// What becomes of a change.
pub type Outcome<T> = Result<Result<T, Refusal>, StoreError>;

/// Why something is not changed. The store is as it was then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{0} is not in the store")]
    Unknown(String),
    /// The name is taken, for ever: what was kept and spent under it belongs to its first owner.
    #[error("{0}")]
    Taken(String),
    /// Somebody would lose what he still uses.
    #[error("{0}")]
    InUse(String),
    #[error("it was changed meanwhile: it has revision {0} now")]
    Stale(i64),
    #[error("{0}")]
    Invalid(String),
}

/// What a change has to know besides.
#[derive(Clone, Debug, Default)]
pub struct Condition {
    /// The revision that has to be there still; without one the last writer wins.
    pub revision: Option<i64>,
    /// Projects that stand in the settings file.
    pub file_projects: Vec<String>,
    /// Who makes it, and from where, as far as that is known.
    pub operator: String,
    pub address: String,
}

/// Rows that have changed, as the store has them. Whoever wants to know what they say
/// [reads](Self::read) them when the transaction is over: many take longer than one may last.
#[derive(Debug)]
pub struct UnreadNews {
    revision: i64,
    is_all: bool,
    keys: Vec<Row>,
    projects: Vec<Row>,
}

/// What has changed after a number; `None` if nothing has. All that there is, where a number is
/// asked for that this store has not reached, or never can.
///
/// # Errors
/// See [`StoreError`].
pub async fn news(
    transaction: &Transaction<'_>,
    since: i64,
) -> Result<Option<UnreadNews>, StoreError> {
    let revision = number(transaction).await?;
    if revision == since {
        return Ok(None);
    }
    // It was set back to an earlier state.
    let is_all = since < 0 || since > revision;
    let since = if is_all { -1 } else { since };
    let keys = "select name, definition, hash, previous_hash, hint, created_at, revoked_at, revision \
                from access_key where revision > $1";
    let projects = "select name, definition, created_at, archived_at, revision from access_project \
                    where revision > $1";
    Ok(Some(UnreadNews {
        revision,
        is_all,
        keys: transaction.query(keys, &[since.into()]).await?,
        projects: transaction.query(projects, &[since.into()]).await?,
    }))
}

impl UnreadNews {
    /// What the rows say.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn read(self) -> Result<News, StoreError> {
        let mut news = News {
            revision: self.revision,
            is_all: self.is_all,
            ..News::default()
        };
        for row in self.keys {
            match rows::key_of(row)? {
                Ok(key) => news.keys.push(key),
                Err((name, why)) => news.unreadable.push((format!("key/{name}"), why)),
            }
        }
        for row in self.projects {
            match projects::project_of(row)? {
                Ok(project) => news.projects.push(project),
                Err((name, why)) => news.unreadable.push((format!("project/{name}"), why)),
            }
        }
        Ok(news)
    }
}

fn stale(condition: &Condition, revision: i64) -> Option<Refusal> {
    let wanted = condition.revision?;
    (wanted != revision).then_some(Refusal::Stale(revision))
}

/// The number of the last change.
async fn number(transaction: &Transaction<'_>) -> Result<i64, StoreError> {
    let row = transaction
        .first("select number from access_change where id = 0", &[])
        .await?;
    row.map_or(Ok(0), |row| row.integer(0))
}

/// The number of this change, which others wait for until it is done.
pub(super) async fn next(transaction: &Transaction<'_>) -> Result<i64, StoreError> {
    let sql = "update access_change set number = number + 1 where id = 0";
    transaction.execute(sql, &[]).await?;
    number(transaction).await
}
