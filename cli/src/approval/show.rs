//! What a person reads of a request. Nearly all of it is the client's own words: it cannot steer the terminal, and what is
//! long is cut, which is said.

use std::fmt::Write as _;

use ipc_proto::{Approval, handle};

use super::Waiting;
use super::cut::{MAX_VALUE, cut, is_too_long};
use super::details::{self, Line, Table};
use super::width::{padded, usual};
use super::wrap::wrap;
use crate::clock;
use crate::terminal::{Plain, bold};

/// Characters of a client's name in a list.
const MAX_NAME: usize = 30;

/// Characters of what is asked for in a list: with a name of ten, a line has 80.
const MAX_WHAT: usize = 36;

/// Columns before the labels.
const MARGIN: usize = 2;

/// Columns of a label.
const LABEL: usize = 9;

/// Columns by which a line that goes on is moved in, at most.
const MAX_HANG: usize = 40;

/// Returns a list of requests as aligned lines.
pub(crate) fn table(waiting: &[Waiting]) -> String {
    let names = waiting.iter().map(|waiting| name(&waiting.approval));
    let name_width = names.map(|name| usual(&name)).max().unwrap_or(0);
    let whats = waiting.iter().map(|waiting| what(&waiting.approval));
    let what_width = whats.map(|what| usual(&what)).max().unwrap_or(0);
    let mut text = String::new();
    for Waiting { approval, .. } in waiting {
        let name = padded(&name(approval), name_width);
        let what = padded(&what(approval), what_width);
        let ends = clock::ends(clock::left(approval.expires_at));
        let _ = writeln!(text, "{}  {name}  {what}  {ends}", Plain(approval.handle()));
    }
    text
}

/// Returns a request as a line.
pub(crate) fn line(approval: &Approval) -> String {
    let (id, name, what) = (Plain(approval.handle()), name(approval), what(approval));
    let ends = clock::ends(clock::left(approval.expires_at));
    format!("{id}  {name}  {what}  {ends}\n")
}

/// Returns the line of a request that waits no longer.
pub(crate) fn line_of_gone(request: &str) -> String {
    format!("{}  decided, or expired\n", Plain(handle(request)))
}

fn name(approval: &Approval) -> String {
    cut(&approval.client_name, MAX_NAME)
}

/// What the client says, or what it asks for.
fn what(approval: &Approval) -> String {
    match &approval.binding_message {
        Some(message) => format!("\u{201c}{}\u{201d}", cut(message, MAX_WHAT)),
        None => cut(&approval.scope.join(" "), MAX_WHAT),
    }
}

/// What a person reads before deciding.
pub(crate) struct Question {
    pub(crate) text: String,
    /// Whether it says all of the request.
    pub(crate) is_whole: bool,
}

/// Returns what a person reads before deciding on a terminal of so many columns: who asks, for what, for how long.
pub(crate) fn question(approval: &Approval, columns: usize) -> Question {
    let mut sheet = Sheet {
        text: String::new(),
        is_cut: false,
        columns,
    };
    sheet.row("Client", &approval.client_name);
    if let Some(uri) = &approval.client_uri {
        let own_words = if approval.client_vouched {
            ""
        } else {
            "says of itself: "
        };
        sheet.words("", own_words, uri, "");
    }
    if let Some(message) = &approval.binding_message {
        sheet.words("Message", "\u{201c}", message, "\u{201d}");
    }
    sheet.row("Access", &approval.scope.join(", "));
    sheet.table("At", &Table::of_list(&approval.resources));
    if let Some(details) = &approval.authorization_details {
        sheet.table("Details", &details::of_authorization(details));
    }
    if let Some(agent) = &approval.agent {
        sheet.row("Agent", "as the client says; nobody has checked it");
        sheet.table("", &details::of_statement(agent));
    }
    let ends = clock::ends(clock::left(approval.expires_at));
    sheet.row("Request", &format!("{}, {ends}", approval.handle()));
    if sheet.is_cut {
        let url = Plain(&approval.url);
        let _ = write!(
            sheet.text,
            "\n{} {url}\n",
            bold("This is not all. The page shows the rest:")
        );
    }
    Question {
        text: format!("{} asks for your approval:\n\n{}", name(approval), sheet.text),
        is_whole: !sheet.is_cut,
    }
}

/// Rows with a label each.
struct Sheet {
    text: String,
    /// Whether anything is missing.
    is_cut: bool,
    /// Of the terminal.
    columns: usize,
}

impl Sheet {
    fn row(&mut self, label: &str, value: &str) {
        self.words(label, "", value, "");
    }

    /// A value, and our own words before and after it.
    fn words(&mut self, label: &str, before: &str, value: &str, after: &str) {
        self.is_cut |= is_too_long(value);
        let text = format!("{before}{}{after}", cut(value, MAX_VALUE));
        self.line(label, &Line { text, hang: 0 });
    }

    fn table(&mut self, label: &str, table: &Table) {
        self.is_cut |= table.is_cut;
        let labels = std::iter::once(label).chain(std::iter::repeat(""));
        for (label, line) in labels.zip(&table.lines) {
            self.line(label, line);
        }
    }

    fn line(&mut self, label: &str, line: &Line) {
        let padding = " ".repeat(LABEL - label.len().min(LABEL));
        let at = MARGIN + LABEL;
        let text = wrap(&line.text, at, at + line.hang.min(MAX_HANG), self.columns);
        let _ = writeln!(self.text, "{:MARGIN$}{}{padding}{text}", "", bold(label));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::approval::tests::approval;

    #[test]
    fn c_211_a_question_says_who_asks_for_what_and_how_long_it_waits() {
        let approval = Approval {
            client_uri: Some("https://shop.example".into()),
            client_vouched: true,
            scope: vec!["openid".into(), "pay".into()],
            resources: vec!["https://api.example/".into(), "https://bank.example/".into()],
            binding_message: Some("Pay 20 EUR".into()),
            authorization_details: Some(
                r#"[{"type":"payment","amount":{"value":"20.00","currency":"EUR"}}]"#.into(),
            ),
            agent: Some(r#"{"agent":"bot"}"#.into()),
            ..approval("k3Qz-x7_abc")
        };
        assert_eq!(
            question(&approval, 80).text,
            "\
Shop asks for your approval:

  Client   Shop
           https://shop.example
  Message  \u{201c}Pay 20 EUR\u{201d}
  Access   openid, pay
  At       https://api.example/
           https://bank.example/
  Details  payment
             amount
               currency  EUR
               value     20.00
  Agent    as the client says; nobody has checked it
           agent  bot
  Request  k3Qz-x7_, expired
"
        );
    }

    #[test]
    fn c_211_what_a_client_says_moves_no_cursor_and_what_is_cut_is_said() {
        let hostile = "\u{1b}[2J\u{202e}\r\n\u{9b}1A";
        let approval = Approval {
            client_name: hostile.into(),
            client_uri: Some(hostile.into()),
            scope: vec![hostile.into()],
            binding_message: Some(format!("{hostile}{}", "x".repeat(1_000))),
            authorization_details: Some(serde_json::json!([{"type": hostile, hostile: hostile}]).to_string()),
            agent: Some(serde_json::json!({hostile: [hostile]}).to_string()),
            ..approval("k3Qz-x7_abc")
        };
        let question = question(&approval, 80);
        assert!(!question.is_whole);
        let shown = question.text;
        let is_odd = |c: char| c != '\n' && !ipc_proto::is_plain(c);
        assert!(!shown.contains(is_odd), "{shown:?}");
        assert!(shown.contains("x…\u{201d}"), "{shown}");
        assert!(shown.contains("This is not all"), "{shown}");
        assert!(shown.lines().count() < 24, "no line of its own: {shown}");
        let listed = line(&approval);
        assert!(!listed.trim_end().contains(is_odd) && listed.chars().count() < 140);
    }

    #[test]
    fn c_211_the_page_of_a_client_that_registered_itself_is_its_own_statement() {
        let approval = Approval {
            client_uri: Some("https://bank.example".into()),
            ..approval("k3Qz-x7_abc")
        };
        let shown = question(&approval, 80).text;
        assert!(
            shown.contains("\n           says of itself: https://bank.example\n"),
            "{shown}"
        );
    }

    #[test]
    fn c_211_no_text_of_a_client_looks_like_a_row() {
        let rows = format!("Pay 1 EUR{}Access   openid\n  Access   openid", " ".repeat(60));
        let approval = Approval {
            client_name: rows.clone(),
            client_uri: Some(rows.clone()),
            scope: vec![rows.clone()],
            resources: vec![rows.clone()],
            binding_message: Some(rows.clone()),
            authorization_details: Some(
                serde_json::json!([{"type": rows, "a": rows}, {rows.clone(): 1}]).to_string(),
            ),
            ..approval("k3Qz-x7_abc")
        };
        for columns in [0, 20, 40, 80, 200] {
            let shown = question(&approval, columns).text;
            let labels = shown
                .lines()
                .skip(2)
                .filter(|line| !line.starts_with("           "));
            let labels: Vec<_> = labels.filter_map(|line| line.split_whitespace().next()).collect();
            let ours = ["Client", "Message", "Access", "At", "Details", "Request"];
            assert_eq!(labels, ours, "{columns}: {shown}");
            assert!(!shown.contains("EUR  "), "{shown}");
        }
    }

    #[test]
    fn c_211_a_list_is_aligned_in_every_script() {
        let waiting = ["Shop", "店鋪", "Zoe\u{308}"].map(|name| Waiting {
            profile: ipc_proto::ProfileName::default(),
            approval: Approval {
                client_name: name.into(),
                binding_message: Some("x".repeat(10 - usual(name))),
                ..approval("k3Qz-x7_abc")
            },
        });
        let shown = table(&waiting);
        let starts = |sign: &str| -> Vec<_> {
            let starts = shown
                .lines()
                .filter_map(|line| Some(usual(line.split_once(sign)?.0)));
            starts.collect()
        };
        assert_eq!(starts("\u{201c}"), [16; 3], "{shown}");
        assert_eq!(starts("expired"), [27; 3], "{shown}");
    }

    #[test]
    fn c_105_the_longest_message_is_shown_whole() {
        let approval = Approval {
            binding_message: Some("m".repeat(256)),
            ..approval("k3Qz-x7_abc")
        };
        assert!(question(&approval, 80).is_whole);
    }
}
