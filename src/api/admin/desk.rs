//! What all changes have in common: the store, its refusals, and a line of the log for each.

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::header::{ETAG, HeaderValue, IF_MATCH};
use serde_json::{Map, Value as Json};

use super::door::Operator;
use super::keys::invalid;
use crate::accounts::keys::{Condition, Outcome, Refusal};
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::budget::Terms;
use crate::config::{Problems, can_name, equal_budgets};
use crate::store::{StoreError, Transaction};
use crate::translate::problem::{Problem, ProblemKind, Source};

/// Something that an operator does, for its line of the log.
pub(super) struct Deed {
    operator: String,
    action: &'static str,
    object: String,
}

impl Operator {
    /// What this operator does to an object of this name.
    pub(super) fn deed(&self, action: &'static str, object: &str) -> Deed {
        Deed {
            operator: self.name.clone(),
            action,
            object: object.escape_debug().to_string(),
        }
    }
}

impl Deed {
    fn note<T: Revised>(&self, done: &Result<Result<T, Refusal>, StoreError>) {
        let Self {
            operator,
            action,
            object,
        } = self;
        match done {
            Ok(Ok(done)) => {
                let revision = done.revision();
                tracing::info!(operator, action, object, revision, "administered");
            }
            Err(error) if is_uncertain(error) => {
                tracing::warn!(operator, action, object, "administered, or not: look");
            }
            Ok(Err(_)) | Err(_) => {}
        }
    }
}

/// Changes something in the store; gives what it is afterwards, when this gateway knows it too. The
/// change goes on, and is noted, where nobody waits for it any more.
///
/// # Errors
/// 400, 404, 409 and 412 for what is refused, 503 where the store fails.
pub(super) async fn write<T: Send + Revised + 'static>(
    context: &Context,
    deed: Deed,
    work: impl AsyncFnOnce(&Transaction<'_>) -> Outcome<T> + Send + 'static,
) -> Result<T, ApiError> {
    let store = context.gateway.store().clone();
    if store.is_in_memory() {
        return Err(conflict(
            "no_store",
            "There is no store for keys and projects: set store.path or store.url, and restart.",
        ));
    }
    let doing = actix_web::rt::spawn(async move {
        // What an operator was told holds, whatever becomes of the machine.
        let done = store.write_durably(store.deadline(), work).await;
        deed.note(&done);
        done
    });
    let done = doing.await.map_err(|_| Problem::bug(false))?;
    let done = done.map_err(|error| failed(context, &error))?;
    let done = done.map_err(refused)?;
    context.gateway.until_known(done.revision()).await;
    Ok(done)
}

/// Whether a change may have been made all the same.
fn is_uncertain(error: &StoreError) -> bool {
    matches!(error, StoreError::Busy | StoreError::Gone(_))
}

/// The refusal for a change that the store has not confirmed. A client that repeats it by itself
/// might replace a secret that nobody has seen.
fn failed(context: &Context, error: &StoreError) -> ApiError {
    let refusal = context.store_failed(error);
    if !is_uncertain(error) {
        return refusal;
    }
    ApiError::from(Problem {
        source: Source::Gateway,
        should_retry: Some(false),
        ..Problem::new(
            ProblemKind::Unavailable,
            "store_unavailable",
            "The store has not confirmed the change, which may have been made all the same. Look at \
             what is there before you repeat it.",
        )
    })
}

/// Something with the number of its last change.
pub(super) trait Revised {
    fn revision(&self) -> i64;
}

impl Revised for crate::access::roster::StoredKey {
    fn revision(&self) -> i64 {
        self.revision
    }
}

impl Revised for crate::access::roster::StoredProject {
    fn revision(&self) -> i64 {
        self.revision
    }
}

impl Revised for crate::accounts::books::Adjusted {
    fn revision(&self) -> i64 {
        self.revision
    }
}

/// What a change depends on: the revision of `If-Match`, and the projects of the file; and who makes
/// it.
///
/// # Errors
/// 400 for an `If-Match` that is no revision.
pub(super) fn condition(
    request: &HttpRequest,
    context: &Context,
    operator: &Operator,
) -> Result<Condition, ApiError> {
    let wanted = request.headers().get(IF_MATCH).map(|value| {
        let text = value.to_str().unwrap_or_default().trim();
        (text != "*").then(|| text.trim_matches('"').parse::<i64>())
    });
    let revision = match wanted.flatten() {
        None => None,
        Some(Ok(revision)) => Some(revision),
        Some(Err(_)) => {
            let cure = "It takes the ETag of an earlier answer.";
            return Err(ApiError::invalid_header("if-match", cure));
        }
    };
    let projects = context.snapshot.config.projects.iter();
    let address = context.address_of(request);
    Ok(Condition {
        revision,
        operator: operator.name.clone(),
        address: address.map(|ip| ip.to_string()).unwrap_or_default(),
        file_projects: projects.map(|project| project.name.clone()).collect(),
    })
}

/// Refuses a body with a field that would have no effect.
///
/// # Errors
/// 400 for a field that is not among those that are known.
pub(super) fn only_fields(fields: &Map<String, Json>, known: &[&str]) -> Result<(), ApiError> {
    let Some(other) = fields.keys().find(|field| !known.contains(&field.as_str())) else {
        return Ok(());
    };
    let shown: String = other.chars().take(64).collect();
    let (shown, known) = (shown.escape_debug(), known.join(", "));
    let message = format!("Unknown parameter: '{shown}'. This takes {known}.");
    Err(invalid(&shown.to_string(), &message))
}

/// What a table of these fields goes by in refusals.
pub(super) fn called(what: &str, fields: &Map<String, Json>) -> String {
    let name = fields.get("name").and_then(Json::as_str);
    name.map_or_else(
        || format!("the {what}"),
        |name| format!("the {what} `{}`", name.escape_debug()),
    )
}

/// The refusal for fields that cannot be, about the first of them.
pub(super) fn refuse(problems: &Problems) -> ApiError {
    let sentences: Vec<&str> = problems.iter().map(|one| one.sentence.as_str()).collect();
    let problem = Problem::new(ProblemKind::Invalid, "invalid_value", sentences.join(" "));
    match problems.iter().find_map(|one| one.field.as_deref()) {
        Some(field) => problem.about(field).into(),
        None => problem.into(),
    }
}

/// Refuses budgets of which two count the same.
///
/// # Errors
/// 400 where there are any.
pub(super) fn refuse_equal_budgets(budgets: &[Terms]) -> Result<(), ApiError> {
    let Some((first, second)) = equal_budgets(budgets).into_iter().next() else {
        return Ok(());
    };
    let message =
        format!("Invalid 'budgets': `{first}` and `{second}` count the same. Keep one of them.");
    Err(invalid("budgets", &message))
}

/// Adds to what is shown what of it deserves a second look.
pub(super) fn warn(shown: &mut Json, warnings: &[String]) {
    if let (Json::Object(fields), false) = (shown, warnings.is_empty()) {
        fields.insert("warnings".to_owned(), warnings.into());
    }
}

/// An answer with its revision in `ETag`.
pub(super) fn answer(shown: &Json, revision: i64) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{revision}\"")) {
        response.insert_header((ETAG, tag));
    }
    response.json(shown)
}

/// A name out of a path, if it can be one.
///
/// # Errors
/// 404 for what can name nothing.
pub(super) fn named<'n>(what: &str, name: &'n str) -> Result<&'n str, ApiError> {
    match can_name(name) {
        true => Ok(name),
        false => Err(unknown(what)),
    }
}

pub(super) fn unknown(what: &str) -> ApiError {
    let message = format!("There is no {what} of this name.");
    ApiError::refusal(ProblemKind::NotFound, "not_found", message)
}

/// What stands in the file is changed there.
pub(super) fn managed_by_file(what: &str, name: &str, place: &str) -> ApiError {
    let message = format!("The {what} '{name}' stands in {place}. Change it there.");
    conflict("managed_by_file", message)
}

pub(super) fn conflict(code: &'static str, message: impl Into<Box<str>>) -> ApiError {
    // SDKs repeat a 409 by themselves, which would change nothing.
    ApiError::from(Problem {
        should_retry: Some(false),
        ..Problem::new(ProblemKind::Conflict, code, message)
    })
}

fn refused(refusal: Refusal) -> ApiError {
    let message = refusal.to_string();
    match refusal {
        Refusal::Unknown(_) => {
            let mut letters = message.chars();
            let first = letters.next().map(|first| first.to_ascii_uppercase());
            let message: String = first.into_iter().chain(letters).chain(['.']).collect();
            ApiError::refusal(ProblemKind::NotFound, "not_found", message)
        }
        Refusal::Taken(_) => conflict("already_exists", message),
        Refusal::InUse(_) => conflict("secret_in_use", message),
        Refusal::Stale(revision) => ApiError::refusal(
            ProblemKind::Stale,
            "revision_mismatch",
            format!(
                "It was changed meanwhile, and has the ETag \"{revision}\" now. Read it again."
            ),
        ),
        Refusal::Invalid(_) => ApiError::refusal(ProblemKind::Invalid, "invalid_value", message),
    }
}
