//! `ciba request`: ask a person for approval at an OpenID provider, and print the token that comes of it (OpenID Connect
//! CIBA Core 1.0). The daemon speaks with the provider; this waits, and shows a person that it does.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use ipc_proto::{Backchannel, ClientCredential, ClientMethod, Event, Granted, Hint, Message, Op};

use crate::ask;
use crate::clock;
use crate::connection::Connection;
use crate::error::Error;
use crate::print;
use crate::secret_input;
use crate::terminal::{self, Plain, Progress};

/// How often the progress line is written anew.
const TICK: Duration = Duration::from_secs(1);

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    client: Client,

    #[command(flatten)]
    credential: Credential,

    #[command(flatten)]
    hint: Whom,

    /// What to ask for, with spaces between; openid has to be among it
    #[arg(long, value_name = "SCOPE", default_value = "openid")]
    scope: String,

    /// Text that the person sees where they approve, to compare
    #[arg(long, value_name = "TEXT")]
    binding_message: Option<String>,

    /// Time after which the request should lapse: 120, 120s, 5m
    #[arg(long, value_name = "TIME", value_parser = super::token::seconds)]
    requested_expiry: Option<u64>,

    /// Wanted authentication contexts, with spaces between
    #[arg(long, value_name = "ACRS")]
    acr_values: Option<String>,

    /// Service the token is for; may be given again
    #[arg(long = "resource", value_name = "URI")]
    resources: Vec<String>,

    /// File with a JSON array that says exactly what is to be allowed; - is standard input
    #[arg(long, value_name = "FILE")]
    authorization_details: Option<PathBuf>,

    /// File with the code that only the person knows; - is standard input
    #[arg(long, value_name = "FILE")]
    user_code_file: Option<PathBuf>,

    /// How the daemon learns of the decision: poll asks again and again, ping is told as well
    #[arg(long, value_name = "MODE", value_parser = ["poll", "ping"])]
    mode: Option<String>,

    /// Address of this machine where the provider's ping arrives, behind the public URL that the client has registered
    #[arg(long, value_name = "ADDRESS:PORT")]
    ping_listen: Option<SocketAddr>,

    /// Print a JSON object with everything that the provider gave
    #[arg(long)]
    json: bool,
}

// Which client asks. Not a doc comment: clap would show it as the help of the command.
#[derive(clap::Args)]
pub(super) struct Client {
    /// Issuer URL of the provider, exactly as it names itself
    #[arg(long, value_name = "URL")]
    pub(super) issuer: String,

    /// Name of the client at the provider
    #[arg(long, value_name = "ID")]
    pub(super) client_id: String,
}

// What proves that it is this client.
#[derive(clap::Args)]
pub(super) struct Credential {
    /// File with the client secret; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "client_key_file")]
    client_secret_file: Option<PathBuf>,

    /// File with the client's private key as PEM (P-256 or RSA), for private_key_jwt; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "client_auth")]
    client_key_file: Option<PathBuf>,

    /// How the secret is shown to the provider [default: client_secret_basic]
    #[arg(long, value_name = "METHOD", value_parser = secret_method())]
    client_auth: Option<ClientMethod>,
}

fn secret_method() -> impl TypedValueParser<Value = ClientMethod> {
    let methods = [ClientMethod::ClientSecretBasic, ClientMethod::ClientSecretPost];
    PossibleValuesParser::new(methods.map(ClientMethod::word)).try_map(|word| word.parse())
}

// Whom to ask: exactly one of them.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Whom {
    /// Name of the person, as the provider knows it
    #[arg(long, value_name = "NAME")]
    login_hint: Option<String>,

    /// File with a token that names the person; - is standard input
    #[arg(long, value_name = "FILE")]
    login_hint_token_file: Option<PathBuf>,

    /// File with an ID token of the person; - is standard input
    #[arg(long, value_name = "FILE")]
    id_token_hint_file: Option<PathBuf>,
}

impl Credential {
    /// Reads what was given; `None` leaves it to what the keychains keep.
    fn read(&self) -> Result<Option<ClientCredential>, Error> {
        let (method, file) = match (&self.client_secret_file, &self.client_key_file) {
            (Some(file), _) => (self.secret_method(), file),
            (None, Some(file)) => (ClientMethod::PrivateKeyJwt, file),
            (None, None) if self.client_auth.is_some() => {
                return Err(Error::usage("--client-auth goes with --client-secret-file"));
            }
            (None, None) => return Ok(None),
        };
        let secret = secret_input::from_file(file)?;
        Ok(Some(ClientCredential { method, secret }))
    }

    /// Reads what was given, or else asks for a secret.
    pub(super) fn read_or_ask(&self) -> Result<ClientCredential, Error> {
        if self.client_secret_file.is_none() && self.client_key_file.is_none() {
            return Ok(ClientCredential {
                method: self.secret_method(),
                secret: secret_input::typed("Client secret: ")?,
            });
        }
        let read = self.read()?;
        read.ok_or_else(|| Error::usage("no secret is given"))
    }

    fn secret_method(&self) -> ClientMethod {
        self.client_auth.unwrap_or_default()
    }
}

impl Whom {
    fn read(&self) -> Result<Hint, Error> {
        let hint = match (
            &self.login_hint,
            &self.login_hint_token_file,
            &self.id_token_hint_file,
        ) {
            (Some(name), ..) => Hint::LoginHint(name.clone()),
            (_, Some(file), _) => Hint::LoginHintToken(secret_input::from_file(file)?),
            (_, _, Some(file)) => Hint::IdTokenHint(secret_input::from_file(file)?),
            _ => return Err(Error::usage("it is not said whom to ask: --login-hint NAME")),
        };
        Ok(hint)
    }
}

/// Asks, waits for the decision, and prints the token.
pub(crate) fn run(args: Args) -> Result<(), Error> {
    let json = args.json;
    let op = Op::Request(Box::new(args.read()?));
    let mut wait = Wait::default();
    let granted = match follow(op.clone(), &mut wait) {
        // A daemon that left before the provider was asked is asked again, once.
        Err(error) if ask::has_left(&error) && !wait.has_begun() => follow(op, &mut wait),
        followed => followed,
    };
    drop(wait);
    print::granted(&granted?, json)
}

impl Args {
    fn read(self) -> Result<Backchannel, Error> {
        self.check_inputs()?;
        Ok(Backchannel {
            credential: self.credential.read()?,
            hint: self.hint.read()?,
            authorization_details: self.authorization_details.as_deref().map(details).transpose()?,
            user_code: self
                .user_code_file
                .as_deref()
                .map(secret_input::from_file)
                .transpose()?,
            ping_listen: listen(self.mode.as_deref(), self.ping_listen)?,
            issuer: self.client.issuer,
            client_id: self.client.client_id,
            scope: self.scope,
            binding_message: self.binding_message,
            requested_expiry: self.requested_expiry,
            acr_values: self.acr_values,
            resource: self.resources,
        })
    }

    /// Standard input can be read once.
    fn check_inputs(&self) -> Result<(), Error> {
        let files = [
            &self.credential.client_secret_file,
            &self.credential.client_key_file,
            &self.hint.login_hint_token_file,
            &self.hint.id_token_hint_file,
            &self.authorization_details,
            &self.user_code_file,
        ];
        let inputs = files.into_iter().flatten().filter(|file| *file == Path::new("-"));
        if inputs.count() > 1 {
            return Err(Error::usage("only one option can read standard input"));
        }
        Ok(())
    }
}

fn listen(mode: Option<&str>, address: Option<SocketAddr>) -> Result<Option<SocketAddr>, Error> {
    match (mode, address) {
        (Some("ping"), None) => Err(Error::usage(
            "--mode ping needs the address where the ping arrives: --ping-listen 127.0.0.1:PORT",
        )),
        (Some("poll"), Some(_)) => Err(Error::usage("--ping-listen is for --mode ping")),
        (_, address) => Ok(address),
    }
}

/// Reads the file as it is; the daemon says whether it is a JSON array.
fn details(file: &Path) -> Result<String, Error> {
    let read = if file == Path::new("-") {
        io::read_to_string(io::stdin())
    } else {
        fs::read_to_string(file)
    };
    read.map_err(|error| Error::usage(format!("{} cannot be read: {error}", file.display())))
}

fn follow(op: Op, wait: &mut Wait) -> Result<Granted, Error> {
    let mut connection = Connection::connect_or_start()?;
    connection.send(op)?;
    loop {
        match connection.next(wait.tick())? {
            Some(Message::Answer(granted)) => return Ok(granted),
            Some(Message::Failure(failure)) => return Err(failure.into()),
            Some(Message::Event(event)) => wait.tell(&event),
            Some(Message::UnknownEvent) | None => {}
        }
    }
}

/// What a person sees while nothing is decided.
#[derive(Default)]
struct Wait {
    line: Option<Progress>,
    expires_at: Option<u64>,
    problem: Option<String>,
}

impl Wait {
    /// Whether the provider has been asked.
    fn has_begun(&self) -> bool {
        self.expires_at.is_some()
    }

    /// Shows the time left, and returns when to do so again.
    fn tick(&self) -> Option<Instant> {
        let (line, expires_at) = (self.line.as_ref()?, self.expires_at?);
        line.show(waiting(clock::left(expires_at)));
        Some(Instant::now() + TICK)
    }

    fn tell(&mut self, event: &Event) {
        match event {
            Event::Acknowledged {
                handle, expires_at, ..
            } => {
                self.expires_at = Some(*expires_at);
                self.line = Progress::new();
                // A log has one line of it.
                if self.line.is_none() {
                    let left = waiting(clock::left(*expires_at));
                    terminal::tell(format_args!("{left} (request {})", Plain(handle)));
                }
            }
            Event::Waiting { problem, .. } if *problem != self.problem => {
                self.problem.clone_from(problem);
                if let Some(problem) = problem {
                    self.clear();
                    terminal::tell(format_args!("{}; trying again", Plain(problem)));
                }
            }
            _ => {}
        }
    }

    fn clear(&self) {
        if let Some(line) = &self.line {
            line.clear();
        }
    }
}

fn waiting(left: u64) -> String {
    format!("Waiting for approval … {}:{:02} left", left / 60, left % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_needs_an_address_and_polling_none() {
        let address: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        for (mode, given, expected) in [
            (None, None, Some(None)),
            (None, Some(address), Some(Some(address))),
            (Some("ping"), Some(address), Some(Some(address))),
            (Some("poll"), None, Some(None)),
            (Some("ping"), None, None),
            (Some("poll"), Some(address), None),
        ] {
            assert_eq!(listen(mode, given).ok(), expected, "{mode:?} {given:?}");
        }
    }

    #[test]
    fn the_time_left_is_minutes_and_seconds() {
        assert_eq!(waiting(272), "Waiting for approval … 4:32 left");
        assert_eq!(waiting(5), "Waiting for approval … 0:05 left");
    }
}
