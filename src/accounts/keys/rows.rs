//! How keys stand in their table, and how fields are read.

use serde_json::{Map, Value as Json};

use super::Refusal;
use crate::access::roster::StoredKey;
use crate::budget::Terms;
use crate::config::{Key, KeyHash, Problems, equal_budgets};
use crate::store::{Row, StoreError, Transaction, Value};

/// Where what is read here stands, in problems.
pub(super) const PLACE: &str = "the store";

pub(super) async fn find_key(
    transaction: &Transaction<'_>,
    name: &str,
) -> Result<Option<StoredKey>, StoreError> {
    let sql = "select name, definition, hash, previous_hash, hint, created_at, revoked_at, revision \
               from access_key where name = $1";
    let Some(row) = transaction.first(sql, &[name.into()]).await? else {
        return Ok(None);
    };
    let read = key_of(row)?;
    read.map(Some)
        .map_err(|(name, why)| StoreError::Corrupt(format!("the key `{name}`: {why}")))
}

/// A name of a row, and why it cannot be read.
pub(super) type Unreadable = (String, String);

pub(super) fn key_of(mut row: Row) -> Result<Result<StoredKey, Unreadable>, StoreError> {
    let name = row.text(0)?;
    let definition = row.text(1)?;
    let hash = hash_of(&row.bytes(2)?);
    let previous = row.optional_bytes(3)?;
    let previous = previous.map(|bytes| hash_of(&bytes));
    let Some(hash) = hash else {
        return Ok(Err((name, "its hash is none".to_owned())));
    };
    let fields = serde_json::from_str::<Map<String, Json>>(&definition).unwrap_or_default();
    let key = match read_key(fields, &hash, previous.flatten().as_ref()) {
        Ok(key) if key.name == name => key,
        Ok(_) => return Ok(Err((name, "it says another name".to_owned()))),
        Err(refusal) => return Ok(Err((name, refusal.to_string()))),
    };
    Ok(Ok(StoredKey {
        key,
        hint: row.text(4)?,
        created_at: row.integer(5)?,
        revoked_at: row.optional_integer(6)?,
        revision: row.integer(7)?,
    }))
}

pub(super) fn hash_of(bytes: &[u8]) -> Option<KeyHash> {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    KeyHash::parse(&format!("sha256:{digits}"))
}

pub(super) async fn put_key(
    transaction: &Transaction<'_>,
    stored: &StoredKey,
) -> Result<(), StoreError> {
    let sql = "insert into access_key \
               (name, definition, hash, previous_hash, hint, created_at, revoked_at, revision) \
               values ($1, $2, $3, $4, $5, $6, $7, $8) \
               on conflict (name) do update set definition = excluded.definition, \
               hash = excluded.hash, previous_hash = excluded.previous_hash, hint = excluded.hint, \
               revoked_at = excluded.revoked_at, revision = excluded.revision";
    let key = &stored.key;
    let definition = Json::Object(key.to_json()).to_string();
    let previous = key.previous_hash.as_ref().map(KeyHash::sha256);
    let values = [
        (&key.name).into(),
        (&definition).into(),
        Value::Bytes(key.hash.sha256()),
        previous.map_or(Value::Null, |hash| Value::Bytes(hash)),
        (&stored.hint).into(),
        stored.created_at.into(),
        stored.revoked_at.map_or(Value::Null, Value::Integer),
        stored.revision.into(),
    ];
    transaction.execute(sql, &values).await.map(drop)
}

pub(super) fn read_key(
    mut fields: Map<String, Json>,
    hash: &KeyHash,
    previous: Option<&KeyHash>,
) -> Result<Key, Refusal> {
    let given = fields.get("name").and_then(Json::as_str);
    let called = given.map_or_else(
        || "the key".to_owned(),
        |name| format!("the key `{}`", name.escape_debug()),
    );
    fields.insert("hash".to_owned(), unnamed(hash).into());
    fields.remove("previous_hash");
    if let Some(previous) = previous {
        fields.insert("previous_hash".to_owned(), unnamed(previous).into());
    } else {
        fields.remove("previous_until");
    }
    let key = Key::of_json(called, PLACE, &fields).map_err(|problems| invalid(&problems))?;
    refuse_equal_budgets("key", &key.name, &key.budgets)?;
    Ok(key)
}

pub(super) fn merged(
    mut fields: Map<String, Json>,
    changes: Map<String, Json>,
    name: &str,
) -> Map<String, Json> {
    fields.extend(changes);
    // Nobody becomes somebody else.
    fields.insert("name".to_owned(), name.into());
    fields
}

pub(super) fn refuse_equal_budgets(
    what: &str,
    name: &str,
    budgets: &[Terms],
) -> Result<(), Refusal> {
    let pair = equal_budgets(budgets).into_iter().next();
    let Some((first, second)) = pair else {
        return Ok(());
    };
    Err(Refusal::Invalid(format!(
        "The {what} `{name}` would have the budgets `{first}` and `{second}`, which count the same; \
         keep one of them."
    )))
}

pub(super) fn invalid(problems: &Problems) -> Refusal {
    let sentences: Vec<&str> = problems.iter().map(|one| one.sentence.as_str()).collect();
    Refusal::Invalid(sentences.join(" "))
}

fn unnamed(hash: &KeyHash) -> String {
    let digits: String = hash
        .sha256()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{digits}")
}
