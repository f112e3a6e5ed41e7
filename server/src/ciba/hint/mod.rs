//! Which person a client means: the hints of a request, up to the name by which the person is looked up (C-180 … C-189).

mod id_token;
mod login_token;

pub(crate) use id_token::{IdTokenHints, IdTokenRules};
pub(crate) use login_token::LoginTokenHints;
