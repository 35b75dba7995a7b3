//! The commands on a terminal, which `script` of util-linux provides: what comes from elsewhere
//! steers nothing there, and a terminal that is closed ends what ran in it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::{ScriptedUpstream, TestGateway, until};

/// A title, the clipboard, a cleared screen, the same in one byte, a turned direction.
const EVIL: &str = "hello \x1b]0;owned\x07\x1b]52;c;cm0=\x07\x1b[2J\u{9b}31m\u{202e}red";
const TAME: &str = r"hello \x1b]0;owned\x07\x1b]52;c;cm0=\x07\x1b[2J\x9b31m\u{202e}red";

/// The program with these arguments, on a terminal of its own.
fn on_a_terminal(arguments: &[&str]) -> Command {
    let quoted: Vec<String> = std::iter::once(env!("CARGO_BIN_EXE_fal-gateway"))
        .chain(arguments.iter().copied())
        .map(|word| format!("'{word}'"))
        .collect();
    let mut command = Command::new("script");
    command
        .args(["-q", "-e", "-f", "-c", &quoted.join(" "), "/dev/null"])
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .env_remove("FAL_KEY")
        .stdin(Stdio::null());
    command
}

fn says(command: &mut Command) -> String {
    let output = command.output().expect("util-linux has `script`");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

fn answering(text: &str) -> (ScriptedUpstream, TestGateway) {
    let event = json!({"output": text, "partial": false, "error": null, "reasoning": null});
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let stream = format!("{head}data: {event}\n\n").into_bytes();
    let fal = ScriptedUpstream::answering(stream);
    let gateway = fal.setup().start();
    (fal, gateway)
}

#[test]
fn an_answer_steers_no_terminal_and_is_left_alone_elsewhere() {
    let (_fal, gateway) = answering(EVIL);
    let url = format!("http://{}/v1", gateway.address);
    let chat = ["chat", "--url", &url, "hi"];
    let shown = says(&mut on_a_terminal(&chat));
    assert!(shown.contains(TAME), "{shown:?}");
    assert!(
        !shown.contains('\x1b') && !shown.contains('\u{9b}'),
        "{shown:?}"
    );
    let mut piped = Command::new(env!("CARGO_BIN_EXE_fal-gateway"));
    let piped = says(piped.args(chat).stdin(Stdio::null()));
    assert!(piped.starts_with(EVIL), "{piped:?}");
}

/// Lists and errors of a server that somebody was talked into asking.
#[test]
fn names_of_models_and_errors_steer_no_terminal_either() {
    let models = json!({"object": "list", "data": [{"id": EVIL, "aliases": [EVIL]}]});
    let error = json!({"error": {"message": EVIL, "type": "x", "param": null, "code": null}});
    let answer = |status: &str, body: &serde_json::Value| {
        let head = "content-type: application/json\r\nconnection: close";
        ScriptedUpstream::answering(format!("HTTP/1.1 {status}\r\n{head}\r\n\r\n{body}"))
    };
    for (fal, command, question) in [
        (answer("200 OK", &models), "models", None),
        (answer("400 Bad", &error), "models", None),
        (answer("400 Bad", &error), "chat", Some("hi")),
    ] {
        let url = format!("{}/v1", fal.url());
        let arguments: Vec<&str> = [command, "--url", &url]
            .into_iter()
            .chain(question)
            .collect();
        let shown = says(&mut on_a_terminal(&arguments));
        assert!(shown.contains(TAME), "{command}: {shown:?}");
        assert!(!shown.contains('\x1b'), "{command}: {shown:?}");
    }
    // An error is for people, wherever it goes.
    let fal = answer("400 Bad", &error);
    let url = format!("{}/v1", fal.url());
    let mut piped = Command::new(env!("CARGO_BIN_EXE_fal-gateway"));
    let piped = says(piped.args(["models", "--url", &url]).stdin(Stdio::null()));
    assert!(piped.contains(TAME) && !piped.contains('\x1b'), "{piped:?}");
}

#[test]
fn a_closed_terminal_ends_what_ran_in_it() {
    let mut script = on_a_terminal(&["emulator", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("util-linux has `script`");
    let mut line = String::new();
    let mut shown = BufReader::new(script.stdout.take().unwrap());
    shown.read_line(&mut line).unwrap();
    let (_, rest) = line.split_once("http://").unwrap();
    let address = rest.split_whitespace().next().unwrap().to_owned();
    assert!(std::net::TcpStream::connect(&address).is_ok());
    script.kill().unwrap();
    script.wait().unwrap();
    until("nobody listens any more", || {
        std::net::TcpStream::connect(&address)
            .is_err()
            .then_some(())
    });
}
