//! The tokens that a service has refused, and whether a new one is worth asking for: a tool that tries for ever must not
//! keep the provider busy. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use device_proto::ResourceUrn;
use ipc_proto::ProfileName;
use tokio::time::Instant;

/// Time between two renewals of a resource that a service's refusal causes.
pub(super) const PAUSE: Duration = Duration::from_secs(5);

/// Resources whose refusals are remembered. With one more, the one that was refused first is forgotten.
const MAX_REMEMBERED: usize = 256;

/// Where a token comes from.
type Source = (ProfileName, ResourceUrn);

/// What services have refused, by the login and the resource.
#[derive(Default)]
pub(super) struct Rejections(BTreeMap<Source, Rejection>);

struct Rejection {
    /// The token that was refused last.
    serial: u64,
    noted: Instant,
    /// The last renewal for a refusal.
    renewal: Option<Renewal>,
    /// Whether that renewal is under way.
    is_under_way: bool,
}

#[derive(Clone, Copy)]
struct Renewal {
    /// The token that it was to replace.
    old: u64,
    began: Instant,
    /// Whether a guess has caused it.
    is_guess: bool,
}

/// What to do for a client that wants a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The token in memory was not refused.
    Serve,
    /// It was: get a new one, and say when that is over ([`Rejections::renewed`]).
    Renew,
    /// It was, and it is itself the new one for another that was refused a moment ago.
    TooSoon,
}

impl Rejections {
    /// Notes that a service refused the token of this number.
    pub(super) fn note(&mut self, source: Source, serial: u64, now: Instant) {
        if let Some(rejection) = self.0.get_mut(&source) {
            rejection.serial = rejection.serial.max(serial);
            return;
        }
        self.make_room();
        let rejection = Rejection {
            serial,
            noted: now,
            renewal: None,
            is_under_way: false,
        };
        self.0.insert(source, rejection);
    }

    /// The same, on a guess: it counts for nothing shortly after a renewal, since the next token is likely to be good.
    pub(super) fn guess(&mut self, source: Source, serial: u64, now: Instant) {
        let renewal = self.0.get(&source).and_then(|rejection| rejection.renewal);
        if renewal.is_none_or(|renewal| now >= renewal.began + PAUSE) {
            self.note(source, serial, now);
        }
    }

    /// Decides about the token in memory, by its number. A tool that was told of a refusal does not wait for the sake of
    /// another one that has guessed.
    pub(super) fn judge(&mut self, source: &Source, held: u64, is_guess: bool, now: Instant) -> Verdict {
        let Some(rejection) = self.0.get_mut(source) else {
            return Verdict::Serve;
        };
        // A token that came after the refused one is worth a try.
        if held > rejection.serial {
            return Verdict::Serve;
        }
        match rejection.renewal {
            // Whoever asks while it is under way waits for the same token.
            Some(last) if rejection.is_under_way && last.old == held => Verdict::Renew,
            Some(last) if now < last.began + PAUSE && (is_guess || !last.is_guess) => Verdict::TooSoon,
            _ => {
                rejection.renewal = Some(Renewal {
                    old: held,
                    began: now,
                    is_guess,
                });
                rejection.is_under_way = true;
                Verdict::Renew
            }
        }
    }

    /// Notes that a renewal has ended, with a new token or without.
    pub(super) fn renewed(&mut self, source: &Source) {
        if let Some(rejection) = self.0.get_mut(source) {
            rejection.is_under_way = false;
        }
    }

    fn make_room(&mut self) {
        if self.0.len() < MAX_REMEMBERED {
            return;
        }
        let oldest = self.0.iter().min_by_key(|(_, rejection)| rejection.noted);
        if let Some(source) = oldest.map(|(source, _)| source.clone()) {
            self.0.remove(&source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str) -> Source {
        let urn = format!("urn:d:{name}").parse().unwrap();
        (ProfileName::default(), urn)
    }

    #[test]
    fn a_refused_token_is_renewed_and_a_newer_one_is_tried() {
        let (mut rejections, now, git) = (Rejections::default(), Instant::now(), source("git"));
        assert_eq!(rejections.judge(&git, 7, false, now), Verdict::Serve);
        rejections.note(git.clone(), 7, now);
        assert_eq!(rejections.judge(&source("other"), 7, false, now), Verdict::Serve);
        assert_eq!(rejections.judge(&git, 7, false, now), Verdict::Renew);
        assert_eq!(rejections.judge(&git, 7, false, now), Verdict::Renew, "joins");
        rejections.renewed(&git);
        assert_eq!(rejections.judge(&git, 8, false, now), Verdict::Serve);
        rejections.note(git.clone(), 6, now);
        assert_eq!(
            rejections.judge(&git, 8, false, now),
            Verdict::Serve,
            "a late refusal of an old one"
        );
    }

    #[test]
    fn a_tool_in_a_loop_costs_one_renewal_each_pause() {
        let (mut rejections, began, git) = (Rejections::default(), Instant::now(), source("git"));
        let (mut serial, mut renewals) = (1, 0);
        for second in 0..60 {
            let now = began + Duration::from_secs(second);
            rejections.note(git.clone(), serial, now);
            if rejections.judge(&git, serial, false, now) == Verdict::Renew {
                renewals += 1;
                serial += 1;
                rejections.renewed(&git);
            }
        }
        assert_eq!(renewals, 60 / PAUSE.as_secs());
    }

    #[test]
    fn a_renewal_that_failed_is_not_repeated_at_once() {
        let (mut rejections, now, git) = (Rejections::default(), Instant::now(), source("git"));
        rejections.note(git.clone(), 7, now);
        assert_eq!(rejections.judge(&git, 7, false, now), Verdict::Renew);
        rejections.renewed(&git);
        assert_eq!(rejections.judge(&git, 7, false, now), Verdict::TooSoon);
        assert_eq!(rejections.judge(&git, 7, false, now + PAUSE), Verdict::Renew);
    }

    #[test]
    fn a_guess_shortly_after_a_renewal_counts_for_nothing() {
        let (mut rejections, now, git) = (Rejections::default(), Instant::now(), source("git"));
        rejections.guess(git.clone(), 7, now);
        assert_eq!(rejections.judge(&git, 7, true, now), Verdict::Renew);
        rejections.renewed(&git);
        rejections.guess(git.clone(), 8, now);
        assert_eq!(rejections.judge(&git, 8, true, now), Verdict::Serve);
        rejections.guess(git.clone(), 8, now + PAUSE);
        assert_eq!(rejections.judge(&git, 8, true, now + PAUSE), Verdict::Renew);
    }

    #[test]
    fn a_tool_that_was_told_does_not_wait_for_one_that_guessed() {
        let (mut rejections, now, git) = (Rejections::default(), Instant::now(), source("git"));
        rejections.guess(git.clone(), 7, now);
        assert_eq!(rejections.judge(&git, 7, true, now), Verdict::Renew);
        rejections.renewed(&git);
        rejections.note(git.clone(), 8, now);
        assert_eq!(rejections.judge(&git, 8, true, now), Verdict::TooSoon);
        assert_eq!(rejections.judge(&git, 8, false, now), Verdict::Renew);
        rejections.renewed(&git);
        rejections.note(git.clone(), 9, now);
        assert_eq!(rejections.judge(&git, 9, false, now), Verdict::TooSoon, "once");
    }

    #[test]
    fn what_is_remembered_has_a_limit() {
        let (mut rejections, began) = (Rejections::default(), Instant::now());
        for n in 0..=MAX_REMEMBERED {
            let now = began + Duration::from_millis(n as u64);
            rejections.note(source(&n.to_string()), 7, now);
        }
        assert_eq!(rejections.0.len(), MAX_REMEMBERED);
        assert_eq!(rejections.judge(&source("0"), 7, false, began), Verdict::Serve);
        assert_eq!(rejections.judge(&source("1"), 7, false, began), Verdict::Renew);
    }
}
