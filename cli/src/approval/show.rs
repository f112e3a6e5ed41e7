//! What a person reads of a request. Nearly all of it is the client's own words: it cannot steer the terminal, and what is
//! long is cut, which is said.

use std::fmt::Write as _;

use ipc_proto::{Approval, handle};

use super::Waiting;
use super::cut::{MAX_VALUE, cut};
use super::details::{self, Table};
use crate::clock;
use crate::screen::Screen;
use crate::terminal::{Plain, bold};

/// Characters of a client's name in a list.
const MAX_NAME: usize = 30;

/// Characters of what is asked for in a list: with a name of ten, a line has 80.
const MAX_WHAT: usize = 36;

/// Returns a list of requests as aligned lines.
pub(crate) fn table(waiting: &[Waiting]) -> String {
    let names = waiting.iter().map(|waiting| name(&waiting.approval));
    let name_width = names.map(|name| name.chars().count()).max().unwrap_or(0);
    let whats = waiting.iter().map(|waiting| what(&waiting.approval));
    let what_width = whats.map(|what| what.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for Waiting { approval, .. } in waiting {
        let (id, name, what) = (Plain(approval.handle()), name(approval), what(approval));
        let ends = clock::ends(clock::left(approval.expires_at));
        let _ = writeln!(text, "{id}  {name:name_width$}  {what:what_width$}  {ends}");
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

/// Returns what a person reads before deciding: who asks, for what, for how long.
pub(crate) fn question(approval: &Approval, screen: Screen) -> String {
    let mut sheet = Sheet::of(screen);
    sheet.row("Client", &approval.client_name);
    if let Some(uri) = &approval.client_uri {
        sheet.row("", uri);
    }
    if let Some(message) = &approval.binding_message {
        sheet.row("Message", &format!("\u{201c}{message}\u{201d}"));
    }
    sheet.row("Access", &approval.scope.join(", "));
    if let Some(details) = &approval.authorization_details {
        sheet.table("Details", details::of_authorization(details));
    }
    if let Some(agent) = &approval.agent {
        sheet.row("Agent", "as the client says; nobody has checked it");
        sheet.table("", details::of_statement(agent));
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
    format!("{} asks for your approval:\n\n{}", name(approval), sheet.text)
}

/// Rows with a label each.
struct Sheet {
    screen: Screen,
    text: String,
    /// Whether anything is missing.
    is_cut: bool,
}

/// Columns before a row's value.
const MARGIN: usize = 11;

impl Sheet {
    fn of(screen: Screen) -> Self {
        Self {
            screen,
            text: String::new(),
            is_cut: false,
        }
    }

    fn row(&mut self, label: &str, value: &str) {
        self.is_cut |= value.chars().count() > MAX_VALUE;
        let padding = " ".repeat(9 - label.len().min(9));
        let value = self.screen.fold(&cut(value, MAX_VALUE), MARGIN, MARGIN);
        let _ = writeln!(self.text, "  {}{padding}{value}", bold(label));
    }

    fn table(&mut self, label: &str, table: Table) {
        self.is_cut |= table.is_cut;
        let mut label = label;
        for line in table.lines {
            let padding = " ".repeat(9 - label.len().min(9));
            let _ = writeln!(self.text, "  {}{padding}{line}", bold(label));
            label = "";
        }
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
            scope: vec!["openid".into(), "pay".into()],
            binding_message: Some("Pay 20 EUR".into()),
            authorization_details: Some(
                r#"[{"type":"payment","amount":{"value":"20.00","currency":"EUR"}}]"#.into(),
            ),
            agent: Some(r#"{"agent":"bot"}"#.into()),
            ..approval("k3Qz-x7_abc")
        };
        assert_eq!(
            question(&approval, Screen::PIPE),
            "\
Shop asks for your approval:

  Client   Shop
           https://shop.example
  Message  \u{201c}Pay 20 EUR\u{201d}
  Access   openid, pay
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
        let shown = question(&approval, Screen::PIPE);
        let is_odd = |c: char| c != '\n' && !ipc_proto::is_plain(c);
        assert!(!shown.contains(is_odd), "{shown:?}");
        assert!(shown.contains(&format!("{}…", "x".repeat(150))));
        assert!(shown.contains("This is not all"), "{shown}");
        assert!(shown.lines().count() < 20, "no line of its own: {shown}");
        let listed = line(&approval);
        assert!(!listed.trim_end().contains(is_odd) && listed.chars().count() < 140);
    }
}
