//! The log of the program itself: one line for each request, and nothing that is nobody's business.

use serde_json::Value;

use crate::support::{Call, Emulated, Process, Raw, question};

const PROMPT: &str = "planted-prompt-7391";
const KEY: &str = "sk-fg-planted-key";

fn chat(prompt: &str, stream: bool) -> Call {
    Call::chat(&question(prompt, stream)).header("authorization", &format!("Bearer {KEY}"))
}

fn answered(address: std::net::SocketAddr, call: &Call) -> crate::support::Answer {
    let mut raw = Raw::connect(address);
    raw.send(&call.to_bytes());
    raw.answer()
}

#[test]
fn every_request_leaves_one_line_with_what_became_of_it() {
    let fal = Emulated::start();
    let (process, address) = Process::serving(&fal.setup().env("FAL_GATEWAY_KEYS", KEY));
    let calls = [
        ("r-whole", chat("echo hi", false)),
        ("r-stream", chat("echo hi", true)),
        ("r-refused", chat("/emulate status:500\nhi", true)),
        (
            "r-cut",
            chat("/emulate drop:1 gap:20ms size:1\necho abc", true),
        ),
        ("r-paid", chat("/emulate drop:0\nhi", false)),
        ("r-nokey", Call::chat(&question("hi", false))),
        ("r-nothing", Call::get("/v1/nothing")),
        ("r-health", Call::get("/healthz")),
    ];
    for (id, call) in &calls {
        let answer = answered(address, &call.clone().header("x-request-id", id));
        assert_eq!(answer.header("x-request-id"), Some(*id));
    }
    let gone = chat("/emulate hang\nhi", true).header("x-request-id", "r-gone");
    let before = fal.count();
    let mut raw = Raw::connect(address);
    raw.send(&gone.to_bytes());
    fal.requests(before + 1);
    drop(raw);

    let lines = process.until_requests(calls.len() + 1);
    assert_eq!(lines.len(), calls.len() + 1);
    let line = |id: &str| {
        let mut found = lines.iter().filter(|line| line["request.id"] == id);
        let line = found.next().unwrap_or_else(|| panic!("no line for {id}"));
        assert_eq!(found.next(), None, "two lines for {id}");
        line.clone()
    };
    let facts = |id: &str| {
        let line = line(id);
        let text = |name: &str| line[name].as_str().unwrap_or("").to_owned();
        (
            line["status"].as_u64().unwrap(),
            text("error"),
            text("error.source"),
            text("route"),
            line["stream"] == true,
        )
    };
    let fact = |status: u64, error: &str, source: &str, route: &str, stream: bool| {
        let [error, source, route] = [error, source, route].map(str::to_owned);
        (status, error, source, route, stream)
    };
    assert_eq!(facts("r-whole"), fact(200, "", "", "chat", false));
    assert_eq!(facts("r-stream"), fact(200, "", "", "chat", true));
    assert_eq!(
        facts("r-refused"),
        fact(502, "upstream_error", "upstream", "chat", false)
    );
    assert_eq!(
        facts("r-cut"),
        fact(200, "upstream_disconnected", "upstream", "chat", true)
    );
    // The status is 400 so that nobody repeats it, and still the failure is fal's.
    assert_eq!(
        facts("r-paid"),
        fact(400, "upstream_disconnected", "upstream", "chat", false)
    );
    assert_eq!(
        facts("r-nokey"),
        fact(401, "invalid_api_key", "caller", "chat", false)
    );
    assert_eq!(
        facts("r-nothing"),
        fact(404, "unknown_url", "caller", "other", false)
    );
    assert_eq!(facts("r-health"), fact(200, "", "", "health", false));
    assert_eq!(
        facts("r-gone"),
        fact(499, "client_gone", "caller", "chat", false)
    );
    for id in ["r-whole", "r-stream"] {
        let line = line(id);
        assert_eq!(line["model.id"], "openai/gpt-4o-mini");
        assert!(line["key"].as_str().unwrap().starts_with("key-"), "{line}");
        assert!(line["fal.request_id"].as_str().unwrap().len() > 8, "{line}");
        for number in [
            "duration_ms",
            "ttfb_ms",
            "bytes_in",
            "bytes_out",
            "tokens_in",
            "tokens_out",
        ] {
            assert!(
                line[number].as_f64().is_some_and(|number| number > 0.0),
                "{number}: {line}"
            );
        }
        assert_eq!(line["level"], "INFO");
    }
}

#[test]
fn nothing_a_caller_or_fal_says_is_in_a_log_a_counter_or_an_error() {
    let fal = Emulated::start();
    let setup = fal
        .setup()
        .env("FAL_GATEWAY_KEYS", KEY)
        .set("log.level", "trace");
    let (process, address) = Process::serving(&setup);
    let scripts = [
        "",
        "status:500",
        "error:content_policy",
        "error_event:0",
        "error_event:1",
        "garbage:1",
        "badutf8:1",
        "drop:1",
        "eof:1",
        "null_output",
        "html",
        "error:error_200",
        "nofinal",
        "rewrite",
    ];
    let mut errors = String::new();
    let mut count = 0;
    for script in scripts {
        for stream in [false, true] {
            let words = if script.is_empty() { "lf" } else { script };
            let prompt = format!("/emulate {words}\necho {PROMPT}");
            let answer = answered(address, &chat(&prompt, stream));
            count += 1;
            if answer.status != 200 {
                errors.push_str(&answer.text());
            }
        }
    }
    let wrong =
        Call::chat(&question(PROMPT, false)).header("authorization", "Bearer sk-planted-wrong");
    errors.push_str(&answered(address, &wrong).text());
    let broken = Call::chat_bytes(format!("{{\"messages\":\"{PROMPT}\"}}"))
        .header("authorization", &format!("Bearer {KEY}"));
    errors.push_str(&answered(address, &broken).text());
    let in_path = Call::get(&format!("/v1/models/x/y?key={KEY}&q={PROMPT}"))
        .header("authorization", &format!("Bearer {KEY}"));
    errors.push_str(&answered(address, &in_path).text());
    process.until_requests(count + 3);
    let metrics = answered(address, &Call::get("/metrics")).text();
    for (place, text) in [
        ("log", process.log()),
        ("metrics", metrics),
        ("errors", errors),
    ] {
        for secret in [PROMPT, KEY, "planted", "ksecret"] {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret} in the {place}");
        }
        assert!(!text.is_empty());
    }
}

#[test]
fn what_a_caller_invents_cannot_forge_or_flood_the_log() {
    let fal = Emulated::start();
    let (process, address) = Process::serving(&fal.setup());
    let mut body = question("echo hi", false);
    body["model"] = format!(
        "evil/\r\n{{\"message\":\"forged\"}}\u{1b}[31m{}",
        "x".repeat(100_000)
    )
    .into();
    answered(address, &Call::chat(&body));
    body["model"] = format!("long/{}", "x".repeat(100_000)).into();
    answered(address, &Call::chat(&body));
    answered(address, &Call::get("/%0a%0dforged"));
    let lines = process.until_requests(3);
    for line in process.log().lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
        assert!(!line.contains('\u{1b}'));
        assert!(line.len() < 4096, "a line of {} bytes", line.len());
    }
    assert_eq!(lines.len(), 3);
}
