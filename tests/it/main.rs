//! Through the front door: the binary, run on real files.

mod aggregate;
mod architecture;
mod artifact;
mod bad_row;
mod cases;
mod cli;
mod crash;
mod custom;
mod dlq;
mod duckdb;
mod evil;
mod examples;
mod grants;
mod history;
mod jsonata;
mod jsonata_suite;
mod params;
mod preview;
mod progress;
mod readme;
mod review;
mod run;
mod server;
mod support;
mod validate;
mod warnings;
