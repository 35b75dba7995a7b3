//! A real gateway on a free port, in threads of its own.

use std::net::SocketAddr;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use fal_gateway::app::{Application, ShutdownHandle};
use fal_gateway::config::{Config, Sources};
use serde_json::Value;

use super::raw::{Answer, Call, Raw};
use super::until;

/// The key that fal is shown.
pub(crate) const FAL_KEY: &str = "kid:ksecret";

/// The settings of a gateway under test.
#[derive(Clone)]
pub(crate) struct Setup(Sources);

pub(crate) struct TestGateway {
    pub(crate) address: SocketAddr,
    pub(crate) metrics_address: Option<SocketAddr>,
    pub(crate) console_address: Option<SocketAddr>,
    pub(crate) admin_address: Option<SocketAddr>,
    stopper: ShutdownHandle,
    finished: Mutex<mpsc::Receiver<()>>,
}

impl Setup {
    /// A gateway that takes this server for fal and shows it a key.
    pub(crate) fn towards(fal_url: &str) -> Self {
        Self(Sources::default().with_env("FAL_KEY", FAL_KEY))
            .set("fal.url", fal_url)
            .set("server.listen", "127.0.0.1:0")
            .set("server.workers", "1")
            .set("server.drain_timeout", "0s")
            // Its usual address is one for the whole machine.
            .set("admin.enabled", "false")
            // Disks of busy machines are slow.
            .set("store.timeout", "20s")
    }

    pub(crate) fn set(self, setting: &str, value: &str) -> Self {
        let variable = setting.to_uppercase().replace('.', "__");
        self.env(&format!("FAL_GATEWAY__{variable}"), value)
    }

    /// Adds a settings file with this text.
    pub(crate) fn file(self, text: &str) -> Self {
        Self(self.0.with_file("fal-gateway.toml", text))
    }

    pub(crate) fn env(self, variable: &str, value: &str) -> Self {
        Self(self.0.with_env(variable, value))
    }

    /// A gateway without a key for fal: callers bring theirs.
    pub(crate) fn without_fal_key(mut self) -> Self {
        self.0.env.remove("FAL_KEY");
        self
    }

    pub(crate) fn variables(&self) -> impl Iterator<Item = (&String, &String)> {
        self.0.env.iter()
    }

    pub(crate) fn start(self) -> TestGateway {
        let has_server = self
            .variables()
            .any(|(name, _)| name.ends_with("STORE__URL"));
        let (tell, told) = mpsc::channel();
        let (end, finished) = mpsc::channel();
        thread::spawn(move || {
            actix_web::rt::System::new().block_on(async {
                let config = Config::load(&self.0).unwrap_or_else(|problems| panic!("{problems}"));
                let application = Application::build(config).unwrap();
                tell.send((
                    application.address(),
                    application.metrics_address(),
                    application.console_address(),
                    application.admin_address(),
                    application.stopper(),
                ))
                .unwrap();
                application.run().await.unwrap();
            });
            // Nobody may be waiting any more.
            let _ = end.send(());
        });
        let (address, metrics_address, console_address, admin_address, stopper) =
            told.recv().unwrap();
        let gateway = TestGateway {
            address,
            metrics_address,
            console_address,
            admin_address,
            stopper,
            finished: Mutex::new(finished),
        };
        // It does not know who may come before it has met the server, if it is there.
        let patience = Instant::now() + Duration::from_secs(5);
        while has_server && Instant::now() < patience && gateway.get("/v1/models").status == 503 {
            thread::sleep(Duration::from_millis(5));
        }
        gateway
    }
}

impl TestGateway {
    pub(crate) fn connect(&self) -> Raw {
        Raw::connect(self.address)
    }

    /// Sends a request over a connection of its own and hands over the connection.
    pub(crate) fn open(&self, call: &Call) -> Raw {
        let mut raw = self.connect();
        raw.send(&call.to_bytes());
        raw
    }

    /// Sends a request and reads the whole answer.
    pub(crate) fn call(&self, call: &Call) -> Answer {
        self.open(call).answer()
    }

    /// Asks a chat question and reads the whole answer.
    pub(crate) fn ask(&self, body: &Value) -> Answer {
        self.call(&Call::chat(body))
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.call(&Call::get(path))
    }

    /// The value of one line of `/metrics`; 0 when there is none.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        let page = self.get("/metrics").text();
        let found = page
            .lines()
            .find_map(|found| found.strip_prefix(line)?.trim().parse().ok());
        found.unwrap_or(0.0)
    }

    /// Waits until a line of `/metrics` says this.
    pub(crate) fn until_metric(&self, line: &str, value: f64) {
        until(&format!("{line} {value}"), || {
            (self.metric(line) == value).then_some(())
        });
    }

    /// Begins an orderly stop and returns at once.
    pub(crate) fn begin_stop(&self) {
        let stopper = self.stopper.clone();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap();
            runtime.block_on(stopper.stop());
        });
    }

    /// Waits until the gateway has come to its end.
    pub(crate) fn finished(&self) {
        let finished = self.finished.lock().unwrap();
        finished.recv_timeout(super::TIMEOUT).unwrap();
    }
}

impl Drop for TestGateway {
    fn drop(&mut self) {
        self.begin_stop();
    }
}
