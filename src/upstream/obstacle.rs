//! Where the way to fal ends, when no connection comes about.

use std::error::Error;
use std::fmt;
use std::io;

use rustls::CertificateError;

/// What stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The URL of the settings and the path make no URL together.
    Address,
    /// The host's name is not known.
    Name,
    /// Nobody answers there, or the network does not lead there.
    Connection,
    /// What answers there speaks no TLS that we speak.
    Tls,
    /// What answers there is certified by nobody whom we trust.
    Issuer,
    /// What answers there shows a certificate that does not hold: for another name, or too old.
    Certificate,
    /// The proxy does not answer.
    Proxy,
    /// The proxy wants to know who is asking, or does not believe it.
    ProxyLogin,
    /// The proxy does not lead there.
    ProxyRefusal,
}

impl Obstacle {
    /// What stands in the way according to an error of the HTTP client, which says it in the last
    /// of its causes that means something.
    pub(super) fn of(error: &(dyn Error + 'static)) -> Self {
        let mut found = Self::Connection;
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(obstacle) = Self::of_one(error) {
                found = obstacle;
                if found.is_the_proxys() {
                    break;
                }
            }
            cause = error.source();
        }
        found
    }

    fn of_one(error: &(dyn Error + 'static)) -> Option<Self> {
        // What an error of the system's kind is made of does not count as its cause.
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Self::of_one(error.get_ref()?);
        }
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return Some(Self::of_tls(error));
        }
        // The types of these are private to the client; the tests hold on to the words.
        match error.to_string().as_str() {
            "dns error" => Some(Self::Name),
            "tunnel error: proxy authorization required" => Some(Self::ProxyLogin),
            "tunnel error: failed to create underlying connection" => Some(Self::Proxy),
            text if text.starts_with("tunnel error: ") => Some(Self::ProxyRefusal),
            _ => None,
        }
    }

    fn of_tls(error: &rustls::Error) -> Self {
        match error {
            // A bad signature is that of an authority whose name is one that is trusted.
            rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            ) => Self::Issuer,
            rustls::Error::InvalidCertificate(_) => Self::Certificate,
            _ => Self::Tls,
        }
    }

    fn is_the_proxys(self) -> bool {
        matches!(self, Self::Proxy | Self::ProxyLogin | Self::ProxyRefusal)
    }
}

/// What stands in the way and what removes it, to be read after "cannot connect to fal: ".
impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "fal.url and the application make no URL together",
            Self::Name => {
                "its name cannot be resolved; see whether fal.url is right and the system's name \
                 server answers"
            }
            Self::Connection => {
                "nobody answers there; see whether a firewall lets the gateway out, or set fal.proxy"
            }
            Self::Tls => "what answers there does not speak TLS as it should",
            Self::Issuer => {
                "its certificate comes from an authority that is not trusted; if a proxy of yours \
                 opens TLS, name its authority in fal.ca_file"
            }
            Self::Certificate => {
                "its certificate does not hold; see whether the clock is right and fal.url names \
                 the right host"
            }
            Self::Proxy => "the proxy in fal.proxy does not answer",
            Self::ProxyLogin => {
                "the proxy in fal.proxy wants a user and a password, or others than it was given"
            }
            Self::ProxyRefusal => "the proxy in fal.proxy refuses to connect to it",
        })
    }
}
