//! Through the front door: the binary, run on real files.

mod architecture;
mod examples;
mod readme;
mod review;
mod run;
mod support;
