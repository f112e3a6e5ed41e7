//! The opening of most tests: a login that is done.

use crate::kit::browser::Browser;
use crate::kit::idp::{Answer, Idp, Script};
use crate::kit::link::{LONG, Link};
use crate::kit::server::Server;
use crate::kit::session::{RESOURCE, Session};
use crate::kit::site::Site;

/// A provider, a server at it, and a device that has signed in.
pub(crate) struct Login {
    pub(crate) idp: Idp,
    pub(crate) site: Site,
    pub(crate) server: Server,
    pub(crate) session: Session,
    pub(crate) link: Link,
}

impl Login {
    /// Signs in at a provider that does everything as it should.
    pub(crate) async fn done() -> Self {
        Self::done_at(|_| ()).await
    }

    /// Signs in at a provider that does what `script` says.
    pub(crate) async fn done_at(script: impl FnOnce(&mut Script)) -> Self {
        let idp = Idp::start().await;
        idp.script(script);
        let mut site = Site::new(&idp.issuer);
        let server = site.start().await;
        let (session, link) = signed_in(&server, RESOURCE).await;
        Self {
            idp,
            site,
            server,
            session,
            link,
        }
    }

    /// Has a device that has asked for a renewal, which the provider holds back until the script says otherwise.
    pub(crate) async fn renewing() -> Self {
        let mut login = Self::done_at(|script| script.refresh = Answer::Held).await;
        login.link.ask_for("ask", RESOURCE, Some(LONG)).await;
        login
            .idp
            .until_seen(|seen| !seen.refreshed_with().is_empty())
            .await;
        login
    }
}

/// Begins a session whose first token is for this resource, and signs in to it.
pub(crate) async fn signed_in(server: &Server, resource: &str) -> (Session, Link) {
    let session = Session::begin_for(server, resource).await;
    let mut link = Link::connect(server, &session).await;
    assert_eq!(Browser::new().confirm(session.url()).await.outcome(), "signed-in");
    link.until_status("active").await;
    (session, link)
}
