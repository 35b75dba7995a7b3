//! A response that is kept, said anew: further on, failed or cancelled, or as it was at its beginning.
//! Whoever does that may have nothing of it but its JSON. What it repeats of its request stays as it was
//! sent, whoever could read that.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::json;
use serde_json::value::RawValue;

use super::events::ending_code;
use super::output::Status;
use crate::translate::problem::Problem;
use crate::wire::openai::fields::Fields;

/// The JSON of a response before and behind the items of its output, of which there are none, with
/// another status. What stands behind them stays there, so that either half can take the place of that
/// of the same response. `None` for what is no response.
pub fn restated(
    response: &str,
    status: Status,
    problem: Option<&Problem>,
) -> Option<(String, String)> {
    let mut members = Members::of(response)?;
    members.set("status", json!(status.name()).to_string());
    if let Some(problem) = problem {
        members.set("error", error(problem));
    }
    let (before, behind) = members.around("output")?;
    Some((format!("{{{before}\"output\":["), format!("]{behind}}}")))
}

/// A response that has been cancelled.
pub fn cancelled(response: &str) -> Option<(String, String)> {
    restated(response, Status::Cancelled, None)
}

/// What went wrong: the code is one of OpenAI's, and the type is the one that the same problem has
/// elsewhere as its code.
fn error(problem: &Problem) -> String {
    let error = json!({
        "code": ending_code(problem),
        "message": problem.message,
        "type": problem.code,
        "param": problem.param,
    });
    error.to_string()
}

/// The members of a response in their order, each as JSON.
pub struct Members<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Members<'a> {
    /// `None` for what is no JSON object. Where a member stands twice, as in responses that earlier
    /// versions have begun, the last one counts.
    pub fn of(response: &'a str) -> Option<Self> {
        if let Ok(Fields(fields)) = serde_json::from_str(response) {
            let fields = fields.into_iter();
            let members = fields.map(|(name, value)| (name, Cow::Borrowed(value.get())));
            return Some(Self(members.collect()));
        }
        let fields: BTreeMap<String, &'a RawValue> = serde_json::from_str(response).ok()?;
        let (output, others): (Vec<_>, Vec<_>) =
            fields.into_iter().partition(|(name, _)| name == "output");
        let members = others.into_iter().chain(output);
        let members = members.map(|(name, value)| (name.into(), Cow::Borrowed(value.get())));
        Some(Self(members.collect()))
    }

    /// A member as JSON.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut members = self.0.iter();
        let found = members.find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_ref())
    }

    /// Gives a member this JSON; one that is not there comes last.
    pub fn set(&mut self, name: &'static str, json: String) {
        let mut members = self.0.iter_mut();
        match members.find(|(other, _)| other == name) {
            Some((_, value)) => *value = Cow::Owned(json),
            None => self.0.push((Cow::Borrowed(name), Cow::Owned(json))),
        }
    }

    /// What stands before a member and behind it, each with the comma that keeps it apart.
    fn around(&self, name: &str) -> Option<(String, String)> {
        let place = self.0.iter().position(|(other, _)| other == name)?;
        let (before, rest) = self.0.split_at_checked(place)?;
        let before = before.iter().map(|member| written(member) + ",");
        let behind = rest
            .iter()
            .skip(1)
            .map(|member| format!(",{}", written(member)));
        Some((before.collect(), behind.collect()))
    }

    /// The object.
    pub fn to_json(&self) -> String {
        let members: Vec<String> = self.0.iter().map(written).collect();
        format!("{{{}}}", members.join(","))
    }
}

fn written((name, value): &(Cow<'_, str>, Cow<'_, str>)) -> String {
    format!("{}:{value}", json!(name))
}
