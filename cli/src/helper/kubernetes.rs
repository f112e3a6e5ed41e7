//! kubectl's credential plugin (client-go, ExecCredential): the cluster from an environment variable in, a token and its
//! end out.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;

use serde::Deserialize;

use super::{Credential, Reply, Wanted, credential};
use crate::clock;
use crate::environment::variable;
use crate::error::Error;
use crate::exit::Exit;

/// Where client-go says what it wants.
const INFO: &str = "KUBERNETES_EXEC_INFO";

/// Bytes of it: Linux takes no longer string in an environment.
const MAX_INFO: usize = 128 * 1024;

/// The versions of the protocol. They differ in nothing that is used here; client-go wants its own back.
const VERSIONS: [&str; 2] = [
    "client.authentication.k8s.io/v1",
    "client.authentication.k8s.io/v1beta1",
];

pub(super) fn run(arguments: &[OsString]) -> Result<ExitCode, Error> {
    if !arguments.is_empty() {
        return Err(Error::usage("kubectl's credential plugin takes no arguments"));
    }
    let info = variable(INFO).ok_or_else(not_kubectl)?;
    let request = parse(&info)?;
    let credential = credential(&Wanted {
        url: &request.server,
        tool: "kubectl",
        refused: None,
    })?;
    reply(&request, &credential).print()?;
    Ok(Exit::Ok.into())
}

/// What client-go wants.
struct Request {
    version: &'static str,
    /// The cluster's URL.
    server: String,
}

fn parse(info: &OsStr) -> Result<Request, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct ExecCredential {
        api_version: String,
        kind: String,
        spec: Spec,
    }
    #[derive(Deserialize)]
    struct Spec {
        cluster: Option<Cluster>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Cluster {
        server: String,
        #[serde(default)]
        insecure_skip_tls_verify: bool,
    }
    if info.len() > MAX_INFO {
        return Err(Error::usage(format!("{INFO} is longer than {MAX_INFO} bytes")));
    }
    let said: ExecCredential = serde_json::from_slice(info.as_bytes()).map_err(|_| not_kubectl())?;
    let version = VERSIONS.into_iter().find(|version| *version == said.api_version);
    let version = version.filter(|_| said.kind == "ExecCredential");
    let version = version.ok_or_else(unknown_version)?;
    let cluster = said.spec.cluster.ok_or_else(no_cluster)?;
    if cluster.insecure_skip_tls_verify {
        return Err(unproven());
    }
    Ok(Request {
        version,
        server: cluster.server,
    })
}

fn not_kubectl() -> Error {
    Error::usage(format!("{INFO} does not hold what kubectl puts there")).hint("ciba kube setup")
}

fn unknown_version() -> Error {
    let [newest, _] = VERSIONS;
    Error::usage("the kubeconfig's exec section has an apiVersion that ciba does not know")
        .hint(format!("put apiVersion: {newest} there"))
}

fn no_cluster() -> Error {
    Error::usage("kubectl does not say which cluster the token is for")
        .hint("put provideClusterInfo: true into the kubeconfig's exec section")
}

fn unproven() -> Error {
    Error::usage(
        "the kubeconfig has insecure-skip-tls-verify, and a cluster that gets a token has to prove who it is",
    )
    .hint("put certificate-authority there instead")
}

fn reply(request: &Request, credential: &Credential) -> Reply {
    Reply::default()
        .word("{\"apiVersion\":\"")
        .word(request.version)
        .word("\",\"kind\":\"ExecCredential\",\"status\":{\"expirationTimestamp\":")
        .json(&clock::rfc3339(credential.expires_at))
        .word(",\"token\":\"")
        .token(&credential.token)
        .word("\"}}\n")
}

#[cfg(test)]
mod tests {
    use super::super::arbitrary;
    use ipc_proto::Scheme;
    use proptest::prelude::*;

    use super::*;

    /// As kubectl 1.33 says it.
    const INFO_V1: &str = r#"{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"cluster":{"server":"https://k.example.com:6443","certificate-authority-data":"AAAA","config":null},"interactive":false}}"#;

    fn parsed(info: &str) -> Result<Request, String> {
        parse(OsStr::new(info)).map_err(|error| {
            error
                .failure()
                .map_or_else(String::new, |failure| failure.message.clone())
        })
    }

    #[test]
    fn the_version_that_was_asked_for_is_the_one_that_is_answered() {
        let credential = Credential::for_test("abc", Scheme::Basic);
        for version in VERSIONS {
            let info = INFO_V1.replace(VERSIONS[0], version);
            let request = parsed(&info).unwrap();
            assert_eq!(request.server, "https://k.example.com:6443");
            assert_eq!(
                reply(&request, &credential).text(),
                format!(
                    "{{\"apiVersion\":\"{version}\",\"kind\":\"ExecCredential\",\"status\":{{\
                     \"expirationTimestamp\":\"2033-05-18T03:33:09Z\",\"token\":\"abc\"}}}}\n"
                )
            );
        }
    }

    #[test]
    fn what_is_not_from_kubectl_is_refused() {
        let missing = INFO_V1.replace("\"spec\"", "\"other\"");
        for info in ["", "{}", "[]", "null", "{", &missing, &"[".repeat(MAX_INFO)] {
            assert_eq!(
                parsed(info).err().as_deref(),
                Some("KUBERNETES_EXEC_INFO does not hold what kubectl puts there")
            );
        }
        let bytes = OsStr::from_bytes(b"{\"kind\":\"\xff\"}");
        assert!(parse(bytes).is_err());
        assert!(parsed(&" ".repeat(MAX_INFO + 1)).is_err_and(|said| said.contains("longer")));
    }

    #[test]
    fn an_unknown_version_and_another_kind_are_refused() {
        for (from, to) in [
            ("io/v1\"", "io/v2\""),
            ("io/v1\"", "io/v1alpha1\""),
            ("\"ExecCredential\"", "\"Secret\""),
        ] {
            let info = INFO_V1.replace(from, to);
            assert!(
                parsed(&info).is_err_and(|said| said.contains("apiVersion")),
                "{to}"
            );
        }
    }

    #[test]
    fn a_kubeconfig_without_cluster_info_is_told_what_to_add() {
        let info = r#"{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"interactive":false}}"#;
        let refused = parse(OsStr::new(info)).err().unwrap();
        let hint = refused.failure().and_then(|failure| failure.hint.clone());
        assert!(hint.is_some_and(|hint| hint.contains("provideClusterInfo: true")));
    }

    #[test]
    fn a_cluster_that_need_not_prove_who_it_is_gets_no_token() {
        let with = |value: &str| {
            let field = format!("\"insecure-skip-tls-verify\":{value},\"server\"");
            parsed(&INFO_V1.replace("\"server\"", &field))
        };
        assert!(with("true").is_err_and(|said| said.contains("insecure-skip-tls-verify")));
        assert!(with("false").is_ok());
    }

    #[test]
    fn what_a_later_kubectl_adds_is_passed_over() {
        let many = (0..2000).map(|n| format!("\"x{n}\":{{}},")).collect::<String>();
        let info = INFO_V1.replacen('{', &format!("{{{many}"), 1);
        assert!(parsed(&info).is_ok());
    }

    proptest! {
        #[test]
        fn whatever_is_asked_the_answer_is_one_object_on_one_line(
            said in arbitrary::said(&[
                "{", "}", "\"kind\":\"ExecCredential\"", ",", "\"apiVersion\":\"client.authentication.k8s.io/v1\"",
                "\"spec\":{\"cluster\":{\"server\":\"https://k\"}}", "[", "null",
            ]),
            credential in arbitrary::credential(),
        ) {
            let _ = parse(OsStr::from_bytes(&said));
            let request = parsed(INFO_V1).unwrap();
            let reply = reply(&request, &credential).text();
            prop_assert_eq!(reply.matches('\n').count(), 1);
            let object: serde_json::Value = serde_json::from_str(&reply).unwrap();
            prop_assert_eq!(&object["status"]["token"], credential.token.expose());
        }
    }
}
