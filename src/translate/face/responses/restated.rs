//! A response that is kept while it is being made, said anew: further on, failed or cancelled. Whoever
//! does that may have nothing of it but its JSON.

use serde_json::{Map, Value, json};

use super::events::ending_code;
use super::output::Status;
use crate::translate::problem::Problem;

/// The JSON of a response before and behind the items of its output, of which there are none, with
/// another status. `None` for what is no response.
pub fn restated(
    response: &str,
    status: Status,
    problem: Option<&Problem>,
) -> Option<(String, String)> {
    let mut members: Map<String, Value> = serde_json::from_str(response).ok()?;
    members.insert("status".to_owned(), json!(status.name()));
    if let Some(problem) = problem {
        members.insert("error".to_owned(), error(problem));
    }
    members.shift_remove("output")?;
    let mut head = serde_json::to_string(&members).ok()?;
    head.pop()?;
    head.push_str(",\"output\":[");
    Some((head, "]}".to_owned()))
}

/// A response that has been cancelled.
pub fn cancelled(response: &str) -> Option<(String, String)> {
    restated(response, Status::Cancelled, None)
}

/// What went wrong: the code is one of OpenAI's, and the type is the one that the same problem has
/// elsewhere as its code.
fn error(problem: &Problem) -> Value {
    json!({
        "code": ending_code(problem),
        "message": problem.message,
        "type": problem.code,
        "param": problem.param,
    })
}
