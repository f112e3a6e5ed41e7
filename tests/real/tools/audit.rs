//! The audit on a disk that is full: tokens go on, the entries come again with the room, and no line is half a one.

use std::fs;

use anyhow::Result;
use ciba_tests::{PATIENCE, Process, World, binary, until};
use ipc_proto::AuditEntry;

/// A daemon whose state lies on a full disk of its own, in a mount namespace of its own: 1: the disk, 2: the program. It
/// clears the disk, and shows the audit, as it is told.
const ON_A_FULL_DISK: &str = r#"
mount -t tmpfs -o size=64k none "$1" && cat /dev/zero > "$1/filler" 2> /dev/null
mkdir -m 700 "$1/ciba"
"$2" --foreground &
echo mounted
while read -r word; do
    case $word in
        clear) rm "$1/filler" ;;
        show) sed 's/^/audit: /' "$1/ciba/audit.jsonl" ;;
    esac
    echo "done: $word"
done
kill $!
wait
"#;

async fn tell(daemon: &mut Process, word: &str) -> Result<()> {
    daemon.write_line(word).await?;
    let done = format!("done: {word}");
    daemon
        .wait_line(word, PATIENCE, |line| (line == done).then_some(()))
        .await
}

/// Returns the lines of the audit that came since it was shown last.
async fn shown(daemon: &mut Process) -> Result<Vec<String>> {
    let before = daemon.stdout().matches("audit: ").count();
    tell(daemon, "show").await?;
    let printed = daemon.stdout();
    let lines = printed.lines().filter_map(|line| line.strip_prefix("audit: "));
    Ok(lines.skip(before).map(str::to_owned).collect())
}

#[tokio::test]
async fn a_full_disk_costs_entries_of_the_audit_and_no_token() -> Result<()> {
    let world = World::new()?;
    let state = world.home().join(".local/state");
    fs::create_dir_all(&state)?;
    let server = world.server_dev().await?;
    let mut command = world.command("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", ON_A_FULL_DISK, "sh"]);
    command.arg(&state).arg(binary("cibad"));
    let mut daemon = world.spawn(command)?;
    let mounted = |line: &str| (line == "mounted").then_some(());
    daemon.wait_line("a full disk", PATIENCE, mounted).await?;
    until("the daemon", PATIENCE, async || {
        world.socket().exists().then_some(())
    })
    .await?;

    world.log_in(&server).await?;
    for _ in 0..3 {
        let _ = world.ciba(&["token"]).await?.success();
    }
    assert!(shown(&mut daemon).await?.is_empty());
    until("ciba doctor to say so", PATIENCE, async || {
        let said = world.ciba(&["doctor"]).await.ok()?;
        let lost = "entries of the audit that could not be written: 3";
        said.stdout.contains(lost).then_some(())
    })
    .await?;

    tell(&mut daemon, "clear").await?;
    let _ = world.ciba(&["token"]).await?.success();
    let lines = until("an entry", PATIENCE, async || {
        let lines = shown(&mut daemon).await.ok()?;
        (!lines.is_empty()).then_some(lines)
    })
    .await?;
    let entries: Result<Vec<AuditEntry>, _> = lines.iter().map(|line| serde_json::from_str(line)).collect();
    assert!(entries?.iter().all(|entry| entry.tool == "token"));
    Ok(())
}
