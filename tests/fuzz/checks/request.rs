//! A request's body to what fal is asked, for all public APIs: a plan that is sound, or a refusal
//! that says why.

use fal_gateway::translate::ask::Ask;
use fal_gateway::translate::face::chat::parse::parse;
use fal_gateway::translate::face::{completions, messages, responses};
use fal_gateway::translate::fold::Overflow;
use fal_gateway::translate::plan::{self, Plan, PlanLimits};
use fal_gateway::translate::rejection::Rejection;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::collector::{CATALOGUE, MESSAGE_LIMITS, capabilities, face_settings};

/// Less than most folded conversations need.
const LITTLE_ROOM: usize = 600;

pub(crate) fn check(data: &[u8]) {
    judge(data, |body| parse(body, &MESSAGE_LIMITS));
    judge(data, |body| {
        completions::parse::parse(body, &[]).map(|request| request.ask)
    });
    judge(data, |body| {
        responses::parse::parse(body, &MESSAGE_LIMITS).map(|(ask, _)| ask)
    });
    judge(data, |body| messages::parse::parse(body, &face_settings()));
    lone_message_is_verbatim(data);
}

fn judge(body: &[u8], parse: impl Fn(&[u8]) -> Result<Ask<'_>, Rejection>) {
    let overflows = [Overflow::Error, Overflow::Shift, Overflow::DropOldest];
    for overflow in overflows {
        let little = capabilities(Some(LITTLE_ROOM), overflow);
        match parse(body).and_then(|ask| plan(&ask, &little)) {
            Ok(plan) => fits(&plan, body),
            Err(rejection) => is_a_reason(&rejection),
        }
    }
}

fn plan<'a>(ask: &Ask<'a>, capabilities: &PlanLimits) -> Result<Plan<'a>, Rejection> {
    let (target, others) = plan::candidates(ask, &CATALOGUE, capabilities)?;
    plan::plan(ask, &target, &others, capabilities)
}

fn fits(plan: &Plan<'_>, body: &[u8]) {
    // A byte order mark ahead of the JSON is passed over (source: RFC 8259, section 8.1).
    let json = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    assert!(serde_json::from_slice::<IgnoredAny>(json).is_ok());
    assert!(!plan.call.model().is_empty());
    assert!((1..=4).contains(&plan.choices));
    for length in plan.call.lengths() {
        assert!(length <= LITTLE_ROOM);
    }
    let read: Value = serde_json::from_slice(&plan.call.to_input().json).expect("it is JSON");
    let [prompt, _] = plan.call.texts();
    assert_eq!(read["prompt"], prompt);
}

fn is_a_reason(rejection: &Rejection) {
    let letters = rejection.message.chars().count();
    assert!((1..2000).contains(&letters), "{letters}: {rejection:?}");
    let param = rejection.param.as_deref().unwrap_or_default();
    assert!(param.chars().count() < 400, "{rejection:?}");
}

/// Nothing but one message: fal gets it as it is.
fn lone_message_is_verbatim(body: &[u8]) {
    let Ok(Value::Object(request)) = serde_json::from_slice(body) else {
        return;
    };
    let Some([message]) = request
        .get("messages")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
    else {
        return;
    };
    let is_alone = request
        .keys()
        .all(|name| ["messages", "stream", "temperature"].contains(&name.as_str()));
    let (Some(content), "user", 2, true) = (
        message["content"].as_str(),
        message["role"].as_str().unwrap_or_default(),
        message.as_object().map_or(0, serde_json::Map::len),
        is_alone,
    ) else {
        return;
    };
    let much = capabilities(None, Overflow::Error);
    if let Ok(plan) = parse(body, &MESSAGE_LIMITS).and_then(|ask| plan(&ask, &much)) {
        let is_imitation = content.starts_with("<conversation-");
        assert!(is_imitation || plan.call.texts()[0] == content);
    }
}
