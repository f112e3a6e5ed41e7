//! What the daemon says to a service manager, and that it says nothing to somebody else's.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{Home, wait_until};

/// Where a service manager hears what its services say.
struct Manager(UnixDatagram);

impl Manager {
    fn of(home: &Home) -> Self {
        let socket = UnixDatagram::bind(home.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self(socket)
    }

    fn start(home: &Home, environment: &[(&str, &str)]) -> Child {
        let mut command = home.cibad();
        Self::introduce(home, &mut command);
        command
            .arg("--foreground")
            .envs(environment.iter().copied())
            .stderr(Stdio::null());
        command.spawn().unwrap()
    }

    fn introduce(home: &Home, command: &mut Command) {
        command.env("NOTIFY_SOCKET", home.path().join("notify"));
    }

    fn heard(&self) -> String {
        let mut message = [0; 4096];
        let length = self.0.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    }

    fn heard_nothing(&self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        self.0.recv(&mut [0]).is_err()
    }
}

#[test]
fn it_says_when_it_serves_reloads_and_leaves() {
    let home = Home::new();
    let manager = Manager::of(&home);
    let mut child = Manager::start(&home, &[]);
    let status = format!(
        "READY=1\nSTATUS=cibad {} serves at {}\n",
        env!("CARGO_PKG_VERSION"),
        home.socket().display()
    );
    assert_eq!(manager.heard(), status);
    assert!(home.connect().hello()["ok"].is_object(), "and it is true");

    home.daemon().unwrap().signal(Signal::HUP);
    let reloading = manager.heard();
    let since = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
    assert!(since.trim().parse::<u64>().is_ok(), "{reloading}");
    assert_eq!(manager.heard(), "READY=1\n");

    home.daemon().unwrap().signal(Signal::TERM);
    assert_eq!(manager.heard(), "STOPPING=1\n");
    assert!(child.wait().unwrap().success());
    assert!(manager.heard_nothing(), "no watchdog was asked for");
}

#[test]
fn it_says_that_it_is_alive_as_often_as_it_is_asked() {
    let home = Home::new();
    let manager = Manager::of(&home);
    let mut child = Manager::start(&home, &[("WATCHDOG_USEC", "100000")]);
    let alive = (0..8).filter(|_| manager.heard() == "WATCHDOG=1\n").count();
    assert!(alive >= 6, "the others are READY=1");
    home.daemon().unwrap().signal(Signal::TERM);
    child.wait().unwrap();
}

#[test]
fn a_watchdog_of_another_process_is_not_its_own() {
    let home = Home::new();
    let manager = Manager::of(&home);
    let mut child = Manager::start(&home, &[("WATCHDOG_USEC", "1000"), ("WATCHDOG_PID", "1")]);
    assert!(manager.heard().starts_with("READY=1\n"));
    home.daemon().unwrap().signal(Signal::TERM);
    assert_eq!(manager.heard(), "STOPPING=1\n");
    child.wait().unwrap();
}

#[test]
fn one_that_detaches_from_a_service_does_not_speak_for_it() {
    let home = Home::new();
    let manager = Manager::of(&home);
    let mut command = home.cibad();
    Manager::introduce(&home, &mut command);
    command.env("LISTEN_FDS", "1").env("WATCHDOG_USEC", "1000");
    assert!(command.output().unwrap().status.success());
    let daemon = home.daemon().unwrap();
    let environment = fs::read_to_string(daemon.proc("environ")).unwrap();
    for variable in ["NOTIFY_SOCKET", "LISTEN_FDS", "WATCHDOG_USEC"] {
        assert!(!environment.contains(variable), "{environment}");
    }
    daemon.signal(Signal::TERM);
    wait_until("it has ended", || !daemon.lives());
    assert!(manager.heard_nothing());
}

#[test]
fn a_socket_that_stands_in_the_way_of_ours_is_not_removed() {
    let home = Home::new();
    let daemon = home.start();
    // As systemd does when its socket unit starts.
    fs::remove_file(home.socket()).unwrap();
    let _theirs = std::os::unix::net::UnixListener::bind(home.socket()).unwrap();
    daemon.signal(Signal::TERM);
    wait_until("it has ended", || !daemon.lives());
    assert!(home.socket().exists());
}
