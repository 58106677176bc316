//! Error messages.

use super::progress;
use crate::error::Error;
use svc_reach_common::exit::Exit;

/// Prints an error with its causes and a hint, and returns the exit status.
pub fn report_error(error: &Error) -> Exit {
    // Closing a pipe early is normal, as head does. Print no message.
    if error.is_of_a_reader_who_left() {
        return error.exit();
    }
    progress::plain(&format!("error: {}", error.chain()));
    if let Some(hint) = error.hint() {
        progress::plain(&format!("hint: {hint}"));
    }
    error.exit()
}
