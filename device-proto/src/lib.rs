//! Wire 2, `cibad` ⇄ `ciba-server`: the device session over Hocuspocus frames.
//!
//! Both ends are state machines without I/O, clock or randomness: [`Device`] is the daemon's end of one
//! connection, [`hub::Socket`] the server's end of one WebSocket, [`Doc`] the document between them. What a
//! token is while it travels is [`seal::Sealed`]; only the holder of the [`Challenge`] opens it.

#![forbid(unsafe_code)]

pub mod approval;
pub mod ask;
pub mod challenge;
pub mod device;
pub mod doc;
pub mod frame;
mod history;
pub mod hub;
pub mod resource;
pub mod seal;
pub mod session;
pub mod sheet;
pub mod token;
pub mod update;

#[cfg(test)]
mod pair;

pub use approval::{Approval, ApprovalId};
pub use challenge::{Challenge, RequestId, Verifier};
pub use device::Device;
pub use doc::Doc;
pub use resource::ResourceUrn;
