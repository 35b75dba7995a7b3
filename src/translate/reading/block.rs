//! What stands in the block that carries the conversation's key, call by call.

use memchr::memmem;

use super::elements::{AttributeCall, Head};
use super::envelope::{Form, RawCall, collect_calls, is_wrapper, parse_call, skip_surplus};
use super::json_scan::JsonScan;
use super::leniency::LIST;
use super::markup::{MAX_TAG, MarkupCall, Progress, split_prefix, window};
use crate::translate::json::Fix;

/// What comes next in a block.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// It cannot be told yet.
    Unfinished,
    /// A call, or a list of them, if it can be read as such, and how much of the block it takes up.
    Calls(Option<Vec<RawCall>>, usize),
    /// The block's end, and where it is over.
    End(usize),
    /// Something else, and how far the block is read at least once that is certain.
    Other(usize),
}

const BLOCK_END: &str = "</tool_calls>";
const CALL_END: &str = "</tool_call>";
/// The marks of a fence and its language take up at most this many bytes.
const MAX_FENCE: usize = 32;
/// Broken quotes can hide an object's end; these still show it.
const MARKS: [&str; 2] = ["</tool_call>\n<tool_call", "</tool_call>\n</tool_calls>"];

/// Reads the next call of a block of which there is more with every call. Nothing is read twice.
#[derive(Debug, Default)]
pub struct ItemScan {
    stage: Stage,
    /// How far the block has been read.
    at: usize,
    /// The closing tag of the element that the call stands in.
    wrapper_end: Option<String>,
    /// What had to be gone past before the call, by name.
    mended: Vec<&'static str>,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Start,
    Json {
        from: usize,
        scan: JsonScan,
    },
    Markup {
        from: usize,
        call: Box<MarkupCall>,
    },
    Attributes {
        from: usize,
        call: AttributeCall,
    },
    /// The calls are there; their element may still have to close.
    Tail(Option<Vec<RawCall>>),
}

impl ItemScan {
    /// What comes next in this block, which begins where the call before has ended.
    pub fn next(&mut self, block: &str) -> Next {
        loop {
            let next = match &mut self.stage {
                Stage::Start => self.start(block),
                Stage::Json { from, scan } => {
                    let json = block.get(*from..).unwrap_or_default();
                    end_of_json(scan, json).map(|length| {
                        let calls = json.get(..length).and_then(calls_of);
                        (Stage::Tail(calls), from.saturating_add(length))
                    })
                }
                Stage::Markup { from, call } => {
                    let inside = block.get(*from..).unwrap_or_default();
                    match call.read(inside) {
                        Progress::Unfinished => Err(Next::Unfinished),
                        Progress::Broken(at) => Err(Next::Other(from.saturating_add(at))),
                        Progress::Closed(call, end) => {
                            Ok((Stage::Tail(Some(vec![call])), from.saturating_add(end)))
                        }
                    }
                }
                Stage::Attributes { from, call } => {
                    let element = block.get(*from..).unwrap_or_default();
                    match call.read(element) {
                        Ok(None) => Err(Next::Unfinished),
                        Err(at) => Err(Next::Other(from.saturating_add(at))),
                        Ok(Some((raw, end))) => {
                            self.wrapper_end = Some(call.closing());
                            Ok((Stage::Tail(Some(vec![raw])), from.saturating_add(end)))
                        }
                    }
                }
                Stage::Tail(_) => return self.tail(block),
            };
            match next {
                Ok((stage, at)) => (self.stage, self.at) = (stage, at),
                Err(next) => return next,
            }
        }
    }

    /// The block has broken off: its last calls, if they lack no more than closing tags. `None` if
    /// they lack more, and none if there is nothing after the calls before.
    pub fn last(self, block: &str) -> Option<Vec<RawCall>> {
        let rest = block.get(self.at..).unwrap_or_default().trim_start();
        match self.stage {
            Stage::Tail(calls) => Some(finished(calls?, &self.mended)),
            Stage::Start if self.wrapper_end.is_none() && BLOCK_END.starts_with(rest) => {
                let could_be_call = rest == "<";
                (!could_be_call).then_some(Vec::new())
            }
            _ => None,
        }
    }

    fn start(&mut self, block: &str) -> Result<(Stage, usize), Next> {
        let rest = block.get(self.at..).unwrap_or_default().trim_start();
        self.at = block.len().saturating_sub(rest.len());
        if rest.is_empty() {
            return Err(Next::Unfinished);
        }
        if self.wrapper_end.is_none() && rest.starts_with([',', ';']) {
            return Ok(self.skip(1, LIST));
        }
        if rest.starts_with('`') {
            return self.skip_fence(rest);
        }
        if self.wrapper_end.is_none() && rest.starts_with(BLOCK_END) {
            return Err(Next::End(self.at.saturating_add(BLOCK_END.len())));
        }
        if rest.starts_with('<') {
            return self.open(rest);
        }
        if self.wrapper_end.is_none() && !rest.starts_with(['{', '[']) {
            return Err(Next::Other(self.at));
        }
        let (from, scan) = (self.at, JsonScan::default());
        Ok((Stage::Json { from, scan }, from))
    }

    /// Goes past this many bytes that do not belong there.
    fn skip(&mut self, length: usize, label: &'static str) -> (Stage, usize) {
        if !self.mended.contains(&label) {
            self.mended.push(label);
        }
        (Stage::Start, self.at.saturating_add(length))
    }

    /// Goes past the marks of a fence, and the language behind them.
    fn skip_fence(&mut self, rest: &str) -> Result<(Stage, usize), Next> {
        let info = rest.trim_start_matches('`');
        let after = info.trim_start_matches(|letter: char| letter.is_ascii_alphanumeric());
        let marks = rest.len().saturating_sub(info.len());
        let length = rest.len().saturating_sub(after.len());
        match after.is_empty() {
            true if length <= MAX_FENCE => Err(Next::Unfinished),
            _ if marks < 3 || length > MAX_FENCE => Err(Next::Other(self.at)),
            _ => Ok(self.skip(length, Fix::Fence.label())),
        }
    }

    /// Goes into an element: one that holds a call, or one that is a call.
    fn open(&mut self, rest: &str) -> Result<(Stage, usize), Next> {
        match AttributeCall::open(rest) {
            Head::Found(call) => {
                let from = self.at;
                return Ok((Stage::Attributes { from, call }, from));
            }
            Head::Open => return Err(Next::Unfinished),
            Head::No => {}
        }
        let head = window(rest, MAX_TAG);
        let Some((tag, _)) = head.split_once('>') else {
            return Err(match head.len() < rest.len() {
                true => Next::Other(self.at),
                false => Next::Unfinished,
            });
        };
        let from = self.at.saturating_add(tag.len()).saturating_add(1);
        let tag = tag.strip_prefix('<').unwrap_or(tag);
        if let Some(call) = MarkupCall::open(tag).map(Box::new) {
            return Ok((Stage::Markup { from, call }, from));
        }
        if self.wrapper_end.is_some() || !is_wrapper(tag) {
            return Err(Next::Other(self.at));
        }
        let (prefix, bare) = split_prefix(tag);
        let word = bare.split([' ', '\n', '-']).next().unwrap_or_default();
        self.wrapper_end = Some(format!("</{prefix}{word}>"));
        Ok((Stage::Start, from))
    }

    /// The call, once it is certain what follows it.
    fn tail(&mut self, block: &str) -> Next {
        let rest = block.get(self.at..).unwrap_or_default();
        let tail = match &mut self.stage {
            // Braces too many belong to the JSON.
            Stage::Tail(calls) if calls.as_ref().is_none_or(|calls| are_json(calls)) => {
                let (tail, is_surplus) = skip_surplus(rest);
                if is_surplus
                    && let Some(calls) = calls
                    && let Some(last) = calls.pop()
                {
                    calls.push(last.closed_too_often());
                }
                tail
            }
            _ => rest.trim_start(),
        };
        self.at = block.len().saturating_sub(tail.len());
        let closer = self.wrapper_end.as_deref().unwrap_or(CALL_END);
        let length = match tail.strip_prefix(closer) {
            Some(after) => block.len().saturating_sub(after.len()),
            None if closer.starts_with(tail) => return Next::Unfinished,
            None => self.at,
        };
        match std::mem::take(&mut self.stage) {
            Stage::Tail(calls) => {
                let calls = calls.map(|calls| finished(calls, &self.mended));
                Next::Calls(calls, length)
            }
            _ => Next::Other(length),
        }
    }
}

/// The calls in JSON: one, or a list of them.
fn calls_of(json: &str) -> Option<Vec<RawCall>> {
    if json.starts_with('{')
        && let Some(call) = parse_call(json)
    {
        return Some(vec![call]);
    }
    let mut calls = Vec::new();
    collect_calls(json, &mut calls, 0)?;
    if let Some(first) = calls.first_mut() {
        first.mended.push(LIST);
    }
    Some(calls)
}

fn are_json(calls: &[RawCall]) -> bool {
    calls.iter().all(|call| call.form == Form::Json)
}

/// Calls with the key, of which something was forgiven.
fn finished(calls: Vec<RawCall>, mended: &[&'static str]) -> Vec<RawCall> {
    let mut calls: Vec<RawCall> = calls.into_iter().map(RawCall::keyed).collect();
    if let Some(first) = calls.first_mut() {
        first.mended.extend(mended);
    }
    calls
}

/// The end of an object, or of what was meant to be one. Whichever sign of it is seen first
/// counts, so that it does not matter how much of the block is there.
fn end_of_json(scan: &mut JsonScan, json: &str) -> Result<usize, Next> {
    let seen = scan.seen();
    let end = scan.end(json);
    let marked = MARKS
        .iter()
        .filter_map(|mark| {
            let from = seen.saturating_sub(mark.len());
            let unread = json.as_bytes().get(from..)?;
            let at = from.saturating_add(memmem::find(unread, mark.as_bytes())?);
            Some((at.saturating_add(mark.len()), at))
        })
        .min();
    match (end, marked) {
        (Some(length), Some((seen, at))) if seen < length => Ok(at),
        (Some(length), _) => Ok(length),
        (None, Some((_, at))) => Ok(at),
        (None, None) => Err(Next::Unfinished),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_the_same_however_the_block_grows() {
        let blocks = [
            "<tool_call>{\"name\": \"f\"}</tool_call>\n</tool_calls>",
            "\n<tool_call id=\"a\">\n{\"name\": \"f\", \"arguments\": {\"a\": \"}\"}}</tool_call>x",
            "{\"name\": \"f\"}{",
            "<tool_call>{\"name\": \"f\"} } }\n</tool_call>x",
            "<invoke name=\"f\"></invoke>}",
            "<tool_call>{\"name\": \"f</tool_call>\n<tool_call>{}",
            "<invoke name=\"f\"></invoke></tool_calls>",
            "<tool_call><function=f>\n</function>\n</tool_call> ",
            "</tool_calls>",
            "<tool_result>",
            "well",
            ", {\"name\": \"f\"}x",
            "[{\"name\": \"f\"}, {\"name\": \"g\"}]]</tool_calls>",
            "```json\n{\"name\": \"f\"}\n```\n</tool_calls>",
            "<tool_call name=\"f\" arguments={\"a\": \">}\"}}/></tool_call>x",
            "<invoke arguments='{\"a\": 1}' name='f'>x",
            "<tool_call arguments={}>",
        ];
        for block in blocks {
            let whole = ItemScan::default().next(block);
            let mut scan = ItemScan::default();
            let cut = (0..=block.len())
                .filter_map(|end| block.get(..end))
                .map(|block| scan.next(block))
                .find(|next| *next != Next::Unfinished);
            assert_eq!(cut, Some(whole), "{block}");
        }
    }
}
