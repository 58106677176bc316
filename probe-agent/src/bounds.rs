//! Time limits of an attempt, and durations in microseconds.

use std::time::Duration;
use tokio::time::Instant;

/// Time limits of an attempt.
#[derive(Clone, Copy)]
pub struct Bounds {
    /// When the next address is tried, unless this one has connected (for a datagram: unless it has answered).
    pub turn: Instant,
    /// When the name must be resolved, the connection made, and the TLS session ready.
    pub connected: Instant,
    /// When the answer must have come.
    pub answered: Instant,
}

impl Bounds {
    /// The same limits, but with at least `grace` for the next step.
    pub fn leaving(self, grace: Duration) -> Self {
        let least = Instant::now() + grace;
        Self {
            connected: self.connected.max(least),
            answered: self.answered.max(least),
            ..self
        }
    }
}

/// Microseconds from one time to another.
pub fn micros(began: Instant, ended: Instant) -> u64 {
    u64::try_from(ended.saturating_duration_since(began).as_micros()).unwrap_or(u64::MAX)
}
