//! `fal-gateway serve`: the gateway itself.

use std::io;

use super::check::BAD_SETTINGS;
use super::demo;
use super::hardening;
use super::signals::{Order, Signals};
use super::store::exit_code;
use super::terminal::tell;
use crate::api::catalogue::warnings;
use crate::api::gateway::BuildError;
use crate::app::{Application, Reloader, ShutdownHandle, Source, StartError};
use crate::config::{Config, ConfigFile, DatabaseUrl, Sources};
use crate::observe::logging;
use crate::store::StoreError;

/// Serves until it is told to stop. The exit code is 0 after an orderly end, 1 when it cannot
/// start, 2 when its settings are wrong.
///
/// # Errors
/// When the listener or the signal handlers fail.
pub fn serve(sources: &Sources, demo_without_key: bool) -> io::Result<u8> {
    let mut config = match Config::load(sources) {
        Ok(config) => config,
        Err(problems) => {
            tell(problems);
            return Ok(BAD_SETTINGS);
        }
    };
    logging::init(config.log.level, config.log.format);
    logging::report_panics();
    if !config.server.core_dumps
        && let Err(error) = hardening::close_memory()
    {
        tracing::warn!(%error, "the system does not let the process close its memory to others");
    }
    actix_web::rt::System::new().block_on(async {
        let mut emulated = None;
        if demo_without_key && config.fal.key.is_none() {
            let emulator = demo::start_emulator()?;
            demo::point_at(&mut config, &emulator.url());
            emulated = Some(emulator.url());
            tracing::warn!(
                "no fal key: answers come from the built-in emulator, nothing leaves this machine"
            );
        }
        if cfg!(first_look) {
            tracing::warn!(
                "this program was built for a quick first look and is not optimised; \
                 cargo build --profile dist makes one to serve with"
            );
        }
        for warning in warnings(&config) {
            tracing::warn!("{warning}");
        }
        let application = match Application::build(config) {
            Ok(application) => application,
            Err(error) => {
                tell(format_args!("fal-gateway: {error}"));
                return Ok(match error {
                    StartError::Build(BuildError::Store(error)) => exit_code(&error),
                    _ => 1,
                });
            }
        };
        if let Some(code) = meet_store(&application).await {
            return Ok(code);
        }
        let signals = Signals::listen()?;
        let reloader = application.reloader(Source {
            sources: sources.clone(),
            adapt: Box::new(move |config| {
                if let Some(emulator) = &emulated {
                    demo::point_at(config, emulator);
                }
            }),
        })?;
        announce(&application, sources.file.as_ref());
        let served = run_until_signal(application, signals, Some(reloader)).await;
        served.map(|()| 0)
    })
}

/// Looks whether the store answers; if that is of no use, gives what the process shall end with. A
/// server that cannot be reached yet is waited for while the gateway serves what needs no store.
async fn meet_store(application: &Application) -> Option<u8> {
    match application.store().reach().await {
        Ok(()) => None,
        Err(error @ (StoreError::Busy | StoreError::Gone(_))) => {
            tracing::warn!(%error, "the store does not answer; it is tried again when it is needed");
            None
        }
        Err(error) => {
            tell(format_args!("fal-gateway: {error}"));
            Some(exit_code(&error))
        }
    }
}

/// Runs an application until a signal ends it; a second signal ends it at once. Its settings are read
/// again when a signal asks for it, where there is somebody to do it.
///
/// # Errors
/// When the listener fails.
pub async fn run_until_signal(
    application: Application,
    signals: Signals,
    reloader: Option<Reloader>,
) -> io::Result<()> {
    let stopper = application.stopper();
    actix_web::rt::spawn(heed(signals, stopper, reloader));
    application.run().await
}

async fn heed(mut signals: Signals, stopper: ShutdownHandle, reloader: Option<Reloader>) {
    while signals.next().await == Order::Reload {
        match &reloader {
            Some(reloader) => reloader.reload(),
            None => {
                tracing::warn!("SIGHUP changes nothing here: there are no settings to read again")
            }
        }
    }
    tracing::info!("stopping: running answers may finish");
    actix_web::rt::spawn(signals.exit_at_next());
    stopper.stop().await;
}

fn announce(application: &Application, file: Option<&ConfigFile>) {
    let config = &application.snapshot().config;
    let fal = config.fal.url.host_str().unwrap_or_default();
    let who = match (&config.fal.key, config.client_keys()) {
        (None, _) => "callers bring their own fal key".to_owned(),
        (Some(_), 0) if config.has_store() => {
            "the keys of the store; while it has none, anyone who can connect".to_owned()
        }
        (Some(_), keys) if config.has_store() => {
            format!("{keys} client keys, and those of the store")
        }
        (Some(_), 0) => "anyone who can connect may use the fal key".to_owned(),
        (Some(_), keys) => format!("{keys} client keys"),
    };
    let scheme = if config.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let url = format!("{scheme}://{}/v1", application.address());
    let store = match (&config.store.path, &config.store.url) {
        (Some(path), _) => Some(path.display().to_string()),
        (None, url) => url.as_ref().map(DatabaseUrl::shown),
    };
    let settings = file.map(|file| file.full_path().display().to_string());
    let console = application.console_address();
    let console = console.map(|address| format!("{scheme}://{address}/"));
    let admin = application.admin_address();
    let admin = admin.map(|address| format!("{scheme}://{address}/admin/v1"));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), pid = std::process::id(), api = %url, console, admin, fal, callers = %who, settings, store, "serving");
}
