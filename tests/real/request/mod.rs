//! `ciba request` against real providers, two of which are not ours: a person approves, denies, or does nothing.

mod glewlwyd;
mod interrupted;
mod kept;
mod oidc_provider;
mod ours;
mod page;

use anyhow::Result;
use ciba_tests::{Output, Process, World};

/// What every request here says; a test adds the rest.
struct Asking<'a> {
    world: &'a World,
    issuer: &'a str,
    client_id: &'a str,
}

impl Asking<'_> {
    /// Starts `ciba request`.
    fn begin(&self, options: &[&str]) -> Result<Process> {
        let common = ["request", "--issuer", self.issuer, "--client-id", self.client_id];
        let mut process = self.world.spawn_ciba(&[&common, options].concat())?;
        process.close_stdin();
        Ok(process)
    }

    /// Runs `ciba request` to its end.
    async fn run(&self, options: &[&str]) -> Result<Output> {
        Output::of(&mut self.begin(options)?).await
    }

    /// Keeps the client's secret.
    async fn keep(&self, secret: &str, options: &[&str]) -> Result<()> {
        let common = [
            "client",
            "add",
            "--issuer",
            self.issuer,
            "--client-id",
            self.client_id,
        ];
        let mut process = self.world.spawn_ciba(&[&common, options].concat())?;
        process.write_line(secret).await?;
        process.close_stdin();
        let _ = Output::of(&mut process).await?.success();
        Ok(())
    }

    /// Forgets the client.
    async fn remove(&self) -> Result<()> {
        let remove = [
            "client",
            "remove",
            "--issuer",
            self.issuer,
            "--client-id",
            self.client_id,
        ];
        let _ = self.world.ciba(&remove).await?.success();
        Ok(())
    }
}
