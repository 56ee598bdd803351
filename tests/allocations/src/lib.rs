//! Counts the allocations of a thread. A test program that uses this library has its allocator, which passes each request to the
//! allocator of the system. Other threads, such as those of other tests, do not count.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// What a thread has allocated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocations {
    /// Number of allocations, including changes of the size of an earlier one.
    pub count: u64,
    /// Allocated bytes.
    pub bytes: u64,
    /// Bytes that this thread has freed, including those that another thread allocated.
    pub freed: u64,
}

impl Allocations {
    const NONE: Self = Self { count: 0, bytes: 0, freed: 0 };

    /// What this thread has allocated since it started.
    #[must_use]
    pub fn so_far() -> Self {
        COUNTED.try_with(Cell::get).unwrap_or(Self::NONE)
    }

    /// What this thread has allocated since an earlier count.
    #[must_use]
    pub fn since(earlier: Self) -> Self {
        let now = Self::so_far();
        Self { count: now.count - earlier.count, bytes: now.bytes - earlier.bytes, freed: now.freed - earlier.freed }
    }

    /// Bytes that were allocated and not freed.
    #[must_use]
    pub fn kept(self) -> u64 {
        self.bytes.saturating_sub(self.freed)
    }
}

thread_local! {
    // Neither its start nor its end allocates.
    static COUNTED: Cell<Allocations> = const { Cell::new(Allocations::NONE) };
}

/// Adds to the count of this thread, unless the thread is ending.
fn add(count: u64, allocated: usize, freed: usize) {
    let _ = COUNTED.try_with(|counted| {
        let before = counted.get();
        counted.set(Allocations {
            count: before.count + count,
            bytes: before.bytes + allocated as u64,
            freed: before.freed + freed as u64,
        });
    });
}

/// The allocator of the system, with a count.
struct Counting;

// SAFETY: each method passes its arguments unchanged to the allocator of the system and returns what that returns.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(1, layout.size(), 0);
        // SAFETY: the caller ensures what `System` requires.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(1, layout.size(), 0);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        add(0, 0, layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        add(1, size, layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocations_of_this_thread_are_counted() {
        let before = Allocations::so_far();
        let mut kept: Vec<u8> = Vec::with_capacity(100);
        kept.reserve_exact(300);
        drop(Vec::<u8>::with_capacity(50));
        assert_eq!(Allocations::since(before), Allocations { count: 3, bytes: 100 + 300 + 50, freed: 100 + 50 });
        assert_eq!(Allocations::since(before).kept(), 300);
        let other = std::thread::spawn(|| drop(vec![0_u8; 1 << 20]));
        other.join().unwrap();
        assert!(Allocations::since(before).bytes < 1 << 20);
        drop(kept);
    }
}
