//! The tables of keys and projects: what has changed in them, and how they are changed.
//!
//! Whoever changes something takes the next number first and holds it until the end, so that changes
//! become visible in the order of their numbers.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value as Json};

use crate::access::roster::{News, StoredKey, StoredProject};
use crate::access::secret::Secret;
use crate::budget::{Period, Terms, Unit};
use crate::config::{Key, KeyHash, Problems, Project, equal_budgets};
use crate::store::{Row, StoreError, Transaction, Value};

/// Where what is read here stands, in problems.
const PLACE: &str = "the store";

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

/// What is done to a key.
#[derive(Clone, Debug)]
pub enum Edit {
    /// These fields get other values; null for the value that they have if nothing is said.
    Fields(Map<String, Json>),
    /// Another secret takes the place of its own, which is taken for some time still.
    Rotate {
        secret: Secret,
        grace: SignedDuration,
        /// Whether a secret that is taken still after an earlier rotation may end at once.
        ends_previous: bool,
    },
    /// It never opens again.
    Revoke,
}

/// What a change has to know besides.
#[derive(Clone, Debug, Default)]
pub struct Condition {
    /// The revision that has to be there still; without one the last writer wins.
    pub revision: Option<i64>,
    /// Projects that stand in the settings file.
    pub file_projects: Vec<String>,
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
            match key_of(row)? {
                Ok(key) => news.keys.push(key),
                Err((name, why)) => news.unreadable.push((format!("key/{name}"), why)),
            }
        }
        for row in self.projects {
            match project_of(row)? {
                Ok(project) => news.projects.push(project),
                Err((name, why)) => news.unreadable.push((format!("project/{name}"), why)),
            }
        }
        Ok(news)
    }
}

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
    Ok(Ok(stored))
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
    match edit {
        Edit::Revoke => revoke_key(transaction, name, condition).await,
        Edit::Rotate {
            secret,
            grace,
            ends_previous,
        } => {
            let ends_previous = ends_previous || !grace.is_positive();
            let rotate = |stored: &mut StoredKey, now| match in_use(&stored.key, now) {
                Some(refusal) if !ends_previous => Err(refusal),
                _ => {
                    rotate(stored, secret, grace, now);
                    Ok(())
                }
            };
            change_key(transaction, name, condition, true, rotate).await
        }
        Edit::Fields(fields) => {
            // What only closes a key is never refused for what else is wrong with it.
            let only_closes =
                fields.len() == 1 && fields.get("disabled") == Some(&Json::Bool(true));
            let change = |stored: &mut StoredKey, _| {
                stored.key = edited(&stored.key, fields)?;
                Ok(())
            };
            change_key(transaction, name, condition, !only_closes, change).await
        }
    }
}

/// Changes a key that can be read; `has_to_fit` says whether it has to go together with what else is
/// in the store.
async fn change_key(
    transaction: &Transaction<'_>,
    name: &str,
    condition: &Condition,
    has_to_fit: bool,
    change: impl FnOnce(&mut StoredKey, i64) -> Result<(), Refusal>,
) -> Outcome<StoredKey> {
    let revision = next(transaction).await?;
    let Some(mut stored) = find_key(transaction, name).await? else {
        return Ok(Err(Refusal::Unknown(format!("the key `{name}`"))));
    };
    if let Some(refusal) = stale(condition, stored.revision) {
        return Ok(Err(refusal));
    }
    if stored.revoked_at.is_some() {
        return Ok(Err(Refusal::Invalid(format!(
            "The key `{name}` is revoked, for good. Make another."
        ))));
    }
    let now = transaction.now_ms().await?;
    if let Err(refusal) = change(&mut stored, now) {
        return Ok(Err(refusal));
    }
    stored.revision = revision;
    if has_to_fit && let Some(refusal) = unfit(transaction, &stored.key, condition).await? {
        return Ok(Err(refusal));
    }
    put_key(transaction, &stored).await?;
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

/// Adds a project, or gives one other fields; with `archive` it is closed for good.
///
/// # Errors
/// See [`StoreError`].
pub async fn put_project(
    transaction: &Transaction<'_>,
    name: &str,
    change: ProjectChange,
    condition: &Condition,
) -> Outcome<StoredProject> {
    let revision = next(transaction).await?;
    let found = find_project(transaction, name).await?;
    let now = transaction.now_ms().await?;
    let mut stored = match (found, &change) {
        (Some(_), ProjectChange::Add(_)) => {
            return Ok(Err(Refusal::Taken(format!(
                "The store has a project `{name}` already. Change it, or choose another name."
            ))));
        }
        (None, ProjectChange::Add(_)) => None,
        (None, _) => return Ok(Err(Refusal::Unknown(format!("the project `{name}`")))),
        (found, _) => found,
    };
    if let Some(refusal) = stored
        .as_ref()
        .and_then(|known| stale(condition, known.revision))
    {
        return Ok(Err(refusal));
    }
    let project = match change {
        ProjectChange::Add(mut fields) => {
            fields.insert("name".to_owned(), name.into());
            read_project(fields)
        }
        ProjectChange::Fields(fields) => {
            let before = stored.as_ref().map(|stored| stored.project.to_json());
            read_project(merged(before.unwrap_or_default(), fields, name))
        }
        ProjectChange::SpendLimit(terms) => {
            let before = stored.as_ref().map(|stored| &stored.project);
            let budgets = before.map_or(&[][..], |project| &project.budgets).iter();
            let others = budgets.filter(|terms| !is_spend_limit(terms));
            let budgets: Vec<String> = others.map(ToString::to_string).chain(terms).collect();
            let mut fields = before.map(Project::to_json).unwrap_or_default();
            fields.insert("budgets".to_owned(), budgets.into());
            read_project(fields)
        }
        ProjectChange::Archive => {
            if let Some(stored) = &mut stored {
                stored.archived_at.get_or_insert(now);
            }
            let project = stored.as_ref().map(|stored| stored.project.clone());
            project.ok_or_else(|| Refusal::Unknown(format!("the project `{name}`")))
        }
    };
    let project = match project {
        Ok(project) => project,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let stored = StoredProject {
        created_at: stored.as_ref().map_or(now, |stored| stored.created_at),
        archived_at: stored.and_then(|stored| stored.archived_at),
        revision,
        project,
    };
    write_project(transaction, &stored).await?;
    Ok(Ok(stored))
}

/// What is done to a project.
#[derive(Clone, Debug)]
pub enum ProjectChange {
    Add(Map<String, Json>),
    Fields(Map<String, Json>),
    /// Another [spend limit](is_spend_limit) or none, beside its other budgets.
    SpendLimit(Option<String>),
    Archive,
}

/// Whether a budget is what OpenAI's organisation API calls a spend limit.
pub fn is_spend_limit(terms: &Terms) -> bool {
    let is_plain = !terms.is_soft && !terms.only_premium && terms.zone.name() == "UTC";
    is_plain && terms.unit == Unit::Dollars && terms.period == Period::Month
}

fn stale(condition: &Condition, revision: i64) -> Option<Refusal> {
    let wanted = condition.revision?;
    (wanted != revision).then_some(Refusal::Stale(revision))
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

fn merged(
    mut fields: Map<String, Json>,
    changes: Map<String, Json>,
    name: &str,
) -> Map<String, Json> {
    fields.extend(changes);
    // Nobody becomes somebody else.
    fields.insert("name".to_owned(), name.into());
    fields
}

fn read_key(
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

fn read_project(fields: Map<String, Json>) -> Result<Project, Refusal> {
    let given = fields.get("name").and_then(Json::as_str);
    let called = given.map_or_else(
        || "the project".to_owned(),
        |name| format!("the project `{}`", name.escape_debug()),
    );
    let project =
        Project::of_json(called, PLACE, &fields).map_err(|problems| invalid(&problems))?;
    refuse_equal_budgets("project", &project.name, &project.budgets)?;
    Ok(project)
}

fn refuse_equal_budgets(what: &str, name: &str, budgets: &[Terms]) -> Result<(), Refusal> {
    let pair = equal_budgets(budgets).into_iter().next();
    let Some((first, second)) = pair else {
        return Ok(());
    };
    Err(Refusal::Invalid(format!(
        "The {what} `{name}` would have the budgets `{first}` and `{second}`, which count the same; \
         keep one of them."
    )))
}

fn invalid(problems: &Problems) -> Refusal {
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

/// The number of the last change.
async fn number(transaction: &Transaction<'_>) -> Result<i64, StoreError> {
    let row = transaction
        .first("select number from access_change where id = 0", &[])
        .await?;
    row.map_or(Ok(0), |row| row.integer(0))
}

/// The number of this change, which others wait for until it is done.
async fn next(transaction: &Transaction<'_>) -> Result<i64, StoreError> {
    let sql = "update access_change set number = number + 1 where id = 0";
    transaction.execute(sql, &[]).await?;
    number(transaction).await
}

async fn find_key(
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
type Unreadable = (String, String);

fn key_of(mut row: Row) -> Result<Result<StoredKey, Unreadable>, StoreError> {
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

fn hash_of(bytes: &[u8]) -> Option<KeyHash> {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    KeyHash::parse(&format!("sha256:{digits}"))
}

async fn put_key(transaction: &Transaction<'_>, stored: &StoredKey) -> Result<(), StoreError> {
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

async fn find_project(
    transaction: &Transaction<'_>,
    name: &str,
) -> Result<Option<StoredProject>, StoreError> {
    let sql = "select name, definition, created_at, archived_at, revision from access_project \
               where name = $1";
    let Some(row) = transaction.first(sql, &[name.into()]).await? else {
        return Ok(None);
    };
    let read = project_of(row)?;
    read.map(Some)
        .map_err(|(name, why)| StoreError::Corrupt(format!("the project `{name}`: {why}")))
}

fn project_of(mut row: Row) -> Result<Result<StoredProject, Unreadable>, StoreError> {
    let name = row.text(0)?;
    let definition = row.text(1)?;
    let fields = serde_json::from_str::<Map<String, Json>>(&definition).unwrap_or_default();
    let project = match read_project(fields) {
        Ok(project) if project.name == name => project,
        Ok(_) => return Ok(Err((name, "it says another name".to_owned()))),
        Err(refusal) => return Ok(Err((name, refusal.to_string()))),
    };
    Ok(Ok(StoredProject {
        project,
        created_at: row.integer(2)?,
        archived_at: row.optional_integer(3)?,
        revision: row.integer(4)?,
    }))
}

async fn write_project(
    transaction: &Transaction<'_>,
    stored: &StoredProject,
) -> Result<(), StoreError> {
    let sql = "insert into access_project (name, definition, created_at, archived_at, revision) \
               values ($1, $2, $3, $4, $5) \
               on conflict (name) do update set definition = excluded.definition, \
               archived_at = excluded.archived_at, revision = excluded.revision";
    let definition = Json::Object(stored.project.to_json()).to_string();
    let values = [
        (&stored.project.name).into(),
        (&definition).into(),
        stored.created_at.into(),
        stored.archived_at.map_or(Value::Null, Value::Integer),
        stored.revision.into(),
    ];
    transaction.execute(sql, &values).await.map(drop)
}
