//! The reading machine against a slow reader that takes no short cuts, and the answers that are
//! written from it against each other.

use proptest::prelude::*;
use serde_json::{Value, json};

use fal_gateway::translate::face::answer::{AnswerSink, StreamedAnswer, WholeAnswer};
use fal_gateway::translate::face::chat::{Chat, write::ChatChunks};
use fal_gateway::translate::face::objects::UsageChunk;
use fal_gateway::translate::plan::Recipe;
use fal_gateway::translate::reading::{
    Event, Fault, Finish, FinishReason, Format, Reader, Sink, Usage,
};

use crate::streams::{acts, reading, stream};
use crate::support::{self, Ending, Heard, LIMITS, byte_by_byte, cases, drive, hear};

/// What the slow reader makes of a stream: all that may be passed on, and why there is no more.
#[derive(Debug, Default)]
struct Slow {
    /// fal's output, and from `separated` on the answer.
    text: String,
    /// fal's reasoning, and from `separated` on the reasoning from wherever it comes.
    reasoning: String,
    fault: Option<Fault>,
    /// Who spoke of reasons first: fal's own field or a `<think>` block.
    is_field_first: Option<bool>,
}

/// What may be passed on of a stream that is valid UTF-8.
fn slowly(bytes: &[u8]) -> Slow {
    read_all(bytes).separated()
}

/// All lines, then all events, each one parsed in full.
fn read_all(bytes: &[u8]) -> Slow {
    let text = std::str::from_utf8(bytes).unwrap();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let (lines, rest) = text.rsplit_once('\n').unwrap_or(("", &text));
    let mut slow = Slow::default();
    let (mut data, mut name) = (Vec::new(), "");
    let (mut is_revised, mut has_begun, mut undecoded) = (false, false, None);
    for line in lines.split('\n') {
        if let Some(value) = line.strip_prefix("data: ") {
            data.push(value);
        } else if let Some(value) = line.strip_prefix("event: ") {
            name = value;
        } else if line.is_empty() {
            let (data, name) = (std::mem::take(&mut data), std::mem::take(&mut name));
            if data.is_empty() {
                continue;
            }
            has_begun = true;
            if name == "error" {
                return failed(slow, Fault::Model);
            }
            let Ok(event) = serde_json::from_str::<Value>(&data.join("\n")) else {
                return failed(slow, Fault::Unusable("not fal's JSON"));
            };
            if !event["error"].is_null() {
                return failed(slow, Fault::Model);
            }
            let is_final = event["partial"] == json!(false);
            let text = event["output"].as_str().unwrap().to_owned();
            let reasoning = event["reasoning"]
                .as_str()
                .unwrap_or(&slow.reasoning)
                .to_owned();
            let ends_open = text.ends_with('\u{fffd}') || reasoning.ends_with('\u{fffd}');
            undecoded = (!is_final && ends_open).then(|| (text.clone(), reasoning.clone()));
            if undecoded.is_some() {
                continue;
            }
            is_revised = !slow.extend(&text, &reasoning, is_final);
            match (is_final, is_revised) {
                (true, true) => return failed(slow, Fault::Revised),
                (true, false) => return slow,
                (false, _) => {}
            }
        }
    }
    let is_whole = rest.is_empty() && data.is_empty();
    if let Some((text, reasoning)) = undecoded.filter(|_| is_whole) {
        is_revised = !slow.extend(&text, &reasoning, false);
    }
    match (is_revised, is_whole && has_begun) {
        (true, _) => failed(slow, Fault::Revised),
        (false, true) => slow,
        (false, false) => failed(slow, Fault::Disconnected),
    }
}

fn failed(slow: Slow, fault: Fault) -> Slow {
    Slow {
        fault: Some(fault),
        ..slow
    }
}

impl Slow {
    /// Takes over what is longer; whether nothing was taken back.
    fn extend(&mut self, text: &str, reasoning: &str, is_final: bool) -> bool {
        let is_trimmed = |old: &str, new: &str| {
            is_final && old.starts_with(new) && old[new.len()..].trim().is_empty()
        };
        let fits = |old: &str, new: &str| new.starts_with(old) || is_trimmed(old, new);
        if !fits(&self.text, text) || !fits(&self.reasoning, reasoning) {
            return false;
        }
        for (old, new) in [(&mut self.text, text), (&mut self.reasoning, reasoning)] {
            if new.len() > old.len() {
                *old = new.to_owned();
            }
        }
        if self.is_field_first.is_none() {
            self.is_field_first = match (self.reasoning.as_str(), think(&self.text, false).0) {
                ("", "") => None,
                (field, _) => Some(!field.is_empty()),
            };
        }
        true
    }

    /// The rule of `<think>` blocks, applied to the whole output at once.
    fn separated(self) -> Self {
        let (thought, answer) = think(&self.text, self.fault.is_none());
        Self {
            reasoning: match self.is_field_first {
                Some(true) => self.reasoning,
                Some(false) | None => thought.to_owned(),
            },
            text: answer.to_owned(),
            ..self
        }
    }

    fn ending(&self) -> Result<(), Fault> {
        self.fault.map_or(Ok(()), Err)
    }
}

/// Reasoning and answer of an output. Of one that is not complete, what could still be a part of
/// a tag, or the white space before one, is neither.
fn think(output: &str, is_complete: bool) -> (&str, &str) {
    const CLOSING: &str = "</think>";
    let trimmed = output.trim_start();
    let Some(block) = trimmed.strip_prefix("<think>") else {
        let is_open = !is_complete && "<think>".starts_with(trimmed);
        return ("", if is_open { "" } else { output });
    };
    match block.split_once(CLOSING) {
        Some((thought, answer)) => (thought.trim(), answer.trim_start()),
        None if is_complete => (block.trim(), ""),
        None => {
            let mut begun = (1..CLOSING.len()).rev().map(|end| &CLOSING[..end]);
            let said = begun.find_map(|begun| block.strip_suffix(begun));
            (said.unwrap_or(block).trim(), "")
        }
    }
}

fn ending(heard: &Heard) -> Result<(), Fault> {
    match heard.endings[..] {
        [Ending::Finished(_)] => Ok(()),
        [Ending::Failed(fault)] => Err(fault),
        _ => panic!("not one ending: {heard:?}"),
    }
}

proptest! {
    #![proptest_config(cases(2500))]

    #[test]
    fn the_short_cut_hears_what_the_slow_reader_hears(stream in stream(), acts in acts()) {
        let reading = Recipe { show_reasoning: true, ..Recipe::default() };
        let heard = hear(&reading, LIMITS, &stream.bytes, &acts);
        let slow = slowly(&stream.bytes);
        prop_assert_eq!(&heard.text, &slow.text);
        prop_assert_eq!(&heard.reasoning, &slow.reasoning);
        prop_assert_eq!(ending(&heard), slow.ending());
    }

    #[test]
    fn a_stop_sequence_ends_the_text_where_a_search_of_all_of_it_finds_it(
        stream in stream(), acts in acts(),
    ) {
        let stop = vec!["END".to_owned(), "\n\n".to_owned()];
        let reading = Recipe { stop: stop.clone(), ..Recipe::default() };
        let heard = hear(&reading, LIMITS, &stream.bytes, &acts);
        let slow = slowly(&stream.bytes);
        match stop.iter().filter_map(|stop| slow.text.find(stop)).min() {
            Some(at) => {
                prop_assert_eq!(&heard.text, &slow.text[..at]);
                prop_assert_eq!(ending(&heard), Ok(()));
            }
            None => {
                prop_assert!(slow.text.starts_with(&heard.text));
                prop_assert_eq!(ending(&heard), slow.ending());
                prop_assert!(slow.fault.is_some() || heard.text == slow.text);
            }
        }
    }

    #[test]
    fn the_whole_answer_is_the_stream_joined(stream in stream(), reading in reading()) {
        let streamed = hear(&reading, LIMITS, &stream.bytes, &[]);
        if stream.is_complete && matches!(streamed.endings[..], [Ending::Finished(_)]) {
            let object = json!({
                "output": stream.text,
                "reasoning": Some(&stream.reasoning).filter(|text| !text.is_empty()),
                "partial": false,
            });
            let mut whole = Heard::default();
            let reader = Reader::new(&reading, Format::Object, LIMITS);
            drive(reader, object.to_string().as_bytes(), &[], &mut whole);
            prop_assert_eq!(&streamed.text, &whole.text);
            // A stop sequence ends a stream before the reasoning that comes after it, and of two
            // places with reasoning the one that speaks first counts, which a whole answer hides.
            let has_two_voices =
                !stream.reasoning.is_empty() && stream.text.trim_start().starts_with("<think>");
            if reading.stop.is_empty() && reading.key.is_none() && !has_two_voices {
                prop_assert_eq!(streamed, whole);
            }
        }
    }

    #[test]
    fn the_chunks_joined_are_the_whole_answer_and_each_is_complete(
        streams in proptest::collection::vec(stream(), 1..4),
        acts in acts(),
        usage in prop::sample::select(vec![UsageChunk::Asked, UsageChunk::Volunteered, UsageChunk::None]),
    ) {
        let reading = Recipe { show_reasoning: true, ..Recipe::default() };
        let mut chat = support::chat_stream(streams.len(), usage);
        let mut whole = WholeAnswer::new(streams.len() as u32);
        for (index, stream) in streams.iter().enumerate() {
            let reader = Reader::new(&reading, Format::Events, LIMITS);
            let mut both = Both { chat: &mut chat, whole: &mut whole, index };
            drive(reader, &stream.bytes, &acts, &mut both);
        }
        prop_assert_eq!(chat.fault().is_some(), whole.fault().is_some());
        let is_complete = whole.complete().count() == whole.choices.len();
        prop_assert_eq!(chat.has_ended(), is_complete);
        if chat.fault().is_some() {
            chat.fail(&support::problem::<Chat>(Fault::Model));
        }
        let frames = chat.take_frames().unwrap();
        let answer: Value = serde_json::from_slice(&support::chat_json(&whole)).unwrap();
        frames_are_sound(std::str::from_utf8(&frames).unwrap(), &answer, usage, streams.len())?;
    }
}

struct Both<'b> {
    chat: &'b mut StreamedAnswer<ChatChunks>,
    whole: &'b mut WholeAnswer,
    index: usize,
}

impl Sink for Both<'_> {
    fn event(&mut self, event: Event<'_>) {
        self.chat.event(self.index, event);
        self.whole.event(self.index, event);
    }
}

fn frames_are_sound(
    frames: &str,
    answer: &Value,
    usage: UsageChunk,
    asked: usize,
) -> Result<(), TestCaseError> {
    let complete = answer["choices"].as_array().unwrap();
    let is_complete = complete.len() == asked;
    let frames: Vec<&str> = frames.strip_suffix("\n\n").unwrap().split("\n\n").collect();
    let (last, chunks) = frames.split_last().unwrap();
    let expected = if is_complete {
        "data: [DONE]"
    } else {
        "data: {\"error\":{\"message\":"
    };
    prop_assert!(last.starts_with(expected), "{}", last);
    let mut text = vec![String::new(); asked];
    let mut reasoning = vec![String::new(); asked];
    let mut roles = vec![0; asked];
    let mut finishes = vec![Value::Null; asked];
    let mut usages = Vec::new();
    for frame in chunks {
        let chunk: Value = serde_json::from_str(frame.strip_prefix("data: ").unwrap()).unwrap();
        for field in ["id", "created", "model"] {
            prop_assert_eq!(&chunk[field], &answer[field], "{}", field);
        }
        prop_assert_eq!(&chunk["object"], "chat.completion.chunk");
        let Some(choice) = chunk["choices"].get(0) else {
            usages.push(chunk["usage"].clone());
            continue;
        };
        prop_assert!(chunk["usage"].is_null() && usages.is_empty());
        prop_assert_eq!(chunk.get("usage").is_some(), usage == UsageChunk::Asked);
        let index = choice["index"].as_u64().unwrap() as usize;
        let delta = &choice["delta"];
        prop_assert!(finishes[index].is_null(), "a chunk after the finish");
        prop_assert_eq!(
            roles[index] == 0,
            delta.get("role").is_some(),
            "the role comes first, once"
        );
        roles[index] += 1;
        text[index] += delta["content"].as_str().unwrap_or("");
        reasoning[index] += delta["reasoning"].as_str().unwrap_or("");
        prop_assert_eq!(delta.get("reasoning"), delta.get("reasoning_content"));
        finishes[index] = choice["finish_reason"].clone();
    }
    for choice in complete {
        let index = choice["index"].as_u64().unwrap() as usize;
        prop_assert_eq!(&choice["message"]["content"], &text[index]);
        prop_assert_eq!(
            choice["message"]["reasoning"].as_str().unwrap_or(""),
            &reasoning[index]
        );
        {
            prop_assert_eq!(&choice["finish_reason"], &finishes[index]);
        }
    }
    let is_told = is_complete && usage != UsageChunk::None;
    prop_assert_eq!(
        usages,
        if is_told {
            vec![answer["usage"].clone()]
        } else {
            Vec::new()
        }
    );
    Ok(())
}

#[test]
fn nothing_follows_the_last_frame() {
    let finish = Event::Finished(Finish {
        reason: FinishReason::Stop,
        usage: Usage::default(),
    });
    let mut chat = support::chat_stream(1, UsageChunk::None);
    chat.event(0, finish);
    assert!(chat.has_ended());
    let _ = chat.take_frames();
    chat.event(0, Event::Text("more"));
    chat.event(0, finish);
    chat.fail(&support::problem::<Chat>(Fault::Model));
    assert_eq!(chat.take_frames(), None);
}

/// How much of it arrives before the call is dropped is chance, so the usage may not tell.
#[test]
fn what_a_model_writes_after_a_stop_sequence_changes_nothing() {
    let reading = Recipe {
        stop: vec!["END".to_owned()],
        max_tokens: Some(4),
        ..Recipe::default()
    };
    let listen = |outputs: &[&str]| {
        let events = outputs.iter().map(|output| {
            let event = json!({"output": output, "reasoning": "So.", "partial": true});
            format!("data: {event}\n\n")
        });
        let bytes = events.collect::<String>().into_bytes();
        let heard = hear(&reading, LIMITS, &bytes, &[]);
        assert_eq!(heard.text, "One, two");
        assert_eq!(
            hear(&reading, LIMITS, &bytes, &byte_by_byte(bytes.len())),
            heard
        );
        heard
    };
    let alone = listen(&["One", "One, twoEND"]);
    let long = "One, twoEND".to_owned() + &" and so on".repeat(100);
    assert_eq!(listen(&["One", &long]), alone);
    assert_eq!(listen(&["One", "One, twoEND", &long]), alone);
    assert_eq!(listen(&["One", "One, twoEN", &long, &long]), alone);
}
