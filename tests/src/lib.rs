//! Helpers of the end-to-end tests: they run the real `kubectl`, create a namespace for each test, and deploy web
//! servers on chosen nodes.

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
