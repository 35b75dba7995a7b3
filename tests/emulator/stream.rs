//! The exact bytes of a stream, and every way to change them.

use serde_json::{Value, json};

use crate::harness::{Fal, read_stream};

#[tokio::test]
async fn a_stream_has_the_documented_bytes() {
    let fal = Fal::start().await;
    let event = |output: &str, partial: bool| {
        format!(
            "event: event\r\ndata: {{\"output\": \"{output}\", \"reasoning\": null, \"partial\": {partial}, \"error\": null}}\r\n\r\n"
        )
    };
    let streamed = fal.stream("echo Growth é\n\n/emulate size:6").await;
    let whole = r"Growth \u00e9\n";
    let expected = [
        event("Growth", true),
        event(whole, true),
        event(whole, true),
        event(whole, false),
    ];
    assert_eq!(streamed.text(), expected.concat());
    assert!(streamed.clean);
}

#[tokio::test]
async fn every_event_is_one_chunk() {
    let fal = Fal::start().await;
    let streamed = fal
        .stream("echo one two three /emulate gap:5ms size:1")
        .await;
    assert_eq!(streamed.chunks.len(), streamed.events().len());
}

#[tokio::test]
async fn reasoning_grows_before_the_output() {
    let fal = Fal::start().await;
    let input = json!({ "prompt": "reason", "reasoning": true });
    let events = read_stream(fal.post("/fal-ai/any-llm/stream", &input))
        .await
        .events();
    let first = events.first().unwrap();
    let last = events.last().unwrap();
    assert_eq!(first["output"], "");
    let (short, long) = (
        first["reasoning"].as_str().unwrap(),
        last["reasoning"].as_str().unwrap(),
    );
    assert!(long.starts_with(short) && long.len() > 1000);
    assert!(
        events
            .iter()
            .all(|event| event["output"] == "" || event["reasoning"] == long)
    );
}

#[tokio::test]
async fn split_chunks_cut_characters_and_join_to_the_same_bytes() {
    let fal = Fal::start().await;
    let plain = fal.stream("echo 日本語 /emulate unescaped").await;
    let split = fal.stream("echo 日本語 /emulate unescaped split:1").await;
    assert!(plain.text().contains("日本語"));
    assert_eq!(plain.bytes(), split.bytes());
    assert!(
        split
            .chunks
            .iter()
            .any(|chunk| std::str::from_utf8(chunk).is_err())
    );
}

#[tokio::test]
async fn the_framing_words_change_lines_and_nothing_else() {
    let fal = Fal::start().await;
    let crlf = fal.stream("echo hi there").await.text();
    assert_eq!(
        fal.stream("echo hi there /emulate lf").await.text(),
        crlf.replace("\r\n", "\n")
    );
    assert_eq!(
        fal.stream("echo hi there /emulate cr").await.text(),
        crlf.replace("\r\n", "\r")
    );
    assert_eq!(
        fal.stream("echo hi there /emulate bare").await.text(),
        crlf.replace("event: event\r\n", "")
    );
    assert_eq!(
        fal.stream("echo hi there /emulate bom").await.text(),
        format!("\u{feff}{crlf}")
    );
    let burst = fal.stream("echo hi there /emulate burst").await;
    assert_eq!((burst.chunks.len(), burst.text()), (1, crlf.clone()));
    let newest = fal.get("/_emulator/requests").await.json()[4].clone();
    assert_eq!(newest["events_sent"], burst.events().len());
    let two_lines = crlf.replace(", \"reasoning\"", ",\r\ndata: \"reasoning\"");
    assert_eq!(
        fal.stream("echo hi there /emulate two_lines").await.text(),
        two_lines
    );
    let noisy = fal.stream("echo hi there /emulate noise").await;
    assert!(
        noisy
            .text()
            .starts_with(": noise\r\nid: 7\r\nretry: 3000\r\nevent: event\r\n")
    );
    let repeated = fal.stream("echo hi there /emulate repeat:2").await;
    assert_eq!(
        repeated.events().len(),
        3 * fal.stream("echo hi there").await.events().len()
    );
}

#[tokio::test]
async fn the_keys_can_be_reordered_and_nulls_left_out() {
    let fal = Fal::start().await;
    let bare = fal.ask("echo a /emulate nonulls").await;
    assert_eq!(bare.text(), r#"{"output":"a","partial":false}"#);
    let reordered = fal.ask("echo a /emulate key_order").await;
    let at = |key: &str| reordered.text().find(key).unwrap();
    assert!(at("schema_version") < at("reasoning") && at("reasoning") < at("output"));
}

#[tokio::test]
async fn pings_fill_a_silence() {
    let fal = Fal::start().await;
    let text = fal
        .stream("echo a /emulate first:60ms ping:10ms")
        .await
        .text();
    assert!(
        text.starts_with(": ping - 2025-01-01 00:00:00.000000+00:00\r\n\r\n"),
        "{text}"
    );
    assert!(text.matches(": ping").count() >= 2);
}

#[tokio::test]
async fn text_can_be_taken_back_trimmed_replaced_and_left_open() {
    let fal = Fal::start().await;
    let rewritten = fal
        .stream("echo abcdefgh /emulate rewrite size:2")
        .await
        .outputs();
    assert!(
        rewritten
            .first()
            .unwrap()
            .starts_with("On second thought: ")
    );
    assert_eq!(rewritten.last().unwrap(), "abcdefgh");
    let trimmed = fal.stream("echo abcd /emulate trim size:2").await.outputs();
    assert_eq!(trimmed, ["ab", "abcd\n \n", "abcd\n \n", "abcd"]);
    let replaced = fal
        .stream("echo ab日d /emulate replacement size:1")
        .await
        .outputs();
    assert_eq!(
        replaced,
        ["a", "ab\u{fffd}", "ab日", "ab日d", "ab日d", "ab日d"]
    );
    let open = fal.stream("echo abcd /emulate nofinal").await;
    assert!(open.clean && open.events().iter().all(|event| event["partial"] == true));
}

#[tokio::test]
async fn odd_outputs_are_odd_streamed_or_not() {
    let fal = Fal::start().await;
    assert_eq!(
        fal.ask("hi /emulate null_output").await.json()["output"],
        Value::Null
    );
    assert_eq!(fal.ask("hi /emulate empty").await.json()["output"], "");
    assert_eq!(
        fal.stream("hi /emulate null_output")
            .await
            .events()
            .last()
            .unwrap()["output"],
        Value::Null
    );
    let input = json!({ "prompt": "echo done /emulate inline_think", "reasoning": true });
    let event = read_stream(fal.post("/fal-ai/any-llm/stream", &input))
        .await
        .events()
        .pop()
        .unwrap();
    let output = event["output"].as_str().unwrap();
    assert!(output.starts_with("<think>\n") && output.ends_with("</think>\n\ndone"));
    assert_eq!(event["reasoning"], Value::Null);
}

#[tokio::test]
async fn a_long_answer_comes_in_a_bounded_number_of_events() {
    let fal = Fal::start().await;
    let events = fal.stream("long 200000").await.outputs();
    assert!(events.len() < 40);
    assert_eq!(events.last().unwrap().chars().count(), 200_000);
}
