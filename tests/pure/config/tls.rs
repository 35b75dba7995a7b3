//! The certificate of the listening side.

use std::fs;
use std::path::Path;

use fal_gateway::config::{Config, Sources};
use rcgen::generate_simple_self_signed;

use super::{load, problems};

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).expect("it can be written");
    path.display().to_string()
}

fn set(certificate: &str, key: &str) -> Sources {
    Sources::default()
        .with_env("FAL_GATEWAY__SERVER__TLS_CERT", certificate)
        .with_env("FAL_GATEWAY__SERVER__TLS_KEY", key)
}

#[test]
fn a_certificate_and_its_key_go_together_or_are_told_apart() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let folder = folder.path();
    let made = |name| {
        let made = generate_simple_self_signed([format!("{name}.example.com")]);
        let made = made.expect("a certificate can be made");
        let certificate = write(folder, &format!("{name}.crt"), &made.cert.pem());
        let key = write(
            folder,
            &format!("{name}.key"),
            &made.signing_key.serialize_pem(),
        );
        (certificate, key)
    };
    let ((certificate, key), (_, other)) = (made("one"), made("two"));
    assert!(load(&set(&certificate, &key)).tls.is_some());
    assert!(load(&Sources::default()).tls.is_none());

    let text = write(folder, "text", "no certificate");
    let empty = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";
    let empty = write(folder, "empty", empty);
    for (certificate, key, said) in [
        (
            certificate.as_str(),
            "",
            "server.tls_cert is set without server.tls_key",
        ),
        ("", &key, "server.tls_key is set without server.tls_cert"),
        (&certificate, &other, "is not the key of the certificate"),
        (&text, &key, "holds no certificate in PEM form"),
        (&key, &key, "holds no certificate in PEM form"),
        (&empty, &key, "server.tls_cert cannot be used"),
        (&certificate, &text, "holds no private key in PEM form"),
        (
            &certificate,
            &certificate,
            "holds no private key in PEM form",
        ),
        (
            "/nowhere/a.crt",
            &key,
            "server.tls_cert /nowhere/a.crt cannot be read: it does not exist",
        ),
        (&certificate, "/", "server.tls_key / cannot be read"),
    ] {
        let found = problems(&set(certificate, key));
        assert!(found.contains(said), "{said}: {found}");
    }
    let shown = format!(
        "{:?}",
        Config::load(&set(&certificate, &key)).map(|config| config.tls)
    );
    assert!(shown.len() < 40, "{shown}");
}
