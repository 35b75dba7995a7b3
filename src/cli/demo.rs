//! `fal-gateway demo`: an emulated fal and a gateway in one process, and a first answer.

use std::io::{self, Write};
use std::net::SocketAddr;

use secrecy::SecretString;
use url::Url;

use super::args::DemoArgs;
use super::check::BAD_SETTINGS;
use super::client::{Client, Question};
use super::serve::run_until_signal;
use super::signals::Signals;
use super::terminal::tell;
use crate::app::Application;
use crate::config::{Config, Sources};
use crate::emulator::{Behaviour, Emulator, Options, Running};
use crate::observe::logging;

/// The key that the demo's gateway shows to the demo's fal. It opens nothing else.
const DEMO_KEY: &str = "demo:demo";
const QUESTION: &str = "Write a haiku about gateways.";

/// Starts both, asks one question over HTTP, shows the answer as it comes and what to try next,
/// and keeps serving. The exit code is 0 only if the answer came.
///
/// # Errors
/// When an address is taken, or the output cannot be written.
pub fn demo(args: &DemoArgs, out: &mut impl Write) -> io::Result<u8> {
    let mut config = match Config::load(&sources(args)) {
        Ok(config) => config,
        Err(problems) => {
            tell(problems);
            return Ok(BAD_SETTINGS);
        }
    };
    logging::init(config.log.level, config.log.format);
    actix_web::rt::System::new().block_on(async {
        let emulator = start_emulator()?;
        point_at(&mut config, &emulator.url());
        // It takes any key. Its own first question would trust no certificate, and shows no key.
        config.tls = None;
        config.auth.keys.clear();
        config.keys.clear();
        config.projects.clear();
        let has_console = config.console.enabled;
        let application = match Application::build(config) {
            Ok(application) => application,
            Err(error) => {
                tell(format_args!(
                    "fal-gateway: {error}\nAnother port: fal-gateway demo --listen 127.0.0.1:0"
                ));
                return Ok(1);
            }
        };
        let url = format!("http://{}/v1", application.address());
        let console = application
            .console_address()
            .unwrap_or(application.address());
        let console = has_console.then_some(console);
        let stopper = application.stopper();
        let signals = Signals::listen()?;
        let serving = actix_web::rt::spawn(run_until_signal(application, signals, None));
        introduce(out, &url, &emulator.url(), console)?;
        let prompt = args.prompt.as_deref().unwrap_or(QUESTION);
        let code = first_answer(out, &url, prompt).await?;
        if args.once {
            stopper.stop().await;
        } else {
            suggest(out, &url)?;
        }
        serving.await.map_err(io::Error::other)??;
        emulator.stop().await;
        Ok(code)
    })
}

/// An emulated fal on a free port, at the pace of a quick model.
///
/// # Errors
/// When no port is free.
pub fn start_emulator() -> io::Result<Running> {
    let behaviour: Behaviour = "gap:25ms size:4 showcase"
        .parse()
        .map_err(io::Error::other)?;
    let options = Options {
        listen: "127.0.0.1:0".to_owned(),
        behaviour,
        ..Options::default()
    };
    Ok(Emulator::bind(options)?.start())
}

/// Makes a configuration use an emulated fal, and nothing but it.
pub fn point_at(config: &mut Config, emulator: &str) {
    let at = |path: &str| Url::parse(&format!("{emulator}{path}"));
    if let (Ok(url), Ok(queue_url), Ok(rest_url)) = (at(""), at("/queue"), at("/rest")) {
        config.fal.url = url;
        config.fal.queue_url = queue_url;
        config.fal.rest_url = rest_url;
        config.fal.key = Some(SecretString::from(DEMO_KEY));
        let origin = "the emulator";
        config.show("fal.url", emulator, origin);
        config.show("fal.queue_url", &format!("{emulator}/queue"), origin);
        config.show("fal.rest_url", &format!("{emulator}/rest"), origin);
        config.show("fal.key", "set", origin);
    }
}

/// The demo's settings: those of a file, if one is named, and none out of the environment, where a
/// real key might be.
fn sources(args: &DemoArgs) -> Sources {
    let from_process = Sources::from_process(args.config.as_deref(), Vec::new());
    let mut sources = Sources::default().with_flag("--log-level", "warn");
    sources.file = from_process.file.filter(|_| args.config.is_some());
    match &args.listen {
        Some(listen) => sources.with_flag("--listen", listen.clone()),
        None => sources,
    }
}

fn introduce(
    out: &mut impl Write,
    url: &str,
    emulator: &str,
    console: Option<SocketAddr>,
) -> io::Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    writeln!(
        out,
        "  fal-gateway {version}  ·  demo: answers come from the built-in fal EMULATOR, nothing leaves this machine\n"
    )?;
    writeln!(out, "  OpenAI API  {url}   (any API key)")?;
    if let Some(console) = console {
        writeln!(out, "  Console     http://{console}/   (for a browser)")?;
    }
    writeln!(
        out,
        "  fal API     {emulator}   (a stand-in for fal.run; {emulator}/_emulator/help)\n"
    )?;
    out.flush()
}

async fn first_answer(out: &mut impl Write, url: &str, prompt: &str) -> io::Result<u8> {
    writeln!(out, "  > {prompt}\n")?;
    write!(out, "  ")?;
    out.flush()?;
    let client = Client::new(url, None).map_err(io::Error::other)?;
    let question = Question {
        model: None,
        system: None,
        prompt,
        reasoning: false,
    };
    let outcome = client
        .ask(&question, |piece| {
            write!(out, "{}", piece.text.replace('\n', "\n  "))?;
            out.flush()
        })
        .await;
    match outcome {
        Ok(answer) => {
            writeln!(out, "\n\n  {}\n", answer.summary())?;
            Ok(0)
        }
        Err(error) => {
            writeln!(out)?;
            tell(format_args!(
                "fal-gateway: the first answer did not come: {error}"
            ));
            Ok(1)
        }
    }
}

fn suggest(out: &mut impl Write, url: &str) -> io::Result<()> {
    write!(
        out,
        r#"  Try next:

    curl -N {url}/chat/completions -H 'Content-Type: application/json' \
      -d '{{"model": "gpt-4o-mini", "stream": true, "messages": [{{"role": "user", "content": "Hello!"}}]}}'

    # Python: pip install openai
    from openai import OpenAI
    client = OpenAI(base_url="{url}", api_key="demo")
    for chunk in client.chat.completions.create(
            model="openai/gpt-4o-mini", stream=True,
            messages=[{{"role": "user", "content": "Write a haiku."}}]):
        print(chunk.choices[0].delta.content or "", end="", flush=True)

  The real fal:  export FAL_KEY=...   (https://fal.ai/dashboard/keys)   then   fal-gateway serve

  Serving until Ctrl-C.
"#
    )?;
    out.flush()
}
