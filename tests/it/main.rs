//! Through the front door: the binary, run on real files.

mod architecture;
