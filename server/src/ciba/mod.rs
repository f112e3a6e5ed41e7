//! Backchannel authentication (CIBA Core 1.0): a client asks, a person decides, the client gets its tokens.

#[cfg_attr(
    not(test),
    expect(dead_code, unused_imports, reason = "a decision begins deliveries")
)]
pub(crate) mod deliver;
