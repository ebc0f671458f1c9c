//! `describe` answers 10,000 functions with names of a KiB => loading fails or keeps a bounded list; `inspect` shows no control characters.

use etl_sdk::bindings::columns::etl::transform::data;
use etl_sdk::bindings::columns::exports::etl::transform::stage;
use etl_sdk::{Descriptor, Function, StageError, State};

/// The component.
pub struct Evil;

impl stage::Guest for Evil {
    type Instance = Evil;

    fn describe() -> Descriptor {
        let name = format!("\u{1b}[2J{}\n", "n".repeat(1 << 10));
        let function = Function { name: name.clone(), summary: name.clone(), options_schema: "{".into(), state: State::Stateless };
        Descriptor { name: name.repeat(100), version: name, functions: vec![function; 10_000] }
    }
}

impl stage::GuestInstance for Evil {
    fn configure(_: String, _: String, _: Vec<u8>) -> Result<(stage::Instance, stage::Plan), Vec<StageError>> {
        Err(Vec::new())
    }

    fn process(&self, _: &data::Batch, _: &data::Output) -> Result<(), StageError> {
        Ok(())
    }

    fn finish(&self, _: &data::Output) -> Result<(), StageError> {
        Ok(())
    }

    fn snapshot(&self) -> Result<Vec<u8>, StageError> {
        Ok(Vec::new())
    }

    fn restore(_: String, _: String, _: Vec<u8>, _: Vec<u8>) -> Result<(stage::Instance, stage::Plan), Vec<StageError>> {
        Err(Vec::new())
    }
}

#[cfg(target_arch = "wasm32")]
etl_sdk::bindings::columns::export_transform!(Evil with_types_in etl_sdk::bindings::columns);
