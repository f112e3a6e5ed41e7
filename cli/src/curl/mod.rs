//! What a token may be put beside in a command of curl: exactly one URL, and no option that could send or show the token
//! elsewhere. Pure: words in, a URL or a refusal out.

use std::ffi::{OsStr, OsString};

use crate::error::Error;

mod options;

use options::Takes;

/// The one URL of a command, and what else matters in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Where the token goes.
    pub(crate) url: String,
    /// Whether redirects are followed.
    pub(crate) follows: bool,
}

impl Request {
    /// Reads curl's arguments.
    ///
    /// # Errors
    ///
    /// What could send the token elsewhere, or is not understood.
    pub(crate) fn read(words: &[OsString]) -> Result<Self, Error> {
        let mut reader = Reader::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let word = text(word)?;
            match word.strip_prefix("--") {
                Some("") => return reader.rest(words.as_slice()),
                Some(name) => reader.long(name, &mut words)?,
                None if word.starts_with('-') && word.len() > 1 => reader.short(&word[1..], &mut words)?,
                None => reader.url(word)?,
            }
        }
        reader.done()
    }

    /// Whether the URL is a secure one.
    pub(crate) fn is_https(&self) -> bool {
        has_prefix(&self.url, "https://")
    }
}

#[derive(Default)]
struct Reader<'a> {
    url: Option<&'a str>,
    follows: bool,
}

/// What is still to be read.
type Words<'a> = std::slice::Iter<'a, OsString>;

impl<'a> Reader<'a> {
    fn long(&mut self, name: &'a str, words: &mut Words<'a>) -> Result<(), Error> {
        match options::long(name).map_err(|reason| refused(&format!("--{name}"), reason))? {
            Takes::Nothing => self.follows |= name == "location",
            Takes::Value => {
                let value = words.next().ok_or_else(|| incomplete(&format!("--{name}")))?;
                self.value(name, value)?;
            }
        }
        Ok(())
    }

    /// Reads `-sSLo`: letters, of which the last may take the rest of the word or the next one.
    fn short(&mut self, letters: &'a str, words: &mut Words<'a>) -> Result<(), Error> {
        for (at, letter) in letters.char_indices() {
            let takes = options::short(letter).map_err(|reason| refused(&format!("-{letter}"), reason))?;
            if takes == Takes::Nothing {
                self.follows |= letter == 'L';
                continue;
            }
            let rest = &letters[at + letter.len_utf8()..];
            let value = if rest.is_empty() {
                words.next().ok_or_else(|| incomplete(&format!("-{letter}")))?
            } else {
                OsStr::new(rest)
            };
            return self.value(options::long_name(letter), value);
        }
        Ok(())
    }

    fn value(&mut self, name: &str, value: &'a OsStr) -> Result<(), Error> {
        match name {
            "url" => self.url(text(value)?),
            "header" => check_header(text(value)?),
            "request" => check_method(text(value)?),
            _ if options::is_body(name) => Ok(()),
            _ => check_line(value),
        }
    }

    fn rest(mut self, words: &'a [OsString]) -> Result<Request, Error> {
        for word in words {
            self.url(text(word)?)?;
        }
        self.done()
    }

    fn url(&mut self, url: &'a str) -> Result<(), Error> {
        check_url(url)?;
        match self.url.replace(url) {
            None => Ok(()),
            Some(_) => Err(Error::usage(
                "a token goes to one URL: run ciba curl once for each",
            )),
        }
    }

    fn done(self) -> Result<Request, Error> {
        let url = self.url.ok_or_else(|| Error::usage("a URL is missing"))?;
        Ok(Request {
            url: url.into(),
            follows: self.follows,
        })
    }
}

/// Holds a URL to the form that every program reads alike: which host it names must not depend on the reader.
fn check_url(url: &str) -> Result<(), Error> {
    let rest = ["https://", "http://"]
        .iter()
        .find(|scheme| has_prefix(url, scheme))
        .map(|scheme| &url[scheme.len()..])
        .ok_or_else(|| Error::usage("a URL has to begin with https:// (or http://, on this machine)"))?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    if authority.is_empty() || !authority.bytes().all(is_host) {
        return Err(Error::usage(
            "the URL's host has to be plain: no user name, no percent sign, international names as xn--",
        ));
    }
    // RFC 3986 has none of the others, and curl would make several URLs of some.
    let is_path = |byte: u8| byte.is_ascii_graphic() && !b"\\\"<>^`{|}".contains(&byte);
    if path.bytes().all(is_path) {
        Ok(())
    } else {
        Err(Error::usage(
            "the URL holds a character that has to be percent-encoded",
        ))
    }
}

fn has_prefix(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Refuses a header that says who asks, or which host is meant; and a file of headers, which might.
fn check_header(header: &str) -> Result<(), Error> {
    let end = header.find([':', ';']).unwrap_or(header.len());
    let name = header[..end].trim();
    let is_ours = ["authorization", "host"]
        .iter()
        .any(|ours| name.eq_ignore_ascii_case(ours));
    if is_ours || name.is_empty() || header.starts_with('@') {
        let reason = "ciba gives Authorization, the URL gives Host, and what is in a file is not known";
        return Err(refused("this header", reason));
    }
    check_line(OsStr::new(header))
}

/// Refuses a method that is more than one word (RFC 9110 §9.1): curl would write the rest into the request.
fn check_method(method: &str) -> Result<(), Error> {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !method.is_empty() && method.bytes().all(is_letter) {
        Ok(())
    } else {
        Err(refused("this method", "it is one word of letters"))
    }
}

/// Refuses a second line, which curl would write into the request as a header of its own.
fn check_line(value: &OsStr) -> Result<(), Error> {
    if value.as_encoded_bytes().iter().any(u8::is_ascii_control) {
        return Err(refused(
            "a value with a control character",
            "it could add a header",
        ));
    }
    Ok(())
}

fn text(word: &OsStr) -> Result<&str, Error> {
    word.to_str()
        .ok_or_else(|| Error::usage("an argument is not valid UTF-8"))
}

fn refused(what: &str, reason: &str) -> Error {
    Error::usage(format!("{what} is refused: {reason}")).hint("ciba token --header | curl -H @- …")
}

fn incomplete(option: &str) -> Error {
    Error::usage(format!("a value is missing behind {option}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(line: &str) -> Result<Request, String> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let message = |error: Error| error.failure().unwrap().message.clone();
        Request::read(&words).map_err(message)
    }

    #[test]
    fn the_url_is_found_among_the_options() {
        for line in [
            "https://a.example/x",
            "-s https://a.example/x",
            "-sSfo file https://a.example/x",
            "-sSfofile https://a.example/x",
            "-XPOST --json {} --url https://a.example/x",
            "https://a.example/x -d https://b.example/",
            "-o https://b.example/ https://a.example/x",
            "-A https://b.example/ -- https://a.example/x",
            "-H Accept:text/plain https://a.example/x -H X-Hosts:a",
            "-d a\nb https://a.example/x --json {\n} -F a=b\nc",
            "--request M-SEARCH https://a.example/x",
        ] {
            let request = read(line).unwrap();
            assert_eq!(
                (request.url.as_str(), request.follows),
                ("https://a.example/x", false),
                "{line}"
            );
        }
        for line in [
            "-L http://[::1]:80/",
            "-sLS http://[::1]:80/",
            "--location http://[::1]:80/",
        ] {
            let request = read(line).unwrap();
            assert!(request.follows && !request.is_https(), "{line}");
        }
        assert!(read("HTTPS://a.example").unwrap().is_https());
    }

    #[test]
    fn one_url_and_no_more() {
        let two = "a token goes to one URL: run ciba curl once for each";
        for line in [
            "https://a.example https://b.example",
            "https://a.example --url https://a.example",
            "--url https://a.example --url https://b.example",
            "https://a.example -- https://b.example",
        ] {
            assert_eq!(read(line), Err(two.into()), "{line}");
        }
        assert_eq!(read("-s"), Err("a URL is missing".into()));
        assert_eq!(
            read("https://a.example -o"),
            Err("a value is missing behind -o".into())
        );
        assert_eq!(read("--url"), Err("a value is missing behind --url".into()));
    }

    #[test]
    fn a_url_that_two_programs_may_read_differently_is_refused() {
        for url in [
            "a.example",
            "-",
            "ftp://a.example/",
            "file:///etc/passwd",
            "https:/a.example",
            "https:a.example",
            "https:///a.example",
            "https://",
            "https://user@a.example/",
            "https://a.example@b.example/",
            "https://a.example:443@b.example/",
            "https://a.example\\@b.example/",
            "https://a.example\\.b.example/",
            "https://a%2eexample/",
            "https://{a,b}.example/",
            "https://a.example/{x,y}",
            "https://b\u{fc}cher.example/",
            "https://a.example/\u{fc}",
            "https://a.example\t/",
            "https://a.example/\n",
            "https://a.example\u{1}/",
            "@urls",
        ] {
            assert!(read(url).is_err(), "{url}");
            assert!(read(&format!("--url {url}")).is_err(), "{url}");
        }
    }

    #[test]
    fn options_that_lead_elsewhere_are_refused_wherever_they_stand() {
        for options in [
            "-k",
            "-sk",
            "-v",
            "-sv",
            "-K file",
            "-sKfile",
            "--config file",
            "-x http://p",
            "--proxy http://p",
            "--next",
            "-:",
            "--location-trusted",
            "--connect-to ::evil:",
            "--resolve a:443:1.2.3.4",
            "--unix-socket /s",
            "-u a:b",
            "--oauth2-bearer x",
            "-n",
            "--netrc",
            "--trace -",
            "--insecure",
            "-HAuthorization:x",
            "-H authorization:x",
            "-H Authorization;",
            "-H Host:b.example",
            "-H :authority:b.example",
            "-H X:a\r\nHost:b.example",
            "-A x\r\nHost:b.example",
            "-ex\nHost:b.example",
            "--user-agent x\nHost:b.example",
            "-b a=b\nHost:b.example",
            "-r 0-1\nHost:b.example",
            "-X GET\t/other",
            "-XGET\r\nHost:b.example",
            "--request a\u{e4}",
            "-y\u{0}",
            "--ciphers aNULL",
            "--tls-max 1.0",
            "-H @file",
            "--header host:b.example",
            "--header=X:y",
            "--url=https://a.example",
            "--unknown",
            "-?",
        ] {
            let line = format!("{options} https://a.example/");
            let refused = read(&line).is_err_and(|message| message.contains("is refused"));
            assert!(refused, "{line}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_typed_there_is_one_url_or_none(
            words in prop::collection::vec(
                prop_oneof![
                    prop::sample::select(&[
                        "https://a.example/", "-sS", "-L", "-o", "-d", "-H", "--url", "--", "-k", "--next", "@file", "-", "--json",
                    ]).prop_map(String::from),
                    any::<String>(),
                ],
                0..8,
            ),
        ) {
            let words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
            if let Ok(request) = Request::read(&words) {
                prop_assert!(check_url(&request.url).is_ok());
                prop_assert!(words.iter().any(|word| word == request.url.as_str()));
            }
        }
    }
}
