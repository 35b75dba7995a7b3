//! The project's emulator of fal, on a free port, in threads of its own.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;

use fal_gateway::emulator::{Emulator, Options};
use serde_json::Value;

use super::gateway::Setup;
use super::raw::{Call, Raw};

pub(crate) struct Emulated {
    address: SocketAddr,
}

impl Emulated {
    pub(crate) fn start() -> Self {
        Self::with(Options::default())
    }

    /// An emulator whose answers are the bare words asked for, whatever else is chosen.
    pub(crate) fn with(options: Options) -> Self {
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            actix_web::rt::System::new().block_on(async {
                let options = Options {
                    listen: "127.0.0.1:0".to_owned(),
                    tag: false,
                    ..options
                };
                let emulator = Emulator::bind(options).unwrap();
                tell.send(emulator.addr()).unwrap();
                emulator.start().finished().await;
            });
        });
        Self {
            address: told.recv().unwrap(),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A gateway in front of this emulator.
    pub(crate) fn setup(&self) -> Setup {
        Setup::towards(&self.url()).set("fal.queue_url", &format!("{}/queue", self.url()))
    }

    fn page(&self, path: &str) -> Value {
        let mut raw = Raw::connect(self.address);
        raw.send(&Call::get(&format!("/_emulator{path}")).to_bytes());
        raw.answer().json()
    }

    /// Everything asked so far, once there are at least so many requests.
    pub(crate) fn requests(&self, least: usize) -> Vec<Value> {
        let list = self.page(&format!("/requests?wait={least}"));
        let list = list.as_array().unwrap().clone();
        assert!(list.len() >= least, "{} requests of {least}", list.len());
        list
    }

    /// How many requests there were so far.
    pub(crate) fn count(&self) -> usize {
        self.requests(0).len()
    }

    /// The newest request, once it has ended.
    pub(crate) fn ended(&self) -> Value {
        let newest = self.requests(1).last().unwrap()["id"].clone();
        self.page(&format!("/requests/{newest}?wait=ended"))
    }
}
