//! Which claims about a person a scope brings (OpenID Connect Core §5.4): those that this server knows.

use serde_json::{Map, Value};

use crate::users::User;

/// The claims of each scope.
pub(crate) const CLAIMS: [(&str, &[&str]); 3] = [
    ("profile", &["name", "preferred_username"]),
    ("email", &["email"]),
    ("phone", &["phone_number"]),
];

/// Returns what a client with these scopes may know of a person. `sub` is always there (C-309).
pub(super) fn claims(user: &User, scope: &[String]) -> Map<String, Value> {
    let mut told = Map::from_iter([("sub".to_owned(), Value::from(&*user.sub))]);
    let granted = CLAIMS
        .iter()
        .filter(|(name, _)| scope.iter().any(|own| own == name));
    for claim in granted.flat_map(|(_, claims)| *claims) {
        let value = match *claim {
            "name" => &user.name,
            "preferred_username" => &user.username,
            "email" => &user.email,
            "phone_number" => &user.phone,
            _ => unreachable!("no scope has another"),
        };
        told.extend(
            value
                .as_deref()
                .map(|value| ((*claim).to_owned(), Value::from(value))),
        );
    }
    told
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn c_309_a_scope_brings_its_claims_and_no_others() {
        let alice = User {
            sub: "a-1".into(),
            name: Some("Alice".into()),
            email: Some("alice@example.com".into()),
            username: Some("alice".into()),
            phone: Some("+15550100".into()),
            user_code: Some("secret".into()),
            ..User::default()
        };
        for (scope, expected) in [
            (&["openid"][..], json!({ "sub": "a-1" })),
            (
                &["openid", "email"],
                json!({ "sub": "a-1", "email": "alice@example.com" }),
            ),
            (
                &["profile"],
                json!({ "sub": "a-1", "name": "Alice", "preferred_username": "alice" }),
            ),
            (
                &["phone", "x"],
                json!({ "sub": "a-1", "phone_number": "+15550100" }),
            ),
        ] {
            let scope: Vec<String> = scope.iter().map(ToString::to_string).collect();
            assert_eq!(json!(claims(&alice, &scope)), expected);
        }
        let nameless = User {
            sub: "b".into(),
            ..User::default()
        };
        assert_eq!(
            json!(claims(&nameless, &["profile".into()])),
            json!({ "sub": "b" })
        );
    }
}
