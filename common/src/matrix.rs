//! What the documents say: matrices, their editions, and what they expect of a cell.
//!
//! A matrix is a provider's document as data. An edition is one dated version of it. The files in `common/matrices` are
//! compiled in; users can add files of the same format.
//!
//! ```text
//! file → editions of cells ┐
//!                          ├→ Ruling: one branch for each Situation
//! facts → Circumstances → Situations of one position and target ┘
//! ```

mod axes;
mod catalog;
mod cell;
mod column;
mod document;
mod edition;
mod error;
mod many;
mod reading;
mod ruling;
mod situation;
mod text;

pub use axes::{Class, Flavour, Forwarder, ServiceKind, Spot};
pub use catalog::{Catalog, MatrixSelection, UPSTREAM, split};
pub use cell::{Conditions, DocumentedCell};
pub use column::{Column, NoColumn};
pub use edition::{Edition, Remark, Remedy};
pub use error::MatrixError;
pub use reading::Reading;
pub use ruling::{Branch, EditionReading, Ruling, Standing, Statement};
pub use situation::{Circumstances, Situation};
