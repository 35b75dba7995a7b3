//! Where a request comes from, as far as that can be believed.

use std::net::{IpAddr, SocketAddr};

use actix_web::http::header::{HeaderMap, HeaderName};

use crate::config::Network;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of a client: that of the connection, or, where a trusted proxy holds it, the last
/// one that the proxies name and that is not theirs. `None` when a trusted proxy names none.
pub fn of_client(
    peer: Option<SocketAddr>,
    headers: &HeaderMap,
    proxies: &[Network],
) -> Option<IpAddr> {
    let is_proxy = |address: &IpAddr| proxies.iter().any(|proxy| proxy.contains(*address));
    let peer = peer?.ip().to_canonical();
    if !is_proxy(&peer) {
        return Some(peer);
    }
    let lists = headers
        .get_all(FORWARDED_FOR)
        .filter_map(|list| list.to_str().ok());
    let named: Vec<&str> = lists.flat_map(|list| list.split(',')).collect();
    for name in named.into_iter().rev() {
        // Whoever wrote something else before is not known, so that what precedes it may be
        // anybody's word.
        let address = name.trim().parse::<IpAddr>().ok()?.to_canonical();
        if !is_proxy(&address) {
            return Some(address);
        }
    }
    None
}

/// What is counted as one client: an address, or the block of them that one customer of an IPv6
/// network has to himself (source: RFC 6177).
pub fn block(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn client(peer: &str, forwarded: &[&'static str]) -> Option<String> {
        let proxies = ["10.0.0.0/8", "::1"].map(|text| Network::parse(text).unwrap());
        let mut headers = HeaderMap::new();
        for list in forwarded {
            headers.append(FORWARDED_FOR, HeaderValue::from_static(list));
        }
        let peer = SocketAddr::new(peer.parse().unwrap(), 1);
        of_client(Some(peer), &headers, &proxies).map(|address| address.to_string())
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        for (peer, forwarded, expected) in [
            ("203.0.113.1", &["198.51.100.7"][..], Some("203.0.113.1")),
            ("10.0.0.1", &["198.51.100.7"], Some("198.51.100.7")),
            ("::ffff:10.0.0.1", &["198.51.100.7"], Some("198.51.100.7")),
            (
                "10.0.0.1",
                &["192.0.2.1, 198.51.100.7"],
                Some("198.51.100.7"),
            ),
            (
                "10.0.0.1",
                &["192.0.2.1", "198.51.100.7, 10.0.0.2"],
                Some("198.51.100.7"),
            ),
            ("::1", &["2001:db8::1"], Some("2001:db8::1")),
            ("10.0.0.1", &["198.51.100.7, unknown"], None),
            ("10.0.0.1", &[], None),
        ] {
            assert_eq!(
                client(peer, forwarded).as_deref(),
                expected,
                "{forwarded:?}"
            );
        }
    }

    #[test]
    fn neighbours_in_an_ipv6_network_are_one() {
        let of = |text: &str| block(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2::"));
        assert_ne!(of("2001:db8:1:2::"), of("2001:db8:1:3::"));
        assert_ne!(of("203.0.113.1"), of("203.0.113.2"));
    }
}
