//! The client with which we call out: webhooks, and the server we relay to.

use std::time::Duration;

const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// A client that follows nothing, trusts no environment and keeps few connections.
pub(super) fn build() -> reqwest::Result<reqwest::Client> {
    // An error means that the program has chosen a provider already, which will do as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // A machine without certificates can still speak plain HTTP.
    settings()
        .build()
        .or_else(|_| settings().tls_certs_only([]).build())
}

fn settings() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_LIMIT)
        .pool_max_idle_per_host(4)
        .user_agent("fal-gateway-emulator")
}
