//! Addresses of images: passed on as text or refused, and never visited.

use serde_json::json;

use crate::support::{Emulated, ScriptedUpstream, Step, TestGateway, whole};

fn verdict(gateway: &TestGateway, url: &str) -> String {
    let answer = gateway.ask(&json!({
        "model": "openai/gpt-4o",
        "messages": [{"role": "user", "content": [
            {"type": "text", "text": "what is this?"},
            {"type": "image_url", "image_url": {"url": url}},
        ]}],
    }));
    match answer.status {
        200 => "served".to_owned(),
        _ => answer.verdict(),
    }
}

const REFUSED: &str = "400 invalid_request_error invalid_image_url";

/// The same few places in every spelling that some library, somewhere, understands.
#[test]
fn addresses_inside_a_private_network_are_refused_in_every_spelling() {
    let fal = Emulated::start();
    let gateway = fal.setup().set("images.http", "true").start();
    for host in [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.1.",
        "%31%32%37.0.0.1",
        "\u{ff11}\u{ff12}\u{ff17}.0.0.1",
        "127\u{3002}0\u{3002}0\u{3002}1",
        "\u{2460}\u{2461}\u{2466}.0.0.1",
        "0",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "3232235521",
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "100.64.0.1",
        "198.18.0.1",
        "192.0.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fd00::1]",
        "[fec0::1]",
        "[ff02::1]",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "\u{24db}ocalhost",
        "printer.local",
        "metadata.google.internal",
        "metadata.google.internal.",
    ] {
        for scheme in ["https", "http", "HTTPS"] {
            let url = format!("{scheme}://{host}/x.png");
            assert_eq!(verdict(&gateway, &url), REFUSED, "{url}");
            let url = format!("{scheme}://{host}:8080/x.png");
            assert_eq!(verdict(&gateway, &url), REFUSED, "{url}");
        }
    }
    assert_eq!(fal.count(), 0);
}

#[test]
fn addresses_that_are_no_images_on_the_web_are_refused() {
    let fal = Emulated::start();
    let gateway = fal.setup().set("images.http", "true").start();
    for url in [
        "file:///etc/passwd",
        "gopher://example.com/1",
        "ftp://example.com/x.png",
        "javascript:alert(1)",
        "blob:https://example.com/1",
        "//example.com/x.png",
        "/x.png",
        "x.png",
        "",
        "https://",
        "https:///x.png",
        "https:example.com/x.png",
        "https:/example.com/x.png",
        "https://user@example.com/x.png",
        "https://user:word@example.com/x.png",
        "https://example.com@127.0.0.1/x.png",
        "https://example.com\\@127.0.0.1/x.png",
        "https:\\\\example.com\\x.png",
        "https://example.com/x.png\r\nhost: evil",
        "https://example.com/\u{0}x.png",
        " https://example.com/x.png",
        "https://exam ple.com/x.png",
        "data:text/html;base64,PGI+",
        "data:image/svg+xml;base64,PHN2Zz4=",
        "data:image/png,plain",
        "data:image/png;base64,",
        "data:image/png;base64,not base64",
        "data:,",
    ] {
        assert_eq!(verdict(&gateway, url), REFUSED, "{url:?}");
    }
    assert_eq!(fal.count(), 0);
}

/// What looks like one of the above and is none goes to fal, letter by letter.
#[test]
fn addresses_on_the_web_are_passed_on_as_they_are_and_not_visited() {
    for url in [
        "https://example.com/x.png",
        "https://localhost.example.com/x.png",
        "https://127.0.0.1.example.com/x.png",
        "https://172.32.0.1/x.png",
        "https://[2001:4860:4860::8888]/x.png",
        "https://m\u{fc}nchen.example/b\u{fc}ld.png?a=%20&b=\u{e9}",
    ] {
        let fal = ScriptedUpstream::start(vec![Step::Read, Step::Write(whole("a cat"))]);
        let gateway = fal.setup().start();
        assert_eq!(verdict(&gateway, url), "served", "{url}");
        let seen = fal.seen();
        let request = String::from_utf8_lossy(&seen[0].requests[0]).into_owned();
        let listed = format!("\"image_urls\":[\"{url}\"]");
        assert!(request.contains(&listed), "{url}: {request}");
    }
}
