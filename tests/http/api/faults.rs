//! Whole answers that go wrong, on every upstream: each fault has its code, one call, an end, and says
//! that it is not to be repeated where it may have been paid for.

use serde_json::{Value, json};

use super::upstream::{DISCONNECTED, ERROR, INVALID, TIMEOUT, write};
use crate::support::{FAL_KEY, ScriptedUpstream, Step, question};

/// An upstream, and whether it answers in OpenAI's form.
const UPSTREAMS: [(&str, bool); 4] = [
    ("any-llm", false),
    ("router", false),
    ("router-openai", true),
    ("auto", true),
];

fn http(status: u16, kind: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Whatever\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn json_answer(status: u16, body: &Value) -> Vec<u8> {
    http(status, "application/json", body.to_string())
}

/// A sound answer of so many letters.
fn sound(is_native: bool, letters: usize) -> String {
    let text = "x".repeat(letters);
    let choice = || json!({ "index": 0, "message": { "content": text }, "finish_reason": "stop" });
    match is_native {
        true => json!({ "choices": [choice()] }).to_string(),
        false => json!({ "output": text, "partial": false }).to_string(),
    }
}

/// Faults of the connection and of the head: the same whatever the form of the answer.
fn faults_of_the_way(is_native: bool) -> Vec<(&'static str, Vec<Step>, &'static str)> {
    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let body = sound(is_native, 3);
    let long = format!("{HEAD}content-length: {}\r\n\r\n{body}", body.len() + 1);
    let chunk = format!(
        "{HEAD}transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n",
        body.len()
    );
    #[rustfmt::skip]
    let faults = vec![
        ("no head", vec![Step::Hold], TIMEOUT),
        ("silence inside the body", vec![write(long.clone())], TIMEOUT),
        ("closed before the head", vec![Step::Close], DISCONNECTED),
        ("reset before the head", vec![Step::Reset], DISCONNECTED),
        ("shorter than it says", vec![write(long), Step::Close], DISCONNECTED),
        ("no last chunk", vec![write(chunk), Step::Close], DISCONNECTED),
        ("not HTTP", vec![write("SSH-2.0-OpenSSH_9.6\r\n\r\n")], INVALID),
        ("HTML", vec![write(http(200, "text/html", "<html>"))], INVALID),
        ("nothing at all", vec![write("HTTP/1.1 204 No Content\r\n\r\n")], INVALID),
        ("another place", vec![write("HTTP/1.1 307 There\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n")], INVALID),
        ("compressed", vec![write(format!("{HEAD}content-encoding: gzip\r\ncontent-length: 3\r\n\r\n\x1f\u{b}a"))], INVALID),
    ];
    faults
}

/// Faults of the body.
fn faults_of_the_body(is_native: bool) -> Vec<(&'static str, Vec<Step>, &'static str)> {
    let of = |body: Value| vec![write(json_answer(200, &body))];
    let error = json!({ "message": "planted", "code": 502 });
    let said = |content: Value| json!({ "choices": [{ "message": { "content": content } }] });
    let mut faults = vec![
        (
            "an empty body",
            vec![write(http(200, "application/json", ""))],
            INVALID,
        ),
        (
            "broken JSON",
            vec![write(http(200, "application/json", "{\"output\": \"x"))],
            INVALID,
        ),
        ("a list", of(json!([])), INVALID),
        ("a number", of(json!(7)), INVALID),
        (
            "too much",
            vec![write(http(
                200,
                "application/json",
                sound(is_native, 100_000),
            ))],
            INVALID,
        ),
    ];
    match is_native {
        true => {
            let bytes = b"{\"choices\": [{\"message\": {\"content\": \"\xff\"}}]}";
            let letters = vec![write(http(200, "application/json", bytes))];
            faults.push(("no UTF-8", letters, INVALID));
            faults.push(("no choices", of(json!({})), INVALID));
            faults.push(("no list of choices", of(json!({ "choices": 7 })), INVALID));
            faults.push((
                "an empty list of choices",
                of(json!({ "choices": [] })),
                INVALID,
            ));
            faults.push(("a text of another type", of(said(json!(7))), INVALID));
            faults.push(("an error", of(json!({ "error": error })), ERROR));
            faults.push((
                "an error in words",
                of(json!({ "error": "planted" })),
                ERROR,
            ));
        }
        false => {
            let bytes = b"{\"output\": \"\xff\", \"partial\": false}";
            let letters = vec![write(http(200, "application/json", bytes))];
            faults.push(("no UTF-8", letters, INVALID));
            faults.push(("no output", of(json!({})), INVALID));
            faults.push(("null", of(json!({ "output": null })), INVALID));
            faults.push((
                "an output of another type",
                of(json!({ "output": 7 })),
                INVALID,
            ));
            faults.push((
                "an error",
                of(json!({ "output": "", "error": "planted" })),
                ERROR,
            ));
            faults.push((
                "an error beside a text",
                of(json!({ "output": "x", "error": "planted" })),
                ERROR,
            ));
        }
    }
    faults
}

/// Asks once for a whole answer of an upstream that does this.
#[track_caller]
fn fails(upstream: &str, (name, steps, expected): (&str, Vec<Step>, &str)) -> Vec<String> {
    let fal = ScriptedUpstream::start([vec![Step::Read], steps].concat());
    let limit = if expected == TIMEOUT { "500ms" } else { "30s" };
    let gateway = fal
        .setup()
        .set("fal.upstream", upstream)
        .set("fal.first_byte_timeout", limit)
        .set("fal.idle_timeout", limit)
        .set("fal.max_event", "64KiB")
        .set("fal.max_answer", "64KiB")
        .set("fal.pool_idle", "0")
        .start();
    let answer = gateway.ask(&question("planted-prompt", false));
    let mut wrong = Vec::new();
    let mut expect = |holds: bool, what: String| {
        if !holds {
            wrong.push(format!("{upstream}, {name}: {what}"));
        }
    };
    let text = answer.text();
    let code = answer.json()["error"]["code"].clone();
    expect(
        code == expected,
        format!("{expected} expected: {} {text}", answer.status),
    );
    // The SDKs repeat a request after any 5xx.
    expect(answer.status == 400, format!("status {}", answer.status));
    expect(
        answer.header("x-should-retry") == Some("false"),
        "somebody may repeat it".to_owned(),
    );
    expect(!text.contains("planted"), text);
    expect(fal.requests() == 1, format!("{} calls", fal.requests()));
    wrong
}

#[test]
fn every_fault_of_a_whole_answer_has_its_code_on_every_upstream() {
    let mut wrong = Vec::new();
    for (upstream, is_native) in UPSTREAMS {
        let faults = [faults_of_the_way(is_native), faults_of_the_body(is_native)];
        for fault in faults.concat() {
            wrong.extend(fails(upstream, fault));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_refusal_in_place_of_a_whole_answer_has_its_code_on_every_upstream() {
    let detail = |words: &str| json!({ "detail": words, "user_id": "planted-account" });
    let locked = "User is locked. Reason: Exhausted balance";
    // Where nothing is said, clients go by the status: what was refused may be repeated.
    let table = [
        (400, detail("planted"), 400, "upstream_rejected", None),
        (
            401,
            detail("planted"),
            400,
            "upstream_auth_failed",
            Some("false"),
        ),
        (
            402,
            detail("planted"),
            429,
            "insufficient_quota",
            Some("false"),
        ),
        (
            403,
            detail("planted"),
            400,
            "upstream_auth_failed",
            Some("false"),
        ),
        (
            403,
            detail(locked),
            429,
            "insufficient_quota",
            Some("false"),
        ),
        (422, detail("planted"), 400, "upstream_rejected", None),
        (429, detail("planted"), 429, "rate_limit_exceeded", None),
        (500, detail("planted"), 502, "upstream_error", None),
        (502, detail("planted"), 502, "upstream_error", None),
        (503, detail("planted"), 503, "upstream_unavailable", None),
        (504, detail("planted"), 504, "upstream_timeout", None),
        (599, detail("planted"), 502, "upstream_error", None),
    ];
    let mut wrong = Vec::new();
    for (upstream, _) in UPSTREAMS {
        for (status, body, expected, code, should_retry) in &table {
            let html = http(*status, "text/html", "<h1>planted</h1>");
            let has_words = body["detail"] != "planted";
            let answers = [
                Some(json_answer(*status, body)),
                (!has_words).then_some(html),
            ];
            for answer in answers.into_iter().flatten() {
                let fal = ScriptedUpstream::answering(answer);
                let gateway = fal.setup().set("fal.upstream", upstream).start();
                let answer = gateway.ask(&question("planted-prompt", false));
                let told = answer.json()["error"]["code"].clone();
                let retry = answer.header("x-should-retry");
                let outcome = (answer.status, told.as_str(), retry);
                if outcome != (*expected, Some(*code), *should_retry) || fal.requests() != 1 {
                    wrong.push(format!(
                        "{upstream}, {status}: {outcome:?}, {} calls",
                        fal.requests()
                    ));
                }
                // Nothing of fal's account, of the operator's key, or of what the caller asks.
                let all = format!("{:?} {}", answer.headers, answer.text());
                for planted in ["planted-account", "planted-prompt", FAL_KEY] {
                    if all.contains(planted) {
                        wrong.push(format!("{upstream}, {status}: {planted} in {all}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
