//! What is to be answered now: a message, results of calls, or what was wrong with the last reply.

use std::borrow::Cow;

use super::scan;
use crate::emulator::{
    llm::conversation::{Conversation, Turn},
    script,
};

/// The state of a conversation, seen from the model.
#[derive(Debug)]
pub(super) struct Moment<'a> {
    /// The last thing that the user wants, without the script's words.
    pub(super) message: Cow<'a, str>,
    /// How often the replies to it were found wrong.
    pub(super) reasks: usize,
    /// What was said the last time that they were.
    pub(super) correction: &'a str,
    /// How often tools were run for it.
    pub(super) rounds: usize,
    /// How often the user has said the same before, as programs do that want another reply.
    pub(super) repeats: usize,
    /// What they gave the last time, if that is to be answered.
    pub(super) results: Vec<Outcome<'a>>,
}

/// The result of one call.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome<'a> {
    pub(super) tool: Option<&'a str>,
    pub(super) text: &'a str,
}

impl<'a> Moment<'a> {
    pub(super) fn read(conversation: &Conversation<'a>) -> Moment<'a> {
        let (own, section) = split_reask(conversation.message);
        let reasks = count_reasks(section);
        let turns = &conversation.turns;
        let asked = turns
            .iter()
            .rposition(|turn| turn.role == "user" && !is_reask(turn.text));
        let points_back = own.trim().is_empty() || speaks_of_the_record(own);
        let Some(asked) = asked.filter(|_| points_back) else {
            let nothing_else = own.trim().is_empty();
            let message = if nothing_else {
                conversation.message
            } else {
                own
            };
            return Moment {
                message: message.into(),
                reasks,
                correction: section,
                rounds: 0,
                repeats: times_said(turns, message),
                results: Vec::new(),
            };
        };
        let (before, after) = turns.split_at(asked + 1);
        let earlier = after.iter().filter(|turn| turn.role == "user").count();
        let mut rounds = 0;
        let mut results = Vec::new();
        let mut previous = "";
        for turn in after {
            if turn.role == "tool" {
                if previous != "tool" {
                    rounds += 1;
                    results.clear();
                }
                results.extend(outcomes(turn));
            }
            previous = turn.role;
        }
        let (asking, earlier_turns) = before.split_last().unzip();
        let asking = asking.map_or(own, |turn: &Turn<'_>| turn.text);
        Moment {
            repeats: times_said(earlier_turns.unwrap_or_default(), asking),
            message: script::strip(asking).text.into(),
            reasks: reasks + earlier,
            correction: section,
            rounds,
            results,
        }
    }

    /// The results in a sentence each.
    pub(super) fn report(&self) -> Option<String> {
        let sentences = self.results.iter().map(|outcome| {
            let teller = outcome.tool.unwrap_or("The tool");
            format!("{teller} says: {}", outcome.text)
        });
        let report = sentences.collect::<Vec<_>>().join("\n");
        (!report.is_empty()).then_some(report)
    }
}

/// How often the user has said this in these turns.
fn times_said(turns: &[Turn<'_>], text: &str) -> usize {
    let own = turns.iter().filter(|turn| turn.role == "user");
    own.filter(|turn| turn.text.trim() == text.trim()).count()
}

/// A text after a record that only points into it.
fn speaks_of_the_record(text: &str) -> bool {
    let text = text.to_lowercase();
    text.contains("last turn") || text.contains("results of your tool calls")
}

/// Whether a text says that the reply before it was wrong.
pub(in crate::emulator) fn is_reask(text: &str) -> bool {
    count_reasks(text) > 0
}

fn count_reasks(text: &str) -> usize {
    text.lines().filter(|line| finds_fault(line)).count()
}

/// The message before the first line that finds fault with a reply, and all from there on.
fn split_reask(message: &str) -> (&str, &str) {
    let before: usize = message
        .split_inclusive('\n')
        .take_while(|line| !finds_fault(line))
        .map(str::len)
        .sum();
    let (own, section) = message.split_at(before);
    if section.is_empty() {
        return (message, "");
    }
    (own.trim_end(), section)
}

/// "Your previous reply was not valid", in any words for reply and for not valid.
fn finds_fault(line: &str) -> bool {
    let words: Vec<String> = scan::words(line).collect();
    let reply = [
        "reply", "answer", "response", "message", "output", "call", "calls",
    ];
    let of_ours = words.windows(3).any(|three| match three {
        [whose, which, what] => {
            ["your", "the"].contains(&whose.as_str())
                && ["previous", "last", "earlier"].contains(&which.as_str())
                && reply.contains(&what.as_str())
        }
        _ => false,
    });
    let line = line.to_lowercase();
    let fault = [
        "not", "invalid", "wrong", "fail", "rejected", "error", "missing", "could", "cannot",
        "couldn", "didn", "instead",
    ];
    of_ours && fault.iter().any(|fault| line.contains(fault))
}

/// The results in a turn: one per tag that speaks of a result, or else the whole text.
fn outcomes<'a>(turn: &Turn<'a>) -> Vec<Outcome<'a>> {
    let mut outcomes = Vec::new();
    let mut rest = turn.text;
    while let Some((tag, text, after)) = next_result(rest) {
        let name = tag.split_once("name=\"").map(|(_, rest)| rest);
        outcomes.push(Outcome {
            tool: name.and_then(|rest| rest.split('"').next()),
            text,
        });
        rest = after;
    }
    if outcomes.is_empty() {
        outcomes.push(Outcome {
            tool: None,
            text: turn.text.trim(),
        });
    }
    outcomes
}

/// The opening tag of the next result, its text, and what follows its closing tag. The two tags
/// have one name, so that a result may contain a tag that looks like an end.
fn next_result(text: &str) -> Option<(&str, &str, &str)> {
    let (_, rest) = text.split_once("<tool_result")?;
    let (tag, rest) = rest.split_once('>')?;
    let suffix = tag.split(' ').next().unwrap_or_default();
    let close = format!("</tool_result{suffix}>");
    let (inner, after) = rest.split_once(close.as_str()).unwrap_or((rest, ""));
    Some((tag, inner.trim(), after))
}

#[cfg(test)]
mod tests {
    use super::Moment;
    use crate::emulator::llm::conversation;

    const RECORD: &str = "<conversation-7K2Q>\n<turn-7K2Q role=\"user\">Weather?</turn-7K2Q>\n<turn-7K2Q role=\"assistant\">calls</turn-7K2Q>\n<turn-7K2Q role=\"tool\"><tool_result-7K2Q id=\"call_1\" name=\"get_weather\">sun </tool_result>ny</tool_result-7K2Q>\n<tool_result-7K2Q id=\"call_2\" name=\"get_time\">noon</tool_result-7K2Q></turn-7K2Q>\n</conversation-7K2Q>\n\n";

    #[test]
    fn results_answer_the_message_before_them() {
        let prompt =
            format!("{RECORD}The results of your tool calls are in the last turn. Continue.");
        let conversation = conversation::read(&prompt);
        let moment = Moment::read(&conversation);
        assert_eq!((moment.message.as_ref(), moment.rounds), ("Weather?", 1));
        assert_eq!(
            moment.report().expect("results"),
            "get_weather says: sun </tool_result>ny\nget_time says: noon"
        );
    }

    #[test]
    fn a_new_message_leaves_results_behind() {
        let prompt = format!("{RECORD}Thanks.");
        let conversation = conversation::read(&prompt);
        let moment = Moment::read(&conversation);
        assert_eq!(
            (moment.message.as_ref(), moment.results.len()),
            ("Thanks.", 0)
        );
    }

    #[test]
    fn a_reask_is_counted_and_taken_off() {
        let prompt =
            "Weather?\n\nYour previous reply was not valid: no key.\nWrite the block again.";
        let moment = Moment::read(&conversation::read(prompt));
        assert_eq!((moment.message.as_ref(), moment.reasks), ("Weather?", 1));
        let folded = "<conversation-1>\n<turn-1 role=\"user\">Weather?</turn-1>\n<turn-1 role=\"assistant\">x</turn-1>\n<turn-1 role=\"user\">Your last answer is wrong.</turn-1>\n</conversation-1>\n\nYour previous reply was not valid.";
        let moment = Moment::read(&conversation::read(folded));
        assert_eq!((moment.message.as_ref(), moment.reasks), ("Weather?", 2));
    }
}
