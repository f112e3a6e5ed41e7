//! Changes of the network (D-050): a pause between two attempts ends early when a cable, a radio or a tunnel comes back.
//! They are listened to only in a pause: a link that stands learns nothing from them.

/// Waits until the network has changed. On a system that does not tell, for ever: the pause ends without it.
pub(super) async fn changed() {
    if listen().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The kernel tells of every change of an address or route (rtnetlink(7)). Which one does not matter: the next attempt
/// shows whether the server can be reached.
#[cfg(target_os = "linux")]
async fn listen() -> std::io::Result<()> {
    use rustix::net::netlink::SocketAddrNetlink;
    use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
    use tokio::io::unix::AsyncFd;

    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    // No protocol is the first one, NETLINK_ROUTE.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
    #[expect(
        deprecated,
        reason = "the other way is unsafe; this descriptor is owned, and stays the same"
    )]
    let socket = AsyncFd::new(socket)?;
    let heard = |socket: &AsyncFd<_>| Ok(recv(socket.get_ref(), &mut [0; 64], RecvFlags::TRUNC)?);
    loop {
        let mut ready = socket.readable().await?;
        if let Ok(heard) = ready.try_io(heard) {
            return heard.map(drop);
        }
    }
}

/// The multicast groups of IPv4 and IPv6 addresses and routes: `RTMGRP_IPV4_IFADDR` and so on.
#[cfg(target_os = "linux")]
const GROUPS: u32 = 0x10 | 0x40 | 0x100 | 0x400;

#[cfg(not(target_os = "linux"))]
async fn listen() -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, feature = "real"))]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use futures_util::poll;
    use tokio::time::timeout;

    use super::*;

    /// Set in the process that has a network of its own.
    const ALONE: &str = "CIBA_TEST_NETWORK";

    #[test]
    fn d_050_a_network_that_comes_up_is_heard_of() {
        if std::env::var_os(ALONE).is_some() {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            return runtime.unwrap().block_on(hear());
        }
        let test = "sync::network::tests::d_050_a_network_that_comes_up_is_heard_of";
        let this = std::env::current_exe().unwrap();
        let alone = Command::new("unshare")
            .args(["--net", "--"])
            .arg(this)
            .args(["--exact", test])
            .env(ALONE, "1")
            .status();
        assert!(alone.unwrap().success());
    }

    async fn hear() {
        let mut heard = std::pin::pin!(changed());
        assert!(poll!(&mut heard).is_pending(), "nothing happened");
        up();
        timeout(Duration::from_secs(20), heard).await.expect("the news");
    }

    fn up() {
        let done = Command::new("ip").args(["link", "set", "lo", "up"]).status();
        assert!(done.expect("ip can be run").success());
    }
}
