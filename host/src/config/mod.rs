//! What the user wrote: text in, structs out. No files, no network, no environment.

pub mod aggregates;
pub mod cases;
pub mod cloud;
pub mod component;
pub mod database;
pub mod extract;
pub mod files;
pub mod grants;
pub mod http;
pub mod load;
pub mod merge;
pub mod odbc;
pub mod pagination;
pub mod pipeline;
pub mod query;
pub mod schema;
pub mod sets;
pub mod settings;
pub mod transform;
pub mod transformers;
pub mod validate;

mod canonical;
mod de;
mod expectation;
mod http_check;
mod jsonata;
pub(crate) mod local;
mod lower;
mod options;
mod problem;
mod scalar;
mod sections;
mod steps;
pub mod variables;
mod yaml;

pub use files::{Files, RULES, Text, parse, takes, wanted};
pub use pipeline::Pipeline;
pub use problem::{Problem, StoredContract, Wanted};
pub use schema::{Kind, json_schema};

#[cfg(test)]
mod golden;
