//! Through the front door: the binary, run on real files.

mod architecture;
mod bad_row;
mod cases;
mod cli;
mod crash;
mod evil;
mod examples;
mod jsonata;
mod preview;
mod readme;
mod review;
mod run;
mod support;
