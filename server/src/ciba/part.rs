//! A person may grant a part of what a client asks for (C-234). Decided without I/O.

use serde::Deserialize;
use serde_json::Value;

use super::request::Request;

/// What a person grants of a request; what is absent is granted whole.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Part {
    /// Scopes, separated by spaces.
    scope: Option<Value>,
    /// An array of some of the request's own elements. Whether an element could be smaller, only its type's own rules say.
    authorization_details: Option<Value>,
}

/// What is not a part of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotPart {
    Scope,
    AuthorizationDetails,
}

impl Part {
    /// Narrows a request. `openid` stays: without it there would be no authentication.
    pub(super) fn narrow(&self, request: &mut Request) -> Result<(), NotPart> {
        let scope = self.scope.as_ref().map(|scope| scopes(scope, request));
        let details = self
            .authorization_details
            .as_ref()
            .map(|details| elements(details, request));
        if let Some(scope) = scope.transpose()? {
            request.scope = scope;
        }
        if let Some(details) = details.transpose()? {
            request.authorization_details = details;
        }
        Ok(())
    }
}

fn scopes(scope: &Value, request: &Request) -> Result<Vec<String>, NotPart> {
    let text = scope.as_str().ok_or(NotPart::Scope)?;
    let granted: Vec<&str> = text.split(' ').filter(|scope| !scope.is_empty()).collect();
    let is_asked = |scope: &&str| request.scope.iter().any(|asked| asked == scope);
    if !granted.iter().all(is_asked) {
        return Err(NotPart::Scope);
    }
    let stays = |asked: &&String| *asked == "openid" || granted.contains(&asked.as_str());
    Ok(request.scope.iter().filter(stays).cloned().collect())
}

fn elements(details: &Value, request: &Request) -> Result<Option<Value>, NotPart> {
    let granted = details.as_array().ok_or(NotPart::AuthorizationDetails)?;
    let asked = request.authorization_details.as_ref().and_then(Value::as_array);
    let asked = asked.map_or(&[][..], Vec::as_slice);
    if !granted.iter().all(|element| asked.contains(element)) {
        return Err(NotPart::AuthorizationDetails);
    }
    let kept: Vec<Value> = asked
        .iter()
        .filter(|element| granted.contains(element))
        .cloned()
        .collect();
    Ok((!kept.is_empty()).then_some(Value::Array(kept)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::request::tests::request;
    use super::*;
    use crate::config::Mode;

    fn narrowed(part: Value) -> Result<(String, Option<Value>), NotPart> {
        let mut request = request(Mode::Poll);
        request.scope = ["email", "openid", "profile"].map(String::from).to_vec();
        request.authorization_details = Some(json!([{ "type": "a" }, { "type": "b", "n": 1 }]));
        let part: Part = serde_json::from_value(part).unwrap();
        part.narrow(&mut request)?;
        Ok((request.scope.join(" "), request.authorization_details))
    }

    #[test]
    fn c_234_a_part_is_granted_and_openid_stays() {
        let all = json!([{ "type": "a" }, { "type": "b", "n": 1 }]);
        for (part, scope, details) in [
            (json!({}), "email openid profile", Some(all.clone())),
            (
                json!({ "scope": null, "authorization_details": null }),
                "email openid profile",
                Some(all.clone()),
            ),
            (json!({ "scope": "profile" }), "openid profile", Some(all.clone())),
            (json!({ "scope": " openid  email " }), "email openid", Some(all)),
            (
                json!({ "scope": "", "authorization_details": [] }),
                "openid",
                None,
            ),
            (
                json!({ "authorization_details": [{ "n": 1, "type": "b" }] }),
                "email openid profile",
                Some(json!([{ "type": "b", "n": 1 }])),
            ),
        ] {
            assert_eq!(narrowed(part), Ok((scope.to_owned(), details)));
        }
    }

    #[test]
    fn c_234_what_was_not_asked_for_is_not_granted() {
        for scope in [json!("openid phone"), json!(["email"]), json!(1), json!("EMAIL")] {
            assert_eq!(narrowed(json!({ "scope": scope })), Err(NotPart::Scope));
        }
        for details in [
            json!([{ "type": "c" }]),
            json!([{ "type": "a", "n": 1 }]),
            json!({ "type": "a" }),
            json!("a"),
            json!([{ "type": "b", "n": 2 }]),
        ] {
            let refused = narrowed(json!({ "authorization_details": details }));
            assert_eq!(refused, Err(NotPart::AuthorizationDetails));
        }
    }
}
