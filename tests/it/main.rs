//! Through the front door: the binary, run on real files.

mod architecture;
mod run;
mod support;
