//! The code a person compares between terminal and page (D-003; RFC 8628 §6.1).

/// No vowels (no words), nothing that looks like something else: 20 letters, 34 bits in eight of them.
const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// Makes two groups of four letters, with a dash between, of random bytes.
pub(super) fn user_code(random: [u8; 8]) -> String {
    let mut letters = random
        .map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]))
        .into_iter();
    let first: String = letters.by_ref().take(4).collect();
    format!("{first}-{}", letters.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d_003_a_code_is_eight_unambiguous_letters() {
        assert_eq!(user_code([0, 1, 2, 3, 4, 5, 19, 20]), "BCDF-GHZB");
        let all: String = (0..=255).map(|n| user_code([n; 8])).collect();
        assert!(!all.contains(['A', 'E', 'I', 'O', 'U', 'Y', '0', '1']));
    }
}
