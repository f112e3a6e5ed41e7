//! Hosts whose names belong to no one, for a test alone: a proxy (RFC 9110 §9.3.6) leads each name to the gate that
//! stands for it, and one authority vouches for all.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use ciba_tests::{Authority, Gate, Offer, Service, TlsListener, World};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// The variables by which tools trust an authority beside those of the system, or instead of them.
const TRUST: [&str; 9] = [
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "npm_config_cafile",
];

/// The hosts; they are gone when this is dropped.
pub(super) struct Internet {
    gates: BTreeMap<&'static str, Gate>,
    accepting: AbortHandle,
}

impl Internet {
    /// Starts a gate for each host, and has the tools of this home find them.
    pub(super) async fn of<const N: usize>(
        world: &mut World,
        issuer: &str,
        hosts: [(&'static str, Offer, Service); N],
    ) -> Result<Self> {
        let authority = Authority::new()?;
        let mut gates = BTreeMap::new();
        for (host, offer, service) in hosts {
            let listener = TlsListener::bind_as(authority.certify(host)?).await?;
            gates.insert(host, Gate::behind(listener, issuer, offer, service));
        }
        let file = world.home().join("authority.pem");
        std::fs::write(&file, authority.pem())?;
        for variable in TRUST {
            world.set(variable, &file);
        }
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        world.set("HTTPS_PROXY", format!("http://{}", listener.local_addr()?));
        let ports = gates.iter().map(|(host, gate)| (*host, gate.port)).collect();
        let accepting = tokio::spawn(accept(listener, Arc::new(ports))).abort_handle();
        Ok(Self { gates, accepting })
    }

    /// The gates by their hosts' names.
    pub(super) fn gates(&self) -> &BTreeMap<&'static str, Gate> {
        &self.gates
    }
}

impl Drop for Internet {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

type Ports = BTreeMap<&'static str, u16>;

async fn accept(listener: TcpListener, ports: Arc<Ports>) {
    while let Ok((client, _)) = listener.accept().await {
        // A client that asks for another host is hung up on.
        tokio::spawn(connect(BufReader::new(client), Arc::clone(&ports)));
    }
}

/// Serves `CONNECT HOST:PORT`; the port is as the tool has it, and says nothing here.
async fn connect(mut client: BufReader<TcpStream>, ports: Arc<Ports>) -> Result<()> {
    let mut first = String::new();
    client.read_line(&mut first).await?;
    let mut line = first.clone();
    while !line.trim_end().is_empty() {
        line.clear();
        ensure!(
            client.read_line(&mut line).await? > 0,
            "a head ends with an empty line"
        );
    }
    let host = first
        .strip_prefix("CONNECT ")
        .and_then(|rest| rest.split(':').next());
    let port = host.and_then(|host| ports.get(host)).context("no such host")?;
    let mut gate = TcpStream::connect(("127.0.0.1", *port)).await?;
    client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
    copy_bidirectional(&mut client, &mut gate).await?;
    Ok(())
}
