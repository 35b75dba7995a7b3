//! The tables of keys and projects: what has changed in them, and how they are changed.
//!
//! Whoever changes something takes the next number first and holds it until the end, so that changes
//! become visible in the order of their numbers. Each number has a mark, drawn by lot: where a standby
//! takes over without the last changes, their numbers are given once more, with other marks.
//!
//! The table `access_change` has the number of the last change under 0, and the mark of a change under
//! its number.

mod audit;
mod edit;
mod projects;
mod rows;

pub use audit::{Change, changes};
pub(super) use audit::{forget_before, note};
pub use edit::{Edit, add_key, edit_key};
pub use projects::{ProjectChange, is_spend_limit, put_project};

use ring::rand::{SecureRandom, SystemRandom};

use crate::access::roster::{LastChange, News};
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
    last: LastChange,
    is_all: bool,
    keys: Vec<Row>,
    projects: Vec<Row>,
}

/// How many changes a gateway may miss before it reads all keys instead: for so many marks are kept.
const MARKS: i64 = 1000;

/// What has changed after a change; `None` if nothing has. All that there is, where a change is named
/// that this store has not come to, has had otherwise, or never can have.
///
/// # Errors
/// See [`StoreError`].
pub async fn news(
    transaction: &Transaction<'_>,
    since: LastChange,
) -> Result<Option<UnreadNews>, StoreError> {
    let (number, mark) = number_and_mark(transaction, since.number).await?;
    // It was set back to an earlier state, and may have come as far again.
    let is_all = since.number < 0 || since.number > number || since.mark != mark;
    if since.number == number && !is_all {
        return Ok(None);
    }
    let (_, mark) = number_and_mark(transaction, number).await?;
    let since = if is_all { -1 } else { since.number };
    let keys = "select name, definition, hash, previous_hash, hint, created_at, revoked_at, revision \
                from access_key where revision > $1";
    let projects = "select name, definition, created_at, archived_at, revision from access_project \
                    where revision > $1";
    Ok(Some(UnreadNews {
        last: LastChange { number, mark },
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
            last: self.last,
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

/// The number of the last change, and the mark of the change with this number.
async fn number_and_mark(
    transaction: &Transaction<'_>,
    of: i64,
) -> Result<(i64, Option<i64>), StoreError> {
    let sql = "select id, number from access_change where id = 0 or id = $1";
    let (mut number, mut mark) = (0, None);
    for row in transaction.query(sql, &[of.into()]).await? {
        match row.integer(0)? {
            0 => number = row.integer(1)?,
            _ => mark = Some(row.integer(1)?),
        }
    }
    Ok((number, mark))
}

/// The number of this change, which others wait for until it is done.
pub(super) async fn next(transaction: &Transaction<'_>) -> Result<i64, StoreError> {
    let sql = "update access_change set number = number + 1 where id = 0";
    transaction.execute(sql, &[]).await?;
    let (number, _) = number_and_mark(transaction, 0).await?;
    let mark = "insert into access_change (id, number) values ($1, $2) \
                on conflict (id) do update set number = excluded.number";
    let values = [number.into(), draw_mark()?.into()];
    transaction.execute(mark, &values).await?;
    let old = "delete from access_change where id > 0 and id <= $1";
    transaction
        .execute(old, &[number.saturating_sub(MARKS).into()])
        .await?;
    Ok(number)
}

fn draw_mark() -> Result<i64, StoreError> {
    let mut bytes = [0; 8];
    let drawn = SystemRandom::new().fill(&mut bytes);
    drawn.map_err(|_| StoreError::Failed("the system has no randomness".to_owned()))?;
    Ok(i64::from_ne_bytes(bytes))
}
