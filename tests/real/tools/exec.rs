//! `ciba exec` with a real login: the token in the program's environment, and nowhere in its arguments.

use anyhow::Result;
use ciba_tests::assert_nowhere;

use super::workplace::logged_in;

#[tokio::test]
async fn a_program_has_the_token_in_its_environment_and_its_file_alone() -> Result<()> {
    let (world, _server) = logged_in().await?;
    let sampler = world.cmdlines();
    let line = "printf '%s\\n' \"$CIBA_TOKEN\"; cat \"$CIBA_TOKEN_FILE\"";
    let printed = world
        .ciba(&["exec", "--refresh-file", "--", "sh", "-c", line])
        .await?
        .success();
    let (variable, file) = printed.split_once('\n').unwrap_or_default();
    assert!(!variable.is_empty() && variable == file);
    assert_nowhere(variable.as_bytes(), &sampler.stop());
    Ok(())
}
