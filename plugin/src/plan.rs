//! The plan of a run: which nodes get a probe, which addresses it requests, and how. Pure.

pub mod assignment;
pub mod controls;
pub mod placement;
pub mod planned_position;
pub mod public_addresses;
pub mod relocation;
pub mod requests;
pub mod service_check;
pub mod targets;
