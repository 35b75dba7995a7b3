//! Who has changed what: a row for each change, written with it.

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::Condition;
use crate::store::{Row, StoreError, Transaction, Value};

/// A change that was made.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its number; later changes have larger ones.
    pub number: i64,
    at: i64,
    operator: String,
    address: String,
    action: String,
    object: String,
    before: Option<String>,
    after: String,
}

/// Writes down what is changed in this transaction: the object, such as `key/ci`, as it was and as it
/// is.
pub(in crate::accounts) async fn note(
    transaction: &Transaction<'_>,
    condition: &Condition,
    (number, at): (i64, i64),
    action: &str,
    object: &str,
    (before, after): (Option<Json>, Json),
) -> Result<(), StoreError> {
    let sql = "insert into admin_change \
               (number, at, operator, address, action, object, before, after) \
               values ($1, $2, $3, $4, $5, $6, $7, $8)";
    let (before, after) = (before.map(|before| before.to_string()), after.to_string());
    let values = [
        number.into(),
        at.into(),
        (&condition.operator).into(),
        (&condition.address).into(),
        action.into(),
        object.into(),
        before.as_deref().into(),
        (&after).into(),
    ];
    transaction.execute(sql, &values).await.map(drop)
}

/// At most so many changes with smaller numbers than this, the newest first; of one object, or where
/// that is empty of all.
///
/// # Errors
/// See [`StoreError`].
pub async fn changes(
    transaction: &Transaction<'_>,
    object: &str,
    before: i64,
    most: i64,
) -> Result<Vec<Change>, StoreError> {
    const ALL: &str = "select number, at, operator, address, action, object, before, after \
        from admin_change where number < $1 order by number desc limit $2";
    const OWN: &str = "select number, at, operator, address, action, object, before, after \
        from admin_change where object = $3 and number < $1 order by number desc limit $2";
    let values: [Value<'_>; 3] = [before.into(), most.into(), object.into()];
    let rows = match object.is_empty() {
        true => transaction.query(ALL, &values[..2]).await?,
        false => transaction.query(OWN, &values).await?,
    };
    rows.into_iter().map(Change::of).collect()
}

/// Forgets some of the changes from before a time. Whether there may be more of them.
///
/// # Errors
/// See [`StoreError`].
pub(in crate::accounts) async fn forget_before(
    transaction: &Transaction<'_>,
    before: i64,
) -> Result<bool, StoreError> {
    const AT_ONCE: i64 = 1000;
    // Numbers grow with time, so only the oldest are looked at.
    let sql = "delete from admin_change where number in \
               (select number from admin_change order by number limit $2) and at < $1";
    let values = [before.into(), AT_ONCE.into()];
    let deleted = transaction.execute(sql, &values).await?;
    Ok(i64::try_from(deleted).unwrap_or(i64::MAX) >= AT_ONCE)
}

impl Change {
    fn of(mut row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            number: row.integer(0)?,
            at: row.integer(1)?,
            operator: row.text(2)?,
            address: row.text(3)?,
            action: row.text(4)?,
            object: row.text(5)?,
            before: row.optional_text(6)?,
            after: row.text(7)?,
        })
    }

    /// As operators see it.
    pub fn shown(&self) -> Json {
        let read = |text: &str| serde_json::from_str::<Json>(text).unwrap_or_default();
        let at = Timestamp::from_millisecond(self.at).ok();
        json!({
            "number": self.number,
            "at": at.map(|at| at.to_string()),
            "operator": self.operator,
            "address": self.address,
            "action": self.action,
            "object": self.object,
            "before": self.before.as_deref().map(read),
            "after": read(&self.after),
        })
    }
}
