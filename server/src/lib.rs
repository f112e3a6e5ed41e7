//! The server of ciba: device sessions, login at an OpenID provider, tokens.

pub mod dev;
