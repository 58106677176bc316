//! What the command line can ask for, beside the main job.

pub mod cleanup;
pub mod explain;
pub mod images;
pub mod judge;
pub mod matrix;
pub mod plain;
pub mod version;
