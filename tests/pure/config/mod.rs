//! The settings as an operator meets them: sources in, values or sentences out.

mod bad_values;
mod capabilities;
mod check;
mod contradictions;
mod found;
mod keys;
mod precedence;
mod process;
mod secrets;
mod tls;

use fal_gateway::config::{Config, Sources};

const FILE: &str = "fal-gateway.toml";

/// A certificate of an authority; its key is nobody's.
const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBdjCCARugAwIBAgIUdzT0jFNtLpQRGEWp56wrNHxpx7EwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjYwNzMxMjhaGA8yMTI2MTEwMjA3MzEy
OFowDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABCTP
Z02PxQtqHrDOibyX80EgFL+7BIrVYobsu90W931V8n1zTxBeiIv4z7yY/5WGYQNI
5HkjGAyJVwsP57g8GsijUzBRMB0GA1UdDgQWBBTM0e/z6+KW0yCntR0fNWr4HGUG
YzAfBgNVHSMEGDAWgBTM0e/z6+KW0yCntR0fNWr4HGUGYzAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0kAMEYCIQCUGwtDLR2n6Eh6cxfV1Eq/fYIdiFcxLUFZ
f8Cs+7VqLAIhAJ0hkxtnTbHv4OOpDWkj9a5dhXEtbVFg2S71DTYft+zJ
-----END CERTIFICATE-----
";

/// Sources with nothing but this file.
fn file(text: &str) -> Sources {
    Sources::default().with_file(FILE, text)
}

fn load(sources: &Sources) -> Config {
    Config::load(sources)
        .unwrap_or_else(|problems| unreachable!("these settings are fine, but:\n{problems}"))
}

/// All problems, one per line.
fn problems(sources: &Sources) -> String {
    Config::load(sources).map_or_else(|problems| problems.to_string(), |_| String::new())
}

/// `sha256:` and a hash made of one repeated digit.
fn hash(digit: char) -> String {
    format!("sha256:{}", digit.to_string().repeat(64))
}
