//! Errors as the terminal shows them.

use super::progress;
use crate::error::Error;
use svc_reach_common::exit::Exit;

/// Prints an error, its causes and the next step, and returns how a run with it ends.
pub fn report_error(error: &Error) -> Exit {
    // A reader that left needs no message about it.
    if error.is_of_a_reader_who_left() {
        return error.exit();
    }
    progress::plain(&format!("error: {}", error.chain()));
    if let Some(hint) = error.hint() {
        progress::plain(&format!("hint: {hint}"));
    }
    error.exit()
}
