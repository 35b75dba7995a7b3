//! Projects: added, changed and closed, and how they stand in their table.

use serde_json::{Map, Value as Json};

use super::audit::note;
use super::rows::{PLACE, Unreadable, invalid, merged, refuse_equal_budgets};
use super::{Condition, Outcome, Refusal, next, stale};
use crate::access::roster::StoredProject;
use crate::budget::{Period, Terms, Unit};
use crate::config::{Project, fault_of_project_name};
use crate::store::{Row, StoreError, Transaction, Value};

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
    let before = stored.as_ref().map(StoredProject::shown);
    let action = change.action();
    if let (Some(stored), ProjectChange::Archive) = (&mut stored, &change) {
        stored.archived_at.get_or_insert(now);
    }
    let project = changed(name, stored.as_ref().map(|stored| &stored.project), change);
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
    let (object, shown) = (format!("project/{name}"), (before, stored.shown()));
    note(
        transaction,
        condition,
        (revision, now),
        action,
        &object,
        shown,
    )
    .await?;
    Ok(Ok(stored))
}

/// What a project is after a change of this one, which is not there yet where one is added.
fn changed(
    name: &str,
    before: Option<&Project>,
    change: ProjectChange,
) -> Result<Project, Refusal> {
    match change {
        ProjectChange::Add(mut fields) => {
            if let Some(fault) = fault_of_project_name(name) {
                return Err(Refusal::Invalid(fault));
            }
            fields.insert("name".to_owned(), name.into());
            read_project(fields)
        }
        ProjectChange::Fields(fields) => {
            let before = before.map(Project::to_json);
            read_project(merged(before.unwrap_or_default(), fields, name))
        }
        ProjectChange::SpendLimit(terms) => {
            let budgets = before.map_or(&[][..], |project| &project.budgets).iter();
            let others = budgets.filter(|terms| !is_spend_limit(terms));
            let budgets: Vec<String> = others.map(ToString::to_string).chain(terms).collect();
            let mut fields = before.map(Project::to_json).unwrap_or_default();
            fields.insert("budgets".to_owned(), budgets.into());
            read_project(fields)
        }
        ProjectChange::Archive => before
            .cloned()
            .ok_or_else(|| Refusal::Unknown(format!("the project `{name}`"))),
    }
}

impl ProjectChange {
    /// What it is called in the log and in the record of changes.
    pub fn action(&self) -> &'static str {
        match self {
            Self::Add(_) => "projects.create",
            Self::Fields(_) | Self::SpendLimit(_) => "projects.change",
            Self::Archive => "projects.archive",
        }
    }
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

pub(super) async fn find_project(
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

pub(super) fn project_of(mut row: Row) -> Result<Result<StoredProject, Unreadable>, StoreError> {
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
