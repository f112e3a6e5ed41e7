//! What a request comes from, also behind a TLS proxy of ours: an address, and the certificate of a client.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::{self, Next};
use http::HeaderMap;

use crate::tls;

/// The client's address, in the extensions of every request: a handler takes it as `Extension<Peer>`.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// What a proxy in front is believed.
#[derive(Clone, Copy, Default)]
pub(crate) struct Believed {
    /// `X-Forwarded-For`
    pub(crate) address: bool,
    /// `Client-Cert`; its headers reach no handler, believed or not.
    pub(crate) certificate: bool,
}

/// Tells every request where it comes from.
pub(crate) fn addressed(routes: Router, believed: Believed) -> Router {
    routes.layer(middleware::from_fn(move |mut request: Request, next: Next| {
        let peer = peer(&request, believed.address);
        request.extensions_mut().insert(peer);
        if let Some(certificate) = tls::take(request.headers_mut(), believed.certificate) {
            request.extensions_mut().insert(certificate);
        }
        next.run(request)
    }))
}

fn peer(request: &Request, behind_tls_proxy: bool) -> Peer {
    let connected = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let socket = connected.map_or(IpAddr::from([0, 0, 0, 0]), |info| info.0.ip());
    if !behind_tls_proxy {
        return Peer(socket);
    }
    let forwarded = forwarded_for(request.headers());
    if forwarded.is_none() {
        warn_once();
    }
    Peer(forwarded.unwrap_or(socket))
}

/// The limits by address then hold for everybody together, which only the operator can mend.
fn warn_once() {
    static WARNED: AtomicBool = AtomicBool::new(false);
    if !WARNED.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            "the TLS proxy sends no X-Forwarded-For that can be read: all clients seem to have its address"
        );
    }
}

/// The address our own proxy saw: the last one, since a client can send the others itself. Some proxies add the port.
fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?;
    let last = last.to_str().ok()?.rsplit(',').next()?.trim();
    let with_port = || Some(last.parse::<SocketAddr>().ok()?.ip());
    last.parse().ok().or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn only_the_last_hop_of_a_forwarded_address_is_believed() {
        let mut headers = HeaderMap::new();
        assert_eq!(forwarded_for(&headers), None);
        headers.append(
            "x-forwarded-for",
            HeaderValue::from_static("203.0.113.9, 198.51.100.7"),
        );
        assert_eq!(forwarded_for(&headers), Some(IpAddr::from([198, 51, 100, 7])));
        headers.append("x-forwarded-for", HeaderValue::from_static("192.0.2.1"));
        assert_eq!(forwarded_for(&headers), Some(IpAddr::from([192, 0, 2, 1])));
        headers.append("x-forwarded-for", HeaderValue::from_static("nonsense"));
        assert_eq!(forwarded_for(&headers), None);
    }

    #[test]
    fn a_forwarded_address_may_have_a_port() {
        let read = |value: &'static str| {
            let value = (
                "x-forwarded-for".parse().unwrap(),
                HeaderValue::from_static(value),
            );
            forwarded_for(&HeaderMap::from_iter([value]))
        };
        assert_eq!(read("192.0.2.1:5678"), Some(IpAddr::from([192, 0, 2, 1])));
        assert_eq!(read("[2001:db8::1]:5678"), "2001:db8::1".parse().ok());
        assert_eq!(read("2001:db8::1"), "2001:db8::1".parse().ok());
    }
}
