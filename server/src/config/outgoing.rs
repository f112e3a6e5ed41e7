//! `[outgoing]`: how the server calls URLs that OAuth clients named.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

use super::Error;
use super::secret::Places;
use crate::outgoing::{Authorities, Rules};

/// Seconds that one call may take.
const TIMEOUT: std::ops::RangeInclusive<u64> = 1..=30;

/// The section as it is written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a section")]
pub(super) struct Section {
    ca_file: Option<PathBuf>,
    allow_networks: Vec<String>,
    timeout: Option<u64>,
}

impl Section {
    pub(super) fn understand(self, places: &Places<'_>) -> Result<Rules, Error> {
        let mut rules = Rules::default();
        if let Some(file) = self.ca_file {
            rules.authorities = authorities(&file, places)?;
        }
        let networks: Result<Vec<IpNet>, Error> =
            self.allow_networks.iter().map(|text| network(text)).collect();
        rules.networks = networks?.into();
        if let Some(seconds) = self.timeout {
            rules.timeout = Duration::from_secs(super::within(("outgoing.timeout", seconds), &TIMEOUT)?);
        }
        Ok(rules)
    }
}

/// Reads the certificates of a PEM file.
fn authorities(file: &std::path::Path, places: &Places<'_>) -> Result<Authorities, Error> {
    let wrong = |problem: String| Error::value("outgoing.ca_file", problem);
    let path = places.find(file).map_err(wrong)?;
    let pem = std::fs::read_to_string(&path)
        .map_err(|error| wrong(format!("cannot read {}: {error}", path.display())))?;
    Authorities::read(&pem).ok_or_else(|| wrong(format!("{} has no certificate in PEM", path.display())))
}

/// Reads a network in CIDR form. An address alone is a network of one.
fn network(text: &str) -> Result<IpNet, Error> {
    let network = text.parse::<IpNet>();
    let network = network.or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
    let wrong = |problem: &str| Error::value("outgoing.allow_networks", problem);
    let network = network.map_err(|_| wrong("must be networks such as 10.1.0.0/16 or fd00:1::/64"))?;
    // 10.1.2.3/8 was meant as something else than 10.0.0.0/8.
    if network.addr() != network.network() {
        return Err(wrong(
            "a network must end in zeros after its prefix, such as 10.1.0.0/16",
        ));
    }
    Ok(network)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn understood(text: &str, base: &Path) -> Result<Rules, String> {
        let section: Section = toml::from_str(text).map_err(|error| error.to_string())?;
        let places = Places {
            base,
            credentials: None,
        };
        section.understand(&places).map_err(|error| error.to_string())
    }

    #[test]
    fn c_402_the_operator_names_networks_and_a_misprint_is_refused() {
        let networks = |list: &str| understood(&format!("allow_networks = [{list}]"), Path::new(""));
        let read = networks("\"10.1.0.0/16\", \"fd00:1::/64\", \"192.168.7.7\"").unwrap();
        let read: Vec<String> = read.networks.iter().map(ToString::to_string).collect();
        assert_eq!(read, ["10.1.0.0/16", "fd00:1::/64", "192.168.7.7/32"]);
        for wrong in [
            "\"10.1.2.3/8\"",
            "\"10.0.0.0/33\"",
            "\"intranet\"",
            "\"\"",
            "\"10.0.0.0/8 \"",
        ] {
            let error = networks(wrong).err().expect(wrong);
            assert!(error.starts_with("outgoing.allow_networks: "), "{error}");
        }
        assert!(understood("", Path::new("")).unwrap().networks.is_empty());
    }

    #[test]
    fn c_335_the_time_limit_has_bounds() {
        let timeout = |seconds: u64| understood(&format!("timeout = {seconds}"), Path::new(""));
        assert_eq!(
            understood("", Path::new("")).unwrap().timeout,
            Duration::from_secs(10)
        );
        for seconds in [1, 30] {
            assert_eq!(timeout(seconds).unwrap().timeout, Duration::from_secs(seconds));
        }
        for seconds in [0, 31] {
            let error = timeout(seconds).err().unwrap();
            assert_eq!(error, "outgoing.timeout: must be 1 to 30");
        }
    }

    #[test]
    fn c_400_a_file_of_authorities_has_certificates() {
        let folder = tempfile::tempdir().unwrap();
        let authority = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let pem = authority.cert.pem();
        std::fs::write(folder.path().join("ca.pem"), format!("{pem}{pem}")).unwrap();
        std::fs::write(folder.path().join("empty.pem"), "").unwrap();
        let file = |name: &str| understood(&format!("ca_file = \"{name}\""), folder.path());
        assert_eq!(file("ca.pem").unwrap().authorities.certificates().count(), 2);
        assert!(
            file("empty.pem")
                .err()
                .unwrap()
                .contains("has no certificate in PEM")
        );
        assert!(file("none.pem").err().unwrap().contains("cannot read"));
    }
}
