//! Calls to real servers on loopback: which addresses are reached, what is sent, and how much of an answer is read.

use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolving};

use super::*;
use crate::outgoing::stand_in::{Reply, StandIn};

/// A resolver that has one answer for every name.
struct Names(&'static [&'static str]);

impl Resolve for Names {
    fn resolve(&self, _: Name) -> Resolving {
        let addresses = self.0.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0));
        let addresses: Addrs = Box::new(addresses.collect::<Vec<_>>().into_iter());
        Box::pin(async { Ok(addresses) })
    }
}

fn trusting(server: &StandIn) -> Rules {
    Rules {
        authorities: Authorities::read(&server.authority).unwrap(),
        ..Rules::default()
    }
}

async fn called(http: &UntrustedHttp, url: &str) -> Result<StatusCode, CallError> {
    let request = http.post(Url::parse(url).unwrap()).unwrap().build().unwrap();
    http.tell(request).await.map(|(status, _)| status)
}

fn is_special(result: Result<StatusCode, CallError>) -> bool {
    let error = result.expect_err("refused").to_string();
    error.starts_with("its address is special")
}

#[tokio::test]
async fn c_402_a_name_that_leads_to_a_private_address_is_not_called() {
    let server = StandIn::https([Reply::Status(200)]).await;
    let port = server.url.port().unwrap();
    for resolved in [
        &["127.0.0.1"][..],
        &["::1"],
        &["::ffff:127.0.0.1"],
        &["0.0.0.0"],
        &["10.0.0.1", "169.254.169.254", "fd00::1"],
        &[],
    ] {
        // The exemption is for three names, not for every name that leads to loopback.
        for is_loopback_allowed in [false, true] {
            let http =
                UntrustedHttp::resolving(Arc::new(Names(resolved)), &trusting(&server), is_loopback_allowed);
            let url = format!("https://client.example:{port}/");
            assert!(is_special(called(&http, &url).await), "{resolved:?}");
        }
    }
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn c_402_only_the_permitted_ones_of_a_names_addresses_are_called() {
    let server = StandIn::https([Reply::Status(200)]).await;
    let mut rules = trusting(&server);
    rules.networks = Arc::new(["127.0.0.1/32".parse().unwrap()]);
    // Were 10.0.0.1 called too, the test would take its time limit.
    let names = Names(&["10.0.0.1", "127.0.0.1"]);
    let http = UntrustedHttp::resolving(Arc::new(names), &rules, false);
    assert_eq!(called(&http, server.url.as_str()).await.unwrap(), 200);
}

#[tokio::test]
async fn c_402_a_host_that_is_an_address_is_checked_as_well() {
    let http = UntrustedHttp::new(&Rules::default(), false);
    for host in [
        "127.0.0.1",
        "[::1]",
        "2130706433",
        "0x7f.1",
        "[::ffff:7f00:1]",
        "10.0.0.1",
        "169.254.169.254",
        "[fd00:ec2::254]",
    ] {
        assert!(
            is_special(called(&http, &format!("https://{host}:1/")).await),
            "{host}"
        );
    }
    assert!(is_special(called(&http, "https://localhost:1/").await));
}

#[tokio::test]
async fn c_404_this_machine_is_called_where_that_is_allowed_and_by_its_three_names_alone() {
    let server = StandIn::http([Reply::Status(204)]).await;
    let port = server.url.port().unwrap();
    let allowing = UntrustedHttp::new(&Rules::default(), true);
    for host in ["localhost", "127.0.0.1"] {
        assert_eq!(
            called(&allowing, &format!("http://{host}:{port}/"))
                .await
                .unwrap(),
            204
        );
    }
    let strict = UntrustedHttp::new(&Rules::default(), false);
    for (http, host) in [
        (&strict, "localhost"),
        (&strict, "127.0.0.1"),
        (&allowing, "127.0.0.2"),
        (&allowing, "client.example"),
    ] {
        let refused = called(http, &format!("http://{host}:{port}/")).await;
        assert!(matches!(refused, Err(CallError::NotHttps)), "{host}: {refused:?}");
    }
    assert!(is_special(
        called(&allowing, &format!("https://127.0.0.2:{port}/")).await
    ));
}

#[tokio::test]
async fn c_400_a_certificate_needs_an_authority_of_the_system_or_of_the_operator() {
    let server = StandIn::https([Reply::Status(200)]).await;
    let other = StandIn::https([Reply::Status(200)]).await;
    let called_by = async |rules: &Rules| {
        let http = UntrustedHttp::new(rules, true);
        called(&http, server.url.as_str()).await
    };
    assert_eq!(called_by(&trusting(&server)).await.unwrap(), 200);
    for rules in [Rules::default(), trusting(&other)] {
        let refused = called_by(&rules).await.unwrap_err();
        assert_eq!(refused.to_string(), "no connection");
    }
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn c_401_no_redirect_is_followed_and_nothing_is_sent_that_the_call_does_not_have() {
    let moved = Reply::Header(307, "location", "/elsewhere".into());
    let cookie = Reply::Header(200, "set-cookie", "a=b".into());
    let server = StandIn::http([moved, cookie, Reply::Status(200)]).await;
    let http = UntrustedHttp::new(&Rules::default(), true);
    for status in [307, 200, 200] {
        assert_eq!(called(&http, server.url.as_str()).await.unwrap(), status);
    }
    let received = server.received();
    assert_eq!(received.len(), 3);
    for request in received {
        let mut names: Vec<_> = request.headers.keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "host", "user-agent"]);
        assert_eq!(request.uri, "/");
    }
}

#[tokio::test]
async fn c_331_at_most_64_kib_of_an_answer_are_read() {
    let server = StandIn::http([Reply::Endless]).await;
    let http = UntrustedHttp::new(&Rules::default(), true);
    assert_eq!(called(&http, server.url.as_str()).await.unwrap(), 200);
    let request = http.get(server.url.clone()).unwrap().build().unwrap();
    assert!(matches!(http.fetch(request).await, Err(CallError::TooLong)));

    let server = StandIn::http([Reply::Text(404, "why")]).await;
    let request = http.get(server.url.clone()).unwrap().build().unwrap();
    let answer = http.fetch(request).await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.body()[..]), (404, &b"why"[..]));
}

#[tokio::test]
async fn c_335_a_call_ends_in_time() {
    let server = StandIn::http([Reply::Silence]).await;
    let rules = Rules {
        timeout: Duration::from_millis(50),
        ..Rules::default()
    };
    let http = UntrustedHttp::new(&rules, true);
    let late = called(&http, server.url.as_str()).await.unwrap_err();
    assert_eq!(late.to_string(), "it does not answer in time");
}
