//! What `wit-bindgen` makes of the contract; both worlds share `types` and `host`.
#![expect(missing_docs, reason = "generated; the contract's own comments are its manual")]

/// The world `transform`.
pub mod columns {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "transform",
        pub_export_macro: true,
        export_macro_name: "export_transform",
        additional_derives: [PartialEq],
        generate_all,
    });
}

/// The world `transform-records`.
pub mod records {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "transform-records",
        pub_export_macro: true,
        export_macro_name: "export_transform_records",
        additional_derives: [PartialEq],
        with: {
            "etl:transform/types@1.0.0": crate::bindings::columns::etl::transform::types,
            "etl:transform/host@1.0.0": crate::bindings::columns::etl::transform::host,
        },
        generate_all,
    });
}
