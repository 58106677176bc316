//! Spreads the attempts that may lead to the same backends.
//!
//! A server with one thread serves one request after another. If all attempts began together, the last ones would time
//! out, and a working server would look unstable. So a lane begins with one attempt at a time. It admits more as long as
//! answers do not take longer for it, and fewer if they do.

use std::{cell::Cell, time::Duration};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout_at},
};

/// Most attempts at once.
const WIDEST: usize = 32;

/// How much longer answers may take before the lane gets narrower, and how much of that is chance.
const NOISE: Duration = Duration::from_millis(5);

/// How long a lane spreads its attempts. After that, all of them begin, so that a run ends.
pub const SPREAD: Duration = Duration::from_secs(25);

/// How long an attempt occupies its lane without a connection. One that is dropped on its way burdens no server.
pub const UNCONNECTED: Duration = Duration::from_millis(50);

/// Attempts that may lead to the same backends.
pub struct Lane {
    slots: Semaphore,
    width: Cell<usize>,
    grows: bool,
    best: Cell<Option<Duration>>,
    until: Instant,
}

impl Lane {
    /// A lane that admits one attempt at a time. `grows`: it may admit more.
    pub fn new(grows: bool) -> Self {
        Self {
            slots: Semaphore::new(1),
            width: Cell::new(1),
            grows,
            best: Cell::new(None),
            until: Instant::now() + SPREAD,
        }
    }

    /// Waits until an attempt may begin. It occupies the lane until what is returned is dropped.
    pub async fn slot(&self) -> Option<SemaphorePermit<'_>> {
        timeout_at(self.until, self.slots.acquire())
            .await
            .ok()?
            .ok()
    }

    /// An attempt was answered after this time.
    pub fn answered(&self, slot: Option<SemaphorePermit<'_>>, took: Duration) {
        let best = self.best.get().map_or(took, |best| best.min(took));
        self.best.set(Some(best));
        let width = self.width.get();
        if took <= best + best / 4 + NOISE {
            if self.grows && width < WIDEST {
                self.widen(1);
            }
        } else if took > best + best / 2 + NOISE * 2
            && width > 1
            && let Some(slot) = slot
        {
            slot.forget();
            self.width.set(width - 1);
        }
    }

    /// An attempt was accepted, and had no answer in time although it was spread. Spreading does not help.
    pub fn unanswered(&self) {
        self.widen(WIDEST.saturating_sub(self.width.get()));
    }

    fn widen(&self, more: usize) {
        self.width.set(self.width.get() + more);
        self.slots.add_permits(more);
    }
}

#[cfg(test)]
mod tests {
    use super::{Lane, WIDEST};
    use std::{cell::Cell, time::Duration};
    use tokio::time::{Instant, sleep};

    /// Makes 60 attempts on a server that answers so many requests at once, each in 200 ms. Returns the longest wait for
    /// an answer, and the time for all.
    async fn attempts(threads: usize) -> (Duration, Duration) {
        let lane = Lane::new(true);
        let server = tokio::sync::Semaphore::new(threads);
        let longest = Cell::new(Duration::ZERO);
        let began = Instant::now();
        let all = (0..60).map(|_| async {
            let slot = lane.slot().await;
            let asked = Instant::now();
            let thread = server.acquire().await.unwrap();
            sleep(Duration::from_millis(200)).await;
            drop(thread);
            longest.set(longest.get().max(asked.elapsed()));
            lane.answered(slot, asked.elapsed());
        });
        futures_util::future::join_all(all).await;
        (longest.get(), began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_with_one_thread_is_not_overrun() {
        let (longest, took) = attempts(1).await;
        assert!(longest <= Duration::from_millis(800), "{longest:?}");
        assert!(took >= Duration::from_secs(12), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_with_many_threads_is_asked_in_parallel() {
        let (_, took) = attempts(WIDEST).await;
        assert!(took <= Duration::from_millis(1600), "{took:?}");
    }
}
