//! The clients whose credentials the keychains keep: `client_add`, `clients`, `client_remove`, and the one that a request
//! needs.

use ipc_proto::{ClientCredential, ClientKept, Clients, Failure, KeychainKind};

use super::error::RequestError;
use crate::issuer::Issuer;
use crate::keychain::{Client, ClientName, Keychains};

/// Reads which client is meant.
pub(super) fn name(issuer: &str, client_id: &str) -> Result<ClientName, RequestError> {
    let bad = RequestError::Parameter("a client id has 1 to 512 printable characters of ASCII");
    ClientName::new(Issuer::parse(issuer)?, client_id).ok_or(bad)
}

/// Makes a client of what was given.
pub(super) fn client(
    name: ClientName,
    credential: &ClientCredential,
    keychain: KeychainKind,
) -> Result<Client, RequestError> {
    let client = Client::new(keychain, name, credential.method, credential.secret.expose());
    client.map_err(|_| RequestError::Parameter("a client's secret or key has 1 to 8192 bytes"))
}

/// Keeps a client's credential where it is wanted, else in the best keychain that is there; nowhere else is it left.
pub(crate) async fn add(
    keychains: &Keychains,
    issuer: &str,
    client_id: &str,
    credential: &ClientCredential,
    wanted: Option<KeychainKind>,
) -> Result<ClientKept, RequestError> {
    let name = name(issuer, client_id)?;
    let keychain = keychains.choose(wanted).await?;
    let client = client(name, credential, keychain.kind())?;
    super::authenticate::check(&client)?;
    keychain.keep_client(&client).await?;
    for other in keychains.iter().filter(|other| other.kind() != client.keychain) {
        // One that is not there keeps no older credential.
        let _ = other.forget_client(&client.name).await;
    }
    Ok(shown(&client))
}

/// Returns every client. A keychain that cannot be read is told.
pub(crate) async fn list(keychains: &Keychains) -> Clients {
    let mut list = Clients {
        clients: Vec::new(),
        keychain: None,
    };
    for keychain in keychains.iter() {
        match keychain.clients().await {
            Ok(clients) => list.clients.extend(clients.iter().map(shown)),
            Err(crate::keychain::KeychainError::Absent(_)) => {}
            Err(error) => list.keychain = Some(Failure::from(error)),
        }
    }
    let order = |client: &ClientKept| (client.issuer.clone(), client.client_id.clone());
    list.clients.sort_by_key(order);
    list
}

/// Forgets a client in every keychain.
pub(crate) async fn remove(keychains: &Keychains, issuer: &str, client_id: &str) -> Result<(), RequestError> {
    let name = name(issuer, client_id)?;
    if find(keychains, &name)
        .await
        .is_err_and(|error| error == RequestError::NoCredential)
    {
        return Err(RequestError::NoCredential);
    }
    for keychain in keychains.iter() {
        match keychain.forget_client(&name).await {
            Ok(()) | Err(crate::keychain::KeychainError::Absent(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Returns the client of that name.
///
/// # Errors
///
/// [`RequestError::NoCredential`], or why a keychain that may have it cannot be read.
pub(super) async fn find(keychains: &Keychains, name: &ClientName) -> Result<Client, RequestError> {
    let mut problem = RequestError::NoCredential;
    for keychain in keychains.iter() {
        match keychain.clients().await {
            Ok(clients) => {
                if let Some(client) = clients.into_iter().find(|client| client.name == *name) {
                    return Ok(client);
                }
            }
            Err(crate::keychain::KeychainError::Absent(_)) => {}
            Err(error) => problem = error.into(),
        }
    }
    Err(problem)
}

fn shown(client: &Client) -> ClientKept {
    ClientKept {
        issuer: client.name.issuer.to_string(),
        client_id: client.name.client_id.clone(),
        method: client.method,
        keychain: client.keychain,
    }
}
