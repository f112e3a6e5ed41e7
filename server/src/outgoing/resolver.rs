//! Name resolution for URLs that clients named: only permitted addresses come out, so only they are connected to. A name
//! that changes its address between a check and the connection gains nothing (C-402).

use std::net::SocketAddr;
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::{Special, permit};
use super::endpoint::is_loopback_name;

/// The system's resolver.
pub(super) struct System;

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(Box::new(found.collect::<Vec<_>>().into_iter()) as Addrs)
        })
    }
}

/// A resolver that leaves out what is not permitted.
pub(super) struct Permitting {
    pub(super) from: Arc<dyn Resolve>,
    pub(super) allowed: Arc<[IpNet]>,
    pub(super) is_loopback_allowed: bool,
}

impl Resolve for Permitting {
    fn resolve(&self, name: Name) -> Resolving {
        let is_exempt = self.is_loopback_allowed && is_loopback_name(name.as_str());
        let (found, allowed) = (self.from.resolve(name), Arc::clone(&self.allowed));
        Box::pin(async move {
            let is_permitted = |found: &SocketAddr| {
                is_exempt && found.ip().is_loopback() || permit(found.ip(), &allowed).is_ok()
            };
            let permitted: Vec<_> = found.await?.filter(is_permitted).collect();
            if permitted.is_empty() {
                return Err(Special.into());
            }
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}
