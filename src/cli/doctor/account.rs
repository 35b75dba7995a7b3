//! What fal tells of an application and of the account.

use serde_json::Value;

use super::report::Ailment::{Balance, Key};
use super::report::Finding::{self, Fine, Note, Skipped, Wrong};
use crate::upstream::{FalKey, Page, PublicClient};

/// What fal says of the state of an application. Nothing of it keeps anybody from using it.
pub(super) async fn state(client: &PublicClient, app: &str) -> Finding {
    let Some(answer) = client.endpoint(app).await.ok().and_then(|page| read(&page)) else {
        return Skipped("fal's list of applications cannot be read".to_owned());
    };
    let models = answer.get("models").and_then(Value::as_array);
    let mut models = models.into_iter().flatten();
    let found = models.find(|model| model.get("endpoint_id").is_some_and(|id| id == app));
    let status = found.and_then(|model| model.pointer("/metadata/status")?.as_str());
    match status {
        Some("active") => Fine(format!("fal lists {app} as active")),
        Some("deprecated") => Note(format!(
            "fal lists {app} as deprecated: it answers, and may not for ever. openrouter/router is \
             what fal offers in its place."
        )),
        _ => Note(format!("fal does not list {app}")),
    }
}

/// What is left of the money, where there is a key that may ask.
pub(super) async fn balance(client: &PublicClient, admin: Option<&FalKey>) -> Finding {
    let Some(admin) = admin else {
        return Skipped("fal tells it an admin key alone; fal.admin_key is not set".to_owned());
    };
    let Ok(page) = client.billing(admin).await else {
        return Skipped("fal does not tell it now".to_owned());
    };
    if matches!(page.status, 401 | 403) {
        return Wrong(
            Key,
            "fal does not tell it the key in fal.admin_key. Make one with the scope ADMIN at \
             https://fal.ai/dashboard/keys, or unset it."
                .to_owned(),
        );
    }
    match page.balance() {
        Some(left) if left > 0.0 => Fine(format!("{left} dollars are left")),
        Some(left) => Wrong(
            Balance,
            format!(
                "{left} dollars are left, and fal answers nothing. Top it up at \
                 https://fal.ai/dashboard/billing."
            ),
        ),
        None => Skipped("fal does not tell it now".to_owned()),
    }
}

fn read(page: &Page) -> Option<Value> {
    let body = serde_json::from_slice(&page.body).ok()?;
    (page.status == 200).then_some(body)
}
