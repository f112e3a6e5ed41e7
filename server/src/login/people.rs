//! What this server remembers of the people who sign in: who they are, and in which browsers. Only a server that asks
//! people for their consent does.

use std::sync::Arc;

use axum_extra::extract::cookie::CookieJar;

use super::proved::Proved;
use crate::browser::{self, Sessions};
use crate::cause::chain;
use crate::token::Person;
use crate::users::{User, Users};

/// Where people are remembered.
pub(crate) struct People {
    pub(crate) users: Arc<Users>,
    pub(crate) browsers: Arc<Sessions>,
}

impl People {
    /// Remembers what the provider said of a person, so that clients can ask for them by name. A login does not fail for it.
    pub(super) async fn remember(&self, person: &Person) {
        if let Err(error) = self.users.remember(&user(person)).await {
            tracing::error!(error = chain(&error), "a person could not be remembered");
        }
    }

    /// Signs the browser in.
    pub(super) async fn sign_in(
        &self,
        jar: CookieJar,
        person: Person,
        proved: Proved,
    ) -> Result<CookieJar, store::Error> {
        let signed_in = browser::Person {
            sub: person.sub,
            name: person.name,
            auth_time: proved.at,
            is_auth_time_said: proved.is_said,
            acr: person.acr,
            amr: person.amr,
        };
        self.browsers.begin(jar, signed_in).await
    }
}

fn user(person: &Person) -> User {
    User {
        sub: person.sub.clone(),
        name: Some(person.name.clone()),
        email: person.email.clone(),
        username: person.username.clone(),
        phone: person.phone.clone(),
        ..User::default()
    }
}
