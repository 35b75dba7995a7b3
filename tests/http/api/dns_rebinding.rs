//! Whoever answers at fal's address without being fal: nothing is sent to them.

use std::io::Read;
use std::net::TcpListener;
use std::sync::{Arc, mpsc};
use std::thread;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};

use crate::support::{ScriptedUpstream, Setup, Step, TIMEOUT, question};

/// For 127.0.0.1 and localhost, signed by itself, and its key, which opens nothing.
const CERTIFICATE: &str = concat!(
    "MIIBljCCATugAwIBAgIUKYV5G+unTS1JzcyvkW9wz+Nh/QgwCgYIKoZIzj0EAwIwETEPMA0GA1UEAwwGbm9ib2R5",
    "MCAXDTI2MTEyMjA1MzYxNloYDzIxMjYxMDI5MDUzNjE2WjARMQ8wDQYDVQQDDAZub2JvZHkwWTATBgcqhkjOPQIB",
    "BggqhkjOPQMBBwNCAAQKo4hE8NBA0+IBMUlVa7ope4eFW7eIahpECzTbfscLNyR0DVupufPf2bKqRJMcBLjAdaUU",
    "xFiw3YpvH3zkdb5Mo28wbTAdBgNVHQ4EFgQUbNpHTK0iMs1dfSW4d0spEhEMXxAwHwYDVR0jBBgwFoAUbNpHTK0i",
    "Ms1dfSW4d0spEhEMXxAwDwYDVR0TAQH/BAUwAwEB/zAaBgNVHREEEzARhwR/AAABgglsb2NhbGhvc3QwCgYIKoZI",
    "zj0EAwIDSQAwRgIhAMNpIHT5jj0yKPs5dp5/sG4QhOlPCFKURqBIpFvYoYg+AiEA8rYemj4kBgf8cjDzkPpqQn3u",
    "sVxD45tQVtf9A3MCZOQ=",
);
const ITS_KEY: &str = concat!(
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgKfhdPlts6rFGh5ioBd7tMn5NSQjCD1Rp+32q+rme",
    "/lihRANCAAQKo4hE8NBA0+IBMUlVa7ope4eFW7eIahpECzTbfscLNyR0DVupufPf2bKqRJMcBLjAdaUUxFiw3Ypv",
    "H3zkdb5M",
);

/// A server that speaks TLS with that certificate: its address, and what it could read on each
/// connection.
fn stranger() -> (String, mpsc::Receiver<Vec<u8>>) {
    let decoded = |text: &str| BASE64_STANDARD.decode(text).unwrap();
    let certificate = CertificateDer::from(decoded(CERTIFICATE));
    let key = PrivateKeyDer::try_from(decoded(ITS_KEY)).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let mut tls = ServerConnection::new(config.clone()).unwrap();
            let mut bytes = [0; 4096];
            let read = Stream::new(&mut tls, &mut socket).read(&mut bytes);
            let count = read.unwrap_or(0);
            if tell.send(bytes[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    (url, told)
}

const UNREACHABLE: &str = "502 server_error upstream_unreachable";

#[test]
fn a_certificate_that_nobody_vouches_for_is_not_trusted() {
    for host in ["127.0.0.1", "localhost"] {
        let (url, told) = stranger();
        let url = url.replace("127.0.0.1", host);
        let gateway = Setup::towards(&url)
            .set("fal.connect_attempts", "1")
            .start();
        for stream in [false, true] {
            let answer = gateway.ask(&question("hi", stream));
            assert_eq!(answer.verdict(), UNREACHABLE, "{url}");
            assert_eq!(answer.header("x-should-retry"), None);
            assert_eq!(told.recv_timeout(TIMEOUT).unwrap(), b"", "{url}");
        }
    }
}

#[test]
fn a_port_without_tls_is_not_spoken_to_in_plain_words() {
    let words = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n".to_vec();
    for script in [
        vec![Step::Write(words), Step::Close],
        vec![Step::Close],
        vec![Step::Reset],
    ] {
        let fal = ScriptedUpstream::start(script);
        let url = fal.url().replace("http://", "https://");
        let gateway = Setup::towards(&url)
            .set("fal.connect_attempts", "1")
            .start();
        for stream in [false, true] {
            let answer = gateway.ask(&question("hi", stream));
            assert_eq!(answer.verdict(), UNREACHABLE);
        }
        assert_eq!(fal.requests(), 0);
    }
}

/// The time to connect covers TLS.
#[test]
fn a_port_that_says_nothing_to_tls_is_given_up_in_time() {
    let fal = ScriptedUpstream::start(vec![Step::Hold]);
    let url = fal.url().replace("http://", "https://");
    let gateway = Setup::towards(&url)
        .set("fal.connect_attempts", "1")
        .set("fal.connect_timeout", "300ms")
        .start();
    let answer = gateway.ask(&question("hi", false));
    assert_eq!(answer.verdict(), "504 server_error upstream_timeout");
    assert_eq!(answer.header("x-should-retry"), None);
}
