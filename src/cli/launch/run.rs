//! Runs a client, with its files in a folder of their own.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};

use uuid::Uuid;

use super::clients::Client;
use super::setup::{Setup, Values};
use crate::cli::signals::Signals;
use crate::cli::terminal::tell;

/// Starts the client and waits for its end; gives its exit code.
pub(super) fn run(client: &Client, values: Values<'_>, arguments: &[String]) -> io::Result<u8> {
    let folder = Folder::new(client.name)?;
    let path = folder.path.to_string_lossy();
    let values = Values {
        folder: &path,
        ..values
    };
    let setup = Setup::new(client, &values, arguments);
    for (path, text) in &setup.files {
        folder.write(path, text)?;
    }
    let Some((program, arguments)) = setup.command.split_first() else {
        return Ok(1);
    };
    let mut command = Command::new(program);
    command.args(arguments);
    for (name, value) in &setup.environment {
        command.env(name, value);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        // From here on a Ctrl-C is the client's business, and the folder outlives it.
        let signals = Signals::listen()?;
        match command.spawn() {
            Ok(child) => wait(child, signals).await,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let cure = match client.install {
                    "" => String::new(),
                    install => format!(" Install it: {install}"),
                };
                tell(format_args!(
                    "fal-gateway: there is no command {program}.{cure}"
                ));
                Ok(1)
            }
            Err(error) => {
                tell(format_args!(
                    "fal-gateway: {program} cannot be started: {error}"
                ));
                Ok(1)
            }
        }
    })
}

/// Waits for the client's end. An order to stop that came to us alone is handed on to it.
async fn wait(mut child: Child, mut signals: Signals) -> io::Result<u8> {
    let id = child.id();
    let mut ended = tokio::task::spawn_blocking(move || child.wait());
    loop {
        tokio::select! {
            status = &mut ended => {
                return Ok(code(status.map_err(io::Error::other)??));
            }
            order = signals.stop() => {
                // 130 is Ctrl-C, which the terminal has given to the client as well.
                if order != 130 {
                    stop(id);
                }
            }
        }
    }
}

/// Asks a process to end.
#[cfg(unix)]
fn stop(id: u32) {
    use rustix::process::{Pid, Signal, kill_process};
    if let Some(id) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        let _ = kill_process(id, Signal::TERM);
    }
}

/// What ends the gateway on Windows comes to every program of the console.
#[cfg(not(unix))]
fn stop(_id: u32) {}

/// The exit code as a shell tells it.
fn code(status: ExitStatus) -> u8 {
    let code = status.code();
    #[cfg(unix)]
    let code =
        code.or(std::os::unix::process::ExitStatusExt::signal(&status).map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// A folder that only this user can look into, taken away at the end.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new(name: &str) -> io::Result<Folder> {
        let unique = Uuid::new_v4().simple();
        let path = std::env::temp_dir().join(format!("fal-gateway-{name}-{unique}"));
        directories().create(&path)?;
        Ok(Folder { path })
    }

    fn write(&self, path: &str, text: &str) -> io::Result<()> {
        let path = self.path.join(path);
        let parent = path.parent().unwrap_or(Path::new(""));
        directories().recursive(true).create(parent)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(path)?.write_all(text.as_bytes())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Makes folders that nobody else may look into. On Windows the folder for temporary files is the
/// user's own.
fn directories() -> DirBuilder {
    #[cfg_attr(windows, expect(unused_mut, reason = "there is no mode to be set"))]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}
