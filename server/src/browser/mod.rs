//! A person's browser: its cookies, the session of the person who signed in with it, and where it is sent to sign in.
//! `login` begins these sessions; the pages and endpoints that ask for a person's decision read them.

mod cookie;
mod session;
mod sessions;
mod sign_in;

pub(crate) use cookie::{hardened, name};
pub(crate) use session::{BrowserSession, Person};
pub(crate) use sessions::Sessions;
pub(crate) use sign_in::SignIn;
