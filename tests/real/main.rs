//! Tests against parts that are not ours: a browser, an OpenID provider, Hocuspocus under node.
//!
//! `tests/setup.sh` installs them; the feature `real` turns these tests on.

mod approval_page;
mod asking;
mod browser_login;
mod ciba_clients;
mod exchange;
mod hocuspocus_pair;
mod idp_faults;
mod jose;
mod keychain;
mod memory;
mod notify;
mod provider_faults;
mod renewal;
mod request;
mod restart;
mod road;
mod site;
mod store_faults;
mod systemd;
mod their_device;
mod their_server;
mod tls;
mod tools;
