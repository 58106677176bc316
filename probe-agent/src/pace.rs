//! How fast datagrams go out.
//!
//! A server's receive buffer holds some hundred datagrams (linux `net.core.rmem_default` is 208 KiB, of which a small
//! datagram takes 768 bytes). One that overflows looks like a path on which datagrams are lost. The agent does not know
//! which of its targets lead to the same server, so it paces all of them together.

use std::{cell::Cell, time::Duration};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep_until},
};

/// Least time between two datagrams.
pub const GAP: Duration = Duration::from_millis(1);

/// Datagrams that are under way at once.
pub const AT_ONCE: usize = 32;

/// How long a datagram counts as under way if it is not answered: a server that lives has taken it from its buffer by
/// then.
pub const UNDER_WAY: Duration = Duration::from_millis(100);

/// Least time between two datagrams that are sent again, each of them as good as alone.
pub const GAP_AGAIN: Duration = Duration::from_millis(10);

/// Datagrams sent again that are under way at once: as many as fit into the time that one is waited for.
pub const AT_ONCE_AGAIN: usize = 100;

/// How long a datagram may take until it goes out, for each datagram before it.
pub const fn longest_wait() -> Duration {
    #[expect(clippy::cast_possible_truncation, reason = "it is small")]
    let by_slots = UNDER_WAY.as_micros() as u64 / AT_ONCE as u64;
    let gap = GAP.as_micros() as u64;
    Duration::from_micros(if by_slots > gap { by_slots } else { gap })
}

/// The pace of one agent's datagrams.
pub struct Pace {
    slots: Semaphore,
    gap: Duration,
    next: Cell<Option<Instant>>,
}

impl Pace {
    /// A pace with at most so many datagrams under way, and so much time between two of them.
    pub fn new(at_once: usize, gap: Duration) -> Self {
        Self {
            slots: Semaphore::new(at_once),
            gap,
            next: Cell::new(None),
        }
    }

    /// Waits until a datagram may go out. It is under way until what is returned is dropped.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        let slot = self.slots.acquire().await.ok();
        let now = Instant::now();
        let turn = self.next.get().map_or(now, |next| next.max(now));
        self.next.set(Some(turn + self.gap));
        if turn > now {
            sleep_until(turn).await;
        }
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::Pace;
    use std::time::Duration;
    use tokio::time::{Instant, timeout};

    #[tokio::test]
    async fn datagrams_have_a_gap_between_them_and_wait_for_a_slot() {
        let gap = Duration::from_millis(20);
        let pace = Pace::new(3, gap);
        let began = Instant::now();
        let first = pace.turn().await;
        assert!(began.elapsed() < gap, "the first one goes at once");
        let _others = (pace.turn().await, pace.turn().await);
        assert!(began.elapsed() >= gap * 2);
        let wait = Duration::from_millis(100);
        assert!(timeout(wait, pace.turn()).await.is_err(), "all are taken");
        drop(first);
        assert!(timeout(wait, pace.turn()).await.is_ok());
    }
}
