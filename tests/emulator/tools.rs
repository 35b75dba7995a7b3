//! A model that is told how to call tools does so, or slips as the script says.

use serde_json::{Value, json};

use crate::{
    harness::{Fal, send},
    instructions::{
        BLOCK_CLOSE, BLOCK_OPEN, TOOLS, after_results, allows, calls_in, keyed, keyed_and,
        whole_reply, wordings,
    },
};

const QUESTION: &str = "How is the weather in Paris for 3 days?";
const CALL: &str = r#"{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}}"#;

fn tool_schema(name: &str) -> Value {
    let mut tools = TOOLS
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    tools.find(|tool| tool["name"] == name).unwrap()["parameters"].clone()
}

/// The answer to the usual question when the model slips.
async fn slip(words: &str) -> String {
    let fal = Fal::start().await;
    let prompt = format!("{QUESTION} /emulate silent {words}");
    fal.told(&keyed(), &prompt).await
}

fn block(call: &str) -> String {
    format!("{BLOCK_OPEN}{call}{BLOCK_CLOSE}")
}

#[tokio::test]
async fn a_tool_is_called_in_the_form_shown_whatever_the_wording() {
    let fal = Fal::start().await;
    for system in wordings() {
        let output = fal.told(&system, QUESTION).await;
        let (before, calls) = calls_in(&output);
        assert_eq!(before, "I will use get_weather for that.\n", "{system}");
        assert_eq!(
            calls,
            [json!({ "name": "get_weather", "arguments": { "city": "Paris", "days": 3 } })],
            "{system}"
        );
        let plain = fal.told(&system, "Hello there, how are you?").await;
        assert!(plain.starts_with("You said"), "{plain}");
    }
    assert_eq!(
        fal.told(&whole_reply(), QUESTION).await,
        format!("{{\"tool_calls\": [{CALL}]}}")
    );
}

#[tokio::test]
async fn arguments_are_taken_from_the_message_and_fit_the_schema() {
    let fal = Fal::start().await;
    let cases = [
        (
            "Weather in New York, 12 or 4 days, in f",
            json!({ "city": "New York", "days": 4, "unit": "f" }),
        ),
        ("use get_weather", json!({ "city": "example", "days": 1 })),
        (
            "weather with city: \"St. Ives\" and days=2",
            json!({ "city": "St. Ives", "days": 2 }),
        ),
        (
            "Mail bob@example.org, is it urgent?",
            json!({ "to": "bob@example.org", "urgent": true }),
        ),
    ];
    for (message, arguments) in cases {
        let output = fal.told(&keyed(), message).await;
        let (_, calls) = calls_in(&output);
        assert_eq!(calls[0]["arguments"], arguments, "{message}");
        let schema = tool_schema(calls[0]["name"].as_str().unwrap());
        assert!(allows(&schema, &arguments), "{message}");
    }
}

#[tokio::test]
async fn calls_can_be_spelt_out_in_steps() {
    let fal = Fal::start().await;
    let message = "call send_mail {\"to\": 1} and get_weather {\"city\": \"Rome\"}, then use get_weather for Oslo";
    let output = fal.told(&keyed(), message).await;
    let (before, calls) = calls_in(&output);
    assert_eq!(before, "I will use send_mail and get_weather for that.\n");
    assert_eq!(
        calls,
        [
            json!({ "name": "send_mail", "arguments": { "to": 1 } }),
            json!({ "name": "get_weather", "arguments": { "city": "Rome" } }),
        ]
    );
    let next = fal
        .told(&keyed(), &after_results(message, &[("send_mail", "sent")]))
        .await;
    let (_, calls) = calls_in(&next);
    assert_eq!((calls.len(), &calls[0]["name"]), (1, &json!("get_weather")));
    let one = keyed_and("Write one <tool_call> per call, one call at most.");
    let output = fal.told(&one, message).await;
    assert_eq!(calls_in(&output).1.len(), 1);
}

#[tokio::test]
async fn results_are_answered_in_plain_text() {
    let fal = Fal::start().await;
    let prompt = after_results(
        QUESTION,
        &[("get_weather", "sunny, 21 °C"), ("get_time", "12:30")],
    );
    let expected = "get_weather says: sunny, 21 °C\nget_time says: 12:30";
    assert_eq!(fal.told(&keyed(), &prompt).await, expected);
    assert_eq!(fal.told("", &prompt).await, expected);
    let again = keyed_and("You must call a tool.");
    assert_eq!(fal.told(&again, &prompt).await, block(CALL));
}

#[tokio::test]
async fn a_duty_to_call_is_fulfilled_without_a_word() {
    let fal = Fal::start().await;
    for sentence in [
        "You MUST call at least one tool: your whole reply must be the block.",
        "Your reply must be the block above.",
        "You must use at least one tool now: reply with the calls and nothing else.",
    ] {
        let output = fal.told(&keyed_and(sentence), "Hello!").await;
        let (before, calls) = calls_in(&output);
        assert_eq!((before, calls.len()), ("", 1), "{sentence}");
    }
    let named = keyed_and("You must call send_mail now.");
    let output = fal.told(&named, QUESTION).await;
    assert_eq!(calls_in(&output).1[0]["name"], "send_mail");
}

#[tokio::test]
async fn an_echo_is_exact_whatever_the_instructions() {
    let fal = Fal::start().await;
    let system = keyed_and("You must call a tool.");
    assert_eq!(fal.told(&system, "echo <tool_calls>").await, "<tool_calls>");
}

#[tokio::test]
async fn a_tagged_answer_has_its_tag_before_the_sentence() {
    let fal = Fal::with(fal_gateway::emulator::Options::default()).await;
    let output = fal.told(&keyed(), QUESTION).await;
    assert!(output.starts_with("[fal-gateway emulator"), "{output}");
    assert!(output.contains("\n<tool_calls k="), "{output}");
    let silent = fal
        .told(&keyed(), &format!("{QUESTION} /emulate silent"))
        .await;
    assert_eq!(silent, block(CALL));
}

#[tokio::test]
async fn slips_in_what_is_called() {
    let called = |call: &str| block(call);
    assert_eq!(
        slip("tool:unknown").await,
        called(&CALL.replace("get_weather", "consult_oracle"))
    );
    assert_eq!(
        slip("tool:case").await,
        called(&CALL.replace("get_weather", "Get_Weather"))
    );
    assert_eq!(
        slip("tool:prefix").await,
        called(&CALL.replace("get_weather", "functions.get_weather"))
    );
    assert_eq!(
        slip("tool:types").await,
        called(&CALL.replace('3', "\"3\""))
    );
    let schema = tool_schema("get_weather");
    for words in ["tool:missing", "tool:extra"] {
        let output = slip(words).await;
        let (_, calls) = calls_in(&output);
        assert!(!allows(&schema, &calls[0]["arguments"]), "{output}");
    }
    let output = slip("tool:parallel").await;
    let (_, calls) = calls_in(&output);
    assert_eq!(calls.len(), 2);
    assert!(allows(&tool_schema("send_mail"), &calls[1]["arguments"]));
}

#[tokio::test]
async fn slips_in_how_a_call_is_written() {
    assert_eq!(
        slip("tool:parameters").await,
        block(&CALL.replace("arguments", "parameters"))
    );
    assert_eq!(
        slip("tool:string").await,
        block(r#"{"name": "get_weather", "arguments": "{\"city\": \"Paris\", \"days\": 3}"}"#)
    );
    assert_eq!(slip("tool:python").await, block(&CALL.replace('"', "'")));
    assert_eq!(
        slip("tool:trailing").await,
        block(r#"{"name": "get_weather", "arguments": {"city": "Paris", "days": 3,},}"#)
    );
    let bare = CALL.replace("\"name\"", "name").replace("\"city\"", "city");
    let bare = bare
        .replace("\"arguments\"", "arguments")
        .replace("\"days\"", "days");
    assert_eq!(slip("tool:keys").await, block(&bare));
    assert_eq!(
        slip("tool:comment").await,
        block(&CALL.replace('{', "{/* as asked */ "))
    );
    assert_eq!(slip("tool:braces").await, block(&format!("{CALL}}}")));
    let fal = Fal::start().await;
    let prompt = "call send_mail {\"to\": [\"bob\"]} /emulate silent tool:lists";
    let lists = fal.told(&keyed(), prompt).await;
    assert!(lists.contains("{\"to\": \"[\\\"bob\\\"]\"}"), "{lists}");
    let smart = slip("tool:smart").await;
    assert!(smart.contains("{“city”: “Paris”, “days”: 3}"), "{smart}");
    assert_eq!(
        slip("tool:escape").await,
        block(&CALL.replace("Paris", "Paris\n"))
    );
    let fal = Fal::start().await;
    let prompt = "call send_mail {\"to\": \"it's *me*\\n\"} /emulate silent tool:escape";
    let escaped = fal.told(&keyed(), prompt).await;
    assert!(escaped.contains("\"it\\'s \\*me\\*\n\""), "{escaped}");
}

#[tokio::test]
async fn slips_in_the_envelope() {
    assert_eq!(slip("tool:barejson").await, CALL);
    assert_eq!(
        slip("tool:openai").await,
        format!("{{\"tool_calls\": [{CALL}]}}")
    );
    assert_eq!(
        slip("tool:markup").await,
        "<function_calls>\n<invoke name=\"get_weather\">\n<parameter name=\"city\">Paris</parameter>\n\
         <parameter name=\"days\">3</parameter>\n</invoke>\n</function_calls>"
    );
    assert_eq!(
        slip("tool:renamed").await,
        format!("<function_calls>\n<invoke>{CALL}</invoke>\n</function_calls>")
    );
    let right = block(CALL);
    assert_eq!(slip("tool:nokey").await, right.replace(" k=\"7K2Q\"", ""));
    assert_eq!(slip("tool:wrongkey").await, right.replace("7K2Q", "Q2K70"));
    assert_eq!(slip("tool:two").await, format!("{right}\n\n{right}"));
    assert_eq!(slip("tool:fenced").await, format!("```xml\n{right}\n```"));
    assert_eq!(
        slip("tool:fenced tool:nokey tool:python").await,
        format!(
            "```xml\n{}\n```",
            block(&CALL.replace('"', "'")).replace(" k=\"7K2Q\"", "")
        )
    );
}

#[tokio::test]
async fn slips_around_the_block() {
    let right = block(CALL);
    let before = slip("tool:before").await;
    assert!(before.ends_with(&format!("\n{right}")) && before.len() > right.len() + 200);
    let prose = slip("tool:prose").await;
    assert!(prose.starts_with(&format!("{right}\n\nI will")), "{prose}");
    let fabricated = slip("tool:fabricate").await;
    let result = "\n<tool_result-7K2Q id=\"call_1\" name=\"get_weather\">";
    assert!(
        fabricated.starts_with(&format!("{right}{result}")),
        "{fabricated}"
    );
    let unclosed = slip("tool:unclosed").await;
    assert_eq!(right.strip_prefix(&unclosed), Some("\n</tool_calls>"));
    let cut = slip("tool:truncated").await;
    assert!(
        right.starts_with(&cut) && cut.contains("get_weather"),
        "{cut}"
    );
}

#[tokio::test]
async fn slips_that_write_the_record_on() {
    let fal = Fal::start().await;
    let prompt = |words: &str| {
        let results = after_results(QUESTION, &[("get_weather", "sunny")]);
        format!("{results} /emulate {words}")
    };
    let reply = "get_weather says: sunny";
    let tagged = fal.told("", &prompt("turn:tag")).await;
    assert_eq!(
        tagged,
        format!("<turn-7K2Q role=\"assistant\">{reply}</turn-7K2Q>")
    );
    let invented = fal.told("", &prompt("turn:next")).await;
    let next = format!("{reply}\n<turn-7K2Q role=\"user\">");
    assert!(invented.starts_with(&next), "{invented}");
    let alone = fal.told("", "Hello /emulate turn:tag turn:next").await;
    assert!(!alone.contains("<turn"), "{alone}");
}

#[tokio::test]
async fn slips_that_call_nothing() {
    assert_eq!(slip("tool:empty").await, "");
    assert!(!slip("tool:none").await.contains('{'));
    let fal = Fal::start().await;
    for message in [QUESTION, "Hello"] {
        let quoted = fal
            .told(&keyed(), &format!("{message} /emulate tool:quote"))
            .await;
        let (before, after) = quoted.split_once(BLOCK_OPEN).unwrap();
        assert!(before.ends_with("\n```\n"), "{quoted}");
        assert!(after.contains("</tool_calls>\n```\n\nNothing"), "{quoted}");
    }
    let required = keyed_and("You must call a tool.");
    let refused = fal
        .told(&required, &format!("{QUESTION} /emulate tool:none"))
        .await;
    assert!(!refused.contains("<tool_call"), "{refused}");
}

#[tokio::test]
async fn a_slip_is_corrected_when_the_reply_is_asked_for_again() {
    let fal = Fal::start().await;
    let right = format!("I will use get_weather for that.\n{}", block(CALL));
    let asked_again = |words: &str, times: usize| {
        let reask =
            "\n\nYour previous reply was not valid: the key is missing.\nWrite the block again.";
        format!(
            "{QUESTION} /emulate tool:nokey {words}{}",
            reask.repeat(times)
        )
    };
    let wrong = right.replace(" k=\"7K2Q\"", "");
    for (words, times, expected) in [
        ("", 0, &wrong),
        ("", 1, &right),
        ("wrong:0", 0, &right),
        ("wrong:2", 1, &wrong),
        ("wrong:2", 2, &right),
        ("stubborn", 3, &wrong),
    ] {
        assert_eq!(
            &fal.told(&keyed(), &asked_again(words, times)).await,
            expected,
            "{words} {times}"
        );
    }
}

#[tokio::test]
async fn a_reask_after_a_record_is_of_the_message_in_it() {
    let fal = Fal::start().await;
    let prompt = |words: &str| {
        format!(
            "<conversation-7K2Q>\n<turn-7K2Q role=\"user\">{QUESTION} /emulate silent tool:case {words}</turn-7K2Q>\n\
             <turn-7K2Q role=\"assistant\">nonsense</turn-7K2Q>\n</conversation-7K2Q>\n\n\
             Your previous reply could not be read. Please write the block again."
        )
    };
    assert_eq!(fal.told(&keyed(), &prompt("")).await, block(CALL));
    let stubborn = fal.told(&keyed(), &prompt("stubborn")).await;
    assert!(stubborn.contains("Get_Weather"), "{stubborn}");
}

#[tokio::test]
async fn slips_can_be_set_in_the_header_and_are_listed() {
    let fal = Fal::start().await;
    let input = json!({ "system_prompt": keyed(), "prompt": QUESTION });
    let request = fal.post("/fal-ai/any-llm", &input);
    let answer = send(request.header("x-emulate", "silent tool:barejson")).await;
    assert_eq!(answer.json()["output"], CALL);
    let help = fal.get("/_emulator/help").await;
    for word in [
        "tool:nokey",
        "tool:escape",
        "json:refuse",
        "wrong:N",
        "stubborn",
    ] {
        assert!(help.text().contains(word), "{word}");
    }
    assert_eq!(fal.ask("hi /emulate tool:nonsense").await.status, 400);
    assert_eq!(fal.ask("hi /emulate tool:nokey:3").await.status, 400);
}
