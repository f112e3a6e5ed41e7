//! Where a page sends a browser so that the person signs in: a path of ours, which `login` serves.

use serde::{Deserialize, Serialize};
use url::Url;

/// The path that begins a sign-in.
const PATH: &str = "/login";

/// Bytes of a place that a browser is brought back to.
const MAX_PLACE: usize = 512;

/// Bytes of `acr_values`.
const MAX_ACR_VALUES: usize = 512;

/// A sign-in that a page asks for; the query of [`SignIn::path`].
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct SignIn {
    /// Where the browser is brought afterwards: a path of ours with its query.
    pub(crate) to: String,
    /// Whether the person must prove who they are once more, even if the provider knows them still.
    #[serde(default)]
    pub(crate) fresh: bool,
    /// `acr_values`: how strong a proof is wanted, separated by spaces (C-109).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) acr_values: String,
}

impl SignIn {
    /// Returns the path that begins it.
    pub(crate) fn path(&self) -> String {
        let start = format!("{PATH}?");
        let before = start.len();
        let mut query = url::form_urlencoded::Serializer::for_suffix(start, before);
        query.append_pair("to", &self.to);
        if self.fresh {
            query.append_pair("fresh", "true");
        }
        if !self.acr_values.is_empty() {
            query.append_pair("acr_values", &self.acr_values);
        }
        query.finish()
    }

    /// Whether it may be begun: anyone can write a link to it. The browser is never brought to another site.
    pub(crate) fn is_ours(&self, public_url: &Url) -> bool {
        self.to.len() <= MAX_PLACE
            && self.acr_values.len() <= MAX_ACR_VALUES
            && is_place(&self.to, public_url)
    }
}

/// Whether it is a path below our own origin, written as URLs are: browsers read `//host`, `/\host` and a path with a tab
/// in it as another place.
fn is_place(to: &str, public_url: &Url) -> bool {
    let is_plain = to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let resolved = public_url.join(to);
    to.starts_with('/')
        && !to.starts_with("//")
        && is_plain
        && resolved.is_ok_and(|url| url.origin() == public_url.origin())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(place: &str) -> SignIn {
        SignIn {
            to: place.into(),
            ..SignIn::default()
        }
    }

    #[test]
    fn c_233_a_sign_in_is_asked_for_by_a_path_of_ours() {
        let all = SignIn {
            to: "/ciba/approve?auth_req_id=a-b_c".into(),
            fresh: true,
            acr_values: "urn:mfa phr".into(),
        };
        assert_eq!(
            all.path(),
            "/login?to=%2Fciba%2Fapprove%3Fauth_req_id%3Da-b_c&fresh=true&acr_values=urn%3Amfa+phr"
        );
        assert_eq!(to("/").path(), "/login?to=%2F");
    }

    #[test]
    fn c_233_a_browser_is_brought_to_no_other_site() {
        let public_url = Url::parse("https://ciba.example/").unwrap();
        for place in ["/", "/ciba/approve?auth_req_id=x", "/a//b?c=https://evil.test"] {
            assert!(to(place).is_ours(&public_url), "{place}");
        }
        for place in [
            "",
            "ciba/approve",
            "//evil.test",
            "///evil.test",
            "/\\evil.test",
            "/\t/evil.test",
            "/\n/evil.test",
            "https://evil.test/",
            "https://ciba.example/",
            "javascript:alert(1)",
            " /",
            "/é",
            "/a b",
        ] {
            assert!(!to(place).is_ours(&public_url), "{place:?}");
        }
        assert!(to(&format!("/{}", "x".repeat(MAX_PLACE - 1))).is_ours(&public_url));
        assert!(!to(&format!("/{}", "x".repeat(MAX_PLACE))).is_ours(&public_url));
        let long = SignIn {
            acr_values: "x".repeat(MAX_ACR_VALUES + 1),
            ..to("/")
        };
        assert!(!long.is_ours(&public_url));
    }
}
