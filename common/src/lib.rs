//! The language that the plugin and the probe agent share: plain types and pure functions.
//!
//! Nothing here touches a cluster, a clock, a network, a file or the environment.
//!
//! # Glossary
//!
//! - **backend**: a ready endpoint of the Service, on a node.
//! - **position**: where a probe stands ([`position::Position`]).
//! - **target**: an address of the Service ([`target::Target`]).
//! - **role**, **relation**, **scope**: of a target; whether its node runs a backend, whether that node is the
//!   probe's own, whether the address is private or public.
//! - **cell**: one position and one target.
//! - **attempt**, **outcome**: one try, and what it saw ([`outcome::Outcome`]).
//! - **observation**: what all attempts of a cell amount to ([`observation::Observation`]).
//! - **plan**, **line**: what the agent is told, and what it answers ([`plan::Plan`], [`line::Line`]).
//! - **objects**: the API's JSON, from which the facts are read ([`objects`]).
//! - **facts**: what the API server says of the Service, its endpoints and nodes ([`facts`]).
//! - **report**: all of it, as `-o json` prints it ([`report::Report`]).

#[macro_use]
mod words;

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
