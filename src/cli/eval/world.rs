//! What the tasks are put to: a gateway of our own in front of the emulator, of a relay or of fal,
//! or one that runs elsewhere.

use std::collections::BTreeMap;
use std::io;

use secrecy::SecretString;

use super::form::Form;
use crate::app::{Application, ShutdownHandle};
use crate::cli::client::Client;
use crate::cli::demo;
use crate::config::{Config, Upstream};
use crate::emulator::{Emulator, Options, Overheard, Running};

/// Something that answers chat requests.
pub(super) struct World {
    pub(super) client: Client,
    gateway: Option<ShutdownHandle>,
    fal: Option<Running>,
    overheard: Overheard,
}

/// How a gateway of our own guides its models.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guidance {
    pub(super) form: Form,
    /// Whether they are shown outlines of JSON.
    pub(super) has_outlines: bool,
}

impl Guidance {
    /// Guidance in this form, and otherwise as usual.
    pub(super) fn of(form: Form) -> Self {
        Self {
            form,
            has_outlines: true,
        }
    }
}

impl World {
    /// A gateway that runs already.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(super) fn elsewhere(base_url: &str, key: Option<&SecretString>) -> io::Result<World> {
        Ok(World {
            client: Client::new(base_url, key).map_err(io::Error::other)?,
            gateway: None,
            fal: None,
            overheard: Overheard::default(),
        })
    }

    /// A gateway of our own, in front of an emulator of our own.
    ///
    /// # Errors
    /// When no port is free, or the settings cannot be put to use.
    pub(super) fn emulated(
        mut config: Config,
        guidance: Guidance,
        options: Options,
    ) -> io::Result<World> {
        let overheard = Overheard::default();
        let fal = Emulator::bind(Options {
            overheard: Some(overheard.clone()),
            listen: "127.0.0.1:0".to_owned(),
            tag: false,
            ..options
        })?
        .start();
        demo::point_at(&mut config, &fal.url());
        let world = World::before_fal(config, guidance)?;
        Ok(World {
            fal: Some(fal),
            overheard,
            ..world
        })
    }

    /// A gateway of our own, in front of the fal that the settings name. It is open, because only
    /// this machine can reach it.
    ///
    /// # Errors
    /// When no port is free, or the settings cannot be put to use.
    pub(super) fn before_fal(mut config: Config, guidance: Guidance) -> io::Result<World> {
        config.keep_to_this_process();
        // The same keys each time, so that two measurements are alike.
        let secret = || "a secret for measurements".into();
        config.fold.secret.get_or_insert_with(secret);
        // The beginning of every id.
        let dialect = guidance.form.dialect();
        config.tools.dialects = dialect
            .map(|dialect| (String::new(), dialect))
            .into_iter()
            .collect();
        config.tools.outlines = BTreeMap::from([(String::new(), guidance.has_outlines)]);
        config.fal.upstream = upstream(config.fal.upstream, guidance.form);
        let application = Application::build(config).map_err(io::Error::other)?;
        let client = Client::new(&format!("http://{}/v1", application.address()), None);
        let stopper = application.stopper();
        actix_web::rt::spawn(application.run());
        Ok(World {
            client: client.map_err(io::Error::other)?,
            gateway: Some(stopper),
            fal: None,
            overheard: Overheard::default(),
        })
    }

    /// What the model has written since this was asked last, where it can be overheard.
    pub(super) fn take_overheard(&self) -> Vec<String> {
        let mut texts = self.overheard.lock();
        texts.as_deref_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Ends what was started.
    pub(super) async fn stop(self) {
        // Both servers wait for connections that are open.
        drop(self.client);
        if let Some(gateway) = self.gateway {
            gateway.stop().await;
        }
        if let Some(fal) = self.fal {
            fal.stop().await;
        }
    }
}

/// Where models are asked in this form: through fal's OpenAI face, or by a prompt. A prompt goes to
/// the application that the settings name, or else to the router's, which takes the same models as
/// the OpenAI face.
fn upstream(chosen: Upstream, form: Form) -> Upstream {
    match (form, chosen) {
        (Form::Native, _) => Upstream::RouterOpenai,
        (Form::Written(_), Upstream::AnyLlm | Upstream::Router) => chosen,
        (Form::Written(_), Upstream::RouterOpenai | Upstream::Auto) => Upstream::Router,
    }
}
