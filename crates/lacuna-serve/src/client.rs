//! Identifies clients, for fairness and limits.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::HeaderMap;

/// A client, by its address. For IPv6 a /64 network is one client, as one household has that many addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Client(IpAddr);

impl From<IpAddr> for Client {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) if !address.is_loopback() => {
                let network = u128::from(address) & (u128::MAX << 64);
                Self(IpAddr::V6(Ipv6Addr::from(network)))
            }
            address => Self(address),
        }
    }
}

/// The client behind the proxy at `peer`: the last entry of `X-Forwarded-For`, which the proxy itself added; the
/// entries before it come from the client.
pub fn forwarded(peer: IpAddr, headers: &HeaderMap) -> Client {
    let last = headers.get_all("x-forwarded-for").iter().next_back();
    let words = last.and_then(|value| value.to_str().ok()?.rsplit(',').next());
    words.and_then(|word| word.trim().parse().ok()).unwrap_or(peer).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> Client {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn a_household_is_one_client() {
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:1"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
        assert_eq!(client("::ffff:10.0.0.1"), client("10.0.0.1"));
        assert_ne!(client("10.0.0.1"), client("10.0.0.2"));
    }

    #[test]
    fn a_proxy_is_believed_its_own_word_only() {
        let peer: IpAddr = "127.0.0.1".parse().unwrap();
        let mut headers = HeaderMap::new();
        assert_eq!(forwarded(peer, &headers), client("127.0.0.1"));
        headers.append("x-forwarded-for", "6.6.6.6, 10.0.0.7".parse().unwrap());
        assert_eq!(forwarded(peer, &headers), client("10.0.0.7"));
        headers.append("x-forwarded-for", "10.0.0.8".parse().unwrap());
        assert_eq!(forwarded(peer, &headers), client("10.0.0.8"));
        headers.append("x-forwarded-for", "nonsense".parse().unwrap());
        assert_eq!(forwarded(peer, &headers), client("127.0.0.1"));
    }
}
