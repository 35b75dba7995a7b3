//! Finds calls in an answer that had to be a call, wherever they stand in it: no text is delivered
//! there, so what stands around a call is nothing that could be lost.

use super::envelope::RawCall;
use super::fitting::{fits, is_quoted, name_tool, only_taker};
use super::leniency::{AMID, ARGUMENTS_ALONE};
use super::opening::Opening;
use super::parse::parse_prefix;
use crate::translate::contract::ToolContract;
use crate::translate::json;

/// Texts that begin as calls do and are none, before the search is given up to stay linear.
const MAX_TRIES: usize = 16;

/// The calls in a text in which none was found in the forms that count anywhere.
pub fn calls(text: &str, contract: &ToolContract) -> Vec<RawCall> {
    let root = json::root(text).map_or(text, |root| root.json);
    let taker = only_taker(root, &contract.tools);
    let named = match contract.is_arguments_only && taker.is_some() {
        true => Vec::new(),
        false => named_calls(text, contract),
    };
    let Some(tool) = taker.or(contract
        .tools
        .first()
        .filter(|_| contract.is_arguments_only))
    else {
        return named;
    };
    let mut alone = RawCall {
        is_bare: true,
        ..RawCall::json(tool.name.clone(), text.to_owned())
    };
    let is_better = || named.iter().all(|call| fits(call, &contract.tools));
    if !named.is_empty() && (is_better() || !fits(&alone, &contract.tools)) {
        return named;
    }
    if !contract.is_arguments_only {
        alone.mended.push(ARGUMENTS_ALONE);
        if is_quoted(&alone, contract, true) {
            return Vec::new();
        }
    }
    vec![alone]
}

/// The calls that a text begins with, if they fit and what follows them is none.
pub fn calls_at_start(text: &str, contract: &ToolContract) -> Vec<RawCall> {
    let names = names(contract);
    let text = text.trim_start();
    if Opening::of(text, &names) != Opening::Settled {
        return Vec::new();
    }
    let Some((mut calls, after)) = parse_prefix(text, &names) else {
        return Vec::new();
    };
    for call in &mut calls {
        name_tool(call, &contract.tools);
    }
    let are_meant = calls
        .iter()
        .all(|call| fits(call, &contract.tools) && !is_quoted(call, contract, false));
    match are_meant && Opening::of(after, &names) == Opening::No {
        true => calls,
        false => Vec::new(),
    }
}

fn names(contract: &ToolContract) -> Vec<String> {
    let names = contract.tools.iter().map(|tool| tool.name.clone());
    names.collect()
}

/// The calls that name a tool, wherever they begin.
fn named_calls(text: &str, contract: &ToolContract) -> Vec<RawCall> {
    let names = names(contract);
    let mut calls = Vec::new();
    let mut tries = 0;
    let mut from = 0;
    while let Some(at) = next_start(text, from) {
        let rest = text.get(at..).unwrap_or_default();
        let first = rest.chars().next().map_or(1, char::len_utf8);
        from = at.saturating_add(first);
        if Opening::of(rest, &names) != Opening::Settled {
            continue;
        }
        if let Some((found, after)) = parse_prefix(rest, &names) {
            calls.extend(found);
            from = text.len().saturating_sub(after.len()).max(from);
            continue;
        }
        tries = usize::saturating_add(tries, 1);
        if tries >= MAX_TRIES {
            break;
        }
    }
    for call in &mut calls {
        name_tool(call, &contract.tools);
        if !contract.is_arguments_only {
            call.mended.push(AMID);
        }
    }
    let is_forged = |call: &RawCall| is_quoted(call, contract, false);
    calls.retain(|call| contract.is_arguments_only || !is_forged(call));
    calls
}

/// The next place where a call may begin: a line, or a sign that opens something.
fn next_start(text: &str, from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    if from == 0 && !rest.is_empty() {
        return Some(0);
    }
    let offset = rest.find(['\n', '{', '[', '<'])?;
    let at = from.saturating_add(offset);
    match rest.as_bytes().get(offset) {
        Some(b'\n') => text
            .get(at.saturating_add(1)..)
            .filter(|rest| !rest.is_empty())
            .map(|_| at.saturating_add(1)),
        _ => Some(at),
    }
}
