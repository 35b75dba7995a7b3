//! The program itself, for what only a process can show: signals, exit codes, its log.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

use super::gateway::Setup;
use super::raw::Raw;
use super::until;

pub(crate) struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    /// Reads the log until there is no more.
    reading: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts `fal-gateway serve` with these settings and nothing else in its environment.
    pub(crate) fn start(setup: &Setup) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fal-gateway"));
        command.arg("serve");
        Self::run(command, setup)
    }

    /// Starts it with a settings file besides these settings, and waits until it serves.
    pub(crate) fn serving_from(file: &Path, setup: &Setup) -> (Self, SocketAddr) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fal-gateway"));
        command.arg("serve").arg("--config").arg(file);
        Self::run(command, setup).until_serving()
    }

    /// Starts it within limits of the shell's `ulimit`, and waits until it serves.
    pub(crate) fn serving_within(limits: &str, setup: &Setup) -> (Self, SocketAddr) {
        let mut command = Command::new("/bin/sh");
        command
            .arg("-c")
            .arg(format!("ulimit {limits} && exec \"$0\" serve"))
            .arg(env!("CARGO_BIN_EXE_fal-gateway"));
        Self::run(command, setup).until_serving()
    }

    fn run(mut command: Command, setup: &Setup) -> Self {
        let mut child = command
            .current_dir(env!("CARGO_TARGET_TMPDIR"))
            .env_clear()
            // Or nobody but root could count what it has open.
            .env("FAL_GATEWAY__SERVER__CORE_DUMPS", "true")
            .envs(setup.variables())
            // Where a run that measures coverage collects its counters.
            .envs(std::env::vars_os().filter(|(name, _)| name == "LLVM_PROFILE_FILE"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let (stderr, writing) = (child.stderr.take().unwrap(), Arc::clone(&lines));
        let reading = thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                writing.lock().unwrap().push(line);
            }
        });
        Self {
            child,
            lines,
            reading: Some(reading),
        }
    }

    /// Starts it and waits until it serves.
    pub(crate) fn serving(setup: &Setup) -> (Self, SocketAddr) {
        Self::start(setup).until_serving()
    }

    fn until_serving(self) -> (Self, SocketAddr) {
        let line = self.until_line("\"message\":\"serving\"");
        let line: Value = serde_json::from_str(&line).unwrap();
        let address = line["api"].as_str().unwrap();
        let (_, address) = address.split_once("://").unwrap();
        let address = address.trim_end_matches("/v1").parse().unwrap();
        (self, address)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything logged so far.
    pub(crate) fn log(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// Waits for a line that contains this.
    pub(crate) fn until_line(&self, part: &str) -> String {
        until(part, || {
            let lines = self.lines.lock().unwrap();
            lines.iter().find(|line| line.contains(part)).cloned()
        })
    }

    /// Waits for so many log lines about requests, and returns them.
    pub(crate) fn until_requests(&self, count: usize) -> Vec<Value> {
        until("the log of all requests", || {
            let lines = self.lines.lock().unwrap();
            let requests = lines
                .iter()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok())
                .filter(|line| line["message"] == "request");
            Some(requests.collect::<Vec<_>>()).filter(|found| found.len() >= count)
        })
    }

    /// Sends a signal by its name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status();
        assert!(status.unwrap().success());
    }

    /// Waits for the end of the process.
    pub(crate) fn exit(&mut self) -> ExitStatus {
        until("the end of the process", || self.child.try_wait().unwrap())
    }

    /// How many files and sockets it has open.
    pub(crate) fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.id());
        std::fs::read_dir(folder).unwrap().count()
    }

    /// Memory in use, in KiB.
    pub(crate) fn resident_kib(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.unwrap().trim().trim_end_matches(" kB");
        number.parse().unwrap()
    }

    /// Processor time used so far, counted in hundredths of a second.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        // The name in parentheses may hold anything; what is behind it is counted from 3.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let times = fields.split_whitespace().skip(14 - 3).take(2);
        let ticks: u64 = times.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    pub(crate) fn connect(&self, address: SocketAddr) -> Raw {
        Raw::connect(address)
    }
}

/// Whatever a test was about, its log holds no secret. Every test's fal key is one, and so is
/// everything that is called planted.
impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let has_read = self
            .reading
            .take()
            .is_none_or(|reading| reading.join().is_ok());
        if thread::panicking() || !has_read {
            return;
        }
        let log = self.log();
        for secret in ["ksecret", "planted"] {
            let line = log.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret} is in the log");
        }
    }
}
