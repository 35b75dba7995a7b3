//! What becomes of each request field on each upstream, with models that take it and with such that
//! do not: the plans do what is written.

use serde_json::Value;

use fal_gateway::translate::draft::{Fate, Parameter};
use fal_gateway::translate::fates;
use fal_gateway::translate::plan::PlanLimits;
use fal_gateway::translate::upstream::UpstreamId;

use crate::golden::{FACES, WITHOUT_A_NOTE, effects};
use crate::support::{CAPABILITIES, CATALOGUE, Face, through};

/// One takes tools, schemas, stop sequences and most of sampling, one reasons, one takes hardly more
/// than sampling.
const MODELS: [&str; 3] = [
    "openai/gpt-4o-mini",
    "google/gemini-2.5-flash",
    "meta-llama/llama-3.2-1b-instruct",
];

/// Cases that switch reasoning off, which a model without any does by itself.
const OFF: [&str; 2] = [
    "parameter-reasoning-effect-off",
    "parameter-reasoning_effort-effect-minimal",
];

#[test]
fn each_field_meets_its_fate_on_each_upstream() {
    let mut complaints = Vec::new();
    let mut looked_at = 0;
    for face in FACES {
        let rows = face.table().iter();
        let noted = rows.filter(|row| row.fate != Fate::Refused && row.name != "model");
        for row in noted.filter(|row| !WITHOUT_A_NOTE.contains(&row.name)) {
            for (case, body, limits) in effects(face, row.name) {
                for upstream in UpstreamId::ALL {
                    for model in MODELS {
                        let mut body: Value = serde_json::from_str(&body).unwrap();
                        body["model"] = model.into();
                        let body = body.to_string();
                        let limits = through(upstream, &limits);
                        match meets(face, row, &case, upstream, model, &body, &limits) {
                            Ok(()) => looked_at += 1,
                            Err(why) => {
                                complaints.push(format!("{case} on {upstream}, {model}: {why}"))
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
    assert!(looked_at > 900, "{looked_at}");
}

/// What some models tell is refused of all others, through every face that has a field for it.
#[test]
fn what_must_be_listed_is_refused_of_all_who_do_not_list_it() {
    let body = |model: &str, name: &str| {
        let value = if name == "logprobs" {
            "true"
        } else {
            "true,\"top_logprobs\":3"
        };
        format!(
            r#"{{"model":"{model}","messages":[{{"role":"user","content":"Hi"}}],"logprobs":{value}}}"#
        )
    };
    let rows = Face::Chat.table().iter();
    let mut sent = Vec::new();
    for (row, needed) in rows.filter_map(|row| Some((row, row.unless_listed?))) {
        for upstream in UpstreamId::ALL {
            for model in MODELS.into_iter().chain(["nobody/knows"]) {
                let card = CATALOGUE.find(model);
                let fate = fates::on(row, upstream).with(|needed| card?.supports(needed));
                let body = body(model, row.name);
                let planned = Face::Chat.plan_on(upstream, body.as_bytes(), &CAPABILITIES);
                match (fate, planned) {
                    (Fate::Forwarded, Ok((plan, _))) => {
                        let call = serde_json::to_value(&plan.call).unwrap();
                        assert!(!call[row.name].is_null(), "{call}");
                        assert!(card.unwrap().supports(needed) == Some(true));
                        sent.push(row.name);
                    }
                    (Fate::Refused, Err(rejection)) => {
                        assert_eq!(rejection.param.as_deref(), Some("logprobs"));
                    }
                    (fate, planned) => panic!("{body} on {upstream}: {fate:?}, {planned:?}"),
                }
            }
        }
    }
    assert_eq!(sent, ["logprobs", "top_logprobs"]);
}

fn meets(
    face: Face,
    row: &Parameter,
    case: &str,
    upstream: UpstreamId,
    model: &str,
    body: &str,
    limits: &PlanLimits,
) -> Result<(), String> {
    let card = CATALOGUE.find(model).unwrap();
    let fate = fates::on(row, upstream).with(|needed| card.supports(needed));
    let planned = face.plan_on(upstream, body.as_bytes(), limits);
    let (plan, _) = planned.map_err(|rejection| format!("{rejection:?}"))?;
    let emulated = plan.notes.emulated.contains(&row.name);
    let ignored = plan.notes.ignored.iter().any(|name| name == row.name);
    if OFF.contains(&case) && fate == Fate::Ignored {
        return match ignored {
            false => Ok(()),
            true => Err("what is met is said to be ignored".to_owned()),
        };
    }
    match (emulated, ignored) == (fate == Fate::Emulated, fate == Fate::Ignored) {
        true => Ok(()),
        false => Err(format!(
            "{fate:?} is written; emulated {:?}, ignored {:?}",
            plan.notes.emulated, plan.notes.ignored
        )),
    }
}
