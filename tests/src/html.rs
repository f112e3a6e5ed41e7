//! Just enough HTML to find a link or a form in a page of ours, without a browser.

/// A start or end tag; the name of an end tag begins with `/`.
pub(crate) struct Tag {
    /// The name, lower case.
    pub(crate) name: String,
    attributes: Vec<(String, String)>,
}

/// A form and what it would send as it stands.
pub(crate) struct Form {
    pub(crate) action: String,
    pub(crate) is_post: bool,
    pub(crate) fields: Vec<(String, String)>,
    /// Of its buttons with a name, only the one that is pressed is sent.
    pub(crate) buttons: Vec<(String, String)>,
    ids: Vec<String>,
}

impl Tag {
    /// Returns the attribute's value, decoded; the empty string for one without a value.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

impl Form {
    /// Whether the form has a field of that name.
    pub(crate) fn has_field(&self, name: &str) -> bool {
        self.fields.iter().any(|(field, _)| field == name)
    }

    /// Whether anything in the form carries that id.
    pub(crate) fn has_id(&self, id: &str) -> bool {
        self.ids.iter().any(|own| own == id)
    }
}

/// Returns the page's tags in order, without those in comments, scripts and styles.
pub(crate) fn tags(mut html: &str) -> Vec<Tag> {
    let mut tags: Vec<Tag> = Vec::new();
    while let Some(start) = html.find('<') {
        html = &html[start + 1..];
        if let Some(comment) = html.strip_prefix("!--") {
            html = after(comment, "-->");
            continue;
        }
        if !html.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!')) {
            continue; // A `<` in the text.
        }
        let (tag, rest) = tag(html);
        html = match tag.name.as_str() {
            "script" => after(rest, "</script"),
            "style" => after(rest, "</style"),
            _ => rest,
        };
        tags.push(tag);
    }
    tags
}

/// Returns the page's forms.
pub(crate) fn forms(html: &str) -> Vec<Form> {
    let mut forms: Vec<Form> = Vec::new();
    let mut open = false;
    for tag in tags(html) {
        match tag.name.as_str() {
            "form" => forms.push(form(&tag)),
            name if open && name != "/form" => forms.last_mut().into_iter().for_each(|form| form.add(&tag)),
            _ => {}
        }
        open = tag.name == "form" || (open && tag.name != "/form");
    }
    forms
}

fn form(tag: &Tag) -> Form {
    Form {
        action: tag.attribute("action").unwrap_or_default().to_owned(),
        is_post: tag
            .attribute("method")
            .is_some_and(|method| method.eq_ignore_ascii_case("post")),
        fields: Vec::new(),
        buttons: Vec::new(),
        ids: Vec::new(),
    }
}

impl Form {
    fn add(&mut self, tag: &Tag) {
        self.ids.extend(tag.attribute("id").map(str::to_owned));
        if let Some(name) = tag.attribute("name") {
            let value = tag.attribute("value").unwrap_or_default();
            let place = if tag.name == "button" {
                &mut self.buttons
            } else {
                &mut self.fields
            };
            place.push((name.to_owned(), value.to_owned()));
        }
    }
}

/// Reads one tag from just after its `<`; returns it and what follows its `>`.
fn tag(html: &str) -> (Tag, &str) {
    let end = html[1.min(html.len())..]
        .find(ends_name)
        .map_or(html.len(), |end| end + 1);
    let (name, mut rest) = html.split_at(end);
    let mut attributes = Vec::new();
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        if rest.is_empty() || rest.starts_with('>') {
            let rest = rest.strip_prefix('>').unwrap_or(rest);
            return (
                Tag {
                    name: name.to_ascii_lowercase(),
                    attributes,
                },
                rest,
            );
        }
        let (attribute, after) = attribute(rest);
        attributes.push(attribute);
        rest = after;
    }
}

fn attribute(html: &str) -> ((String, String), &str) {
    let end = html.find(|c| ends_name(c) || c == '=').unwrap_or(html.len());
    // A stray `=` must not stop the reading for ever.
    let (name, rest) = html.split_at(end.max(1));
    let name = name.to_ascii_lowercase();
    let Some(rest) = rest.trim_start().strip_prefix('=') else {
        return ((name, String::new()), rest);
    };
    let rest = rest.trim_start();
    let (value, rest) = match rest.chars().next() {
        Some(quote @ ('"' | '\'')) => rest[1..].split_once(quote).unwrap_or((&rest[1..], "")),
        _ => rest.split_at(
            rest.find(|c: char| c.is_whitespace() || c == '>')
                .unwrap_or(rest.len()),
        ),
    };
    ((name, decoded(value)), rest)
}

fn ends_name(c: char) -> bool {
    c.is_whitespace() || matches!(c, '>' | '/')
}

fn after<'a>(html: &'a str, end: &str) -> &'a str {
    html.split_once(end).map_or("", |(_, rest)| rest)
}

/// Replaces the character references that an escaping template writes.
fn decoded(mut text: &str) -> String {
    let mut plain = String::new();
    while let Some((before, rest)) = text.split_once('&') {
        plain.push_str(before);
        let reference = rest
            .split_once(';')
            .and_then(|(name, after)| Some((character(name)?, after)));
        let (next, after) = reference.unwrap_or(('&', rest));
        plain.push(next);
        text = after;
    }
    plain + text
}

fn character(reference: &str) -> Option<char> {
    let code = reference.strip_prefix('#');
    if let Some(code) = code {
        let hex = code
            .strip_prefix(['x', 'X'])
            .map(|hex| u32::from_str_radix(hex, 16));
        return char::from_u32(hex.unwrap_or_else(|| code.parse()).ok()?);
    }
    Some(match reference {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"<!doctype html><!-- <a id="continue" href="no"> --><style>a > b {}</style>
        <p class=x>1 < 2 &amp; 3 <p hidden><a href="/login?a=1&amp;b=&#34;2&#x22;" id='continue'>Go</a>
        <form method="POST" action="/in"><input type=hidden name=csrf value="a&lt;b"/><input name="username">
        <button id=send name=action value=go>Send</button></form><input name="elsewhere">"#;

    #[test]
    fn a_link_is_found_and_decoded() {
        let tags = tags(PAGE);
        let links: Vec<_> = tags
            .iter()
            .filter(|tag| tag.attribute("id") == Some("continue"))
            .collect();
        assert_eq!(links.len(), 1);
        assert_eq!(links[0].attribute("href"), Some(r#"/login?a=1&b="2""#));
        assert!(
            tags.iter()
                .any(|tag| tag.name == "p" && tag.attribute("hidden") == Some(""))
        );
    }

    #[test]
    fn a_form_has_its_own_fields_alone() {
        let forms = forms(PAGE);
        let [form] = &forms[..] else {
            panic!("{} forms", forms.len())
        };
        assert!(form.is_post && form.action == "/in" && form.has_id("send") && !form.has_id("continue"));
        assert_eq!(
            form.fields,
            [("csrf", "a<b"), ("username", "")].map(|(n, v)| (n.to_owned(), v.to_owned()))
        );
        assert_eq!(form.buttons, [("action".to_owned(), "go".to_owned())]);
    }

    #[test]
    fn broken_pages_end() {
        for page in [
            "<",
            "<a",
            "<a =",
            "<a = =x",
            "<a b='",
            "<a b=",
            "&",
            "<a b='&#x110000;&'>",
            "<!--",
            "<é",
        ] {
            let _ = forms(page);
        }
    }
}
