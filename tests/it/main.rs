//! Through the front door: the binary, run on real files.

mod aggregate;
mod architecture;
mod artifact;
mod bad_row;
mod cli;
mod crash;
mod duckdb;
mod evil;
mod examples;
mod jsonata;
mod readme;
mod review;
mod run;
mod support;
mod validate;
