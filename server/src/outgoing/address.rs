//! Which addresses a URL of an OAuth client may lead to (C-402): those of the public internet, and what the operator
//! allows besides.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use thiserror::Error;

/// The address is not one that a client may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("its address is special (private, loopback, …) and not in outgoing.allow_networks")]
pub(crate) struct Special;

/// The IPv4 blocks that are not the public internet (RFC 6890 and the IANA special-purpose registry), with their lengths.
const SPECIAL_V4: [(Ipv4Addr, u8); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),       // this network, unspecified
    (Ipv4Addr::new(10, 0, 0, 0), 8),      // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),   // shared
    (Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback
    (Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local; clouds serve credentials there
    (Ipv4Addr::new(172, 16, 0, 0), 12),   // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),    // protocol assignments
    (Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation
    (Ipv4Addr::new(192, 88, 99, 0), 24),  // 6to4 relays
    (Ipv4Addr::new(192, 168, 0, 0), 16),  // private
    (Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarking
    (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4),     // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),     // reserved, broadcast
];

/// The only IPv6 block that is in use on the public internet (RFC 4291 §2.4). Outside lie loopback, unspecified,
/// IPv4-mapped, NAT64, unique-local, link-local and multicast addresses.
const GLOBAL_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// The blocks inside [`GLOBAL_V6`] that are not the public internet.
const SPECIAL_V6: [(Ipv6Addr, u8); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocol assignments: Teredo, benchmarking, ORCHID
    (Ipv6Addr::new(0x2001, 0x0db8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4: has any IPv4 address inside
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];

/// Whether an address is not one of the public internet.
pub(super) fn is_special(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => SPECIAL_V4.iter().any(|&block| v4_is_in(v4, block)),
        IpAddr::V6(v6) => !v6_is_in(v6, GLOBAL_V6) || SPECIAL_V6.iter().any(|&block| v6_is_in(v6, block)),
    }
}

/// Refuses a special address that is in none of the networks.
pub(super) fn permit(address: IpAddr, allowed: &[IpNet]) -> Result<(), Special> {
    let is_allowed = || allowed.iter().any(|network| network.contains(&address));
    if is_special(address) && !is_allowed() {
        return Err(Special);
    }
    Ok(())
}

fn v4_is_in(address: Ipv4Addr, (block, length): (Ipv4Addr, u8)) -> bool {
    (address.to_bits() ^ block.to_bits()) >> (Ipv4Addr::BITS - u32::from(length)) == 0
}

fn v6_is_in(address: Ipv6Addr, (block, length): (Ipv6Addr, u8)) -> bool {
    (address.to_bits() ^ block.to_bits()) >> (Ipv6Addr::BITS - u32::from(length)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first and the last address of every special block, and forms of IPv4 addresses in IPv6.
    const SPECIAL: &[&str] = &[
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "127.0.0.0",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.0.0",
        "169.254.169.254",
        "169.254.255.255",
        "172.16.0.0",
        "172.31.255.255",
        "192.0.0.0",
        "192.0.0.255",
        "192.0.2.0",
        "192.0.2.255",
        "192.88.99.0",
        "192.88.99.255",
        "192.168.0.0",
        "192.168.255.255",
        "198.18.0.0",
        "198.19.255.255",
        "198.51.100.0",
        "198.51.100.255",
        "203.0.113.0",
        "203.0.113.255",
        "224.0.0.0",
        "239.255.255.255",
        "240.0.0.0",
        "255.255.255.254",
        "255.255.255.255",
        "::",
        "::1",
        "::2",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:0.0.0.0",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "100::",
        "100::ffff",
        "100:0:0:1::",
        "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "2001::",
        "2001::1",
        "2001:0:7f00:1::",
        "2001:2::1",
        "2001:10::1",
        "2001:20::1",
        "2001:30::1",
        "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
        "2001:db8::",
        "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
        "2002::",
        "2002:7f00:1::1",
        "2002:808:808::1",
        "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "3fff::",
        "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
        "4000::",
        "5f00::1",
        "fc00::",
        "fd00:ec2::254",
        "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "fe80::",
        "fe80::1",
        "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "fec0::1",
        "ff00::",
        "ff02::1",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ];

    /// The neighbours of the special blocks, and well-known public servers.
    const PUBLIC: &[&str] = &[
        "1.0.0.0",
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "191.255.255.255",
        "192.0.1.0",
        "192.0.3.0",
        "192.88.98.255",
        "192.88.100.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "198.51.99.255",
        "198.51.101.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "2000::",
        "2001:200::",
        "2001:4860:4860::8888",
        "2001:db7:ffff::",
        "2001:db9::",
        "2003::",
        "2606:4700:4700::1111",
        "2a00::1",
        "3ffe::1",
        "3fff:1000::",
    ];

    fn address(text: &&str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn c_402_every_special_address_is_known_and_its_public_neighbour_is_not() {
        for text in SPECIAL {
            assert!(is_special(address(text)), "{text} is special");
        }
        for text in PUBLIC {
            assert!(!is_special(address(text)), "{text} is public");
        }
    }

    #[test]
    fn c_402_the_standard_librarys_own_words_for_special_addresses_agree() {
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                let v4 = Ipv4Addr::new(first, second, 0, 1);
                let named = v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast();
                assert!(!named || is_special(v4.into()), "{v4}");
                let v6 = Ipv6Addr::from_bits(u128::from(u16::from_be_bytes([first, second])) << 112 | 1);
                let named = v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_multicast();
                assert!(!named || is_special(v6.into()), "{v6}");
                assert!(is_special(v4.to_ipv6_mapped().into()), "{v4}");
            }
        }
    }

    #[test]
    fn c_402_an_allowed_network_is_permitted_and_nothing_around_it() {
        let allowed: Vec<IpNet> = ["10.1.0.0/16", "fd00:1::/64", "192.168.7.7/32"]
            .map(|network| network.parse().unwrap())
            .to_vec();
        for inside in ["10.1.0.0", "10.1.255.255", "fd00:1::9", "192.168.7.7", "8.8.8.8"] {
            assert_eq!(permit(address(&inside), &allowed), Ok(()), "{inside}");
        }
        for outside in [
            "10.0.255.255",
            "10.2.0.0",
            "fd00:1:0:1::",
            "192.168.7.8",
            "::ffff:10.1.0.1",
        ] {
            assert_eq!(permit(address(&outside), &allowed), Err(Special), "{outside}");
        }
    }
}
