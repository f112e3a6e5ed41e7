//! From the end of a login at the provider to the token in the hands of a client that waited for it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ciba_tests::Returning;
use ipc_proto::{Op, ProfileName, Started, Stopped, Token};

use crate::agent::Agent;
use crate::measure::percentile::Samples;
use crate::measure::table::{Row, Table};
use crate::programs;
use crate::session::{PASSWORD, Session, USERNAME, token};

const P99_MAX: Duration = Duration::from_millis(5);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Logins, one after the other
    #[arg(long, default_value_t = 200)]
    logins: usize,
}

/// How long one login took, both from the moment the browser opens the callback.
struct Times {
    /// Until the client that waited holds the token.
    token: Duration,
    /// Until the browser has the callback's answer.
    answer: Duration,
}

pub(crate) async fn run(args: &Args) -> Result<Table> {
    programs::build()?;
    // A login that stays, so that the daemon does too.
    let session = Session::start().await?;
    let (mut tokens, mut answers) = (Vec::new(), Vec::new());
    for number in 0..args.logins {
        let times = log_in(&session)
            .await
            .with_context(|| format!("login {number}"))?;
        tokens.push(times.token);
        answers.push(times.answer);
    }
    let [tokens, answers] = [tokens, answers].map(|times| Samples::new(times).context("no logins to time"));
    let (tokens, answers) = (tokens?, answers?);

    let mut table = Table::new("login: from the provider's last redirect to the token");
    let (p50, p99) = (tokens.percentile(50), tokens.percentile(99));
    table.row(Row::new("time to the token, p50", p50).beside("callback's answer", answers.percentile(50)));
    table.row(
        Row::new("time to the token, p99", p99)
            .goal(P99_MAX)
            .beside("callback's answer", answers.percentile(99)),
    );
    table.note(format!(
        "{} logins at the built-in provider, all on loopback, one after the other",
        tokens.len()
    ));
    table.note("time: from before the browser opens the callback until the client whose `start` waited has asked for the token and holds it");
    table.note("callback's answer: the same start, until the browser has the status line; in both is the provider's token endpoint, which signs twice");
    Ok(table)
}

async fn log_in(session: &Session) -> Result<Times> {
    let profile: ProfileName = "bench".parse()?;
    let mut agent = session.agent().await?;
    let page = session.begin_login(&mut agent, Some(profile.clone())).await?;
    let browser = Returning::sign_in(&page, USERNAME, PASSWORD).await?;

    let waiting = tokio::spawn(token_at(agent, profile.clone()));
    let start = Instant::now();
    browser.come_back().await?;
    let answer = start.elapsed();
    let token = waiting.await?? - start;

    let stop = Op::Stop {
        profile: Some(profile),
        all: false,
    };
    session.agent().await?.ask::<Stopped>(stop).await?;
    Ok(Times { token, answer })
}

/// Waits for `start` to be answered, asks for the token, and says when it was there.
async fn token_at(mut agent: Agent, profile: ProfileName) -> Result<Instant> {
    agent.answer::<Started>().await?;
    agent.ask::<Token>(token(Some(profile))).await?;
    Ok(Instant::now())
}
