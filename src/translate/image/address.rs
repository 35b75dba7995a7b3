//! Addresses of images on the web: which of them fal may be asked to fetch.
//!
//! The gateway resolves no names; fal guards its own network. What can be seen from the address
//! alone is refused here: other schemes, hosts that nobody outside a private network can reach,
//! and ports where no web server listens.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// The longest address that is not a data URI.
const MAX_URL_BYTES: usize = 8 * 1024;

/// Accepts an address; `allow_http` says whether plain `http:` will do.
///
/// # Errors
/// What is wrong, as the end of a sentence.
pub(super) fn check(url: &str, allow_http: bool) -> Result<(), String> {
    if url.len() > MAX_URL_BYTES {
        return Err("the URL is longer than 8192 bytes.".to_owned());
    }
    if url.contains(|letter: char| letter.is_control() || letter == '\\' || letter == ' ') {
        return Err("the URL holds a space, a backslash or a control character.".to_owned());
    }
    if url.contains(is_invisible) {
        return Err("the URL holds a character that cannot be seen.".to_owned());
    }
    let parsed = Url::parse(url).map_err(|_| "it is neither a URL nor a data URI.".to_owned())?;
    match parsed.scheme() {
        "https" => {}
        "http" if allow_http => {}
        _ => return Err("the URL must begin with https:// (or be a data URI).".to_owned()),
    }
    // Readers of addresses disagree on what `https:example.com` and `https:///example.com` name.
    let rest = url.get(parsed.scheme().len()..).unwrap_or_default();
    if !rest.starts_with("://") || rest.starts_with(":///") {
        return Err("the URL must have two slashes and a host after its scheme.".to_owned());
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err("the URL must not hold a user name or password.".to_owned());
    }
    if parsed.port().is_some_and(|port| !is_web_port(port)) {
        return Err("the URL names a port on which no web server listens.".to_owned());
    }
    match parsed.host() {
        Some(host) if is_public(&host) => Ok(()),
        _ => {
            Err("the URL points into a private network, from where fal cannot fetch it.".to_owned())
        }
    }
}

/// Marks of direction and letters without width, with which an address shows another one (source:
/// Unicode Technical Report 36, section 2.10).
fn is_invisible(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

/// Ports above the system's own, on which other services than web servers usually listen: databases,
/// brokers, caches, remote desktops, and what runs containers.
const OTHER_SERVICES: [u16; 24] = [
    1433, 1521, 1883, 2049, 2181, 2375, 2376, 2379, 2380, 3306, 3389, 4369, 5432, 5672, 5900, 5984,
    6379, 6443, 9042, 9092, 9200, 10250, 11211, 27017,
];

fn is_web_port(port: u16) -> bool {
    matches!(port, 80 | 443) || (port >= 1024 && !OTHER_SERVICES.contains(&port))
}

/// Ends of names that the public internet does not know (sources: IANA's registry of special-use
/// domain names; ICANN's reserved `internal` and withheld `home` and `corp`; and what routers and
/// clusters call their own networks).
const PRIVATE_ENDS: [&str; 12] = [
    "localhost",
    "local",
    "internal",
    "lan",
    "home",
    "home.arpa",
    "corp",
    "intranet",
    "private",
    "localdomain",
    "svc",
    "test",
];

/// Whether a host could be on the public internet.
fn is_public(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let is_below = |end: &str| {
                name.strip_suffix(end)
                    .is_some_and(|above| above.ends_with('.'))
            };
            // A name of one label is looked up in the resolver's own domain.
            name.contains('.') && !PRIVATE_ENDS.into_iter().any(is_below)
        }
        Host::Ipv4(address) => is_public_address(IpAddr::V4(*address)),
        Host::Ipv6(address) => is_public_address(IpAddr::V6(*address)),
    }
}

fn is_public_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => match embedded_v4(v6) {
            Some(v4) => is_public_v4(v4),
            None => is_public_v6(v6),
        },
    }
}

/// Addresses that the public internet routes (source: IANA's registry of special-purpose IPv4
/// addresses).
fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    let is_shared = a == 100 && (64..128).contains(&b);
    let is_protocol = (a, b, c) == (192, 0, 0);
    let is_benchmark = a == 198 && (18..20).contains(&b);
    let is_relay = (a, b, c) == (192, 88, 99);
    let is_reserved = a == 0 || a >= 224;
    let is_special = is_shared || is_protocol || is_benchmark || is_relay || is_reserved;
    let is_local = v4.is_private() || v4.is_loopback() || v4.is_link_local();
    !(is_local || is_special || v4.is_documentation())
}

/// The same for IPv6: what is given out is all in 2000::/3, less the ranges for protocols and
/// documents (source: IANA's registry of special-purpose IPv6 addresses). An interface of ISATAP
/// (RFC 5214, section 6.1) leads to an IPv4 address, and so does all of Teredo, in 2001::/23.
fn is_public_v6(v6: Ipv6Addr) -> bool {
    let [first, second, _, _, _, interface, ..] = v6.segments();
    let is_global = first & 0xe000 == 0x2000;
    let is_protocol = first == 0x2001 && second < 0x200;
    let is_document = (first, second) == (0x2001, 0xdb8) || (first == 0x3fff && second < 0x1000);
    let is_isatap = interface == 0x5efe;
    is_global && !(is_protocol || is_document || is_isatap)
}

/// The IPv4 address inside a mapped, 6to4 or NAT64 address.
fn embedded_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let v4 = |high: u16, low: u16| {
        let ([w, x], [y, z]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(w, x, y, z)
    };
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0xffff) | (0x64, 0xff9b, 0, 0, 0, 0) => Some(v4(g, h)),
        (0x2002, high, low, ..) => Some(v4(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn addresses_that_only_a_private_network_knows_are_refused() {
        for host in [
            "localhost",
            "a.localhost",
            "metadata",
            "intranet",
            "printer.local",
            "metadata.google.internal",
            "nas.lan",
            "router.home.arpa",
            "a.home",
            "host.localdomain",
            "api.default.svc",
            "api.default.svc.cluster.local",
            "LOCALHOST.",
            "nas.lan.",
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.1",
            "0x7f000001",
            "2130706433",
            "0177.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "[::]",
            "[::1]",
            "[::7f00:1]",
            "[::ffff:127.0.0.1]",
            "[64:ff9b::127.0.0.1]",
            "[64:ff9b:1::808:808]",
            "[100::1]",
            "[100:0:0:1::1]",
            "[2001::1]",
            "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
            "[2001:2::1]",
            "[2001:10::1]",
            "[2001:db8::1]",
            "[2002:7f00:1::1]",
            "[2a00:1450::5efe:7f00:1]",
            "[2a00:1450::200:5efe:7f00:1]",
            "[3fff::1]",
            "[5f00::1]",
            "[fc00::1]",
            "[fe80::1]",
            "[fec0::1]",
            "[ff02::1]",
        ] {
            let refusal = check(&format!("https://{host}/a.png"), false);
            assert!(
                refusal.is_err_and(|why| why.contains("private network")),
                "{host}"
            );
        }
    }

    #[test]
    fn addresses_on_the_public_internet_are_accepted() {
        for host in [
            "example.com",
            "a.example",
            "v3.fal.media",
            "EXAMPLE.com.",
            "local.example.com",
            "bücher.example",
            "example.com:443",
            "example.com:80",
            "example.com:8443",
            "8.8.8.8",
            "[2a00:1450:4001:80b::200e]",
            "[2001:4860:4860::8888]",
            "[2002:808:808::1]",
            "[64:ff9b::8.8.8.8]",
            "[::ffff:8.8.8.8]",
        ] {
            assert_eq!(
                check(&format!("https://{host}/a.png"), false),
                Ok(()),
                "{host}"
            );
        }
    }

    #[test]
    fn ports_of_other_services_and_letters_that_cannot_be_seen_are_refused() {
        for port in [
            1, 21, 22, 25, 110, 444, 1023, 2375, 5432, 6379, 9200, 11211, 27017,
        ] {
            let refusal = check(&format!("https://a.example:{port}/a.png"), false);
            assert!(refusal.is_err_and(|why| why.contains("port")), "{port}");
        }
        for letter in [
            '\u{202e}', '\u{2066}', '\u{200f}', '\u{61c}', '\u{200b}', '\u{feff}',
        ] {
            for url in [
                format!("https://a.example/a{letter}.png"),
                format!("https://a{letter}.example/a.png"),
            ] {
                let refusal = check(&url, false);
                assert!(
                    refusal.is_err_and(|why| why.contains("cannot be seen")),
                    "{url:?}"
                );
            }
        }
    }
}
