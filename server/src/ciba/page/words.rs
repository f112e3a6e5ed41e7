//! What the approval page says in a person's words.

/// Returns what a client may do with a scope that people know by other words.
pub(super) fn scope(name: &str) -> Option<&'static str> {
    Some(match name {
        "openid" => "Know who you are",
        "profile" => "Read your name and profile",
        "email" => "Read your e-mail address",
        "phone" => "Read your phone number",
        "address" => "Read your postal address",
        "offline_access" => "Keep this access while you are away",
        _ => return None,
    })
}

/// Returns how long there is left.
pub(super) fn time_left(seconds: u64) -> String {
    match seconds {
        1 => "1 second".into(),
        0..=119 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c_233_the_time_left_is_said_in_plain_words_and_never_too_long() {
        assert_eq!(
            [0, 1, 119, 120, 179, 300].map(time_left),
            [
                "0 seconds",
                "1 second",
                "119 seconds",
                "2 minutes",
                "2 minutes",
                "5 minutes"
            ]
        );
    }
}
