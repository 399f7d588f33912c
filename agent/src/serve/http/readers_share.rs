//! Who pays for serving: the readers' share of the budget, and of that half for one peer.
//!
//! In: the thread's CPU clock, after each piece of work. Out: rests. All that the thread does is paid, the work of the
//! kernel for its system calls as well. While the share is used up the thread sleeps: no one is let in, nothing is read,
//! and what is sent meanwhile waits in the kernel and costs nothing. A peer that used up its part is not served until it
//! has earned some, while the others are. Peers share bins, chosen by a hash with a secret seed, so that their number costs
//! nothing and no one can aim at the bin of someone else.
//!
//! I/O: reads clocks; sleeps on the calling thread, which is to serve and nothing else.

use super::cost::{Admission, Admit, Cost};
use crate::clock::{boot_ns, thread_cpu_ns};
use crate::snapshot::Snapshot;
use prometheus::Counter;
use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::watch as channel;
use tokio::time::{Sleep, sleep};

const BINS: usize = 64;
/// Of the budget, one peer earns an eighth: half of the readers' quarter.
const PEER: f64 = 1.0 / 8.0;
/// So much of what it earns in a window it can have at once: less than what all readers can, so that there is something left.
const AT_ONCE: f64 = 0.75;
/// Before the engine has said what the budget is, in cores and seconds.
const FIRST: (f64, f64) = (0.001, 60.0);
/// A peer that used up its part rests for so long at least: waking costs, too.
const REST: Duration = Duration::from_millis(50);
const LONG_REST: Duration = Duration::from_secs(1);

/// Pays.
pub(crate) struct ReadersShare {
    admit: Admit,
    snapshots: channel::Receiver<Arc<Snapshot>>,
    stop: channel::Receiver<bool>,
    bins: Mutex<Bins>,
    /// Seconds in which no one was served because the share was used up.
    rested: Counter,
}

struct Bins {
    seed: RandomState,
    /// The thread's CPU clock when something was paid last.
    clock_ns: u64,
    each: [Bin; BINS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Bin {
    /// What was used of a full part and not earned back yet, nanoseconds; may be more than there is.
    used_ns: u64,
    at_ns: u64,
}

impl Bin {
    /// Earns at `rate` nanocores since it was looked at last.
    fn earn(&mut self, now: u64, rate: u64) {
        let earned = u128::from(now.saturating_sub(self.at_ns)) * u128::from(rate) / 1_000_000_000;
        self.used_ns = self.used_ns.saturating_sub(u64::try_from(earned).unwrap_or(u64::MAX));
        self.at_ns = now;
    }

    /// How long until less than `depth_ns` is used.
    fn wait(&self, rate: u64, depth_ns: u64) -> Option<Duration> {
        let over = self.used_ns.checked_sub(depth_ns)?;
        let wait = u128::from(over) * 1_000_000_000 / u128::from(rate.max(1));
        let wait = Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX));
        Some(wait.clamp(REST, LONG_REST))
    }
}

impl ReadersShare {
    pub(crate) fn new(
        admit: Admit,
        snapshots: channel::Receiver<Arc<Snapshot>>,
        stop: channel::Receiver<bool>,
        rested: Counter,
    ) -> Self {
        let bins = Bins {
            seed: RandomState::new(),
            clock_ns: thread_cpu_ns(),
            each: [Bin::default(); BINS],
        };
        Self { admit, snapshots, stop, bins: Mutex::new(bins), rested }
    }

    /// Pays for what this thread did since it was asked last, on the account of `peer` if it was for one; sleeps until
    /// there is something in the share.
    pub(crate) fn pay(&self, peer: Option<IpAddr>) {
        let mut cpu = self.used(peer);
        while let Admission::RetryAfter(wait) = (self.admit)(Cost::Spent(cpu)) {
            if *self.stop.borrow() {
                return;
            }
            let began = Instant::now();
            thread::park_timeout(wait);
            self.rested.inc_by(began.elapsed().as_secs_f64());
            cpu = self.used(None);
        }
    }

    fn used(&self, peer: Option<IpAddr>) -> Duration {
        let cpu = thread_cpu_ns();
        let (rate, _) = self.part();
        let mut bins = self.bins.lock().unwrap_or_else(PoisonError::into_inner);
        let used = cpu.saturating_sub(bins.clock_ns);
        bins.clock_ns = cpu;
        if let Some(peer) = peer {
            let bin = bins.of(peer);
            bin.earn(boot_ns(), rate);
            bin.used_ns = bin.used_ns.saturating_add(used);
        }
        Duration::from_nanos(used)
    }

    /// How long `peer` has to wait until it has earned something.
    fn wait(&self, peer: IpAddr) -> Option<Duration> {
        let (rate, depth) = self.part();
        let mut bins = self.bins.lock().unwrap_or_else(PoisonError::into_inner);
        let bin = bins.of(peer);
        bin.earn(boot_ns(), rate);
        bin.wait(rate, depth)
    }

    /// What one peer earns in nanocores, and what it can save up in nanoseconds.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small and positive"
    )]
    fn part(&self) -> (u64, u64) {
        let snapshot = self.snapshots.borrow();
        let (cores, window) = match (snapshot.vitals.budget_cores, snapshot.vitals.window_seconds) {
            (cores, window) if cores > 0.0 && window > 0.0 => (cores, window),
            _ => FIRST,
        };
        let ns = cores * PEER * 1e9;
        (ns as u64, (ns * window * AT_ONCE) as u64)
    }
}

impl Bins {
    fn of(&mut self, peer: IpAddr) -> &mut Bin {
        let bin = usize::try_from(self.seed.hash_one(peer)).unwrap_or(0) % BINS;
        &mut self.each[bin]
    }
}

/// Work for a peer that is paid piece by piece, and waits while its peer has nothing left.
pub(crate) struct Paid<F> {
    work: Pin<Box<F>>,
    readers_share: Arc<ReadersShare>,
    peer: IpAddr,
    rest: Option<Pin<Box<Sleep>>>,
}

impl<F: Future<Output = ()>> Paid<F> {
    pub(crate) fn new(work: F, readers_share: Arc<ReadersShare>, peer: IpAddr) -> Self {
        Self { work: Box::pin(work), readers_share, peer, rest: None }
    }
}

impl<F: Future<Output = ()>> Future for Paid<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(rest) = &mut self.rest {
                if rest.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.rest = None;
            }
            match self.readers_share.wait(self.peer) {
                Some(wait) if !*self.readers_share.stop.borrow() => {
                    self.rest = Some(Box::pin(sleep(wait)));
                }
                _ => break,
            }
        }
        let done = self.work.as_mut().poll(cx);
        self.readers_share.pay(Some(self.peer));
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicU64, Ordering};

    fn readers_share(admit: Admit) -> (Arc<ReadersShare>, channel::Sender<bool>) {
        let snapshots = channel::channel(Arc::new(Snapshot::empty("n".into()))).1;
        let (stop, spent) = channel::channel(false);
        let rested = Counter::new("rested", "Rested.").unwrap();
        (Arc::new(ReadersShare::new(admit, snapshots, spent, rested)), stop)
    }

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_peer_that_used_up_its_part_waits_until_it_has_earned_some() {
        let (rate, depth) = (1_000_000, 60_000_000);
        let mut bin = Bin { used_ns: 60_500_000, at_ns: 0 };

        assert_eq!(bin.wait(rate, depth), Some(Duration::from_millis(500)));
        bin.earn(SECOND, rate);
        assert_eq!(bin.wait(rate, depth), None);
        bin.earn(1000 * SECOND, rate);
        assert_eq!(bin.used_ns, 0, "an idle peer saves up no more than its part");
    }

    #[tokio::test]
    async fn work_of_a_peer_that_used_much_waits_and_that_of_another_does_not() {
        let (readers_share, _stop) = readers_share(Arc::new(|_| Admission::Granted));
        let peer = |n| IpAddr::from(Ipv4Addr::new(10, 0, 0, n));
        let other = (2..255).map(peer).find(|&other| {
            let bins = readers_share.bins.lock().unwrap();
            bins.seed.hash_one(other) % 64 != bins.seed.hash_one(peer(1)) % 64
        });
        readers_share.bins.lock().unwrap().of(peer(1)).used_ns = u64::MAX / 2;
        readers_share.bins.lock().unwrap().of(peer(1)).at_ns = boot_ns();
        let work = |peer| {
            let paid = Paid::new(async {}, Arc::clone(&readers_share), peer);
            tokio::time::timeout(Duration::from_millis(200), paid)
        };

        assert!(work(peer(1)).await.is_err());
        assert!(work(other.unwrap()).await.is_ok());
    }

    #[tokio::test]
    async fn all_that_a_piece_of_work_took_is_reported() {
        let spent = Arc::new(AtomicU64::new(0));
        let sum = Arc::clone(&spent);
        let admit: Admit = Arc::new(move |cost| {
            if let Cost::Spent(cpu) = cost {
                sum.fetch_add(u64::try_from(cpu.as_nanos()).unwrap(), Ordering::Relaxed);
            }
            Admission::Granted
        });
        let (readers_share, _stop) = readers_share(admit);
        let burn = async {
            let began = thread_cpu_ns();
            while thread_cpu_ns() - began < 5_000_000 {}
        };

        Paid::new(burn, readers_share, Ipv4Addr::LOCALHOST.into()).await;

        let spent = spent.load(Ordering::Relaxed);
        assert!((5_000_000..50_000_000).contains(&spent), "{spent}");
    }
}
