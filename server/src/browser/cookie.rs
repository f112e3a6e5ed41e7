//! How every cookie of ours is set (C-231).

use axum_extra::extract::cookie::{Cookie, SameSite};
use url::Url;

/// Returns the name under which a cookie is kept. `__Host-` keeps other hosts of the domain from setting the cookie;
/// browsers allow the prefix on https only.
pub(crate) fn name(base: &str, public_url: &Url) -> String {
    let prefix = if is_https(public_url) { "__Host-" } else { "" };
    format!("{prefix}{base}")
}

/// Returns a cookie that scripts cannot read and other sites cannot make a browser post.
pub(crate) fn hardened(base: &str, value: String, public_url: &Url) -> Cookie<'static> {
    Cookie::build((name(base, public_url), value))
        .path("/")
        .http_only(true)
        .secure(is_https(public_url))
        // The way back from the provider is a navigation from another site: Strict would lose the cookie.
        .same_site(SameSite::Lax)
        .build()
}

fn is_https(public_url: &Url) -> bool {
    public_url.scheme() == "https"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c_231_a_cookie_is_hardened_and_bound_to_the_host_on_https() {
        for (url, expected) in [
            (
                "https://ciba.example/",
                "__Host-x=v; HttpOnly; SameSite=Lax; Secure; Path=/",
            ),
            ("http://127.0.0.1:1/", "x=v; HttpOnly; SameSite=Lax; Path=/"),
        ] {
            let cookie = hardened("x", "v".into(), &Url::parse(url).unwrap());
            assert_eq!(cookie.to_string(), expected);
        }
    }
}
