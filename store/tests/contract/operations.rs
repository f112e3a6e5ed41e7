//! What each operation promises to a single caller.

use std::sync::Arc;

use store::{Error, ID_BYTES_MAX, Part, Put, Space, Store, Swap, UnixSeconds, VALUE_BYTES_MAX, Version};

use crate::{LATER, NOW, contract, login, session};

contract! {
    what_was_put_is_there
    a_second_put_is_refused_and_changes_nothing
    spaces_do_not_see_each_other
    take_returns_the_value_once
    delete_removes_and_may_find_nothing
    compare_and_set_replaces_what_was_read
    compare_and_set_conflicts_with_a_later_write
    compare_and_set_of_nothing_is_gone
    a_version_does_not_outlive_its_record
    a_record_ends_at_its_exact_second
    compare_and_set_moves_the_end
    the_end_of_time_is_an_end
    sweep_removes_the_expired_up_to_its_limit
    sweep_leaves_what_was_renewed
    count_looks_at_the_living_of_one_space
    list_returns_the_living_of_one_space_by_id
    list_goes_on_after_where_it_ended
    ids_are_compared_byte_by_byte
    an_id_over_the_limit_is_refused
    a_value_over_the_limit_is_refused
    an_empty_id_and_value_are_some
    a_living_store_answers_a_ping
}

async fn put(store: &Arc<dyn Store>, id: &str, value: &[u8]) -> Version {
    put_until(store, id, value, LATER).await
}

async fn put_until(store: &Arc<dyn Store>, id: &str, value: &[u8], expires: UnixSeconds) -> Version {
    match store
        .put_if_absent(session(id), value.to_vec(), expires, NOW)
        .await
        .unwrap()
    {
        Put::Done(version) => version,
        Put::Exists => panic!("{id:?} is there already"),
    }
}

async fn value(store: &Arc<dyn Store>, id: &str) -> Option<Vec<u8>> {
    store
        .get(session(id), NOW)
        .await
        .unwrap()
        .map(|record| record.value)
}

async fn what_was_put_is_there(store: Arc<dyn Store>) {
    let version = put(&store, "a", b"one").await;
    let record = store.get(session("a"), NOW).await.unwrap().unwrap();
    assert_eq!(record.value, b"one");
    assert_eq!(record.version, version);
    assert_eq!(record.expires, LATER);
    assert_eq!(value(&store, "b").await, None);
}

async fn a_second_put_is_refused_and_changes_nothing(store: Arc<dyn Store>) {
    put(&store, "a", b"one").await;
    let before = store.get(session("a"), NOW).await.unwrap();
    let second = store
        .put_if_absent(session("a"), b"two".to_vec(), LATER.plus(1), NOW)
        .await
        .unwrap();
    assert_eq!(second, Put::Exists);
    assert_eq!(store.get(session("a"), NOW).await.unwrap(), before);
}

async fn spaces_do_not_see_each_other(store: Arc<dyn Store>) {
    put(&store, "a", b"one").await;
    assert_eq!(store.get(login("a"), NOW).await.unwrap(), None);
    assert_eq!(store.take(login("a"), NOW).await.unwrap(), None);
    store.delete(login("a")).await.unwrap();
    assert_eq!(value(&store, "a").await.unwrap(), b"one");
}

async fn take_returns_the_value_once(store: Arc<dyn Store>) {
    put(&store, "a", b"one").await;
    assert_eq!(store.take(session("a"), NOW).await.unwrap().unwrap(), b"one");
    assert_eq!(store.take(session("a"), NOW).await.unwrap(), None);
    assert_eq!(value(&store, "a").await, None);
}

async fn delete_removes_and_may_find_nothing(store: Arc<dyn Store>) {
    put(&store, "a", b"one").await;
    put(&store, "b", b"two").await;
    store.delete(session("a")).await.unwrap();
    store.delete(session("a")).await.unwrap();
    assert_eq!(value(&store, "a").await, None);
    assert_eq!(value(&store, "b").await.unwrap(), b"two");
}

async fn swap(store: &Arc<dyn Store>, id: &str, read: Version, value: &[u8]) -> Swap {
    store
        .compare_and_set(session(id), read, value.to_vec(), LATER, NOW)
        .await
        .unwrap()
}

async fn compare_and_set_replaces_what_was_read(store: Arc<dyn Store>) {
    let first = put(&store, "a", b"one").await;
    let Swap::Done(second) = swap(&store, "a", first, b"two").await else {
        panic!("not replaced")
    };
    let record = store.get(session("a"), NOW).await.unwrap().unwrap();
    assert_eq!((record.value.as_slice(), record.version), (&b"two"[..], second));
    assert!(matches!(swap(&store, "a", second, b"three").await, Swap::Done(_)));
}

async fn compare_and_set_conflicts_with_a_later_write(store: Arc<dyn Store>) {
    let first = put(&store, "a", b"one").await;
    assert!(matches!(swap(&store, "a", first, b"two").await, Swap::Done(_)));
    assert_eq!(swap(&store, "a", first, b"three").await, Swap::Conflict);
    assert_eq!(value(&store, "a").await.unwrap(), b"two");
}

async fn compare_and_set_of_nothing_is_gone(store: Arc<dyn Store>) {
    let version = put(&store, "a", b"one").await;
    store.take(session("a"), NOW).await.unwrap();
    assert_eq!(swap(&store, "a", version, b"two").await, Swap::Gone);
    let version = put_until(&store, "b", b"one", NOW).await;
    assert_eq!(swap(&store, "b", version, b"two").await, Swap::Gone);
    assert_eq!((value(&store, "a").await, value(&store, "b").await), (None, None));
}

async fn a_version_does_not_outlive_its_record(store: Arc<dyn Store>) {
    let first_life = put(&store, "a", b"one").await;
    store.delete(session("a")).await.unwrap();
    put(&store, "a", b"one").await;
    assert_eq!(swap(&store, "a", first_life, b"two").await, Swap::Conflict);
}

async fn a_record_ends_at_its_exact_second(store: Arc<dyn Store>) {
    let end = NOW.plus(10);
    put_until(&store, "a", b"one", end).await;
    let last_second = NOW.plus(9);
    assert!(store.get(session("a"), last_second).await.unwrap().is_some());
    assert_eq!(store.get(session("a"), end).await.unwrap(), None);
    assert_eq!(store.take(session("a"), end).await.unwrap(), None);
    let again = store
        .put_if_absent(session("a"), b"two".to_vec(), end.plus(1), end)
        .await
        .unwrap();
    assert!(matches!(again, Put::Done(_)));
    assert_eq!(store.get(session("a"), end).await.unwrap().unwrap().value, b"two");
}

async fn compare_and_set_moves_the_end(store: Arc<dyn Store>) {
    let version = put_until(&store, "a", b"one", NOW.plus(1)).await;
    assert!(matches!(swap(&store, "a", version, b"two").await, Swap::Done(_)));
    let record = store.get(session("a"), NOW.plus(1)).await.unwrap().unwrap();
    assert_eq!(record.expires, LATER);
}

async fn the_end_of_time_is_an_end(store: Arc<dyn Store>) {
    put_until(&store, "a", b"one", UnixSeconds::MAX).await;
    let record = store.get(session("a"), NOW.plus(1 << 40)).await.unwrap().unwrap();
    assert_eq!(record.expires, UnixSeconds::new(u64::MAX));
    assert_eq!(store.get(session("a"), UnixSeconds::MAX).await.unwrap(), None);
}

async fn sweep_removes_the_expired_up_to_its_limit(store: Arc<dyn Store>) {
    for n in 0..5 {
        put_until(&store, &format!("old {n}"), b"", NOW.plus(10 - n)).await;
    }
    put(&store, "new", b"").await;
    let now = NOW.plus(10);
    assert_eq!(store.sweep(now, 0).await.unwrap(), 0);
    assert_eq!(store.sweep(now, 3).await.unwrap(), 3);
    // Looking from before their end shows which ones are left: those that expired last.
    assert!(store.get(session("old 0"), NOW).await.unwrap().is_some());
    assert!(store.get(session("old 1"), NOW).await.unwrap().is_some());
    assert_eq!(store.get(session("old 2"), NOW).await.unwrap(), None);
    assert_eq!(store.sweep(now, 3).await.unwrap(), 2);
    assert_eq!(store.sweep(now, 3).await.unwrap(), 0);
    assert!(value(&store, "new").await.is_some());
}

async fn sweep_leaves_what_was_renewed(store: Arc<dyn Store>) {
    let version = put_until(&store, "swapped", b"", NOW.plus(1)).await;
    assert!(matches!(
        swap(&store, "swapped", version, b"").await,
        Swap::Done(_)
    ));
    put_until(&store, "put again", b"", NOW).await;
    put(&store, "put again", b"").await;
    assert_eq!(store.sweep(NOW.plus(1), usize::MAX).await.unwrap(), 0);
    assert_eq!(store.count(Space::Session, NOW).await.unwrap(), 2);
}

async fn count_looks_at_the_living_of_one_space(store: Arc<dyn Store>) {
    assert_eq!(store.count(Space::Session, NOW).await.unwrap(), 0);
    put(&store, "a", b"").await;
    put(&store, "b", b"").await;
    put_until(&store, "c", b"", NOW).await;
    assert_eq!(store.count(Space::Session, NOW).await.unwrap(), 2);
    assert_eq!(store.count(Space::Login, NOW).await.unwrap(), 0);
    assert_eq!(store.count(Space::Session, LATER).await.unwrap(), 0);
}

async fn list_returns_the_living_of_one_space_by_id(store: Arc<dyn Store>) {
    for id in ["b", "B", "a", "é", ""] {
        put(&store, id, id.as_bytes()).await;
    }
    put_until(&store, "c", b"ends", NOW.plus(1)).await;
    let elsewhere = store.put_if_absent(login("a"), b"login".to_vec(), LATER, NOW);
    assert!(matches!(elsewhere.await.unwrap(), Put::Done(_)));
    let listed = store.list(Space::Session, "", 10, NOW.plus(1)).await.unwrap();
    let listed: Vec<_> = listed
        .iter()
        .map(|(id, record)| (id.as_str(), &*record.value))
        .collect();
    let value = |id: &'static str| (id, id.as_bytes());
    // An empty id comes after nothing, not even after the empty `after`.
    assert_eq!(listed, ["B", "a", "b", "é"].map(value));
}

async fn list_goes_on_after_where_it_ended(store: Arc<dyn Store>) {
    for id in ["a", "b", "c"] {
        put(&store, id, b"").await;
    }
    let first = store.list(Space::Session, "", 2, NOW).await.unwrap();
    let rest = store.list(Space::Session, &first[1].0, 2, NOW).await.unwrap();
    assert_eq!((first.len(), rest.len(), rest[0].0.as_str()), (2, 1, "c"));
    assert!(store.list(Space::Session, "c", 2, NOW).await.unwrap().is_empty());
}

async fn ids_are_compared_byte_by_byte(store: Arc<dyn Store>) {
    // Composed and decomposed é, case, trailing blank, what SQL, patterns and C strings take for something else.
    let ids = [
        "a",
        "A",
        "a ",
        " a",
        "a\0",
        "a\0b",
        "\0",
        "'",
        "''",
        "\"",
        "'; DROP TABLE record; --",
        "%",
        "a%",
        "?1",
        "\u{e9}",
        "e\u{301}",
        "\u{1f511}",
        "\u{10ffff}",
        "\u{feff}",
        "\u{202e}a",
        "a\nb",
        "1",
        "01",
        "1.0",
        "NULL",
        "session:a",
        "{a}",
        "*",
    ];
    for id in ids {
        put(&store, id, id.as_bytes()).await;
    }
    for id in ids {
        assert_eq!(
            store.take(session(id), NOW).await.unwrap().unwrap(),
            id.as_bytes(),
            "{id:?}"
        );
    }
    assert_eq!(store.count(Space::Session, NOW).await.unwrap(), 0);
}

async fn an_id_over_the_limit_is_refused(store: Arc<dyn Store>) {
    let longest = "k".repeat(ID_BYTES_MAX);
    let version = put(&store, &longest, b"one").await;
    assert_eq!(value(&store, &longest).await.unwrap(), b"one");
    let over = longest + "k";
    let put = store.put_if_absent(session(&over), Vec::new(), LATER, NOW).await;
    assert!(matches!(
        put,
        Err(Error::TooLarge {
            part: Part::Id,
            limit: ID_BYTES_MAX
        })
    ));
    let swap = store
        .compare_and_set(session(&over), version, Vec::new(), LATER, NOW)
        .await;
    assert!(matches!(swap, Err(Error::TooLarge { part: Part::Id, .. })));
    assert_eq!(value(&store, &over).await, None);
    assert_eq!(store.take(session(&over), NOW).await.unwrap(), None);
    store.delete(session(&over)).await.unwrap();
    assert_eq!(store.count(Space::Session, NOW).await.unwrap(), 1);
}

async fn a_value_over_the_limit_is_refused(store: Arc<dyn Store>) {
    let largest = vec![7; VALUE_BYTES_MAX];
    let version = put(&store, "a", &largest).await;
    let over = vec![7; VALUE_BYTES_MAX + 1];
    let put = store.put_if_absent(session("b"), over.clone(), LATER, NOW).await;
    assert!(matches!(
        put,
        Err(Error::TooLarge {
            part: Part::Value,
            limit: VALUE_BYTES_MAX
        })
    ));
    let swap = store
        .compare_and_set(session("a"), version, over, LATER, NOW)
        .await;
    assert!(matches!(
        swap,
        Err(Error::TooLarge {
            part: Part::Value,
            ..
        })
    ));
    assert_eq!(value(&store, "a").await.unwrap(), largest);
    assert_eq!(value(&store, "b").await, None);
}

async fn an_empty_id_and_value_are_some(store: Arc<dyn Store>) {
    put(&store, "", b"").await;
    assert_eq!(value(&store, "").await.unwrap(), b"");
    assert_eq!(store.take(session(""), NOW).await.unwrap().unwrap(), b"");
}

async fn a_living_store_answers_a_ping(store: Arc<dyn Store>) {
    store.ping().await.unwrap();
    store.ping().await.unwrap();
}
