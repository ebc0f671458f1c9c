//! What the user wrote: text in, structs out. No files, no network, no environment.

pub mod extract;
pub mod load;
