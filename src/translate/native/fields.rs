//! Everything of a request but its messages.

use std::borrow::Cow;

use super::abilities::{Abilities, Natively};
use super::format;
use crate::translate::ask::{Ask, Effort, FinerSampling, Reasoning};
use crate::translate::fates::PRIORITY_FIELDS;
use crate::translate::model::Parameter;
use crate::translate::notes::Notes;
use crate::translate::tools::{Choice, ToolSet};
use crate::wire::openrouter::request::{
    self as wire, ChatRequest, Function, Message, Named, Sampling, StreamOptions, Tool, ToolChoice,
};

/// What is written besides the messages.
pub struct Fields<'w, 'a> {
    pub ask: &'w Ask<'a>,
    pub abilities: Abilities<'w>,
    pub natively: Natively,
    /// Whether the upstream is told where to stop. The answer is stopped here in any case.
    pub sends_stops: bool,
    pub max_tokens: Option<u64>,
    pub is_stream: bool,
}

impl<'a> Fields<'_, 'a> {
    /// The request around these messages. `notes` are told what goes as it is after all.
    pub fn write(
        &self,
        model: Cow<'a, str>,
        messages: Vec<Message<'a>>,
        notes: &mut Notes,
    ) -> ChatRequest<'a> {
        let ask = self.ask;
        let offer = ask.tools.as_ref().filter(|_| self.natively.tools);
        if offer.is_some() {
            notes.forwarded(&TOOL_FIELDS);
        }
        let stop = match self.sends_stops {
            true => ask.stop.clone(),
            false => Vec::new(),
        };
        if !stop.is_empty() {
            notes.forwarded(&["stop"]);
        }
        let response_format = match self.natively.format {
            true => format::response_format(&ask.format),
            false => None,
        };
        if response_format.is_some() {
            notes.forwarded(&FORMAT_FIELDS);
        }
        if ask.priority.is_some() {
            notes.without_effect(&PRIORITY_FIELDS, "priority");
        }
        // The upstream takes what the model takes.
        notes.without_effect(&["truncation"], "");
        ChatRequest {
            model,
            stream: self.is_stream,
            stream_options: self.is_stream.then_some(StreamOptions {
                include_usage: true,
            }),
            sampling: self.sampling(notes),
            stop,
            reasoning: self.reasoning(notes),
            tools: offer.map(tools).unwrap_or_default(),
            tool_choice: offer.and_then(tool_choice),
            parallel_tool_calls: offer.filter(|offer| !offer.parallel).map(|_| false),
            response_format,
            logprobs: ask.logprobs.map(|_| true),
            top_logprobs: ask.logprobs.map(|wanted| wanted.top).filter(|top| *top > 0),
            messages,
        }
    }

    /// The sampling parameters that the model is not known to lack.
    fn sampling(&self, notes: &mut Notes) -> Sampling {
        let FinerSampling {
            top_p,
            frequency_penalty,
            presence_penalty,
            repetition_penalty,
            min_p,
            top_k,
            seed,
        } = self.ask.sampling.finer;
        let temperature = self.ask.sampling.temperature;
        Sampling {
            temperature: self.taken(Parameter::Temperature, temperature, notes),
            max_tokens: self.max_tokens,
            top_p: self.taken(Parameter::TopP, top_p, notes),
            frequency_penalty: self.taken(Parameter::FrequencyPenalty, frequency_penalty, notes),
            presence_penalty: self.taken(Parameter::PresencePenalty, presence_penalty, notes),
            repetition_penalty: self.taken(Parameter::RepetitionPenalty, repetition_penalty, notes),
            min_p: self.taken(Parameter::MinP, min_p, notes),
            top_k: self.taken(Parameter::TopK, top_k, notes),
            seed: self.taken(Parameter::Seed, seed, notes),
        }
    }

    fn taken<T>(&self, parameter: Parameter, value: Option<T>, notes: &mut Notes) -> Option<T> {
        let wanted = value?;
        let name = parameter.name();
        match self.abilities.takes(parameter) {
            false => {
                notes.ignored(name);
                None
            }
            true => {
                notes.forwarded(&[name]);
                Some(wanted)
            }
        }
    }

    fn reasoning(&self, notes: &mut Notes) -> Option<wire::Reasoning> {
        let ask = self.ask;
        let listed = self
            .abilities
            .card
            .and_then(|card| card.supports(Parameter::Reasoning));
        let is_mandatory = self.abilities.must_reason();
        match (ask.reasoning, listed) {
            (Reasoning::Unsaid, _) | (Reasoning::Off, Some(false)) => return None,
            (_, Some(false)) => {
                notes.without_effect(&REASONING_FIELDS, "");
                notes.without_effect(&[ask.names.reasoning], "");
                return None;
            }
            _ => {}
        }
        if ask.reasoning == Reasoning::Off && is_mandatory {
            let is_thought = wire::Reasoning {
                exclude: Some(true),
                ..wire::Reasoning::default()
            };
            return Some(is_thought);
        }
        let names = ask.names;
        notes.forwarded(&REASONING_FIELDS);
        notes.forwarded(&[names.reasoning]);
        let mut wish = wire::Reasoning {
            exclude: (ask.reasoning == Reasoning::Hidden).then_some(true),
            ..wire::Reasoning::default()
        };
        match (ask.reasoning, ask.effort) {
            (Reasoning::Off, Some(Effort::Level(level))) if level != "none" => {
                wish.effort = Some(level);
            }
            (Reasoning::Off, _) => wish.enabled = Some(false),
            (_, Some(Effort::Level(level))) => {
                notes.forwarded(&[names.effort]);
                wish.effort = Some(level);
            }
            (_, Some(Effort::Budget(tokens))) => {
                notes.forwarded(&[names.budget]);
                wish.max_tokens = Some(self.budget(tokens));
            }
            (_, None) => wish.enabled = Some(true),
        }
        Some(wish)
    }

    /// So many tokens for reasoning, of which some have to be left for the answer (source:
    /// openrouter.ai/docs, "Reasoning Tokens").
    fn budget(&self, tokens: u64) -> u64 {
        let most = self.max_tokens.map(|most| most.saturating_sub(1).max(1));
        most.map_or(tokens, |most| tokens.min(most))
    }
}

/// The fields about reasoning that have the same names in several APIs.
const REASONING_FIELDS: [&str; 3] = ["reasoning", "reasoning_effort", "include_reasoning"];

/// The fields about the form of an answer, in all APIs.
const FORMAT_FIELDS: [&str; 4] = ["response_format", "text", "output_config", "output_format"];

/// The fields about tools, under both of their names.
const TOOL_FIELDS: [&str; 5] = [
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "functions",
    "function_call",
];

fn tools<'a>(offer: &ToolSet<'a>) -> Vec<Tool<'a>> {
    let tools = offer.tools.iter().map(|tool| Tool {
        kind: "function",
        function: Function {
            name: tool.name.clone(),
            description: tool.description.clone(),
            parameters: match tool.parameters {
                Some(parameters) => Cow::Borrowed(parameters),
                None => format::no_parameters(),
            },
            strict: tool
                .parameters
                .is_some_and(|schema| tool.strict && format::is_strict_schema(schema.get()))
                .then_some(true),
        },
    });
    tools.collect()
}

/// With a single tool, the one that has to be called is named.
fn tool_choice<'a>(offer: &ToolSet<'a>) -> Option<ToolChoice<'a>> {
    match (offer.choice, offer.tools.as_slice()) {
        (Choice::Auto, _) => None,
        (Choice::Required, [tool]) => Some(ToolChoice::Named {
            kind: "function",
            function: Named {
                name: tool.name.clone(),
            },
        }),
        (Choice::Required, _) => Some(ToolChoice::Word("required")),
    }
}
