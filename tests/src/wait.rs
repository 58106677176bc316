//! Waiting for a named condition.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// Looks until `look` returns something, and tells what was last seen where it does not in time.
///
/// # Panics
///
/// When time is up.
pub fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        match look() {
            Ok(value) => return value,
            Err(seen) => {
                assert!(
                    began.elapsed() < limit,
                    "{what}: not within {limit:?}, last seen: {seen}"
                );
            }
        }
        sleep(PAUSE);
    }
}
