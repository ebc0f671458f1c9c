//! `etl-host lock`.

use std::process::ExitCode;

use clap::Args;

use super::{ContractArgs, LibraryArgs, LoginArgs, Outcome, contract, setup, terminal};
use crate::artifact::{LOCK_FILE, Lock, Pin, PinKind, pin};

/// Arguments of `lock`.
#[derive(Debug, Args)]
pub(super) struct LockArgs {
    #[command(flatten)]
    contract: ContractArgs,
    /// Ask registries anew what tags name that are pinned already
    #[arg(long)]
    update: bool,
    #[command(flatten)]
    login: LoginArgs,
    #[command(flatten)]
    library: LibraryArgs,
}

/// Pins every component of a pipeline to the bytes that it has now.
pub(super) fn lock(args: &LockArgs) -> Outcome {
    let planned = contract::planned_without_params(&args.contract)?;
    let plan = planned.common();
    let library = setup::library(&args.library, setup::login(&args.login)?);
    let old = Lock::read(&plan.root)?.unwrap_or_default();
    let mut pins: Vec<Pin> = Vec::new();
    for stage in planned.plans().iter().flat_map(|plan| &plan.stages) {
        let pinned = pin(&stage.component, &plan.root, &old, &library, args.update)
            .map_err(|error| error.while_doing(format!("stage `{}`", stage.name)).at(stage.place.clone()))?;
        pins.extend(pinned);
    }
    let mut lock = old.clone();
    // Modules are the business of `build`; what else the pipeline no longer names is dropped.
    lock.retain(|pin| pin.kind == PinKind::Module || pins.iter().any(|kept| (kept.kind, &kept.name) == (pin.kind, &pin.name)));
    pins.into_iter().for_each(|pin| lock.upsert(pin));
    for gone in old.pins().iter().filter(|pin| lock.find(pin.kind, &pin.name).is_none()) {
        terminal::talk(&format!("dropped  {}", gone.name));
    }
    for pin in lock.pins() {
        let word = match old.find(pin.kind, &pin.name) {
            Some(before) if before == pin => "as before",
            Some(_) => "changed",
            None => "pinned",
        };
        terminal::talk(&format!("{word:<10} {} to {}", pin.name, pin.digest));
    }
    if lock != old {
        lock.write(&plan.root)?;
    } else if lock.pins().is_empty() {
        terminal::talk(&format!("nothing to pin, so `{}` is not written", plan.root.join(LOCK_FILE).display()));
    }
    Ok(ExitCode::SUCCESS)
}
