//! What becomes of a request field on an upstream: a function of the field and of what the target can.
//!
//! The faces' tables say what becomes of it where a prompt is sent. An upstream with messages takes
//! more of a request as it is, if the model does.

use super::draft::{Fate, Parameter as Field};
use super::model::Parameter;
use super::upstream::{InputShape, UpstreamId};

/// What becomes of a field that has an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fates {
    /// Where the model takes what is needed, or nothing is.
    pub fate: Fate,
    /// What the model has to take, and what becomes of the field where it does not.
    pub unless: Option<(Parameter, Fate)>,
}

impl Fates {
    /// What becomes of it with a model of which this is known.
    pub fn with(self, takes: impl Fn(Parameter) -> Option<bool>) -> Fate {
        match self.unless {
            // What nothing can stand in for is sent to models that are known to take it.
            Some((needed, Fate::Refused)) if takes(needed) != Some(true) => Fate::Refused,
            Some((needed, otherwise)) if takes(needed) == Some(false) => otherwise,
            _ => self.fate,
        }
    }
}

/// What becomes of a field on an upstream.
pub fn on(field: &Field, upstream: UpstreamId) -> Fates {
    let features = upstream.features();
    let always = |fate| Fates { fate, unless: None };
    let native = |needed, otherwise| Fates {
        fate: Fate::Forwarded,
        unless: Some((needed, otherwise)),
    };
    let is_priority = field.name == "priority" || PRIORITY_FIELDS.contains(&field.name);
    if is_priority && field.fate != Fate::Refused && !features.priority {
        return always(Fate::Ignored);
    }
    if features.input == InputShape::Prompt {
        return Fates {
            fate: field.fate,
            // Anthropic's clients send it for any model.
            unless: (field.name == "thinking").then_some((Parameter::Reasoning, Fate::Ignored)),
        };
    }
    if let Some(needed) = field.unless_listed {
        return native(needed, Fate::Refused);
    }
    match field.name {
        "messages" | "input" => always(Fate::Forwarded),
        // What the caller lets be left out of a prompt is sent here.
        "truncation" => always(Fate::Ignored),
        "tools" | "tool_choice" | "parallel_tool_calls" | "functions" | "function_call" => {
            native(Parameter::Tools, Fate::Emulated)
        }
        "response_format" | "text" | "output_config" | "output_format" => {
            native(Parameter::StructuredOutputs, Fate::Emulated)
        }
        "stop" => native(Parameter::Stop, Fate::Emulated),
        "reasoning" | "reasoning_effort" | "include_reasoning" | "thinking"
            if field.fate == Fate::Emulated =>
        {
            native(Parameter::Reasoning, Fate::Ignored)
        }
        name => match Parameter::named(name).filter(|known| SAMPLING.contains(known)) {
            Some(needed) => native(needed, Fate::Ignored),
            None => always(field.fate),
        },
    }
}

/// The fields besides `priority` itself that become fal's `priority`.
pub const PRIORITY_FIELDS: [&str; 2] = ["service_tier", "speed"];

/// The parameters of sampling that are passed on to models that take them.
pub const SAMPLING: [Parameter; 8] = [
    Parameter::Temperature,
    Parameter::TopP,
    Parameter::FrequencyPenalty,
    Parameter::PresencePenalty,
    Parameter::RepetitionPenalty,
    Parameter::MinP,
    Parameter::TopK,
    Parameter::Seed,
];
