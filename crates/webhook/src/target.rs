//! Where webhooks may go. Whoever registers an address has us call it: not our own network (OWASP API7, server-side request forgery).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

const URL_CHARS_MAX: usize = 2_000;

/// What may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Public addresses, by https.
    Public,
    /// Whatever there is, for tests and closed networks.
    Anything,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    #[error("it is no URL of at most {URL_CHARS_MAX} characters: {0}")]
    NotAUrl(String),
    #[error("it has to be https")]
    NotHttps,
    #[error("a name and password do not belong into it: what is sent is signed")]
    Credentials,
    #[error("it leads into a network that is not public")]
    NotPublic,
}

/// What can be seen of an address without asking for it. Names are looked at when they are resolved.
pub fn check(url: &str, reach: Reach) -> Result<Url, TargetError> {
    if url.len() > URL_CHARS_MAX {
        return Err(TargetError::NotAUrl(format!("it has {}", url.len())));
    }
    let url: Url = url.parse().map_err(|error: url::ParseError| TargetError::NotAUrl(error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(TargetError::Credentials);
    }
    match (url.scheme(), reach) {
        ("https", _) | ("http", Reach::Anything) => {}
        _ => return Err(TargetError::NotHttps),
    }
    let address = match url.host() {
        None => return Err(TargetError::NotAUrl("it names no host".to_owned())),
        Some(Host::Domain(_)) => None,
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
    };
    match address {
        Some(address) if reach == Reach::Public && !is_public(address) => Err(TargetError::NotPublic),
        _ => Ok(url),
    }
}

/// Resolves names to what may be called: what a name meant when it was registered says nothing of today.
pub(crate) struct Resolver(pub(crate) Reach);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let is_allowed = |address: &SocketAddr| reach == Reach::Anything || is_public(address.ip());
            let allowed: Vec<SocketAddr> = found.filter(is_allowed).collect();
            if allowed.is_empty() {
                return Err(TargetError::NotPublic.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// The special-purpose registries of IANA (RFC 6890), as far as nothing public stands in them.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_shared = a == 100 && (64..128).contains(&b);
    let is_benchmark = a == 198 && (b == 18 || b == 19);
    let is_protocol = a == 192 && b == 0 && c == 0;
    !(a == 0
        || a >= 224
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_documentation()
        || is_shared
        || is_benchmark
        || is_protocol)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(address) = address.to_ipv4_mapped() {
        return is_public_v4(address);
    }
    let [first, second, ..] = address.segments();
    // 2000::/3 is what has been given out, without the tunnels (2001::/23, 2002::/16) and the documentation's.
    (0x2000..0x4000).contains(&first)
        && first != 0x2002
        && !(first == 0x2001 && second < 0x200)
        && !(first == 0x2001 && second == 0xdb8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_public_is_called() {
        for url in ["https://shop.example/hooks?a=b", "https://1.1.1.1/", "https://[2606:4700::1111]:8443/x"]
        {
            assert!(check(url, Reach::Public).is_ok(), "{url}");
        }
        for (url, error) in [
            ("http://shop.example/", TargetError::NotHttps),
            ("ftp://shop.example/", TargetError::NotHttps),
            ("https://ada:secret@shop.example/", TargetError::Credentials),
            ("https://127.0.0.1/", TargetError::NotPublic),
            ("https://2130706433/", TargetError::NotPublic),
            ("https://0x7f.1/", TargetError::NotPublic),
            ("https://10.1.2.3/", TargetError::NotPublic),
            ("https://169.254.169.254/latest/meta-data", TargetError::NotPublic),
            ("https://100.64.0.1/", TargetError::NotPublic),
            ("https://[::1]/", TargetError::NotPublic),
            ("https://[::ffff:10.0.0.1]/", TargetError::NotPublic),
            ("https://[fd00::1]/", TargetError::NotPublic),
            ("https://[fe80::1]/", TargetError::NotPublic),
            ("https://[64:ff9b::a00:1]/", TargetError::NotPublic),
        ] {
            assert_eq!(check(url, Reach::Public), Err(error), "{url}");
        }
        assert!(matches!(check("shop.example", Reach::Public), Err(TargetError::NotAUrl(_))));
        assert!(matches!(check(&"a".repeat(3_000), Reach::Anything), Err(TargetError::NotAUrl(_))));
        assert!(check("http://127.0.0.1:9/", Reach::Anything).is_ok());
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_followed() {
        let name = || "localhost".parse::<Name>().unwrap();
        assert!(Resolver(Reach::Public).resolve(name()).await.is_err());
        assert!(Resolver(Reach::Anything).resolve(name()).await.is_ok());
    }
}
