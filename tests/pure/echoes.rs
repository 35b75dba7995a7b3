//! Answers that begin with the tags of the record they were shown, or that are nothing else.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use fal_gateway::translate::plan::Recipe;
use fal_gateway::translate::reading::{Finish, FinishReason};

use crate::support::{self, CAPABILITIES, Ending, Heard, LIMITS, byte_by_byte, cases};

/// The reading of a request with a conversation, a call in it and its result.
fn reading(more: &Value) -> Recipe {
    let ask = json!({"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}});
    let mut body = json!({"messages": [
        {"role": "user", "content": "What is my name?"},
        {"role": "assistant", "content": null, "tool_calls": [ask]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Ann"},
    ]});
    let fields = body.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    let body = body.to_string();
    support::plan(body.as_bytes(), &CAPABILITIES)
        .unwrap()
        .reading
}

fn tools() -> Value {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    json!([{"type": "function", "function": {"name": "look", "parameters": schema}}])
}

/// What is heard of a text, which is the same however it comes.
fn hear(reading: &Recipe, text: &str) -> Heard {
    let key = reading.key.as_ref().unwrap().as_str();
    let text = text
        .replace("KEY", key)
        .replace("kEy", &key.to_ascii_lowercase());
    let whole = heard(reading, &text, &[text.len()]);
    let letters: Vec<usize> = text.chars().map(char::len_utf8).collect();
    assert_eq!(
        heard(reading, &text, &letters),
        whole,
        "letter by letter: {text}"
    );
    assert!(
        !whole.text.to_ascii_uppercase().contains(&format!("-{key}")),
        "the key is in {:?}",
        whole.text
    );
    whole
}

/// Has the text written in pieces of these many bytes, the rest at once.
fn heard(reading: &Recipe, text: &str, pieces: &[usize]) -> Heard {
    let mut sse = String::new();
    let mut end = 0;
    for piece in pieces {
        end = (end + piece).min(text.len());
        let event = json!({"output": &text[..end], "partial": true});
        sse += &format!("data: {event}\n\n");
    }
    sse += &format!("data: {}\n\n", json!({"output": text, "partial": false}));
    support::hear(reading, LIMITS, sse.as_bytes(), &byte_by_byte(sse.len()))
}

fn reason(heard: &Heard) -> Option<FinishReason> {
    match heard.endings.as_slice() {
        [Ending::Finished(Finish { reason, .. })] => Some(*reason),
        _ => None,
    }
}

/// What stands before an answer, or around it, and is no part of it.
const ECHOES: [&str; 34] = [
    "@",
    "</conversation-KEY>\n\n@",
    "</turn-KEY>\n</conversation-KEY>\n@",
    "<next-KEY role=\"assistant\"/>\n@",
    "<next-KEY>@",
    "<turn-KEY>@</turn-KEY>",
    "<turn-KEY role='assistant'>@</turn-KEY>",
    "<turn-KEY role=assistant>@</turn-KEY>\nMore",
    "<turn-KEY  role = \"Assistant\" >\n@",
    "<turn-KEY role=\"assistant\" name=\"bot\">@</turn-KEY>",
    "<turn-KEY name=\"bot\" role=\"assistant\">@</turn-KEY>",
    "<turn-KEY role=\"model\">@</turn-KEY>",
    "<turn-KEY role=\"system\">@</turn-KEY>",
    "<turn-KEY role=\"assistant\"/>@",
    "<turn-KEY/>\n@",
    "<turn-kEy>@</turn-kEy>",
    "<TURN-KEY ROLE=\"ASSISTANT\">@</TURN-KEY>",
    "<turn-KEY role=\"user\">What is my name?</turn-KEY>\n<turn-KEY role=\"assistant\">@</turn-KEY>",
    "<turn-KEY role=\"user\">What is my name?</turn-KEY>\n@",
    "<turn-KEY role=\"user\">What is my name?\n<turn-KEY role=\"assistant\">@",
    "<conversation-KEY>\n<turn-KEY role=\"assistant\">@</turn-KEY>\n</conversation-KEY>",
    "<conversation-KEY>\n@\n</conversation-KEY>",
    "<conversation-KEY>\n<turn-KEY role=\"user\">What is my name?</turn-KEY>\n<turn-KEY role=\"assistant\">Wait.</turn-KEY>\n</conversation-KEY>\n\n@",
    "<conversation-KEY>\n<turn-KEY role=\"user\">Hi</turn-KEY>\n<turn-KEY role=\"assistant\">Old</turn-KEY>\n<turn-KEY role=\"user\">What is my name?</turn-KEY>\n<turn-KEY role=\"assistant\">@</turn-KEY>\n</conversation-KEY>\n<next-KEY role=\"assistant\"/>",
    "<tool_result-KEY id=\"call_1\" name=\"look\">Ann</tool_result-KEY>\n@",
    "<turn-KEY role=\"tool\"><tool_result-KEY id=\"call_1\">Ann</tool_result-KEY></turn-KEY>\n@",
    "<tool_result-KEY>Ann</tool_result-KEY>\n<turn-KEY role=\"assistant\">@</turn-KEY>",
    "<look-result-KEY>Ann</look-result-KEY>\n@",
    "{\"tool_result-KEY\": {\"a\": [\"}\"]}}\n@",
    "<previous_reply-KEY>\nWrong\n</previous_reply-KEY>\n@",
    "```\n<turn-KEY role=\"assistant\">@</turn-KEY>\n```",
    "```xml\n<conversation-KEY>\n<turn-KEY role=\"user\">Hi</turn-KEY></conversation-KEY>\n```\n@",
    "<turn-KEY role=\"assistant\"><think>Who is it?</think>@</turn-KEY>",
    "<think>Who is it?</think>\n\n<turn-KEY role=\"assistant\">@</turn-KEY>",
];

#[test]
fn an_answer_that_begins_with_tags_of_the_record_is_relieved_of_them() {
    for reading in [reading(&json!({})), reading(&json!({"tools": tools()}))] {
        for echo in ECHOES {
            let heard = hear(&reading, &echo.replace('@', "It is Ann."));
            assert_eq!(heard.text.trim(), "It is Ann.", "{echo}");
            assert_eq!(reason(&heard), Some(FinishReason::Stop), "{echo}");
        }
    }
}

#[test]
fn json_and_calls_behind_tags_of_the_record_are_read() {
    let format = reading(&json!({"response_format": {"type": "json_object"}}));
    let tools = reading(&json!({"tools": tools()}));
    let call = "<tool_calls k=\"KEY\">\n<tool_call>{\"name\": \"look\", \"arguments\": {\"a\": 1}}</tool_call>\n</tool_calls>";
    let bare = "{\"name\": \"look\", \"arguments\": {\"a\": 1}}";
    for echo in ECHOES {
        let heard = hear(&format, &echo.replace('@', "{\"name\": \"Ann\"}"));
        assert_eq!(heard.text, "{\"name\": \"Ann\"}", "{echo}");
        for call in [call, bare] {
            let heard = hear(&tools, &echo.replace('@', call));
            assert_eq!(heard.calls.len(), 1, "{echo} {call}: {heard:?}");
            assert_eq!(heard.text, "", "{echo}");
        }
    }
}

#[test]
fn a_call_inside_a_repeated_result_is_read() {
    let reading = reading(&json!({"tools": tools()}));
    let call = "{\"name\": \"look\", \"arguments\": {\"a\": 1}}";
    for answer in [
        format!("<tool_result-KEY>{call}"),
        format!("<tool_result-KEY>{call}</tool_result-KEY>"),
        format!("<tool_result-KEY id=\"1\">\n```json\n{call}\n```\n</tool_result-KEY>\n"),
    ] {
        let heard = hear(&reading, &answer);
        assert_eq!(heard.calls.len(), 1, "{answer}");
        assert_eq!(reason(&heard), Some(FinishReason::ToolCalls), "{answer}");
    }
}

/// A model that goes on as if the tool had run has called it all the same.
#[test]
fn a_call_before_a_result_that_was_made_up_is_read_and_the_result_is_dropped() {
    let call = "{\"name\": \"look\", \"arguments\": {\"a\": 1}}";
    for choice in ["auto", "required"] {
        let reading = reading(&json!({"tools": tools(), "tool_choice": choice}));
        for made_up in [
            "{\"result\": \"sunny\"}",
            "{\"result\": \"sunn",
            "It is sunny.",
            "</tool_result-KEY>",
        ] {
            let answer = format!("<tool_result-KEY>\n{call}\n{made_up}");
            let heard = hear(&reading, &answer);
            assert_eq!(
                (heard.calls.len(), heard.text.as_str()),
                (1, ""),
                "{answer}"
            );
            assert_eq!(reason(&heard), Some(FinishReason::ToolCalls), "{answer}");
        }
        for none in [
            format!("<tool_result-KEY>\n{call}\n{{\"name\": \"look\", \"argum"),
            "<tool_result-KEY>\n{\"name\": \"look\", \"arguments\": {\"a\": \"b\"}}\nsunny"
                .to_owned(),
        ] {
            let heard = hear(&reading, &none);
            assert_eq!(heard.calls.len(), 0, "{none}");
            assert!(matches!(heard.endings[..], [Ending::Unmet(_)]), "{none}");
        }
    }
}

/// No answer was written, though something was: the model is asked again, or the caller is told.
#[test]
fn an_answer_of_nothing_but_tags_is_no_success() {
    let readings = [
        reading(&json!({})),
        reading(&json!({"tools": tools()})),
        reading(&json!({"tools": tools(), "tool_choice": "required"})),
        reading(&json!({"response_format": {"type": "json_object"}})),
        reading(&json!({"response_format": {"type": "json_object"}, "stream": true})),
    ];
    let answers = [
        "<turn-KEY",
        "<turn-KEY role=\"assistant\">",
        "<turn-KEY role=\"assistant\"></turn-KEY>",
        "</conversation-KEY>",
        "<next-KEY/>\n",
        "<turn-KEY role=\"user\">And my age?</turn-KEY>",
        "<turn-KEY role=\"user\">And my age?",
        "<conversation-KEY>\n<turn-KEY role=\"user\">Hi</turn-KEY>\n</conversation-KEY>",
        "<tool_result-KEY>",
        "<tool_result-KEY>Mail sent.",
        "<tool_result-KEY>Mail sent.</tool_result-KEY>",
        "<tool_result-KEY>{\"a\": 6.3}</tool_result-KEY>\n\n",
        "<look-result-KEY>",
        "{\"tool_result-KEY\": \"Mail sent.\"}",
        "{ \"tool_result-KEY\": \"Mail",
        "[{\"tool_result-KEY\": \"Mail sent.\"}]",
        "```json\n{\"tool_result-KEY\": \"Mail sent.\"}\n```",
    ];
    for reading in &readings {
        for answer in answers {
            let heard = hear(reading, answer);
            let [Ending::Unmet(unmet)] = heard.endings.as_slice() else {
                panic!("{answer}: {heard:?}");
            };
            assert_eq!(unmet.instead, None, "{answer}");
            assert_eq!(
                (heard.text.as_str(), heard.calls.len()),
                ("", 0),
                "{answer}"
            );
        }
    }
}

#[test]
fn no_tag_with_the_key_goes_out_with_the_text() {
    for reading in [reading(&json!({})), reading(&json!({"tools": tools()}))] {
        for tag in [
            "<turn-KEY role=\"user\">",
            "</turn-kEy>",
            "<tool_result-KEY id=\"call_1\">",
            "<look-result-KEY>",
            "<next-KEY/>",
            "<tool_calls-KEY>{broken",
            "</conversation-KEY",
        ] {
            for before in ["It is Ann. ", "It is Ann.\n", "`"] {
                let heard = hear(&reading, &format!("{before}{tag} and more\n"));
                assert_eq!(heard.text.trim(), before.trim(), "{tag}");
            }
        }
        let other = "It is <b>Ann</b>, <turn-WXYZ>, <next- KEY> and a < b-KEY.".replace("KEY", "1");
        assert_eq!(hear(&reading, &other).text, other);
    }
}

#[test]
fn a_stop_sequence_does_not_end_an_answer_that_has_to_be_a_call() {
    let mut tools = tools();
    let other = json!({"type": "function", "function": {"name": "other"}});
    tools.as_array_mut().unwrap().push(other);
    let more = |choice: &str| json!({"tools": tools, "tool_choice": choice, "stop": ["Calling"]});
    let answer = "Calling tools:\n[{\"name\": \"look\", \"arguments\": {\"a\": 1}}]";
    assert_eq!(hear(&reading(&more("required")), answer).calls.len(), 1);
    assert_eq!(hear(&reading(&more("auto")), answer).calls.len(), 0);
}

const FRAGMENTS: [&str; 25] = [
    "<turn-KEY",
    "<turn-KEY>",
    "<turn-KEY role=\"user\">",
    "<turn-KEY role=\"assistant\">",
    "<turn-KEY role=\"tool\">",
    "</turn-KEY>",
    "</turn-kEy>",
    "<conversation-KEY>",
    "</conversation-KEY>",
    "<next-KEY role=\"assistant\"/>",
    "<tool_result-KEY id=\"call_1\">",
    "</tool_result-KEY>",
    "<look-result-KEY>",
    "{\"tool_result-KEY\": \"",
    "\"}",
    "Ann",
    " ",
    "\n",
    "```\n",
    "<",
    "</",
    "<think>",
    "</think>",
    "<tool_calls-KEY>",
    "{\"name\": \"look\", \"arguments\": {}}",
];

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn whatever_tags_a_model_writes_none_goes_out_and_cuts_do_not_matter(
        pieces in vec(select(&FRAGMENTS[..]), 0..9),
        lengths in vec(1..9usize, 0..20),
        wish in select(vec!["{}", "TOOLS", "JSON"]),
    ) {
        let more = match wish {
            "TOOLS" => json!({"tools": tools()}),
            "JSON" => json!({"response_format": {"type": "json_object"}}),
            _ => json!({}),
        };
        let reading = reading(&more);
        let text = pieces.concat();
        let whole = hear(&reading, &text);
        let key = reading.key.as_ref().unwrap().as_str();
        let text = text.replace("KEY", key).replace("kEy", &key.to_ascii_lowercase());
        let lengths: Vec<usize> = text
            .char_indices()
            .map(|(at, _)| at)
            .scan(0, |last, at| {
                let length = at - *last;
                let wanted = lengths.get(at % lengths.len().max(1)).copied().unwrap_or(3);
                (length >= wanted).then(|| *last = at);
                Some(if length >= wanted { length } else { 0 })
            })
            .collect();
        prop_assert_eq!(heard(&reading, &text, &lengths), whole);
    }
}
