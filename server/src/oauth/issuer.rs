//! The name of this server towards OAuth clients (RFC 8414 §2, C-002).

use url::Url;

/// Returns the issuer of a public URL, which the configuration allows only without path, query and fragment. It is compared
/// as an exact string everywhere, and the URLs of the endpoints are this and a path.
pub(crate) fn issuer(public_url: &Url) -> String {
    public_url.as_str().trim_end_matches('/').to_owned()
}
