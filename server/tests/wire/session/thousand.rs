//! One session with a thousand tokens: all of them reach a device that comes back, and one at a time one that is there.

use std::time::SystemTime;

use device_proto::ask::Reply;
use device_proto::doc::{Map, Replica};
use device_proto::frame::{Frame, Message, Packet, Sender, Sync};
use serde_json::Value;

use crate::kit::link::Link;
use crate::kit::login::Login;
use crate::kit::session::{OTHER, RESOURCE, Session};
use crate::kit::socket::Raw;
use crate::kit::until;

/// The login's own token is one more.
const RESOURCES: usize = 1_000;

/// Asks under way at once.
const AT_ONCE: usize = 8;

fn urn(n: usize) -> String {
    format!("urn:d:destination-{n:04}")
}

async fn ask_for(link: &mut Link, resources: std::ops::Range<usize>) {
    let ids: Vec<_> = resources.collect();
    for batch in ids.chunks(AT_ONCE) {
        link.replies.clear();
        for n in batch {
            link.ask_for(&n.to_string(), &urn(*n), None).await;
        }
        link.until(|link| link.replies.len() == batch.len()).await;
        let refused = link
            .replies
            .iter()
            .find(|reply| matches!(reply, Reply::Error { .. }));
        assert_eq!(refused, None);
    }
}

/// Returns a resource's token as the record has it, as long-lived as another one and as long as a JWT.
fn token_like(other: &Value, session: &Session, n: usize) -> Value {
    let mut token = other.clone();
    token["sealed"] = session.seal_for(&urn(n), n, &[b'x'; 1_024]).into();
    token
}

#[tokio::test]
async fn d_040_a_thousand_resources_reach_a_device_that_comes_back() {
    let mut login = Login::done().await;
    ask_for(&mut login.link, 0..AT_ONCE).await;
    login.server.kill().await;
    login
        .site
        .rewrite(&login.session, |tokens| {
            for n in AT_ONCE..RESOURCES {
                tokens[urn(n)] = token_like(&tokens[RESOURCE], &login.session, n);
            }
        })
        .await;
    let server = login.site.start().await;
    let mut again = Link::connect(&server, &login.session).await;
    assert_eq!(again.tokens.len(), RESOURCES + 1);
    assert!(
        login
            .link
            .tokens
            .iter()
            .all(|(urn, sealed)| again.tokens[urn] == *sealed)
    );
    // Beyond the most there may be.
    ask_for(&mut again, RESOURCES..1_023).await;
    again.replies.clear();
    again.ask_for("one more", &urn(1_023), None).await;
    again.until(|link| !link.replies.is_empty()).await;
    let told = serde_json::to_value(&again.replies[0]).unwrap();
    assert_eq!(told["error"], "invalid_target");
    assert_eq!(
        login.idp.seen().token.len(),
        1,
        "the login alone: none of this is the provider's"
    );
    server.stop().await;
}

#[tokio::test]
async fn d_040_a_change_is_sent_by_itself() {
    let mut login = Login::done().await;
    let mut watching = Raw::granted(&login.server, &login.session).await;
    let mut replica = Replica::default();
    let state = watching.round_trip(login.session.id.as_str()).await;
    replica.apply(&state).unwrap();
    ask_for(&mut login.link, 0..AT_ONCE).await;
    let mut updates = 0;
    while updates < AT_ONCE {
        let frame = watching.frame().await;
        let Ok(Packet::Frame(Frame {
            message: Message::Sync(Sync::Update(update)),
            ..
        })) = Packet::decode(&frame, Sender::Server)
        else {
            continue;
        };
        let changed = replica.apply(update).unwrap();
        let maps: Vec<_> = changed.iter().map(|entry| entry.map).collect();
        assert_eq!(maps, [Map::Tokens], "one token an update");
        assert!(update.len() < state.len(), "and nothing else");
        updates += 1;
    }
    login.server.stop().await;
}

#[tokio::test]
async fn what_has_ended_is_dropped_from_the_record_and_the_doc() {
    let mut login = Login::done_at(|script| script.lifetime = Some(2)).await;
    login.link.ask_for("other", OTHER, Some(0)).await;
    login.link.until(|link| !link.replies.is_empty()).await;
    assert!(login.link.tokens.contains_key(OTHER));
    login.idp.script(|script| script.lifetime = None);
    let (_, end) = login.link.held(OTHER);
    until("the token's end", async || {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        (now.as_secs() >= end).then_some(())
    })
    .await;
    login.link.renewed(1).await;
    let kept = &login.site.stage(&login.session).await["active"]["tokens"];
    assert_eq!(kept.get(OTHER), None);
    let late = Link::connect(&login.server, &login.session).await;
    assert_eq!(late.tokens.keys().collect::<Vec<_>>(), [RESOURCE]);
    login.server.stop().await;
}
