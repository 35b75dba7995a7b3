//! `fal-gateway eval`: the gateway holds its promises, and what is measured is put to use.

use std::path::Path;
use std::process::{Command, Output};

use actix_web::{App, HttpServer, web};
use fal_gateway::emulator::{Emulator, Options, Running};
use fal_gateway::translate::json::Fix;
use fal_gateway::translate::reading::leniency;
use serde_json::json;

use crate::harness::{Gateway, asking, send, with};

/// Runs the command in a folder of its own, without anything of this process's environment that
/// could be a setting.
fn eval(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_fal-gateway"));
    command.arg("eval").args(arguments).current_dir(&folder);
    for (name, _) in std::env::vars_os() {
        let shown = name.to_string_lossy();
        if shown.starts_with("FAL_") || shown == "OPENAI_API_KEY" || shown == "PORT" {
            command.env_remove(&name);
        }
    }
    command.envs(environment.iter().copied()).output().unwrap()
}

/// What the command prints.
fn printed(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    out
}

/// The table of `docs/evaluation.md`: what the command prints when it is asked for nothing in particular.
pub(crate) fn table() -> String {
    let printed = printed(&eval(&[], &[]));
    let (_, table) = printed.split_once("\n\n").unwrap();
    table.to_owned()
}

/// A row's figures, by the beginning of its label.
#[track_caller]
fn figures(printed: &str, label: &str) -> [usize; 6] {
    let row = printed
        .lines()
        .find(|line| line.starts_with(&format!("| {label}")))
        .unwrap_or_else(|| panic!("no row {label} in\n{printed}"));
    let cells: Vec<usize> = row
        .split('|')
        .filter_map(|cell| cell.trim().parse().ok())
        .collect();
    cells.try_into().unwrap()
}

/// In all forms, and with a model that never mends its ways. The exit code says the same as
/// the last column.
#[test]
fn nothing_that_breaks_a_promise_is_delivered() {
    let printed = printed(&eval(
        &[
            "--stubborn",
            "--dialect",
            "tagged",
            "--dialect",
            "json",
            "--dialect",
            "xml",
            "--dialect",
            "native",
        ],
        &[],
    ));
    let (figures_of, mended) = printed.split_once("| Mended |").unwrap();
    assert_all_is_measured(mended);
    let rows: Vec<&str> = figures_of
        .lines()
        .filter(|line| line.starts_with("| ") && !line.contains("Invalid"))
        .collect();
    assert!(rows.len() > 200, "{printed}");
    for row in rows {
        assert!(row.ends_with("| 0 |"), "{row}");
    }
    for dialect in ["tagged", "json", "xml", "native"] {
        let right = figures(&printed, &format!("not at all ({dialect})"));
        assert_eq!(right, [40, 0, 0, 0, 0, 0]);
        // Never a call, so what is required is an error each time.
        let silent = figures(
            &printed,
            "`tool:none`: answer in prose though a call is due (tagged)",
        );
        assert!(silent[4] >= 4, "{silent:?}");
    }
}

/// A fal whose model leaves the key out of the tags, and so gets on better without tags.
fn keyless() -> Running {
    slipping("tool:nokey stubborn")
}

/// A fal whose model goes wrong in this way.
fn slipping(words: &str) -> Running {
    let options = Options {
        listen: "127.0.0.1:0".to_owned(),
        tag: false,
        behaviour: words.parse().unwrap(),
        ..Options::default()
    };
    Emulator::bind(options).unwrap().start()
}

/// Measures a model at this fal into a file, and gives back what was printed.
async fn measure(fal: &str, path: &Path) -> String {
    let path = path.display().to_string();
    let fal = fal.to_owned();
    let run = move || {
        eval(
            &["-m", "openai/gpt-4o-mini", "--output", &path],
            &[("FAL_KEY", "kid:ksecret"), ("FAL_GATEWAY__FAL__URL", &fal)],
        )
    };
    printed(&web::block(run).await.unwrap())
}

#[actix_web::test]
async fn the_dialect_that_was_measured_to_be_better_is_spoken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("models.toml");
    let other = "[models.\"meta-llama/llama-3.1-70b-instruct\"]\ndialect = \"json\"\n";
    std::fs::write(&path, other).unwrap();
    let fal = keyless();
    let printed = measure(&fal.url(), &path).await;
    let calls =
        "At most 344 calls to fal, which bills them to your key, those of the row `native` by";
    assert!(printed.contains(calls), "{printed}");
    let tagged = figures(&printed, "openai/gpt-4o-mini, tagged");
    let json = figures(&printed, "openai/gpt-4o-mini, json");
    let xml = figures(&printed, "openai/gpt-4o-mini, xml");
    assert!(json[0] > tagged[0] && json[0] > xml[0], "{printed}");
    // Beside them, what the same model does whose provider is handed the tools.
    let native = figures(&printed, "openai/gpt-4o-mini, native");
    assert_eq!(native, [40, 0, 0, 0, 0, 0], "{printed}");

    let written = std::fs::read_to_string(&path).unwrap();
    let best = "[models.\"openai/gpt-4o-mini\"]\ndialect = \"json\"\noutline = true\n";
    assert!(written.contains(best), "{written}");
    assert!(written.contains(other), "{written}");

    let named = format!("[models]\ncapabilities = {path:?}\n");
    let chosen = format!("{named}[tools]\ndialects = {{ \"openai/\" = \"tagged\" }}\n");
    for (settings, model, opener) in [
        ("", "openai/gpt-4o-mini", "<tool_calls k="),
        (&named, "openai/gpt-4o-mini", "{\"tool_calls\": ["),
        (&named, "gpt-4o-mini", "{\"tool_calls\": ["),
        (&named, "openai/gpt-4o", "<tool_calls k="),
        (&chosen, "openai/gpt-4o-mini", "<tool_calls k="),
    ] {
        let world = Gateway::open(settings);
        let tools = json!([
            {"type": "function", "function": {"name": "look"}},
            {"type": "function", "function": {"name": "find"}},
        ]);
        let request = with(asking("Hi"), json!({"model": model, "tools": tools}));
        let explained = world.chat(&request).header("x-gateway-explain", "true");
        let explained = send(explained).await.json();
        let system = explained["requests"][0]["input"]["system_prompt"].clone();
        assert!(
            system.as_str().unwrap().contains(opener),
            "{model}: {explained}"
        );
    }
}

/// A model that copies what it is shown to fill in does better without it.
#[actix_web::test]
async fn outlines_are_left_out_where_that_was_measured_to_be_better() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("models.toml");
    let fal = slipping("json:example stubborn");
    let printed = measure(&fal.url(), &path).await;
    let without = figures(&printed, "openai/gpt-4o-mini, tagged, no outlines");
    assert_eq!(without, [12, 0, 0, 0, 0, 0], "{printed}");
    let outlined = figures(&printed, "openai/gpt-4o-mini, tagged |");
    assert!(outlined[0] < 40, "{printed}");
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(written.contains("outline = false\n"), "{written}");

    let named = format!("[models]\ncapabilities = {path:?}\n");
    let insisted = format!("{named}[tools]\noutlines = {{ \"openai/\" = true }}\n");
    let format = json!({"type": "json_schema", "json_schema": {
        "name": "a", "schema": {"type": "object", "properties": {"city": {"type": "string"}}},
    }});
    for (settings, model, is_shown) in [
        (&String::new(), "openai/gpt-4o-mini", true),
        (&named, "openai/gpt-4o-mini", false),
        (&named, "openai/gpt-4o", true),
        (&insisted, "openai/gpt-4o-mini", true),
    ] {
        let world = Gateway::open(settings);
        let more = json!({"model": model, "response_format": format});
        let request = world.chat(&with(asking("Hi"), more));
        let explained = send(request.header("x-gateway-explain", "true"))
            .await
            .json();
        let system = explained["requests"][0]["input"]["system_prompt"].clone();
        let has_outline = system.as_str().unwrap().contains("{\"city\":\"...\"}");
        assert_eq!(has_outline, is_shown, "{model}: {explained}");
    }
}

/// Whatever is forgiven has a position of the dial that brings it about, so that it is measured.
fn assert_all_is_measured(printed: &str) {
    let repairs = Fix::ALL.iter().filter(|fix| fix.is_lossless());
    let names = repairs
        .map(|fix| fix.label())
        .chain(leniency::ALL.iter().copied());
    for name in names {
        assert!(
            printed.contains(&format!("\n| {name} | ")),
            "no position of the emulator's dial brings {name} about, or no task shows it:\n{printed}"
        );
    }
}

/// What a model is asked for by its provider is asked for by a prompt where the settings name fal's
/// OpenAI face, and a model that takes no tools is told of them in both.
#[actix_web::test]
async fn tools_of_the_gateway_and_of_the_provider_stand_side_by_side() {
    let fal = slipping("");
    let url = fal.url();
    let run = move || {
        let models = [
            "-m",
            "openai/gpt-4o-mini",
            "-m",
            "meta-llama/llama-3.2-1b-instruct",
        ];
        let forms = ["--dialect", "tagged", "--dialect", "native"];
        let environment = [
            ("FAL_KEY", "kid:ksecret"),
            ("FAL_GATEWAY__FAL__URL", &url),
            ("FAL_GATEWAY__FAL__UPSTREAM", "router-openai"),
        ];
        eval(&[models, forms].concat(), &environment)
    };
    let printed = printed(&web::block(run).await.unwrap());
    let rows: Vec<&str> = printed
        .lines()
        .filter(|line| line.starts_with("| "))
        .collect();
    let labels: Vec<&str> = rows
        .iter()
        .skip(1)
        .filter_map(|row| row.split(" | ").next())
        .collect();
    assert_eq!(
        labels,
        [
            "| openai/gpt-4o-mini, tagged",
            "| openai/gpt-4o-mini, native",
            "| openai/gpt-4o-mini, tagged, no outlines",
            "| meta-llama/llama-3.2-1b-instruct, tagged",
            "| meta-llama/llama-3.2-1b-instruct, native",
            "| meta-llama/llama-3.2-1b-instruct, tagged, no outlines",
        ],
        "{printed}"
    );
    let remark = ", native: what it is not known to take was written into the prompt\n";
    assert!(
        printed.contains(&format!("meta-llama/llama-3.2-1b-instruct{remark}")),
        "{printed}"
    );
    assert!(
        !printed.contains(&format!("gpt-4o-mini{remark}")),
        "{printed}"
    );
}

#[test]
fn no_file_is_made_of_what_it_would_not_hold() {
    let arguments = [
        "-m",
        "a/b",
        "--dialect",
        "native",
        "--output",
        "models.toml",
    ];
    let output = eval(&arguments, &[("FAL_KEY", "kid:ksecret")]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("--output keeps the best of the forms"),
        "{said}"
    );
}

#[actix_web::test]
async fn what_was_measured_before_something_went_wrong_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("models.toml");
    let fal = keyless();
    let (url, file) = (fal.url(), path.display().to_string());
    let run = move || {
        let models = [
            "-m",
            "openai/gpt-4o",
            "-m",
            "nonsense",
            "--dialect",
            "tagged",
        ];
        let arguments = [&models[..], &["--output", &file]].concat();
        let environment = [("FAL_KEY", "kid:ksecret"), ("FAL_GATEWAY__FAL__URL", &url)];
        eval(&arguments, &environment)
    };
    let output = web::block(run).await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("nonsense: ") && said.contains("model_not_found"),
        "{said}"
    );
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(written.contains("[models.\"openai/gpt-4o\"]\ndialect = \"tagged\""));
    assert!(!written.contains("nonsense"), "{written}");
}

/// One row per model, whatever that gateway does by itself.
#[actix_web::test]
async fn a_running_gateway_can_be_measured() {
    let world = Gateway::open("");
    let url = format!("{}/v1", world.url);
    let run = move || eval(&["--url", &url, "-m", "openai/gpt-4o"], &[]);
    let printed = printed(&web::block(run).await.unwrap());
    assert!(printed.contains("40 requests to http://127"), "{printed}");
    assert_eq!(figures(&printed, "openai/gpt-4o |"), [40, 0, 0, 0, 0, 0]);
}

/// Somebody else's gateway, which delivers a call to a tool that nobody offered.
#[actix_web::test]
async fn an_answer_that_breaks_a_promise_is_an_exit_code() {
    let call =
        json!({"id": "1", "type": "function", "function": {"name": "gone", "arguments": "{}"}});
    let answer = json!({"choices": [{
        "message": {"role": "assistant", "content": null, "tool_calls": [call]},
        "finish_reason": "tool_calls",
    }]});
    let app = move || {
        let answer = answer.clone();
        let serve = move || std::future::ready(web::Json(answer.clone()));
        App::new().default_service(web::to(serve))
    };
    let server = HttpServer::new(app).workers(1).disable_signals();
    let server = server.bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", server.addrs()[0]);
    actix_web::rt::spawn(server.run());
    let run = move || eval(&["--url", &url, "-m", "other/model"], &[]);
    let output = web::block(run).await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(figures(&printed, "other/model |"), [0, 0, 0, 0, 0, 40]);
    assert!(printed.contains("one call: INVALID: "), "{printed}");
    assert!(printed.contains("This server does not tell"), "{printed}");
}

#[test]
fn without_a_key_or_with_a_broken_file_nothing_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("models.toml");
    std::fs::write(&path, "[models.\"a/b\"]\ndialct = \"json\"\n").unwrap();
    let path = path.display().to_string();
    let key = [("FAL_KEY", "kid:ksecret")];
    for (arguments, environment, said) in [
        (vec!["-m", "a/b"], &[][..], "there is no fal key"),
        (
            vec!["-m", "a/b", "--output", &path],
            &key[..],
            "models.toml:2: models.\"a/b\" has no field `dialct`; did you mean `dialect`?",
        ),
    ] {
        let output = eval(&arguments, environment);
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{err}");
        assert!(err.contains(said), "{err}");
        assert_eq!(output.stdout, b"");
    }
}
