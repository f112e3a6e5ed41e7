//! How results are shown: a number, its goal, and what the same run measured beside it.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// The results about one subject.
#[derive(Serialize)]
pub(crate) struct Table {
    title: &'static str,
    /// What exactly was measured, where the rows cannot say it.
    notes: Vec<String>,
    rows: Vec<Row>,
}

/// One result.
#[derive(Serialize)]
pub(crate) struct Row {
    what: String,
    measured: Quantity,
    #[serde(skip_serializing_if = "Option::is_none")]
    goal: Option<Quantity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<Verdict>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    beside: Vec<Beside>,
}

/// What a result is compared with.
#[derive(Serialize)]
struct Beside {
    who: String,
    measured: Quantity,
    /// Ours divided by theirs.
    ratio: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Over,
}

/// A number with its unit. Less is better.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "unit", content = "value", rename_all = "lowercase")]
pub(crate) enum Quantity {
    /// Memory.
    Bytes(f64),
    /// Time. Serialized in seconds; a difference may be negative.
    Seconds(f64),
    /// Anything that is counted.
    Count(u64),
}

impl From<Duration> for Quantity {
    fn from(time: Duration) -> Self {
        Self::Seconds(time.as_secs_f64())
    }
}

impl Quantity {
    fn value(self) -> f64 {
        match self {
            Self::Bytes(value) | Self::Seconds(value) => value,
            #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
            Self::Count(count) => count as f64,
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.value().abs();
        match *self {
            Self::Bytes(bytes) if size >= 1024.0 * 1024.0 => write!(f, "{:.1} MiB", bytes / 1024.0 / 1024.0),
            Self::Bytes(bytes) if size >= 1024.0 => write!(f, "{:.1} KiB", bytes / 1024.0),
            Self::Bytes(bytes) => write!(f, "{bytes:.0} B"),
            Self::Seconds(seconds) if size >= 1.0 => write!(f, "{seconds:.2} s"),
            Self::Seconds(seconds) => write!(f, "{:.3} ms", seconds * 1e3),
            Self::Count(count) if count >= 10_000 => write!(f, "{:.1} k", size / 1e3),
            Self::Count(count) => write!(f, "{count}"),
        }
    }
}

impl Row {
    pub(crate) fn new(what: impl Into<String>, measured: impl Into<Quantity>) -> Self {
        Self {
            what: what.into(),
            measured: measured.into(),
            goal: None,
            verdict: None,
            beside: Vec::new(),
        }
    }

    /// Sets the most that it may be.
    pub(crate) fn goal(mut self, most: impl Into<Quantity>) -> Self {
        let most = most.into();
        let within = self.measured.value() <= most.value();
        self.goal = Some(most);
        self.verdict = Some(if within { Verdict::Ok } else { Verdict::Over });
        self
    }

    /// Compares it with what the same run measured of somebody else.
    pub(crate) fn beside(mut self, who: impl Into<String>, measured: impl Into<Quantity>) -> Self {
        let measured = measured.into();
        self.beside.push(Beside {
            who: who.into(),
            measured,
            ratio: self.measured.value() / measured.value(),
        });
        self
    }

    fn cells(&self) -> [String; 5] {
        let goal = self.goal.map_or_else(|| "-".into(), |goal| format!("≤ {goal}"));
        let verdict = match self.verdict {
            Some(Verdict::Ok) => "ok",
            Some(Verdict::Over) => "OVER",
            None => "",
        };
        let beside: Vec<_> = self.beside.iter().map(ToString::to_string).collect();
        [
            self.what.clone(),
            self.measured.to_string(),
            goal,
            verdict.into(),
            beside.join(", "),
        ]
    }
}

impl fmt::Display for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ratio.is_finite() {
            write!(f, "{:.2} × {} ({})", self.ratio, self.who, self.measured)
        } else {
            write!(f, "{} {}", self.who, self.measured)
        }
    }
}

impl Table {
    pub(crate) fn new(title: &'static str) -> Self {
        Self {
            title,
            notes: Vec::new(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, row: Row) {
        self.rows.push(row);
    }

    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}

const HEAD: [&str; 5] = ["", "measured", "goal", "", "beside it, in the same run"];

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = HEAD.map(str::to_owned);
        let lines: Vec<_> = std::iter::once(head)
            .chain(self.rows.iter().map(Row::cells))
            .collect();
        let widths = [0, 1, 2, 3].map(|column| {
            let cells = lines.iter().map(|line| line[column].chars().count());
            cells.max().unwrap_or_default()
        });
        writeln!(f, "{}", self.title)?;
        for [what, measured, goal, verdict, beside] in &lines {
            let [w0, w1, w2, w3] = widths;
            let line = format!("  {what:w0$}  {measured:>w1$}  {goal:<w2$}  {verdict:<w3$}  {beside}");
            writeln!(f, "{}", line.trim_end())?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "  * {note}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_the_most_that_is_ok() {
        let row = |count| Row::new("x", Quantity::Count(count)).goal(Quantity::Count(30));
        assert_eq!(row(30).verdict, Some(Verdict::Ok));
        assert_eq!(row(31).verdict, Some(Verdict::Over));
    }

    #[test]
    fn quantities_are_shown_in_the_unit_that_fits() {
        let shown = [
            Quantity::Bytes(512.0),
            Quantity::Bytes(6.25 * 1024.0),
            Quantity::Bytes(8.0 * 1024.0 * 1024.0),
            Duration::from_micros(150).into(),
            Quantity::Seconds(-0.000_05),
            Duration::from_millis(2500).into(),
            Quantity::Count(29),
            Quantity::Count(155_123),
        ]
        .map(|quantity| quantity.to_string());
        let wanted = [
            "512 B",
            "6.2 KiB",
            "8.0 MiB",
            "0.150 ms",
            "-0.050 ms",
            "2.50 s",
            "29",
            "155.1 k",
        ];
        assert_eq!(shown, wanted);
    }

    #[test]
    fn a_table_has_goal_verdict_and_ratio_in_columns() {
        let mut table = Table::new("client");
        let row = Row::new("time", Duration::from_millis(3)).goal(Duration::from_millis(2));
        table.row(row.beside("true", Duration::from_millis(2)));
        table.note("said");
        let wanted = "client\n        measured  goal              beside it, in the same run\n  time  3.000 ms  ≤ 2.000 ms  OVER  1.50 × true (2.000 ms)\n  * said\n";
        assert_eq!(table.to_string(), wanted);
    }

    #[test]
    fn json_carries_numbers_and_units() {
        let row = Row::new("memory", Quantity::Bytes(4.0)).beside("node", Quantity::Bytes(16.0));
        let json = serde_json::to_value(&row).unwrap();
        assert_eq!(
            json["measured"],
            serde_json::json!({"unit": "bytes", "value": 4.0})
        );
        assert_eq!(json["beside"][0]["ratio"], 0.25);
        assert!(json.get("goal").is_none());
    }
}
