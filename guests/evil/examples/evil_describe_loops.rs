//! `describe` loops for ever => loading fails: the component failed to describe itself, used all of its fuel.

use etl_sdk::bindings::columns::etl::transform::data;
use etl_sdk::bindings::columns::exports::etl::transform::stage;
use etl_sdk::{Descriptor, StageError};

/// The component.
pub struct Evil;

impl stage::Guest for Evil {
    type Instance = Evil;

    fn describe() -> Descriptor {
        let mut turns = 0u64;
        loop {
            turns = std::hint::black_box(turns.wrapping_add(1));
        }
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
