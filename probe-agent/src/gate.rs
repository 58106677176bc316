//! Paces attempts that may be refused.
//!
//! Linux answers one client with at most six ICMP errors at once and then with one per second (linux
//! `net/ipv4/inetpeer.c`, `inet_peer_xrlim_allow`; `net.ipv4.icmp_ratelimit`). Further refusals are dropped, and look like
//! timeouts. kube-proxy refuses with ICMP errors. So each attempt takes one of a few tokens of the node that may refuse
//! it, and gives it back unless it was refused.

use std::{cell::Cell, time::Duration};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

/// Attempts on one node that may be refused at once. One less than the kernel answers, for what else asks that node.
const AT_ONCE: usize = 5;

/// Time in which the kernel allows one more error.
const REFILL: Duration = Duration::from_secs(1);

/// How long attempts on targets that were refused before wait for their turn, from the first refusal on. After that,
/// they are not made.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The refusals that one node may still send us.
pub struct Gate {
    tokens: Cell<usize>,
    spent: Cell<usize>,
    refill: Cell<Option<Instant>>,
    refused: Cell<Option<Instant>>,
    returned: Notify,
}

impl Gate {
    pub fn new() -> Self {
        Self {
            tokens: Cell::new(AT_ONCE),
            spent: Cell::new(0),
            refill: Cell::new(None),
            refused: Cell::new(None),
            returned: Notify::new(),
        }
    }

    /// Waits for a token. If there is none in time, returns none: then the attempt should be made anyway, unless its
    /// target was refused before.
    pub async fn pass(&self) -> Option<Pass<'_>> {
        loop {
            let returned = self.returned.notified();
            self.refill();
            if self.tokens.get() > 0 {
                self.tokens.set(self.tokens.get() - 1);
                return Some(Pass { gate: self });
            }
            let patience = self.refused.get().map(|first| first + PATIENCE);
            let now = Instant::now();
            if patience.is_some_and(|patience| patience <= now) {
                return None;
            }
            let next = self.refill.get().or(patience).unwrap_or(now + REFILL);
            // Either a token comes back, or it is time for a new one.
            let _ = timeout_at(next, returned).await;
        }
    }

    /// Allows the same patience again, for another round.
    pub fn renew(&self) {
        self.refused.set(None);
    }

    fn refill(&self) {
        let now = Instant::now();
        while let Some(at) = self.refill.get()
            && at <= now
        {
            self.tokens.set(self.tokens.get() + 1);
            self.spent.set(self.spent.get() - 1);
            self.refill
                .set((self.spent.get() > 0).then_some(at + REFILL));
        }
    }
}

/// A token that an attempt has taken.
pub struct Pass<'g> {
    gate: &'g Gate,
}

impl Pass<'_> {
    /// Gives the token back if the attempt was not refused. Otherwise the token is spent.
    pub fn end(self, refused: bool) {
        let gate = self.gate;
        if refused {
            let now = Instant::now();
            gate.spent.set(gate.spent.get() + 1);
            gate.refill.set(gate.refill.get().or(Some(now + REFILL)));
            gate.refused.set(gate.refused.get().or(Some(now)));
        } else {
            gate.tokens.set(gate.tokens.get() + 1);
            gate.returned.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Gate;
    use std::time::Duration;
    use tokio::time::{Instant, timeout};

    #[tokio::test(start_paused = true)]
    async fn refusals_come_five_at_once_and_then_one_per_second() {
        let gate = Gate::new();
        let began = Instant::now();
        let mut seconds = Vec::new();
        while let Some(pass) = gate.pass().await {
            seconds.push(began.elapsed().as_secs());
            pass.end(true);
        }
        assert_eq!(seconds, [0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert!(began.elapsed() < Duration::from_secs(11), "patience ends");
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_that_are_not_refused_do_not_wait() {
        let gate = Gate::new();
        let began = Instant::now();
        for _ in 0..1000 {
            gate.pass().await.unwrap().end(false);
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
        let mut taken = Vec::new();
        for _ in 0..5 {
            taken.push(gate.pass().await.unwrap());
        }
        let wait = Duration::from_millis(500);
        assert!(timeout(wait, gate.pass()).await.is_err());
        taken.remove(0).end(false);
        assert!(timeout(wait, gate.pass()).await.is_ok());
    }
}
