//! `request` and what is beside it: the daemon as a client of an OpenID provider that asks a person for approval.

use ipc_proto::{AuditEntry, Backchannel, ClientCredential, Failure, KeychainKind};
use tokio::sync::mpsc;

use super::call::Call;
use super::dispatch::Done;
use crate::audit;
use crate::issuer::Issuer;
use crate::request::{self, RequestError, kept};
use crate::table;

/// Events that wait for the client.
const EVENTS: usize = 4;

impl Call<'_> {
    /// Tells how the request goes until it is decided.
    pub(super) async fn request(&self, asked: &Backchannel) {
        let _under_way = self.context.agent.request();
        let (sender, mut events) = mpsc::channel(EVENTS);
        let keychains = self.context.agent.keychains();
        let decided = async {
            let decided = request::request(asked, keychains, &sender).await;
            drop(sender);
            decided
        };
        let told = async {
            while let Some(event) = events.recv().await {
                self.reply.event(&event).await;
            }
        };
        match tokio::join!(decided, told).0 {
            Ok(granted) => {
                self.audit_request(asked);
                self.reply.granted(&granted).await;
            }
            Err(error) => self.reply.no(&error.into()).await,
        }
    }

    /// Keeps a client's credential.
    pub(super) async fn client_add(
        &self,
        issuer: &str,
        client_id: &str,
        credential: &ClientCredential,
        wanted: Option<KeychainKind>,
    ) {
        let keychains = self.context.agent.keychains();
        let wanted = wanted.or_else(|| self.context.settings.keychain());
        let kept = kept::add(keychains, issuer, client_id, credential, wanted).await;
        self.reply.result(&kept.map_err(Failure::from)).await;
    }

    /// Lists the clients whose credentials are kept.
    pub(super) async fn clients(&self) {
        let keychains = self.context.agent.keychains();
        self.reply.yes(&kept::list(keychains).await).await;
    }

    /// Forgets a client's credential.
    pub(super) async fn client_remove(&self, issuer: &str, client_id: &str) {
        let keychains = self.context.agent.keychains();
        let removed = kept::remove(keychains, issuer, client_id).await;
        let removed = removed.map(|()| Done {}).map_err(|error| match error {
            RequestError::NoCredential => Failure::from(error).hint("ciba client list"),
            _ => error.into(),
        });
        self.reply.result(&removed).await;
    }

    fn audit_request(&self, asked: &Backchannel) {
        let serial = table::next_serial();
        let host = Issuer::parse(&asked.issuer).ok().map(|issuer| issuer.host());
        let resource = if asked.resource.is_empty() {
            asked.issuer.clone()
        } else {
            asked.resource.join(" ")
        };
        self.context.audit.note(AuditEntry {
            time: audit::time(),
            tool: "request".into(),
            pid: self.caller.pid,
            executable: self.caller.executable().map(Into::into),
            host,
            resource,
            profile: None,
            client_id: Some(asked.client_id.clone()),
            serial,
        });
    }
}
