//! What scripts see when it does not work: the exit codes of I-006, and words a person understands.

use anyhow::Result;
use ciba_tests::{Output, World, cancel, outcome};

fn assert_refused(output: &Output, code: i32, said: &str) {
    assert_eq!(output.code(), Some(code), "{output:?}");
    assert_eq!(output.stdout, "");
    assert!(
        output.stderr.contains(said),
        "{said:?} is not in {}",
        output.stderr
    );
}

#[tokio::test]
async fn i_006_nobody_logged_in_is_3() -> Result<()> {
    let world = World::new()?;
    assert_refused(&world.ciba(&["token"]).await?, 3, "ciba start");
    Ok(())
}

#[tokio::test]
async fn i_006_a_server_out_of_reach_is_4() -> Result<()> {
    let world = World::new()?;
    let url = format!("http://127.0.0.1:{}", ciba_tests::free_port()?);
    for arguments in [&["start", "--url", &url][..], &["--url", &url]] {
        assert_refused(&world.ciba(arguments).await?, 4, "cannot be reached");
    }
    Ok(())
}

#[tokio::test]
async fn i_006_a_person_who_says_no_is_5() -> Result<()> {
    let world = World::new()?;
    let server = world.server_dev().await?;
    for arguments in [&["start", "--url", &server.url][..], &["--url", &server.url]] {
        let login = world.begin_login(arguments).await?;
        assert_eq!(cancel(&login.page).await?, "refused");
        assert_refused(&login.end().await?, 5, "");
    }
    assert_eq!(world.ciba(&["token"]).await?.code(), Some(3));
    Ok(())
}

/// The least that `limits.login_expires_in` may be is what this test takes.
#[tokio::test]
async fn i_006_d_005_a_login_that_nobody_comes_to_is_6() -> Result<()> {
    let world = World::new()?;
    let config = r#"
        listen = "127.0.0.1:0"
        store.url = "memory:"
        limits.login_expires_in = 5
        login = { issuer = "http://127.0.0.1:9", client_id = "nobody" }
    "#;
    let server = world.server(config).await?;
    let login = world.begin_login(&["start", "--url", &server.url]).await?;
    let page = login.page.clone();
    assert_refused(&login.end().await?, 6, "");
    assert_eq!(outcome(&page).await?, "expired");
    Ok(())
}

#[tokio::test]
async fn i_006_what_cannot_be_meant_is_2() -> Result<()> {
    let world = World::new()?;
    for arguments in [
        &["start"][..],
        &["bogus"],
        &["token", "--bogus"],
        &["token", "--header", "--json"],
        &["start", "--url", "ftp://127.0.0.1"],
        &["start", "--url", "http://ciba.example"],
        &["token", "--profile", "no spaces"],
        &["--url", "http://127.0.0.1:9", "token"],
    ] {
        assert_refused(&world.ciba(arguments).await?, 2, "");
    }
    Ok(())
}

#[tokio::test]
async fn i_006_a_profile_means_nothing_where_no_login_is_used() -> Result<()> {
    let world = World::new()?;
    let client = ["--issuer", "https://op.example", "--client-id", "agent"];
    let request = [&["request"], &client[..], &["--login-hint", "ada"]].concat();
    let remove = [&["client", "remove"], &client[..]].concat();
    for arguments in [&request, &remove] {
        let arguments = [&["--profile", "work"], &arguments[..]].concat();
        assert_refused(&world.ciba(&arguments).await?, 2, "--issuer and --client-id");
    }
    Ok(())
}
