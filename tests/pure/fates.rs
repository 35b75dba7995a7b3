//! What becomes of each request field on each upstream, with models that take it and with such that
//! do not: the plans do what is written.

use serde_json::Value;

use fal_gateway::translate::draft::{Fate, Parameter};
use fal_gateway::translate::fates;
use fal_gateway::translate::plan::PlanLimits;
use fal_gateway::translate::upstream::UpstreamId;

use crate::golden::{FACES, WITHOUT_A_NOTE, effects};
use crate::support::{CATALOGUE, Face, through};

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
