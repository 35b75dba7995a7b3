//! Takes off the beginning of an answer the tags of the conversation's record that it repeats.
//!
//! A model that was shown turns in tags sometimes opens its own answer with one, writes the record
//! again before it goes on, closes what it has not opened, or begins with a tool's result. The
//! answer is what comes after all that, or what stands in the last turn. A result alone is no
//! answer, whoever wrote it: no tool has run.

use super::json_scan::JsonScan;
use super::marker::{Look, Marker, Markers};
use super::markup::window;
use crate::translate::key::MarkerKey;

/// A fence that is opened before a tag takes up a line of fewer bytes.
const MAX_FENCE: usize = 64;

/// Relieves a text that arrives in pieces of the tags it begins with, where there are any to expect. In a
/// box, since many requests show a model no record.
#[derive(Debug, Default)]
pub struct EchoRemover(Option<Box<Remover>>);

#[derive(Debug)]
struct Remover {
    markers: Markers,
    place: Place,
    held: String,
    /// How far `held` has been read.
    at: usize,
    is_in_fence: bool,
    /// Whether the record is being repeated, so that an assistant's turn may be an old one.
    is_in_record: bool,
    last: Option<Element>,
    has_dropped: bool,
    is_result: bool,
}

#[derive(Debug)]
enum Place {
    /// Before the answer.
    Lead,
    /// In an element that is not known to be the answer.
    Within {
        name: String,
        element: Element,
    },
    /// In a result that is written as JSON.
    Json {
        from: usize,
        scan: JsonScan,
    },
    Answer,
}

/// What an element held, as a part of what is held back.
#[derive(Clone, Copy, Debug)]
struct Element {
    kind: Kind,
    from: usize,
    to: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Words that are the answer if nothing comes after them.
    Answer,
    /// A tool's result.
    Result,
    /// What others said.
    Others,
}

/// Whether to go on.
type Next = std::ops::ControlFlow<()>;
const ON: Next = Next::Continue(());
const WAIT: Next = Next::Break(());

impl EchoRemover {
    /// A remover of the tags with these keys; without any, everything passes.
    pub fn new<'k>(keys: impl IntoIterator<Item = &'k MarkerKey>) -> Self {
        let mut keys = keys.into_iter().peekable();
        let is_needed = keys.peek().is_some();
        Self(is_needed.then(|| Box::new(Remover::new(Markers::new(keys)))))
    }

    /// Whether everything passes through from now on.
    pub fn is_done(&self) -> bool {
        self.0.as_deref().is_none_or(Remover::is_done)
    }

    /// Whether anything was taken off.
    pub fn has_dropped(&self) -> bool {
        self.0.as_deref().is_some_and(|remover| remover.has_dropped)
    }

    /// Whether what [`finish`](Self::finish) gave out stood in a tool's result: only calls count.
    pub fn is_result(&self) -> bool {
        self.0.as_deref().is_some_and(|remover| remover.is_result)
    }

    /// Takes the next piece and appends to `out` what belongs to the answer.
    pub fn push(&mut self, piece: &str, out: &mut String) {
        match &mut self.0 {
            None => out.push_str(piece),
            Some(remover) => remover.push(piece, out),
        }
    }

    /// The text ends here.
    pub fn finish(&mut self, out: &mut String) {
        if let Some(remover) = &mut self.0 {
            remover.finish(out);
        }
    }
}

impl Remover {
    fn new(markers: Markers) -> Self {
        Self {
            markers,
            place: Place::Lead,
            held: String::new(),
            at: 0,
            is_in_fence: false,
            is_in_record: false,
            last: None,
            has_dropped: false,
            is_result: false,
        }
    }

    fn is_done(&self) -> bool {
        matches!(self.place, Place::Answer)
    }

    fn push(&mut self, piece: &str, out: &mut String) {
        if self.is_done() {
            out.push_str(piece);
            return;
        }
        self.held.push_str(piece);
        while self.step(out).is_continue() {}
    }

    fn finish(&mut self, out: &mut String) {
        let held = std::mem::take(&mut self.held);
        let rest = held.get(self.at..).unwrap_or_default();
        match std::mem::replace(&mut self.place, Place::Answer) {
            Place::Answer => return,
            Place::Json { .. } => self.has_dropped = true,
            Place::Lead if self.is_tag(rest) => self.has_dropped = true,
            Place::Lead if !self.has_dropped => return out.push_str(&held),
            Place::Lead if !rest.is_empty() && !rest.starts_with(['`', '~']) => {
                return out.push_str(rest);
            }
            Place::Lead => {}
            Place::Within { name, element } => {
                let to = match self.begins_to_close(&name, rest) {
                    true => self.at,
                    false => held.len(),
                };
                self.last = Some(Element { to, ..element });
            }
        }
        if let Some(Element { kind, from, to }) = self.last
            && kind != Kind::Others
        {
            self.is_result = kind == Kind::Result;
            out.push_str(held.get(from..to).unwrap_or_default().trim());
        }
    }

    /// Whether a text is a tag that broke off behind the key, or a closing one that broke off.
    fn is_tag(&self, rest: &str) -> bool {
        match self.markers.head(rest) {
            Look::Found(_) => true,
            Look::Open => self.has_dropped && rest.starts_with("</"),
            Look::No => false,
        }
    }

    /// Whether a text is the beginning of the tag that closes an element.
    fn begins_to_close(&self, name: &str, rest: &str) -> bool {
        rest.starts_with("</")
            && self.markers.at(rest) == Look::Open
            && format!("</{name}-").starts_with(&rest.to_ascii_lowercase())
    }

    fn step(&mut self, out: &mut String) -> Next {
        match &mut self.place {
            Place::Answer => WAIT,
            Place::Lead => self.step_in_lead(out),
            Place::Within { .. } => self.step_within(),
            Place::Json { from, scan } => {
                let json = self.held.get(*from..).unwrap_or_default();
                let Some(length) = scan.end(json) else {
                    return WAIT;
                };
                let from = *from;
                self.at = from.saturating_add(length);
                self.leave(Element {
                    kind: Kind::Result,
                    from,
                    to: from,
                })
            }
        }
    }

    fn step_in_lead(&mut self, out: &mut String) -> Next {
        let rest = self.held.get(self.at..).unwrap_or_default();
        let text = rest.trim_start();
        self.at = self.held.len().saturating_sub(text.len());
        if text.is_empty() {
            return WAIT;
        }
        if text.starts_with(['`', '~']) && self.is_in_fence == self.has_dropped {
            return self.step_over_fence(out);
        }
        if text.starts_with(['{', '[']) {
            return self.step_into_json(out);
        }
        match self.markers.at(text) {
            Look::Open => WAIT,
            Look::Found(marker) => self.enter(&marker),
            Look::No => self.begin_answer(out),
        }
    }

    /// Goes past the line that opens a fence before anything was taken off, and past the one that
    /// closes it afterwards.
    fn step_over_fence(&mut self, out: &mut String) -> Next {
        let text = self.held.get(self.at..).unwrap_or_default();
        let line = window(text, MAX_FENCE);
        let Some((line, _)) = line.split_once('\n') else {
            return match text.len() < MAX_FENCE {
                true => WAIT,
                false => self.begin_answer(out),
            };
        };
        let info = line.trim_start_matches(['`', '~']);
        let is_fence = line.len().saturating_sub(info.len()) >= 3;
        if !is_fence || (self.has_dropped && !info.trim().is_empty()) {
            return self.begin_answer(out);
        }
        self.at = self.at.saturating_add(line.len()).saturating_add(1);
        self.is_in_fence = !self.is_in_fence;
        ON
    }

    /// Goes into a result that is written as `{"tool_result-KEY": ...}`.
    fn step_into_json(&mut self, out: &mut String) -> Next {
        let text = self.held.get(self.at..).unwrap_or_default();
        match self.markers.member(text) {
            Look::Open => WAIT,
            Look::Found(()) => {
                self.place = Place::Json {
                    from: self.at,
                    scan: JsonScan::default(),
                };
                ON
            }
            Look::No => self.begin_answer(out),
        }
    }

    fn begin_answer(&mut self, out: &mut String) -> Next {
        self.place = Place::Answer;
        let held = std::mem::take(&mut self.held);
        let from = match self.has_dropped {
            true => self.at,
            false => 0,
        };
        out.push_str(held.get(from..).unwrap_or_default());
        WAIT
    }

    fn enter(&mut self, marker: &Marker) -> Next {
        self.has_dropped = true;
        self.at = self.at.saturating_add(marker.length);
        let name = marker.name.as_str();
        if marker.is_closing || marker.is_empty || matches!(name, "next" | "tool_calls") {
            return ON;
        }
        let kind = match (name, marker.role.as_deref()) {
            ("conversation", _) => {
                self.is_in_record = true;
                return ON;
            }
            ("turn", Some("user" | "human" | "tool" | "function")) => Kind::Others,
            ("turn", Some("system" | "developer")) => Kind::Answer,
            ("turn", _) if !self.is_in_record => return ON,
            ("turn", _) => Kind::Answer,
            ("previous_reply", _) => Kind::Others,
            _ => Kind::Result,
        };
        self.is_in_record |= name == "turn";
        self.place = Place::Within {
            name: name.to_owned(),
            element: Element {
                kind,
                from: self.at,
                to: self.at,
            },
        };
        ON
    }

    /// Looks for the end of an element: its own closing tag, or one that cannot stand within it.
    fn step_within(&mut self) -> Next {
        let Place::Within { name, element } = &self.place else {
            return WAIT;
        };
        let rest = self.held.get(self.at..).unwrap_or_default();
        let Some(offset) = rest.find('<') else {
            self.at = self.held.len();
            return WAIT;
        };
        let start = self.at.saturating_add(offset);
        let rest = self.held.get(start..).unwrap_or_default();
        let marker = match self.markers.at(rest) {
            Look::Found(marker) => marker,
            Look::Open => {
                self.at = start;
                return WAIT;
            }
            Look::No => {
                self.at = start.saturating_add(1);
                return ON;
            }
        };
        let element = Element {
            to: start,
            ..*element
        };
        let is_own_end = marker.is_closing && marker.name == *name;
        let is_outer = match marker.name.as_str() {
            "conversation" => true,
            "turn" => !marker.is_closing || name != "turn",
            "next" => true,
            _ => name != "turn" && !marker.is_closing,
        };
        let after = start.saturating_add(marker.length);
        match (is_own_end, is_outer) {
            (true, _) => {
                self.at = after;
                self.leave(element)
            }
            (false, true) => {
                self.at = start;
                self.leave(element)
            }
            (false, false) => {
                self.at = after;
                ON
            }
        }
    }

    fn leave(&mut self, element: Element) -> Next {
        self.has_dropped = true;
        self.last = Some(element);
        self.place = Place::Lead;
        ON
    }
}
