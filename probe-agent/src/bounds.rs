//! Times: when an attempt must be over, and how durations are written.

use std::time::Duration;
use tokio::time::Instant;

/// When an attempt must have come how far.
#[derive(Clone, Copy)]
pub struct Bounds {
    /// The turn of this address is over, and that of the next begins, unless it has connected. For a datagram: unless
    /// it was answered.
    pub turn: Instant,
    /// Name resolved, connected, TLS session made.
    pub connected: Instant,
    /// Over.
    pub answered: Instant,
}

impl Bounds {
    /// With so much time at least for what comes next.
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
