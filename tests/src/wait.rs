//! Waits for a condition, and says what it waited for.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// Calls `look` until it returns `Ok`. `what` names what is awaited. `Err` holds what was seen instead.
///
/// # Panics
///
/// If the time limit is reached. The message contains what was seen last.
pub fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        match look() {
            Ok(value) => return value,
            Err(seen) => {
                assert!(
                    began.elapsed() < limit,
                    "waited {limit:?} for {what}; last seen: {seen}"
                );
            }
        }
        sleep(PAUSE);
    }
}
