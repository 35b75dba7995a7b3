//! How the emulator is set up.

use std::sync::{Arc, Mutex};

use super::script::Behaviour;

/// Texts that models wrote, each as far as it was heard.
pub type Overheard = Arc<Mutex<Vec<String>>>;

/// What the emulator listens on and how it behaves unless a request says otherwise.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address and port, such as `127.0.0.1:3251`; port 0 picks a free one.
    pub listen: String,
    /// Whether our own answers begin with `[fal-gateway emulator — not a real model] `; those whose
    /// worth is their exact bytes (`echo`, `json`, `describe`) never do.
    pub tag: bool,
    /// The one valid fal key (`id:secret`); `None` lets every well-formed key in.
    pub key: Option<String>,
    /// The key that may ask for the balance; `None` is none.
    pub admin_key: Option<String>,
    /// The balance in dollars.
    pub balance: f64,
    /// Applications that fal no longer has: what begins like one of these is not found.
    pub gone_apps: Vec<String>,
    /// Base URL of an OpenAI-compatible server that answers in our place, such as
    /// `http://127.0.0.1:11434/v1`.
    pub relay: Option<String>,
    /// Bearer key for that server.
    pub relay_key: Option<String>,
    /// The model to ask that server for; `None` passes fal's model name on.
    pub relay_model: Option<String>,
    /// Names, besides this machine's own and addresses, under which requests are taken.
    pub public_hosts: Vec<String>,
    /// Where webhooks may be posted to.
    pub webhooks: Webhooks,
    /// Where the texts go that the server of `relay` writes.
    pub overheard: Option<Overheard>,
    /// The behaviour that a request's own words change.
    pub behaviour: Behaviour,
    /// Worker threads.
    pub workers: usize,
}

/// Where webhooks may be posted to: a caller names the address, and what is posted comes from here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Webhooks {
    /// To servers of this machine.
    #[default]
    Loopback,
    /// To every address.
    Any,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            listen: "127.0.0.1:3251".to_owned(),
            tag: true,
            key: None,
            admin_key: None,
            balance: 42.5,
            gone_apps: Vec::new(),
            relay: None,
            relay_key: None,
            relay_model: None,
            overheard: None,
            public_hosts: Vec::new(),
            webhooks: Webhooks::default(),
            behaviour: Behaviour::default(),
            workers: 1,
        }
    }
}
