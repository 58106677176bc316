//! Probes: their Jobs, their life in the cluster, their removal, and the position on this machine.

pub mod deployment;
pub mod external;
pub mod job;
pub mod ledger;
pub mod lifecycle;
pub mod output;
pub mod pod_state;
pub mod preflight;
pub mod probed_position;
pub mod rehearsal;
pub mod scout;
