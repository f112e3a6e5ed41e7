//! Which of curl's options may stand in a command that carries a token. What is not listed is refused: nothing is known of
//! where it would lead.

/// Whether a word follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// It stands alone.
    Nothing,
    /// It takes a value.
    Value,
}

/// Short options that stand alone.
const SHORT_ALONE: &str = "#046GIJLNORSfgijqs";

/// Short options with a value.
const SHORT_WITH_VALUE: &str = "ACDEFHTXYbcdemorwyz";

/// Long options that stand alone.
const LONG_ALONE: &str = "clobber compressed create-dirs disable fail fail-early fail-with-body get globoff head http1.0 \
    http1.1 http2 http2-prior-knowledge http3 include ipv4 ipv6 junk-session-cookies location no-buffer no-clobber \
    no-keepalive no-progress-meter post301 post302 post303 progress-bar raw remote-header-name remote-name remote-time \
    remove-on-error retry-all-errors retry-connrefused show-error silent tcp-nodelay tlsv1.2 tlsv1.3 tr-encoding";

/// Long options with a value.
const LONG_WITH_VALUE: &str = "cacert capath cert cert-type connect-timeout continue-at cookie cookie-jar data \
    data-ascii data-binary data-raw data-urlencode dump-header etag-compare etag-save expect100-timeout form form-string \
    header json keepalive-time key key-type limit-rate max-filesize max-redirs max-time output output-dir pinnedpubkey \
    range referer request retry retry-delay retry-max-time speed-limit speed-time stderr time-cond upload-file \
    url url-query user-agent write-out";

/// Options whose value is, or may be, the body of a request: any bytes.
const BODY: &str = "data data-ascii data-binary data-raw data-urlencode form form-string json";

/// Returns what a short option takes, or why it is refused.
pub(super) fn short(letter: char) -> Result<Takes, &'static str> {
    if SHORT_ALONE.contains(letter) {
        Ok(Takes::Nothing)
    } else if SHORT_WITH_VALUE.contains(letter) {
        Ok(Takes::Value)
    } else {
        Err(reason(match letter {
            'K' => "config",
            'U' => "proxy-user",
            'Z' => "parallel",
            'k' => "insecure",
            'n' => "netrc",
            'u' => "user",
            'v' => "verbose",
            'x' => "proxy",
            ':' => "next",
            _ => "",
        }))
    }
}

/// Returns the long name of a short option whose value is looked at; an empty one for the others.
pub(super) fn long_name(letter: char) -> &'static str {
    match letter {
        'F' => "form",
        'H' => "header",
        'X' => "request",
        'd' => "data",
        _ => "",
    }
}

/// Whether the value goes into the body of the request.
pub(super) fn is_body(name: &str) -> bool {
    is_in(BODY, name)
}

fn is_in(list: &str, name: &str) -> bool {
    list.split_ascii_whitespace().any(|known| known == name)
}

/// Returns what a long option takes, or why it is refused. Its name has to be whole: which ones curl may shorten is for
/// its version to say.
pub(super) fn long(name: &str) -> Result<Takes, &'static str> {
    if is_in(LONG_ALONE, name) {
        Ok(Takes::Nothing)
    } else if is_in(LONG_WITH_VALUE, name) {
        Ok(Takes::Value)
    } else {
        Err(reason(name))
    }
}

fn reason(name: &str) -> &'static str {
    match name {
        "insecure" | "ciphers" | "tls-max" | "tls13-ciphers" => {
            "the server that gets the token has to prove who it is"
        }
        "verbose" | "trace" | "trace-ascii" | "libcurl" => "it writes the token down",
        "location-trusted" => "it passes the token on to every host that a redirect names",
        "config" => "what is in the file is not known",
        "next" | "parallel" => "there can be one request only",
        "proxy" | "preproxy" | "proxy-user" | "socks5" | "socks5-hostname" => {
            "name the proxy in https_proxy instead"
        }
        "connect-to" | "resolve" | "unix-socket" | "abstract-unix-socket" | "interface" | "doh-url" => {
            "it leads to another server than the URL says"
        }
        "user" | "oauth2-bearer" | "netrc" | "netrc-file" | "netrc-optional" | "basic" | "anyauth" => {
            "the rule says how the token is shown"
        }
        _ => "it is not known to be safe with a token",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_option_is_in_one_list() {
        for name in LONG_ALONE.split_ascii_whitespace() {
            assert_eq!(long(name), Ok(Takes::Nothing), "{name}");
        }
        for name in LONG_WITH_VALUE.split_ascii_whitespace() {
            assert_eq!(long(name), Ok(Takes::Value), "{name}");
        }
        for letter in SHORT_WITH_VALUE.chars() {
            assert_eq!(short(letter), Ok(Takes::Value), "{letter}");
        }
        for name in BODY.split_ascii_whitespace() {
            assert!(is_body(name) && long(name) == Ok(Takes::Value), "{name}");
        }
        for letter in "FHXd".chars() {
            assert_eq!(long(long_name(letter)), short(letter), "{letter}");
        }
    }

    #[test]
    fn what_leads_elsewhere_or_shows_the_token_is_refused() {
        let refused = "insecure verbose trace trace-ascii libcurl location-trusted config next proxy preproxy connect-to \
            resolve unix-socket user netrc path-as-is expand-url variable loc url=https://x";
        for name in refused.split_ascii_whitespace() {
            assert!(long(name).is_err(), "{name}");
        }
        assert!(long("").is_err());
        for letter in "kvKxuUnZ:VhMpa@- ".chars() {
            assert!(short(letter).is_err(), "{letter}");
        }
    }
}
