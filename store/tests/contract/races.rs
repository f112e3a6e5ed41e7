//! What each operation promises when many call at once.

use std::sync::Arc;

use store::{Put, Store, Swap};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::{LATER, NOW, contract, session};

/// How many race.
const RACERS: usize = 64;

contract! {
    one_of_many_puts_wins
    one_of_many_takes_gets_the_value
    one_of_many_swaps_of_a_version_wins
    no_increment_is_lost
    everyone_gets_their_own_answer
}

/// Lets all racers off at once and returns what each got.
async fn race<T, F>(racer: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let start = Arc::new(Barrier::new(RACERS));
    let mut racers = JoinSet::new();
    for n in 0..RACERS {
        let (start, racer) = (start.clone(), racer(n));
        racers.spawn(async move {
            start.wait().await;
            racer.await
        });
    }
    racers.join_all().await
}

async fn one_of_many_puts_wins(store: Arc<dyn Store>) {
    let results = race(|n| {
        let store = store.clone();
        async move {
            (
                n,
                store
                    .put_if_absent(session("a"), vec![n as u8], LATER, NOW)
                    .await
                    .unwrap(),
            )
        }
    })
    .await;
    let winners: Vec<_> = results.iter().filter(|(_, put)| *put != Put::Exists).collect();
    let [(winner, Put::Done(version))] = winners[..] else {
        panic!("{winners:?}")
    };
    let record = store.get(session("a"), NOW).await.unwrap().unwrap();
    assert_eq!((record.value, record.version), (vec![*winner as u8], *version));
}

async fn one_of_many_takes_gets_the_value(store: Arc<dyn Store>) {
    let put = store
        .put_if_absent(session("a"), b"one".to_vec(), LATER, NOW)
        .await
        .unwrap();
    assert_ne!(put, Put::Exists);
    let taken = race(|_| {
        let store = store.clone();
        async move { store.take(session("a"), NOW).await.unwrap() }
    })
    .await;
    let taken: Vec<_> = taken.into_iter().flatten().collect();
    assert_eq!(taken, [b"one"]);
}

async fn one_of_many_swaps_of_a_version_wins(store: Arc<dyn Store>) {
    let Put::Done(version) = store
        .put_if_absent(session("a"), vec![], LATER, NOW)
        .await
        .unwrap()
    else {
        panic!("it was empty")
    };
    let swaps = race(|n| {
        let store = store.clone();
        async move {
            store
                .compare_and_set(session("a"), version, vec![n as u8], LATER, NOW)
                .await
                .unwrap()
        }
    })
    .await;
    let conflicts = swaps.iter().filter(|swap| **swap == Swap::Conflict).count();
    assert_eq!(conflicts, RACERS - 1);
}

async fn no_increment_is_lost(store: Arc<dyn Store>) {
    let put = store
        .put_if_absent(session("a"), vec![0], LATER, NOW)
        .await
        .unwrap();
    assert_ne!(put, Put::Exists);
    race(|_| increment(store.clone())).await;
    assert_eq!(
        store.get(session("a"), NOW).await.unwrap().unwrap().value,
        [RACERS as u8]
    );
}

async fn increment(store: Arc<dyn Store>) {
    loop {
        let read = store.get(session("a"), NOW).await.unwrap().unwrap();
        let value = vec![read.value[0] + 1];
        let swap = store
            .compare_and_set(session("a"), read.version, value, LATER, NOW)
            .await
            .unwrap();
        match swap {
            Swap::Done(_) => return,
            Swap::Conflict => tokio::task::yield_now().await,
            Swap::Gone => panic!("it was not removed"),
        }
    }
}

async fn everyone_gets_their_own_answer(store: Arc<dyn Store>) {
    let answers = race(|n| {
        let store = store.clone();
        async move {
            let (id, value) = (n.to_string(), n.to_string().into_bytes());
            let put = store
                .put_if_absent(session(&id), value.clone(), LATER, NOW)
                .await
                .unwrap();
            // A change that was answered is seen at once, by a look-up and by the next change.
            let read = store.get(session(&id), NOW).await.unwrap().unwrap();
            let taken = store.take(session(&id), NOW).await.unwrap();
            put == Put::Done(read.version) && taken.as_ref() == Some(&value) && read.value == value
        }
    })
    .await;
    assert!(answers.into_iter().all(|own| own));
}
