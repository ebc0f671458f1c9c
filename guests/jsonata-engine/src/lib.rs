//! JSONata, compiled once and evaluated on Arrow rows.
