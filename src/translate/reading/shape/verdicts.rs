//! What an answer amounts to once all of it is there, where it is no more than text.

use super::super::arguments::{BROKE_OFF, Doubt};
use super::super::envelope::RawCall;
use super::super::event::Fault;
use super::super::required;
use super::super::verdict::{BestEffort, ContractViolation, Verdict};
use super::{Shaped, Shaper};
use crate::translate::contract::FormatContract;
use crate::translate::json::{self, Fix, Progress, RootFinder};

impl Shaper {
    /// The verdict on an answer of which nothing is left but markup.
    pub fn nothing_left(&self) -> ContractViolation {
        let is_required = self.contract.requires_call();
        let is_strict = matches!(
            self.contract.format,
            FormatContract::Json {
                is_strict: true,
                ..
            }
        );
        let fault = match () {
            () if is_required => Fault::ToolChoice,
            () if is_strict => Fault::JsonSchema,
            () => Fault::Unusable("nothing but markup"),
        };
        let correction = match self.is_calls_only {
            true => INVENTED,
            false => NOTHING_LEFT,
        };
        ContractViolation {
            correction: correction.to_owned(),
            is_out_of_form: is_required || is_strict,
            fault,
            instead: None,
        }
    }

    /// Whether any text will do as an answer.
    pub(super) fn is_free(&self) -> bool {
        matches!(self.contract.format, FormatContract::Text)
    }

    /// The model has written nothing at all, which helps nobody who waits for a call or an answer.
    pub(super) fn empty(out: &mut Shaped) -> Verdict {
        Verdict::Unmet(ContractViolation {
            correction: "It was empty.".to_owned(),
            is_out_of_form: false,
            fault: Fault::ToolCall,
            instead: Some(BestEffort::of(std::mem::take(&mut out.text))),
        })
    }

    /// Calls with arguments that do not match. Without `strict` nobody was promised that they
    /// would, and OpenAI promises no more; but the model may well know better. Where a call had to
    /// be made, one that lacks what its schema requires is none.
    pub(super) fn doubtful_calls(&mut self, doubt: Doubt) -> Verdict {
        let is_required = self.contract.requires_call();
        let calls = std::mem::take(&mut self.pending);
        let (fault, instead) = match is_required && doubt.is_missing {
            true => (Fault::ToolChoice, None),
            false => (
                Fault::ToolCall,
                Some(BestEffort {
                    calls,
                    ..BestEffort::default()
                }),
            ),
        };
        Verdict::Unmet(ContractViolation {
            correction: doubt.correction,
            is_out_of_form: true,
            fault,
            instead,
        })
    }

    /// A call had to be made, and none was found where calls may stand.
    pub(super) fn required_call(&mut self, out: &mut Shaped) -> Verdict {
        let text = std::mem::take(&mut self.held);
        let calls = match &self.contract.tools {
            Some(tools) => required::calls(&text, tools),
            None => Vec::new(),
        };
        if calls.is_empty() {
            return Verdict::Unmet(ContractViolation {
                correction: NO_CALL.to_owned(),
                is_out_of_form: true,
                fault: Fault::ToolChoice,
                instead: None,
            });
        }
        self.found_calls(calls, out)
    }

    /// Nothing but calls counts, and they are followed by something else: in a tool's result, by what
    /// the model makes up as such.
    pub(super) fn calls_before_result(&mut self, out: &mut Shaped) -> Verdict {
        let text = std::mem::take(&mut self.held);
        let calls = match &self.contract.tools {
            Some(tools) => required::calls_at_start(&text, tools),
            None => Vec::new(),
        };
        match calls.is_empty() {
            true => Verdict::Unmet(self.nothing_left()),
            false => self.found_calls(calls, out),
        }
    }

    fn found_calls(&mut self, calls: Vec<RawCall>, out: &mut Shaped) -> Verdict {
        for raw in calls {
            if self.is_full() {
                break;
            }
            match self.accept(raw) {
                Ok(call) => self.pending.push(call),
                Err(correction) => {
                    return Verdict::Unmet(ContractViolation {
                        correction,
                        is_out_of_form: true,
                        fault: Fault::ToolChoice,
                        instead: None,
                    });
                }
            }
        }
        match self.doubt.take() {
            Some(doubt) => self.doubtful_calls(doubt),
            None => {
                out.calls.append(&mut self.pending);
                Verdict::Met
            }
        }
    }

    pub(super) fn formatted(&mut self, out: &mut Shaped) -> Verdict {
        let FormatContract::Json {
            schema,
            is_strict,
            is_held,
        } = &self.contract.format
        else {
            return Verdict::Met;
        };
        if let (false, Some(live)) = (*is_held, &mut self.live) {
            live.finish(&mut self.held);
            if live.progress() != Progress::Prose {
                return Verdict::Met;
            }
        }
        let text = std::mem::take(&mut self.held);
        // What the caller's own stop sequence has broken off is all that was asked for.
        if self.is_stopped() && !is_refusal(&text) && !is_whole(&text) {
            let json = begun(&text).or_else(|| (!is_strict).then(|| text.clone()));
            if let Some(json) = json {
                out.text.push_str(&json);
                return Verdict::Met;
            }
        }
        match json::parse_arguments(&text, schema.as_deref()) {
            Ok(answer) if answer.fixes.contains(&Fix::Closed) => {
                Verdict::Unmet(ContractViolation {
                    correction: BROKE_OFF.to_owned(),
                    is_out_of_form: true,
                    fault: Fault::JsonSchema,
                    instead: (!is_strict).then(|| BestEffort::of(text)),
                })
            }
            Ok(answer) => {
                self.leniencies
                    .extend(answer.fixes.iter().map(|fix| fix.label()));
                out.text.push_str(&answer.json);
                Verdict::Met
            }
            Err(_) if is_refusal(&text) => Verdict::Declined(text),
            Err(error) => Verdict::Unmet(ContractViolation {
                correction: error.message(),
                is_out_of_form: true,
                fault: Fault::JsonSchema,
                instead: (!is_strict).then(|| BestEffort::of(json_alone(text))),
            }),
        }
    }
}

/// The JSON of an answer that is broken off.
fn begun(text: &str) -> Option<String> {
    let mut finder = RootFinder::default();
    finder.push(text, &mut String::new()).or_else(|| {
        let rest = finder.finish();
        rest.get(rest.find(['{', '['])?..).map(str::to_owned)
    })
}

/// Whether there is JSON in an answer that is not broken off, whether or not it fits.
fn is_whole(text: &str) -> bool {
    json::parse_arguments(text, None).is_ok_and(|answer| !answer.fixes.contains(&Fix::Closed))
}

/// The JSON of an answer, without the fence and the prose around it, whether or not it fits; or the
/// answer as it is, if there is no whole JSON in it.
fn json_alone(text: String) -> String {
    match json::parse_arguments(&text, None) {
        Ok(answer) if !answer.fixes.contains(&Fix::Closed) => answer.json,
        _ => text,
    }
}

const NO_CALL: &str =
    "It called no tool, but a tool must be called now. Write the calls and nothing else.";
const NOTHING_LEFT: &str = "It held nothing but tags of the conversation's record. Write the reply itself, without any tag that \
                            carries the key.";
const INVENTED: &str = "It gave the result of a tool, but no tool has run. Never write results yourself: call the tool, and wait for \
                        its result.";

/// Whether a text without JSON is the model declining to answer. Only short texts that begin as
/// such answers do are taken for one; anything else is a failure to follow the form.
fn is_refusal(text: &str) -> bool {
    const OPENINGS: [&str; 9] = [
        "i'm sorry",
        "i’m sorry",
        "i am sorry",
        "sorry,",
        "i can't",
        "i can’t",
        "i cannot",
        "i won't",
        "i'm unable",
    ];
    let start: String = text
        .trim_start()
        .chars()
        .take(16)
        .collect::<String>()
        .to_lowercase();
    text.len() < 1000
        && json::root(text).is_none()
        && OPENINGS.iter().any(|opening| start.starts_with(opening))
}
