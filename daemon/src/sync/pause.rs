//! Waiting for a time: one that may not be set, and one that also comes while this machine sleeps (D-050).

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

/// Waits until a time, if there is one, and for ever if not.
pub(crate) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Waits for a time that also passes while the machine sleeps: the person who wakes it wants its network at once.
pub(super) async fn pause(time: Duration) {
    tokio::select! {
        () = sleep(time) => {}
        () = of_the_world(time) => {}
    }
}

/// The runtime's own clock stands still during a sleep of the machine; the kernel has one that does not.
#[cfg(target_os = "linux")]
async fn of_the_world(time: Duration) {
    if timer(time).await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(target_os = "linux")]
async fn timer(time: Duration) -> std::io::Result<()> {
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::unix::AsyncFd;

    let timer = timerfd_create(
        TimerfdClockId::Boottime,
        TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
    )?;
    let once = Itimerspec {
        // Zero would disarm it.
        it_value: Timespec::try_from(time.max(Duration::from_nanos(1))).map_err(std::io::Error::other)?,
        it_interval: Timespec::default(),
    };
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &once)?;
    #[expect(
        deprecated,
        reason = "the other way is unsafe; this descriptor is owned, and stays the same"
    )]
    let timer = AsyncFd::new(timer)?;
    timer.readable().await.map(drop)
}

#[cfg(not(target_os = "linux"))]
async fn of_the_world(_: Duration) {
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn d_050_the_kernels_clock_ends_a_pause_by_itself() {
        for time in [Duration::ZERO, Duration::from_millis(5)] {
            let deadline = Duration::from_secs(20);
            tokio::time::timeout(deadline, timer(time))
                .await
                .unwrap()
                .unwrap();
        }
    }
}
