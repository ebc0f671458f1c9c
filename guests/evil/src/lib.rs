//! Attacks on the host. Each is a function of this component, speaks to the host through raw bindings, and says in its summary what it does and
//! which end the host must give it: `<what it does> => <phase>: <code of the failure, or "ok">`.
//!
//! Tests take the list from `describe`, run each, and hold the host to the end. An attack without a test cannot be, and a test without an
//! attack does not find its name.

mod attack;
mod contract;
mod crash;
mod flood;
mod hostile;
mod memory;
mod reach;
mod row;
mod spin;
mod state;
mod wire;

use attack::{ATTACKS, Attack, Run};
use etl_sdk::bindings::columns::etl::transform::data;
use etl_sdk::bindings::columns::exports::etl::transform::stage;
use etl_sdk::{Descriptor, Function, StageError};
use row::Trigger;

/// The component.
pub struct Evil;

/// An attack under way.
pub struct Instance {
    attack: &'static Attack,
    trigger: Option<Trigger>,
    calls: std::cell::Cell<u64>,
}

impl stage::Guest for Evil {
    type Instance = Instance;

    fn describe() -> Descriptor {
        let functions = ATTACKS.iter().copied().flatten();
        let functions = functions.map(|attack| Function {
            name: attack.name.into(),
            summary: format!("{} => {}", attack.what, attack.end),
            options_schema: String::new(),
            state: attack.state,
        });
        Descriptor { name: "evil".into(), version: "1.0.0".into(), functions: functions.collect() }
    }
}

impl Instance {
    fn open(function: &str, options: &str, input: &[u8]) -> Result<(stage::Instance, stage::Plan), Vec<StageError>> {
        let attack = ATTACKS.iter().copied().flatten().find(|attack| attack.name == function);
        let attack = attack.ok_or_else(|| vec![StageError::options("unknown_function", format!("no attack `{function}`"))])?;
        let mut plan = stage::Plan { output: None, columns: None, cardinality: attack.cardinality };
        let mut trigger = None;
        match &attack.run {
            Run::Configure(run) => plan = run()?,
            Run::Row => trigger = Some(Trigger::read(options, input).map_err(|problem| vec![problem])?),
            Run::Numbered => {
                trigger = Some(Trigger::read(options, input).map_err(|problem| vec![problem])?);
                plan.output = Some(row::numbered_schema(input));
            }
            _ => {}
        }
        let instance = Self { attack, trigger, calls: 0.into() };
        Ok((stage::Instance::new(instance), plan))
    }
}

impl stage::GuestInstance for Instance {
    fn configure(function: String, options: String, input: Vec<u8>) -> Result<(stage::Instance, stage::Plan), Vec<StageError>> {
        Self::open(&function, &options, &input)
    }

    fn process(&self, input: &data::Batch, out: &data::Output) -> Result<(), StageError> {
        self.calls.set(self.calls.get() + 1);
        match &self.attack.run {
            Run::Process(run) => run(input, out),
            Run::Calls(run) => run(self.calls.get(), input, out),
            Run::Row => self.trigger.as_ref().map_or(Ok(()), |trigger| trigger.pass(input, out)),
            Run::Numbered => self.trigger.as_ref().map_or(Ok(()), |trigger| trigger.number(input, out)),
            Run::Configure(_) | Run::Finish(_) | Run::Snapshot(_) | Run::Restore(_) => attack::pass_on(input, out),
        }
    }

    fn finish(&self, out: &data::Output) -> Result<(), StageError> {
        match &self.attack.run {
            Run::Finish(run) => run(out),
            _ => Ok(()),
        }
    }

    fn snapshot(&self) -> Result<Vec<u8>, StageError> {
        match &self.attack.run {
            Run::Snapshot(run) => run(),
            Run::Restore(_) => Ok(b"anything".to_vec()),
            Run::Numbered => Ok(self.trigger.as_ref().map_or_else(Vec::new, Trigger::snapshot)),
            _ => Ok(Vec::new()),
        }
    }

    fn restore(
        function: String,
        options: String,
        input: Vec<u8>,
        state: Vec<u8>,
    ) -> Result<(stage::Instance, stage::Plan), Vec<StageError>> {
        let opened = Self::open(&function, &options, &input)?;
        let instance: &Instance = opened.0.get();
        match (&instance.attack.run, &instance.trigger) {
            (Run::Restore(run), _) => run(&state)?,
            (_, Some(trigger)) => trigger.restore(&state),
            _ => {}
        }
        Ok(opened)
    }
}

#[cfg(target_arch = "wasm32")]
etl_sdk::bindings::columns::export_transform!(Evil with_types_in etl_sdk::bindings::columns);
