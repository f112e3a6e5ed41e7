//! Hands a login page to the person's browser, and decides when not to: the page's address comes from a
//! server, and what opens it understands more than web pages.

use std::net::SocketAddr;

use crate::environment;

/// Opens a page. Returns whether a browser took it.
pub(crate) fn open(url: &str) -> bool {
    is_page(url)
        && has_display(|name| environment::variable(name).is_some())
        && open::that_detached(url).is_ok()
}

/// Whether an address is a web page: `https`, or `http` on this machine. `file:`, `javascript:` and
/// whatever else a desktop would start are not.
fn is_page(url: &str) -> bool {
    if !url.bytes().all(is_url_byte) {
        return false;
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match scheme {
        "https" => !authority.is_empty(),
        "http" => is_loopback(authority),
        _ => false,
    }
}

/// RFC 3986 §2: nothing that a shell in between could take for its own, but for what every URL has.
fn is_url_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)
}

/// Whether `host[:port]` is this machine. Parsed as a whole: `127.0.0.1:1@evil.example` is elsewhere.
fn is_loopback(authority: &str) -> bool {
    if let Some(rest) = authority.strip_prefix("localhost") {
        return rest.is_empty()
            || rest
                .strip_prefix(':')
                .is_some_and(|port| port.parse::<u16>().is_ok());
    }
    let with_port = [authority.to_owned(), format!("{authority}:80")];
    with_port.iter().any(|address| {
        address
            .parse()
            .is_ok_and(|address: SocketAddr| address.ip().is_loopback())
    })
}

/// Whether a browser would appear before this person: not at the far end of an SSH session, nor where
/// there is no screen.
fn has_display(is_set: impl Fn(&str) -> bool) -> bool {
    if cfg!(target_os = "macos") {
        !is_set("SSH_CONNECTION")
    } else {
        ["DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"]
            .into_iter()
            .any(is_set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_pages_are_opened() {
        let pages = [
            "https://ciba.example.com/device?user_code=ABCD-EFGH",
            "http://127.0.0.1:8787/login",
            "http://localhost/",
            "http://localhost:8787?x",
            "http://127.0.0.1#x",
            "http://[::1]",
            "http://[::1]:80/x",
        ];
        for url in pages {
            assert!(is_page(url), "{url}");
        }
        let others = [
            "",
            "https://",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "javascript://127.0.0.1/%0aalert(1)",
            "http://ciba.example.com/",
            "http://localhost@evil.example/",
            "http://127.0.0.1:1@evil.example/",
            "http://localhost:1@evil.example/",
            "http://localhost.evil.example/",
            "http://localhost1/",
            "http://127.0.0.1.evil.example/",
            "http://[::1",
            "http://[::1].evil.example/",
            "https://a b",
            "https://a/\"x",
            "https://a/\n--flag",
            "--https://a",
            "-https://a",
        ];
        for url in others {
            assert!(!is_page(url), "{url}");
        }
    }

    #[test]
    #[cfg(not(target_os = "macos"))]
    fn no_browser_appears_where_there_is_no_screen() {
        assert!(has_display(|name| name == "DISPLAY"));
        assert!(has_display(|name| name == "WAYLAND_DISPLAY"));
        assert!(!has_display(|name| name == "SSH_CONNECTION"));
    }
}
