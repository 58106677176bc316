//! The language that the plugin and the probe agent share: plain types and pure functions.
//!
//! Nothing here touches a cluster, a clock, a network, a file or the environment.
//!
//! # Glossary
//!
//! - **backend**: a ready endpoint of the Service, on a node.
//! - **position**: a place to connect from ([`position::Position`]).
//! - **target**: an address of the Service ([`target::Target`]).
//! - **role**, **relation**, **scope**: properties of a target: whether its node runs a backend, whether that node is
//!   the probe's own, and whether the address is private or public.
//! - **cell**: one position and one target.
//! - **attempt**, **outcome**: one try, and what it saw ([`wire::outcome::Outcome`]).
//! - **observation**: what all attempts of a cell amount to ([`observation::Observation`]).
//! - **plan**, **line**: what the plugin asks the agent, and what the agent answers ([`wire::plan::Plan`],
//!   [`wire::line::Line`]).
//! - **objects**: the API's JSON, from which the facts are read ([`objects`]).
//! - **facts**: what the API server says about the Service, its endpoints and nodes ([`facts`]).
//! - **report**: everything about one Service, as `-o json` prints it ([`report::Report`]).
//!
//! # Examples
//!
//! `examples/predict_flow.rs` predicts what each node does with a packet. `examples/judge_report.rs` compares a saved
//! report with the newest documents.

#[macro_use]
mod words;

pub mod client;
pub mod comparison;
pub mod exit;
pub mod facts;
pub mod hidden;
pub mod judging;
pub mod matrix;
pub mod model;
pub mod names;
pub mod network_model;
pub mod objects;
pub mod observation;
pub mod position;
pub mod protocol;
pub mod provider;
pub mod proxy_mode;
pub mod report;
pub mod target;
pub mod terms;
pub mod verdict;
pub mod wire;

pub use words::UnknownWord;
