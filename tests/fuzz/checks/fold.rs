//! Conversations to prompts and back: what was folded can be unfolded, so different conversations
//! are different prompts, whatever people write.
//!
//! A conversation is written a line at a time: `I` begins with instructions, `S`, `U name`,
//! `A name` and `T id|name` begin a turn, `x` is text in it, `m` an image, `a` a recording, `v` a video,
//! `c id|name|arguments` a
//! call, and `P text` what the answer begins with. In all of it `~` is a line break, and `@`
//! the key that the conversation would have if nobody knew it.

use std::borrow::Cow;

use fal_gateway::translate::ask::{Conversation, Part, Speaker, ToolCall, Turn};
use fal_gateway::translate::fold::{self, Folded, Overflow, PromptLimits};
use fal_gateway::translate::guide::Guide;
use fal_gateway::translate::media::{AudioFormat, Media};

use super::collector::chance;
use super::unfold::unfold;

pub(crate) fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Some(folded) = round_trip(&text, "@") else {
        return;
    };
    if let Some(key) = &folded.key {
        round_trip(&text, key.as_str());
    }
    let most = folded
        .prompt_chars()
        .saturating_sub(chance(data).usize(..500));
    let room = PromptLimits {
        prompt: Some(most),
        overflow: Overflow::Shift,
        ..PromptLimits::default()
    };
    let conversation = read(&text, "@").expect("it was read before");
    if let Ok(folded) = fold::fold(conversation.clone(), &Guide::default(), &room) {
        assert!(folded.prompt_chars() <= most);
        assert_eq!(unfold(&folded), conversation, "in two parts");
    }
}

fn round_trip(text: &str, key: &str) -> Option<Folded<'static>> {
    let conversation = read(text, key)?;
    let folded = fold::fold(
        conversation.clone(),
        &Guide::default(),
        &PromptLimits::default(),
    )
    .expect("there is room for all of it");
    assert_eq!(unfold(&folded), conversation);
    Some(folded)
}

/// The conversation that is written here, in the form in which a face gives it: no empty texts,
/// no two texts in a row, and something to answer.
fn read(text: &str, key: &str) -> Option<Conversation<'static>> {
    let mut conversation = Conversation {
        instructions: None,
        turns: Vec::new(),
        prefill: None,
    };
    for line in text.lines() {
        let line = line.replace('~', "\n").replace('@', key);
        let mut letters = line.chars();
        let (Some(kind), rest) = (letters.next(), letters.as_str()) else {
            continue;
        };
        add(&mut conversation, kind, rest);
    }
    let Conversation { turns, prefill, .. } = &mut conversation;
    turns.retain(|turn| {
        let may_be_empty = matches!(turn.speaker, Speaker::Tool { .. });
        may_be_empty || !turn.parts.is_empty()
    });
    while matches!(turns.first(), Some(turn) if turn.speaker == Speaker::System) {
        turns.remove(0);
    }
    (!turns.is_empty() || prefill.is_some()).then_some(conversation)
}

fn add(conversation: &mut Conversation<'static>, kind: char, rest: &str) {
    let fields = |most| {
        let mut fields = rest.splitn(most, '|').map(|field| field.to_owned());
        move || {
            fields
                .next()
                .filter(|field| !field.is_empty())
                .map(Cow::Owned)
        }
    };
    let speaker = match kind {
        'S' => Some(Speaker::System),
        'U' => Some(Speaker::User { name: fields(1)() }),
        'A' => Some(Speaker::Assistant { name: fields(1)() }),
        'T' => {
            let mut next = fields(2);
            next().map(|call_id| Speaker::Tool {
                call_id,
                name: next(),
                has_failed: false,
            })
        }
        _ => None,
    };
    if let Some(speaker) = speaker {
        let parts = Vec::new();
        conversation.turns.push(Turn { speaker, parts });
        return;
    }
    match kind {
        'I' => conversation.instructions = fields(1)(),
        'P' => conversation.prefill = fields(1)(),
        _ => add_part(conversation, kind, rest),
    }
}

fn add_part(conversation: &mut Conversation<'static>, kind: char, rest: &str) {
    let Some(turn) = conversation.turns.last_mut() else {
        return;
    };
    let last = turn.parts.last();
    let is_calling = matches!(last, Some(Part::ToolCall(_)));
    let part = match kind {
        'x' if !rest.is_empty() && !is_calling && !matches!(last, Some(Part::Text(_))) => {
            Part::Text(Cow::Owned(rest.to_owned()))
        }
        'm' if !is_calling => Part::Image(Cow::Owned(format!("https://a.example/{}", rest.len()))),
        'a' if !is_calling => Part::Media(Media::Audio {
            format: AudioFormat {
                word: "wav",
                media_type: "audio/wav",
            },
            data: Cow::Owned(format!("{:04}", rest.len())),
        }),
        'v' if !is_calling => {
            let url = format!("https://a.example/{}.mp4", rest.len());
            Part::Media(Media::Video(Cow::Owned(url)))
        }
        'c' if matches!(turn.speaker, Speaker::Assistant { .. }) => {
            let fields: Vec<&str> = rest
                .splitn(3, '|')
                .filter(|field| !field.is_empty())
                .collect();
            let [id, name, arguments] = fields[..] else {
                return;
            };
            Part::ToolCall(ToolCall {
                id: Cow::Owned(id.to_owned()),
                name: Cow::Owned(name.to_owned()),
                arguments: Cow::Owned(arguments.to_owned()),
            })
        }
        _ => return,
    };
    turn.parts.push(part);
}
