//! The commands other than the main job, which is in `run`.

pub mod cleanup;
pub mod explain;
pub mod images;
pub mod judge;
pub mod matrix;
pub mod permissions;
pub mod plain;
pub mod version;
