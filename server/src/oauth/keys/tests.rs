//! The keys as the server uses them: made, read, refused, replaced while it runs.

use std::collections::HashSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

const KEPT: u64 = 31 * 86_400;

fn made() -> (TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/keys");
    assert_eq!(make(&path).unwrap(), Made::New);
    (dir, path)
}

fn opened(path: &Path) -> Keys {
    Keys::open(Some(path), KEPT).unwrap()
}

fn refused(path: &Path) -> Error {
    Keys::open(Some(path), KEPT).err().expect("refused")
}

fn public(keys: &Keys) -> Vec<Value> {
    let set: Value = serde_json::from_slice(&keys.public()).unwrap();
    set["keys"].as_array().unwrap().clone()
}

fn kids(keys: &Keys) -> HashSet<String> {
    let kid = |key: &Value| key["kid"].as_str().unwrap().to_owned();
    public(keys).iter().map(kid).collect()
}

#[test]
fn c_030_the_key_set_has_public_halves_alone_with_kid_alg_and_use() {
    let (_dir, path) = made();
    for keys in [Keys::open(None, KEPT).unwrap(), opened(&path)] {
        let set = public(&keys);
        assert_eq!(kids(&keys).len(), Alg::ALL.len());
        for alg in Alg::ALL {
            let key = set.iter().find(|key| key["alg"] == alg.name()).unwrap();
            assert_eq!(key["use"], "sig");
            for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
                assert!(key.get(private).is_none(), "{alg}: {private}");
            }
            match alg {
                Alg::RS256 | Alg::PS256 => assert_eq!(key["n"].as_str().unwrap().len(), 342, "2048 bits"),
                Alg::ES256 => assert_eq!(key["crv"], "P-256"),
                Alg::EdDsa => assert_eq!(key["crv"], "Ed25519"),
            }
        }
    }
}

#[test]
fn c_306_every_algorithm_signs_with_its_own_key_and_type() {
    let keys = Keys::open(None, KEPT).unwrap();
    for alg in Alg::ALL {
        let token = keys.sign(alg, "JWT", &json!({ "sub": alg.name() })).unwrap();
        let header = jsonwebtoken::decode_header(&token).unwrap();
        let kid = header.kid.unwrap();
        assert!(
            public(&keys)
                .iter()
                .any(|key| key["kid"] == kid && key["alg"] == alg.name())
        );
        assert_eq!(keys.verify("JWT", &token).unwrap().text("sub"), Some(alg.name()));
        assert!(keys.verify("at+jwt", &token).is_none(), "{alg}: another type");
        let others = Keys::open(None, KEPT).unwrap();
        assert!(others.verify("JWT", &token).is_none(), "{alg}: another server");
    }
}

#[test]
fn c_031_keys_and_seal_survive_a_restart_and_a_second_init() {
    let (_dir, path) = made();
    let (keys, token, sealed);
    {
        let first = opened(&path);
        (keys, token) = (
            kids(&first),
            first.sign(Alg::PS256, "JWT", &json!({ "sub": "a" })).unwrap(),
        );
        sealed = first.vault().seal("it", b"secret");
    }
    assert_eq!(make(&path).unwrap(), Made::Before);
    let second = opened(&path);
    assert_eq!(kids(&second), keys);
    assert!(second.verify("JWT", &token).is_some());
    assert!(second.vault().open("it", &sealed).is_some());
}

#[test]
fn c_031_the_files_are_for_the_servers_user_alone() {
    let (_dir, path) = made();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
    let files: Vec<_> = fs::read_dir(&path).unwrap().map(|file| file.unwrap()).collect();
    assert_eq!(files.len(), Alg::ALL.len() + 2);
    for file in &files {
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600, "{file:?}");
    }
    for open in files.iter().map(fs::DirEntry::path).chain([path.clone()]) {
        let before = fs::metadata(&open).unwrap().permissions();
        fs::set_permissions(&open, Permissions::from_mode(0o740)).unwrap();
        assert!(
            matches!(refused(&path), Error::Open(told) if told.starts_with(&path)),
            "{open:?}"
        );
        fs::set_permissions(&open, before).unwrap();
    }
    opened(&path);
}

#[test]
fn c_031_what_is_missing_or_damaged_is_named_and_never_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(refused(&dir.path().join("none")), Error::Missing(_)));
    let (_dir, path) = made();
    for file in fs::read_dir(&path).unwrap().map(|file| file.unwrap().path()) {
        let content = fs::read(&file).unwrap();
        fs::write(&file, "nonsense").unwrap();
        let told = refused(&path);
        assert!(
            matches!(&told, Error::Damaged { path, .. } if *path == file),
            "{told}"
        );
        let aside = path.with_extension("aside");
        fs::rename(&file, &aside).unwrap();
        let told = refused(&path).to_string();
        let is_list = file.ends_with("keys.json");
        assert!(is_list || told.contains(file.to_str().unwrap()), "{told}");
        if file.ends_with("seal.key") {
            make(&path).expect_err("the seal of old records is gone");
        }
        fs::rename(&aside, &file).unwrap();
        fs::write(&file, content).unwrap();
    }
    let (_other, other) = made();
    let [own, foreign] = [&path, &other].map(|path| list(path).unwrap().remove(0).kid);
    let [own, foreign] = [
        path.join(format!("sign-{own}.pem")),
        other.join(format!("sign-{foreign}.pem")),
    ];
    fs::copy(foreign, own).unwrap();
    assert!(refused(&path).to_string().contains("another key"));
}

#[test]
fn c_032_a_rotation_publishes_first_and_signs_later_and_a_running_server_notices() {
    let (_dir, path) = made();
    let keys = opened(&path);
    let old = keys.sign(Alg::ES256, "JWT", &json!({})).unwrap();
    let before = kids(&keys);
    rotate(&path, KEPT, Signs::Later).unwrap();
    assert_eq!(kids(&keys), before);
    keys.refresh().unwrap();
    let published = kids(&keys);
    assert_eq!(published.len(), 8);
    assert!(published.is_superset(&before));
    let kid = |token: &str| jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
    let same = keys.sign(Alg::ES256, "JWT", &json!({})).unwrap();
    assert_eq!(kid(&same), kid(&old), "the new one waits");
    // A second rotation adds nothing; it can only hurry those that wait.
    rotate(&path, KEPT, Signs::Later).unwrap();
    rotate(&path, KEPT, Signs::Now).unwrap();
    keys.refresh().unwrap();
    assert_eq!(kids(&keys), published);
    let new = keys.sign(Alg::ES256, "JWT", &json!({})).unwrap();
    assert!(!before.contains(&kid(&new)));
    assert!(keys.verify("JWT", &old).is_some(), "a retired key still verifies");
    let states: Vec<_> = list(&path).unwrap().into_iter().map(|key| key.state).collect();
    assert_eq!(states.iter().filter(|state| **state == State::Current).count(), 4);
    assert!(!states.contains(&State::Next));
}

#[test]
fn c_032_a_key_that_was_retired_for_long_is_published_no_more_and_its_file_goes() {
    let (_dir, path) = made();
    rotate(&path, 0, Signs::Now).unwrap();
    let keys = Keys::open(Some(&path), 0).unwrap();
    assert_eq!(kids(&keys).len(), 4);
    assert_eq!(fs::read_dir(&path).unwrap().count(), 8 + 2);
    rotate(&path, 0, Signs::Later).unwrap();
    assert_eq!(
        fs::read_dir(&path).unwrap().count(),
        8 + 2,
        "four went, four came"
    );
}

#[test]
fn c_032_a_change_that_cannot_be_read_leaves_the_keys_as_they_are() {
    let (_dir, path) = made();
    let keys = opened(&path);
    let before = kids(&keys);
    fs::write(path.join("keys.json"), "{").unwrap();
    assert!(keys.refresh().is_err());
    assert_eq!(kids(&keys), before);
    assert!(keys.sign(Alg::ES256, "JWT", &json!({})).is_ok());
}
