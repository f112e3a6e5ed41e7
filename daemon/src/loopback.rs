//! Which hosts are this machine (RFC 6761 §6.3, RFC 8252 §7.3): one rule for the server's URL and for the user's rules.

use url::Host;

/// Whether this machine alone can answer. A name below `localhost` need not: a resolver may send it anywhere.
pub(crate) fn is_loopback<S: AsRef<str>>(host: &Host<S>) -> bool {
    match host {
        Host::Domain(name) => name.as_ref() == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}
