//! Durations on the command line.

use super::error::UsageError;
use jiff::SignedDuration;
use std::time::Duration;

/// Limit for every duration. No sensible wait is longer, and adding it to a point in time cannot overflow.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A duration in kubectl's notation: `10s`, `1m30s`, or a bare number of seconds.
pub fn duration(flag: &'static str, text: &str) -> Result<Duration, UsageError> {
    let duration = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => text
            .parse::<SignedDuration>()
            .ok()
            .and_then(|duration| Duration::try_from(duration).ok())
            .ok_or_else(|| {
                UsageError::invalid(flag, text, "not a duration such as 500ms, 10s or 1m")
            })?,
    };
    if duration > LONGEST {
        return Err(UsageError::invalid(flag, text, "must be at most 24h"));
    }
    Ok(duration)
}
