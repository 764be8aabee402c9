//! Cells on threads, results in cell order.
//!
//! At most a few results per thread exist at a time: a cell is handed out only when the one a window before it has been
//! folded. So memory is bounded, and what is folded never depends on which thread was quicker.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc;

/// Cells handed out and not yet folded, by thread.
const WINDOW_PER_THREAD: usize = 3;

/// Runs `cells` on `threads` threads and gives each result to `fold`, in the order of `cells`, on this thread, until that has enough. What
/// is computed beyond that is dropped.
pub fn in_order<C, R>(cells: &[C], threads: usize, run: impl Fn(C) -> R + Sync, mut fold: impl FnMut(C, R) -> ControlFlow<()>)
where
    C: Copy + Sync,
    R: Send,
{
    let threads = threads.clamp(1, cells.len().max(1));
    if threads == 1 {
        let _ = cells.iter().try_for_each(|&cell| fold(cell, run(cell)));
        return;
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("the system gives threads");
    let (sender, receiver) = mpsc::channel();
    let window = threads * WINDOW_PER_THREAD;
    pool.in_place_scope(|scope| {
        let spawn = |index: usize| {
            let (sender, run) = (sender.clone(), &run);
            scope.spawn(move |_| {
                let result = catch_unwind(AssertUnwindSafe(|| run(cells[index])));
                // Nobody listens any more only if another cell has panicked.
                let _ = sender.send((index, result));
            });
        };
        (0..window.min(cells.len())).for_each(&spawn);
        let mut early = BTreeMap::new();
        for next in 0..cells.len() {
            while !early.contains_key(&next) {
                let (index, result) = receiver.recv().expect("every cell answers");
                early.insert(index, result.unwrap_or_else(|panic| resume_unwind(panic)));
            }
            let result = early.remove(&next).expect("it has just been seen");
            if fold(cells[next], result).is_break() {
                return;
            }
            if next + window < cells.len() {
                spawn(next + window);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Work that takes longer for some cells than for others.
    fn uneven(cell: usize) -> usize {
        (0..(cell * 7919) % 13 * 10_000).fold(cell, |sum, i| std::hint::black_box(sum ^ i ^ i)) * 2
    }

    #[test]
    fn results_are_folded_in_order_on_any_number_of_threads() {
        let cells: Vec<usize> = (0..50).collect();
        for threads in [1, 2, 3, 8, 100] {
            let mut folded = Vec::new();
            in_order(&cells, threads, uneven, |cell, result| {
                folded.push((cell, result));
                ControlFlow::Continue(())
            });
            assert_eq!(
                folded,
                cells.iter().map(|&cell| (cell, cell * 2)).collect::<Vec<_>>(),
                "{threads} threads"
            );
        }
    }

    #[test]
    fn whoever_folds_ends_it_where_it_likes() {
        let cells: Vec<usize> = (0..50).collect();
        for threads in [1, 2, 8] {
            let mut folded = Vec::new();
            in_order(&cells, threads, uneven, |cell, _| {
                folded.push(cell);
                if cell == 11 {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
            assert_eq!(folded, (0..=11).collect::<Vec<_>>(), "{threads} threads");
        }
    }

    #[test]
    fn no_more_results_exist_than_the_window_allows() {
        let (started, folded) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let run = |cell: usize| {
            let ahead = started.fetch_add(1, Ordering::SeqCst) + 1 - folded.load(Ordering::SeqCst);
            // One may be counted before the fold of the cell that let it start has been noted.
            assert!(ahead <= 2 * WINDOW_PER_THREAD + 1, "{ahead} cells ahead");
            uneven(cell)
        };
        in_order(&(0..60).collect::<Vec<_>>(), 2, run, |_, _| {
            folded.fetch_add(1, Ordering::SeqCst);
            ControlFlow::Continue(())
        });
        assert_eq!(folded.load(Ordering::SeqCst), 60);
    }

    #[test]
    #[should_panic(expected = "cell 5 is broken")]
    fn a_panic_is_passed_on() {
        in_order(
            &(0..20).collect::<Vec<_>>(),
            2,
            |cell: usize| assert!(cell != 5, "cell 5 is broken"),
            |_, ()| ControlFlow::Continue(()),
        );
    }
}
