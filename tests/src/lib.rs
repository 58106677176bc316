//! What the end-to-end tests stand on: the real `kubectl`, a namespace of one's own, web servers on chosen nodes.

pub mod chromium;
pub mod fixture;
pub mod folder;
pub mod imports;
pub mod junit;
pub mod kubectl;
pub mod names_only;
pub mod namespace;
pub mod process;
pub mod run;
pub mod wait;
