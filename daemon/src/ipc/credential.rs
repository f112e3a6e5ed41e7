//! A token for a tool that knows a host: the user's rule says which one, and perhaps that the person is asked first.

use std::sync::Arc;

use ipc_proto::{ErrorCode, Event, Failure, ProfileName, Service as Shown};
use tokio::time::Instant;

use super::call::Call;
use super::starts::Starts;
use crate::agent::{Refused, TokenAsk};
use crate::rules::{Rule, Service, Tool};
use crate::table::Token;

/// What a tool wants a token for.
pub(super) struct Wanted {
    service: Service,
    tool: Tool,
}

impl Wanted {
    /// Reads an operation's fields.
    ///
    /// # Errors
    ///
    /// `bad_request`: what is wrong with them.
    pub(super) fn of(url: &str, tool: String) -> Result<Self, Failure> {
        let bad = |message: String| Failure::new(ErrorCode::BadRequest, message);
        Ok(Self {
            service: Service::parse(url).map_err(|error| bad(format!("no token for this URL: {error}")))?,
            tool: Tool::named(tool)?,
        })
    }
}

impl Call<'_> {
    /// Answers with a token for the service.
    pub(super) async fn credential(
        &self,
        wanted: Result<Wanted, Failure>,
        refused: Option<u64>,
        interactive: bool,
    ) {
        let found = async {
            let wanted = wanted?;
            let rule = self.rule(&wanted)?;
            self.confirm(&wanted, &rule, interactive).await?;
            let token = self.supply(&wanted, &rule, refused).await?;
            self.audit(
                wanted.tool.as_str(),
                Some(wanted.service.name()),
                &rule.profile,
                &token,
            );
            Ok((rule, token))
        };
        match found.await {
            Ok((rule, token)) => {
                let shown = Shown {
                    scheme: rule.scheme,
                    username: rule.username(),
                    serial: token.serial(),
                };
                self.reply.credential(&token, shown).await;
            }
            Err(failure) => self.reply.no(&failure).await,
        }
    }

    /// Notes that the service refused a token.
    pub(super) fn refused(
        &self,
        wanted: Result<Wanted, Failure>,
        serial: Option<u64>,
    ) -> Result<(), Failure> {
        let rule = self.rule(&wanted?)?;
        let agent = &self.context.agent;
        match serial {
            Some(serial) => agent.reject(&rule.profile, &rule.resource, serial),
            None => agent.reject_held(&rule.profile, &rule.resource),
        }
        Ok(())
    }

    fn rule(&self, wanted: &Wanted) -> Result<Rule, Failure> {
        let find = |rules: &crate::rules::Rules| rules.find(&wanted.service, &wanted.tool).cloned();
        let found = self.context.settings.with_rules(find);
        let rule = found.map_err(|problem| broken(&problem))?;
        rule.ok_or_else(|| no_rule(wanted))
    }

    async fn supply(
        &self,
        wanted: &Wanted,
        rule: &Rule,
        refused: Option<u64>,
    ) -> Result<Arc<Token>, Failure> {
        let service = wanted.service.name();
        let parent = Starts::are_of(&wanted.tool)
            .then(|| self.caller.parent())
            .flatten();
        let guessed =
            parent.and_then(|parent| self.context.starts().refused(parent, &service, Instant::now()));
        let refused = match (refused, guessed) {
            (Some(serial), _) => Refused::Told(serial),
            (None, Some(serial)) => Refused::Guessed(serial),
            (None, None) => Refused::Unknown,
        };
        let ask = TokenAsk::of_rule(rule.profile.clone(), rule.resource.clone());
        let token = self.context.agent.credential(ask, refused).await?;
        if let Some(parent) = parent {
            let starts = &mut self.context.starts();
            starts.note(parent, &service, token.serial(), Instant::now());
        }
        Ok(token)
    }

    /// Asks the person, if the rule wants that.
    async fn confirm(&self, wanted: &Wanted, rule: &Rule, interactive: bool) -> Result<(), Failure> {
        if !rule.confirm {
            return Ok(());
        }
        let question = question(wanted, rule);
        let turn = self.context.confirm.turn().await?;
        if !interactive {
            return turn.ask_desktop(&question).await;
        }
        let open = turn.open(self.caller.asker);
        let number = open.number;
        self.reply.event(&Event::Confirm { number, question }).await;
        open.answered().await
    }
}

/// Everything in it is plain: a tool's word, a host as the URL standard writes it, a URN, a profile's name.
fn question(wanted: &Wanted, rule: &Rule) -> String {
    let (
        Wanted { service, tool },
        Rule {
            resource, profile, ..
        },
    ) = (wanted, rule);
    let of = if *profile == ProfileName::default() {
        String::new()
    } else {
        format!(" of profile '{profile}'")
    };
    format!(
        "May {tool} have the token{of} for {resource}, to use at {}?",
        service.name()
    )
}

fn no_rule(wanted: &Wanted) -> Failure {
    let Wanted { service, tool } = wanted;
    let message = format!("no rule names {} for {tool}", service.name());
    Failure::new(ErrorCode::NoRule, message).hint(format!("ciba allow {} --resource URN", service.name()))
}

fn broken(problem: &str) -> Failure {
    let message = format!("no rule is in force, the configuration is wrong: {problem}");
    Failure::new(ErrorCode::BadConfiguration, message).hint("ciba config check")
}
