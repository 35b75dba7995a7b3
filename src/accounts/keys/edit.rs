//! Keys: added, changed, replaced and taken back.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value as Json, json};

use super::audit::note;
use super::projects::find_project;
use super::rows::{find_key, hash_of, merged, put_key, read_key};
use super::{Condition, Outcome, Refusal, next, stale};
use crate::access::roster::StoredKey;
use crate::access::secret::Secret;
use crate::config::{Key, KeyHash};
use crate::store::{StoreError, Transaction, Value};

/// What is done to a key.
#[derive(Clone, Debug)]
pub enum Edit {
    /// These fields get other values; null for the value that they have if nothing is said.
    Fields(Map<String, Json>),
    /// Another secret takes the place of its own, which is taken for some time still.
    Rotate {
        secret: Secret,
        /// For how long; a day if nothing is said.
        grace: Option<SignedDuration>,
        /// Whether a secret that is taken still after an earlier rotation may end at once.
        ends_previous: bool,
    },
    /// It never opens again.
    Revoke,
}

impl Edit {
    /// What it is called in the log and in the record of changes.
    pub fn action(&self) -> &'static str {
        match self {
            Self::Fields(_) => "keys.change",
            Self::Rotate { .. } => "keys.rotate",
            Self::Revoke => REVOKE,
        }
    }
}

/// For how long an old secret is taken if nothing is said.
const USUAL_GRACE: SignedDuration = SignedDuration::from_hours(24);

const REVOKE: &str = "keys.revoke";

/// Adds a key that is not there yet.
///
/// # Errors
/// See [`StoreError`].
pub async fn add_key(
    transaction: &Transaction<'_>,
    fields: Map<String, Json>,
    secret: &Secret,
    condition: &Condition,
) -> Outcome<StoredKey> {
    let revision = next(transaction).await?;
    let key = match read_key(fields, &secret.hash, None) {
        Ok(key) => key,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if find_key(transaction, &key.name).await?.is_some() {
        let name = &key.name;
        return Ok(Err(Refusal::Taken(format!(
            "The store has a key `{name}` already, or had one. Choose another name."
        ))));
    }
    let stored = StoredKey {
        hint: secret.hint.clone(),
        created_at: transaction.now_ms().await?,
        revoked_at: None,
        revision,
        key,
    };
    if let Some(refusal) = unfit(transaction, &stored.key, condition).await? {
        return Ok(Err(refusal));
    }
    put_key(transaction, &stored).await?;
    let when = (revision, stored.created_at);
    let shown = (None, stored.shown());
    note(
        transaction,
        condition,
        when,
        "keys.create",
        &object(&stored),
        shown,
    )
    .await?;
    Ok(Ok(stored))
}

/// What a key is called in the record of changes.
fn object(stored: &StoredKey) -> String {
    format!("key/{}", stored.key.name)
}

/// Changes a key.
///
/// # Errors
/// See [`StoreError`].
pub async fn edit_key(
    transaction: &Transaction<'_>,
    name: &str,
    edit: Edit,
    condition: &Condition,
) -> Outcome<StoredKey> {
    let action = edit.action();
    match edit {
        Edit::Revoke => revoke_key(transaction, name, condition).await,
        Edit::Rotate {
            secret,
            grace,
            ends_previous,
        } => {
            let brings = secret.hash.clone();
            let rotate = |stored: &mut StoredKey, now| match in_use(&stored.key, now) {
                _ if stored.key.hash.sha256() == secret.hash.sha256() => {
                    let at_once = ends_previous.then_some(SignedDuration::ZERO);
                    let grace = grace.or(at_once).unwrap_or(USUAL_GRACE);
                    shorten(&mut stored.key, grace, now);
                    Ok(())
                }
                Some(refusal) if !ends_previous && grace != Some(SignedDuration::ZERO) => {
                    Err(refusal)
                }
                _ => {
                    rotate(stored, secret, grace.unwrap_or(USUAL_GRACE), now);
                    Ok(())
                }
            };
            let kind = Kind {
                action,
                has_to_fit: true,
                brings: Some(brings),
            };
            change_key(transaction, name, condition, kind, rotate).await
        }
        Edit::Fields(fields) => {
            // What only closes a key is never refused for what else is wrong with it.
            let only_closes =
                fields.len() == 1 && fields.get("disabled") == Some(&Json::Bool(true));
            let change = |stored: &mut StoredKey, _| {
                stored.key = edited(&stored.key, fields)?;
                Ok(())
            };
            let kind = Kind {
                action,
                has_to_fit: !only_closes,
                brings: None,
            };
            change_key(transaction, name, condition, kind, change).await
        }
    }
}

/// What kind of change is made.
struct Kind<'a> {
    /// What it is called.
    action: &'a str,
    /// Whether the key has to go together with what else is in the store.
    has_to_fit: bool,
    /// The hash that the key has already where this was done before, and is repeated.
    brings: Option<KeyHash>,
}

/// Changes a key that can be read.
async fn change_key(
    transaction: &Transaction<'_>,
    name: &str,
    condition: &Condition,
    kind: Kind<'_>,
    change: impl FnOnce(&mut StoredKey, i64) -> Result<(), Refusal>,
) -> Outcome<StoredKey> {
    let revision = next(transaction).await?;
    let Some(mut stored) = find_key(transaction, name).await? else {
        return Ok(Err(Refusal::Unknown(format!("the key `{name}`"))));
    };
    let has = |hash: &KeyHash| hash.sha256() == stored.key.hash.sha256();
    let is_repeated = stored.revoked_at.is_none() && kind.brings.as_ref().is_some_and(has);
    let stale = stale(condition, stored.revision);
    if let Some(refusal) = stale.clone().filter(|_| !is_repeated) {
        return Ok(Err(refusal));
    }
    if stored.revoked_at.is_some() {
        return Ok(Err(Refusal::Invalid(format!(
            "The key `{name}` is revoked, for good. Make another."
        ))));
    }
    let (now, before) = (transaction.now_ms().await?, stored.shown());
    if let Err(refusal) = change(&mut stored, now) {
        return Ok(Err(refusal));
    }
    if is_repeated {
        // Whoever repeats what was done is told so, whatever he had read before.
        if stored.shown() == before {
            return Ok(Ok(stored));
        }
        if let Some(refusal) = stale {
            return Ok(Err(refusal));
        }
    }
    stored.revision = revision;
    // What only ends a secret is never refused for what else is wrong with the key.
    if kind.has_to_fit
        && !is_repeated
        && let Some(refusal) = unfit(transaction, &stored.key, condition).await?
    {
        return Ok(Err(refusal));
    }
    put_key(transaction, &stored).await?;
    let shown = (Some(before), stored.shown());
    let object = object(&stored);
    note(
        transaction,
        condition,
        (revision, now),
        kind.action,
        &object,
        shown,
    )
    .await?;
    Ok(Ok(stored))
}

/// Takes a key back for good, whether or not this program can read the rest of its row.
async fn revoke_key(
    transaction: &Transaction<'_>,
    name: &str,
    condition: &Condition,
) -> Outcome<StoredKey> {
    let next = next(transaction).await?;
    let sql = "select hint, created_at, revoked_at, revision, hash from access_key where name = $1";
    let Some(mut row) = transaction.first(sql, &[name.into()]).await? else {
        return Ok(Err(Refusal::Unknown(format!("the key `{name}`"))));
    };
    let before = row.integer(3)?;
    if let Some(refusal) = stale(condition, before) {
        return Ok(Err(refusal));
    }
    let (revoked_at, revision) = match row.optional_integer(2)? {
        Some(earlier) => (earlier, before),
        None => (transaction.now_ms().await?, next),
    };
    let sql = "update access_key set revoked_at = $2, revision = $3 where name = $1";
    let values = [name.into(), revoked_at.into(), revision.into()];
    transaction.execute(sql, &values).await?;
    if revision == next {
        let after = Timestamp::from_millisecond(revoked_at).ok();
        let after = json!({"revoked_at": after.map(|at| at.to_string())});
        let object = format!("key/{name}");
        let when = (revision, revoked_at);
        note(transaction, condition, when, REVOKE, &object, (None, after)).await?;
    }
    match find_key(transaction, name).await {
        Ok(Some(stored)) => return Ok(Ok(stored)),
        Ok(None) | Err(StoreError::Corrupt(_)) => {}
        Err(error) => return Err(error),
    }
    // What can be said of a row that cannot be read.
    let hash = hash_of(&row.bytes(4)?).unwrap_or_else(|| KeyHash::of(""));
    let (hint, created_at) = (row.text(0)?, row.integer(1)?);
    let mut fields = Map::new();
    fields.insert("name".to_owned(), name.into());
    Ok(read_key(fields, &hash, None).map(|key| StoredKey {
        key,
        hint,
        created_at,
        revoked_at: Some(revoked_at),
        revision,
    }))
}

fn rotate(stored: &mut StoredKey, secret: Secret, grace: SignedDuration, now: i64) {
    stored.hint = secret.hint;
    let before = std::mem::replace(&mut stored.key.hash, secret.hash);
    let until = Timestamp::from_millisecond(now).ok();
    let until = until.and_then(|now| now.checked_add(grace).ok());
    stored.key.previous_hash = Some(before).filter(|_| grace.is_positive());
    stored.key.previous_until = until.filter(|_| grace.is_positive());
}

/// Has the secret from before the last rotation end after this grace, unless it ends before that.
fn shorten(key: &mut Key, grace: SignedDuration, now: i64) {
    let asked = Timestamp::from_millisecond(now).ok();
    let asked = asked.and_then(|now| now.checked_add(grace).ok());
    let (Some(asked), Some(until)) = (asked, key.previous_until) else {
        return;
    };
    if asked < until {
        key.previous_until = Some(asked).filter(|_| grace.is_positive());
        key.previous_hash.take_if(|_| !grace.is_positive());
    }
}

/// Why a key is not rotated now: clients may still use its secret from before the last rotation, and
/// a key has only one such.
fn in_use(key: &Key, now: i64) -> Option<Refusal> {
    let until = key.previous_until?;
    (until.as_millisecond() > now).then(|| {
        let name = &key.name;
        Refusal::InUse(format!(
            "The key `{name}` was rotated not long ago: its secret from before is taken until \
             {until}, and would end at once. Rotate it later, without a grace, or with \
             `end_previous` (`--end-previous`)."
        ))
    })
}

/// Why a key does not go together with what else is in the store.
async fn unfit(
    transaction: &Transaction<'_>,
    key: &Key,
    condition: &Condition,
) -> Result<Option<Refusal>, StoreError> {
    for hash in std::iter::once(&key.hash).chain(&key.previous_hash) {
        let sql =
            "select name from access_key where (hash = $1 or previous_hash = $1) and name <> $2";
        let values = [Value::Bytes(hash.sha256()), (&key.name).into()];
        if let Some(mut row) = transaction.first(sql, &values).await? {
            let (name, other) = (&key.name, row.text(0)?);
            return Ok(Some(Refusal::Taken(format!(
                "The key `{name}` has the same hash as the key `{other}` of the store. Make another \
                 secret."
            ))));
        }
    }
    let Some(project) = &key.project else {
        return Ok(None);
    };
    if condition.file_projects.contains(project) {
        return Ok(None);
    }
    let found = find_project(transaction, project).await?;
    let is_open = found.is_some_and(|project| project.archived_at.is_none());
    Ok((!is_open).then(|| {
        let name = &key.name;
        Refusal::Invalid(format!(
            "The key `{name}` belongs to the project `{project}`, but neither the settings file nor \
             the store has one of that name that is open."
        ))
    }))
}

/// A key with some fields changed.
fn edited(key: &Key, fields: Map<String, Json>) -> Result<Key, Refusal> {
    let fields = merged(key.to_json(), fields, &key.name);
    read_key(fields, &key.hash, key.previous_hash.as_ref())
}
