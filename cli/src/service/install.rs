//! Carries out a plan, and takes it back.

use super::{Plan, Step, running};
use crate::error::Error;

/// What was done: a sentence each, in order.
pub(crate) type Done = Vec<String>;

/// Writes the files and lets the service manager take over from a daemon that runs.
pub(crate) fn install(plan: &Plan, force: bool) -> Result<Done, Error> {
    probe(plan)?;
    let mut done = Done::new();
    let is_active = plan.is_active.succeeds();
    if !is_active || plan.renewing_ends {
        running::lose_nothing("install", force)?;
    }
    if !is_active {
        done.extend(running::dismiss()?);
    }
    for file in &plan.files {
        done.extend(file.write()?);
    }
    let steps = if is_active { &plan.renew } else { &plan.begin };
    do_each(steps, &mut done)?;
    Ok(done)
}

/// Stops the service and removes the files.
pub(crate) fn uninstall(plan: &Plan, force: bool) -> Result<Done, Error> {
    let mut done = Done::new();
    if !plan.files.iter().any(|file| file.path.exists()) {
        return Ok(done);
    }
    probe(plan)?;
    running::lose_nothing("uninstall", force)?;
    do_each(&plan.end, &mut done)?;
    for file in &plan.files {
        done.extend(file.remove()?);
    }
    do_each(&plan.forget, &mut done)?;
    Ok(done)
}

fn do_each(steps: &[Step], done: &mut Done) -> Result<(), Error> {
    for step in steps {
        step.run()?;
        done.push(step.done.into());
    }
    Ok(())
}

fn probe(plan: &Plan) -> Result<(), Error> {
    if plan.probe.succeeds() {
        return Ok(());
    }
    let message = format!(
        "{} does not answer: there is no service manager of yours here",
        plan.manager
    );
    Err(Error::internal(message).hint(plan.hint))
}
