//! Device sessions: begun, signed in to, renewed, ended (D-001 … D-044).

mod authorize;
mod deadlines;
mod dump;
mod exchange;
mod grant;
mod ground;
mod http2;
mod login;
mod memory;
mod proof;
mod provider;
mod publish;
mod renew;
mod store_guard;
mod thousand;
