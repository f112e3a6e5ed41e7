//! Routes for this machine alone: they answer to loopback names. A page of another site can make its own name lead here (DNS
//! rebinding), and a browser would take it for a page of this server.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::HOST;
use http::uri::Authority;
use url::Url;

use crate::config::is_loopback;

/// Lets these routes answer to loopback names alone.
pub(crate) fn for_this_machine(routes: Router) -> Router {
    routes.layer(middleware::from_fn(only_to_loopback_names))
}

async fn only_to_loopback_names(request: Request, next: Next) -> Response {
    if is_to_loopback_name(&request) {
        return next.run(request).await;
    }
    let told = "this is reached by a loopback name alone\n";
    (StatusCode::MISDIRECTED_REQUEST, told).into_response()
}

fn is_to_loopback_name(request: &Request) -> bool {
    // HTTP/2 says it in the URL (RFC 9113 §8.3.1).
    let authority = request.uri().authority().map(Authority::as_str);
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let url = authority
        .or(host)
        .and_then(|host| Url::parse(&format!("http://{host}")).ok());
    url.is_some_and(|url| is_loopback(&url))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::request::Builder;

    use super::*;

    #[test]
    fn only_a_loopback_name_is_one_of_this_machine() {
        let is_to = |request: Builder| is_to_loopback_name(&request.body(Body::empty()).unwrap());
        let is_here = |host: &str| {
            let over_http2 = Request::builder().uri(format!("http://{host}/"));
            let is_here = is_to(Request::builder().header(HOST, host));
            assert!(host.is_empty() || is_to(over_http2) == is_here, "{host}");
            is_here
        };
        for here in [
            "127.0.0.1:8787",
            "localhost",
            "LOCALHOST:80",
            "[::1]:8787",
            "127.1.2.3",
        ] {
            assert!(is_here(here), "{here}");
        }
        for elsewhere in [
            "evil.test:8787",
            "localhost.evil.test",
            "127.0.0.1.evil.test",
            "127.0.0.1@evil.test",
            "0.0.0.0:8787",
            "192.168.0.1",
            "",
        ] {
            assert!(!is_here(elsewhere), "{elsewhere}");
        }
        assert!(!is_to_loopback_name(&Request::new(Body::empty())));
    }
}
