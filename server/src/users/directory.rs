//! Who is who: one record for each person, and one for each name under which a hint may look for them.

use std::collections::HashMap;
use std::sync::Arc;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use sha2::{Digest as _, Sha256};
use store::{Key, Put, Space, Store, Swap, UnixSeconds};
use thiserror::Error;

use super::user::{User, Wanted, folded};
use crate::clock::now;
use crate::config::HintKind;

/// How often a record is read and written, beyond the first time.
const TRIES: usize = 5;

/// Records listed at once.
const LISTED_AT_ONCE: usize = 500;

/// People who are remembered for one name. Two are enough to make it lead to nobody.
const MOST_CLAIMANTS: usize = 16;

/// What the ids of people's own records begin with.
const PEOPLE: &str = "user:";

/// A person could not be read or written.
#[derive(Clone, Debug, Error)]
pub(crate) enum UsersError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// What was stored is not a user.
    #[error("the record of a user cannot be read")]
    Unreadable,
    /// Others changed it again and again.
    #[error("the record of a user was changed meanwhile")]
    Busy,
    /// Several people have this name.
    #[error("several people have this name: their sub tells them apart")]
    Ambiguous,
}

/// Whom a name leads to.
enum Found {
    Nobody,
    One(Box<User>),
    /// Several people have it. A provider may let each of them choose it, so it means none of them.
    Several,
}

/// The people. Who is configured is not looked for in the store.
pub(crate) struct Users {
    configured: HashMap<String, User>,
    /// By name, as [`Users::names`] writes it.
    named: HashMap<String, String>,
    /// What [`Wanted::Any`] may be, in this order.
    order: Vec<HintKind>,
    store: Arc<dyn Store>,
}

impl Users {
    pub(crate) fn new(configured: Vec<User>, order: Vec<HintKind>, store: Arc<dyn Store>) -> Self {
        let names = configured
            .iter()
            .flat_map(|user| names(user).map(|name| (name, user.sub.clone())));
        Self {
            named: names.collect(),
            configured: configured
                .into_iter()
                .map(|user| (user.sub.clone(), user))
                .collect(),
            order,
            store,
        }
    }

    /// Returns the person of a `sub`.
    pub(crate) async fn get(&self, sub: &str) -> Result<Option<User>, UsersError> {
        if let Some(user) = self.configured.get(sub) {
            return Ok(Some(user.clone()));
        }
        let found = self.store.get(key(&id_of(sub)), now()).await?;
        found.map(|record| decode(&record.value)).transpose()
    }

    /// Returns the person whom a hint means; a disabled one is nobody. The first kind of name that somebody has decides:
    /// a hint for one person never reaches another.
    pub(crate) async fn find(&self, wanted: &Wanted) -> Result<Option<User>, UsersError> {
        for name in self.names_of(wanted) {
            match self.named(&name).await? {
                Found::Nobody => {}
                Found::One(user) => return Ok(Some(*user).filter(|user| !user.disabled)),
                Found::Several => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Remembers what the identity provider said of a person who signed in. What an administrator said stays.
    pub(crate) async fn remember(&self, seen: &User) -> Result<(), UsersError> {
        if self.configured.contains_key(&seen.sub) {
            return Ok(());
        }
        let told = self.edit(&seen.sub, |kept| User {
            disabled: kept.is_some_and(|kept| kept.disabled),
            user_code: kept.and_then(|kept| kept.user_code.clone()),
            ..seen.clone()
        });
        let (before, user) = told.await?;
        for name in before
            .iter()
            .flat_map(names)
            .filter(|name| !names(&user).any(|kept| kept == *name))
        {
            self.claim(&name, &user.sub, false).await?;
        }
        for name in names(&user) {
            self.claim(&name, &user.sub, true).await?;
        }
        Ok(())
    }

    /// Changes what an administrator says of a person who signed in here before; `false`: there is none.
    pub(crate) async fn amend(&self, sub: &str, amend: impl Fn(&mut User)) -> Result<bool, UsersError> {
        let Some(known) = self.get(sub).await? else {
            return Ok(false);
        };
        let amended = |kept: Option<&User>| {
            let mut user = kept.unwrap_or(&known).clone();
            amend(&mut user);
            user
        };
        self.edit(sub, amended).await.map(|_| true)
    }

    /// Returns the person of a `sub` or of any other name that they alone have, also a disabled one.
    pub(crate) async fn look_up(&self, text: &str) -> Result<Option<User>, UsersError> {
        if let Some(user) = self.get(text).await? {
            return Ok(Some(user));
        }
        for kind in [HintKind::Email, HintKind::Username, HintKind::Phone] {
            match self.named(&named(kind, text)).await? {
                Found::Nobody => {}
                Found::One(user) => return Ok(Some(*user)),
                Found::Several => return Err(UsersError::Ambiguous),
            }
        }
        Ok(None)
    }

    /// Whether the configuration names the person: then it alone can change them.
    pub(crate) fn is_configured(&self, sub: &str) -> bool {
        self.configured.contains_key(sub)
    }

    /// Returns everybody, in the order of their `sub`.
    pub(crate) async fn all(&self) -> Result<Vec<User>, UsersError> {
        let mut users: Vec<User> = self.configured.values().cloned().collect();
        let mut after = PEOPLE.to_owned();
        loop {
            let listed = self
                .store
                .list(Space::User, &after, LISTED_AT_ONCE, now())
                .await?;
            let is_last = listed.len() < LISTED_AT_ONCE;
            // The names that lead to people lie in the same space, before and behind.
            let people = listed.into_iter().take_while(|(id, _)| id.starts_with(PEOPLE));
            let before = users.len();
            for (id, record) in people {
                users.push(decode(&record.value)?);
                after = id;
            }
            if is_last || users.len() == before {
                break;
            }
        }
        users.sort_by(|one, other| one.sub.cmp(&other.sub));
        // Who signed in before the configuration named them is in both.
        users.dedup_by(|one, other| one.sub == other.sub);
        Ok(users)
    }

    /// Returns whom a name leads to: what the configuration says of it comes before what people say of themselves, and a
    /// disabled person leaves it to another.
    async fn named(&self, name: &str) -> Result<Found, UsersError> {
        if let Some(user) = self.named.get(name).and_then(|sub| self.configured.get(sub)) {
            return Ok(Found::One(Box::new(user.clone())));
        }
        let Some(pointer) = self.store.get(key(name), now()).await? else {
            return Ok(Found::Nobody);
        };
        let mut owners = self.owners(name, &claimants(&pointer.value)?).await?;
        if owners.iter().any(|user| !user.disabled) {
            owners.retain(|user| !user.disabled);
        }
        Ok(match (owners.pop(), owners.is_empty()) {
            (None, _) => Found::Nobody,
            (Some(user), true) => Found::One(Box::new(user)),
            (Some(_), false) => Found::Several,
        })
    }

    /// Returns those who still have the name: what leads to them may be older than their record.
    async fn owners(&self, name: &str, subs: &[String]) -> Result<Vec<User>, UsersError> {
        let mut owners = Vec::new();
        for sub in subs {
            let user = self.get(sub).await?;
            owners.extend(user.filter(|user| names(user).any(|own| own == name)));
        }
        Ok(owners)
    }

    fn names_of(&self, wanted: &Wanted) -> Vec<String> {
        match wanted {
            Wanted::Subject(sub) => vec![named(HintKind::Subject, sub)],
            Wanted::Email(email) => vec![named(HintKind::Email, email)],
            Wanted::Phone(phone) => vec![named(HintKind::Phone, phone)],
            Wanted::Any(text) => {
                // A user name with an @ would pass for the address of another person.
                let may_be = |kind: &&HintKind| **kind != HintKind::Username || !text.contains('@');
                let kinds = self.order.iter().filter(may_be);
                kinds.map(|kind| named(*kind, text)).collect()
            }
        }
    }

    async fn edit(
        &self,
        sub: &str,
        edit: impl Fn(Option<&User>) -> User,
    ) -> Result<(Option<User>, User), UsersError> {
        let id = id_of(sub);
        for _ in 0..=TRIES {
            let found = self.store.get(key(&id), now()).await?;
            let before = found.as_ref().map(|record| decode(&record.value)).transpose()?;
            let user = edit(before.as_ref());
            if before.as_ref() == Some(&user)
                || self.write(&id, found.map(|record| record.version), &user).await?
            {
                return Ok((before, user));
            }
        }
        Err(UsersError::Busy)
    }

    async fn write(&self, id: &str, read: Option<store::Version>, user: &User) -> Result<bool, UsersError> {
        let value = serde_json::to_vec(user).expect("texts always serialize");
        Ok(match read {
            None => matches!(
                self.store
                    .put_if_absent(key(id), value, UnixSeconds::MAX, now())
                    .await?,
                Put::Done(_)
            ),
            Some(read) => matches!(
                self.store
                    .compare_and_set(key(id), read, value, UnixSeconds::MAX, now())
                    .await?,
                Swap::Done(_)
            ),
        })
    }

    /// Notes that a person has a name, or has it no longer. Others who have it keep it.
    async fn claim(&self, name: &str, sub: &str, has: bool) -> Result<(), UsersError> {
        for _ in 0..=TRIES {
            let found = self.store.get(key(name), now()).await?;
            let before = found
                .as_ref()
                .map(|record| claimants(&record.value))
                .transpose()?;
            let others = before.clone().unwrap_or_default();
            let others: Vec<String> = others.into_iter().filter(|other| other != sub).collect();
            let mut after = self.owners(name, &others).await?;
            after.truncate(MOST_CLAIMANTS - 1);
            let mut after: Vec<String> = after.into_iter().map(|user| user.sub).collect();
            if has {
                after.push(sub.to_owned());
            }
            if before.as_ref() == Some(&after) || self.note(name, found, &after).await? {
                return Ok(());
            }
        }
        Err(UsersError::Busy)
    }

    /// Writes who has a name, unless another did so meanwhile.
    async fn note(
        &self,
        name: &str,
        read: Option<store::Record>,
        claimants: &[String],
    ) -> Result<bool, UsersError> {
        let value = serde_json::to_vec(claimants).expect("texts always serialize");
        let until = if claimants.is_empty() {
            now()
        } else {
            UnixSeconds::MAX
        };
        Ok(match read {
            None if claimants.is_empty() => true,
            None => matches!(
                self.store.put_if_absent(key(name), value, until, now()).await?,
                Put::Done(_)
            ),
            Some(read) => matches!(
                self.store
                    .compare_and_set(key(name), read.version, value, until, now())
                    .await?,
                Swap::Done(_)
            ),
        })
    }
}

/// Returns the ids of the records that lead to a person; their own record is not one.
fn names(user: &User) -> impl Iterator<Item = String> {
    [
        (HintKind::Subject, Some(&user.sub)),
        (HintKind::Email, user.email.as_ref()),
        (HintKind::Username, user.username.as_ref()),
        (HintKind::Phone, user.phone.as_ref()),
    ]
    .into_iter()
    .filter_map(|(kind, name)| Some(named(kind, name?)))
    .collect::<Vec<_>>()
    .into_iter()
}

/// Returns the id under which a name is kept. It is a hash: a name may be longer than an id.
fn named(kind: HintKind, name: &str) -> String {
    let (kind, name) = match kind {
        HintKind::Subject => ("subject", name.to_owned()),
        HintKind::Email => ("email", folded(name)),
        HintKind::Username => ("username", name.to_owned()),
        HintKind::Phone => ("phone", name.to_owned()),
    };
    format!("{kind}:{}", hash(&name))
}

fn id_of(sub: &str) -> String {
    format!("{PEOPLE}{}", hash(sub))
}

fn hash(text: &str) -> String {
    Base64UrlUnpadded::encode_string(&Sha256::digest(text.as_bytes()))
}

fn key(id: &str) -> Key<'_> {
    Key {
        space: Space::User,
        id,
    }
}

/// Reads the `sub` of everybody who has a name.
fn claimants(value: &[u8]) -> Result<Vec<String>, UsersError> {
    serde_json::from_slice(value).map_err(|_| UsersError::Unreadable)
}

fn decode(value: &[u8]) -> Result<User, UsersError> {
    serde_json::from_slice(value).map_err(|_| UsersError::Unreadable)
}

#[cfg(test)]
mod tests {
    use store::{OpenMode, open};

    use super::*;

    fn alice() -> User {
        User {
            sub: "a-1".into(),
            email: Some("Alice@Example.com".into()),
            username: Some("alice".into()),
            ..User::default()
        }
    }

    fn users(configured: Vec<User>) -> Users {
        let store = open("memory:", OpenMode::Create).unwrap();
        Users::new(configured, vec![HintKind::Email, HintKind::Username], store)
    }

    async fn found(users: &Users, wanted: Wanted) -> Option<String> {
        users.find(&wanted).await.unwrap().map(|user| user.sub)
    }

    fn any(text: &str) -> Wanted {
        Wanted::Any(text.into())
    }

    #[tokio::test]
    async fn c_181_a_hint_is_looked_up_in_the_configured_order_and_an_address_in_any_case() {
        let remembered = users(Vec::new());
        remembered.remember(&alice()).await.unwrap();
        for users in [users(vec![alice()]), remembered] {
            for hint in ["alice@example.COM", " ALICE@example.com", "alice"] {
                assert_eq!(found(&users, any(hint)).await.as_deref(), Some("a-1"), "{hint}");
            }
            for hint in ["Alice", "a-1", "", "bob"] {
                assert_eq!(found(&users, any(hint)).await, None, "{hint}");
            }
            assert_eq!(
                found(&users, Wanted::Subject("a-1".into())).await.as_deref(),
                Some("a-1")
            );
        }
    }

    #[tokio::test]
    async fn a_name_that_a_person_gave_up_leads_nowhere_and_may_be_taken_over() {
        let users = users(Vec::new());
        users.remember(&alice()).await.unwrap();
        let renamed = User {
            username: Some("alicia".into()),
            ..alice()
        };
        users.remember(&renamed).await.unwrap();
        assert_eq!(found(&users, any("alice")).await, None);
        assert_eq!(found(&users, any("alicia")).await.as_deref(), Some("a-1"));
        let other = User {
            sub: "b-2".into(),
            username: Some("alice".into()),
            ..User::default()
        };
        users.remember(&other).await.unwrap();
        assert_eq!(found(&users, any("alice")).await.as_deref(), Some("b-2"));
    }

    fn called(sub: &str, username: &str) -> User {
        User {
            sub: sub.into(),
            username: Some(username.into()),
            ..User::default()
        }
    }

    #[tokio::test]
    async fn c_181_a_name_that_two_people_have_leads_to_nobody_until_one_of_them_is_left() {
        let users = users(Vec::new());
        users.remember(&alice()).await.unwrap();
        users.remember(&called("m-3", "alice")).await.unwrap();
        assert_eq!(found(&users, any("alice")).await, None);
        assert_eq!(
            found(&users, any("alice@example.com")).await.as_deref(),
            Some("a-1")
        );
        assert!(matches!(users.look_up("alice").await, Err(UsersError::Ambiguous)));
        // Neither signing in again nor taking another name hurts the other.
        users.remember(&alice()).await.unwrap();
        assert_eq!(found(&users, any("alice")).await, None);
        users.remember(&called("m-3", "mallory")).await.unwrap();
        assert_eq!(found(&users, any("alice")).await.as_deref(), Some("a-1"));
        // A disabled person leaves the name to the other.
        users.remember(&called("m-3", "alice")).await.unwrap();
        assert!(users.amend("m-3", |user| user.disabled = true).await.unwrap());
        assert_eq!(found(&users, any("alice")).await.as_deref(), Some("a-1"));
        for n in 0..2 * MOST_CLAIMANTS {
            users.remember(&called(&format!("n-{n}"), "alice")).await.unwrap();
        }
        let name = named(HintKind::Username, "alice");
        let kept = users.store.get(key(&name), now());
        let kept = claimants(&kept.await.unwrap().unwrap().value).unwrap();
        assert_eq!(kept.len(), MOST_CLAIMANTS);
        assert_eq!(found(&users, any("alice")).await, None);
    }

    #[tokio::test]
    async fn c_181_a_configured_name_cannot_be_taken() {
        let users = users(vec![alice()]);
        users.remember(&called("m-3", "alice")).await.unwrap();
        assert_eq!(found(&users, any("alice")).await.as_deref(), Some("a-1"));
    }

    #[tokio::test]
    async fn c_181_a_hint_that_means_a_disabled_person_or_an_address_reaches_nobody_else() {
        let users = users(Vec::new());
        users.remember(&alice()).await.unwrap();
        users.remember(&called("m-3", "bob@example.com")).await.unwrap();
        assert_eq!(found(&users, any("bob@example.com")).await, None);
        assert_eq!(
            users.look_up("bob@example.com").await.unwrap().unwrap().sub,
            "m-3"
        );
        let order = vec![HintKind::Subject, HintKind::Username];
        let users = Users::new(Vec::new(), order, Arc::clone(&users.store));
        users.remember(&called("m-4", "a-1")).await.unwrap();
        assert!(users.amend("a-1", |user| user.disabled = true).await.unwrap());
        assert_eq!(found(&users, any("a-1")).await, None);
    }

    #[tokio::test]
    async fn c_267_what_an_administrator_said_outlives_the_next_login_and_a_disabled_user_is_nobody() {
        let users = users(Vec::new());
        users.remember(&alice()).await.unwrap();
        assert!(users.amend("a-1", |user| user.disabled = true).await.unwrap());
        users.remember(&alice()).await.unwrap();
        assert_eq!(found(&users, any("alice")).await, None);
        assert!(users.get("a-1").await.unwrap().unwrap().disabled);
        assert!(!users.amend("nobody", |_| {}).await.unwrap());
        assert_eq!(
            users.look_up("alice@example.com").await.unwrap().unwrap().sub,
            "a-1"
        );
    }

    #[tokio::test]
    async fn everybody_is_listed_once() {
        let configured = User {
            name: Some("Alice".into()),
            ..alice()
        };
        let users = users(vec![configured.clone()]);
        let before = Users::new(Vec::new(), Vec::new(), Arc::clone(&users.store));
        before.remember(&alice()).await.unwrap();
        for n in 0..LISTED_AT_ONCE {
            let other = User {
                sub: format!("b-{n:03}"),
                username: Some(format!("bob-{n}")),
                ..User::default()
            };
            users.remember(&other).await.unwrap();
        }
        let all = users.all().await.unwrap();
        assert_eq!(all.len(), LISTED_AT_ONCE + 1);
        assert_eq!((&all[0], all[1].sub.as_str()), (&configured, "b-000"));
    }
}
