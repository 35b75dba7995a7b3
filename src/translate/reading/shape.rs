//! An answer's text, made into what the caller asked for: calls, JSON, or simply text.

use super::calls::{CallScanner, Scanned};
use super::envelope::{RawCall, is_name};
use super::event::Fault;
use crate::translate::contract::{Contract, FormatContract, KnownTool, ToolContract};
use crate::translate::json::{self, Fix, RootScanner};

/// Takes a model's text and gives out what of it is answer and what is a call.
#[derive(Debug)]
pub struct Shaper {
    contract: Contract,
    scanner: Option<CallScanner>,
    live: Option<RootScanner>,
    /// Text that may not go out before it is known to be right.
    held: String,
    calls: usize,
    /// Calls of a block that has not closed: all of them go out, or none.
    pending: Vec<Call>,
    broken: Option<String>,
    leniencies: Vec<&'static str>,
    /// What the model wrote, for asking it again.
    reply: String,
    scanned: Scanned,
}

/// A call that may be delivered: its tool was offered, and its arguments are JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// 0, 1, 2 ...
    pub index: usize,
    pub name: String,
    /// A JSON object, as text.
    pub arguments: String,
}

/// What a piece of text amounts to.
#[derive(Debug, Default)]
pub struct Shaped {
    pub text: String,
    pub calls: Vec<Call>,
}

/// What a whole answer amounts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is what was asked for.
    Met,
    /// The model declined, in these words.
    Declined(String),
    /// It is not; see [`Unmet`].
    Unmet(Unmet),
}

/// An answer that is not what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// What was wrong with it, for the model to mend.
    pub correction: String,
    /// What the caller is told when it is not mended.
    pub fault: Fault,
    /// Text to deliver instead of the fault, where the caller asked for no guarantee.
    pub instead: Option<String>,
}

impl Shaper {
    /// A shaper for this contract.
    pub fn new(contract: Contract) -> Self {
        let scanner = contract
            .tools
            .as_ref()
            .filter(|tools| !tools.is_arguments_only)
            .map(|tools| {
                let names = tools.tools.iter().map(|tool| tool.name.clone()).collect();
                CallScanner::new(&tools.key, names, tools.is_lenient)
            });
        let is_live = matches!(contract.format, FormatContract::Json { is_held: false, .. });
        Self {
            scanner,
            live: is_live.then(RootScanner::new),
            contract,
            held: String::new(),
            calls: 0,
            pending: Vec::new(),
            broken: None,
            leniencies: Vec::new(),
            reply: String::new(),
            scanned: Scanned::default(),
        }
    }

    /// Whether everything goes through as it is.
    pub fn is_open(&self) -> bool {
        self.contract.is_plain()
    }

    /// Takes the next piece.
    pub fn push(&mut self, piece: &str, out: &mut Shaped) {
        if self.reply.len() < MOST_KEPT {
            self.reply.push_str(piece);
        }
        let Some(scanner) = &mut self.scanner else {
            self.pass(piece, out);
            return;
        };
        let mut scanned = std::mem::take(&mut self.scanned);
        scanner.push(piece, &mut scanned);
        self.take_scanned(&mut scanned, out);
        self.scanned = scanned;
        if self.is_done() && self.broken.is_none() {
            out.calls.append(&mut self.pending);
        }
    }

    /// Whether nothing more is wanted of the model.
    pub fn is_done(&self) -> bool {
        self.broken.is_some()
            || self.is_full()
            || self.scanner.as_ref().is_some_and(CallScanner::is_done)
    }

    /// Whether the one call that may come is there; what follows it is not looked at.
    fn is_full(&self) -> bool {
        let is_single = |tools: &ToolContract| !tools.is_parallel;
        self.calls > 0 && self.contract.tools.as_ref().is_some_and(is_single)
    }

    /// What the model wrote, as far as it is worth showing again.
    pub fn reply(&self) -> &str {
        &self.reply
    }

    /// Whether any call has been given out.
    pub fn has_calls(&self) -> bool {
        self.calls > 0
    }

    /// What had to be forgiven or mended, by name.
    pub fn leniencies(&self) -> &[&'static str] {
        &self.leniencies
    }

    /// The text ends here. What is right goes out, and the verdict tells about the rest.
    pub fn finish(&mut self, out: &mut Shaped) -> Verdict {
        let is_full = self.is_full();
        if let Some(scanner) = self.scanner.as_mut().filter(|_| !is_full) {
            let mut scanned = std::mem::take(&mut self.scanned);
            scanner.finish(&mut scanned);
            self.take_scanned(&mut scanned, out);
        }
        if let Some(correction) = self.broken.take() {
            return Verdict::Unmet(Unmet {
                correction,
                fault: Fault::ToolCall,
                instead: None,
            });
        }
        out.calls.append(&mut self.pending);
        if self.calls > 0 {
            return Verdict::Met;
        }
        match &self.contract.tools {
            Some(tools) if tools.is_arguments_only => self.arguments_only(out),
            Some(tools) if tools.is_required => self.required_call(),
            _ => self.formatted(out),
        }
    }

    fn take_scanned(&mut self, scanned: &mut Scanned, out: &mut Shaped) {
        let text = std::mem::take(&mut scanned.text);
        self.pass(&text, out);
        for raw in std::mem::take(&mut scanned.calls) {
            if self.broken.is_some() || self.is_full() {
                break;
            }
            match self.accept(raw) {
                Ok(call) => self.pending.push(call),
                Err(correction) => self.broken = Some(correction),
            }
        }
        let broken = scanned.broken.take();
        if self.broken.is_none() && !self.is_full() {
            self.broken = broken;
        }
    }

    /// Lets text go, or keeps it where it might have to be taken back.
    fn pass(&mut self, text: &str, out: &mut Shaped) {
        let is_required = self
            .contract
            .tools
            .as_ref()
            .is_some_and(|tools| tools.is_required);
        match (&mut self.live, &self.contract.format) {
            _ if is_required => self.held.push_str(text),
            (Some(live), _) => live.push(text, &mut out.text),
            (None, FormatContract::Json { .. }) => self.held.push_str(text),
            (None, FormatContract::Text) => out.text.push_str(text),
        }
    }

    /// Makes a call that may be delivered out of what the model wrote.
    fn accept(&mut self, raw: RawCall) -> Result<Call, String> {
        let tools = self
            .contract
            .tools
            .as_ref()
            .map(|tools| tools.tools.as_slice())
            .unwrap_or_default();
        let exact = tools.iter().find(|tool| tool.name == raw.name);
        let Some(tool) =
            exact.or_else(|| only(tools.iter().filter(|tool| is_name(&raw.name, &tool.name))))
        else {
            let names = tools
                .iter()
                .map(|tool| tool.name.as_str())
                .collect::<Vec<_>>()
                .join(", ");
            return Err(format!("There is no such tool. The tools are: {names}."));
        };
        if exact.is_none() {
            self.leniencies.push("tool-name");
        }
        let arguments = arguments(&raw.arguments, tool)?;
        self.leniencies
            .extend(arguments.fixes.iter().map(|fix| fix.label()));
        let call = Call {
            index: self.calls,
            name: tool.name.clone(),
            arguments: arguments.json,
        };
        self.calls = self.calls.saturating_add(1);
        Ok(call)
    }

    fn required_call(&mut self) -> Verdict {
        Verdict::Unmet(Unmet {
            correction: "It called no tool, but a tool must be called now. Write the calls and nothing else.".to_owned(),
            fault: Fault::ToolChoice,
            instead: None,
        })
    }

    fn arguments_only(&mut self, out: &mut Shaped) -> Verdict {
        let text = std::mem::take(&mut self.held);
        let only_tool = self
            .contract
            .tools
            .as_ref()
            .and_then(|tools| tools.tools.first())
            .map(|tool| tool.name.clone());
        let name = only_tool.unwrap_or_default();
        let names = [name.clone()];
        let wrapped =
            super::envelope::parse_calls(&text, &names).and_then(|calls| calls.into_iter().next());
        let raw = wrapped.unwrap_or(RawCall {
            name,
            arguments: text,
        });
        match self.accept(raw) {
            Ok(call) => {
                out.calls.push(call);
                Verdict::Met
            }
            Err(correction) => Verdict::Unmet(Unmet {
                correction,
                fault: Fault::ToolChoice,
                instead: None,
            }),
        }
    }

    fn formatted(&mut self, out: &mut Shaped) -> Verdict {
        let FormatContract::Json {
            schema,
            is_strict,
            is_held,
        } = &self.contract.format
        else {
            return Verdict::Met;
        };
        if !is_held {
            if let Some(live) = &mut self.live {
                live.finish(&mut out.text);
            }
            return Verdict::Met;
        }
        let text = std::mem::take(&mut self.held);
        match json::parse_arguments(&text, schema.as_deref()) {
            Ok(answer) if answer.fixes.contains(&Fix::Closed) => Verdict::Unmet(Unmet {
                correction: BROKE_OFF.to_owned(),
                fault: Fault::JsonSchema,
                instead: (!is_strict).then_some(text),
            }),
            Ok(answer) => {
                self.leniencies
                    .extend(answer.fixes.iter().map(|fix| fix.label()));
                out.text.push_str(&answer.json);
                Verdict::Met
            }
            Err(_) if is_refusal(&text) => Verdict::Declined(text),
            Err(error) => Verdict::Unmet(Unmet {
                correction: error.message(),
                fault: Fault::JsonSchema,
                instead: (!is_strict).then_some(text),
            }),
        }
    }
}

/// What is closed by repair is only a part of what was meant: nobody may act on it.
const BROKE_OFF: &str = "The JSON broke off before its end.";

/// How much of a reply is kept for asking again, in bytes.
const MOST_KEPT: usize = 16 * 1024;

fn arguments(text: &str, tool: &KnownTool) -> Result<json::Arguments, String> {
    let checked = json::parse_arguments(text, tool.schema.as_deref());
    let arguments = match checked {
        Ok(arguments) => arguments,
        // Without `strict` the caller is promised JSON, not that it fits; OpenAI promises no more.
        Err(json::ArgumentsError::Violations(_)) if !tool.is_strict => {
            json::parse_arguments(text, None).map_err(|error| explain(tool, &error))?
        }
        Err(error) => return Err(explain(tool, &error)),
    };
    match arguments.fixes.contains(&Fix::Closed) {
        true => Err(BROKE_OFF.to_owned()),
        false => Ok(arguments),
    }
}

fn explain(tool: &KnownTool, error: &json::ArgumentsError) -> String {
    format!(
        "The arguments of {} were wrong. {}",
        tool.name,
        error.message()
    )
}

/// The only item, if there is exactly one.
fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    items.next().filter(|_| items.next().is_none())
}

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
