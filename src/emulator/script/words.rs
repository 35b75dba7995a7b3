//! The words of a script: one table, from which parsing and the help page both come.

use std::time::Duration;

use super::{
    behaviour::{Behaviour, Break, Fault, Quirk, Rupture},
    slip::Slip,
};
use crate::emulator::http::kinds;

/// One word of the grammar.
pub(in crate::emulator) struct Word {
    pub(in crate::emulator) name: &'static str,
    /// What stands after the colon, for the help page; empty for none.
    pub(in crate::emulator) value: &'static str,
    pub(in crate::emulator) about: &'static str,
    set: Set,
}

/// How a word changes the behaviour.
#[derive(Clone, Copy)]
enum Set {
    Quirk(Quirk),
    Slip(Slip),
    /// Whatever the function does; the word says it all.
    Change(fn(&mut Behaviour)),
    Pause(fn(&mut Behaviour, Duration)),
    Number(fn(&mut Behaviour, usize)),
    Text(fn(&mut Behaviour, &str)),
    /// The number is how many events come first when the word does not say.
    Break(Break, usize),
    Kind(&'static str),
    Error,
    Status,
}

const fn word(name: &'static str, value: &'static str, about: &'static str, set: Set) -> Word {
    Word {
        name,
        value,
        about,
        set,
    }
}

const fn quirk(name: &'static str, quirk: Quirk, about: &'static str) -> Word {
    word(name, "", about, Set::Quirk(quirk))
}

const fn slip(name: &'static str, slip: Slip, about: &'static str) -> Word {
    word(name, "", about, Set::Slip(slip))
}

/// Every word, in the order of the help page.
#[rustfmt::skip]
pub(in crate::emulator) static WORDS: &[Word] = &[
    word("latency", "DUR", "wait before the head of the answer", Set::Pause(|b, d| b.latency = d)),
    word("first", "DUR", "send the head at once, wait before the first event", Set::Pause(|b, d| b.first = d)),
    word("gap", "DUR", "wait between events", Set::Pause(|b, d| b.gap = d)),
    word("slow", "DUR", "another name of gap", Set::Pause(|b, d| b.gap = d)),
    word("ping", "DUR", "send a comment line after every DUR of silence", Set::Pause(|b, d| b.ping = Some(d))),
    word("size", "N", "characters that each event adds", Set::Number(|b, n| b.size = Some(n.max(1)))),
    word("repeat", "N", "send each event N more times", Set::Number(|b, n| b.repeat = n.min(100))),
    word("split", "N", "write the stream in chunks of N bytes, through characters too", Set::Number(|b, n| b.split = Some(n.max(1)))),
    quirk("burst", Quirk::Burst, "write all events in one chunk"),
    quirk("lf", Quirk::Lf, "end lines with LF instead of CRLF"),
    quirk("cr", Quirk::Cr, "end lines with CR instead of CRLF"),
    quirk("bare", Quirk::Bare, "leave out the event: line"),
    quirk("bom", Quirk::Bom, "open the stream with a byte order mark"),
    quirk("noise", Quirk::Noise, "put id:, retry: and comment lines among the events"),
    quirk("two_lines", Quirk::TwoLines, "write each event's data over two data: lines"),
    quirk("hang", Quirk::Hang, "never send a head"),
    word("stall", "[N]", "go silent after N events (0) and hold the connection", Set::Break(Break::Stall, 0)),
    word("drop", "[N]", "cut the connection after N events (1), without the body's end", Set::Break(Break::Drop, 1)),
    word("eof", "[N]", "end the body cleanly after N events (1), inside the next", Set::Break(Break::Eof, 1)),
    word("garbage", "[N]", "after N events (1), one whose data is not JSON", Set::Break(Break::Garbage, 1)),
    word("badutf8", "[N]", "after N events (1), one that is not UTF-8", Set::Break(Break::BadUtf8, 1)),
    word("error_event", "[N]", "after N events (1), one with error set, then the end", Set::Break(Break::Error, 1)),
    word("flood", "N", "after the first event, N MiB without a line end (at most 256)", Set::Number(|b, n| b.flood_mib = Some(n.min(256)))),
    quirk("nofinal", Quirk::NoFinal, "leave out the closing event"),
    quirk("rewrite", Quirk::Rewrite, "take back and change text half-way"),
    quirk("trim", Quirk::Trim, "end the text in blanks that the closing event drops"),
    quirk("replacement", Quirk::Replacement, "end one event in U+FFFD, replaced by the next"),
    quirk("null_output", Quirk::NullOutput, "answer with output: null"),
    quirk("empty", Quirk::Empty, "answer with output: \"\""),
    quirk("inline_think", Quirk::InlineThink, "put the reasoning into output, in <think> tags"),
    quirk("key_order", Quirk::KeyOrder, "put reasoning before output, and add unknown fields"),
    quirk("unescaped", Quirk::Unescaped, "send non-ASCII text raw in events"),
    quirk("nonulls", Quirk::NoNulls, "leave out keys whose value is null"),
    quirk("stuck", Quirk::Stuck, "queue: wait for ever and refuse to be cancelled, as without balance"),
    quirk("nousage", Quirk::NoUsage, "router: tell no usage"),
    quirk("usage_each", Quirk::UsageEach, "router: tell the usage so far in every event"),
    quirk("headers", Quirk::Headers, "add headers nobody should pass on"),
    word("plain", "", "forget all words before this one, the emulator's own included", Set::Change(|b| *b = Behaviour::default())),
    word("error", "N|KIND", "a number: as error_event:N; a name: one of the errors below", Set::Error),
    word("status", "NNN", "answer with that bare status, 200 to 599", Set::Status),
    word("error200", "", "HTTP 200 with error set", Set::Kind("error_200")),
    word("html", "", "an HTML page under status 502, as nginx sends it", Set::Kind("nginx_502")),
    word("retry_after", "TEXT", "add the header retry-after to an error", Set::Text(|b, t| b.retry_after = Some(t.to_owned()))),
    word("limit", "N", "refuse a prompt or system_prompt of more than N characters", Set::Number(|b, n| b.limit = Some(n))),
    word("concurrency", "N", "refuse a call while N are in progress", Set::Number(|b, n| b.concurrency = Some(n))),
    slip("tool:empty", Slip::CallNothing, "tools offered: answer with nothing"),
    slip("tool:none", Slip::CallInProse, "answer in prose though a call is due"),
    slip("tool:quote", Slip::CallQuoted, "show a call as an example, in a fence; it is no call"),
    slip("tool:unknown", Slip::CallUnknown, "call a tool that was not offered"),
    slip("tool:case", Slip::CallCase, "write the tool's name in another case"),
    slip("tool:prefix", Slip::CallPrefix, "write functions. before the tool's name"),
    slip("tool:types", Slip::CallTypes, "write numbers and truth values as strings"),
    slip("tool:lists", Slip::CallLists, "write lists as strings of JSON"),
    slip("tool:missing", Slip::CallMissing, "leave out the first required argument"),
    slip("tool:extra", Slip::CallExtra, "add an argument that the tool does not have"),
    slip("tool:parallel", Slip::CallParallel, "make two calls instead of one"),
    slip("tool:parameters", Slip::CallParameters, "call the arguments parameters"),
    slip("tool:string", Slip::CallString, "write the arguments as a string of JSON"),
    slip("tool:python", Slip::CallPython, "write calls as Python does: True, None, 'text'"),
    slip("tool:trailing", Slip::CallTrailing, "write commas before closing brackets"),
    slip("tool:smart", Slip::CallSmart, "write typographic quotation marks"),
    slip("tool:keys", Slip::CallKeys, "leave out the quotation marks around members' names"),
    slip("tool:comment", Slip::CallComment, "put a comment into the JSON of calls"),
    slip("tool:braces", Slip::CallBraces, "write one closing brace too many"),
    slip("tool:escape", Slip::CallEscape, "write bad escapes and raw line breaks in strings"),
    slip("tool:barejson", Slip::CallBareJson, "write the calls' JSON without any envelope"),
    slip("tool:openai", Slip::CallOpenAi, "write {\"tool_calls\": [...]} instead of the block"),
    slip("tool:renamed", Slip::CallRenamed, "write <function_calls> and <invoke> as the block's tags"),
    slip("tool:markup", Slip::CallMarkup, "write <invoke> and <parameter> elements in <function_calls>"),
    slip("tool:nokey", Slip::CallNoKey, "leave the key out of the block's tags"),
    slip("tool:wrongkey", Slip::CallWrongKey, "write a wrong key in the block's tags"),
    slip("tool:two", Slip::CallTwice, "write the block twice"),
    slip("tool:fenced", Slip::CallFenced, "write the block in a Markdown fence"),
    slip("tool:before", Slip::CallAfterProse, "write much prose before the block"),
    slip("tool:fabricate", Slip::CallFabricated, "make up results after the block and go on"),
    slip("tool:prose", Slip::CallThenProse, "write prose after the block"),
    slip("tool:unclosed", Slip::CallUnclosed, "leave out the block's closing tags"),
    slip("tool:truncated", Slip::CallTruncated, "stop in the middle of the block"),
    slip("tool:result", Slip::CallAfterResult, "open with the tag of a result, then write the calls' JSON"),
    slip("tool:claim", Slip::CallClaimed, "write a made-up result as JSON instead of a call"),
    slip("tool:attributes", Slip::CallAttributes, "write name and arguments as attributes of an element"),
    slip("tool:commas", Slip::CallCommas, "write commas between the calls"),
    slip("tool:opened", Slip::CallOpened, "open the block and write nothing in it"),
    slip("tool:shown", Slip::CallShown, "write prose, then the calls' JSON in a fence"),
    slip("tool:echo", Slip::CallEcho, "write the arguments into a copy of their schema"),
    slip("tool:definition", Slip::CallDefinition, "copy the tool's definition, with the values in it"),
    slip("tool:placeholder", Slip::CallPlaceholder, "copy the name that the form was shown with"),
    slip("tool:parameter", Slip::CallAsOneParameter, "write all arguments as one parameter with a placeholder's name"),
    slip("tool:blocks", Slip::CallBlocks, "write a block of its own for each call"),
    slip("tool:unnamed", Slip::CallUnnamed, "write the arguments alone, without the tool's name"),
    slip("tool:amid", Slip::CallAmid, "write the calls' JSON in the midst of a sentence"),
    slip("tool:nothing", Slip::CallNoArguments, "write \"\" for no arguments"),
    slip("tool:thousands", Slip::CallThousands, "write commas between the thousands of numbers"),
    slip("tool:enum", Slip::CallEnum, "write the words of lists to choose from in capitals"),
    slip("tool:floats", Slip::CallFloats, "write whole numbers as 3.0"),
    slip("tool:single", Slip::CallSingle, "write the only item of a list in place of the list"),
    slip("tool:llama", Slip::CallLlama, "call as Llama does: <|python_tag|>{...}"),
    slip("tool:mistral", Slip::CallMistral, "call as Mistral's models do: [TOOL_CALLS][{...}]"),
    slip("tool:deepseek", Slip::CallDeepSeek, "call as DeepSeek's models do, in their tokens"),
    slip("tool:kimi", Slip::CallKimi, "call as Kimi does, in its tokens"),
    slip("tool:gptoss", Slip::CallGptOss, "call as gpt-oss does: <|channel|>commentary to=functions.f ..."),
    slip("tool:pythonic", Slip::CallPythonic, "call as in Python, in a list: [f(a=1)]"),
    slip("tool:code", Slip::CallCode, "call as Gemini does: print(f(a=1)) in a fence tool_code"),
    slip("tool:positional", Slip::CallPositional, "call as in Python, without the names of parameters"),
    slip("tool:action", Slip::CallAction, "write Action: and Action Input:, as ReAct does"),
    slip("turn:record", Slip::TurnRecord, "after a record: write the record again, then the reply"),
    slip("turn:correction", Slip::TurnCorrection, "write nothing, and when asked again, copy the correction"),
    slip("turn:tag", Slip::TurnTagged, "after a record: write the reply in a turn's tags"),
    slip("turn:next", Slip::TurnInvented, "after a record: go on with turns of the user and its own"),
    slip("json:refuse", Slip::JsonRefused, "refuse in a sentence where JSON is due"),
    slip("json:empty", Slip::JsonEmpty, "answer with nothing where JSON is due"),
    slip("json:wrong", Slip::JsonWrong, "write JSON that violates its schema"),
    slip("json:example", Slip::JsonExample, "copy the object that was shown as an example"),
    slip("json:types", Slip::JsonTypes, "write numbers and truth values as strings"),
    slip("json:array", Slip::JsonArray, "write the JSON inside a list"),
    slip("json:python", Slip::JsonPython, "write JSON as Python does"),
    slip("json:trailing", Slip::JsonTrailing, "write commas before closing brackets"),
    slip("json:smart", Slip::JsonSmart, "write typographic quotation marks"),
    slip("json:keys", Slip::JsonKeys, "leave out the quotation marks around members' names"),
    slip("json:comment", Slip::JsonComment, "put a comment into the JSON"),
    slip("json:braces", Slip::JsonBraces, "write one closing brace too many"),
    slip("json:escape", Slip::JsonEscape, "write bad escapes and raw line breaks in strings"),
    slip("json:echo", Slip::JsonEcho, "write the value into a copy of its schema"),
    slip("json:thousands", Slip::JsonThousands, "write commas between the thousands of numbers"),
    slip("json:invalid", Slip::JsonInvalid, "leave out a colon"),
    slip("json:string", Slip::JsonString, "write a string that holds the JSON"),
    slip("json:fenced", Slip::JsonFenced, "write the JSON in a Markdown fence"),
    slip("json:prose", Slip::JsonProse, "write prose before and after the JSON"),
    slip("json:truncated", Slip::JsonTruncated, "stop in the middle of the JSON"),
    word("wrong", "N", "make these slips in N replies, until told N times (1)", Set::Number(|b, n| b.stubbornness = Some(n))),
    word("stubborn", "", "make these slips however often told", Set::Change(|b| b.stubbornness = Some(usize::MAX))),
    quirk("silent", Quirk::Silent, "call tools without a sentence before"),
    quirk("showcase", Quirk::Showcase, "tools offered: tell a plan, call one that looks harmless, end"),
];

/// The word for a way in which a model goes wrong.
#[derive(Clone, Copy, Debug)]
pub struct SlipWord {
    pub word: &'static str,
    /// What the model then does.
    pub about: &'static str,
    /// Whether it does so too where its provider takes tools and schemas apart from the text.
    pub is_native: bool,
}

/// The words for the ways in which a model goes wrong.
pub fn slips() -> impl Iterator<Item = SlipWord> {
    WORDS.iter().filter_map(|word| match word.set {
        Set::Slip(slip) => Some(SlipWord {
            word: word.name,
            about: word.about,
            is_native: slip.is_native(),
        }),
        _ => None,
    })
}

/// Changes `behaviour` by one word.
pub(super) fn apply(behaviour: &mut Behaviour, text: &str) -> Result<(), String> {
    let (word, name, value) = find(text).ok_or_else(|| format!("unknown word {text:?}"))?;
    let needed = || value.ok_or_else(|| format!("{name} needs a value: {name}:{}", word.value));
    if value.is_some() && word.value.is_empty() {
        return Err(format!("{name} takes no value"));
    }
    match word.set {
        Set::Change(change) => change(behaviour),
        Set::Slip(slip) => {
            behaviour.slips.insert(slip);
        }
        Set::Quirk(quirk) => {
            behaviour.quirks.insert(quirk);
        }
        Set::Pause(set) => set(behaviour, parse_duration(needed()?)?),
        Set::Number(set) => set(behaviour, parse_number(needed()?)?),
        Set::Text(set) => set(behaviour, needed()?),
        Set::Kind(kind) => behaviour.fault = Some(Fault::Kind(kind)),
        Set::Status => behaviour.fault = Some(Fault::Status(parse_status(needed()?)?)),
        Set::Error => apply_error(behaviour, needed()?)?,
        Set::Break(how, default) => {
            let after = value.map_or(Ok(default), parse_number)?;
            behaviour.rupture = Some(Rupture { after, how });
        }
    }
    Ok(())
}

/// The word that `text` is, the way it is spelt there, and its value. A colon is part of some names
/// (`tool:nokey`), so the whole text is looked up before its first part.
fn find(text: &str) -> Option<(&'static Word, &str, Option<&str>)> {
    let named = |name: &str| {
        WORDS
            .iter()
            .find(|word| word.name.eq_ignore_ascii_case(name))
    };
    if let Some(word) = named(&text.replacen('=', ":", 1)) {
        return Some((word, text, None));
    }
    let (name, value) = text.split_once([':', '='])?;
    Some((named(name)?, name, Some(value)))
}

fn apply_error(behaviour: &mut Behaviour, value: &str) -> Result<(), String> {
    if let Ok(after) = value.parse() {
        behaviour.rupture = Some(Rupture {
            after,
            how: Break::Error,
        });
        return Ok(());
    }
    let kind = kinds::find(value).ok_or_else(|| format!("unknown error kind {value:?}"))?;
    behaviour.fault = Some(Fault::Kind(kind.name));
    Ok(())
}

/// Reads `200ms`, `1.5s`, `2m` or a bare number of milliseconds; an hour at most.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let scale = match text.strip_prefix(digits) {
        Some("" | "ms") => 0.001,
        Some("s") => 1.0,
        Some("m") => 60.0,
        _ => return Err(format!("{text:?} is not a time; write 200ms or 1.5s")),
    };
    let number: f64 = digits
        .parse()
        .map_err(|_| format!("{text:?} is not a time; write 200ms or 1.5s"))?;
    let seconds = number * scale;
    if (0.0..=3600.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(format!("{text:?} is not between 0 and an hour"))
    }
}

fn parse_number(text: &str) -> Result<usize, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is not a whole number"))
}

fn parse_status(text: &str) -> Result<u16, String> {
    text.parse()
        .ok()
        .filter(|status| (200..=599).contains(status))
        .ok_or_else(|| format!("{text:?} is not a status between 200 and 599"))
}
