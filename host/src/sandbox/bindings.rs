//! What wasmtime generates from `wit/`.

/// World `transform`: rows by column.
pub(super) mod columnar {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "transform",
        imports: { default: trappable },
        exports: { default: async },
        with: {
            "etl:transform/data.batch": crate::sandbox::state::Input,
            "etl:transform/data.output": crate::sandbox::output::Output,
        },
    });
}

/// World `transform-records`: rows as JSON lines.
pub(super) mod records {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "transform-records",
        imports: { default: trappable },
        exports: { default: async },
        with: {
            "etl:transform/types": crate::sandbox::bindings::columnar::etl::transform::types,
            "etl:transform/host": crate::sandbox::bindings::columnar::etl::transform::host,
            "etl:transform/records-data.batch": crate::sandbox::state::Input,
            "etl:transform/records-data.output": crate::sandbox::output::Output,
        },
    });
}

pub(super) use columnar::etl::transform::{data, host, types};
pub(super) use records::etl::transform::records_data;
