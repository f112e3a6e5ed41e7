//! What lies in the doc under a request's name: it is opened only if it was sealed as that, whatever is inside.
#![no_main]

use device_proto::seal::{Key, KeyUse, Sealed};
use device_proto::{Approval, ApprovalId, Challenge};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let session = "req-7Q2m".parse().expect("a good name");
    let challenge = Challenge::new(&[3; 32]);
    let name = ApprovalId::of_hash(&[0; 32]);
    let open = |sealed: Sealed| Approval::open(challenge, &session, &name, sealed.to_string());
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(sealed) = Sealed::try_from(text.to_owned())
    {
        assert!(open(sealed).is_err());
    }
    let key = Key::of_challenge(challenge, &session, KeyUse::Approval);
    if let Ok(approval) = open(key.seal(name.as_str(), [1; 12], data)) {
        assert!(approval.request == name);
        let again = approval.seal(challenge, &session, [2; 12]);
        assert!(again.is_err() || again.is_ok_and(|sealed| open(sealed) == Ok(approval)));
    }
});
