//! Random schedules of faults. At most one process holds the lease at any time.

use std::time::Duration;

use tokio::time::sleep;

use super::fake::{FakeApi, Fault};
use super::operator::operator;

/// A small random generator, so that a schedule can be repeated by its seed.
struct Rng(u64);

impl Rng {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn fault(&mut self) -> Fault {
        match self.below(8) {
            0 => Fault::Unreachable,
            1 => Fault::ResponsesLost,
            2 => Fault::Forbidden,
            _ => Fault::None,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn random_faults_never_cause_two_holders() {
    let mut changes = 0;
    for seed in 1..=20 {
        let mut rng = Rng(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let api = FakeApi::new();
        // So that processes which start after a deletion wait.
        api.add_resource_with_finalizer();
        let mut all: Vec<_> = (0..3).map(|n| operator(&api, &format!("o{n}"))).collect();
        let (mut latest, mut last, mut names) = (-1, String::new(), 3);
        for step in 0..10_000 {
            sleep(Duration::from_millis(20 + rng.below(60))).await;
            if api.lease().is_none() {
                // A process that has not observed the deleted Lease counts from zero.
                latest = -1;
            }
            let holders: Vec<_> = all.iter().filter(|operator| operator.lease.holds()).collect();
            assert!(holders.len() <= 1, "seed {seed}, step {step}: {} hold it", holders.len());
            if let Some(term) = holders.first().and_then(|holder| holder.lease.term()) {
                assert!(term >= latest, "seed {seed}, step {step}: the term went from {latest} to {term}");
                latest = term;
            }
            if !holders.is_empty()
                && let Some(holder) = api.holder().filter(|holder| *holder != last)
            {
                changes += 1;
                last = holder;
            }
            let one = usize::try_from(rng.below(3)).unwrap();
            match rng.below(100) {
                0 => *all[one].connection.lock() = rng.fault(),
                1 => api.fail(rng.fault()),
                2 if rng.below(4) == 0 => {
                    let lease = all[one].lease.clone();
                    tokio::spawn(async move { lease.release().await });
                }
                3 if rng.below(4) == 0 => all[one].task.abort(),
                4 if rng.below(4) == 0 => api.edit(|lease| *lease = None),
                5 if rng.below(4) == 0 => api.edit(|lease| {
                    if let Some(spec) = lease.as_mut().and_then(|lease| lease.spec.as_mut()) {
                        spec.holder_identity = Some(String::new());
                    }
                }),
                _ => {}
            }
            // An ended process is restarted, as its pod would be.
            if all[one].task.is_finished() && !all[one].lease.holds() {
                all[one] = operator(&api, &format!("o{names}"));
                names += 1;
            }
        }
    }
    assert!(changes > 100, "{changes} changes of holder are too few");
}
