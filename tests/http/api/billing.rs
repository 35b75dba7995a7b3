//! What is asked of fal costs money: never more calls than the caller asked for.

use crate::support::{
    Call, Emulated, ScriptedUpstream, Setup, Step, Stream, event, final_event, question, sse_head,
    whole,
};

#[test]
fn nothing_that_was_sent_is_sent_again() {
    let scripts: [Vec<Step>; 5] = [
        vec![Step::Read, Step::Close],
        vec![Step::Read, Step::Reset],
        vec![
            Step::Read,
            Step::Write(b"HTTP/1.1 200".to_vec()),
            Step::Close,
        ],
        vec![Step::Read, Step::Write(sse_head()), Step::Reset],
        vec![
            Step::Read,
            Step::Write(sse_head()),
            Step::Write(event("a")),
            Step::Close,
        ],
    ];
    for script in scripts {
        for stream in [false, true] {
            let fal = ScriptedUpstream::start(script.clone());
            let gateway = fal.setup().set("fal.connect_attempts", "5").start();
            let answer = gateway.ask(&question("hi", stream));
            assert!(!answer.text().contains("[DONE]"));
            assert_eq!(fal.requests(), 1, "{script:?}");
        }
    }
}

/// Even an idle connection that breaks at the moment of the next request: fal may have read it.
#[test]
fn a_connection_that_breaks_at_its_second_request_is_not_replaced_by_a_third() {
    let fal = ScriptedUpstream::with(|number| match number {
        0 => vec![
            Step::Read,
            Step::Write(whole("hi")),
            Step::Read,
            Step::Reset,
        ],
        _ => vec![Step::Read, Step::Write(whole("again"))],
    });
    let gateway = fal.setup().start();
    assert_eq!(gateway.ask(&question("hi", false)).content(), "hi");
    let answer = gateway.ask(&question("hi", false));
    assert_eq!(
        answer.verdict(),
        "400 invalid_request_error upstream_disconnected"
    );
    assert_eq!(fal.requests(), 2);
}

/// TLS towards a port that does not speak it fails before a byte of the request is sent.
#[test]
fn connecting_is_tried_as_often_as_configured_and_sends_nothing() {
    for tries in [1, 3] {
        let fal = ScriptedUpstream::start(vec![Step::Write(b"hello\r\n".to_vec()), Step::Close]);
        let url = fal.url().replace("http://", "https://");
        let setup = Setup::towards(&url).set("fal.connect_attempts", &tries.to_string());
        let answer = setup.start().ask(&question("planted", false));
        assert_eq!(answer.verdict(), "502 server_error upstream_unreachable");
        assert_eq!(fal.seen().len(), tries);
        assert_eq!(fal.requests(), 0);
    }
}

#[test]
fn each_choice_is_one_call() {
    let fal = Emulated::start();
    let gateway = fal.setup().start();
    for (n, stream) in [(1, false), (3, false), (4, true)] {
        let before = fal.count();
        let mut body = question("echo hi", stream);
        body["n"] = n.into();
        let answer = gateway.ask(&body);
        assert_eq!(answer.status, 200);
        assert_eq!(fal.count() - before, n);
        if stream {
            let chunks = Stream::chunks(&answer.text());
            let finished = chunks
                .iter()
                .filter(|chunk| chunk["choices"][0]["finish_reason"] == "stop");
            assert_eq!(finished.count(), n);
        } else {
            let choices = answer.json()["choices"].as_array().unwrap().clone();
            assert_eq!(choices.len(), n);
            for (index, choice) in choices.iter().enumerate() {
                assert_eq!(choice["index"], index);
                assert_eq!(choice["message"]["content"], "hi");
            }
        }
    }
}

/// What the others say is paid for, so it is waited for and delivered before the error.
#[test]
fn one_choice_that_breaks_off_in_the_stream_does_not_end_the_others() {
    let fal = ScriptedUpstream::with(|number| {
        let mut steps = vec![Step::Read, Step::Write(sse_head()), Step::Write(event("a"))];
        match number {
            0 => steps.push(Step::Close),
            _ => steps.extend([Step::Gate(1), Step::Write(final_event("ab")), Step::Close]),
        }
        steps
    });
    let gateway = fal.setup().start();
    let mut body = question("hi", true);
    body["n"] = 2.into();
    let reading = gateway.open(&Call::chat(&body)).stream();
    gateway.until_metric(
        "fal_gateway_upstream_errors_total{kind=\"disconnected\"}",
        1.0,
    );
    fal.open_gate();
    let (body, _) = reading.rest();
    let chunks = Stream::chunks(&body);
    let of_good = |chunk: &&serde_json::Value| chunk["choices"][0]["finish_reason"] == "stop";
    let good = chunks.iter().find(of_good).unwrap()["choices"][0]["index"].clone();
    let text = chunks
        .iter()
        .map(|chunk| &chunk["choices"][0])
        .filter(|choice| choice["index"] == good)
        .filter_map(|choice| choice["delta"]["content"].as_str());
    assert_eq!(text.collect::<String>(), "ab");
    assert_eq!(
        Stream::error_after_choices(&body)["code"],
        "upstream_disconnected"
    );
    assert_eq!(fal.requests(), 2);
}

/// A whole answer with stop sequences is read as a stream so that it need not be paid to its end.
#[test]
fn an_answer_that_has_reached_a_stop_sequence_is_not_read_further() {
    for stream in [false, true] {
        let fal = ScriptedUpstream::start(vec![
            Step::Read,
            Step::Write(sse_head()),
            Step::Write(event("one STOP two")),
        ]);
        let mut body = question("hi", stream);
        body["stop"] = "STOP".into();
        let answer = fal.setup().start().ask(&body);
        match stream {
            true => assert_eq!(answer.streamed_text(), "one "),
            false => assert_eq!(answer.content(), "one "),
        }
        fal.until_closed();
    }
}

#[test]
fn repeats_by_the_sdks_are_counted() {
    let fal = ScriptedUpstream::start(vec![
        Step::Read,
        Step::Write(sse_head()),
        Step::Write(final_event("hi")),
        Step::Close,
    ]);
    let gateway = fal.setup().start();
    for count in ["0", "1", "2"] {
        let call = Call::chat(&question("hi", true)).header("x-stainless-retry-count", count);
        assert_eq!(gateway.call(&call).streamed_text(), "hi");
    }
    assert_eq!(gateway.metric("fal_gateway_sdk_retries_total"), 2.0);
    assert_eq!(fal.requests(), 3);
}
