//! `ciba kube setup`: tells kubectl, in its own configuration, that `ciba` has the tokens of a user.

use std::io;
use std::process::{Command, Stdio};

use crate::error::Error;
use crate::terminal;

/// The version of the protocol that is written down: kubectl has it since 1.22.
const VERSION: &str = "client.authentication.k8s.io/v1";

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Let kubectl get a user's tokens from ciba
    Setup {
        /// User entry of the kubeconfig
        #[arg(default_value = "ciba", value_parser = user)]
        user: String,

        /// Print what would stand in the kubeconfig, and change nothing
        #[arg(long)]
        print: bool,
    },
}

/// Lets kubectl write: the file is its own. Where there is no kubectl, prints what belongs there.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let Action::Setup { user, print } = &args.action;
    if *print {
        return terminal::print(entry(user).as_bytes());
    }
    let ended = Command::new("kubectl")
        .args(["config", "set-credentials", user, "--exec-command=ciba"])
        .args(["--exec-arg=kube-credential", "--exec-interactive-mode=Never"])
        .args([
            &format!("--exec-api-version={VERSION}"),
            "--exec-provide-cluster-info",
        ])
        .stdout(Stdio::null())
        .status();
    match ended {
        Ok(status) if status.success() => {
            terminal::tell(format_args!(
                "kubectl gets the tokens of the user {user} from ciba"
            ));
            terminal::tell(format_args!(
                "next: kubectl config set-context --current --user={user}"
            ));
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            terminal::tell("kubectl is not on the PATH; this belongs into the kubeconfig:");
            terminal::print(entry(user).as_bytes())
        }
        Err(error) => Err(Error::internal(format!("kubectl cannot be run: {error}"))),
        Ok(_) => Err(Error::internal("kubectl did not change its configuration")
            .hint("ciba kube setup --print shows what belongs there")),
    }
}

fn user(text: &str) -> Result<String, &'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._@-".contains(c);
    if text.is_empty() || text.starts_with('-') || !text.chars().all(allowed) {
        return Err("the name of a user here is of letters, digits and . _ @ -");
    }
    Ok(text.to_owned())
}

/// Returns the user's entry. The name is quoted: it may be all digits.
fn entry(user: &str) -> String {
    format!(
        "users:\n- name: \"{user}\"\n  user:\n    exec:\n      apiVersion: {VERSION}\n      command: ciba\n      \
         args: [kube-credential]\n      interactiveMode: Never\n      provideClusterInfo: true\n      \
         installHint: install ciba, the agent for OAuth tokens\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_user_is_no_option_and_needs_no_escape() {
        for good in ["ciba", "me@example.com", "prod_1.x"] {
            assert!(user(good).is_ok(), "{good}");
        }
        for bad in ["", "-v", "--token", "a b", "a\"", "a\n", "a\\"] {
            assert!(user(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_entry_names_the_cluster_to_the_plugin() {
        assert_eq!(
            entry("me"),
            "users:\n- name: \"me\"\n  user:\n    exec:\n      apiVersion: client.authentication.k8s.io/v1\n      \
             command: ciba\n      args: [kube-credential]\n      interactiveMode: Never\n      \
             provideClusterInfo: true\n      installHint: install ciba, the agent for OAuth tokens\n"
        );
    }
}
