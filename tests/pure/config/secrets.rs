//! No secret is ever shown, however the settings are printed.

use super::{file, hash, problems};
use fal_gateway::cli::check::check;
use fal_gateway::config::{Config, Sources};

/// Everything that can be printed about some sources.
fn everything(sources: &Sources) -> String {
    let mut page = Vec::new();
    let _ = check(sources, &mut page).expect("memory can be written");
    let page = String::from_utf8(page).expect("only text is printed");
    let inspection = Config::inspect(sources);
    format!("{page}\n{inspection:?}\n{sources:?}\n{}", problems(sources))
}

#[test]
fn good_secrets_are_masked_everywhere() {
    let sources = file("[fal]\nkey = \"0123456789-fal-secret-c81f\"")
        .with_env("FAL_GATEWAY_KEYS", "sk-client-secret")
        .with_env("FAL_GATEWAY__AUTH__ADMIN_KEY", hash('d'));
    let page = everything(&sources);
    assert_eq!(problems(&sources), "");
    assert!(page.contains("= ***"), "{page}");
    for secret in ["fal-secret", "c81f", "client-secret", "dddd"] {
        assert!(!page.contains(secret), "{page}");
    }
}

#[test]
fn a_short_key_is_masked_like_a_long_one() {
    let page = everything(&Sources::default().with_env("FAL_KEY", "0012"));
    assert!(!page.contains("0012"), "{page}");
}

#[test]
fn bad_secrets_are_not_quoted_either() {
    let secret = "hunter2-hunter2-hunter2";
    let bad = [
        file(&format!("[fal]\nkey = \"{secret} {secret}\"")),
        file(&format!("[fal]\nkey = [\"{secret}\"]")),
        file(&format!("[fal]\nkey = {secret}:{secret}")),
        file(&format!("[fal]\nkey = \"{secret}")),
        file(&format!("[fal]\nkee = \"{secret}\"")),
        file(&format!("[auth]\nkeys = [\"{secret}\"]")),
        file(&format!("[auth]\nkeys = \"{secret}\"")),
        file(&format!("[auth]\nkeys = {{ {secret} = \"{secret}\" }}")),
        file(&format!("[auth]\nadmin_key = \"alice:{secret}\"")),
        file(&format!("[fal]\nurl = \"https://user:{secret}@fal.run\"")),
        file(&format!("[fal]\nurl = \"https://fal.run/?token={secret}\"")),
        Sources::default().with_env("FAL_KEY", format!("{secret}\n{secret}")),
        Sources::default().with_env("FAL_GATEWAY__AUTH__KEYS", secret),
    ];
    for sources in bad {
        let page = everything(&sources);
        assert_ne!(problems(&sources), "", "{page}");
        assert!(!page.contains("hunter2"), "{page}");
    }
}

#[test]
fn the_settings_themselves_are_safe_to_log() {
    let config = Config::load(&Sources::default().with_env("FAL_KEY", "very-secret"));
    assert!(!format!("{config:?}").contains("very-secret"));
}

#[test]
fn a_proxys_login_is_masked_everywhere() {
    for sources in [
        file("[fal]\nproxy = \"http://hunter2:hunter3@proxy.example.com:3128\""),
        file("[fal]\nproxy = \"http://hunter2:hunter3@proxy.example.com:3128/path\""),
        file("[fal]\nproxy = \"hunter2:hunter3@proxy.example.com\""),
        file("[fal]\nproxy = \"env\"")
            .with_env("HTTPS_PROXY", "http://hunter2:hunter3@proxy.example.com"),
        file("[fal]\nproxy = \"env\"")
            .with_env("HTTPS_PROXY", "ftp://hunter2:hunter3@proxy.example.com"),
    ] {
        let page = everything(&sources);
        assert!(!page.contains("hunter"), "{page}");
    }
}
