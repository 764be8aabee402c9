//! Ctrl-C: ends the process with 130, but not in the middle of writing results.
//!
//! A run keeps nothing on disk until it writes all of its results, which takes milliseconds; so the handler waits for a
//! write in progress and then ends the process at once, whatever the threads are doing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context;

use crate::cli::Exit;

static WRITING: Mutex<()> = Mutex::new(());
static ASKED: AtomicBool = AtomicBool::new(false);

/// Answers Ctrl-C from now on.
pub fn install() -> anyhow::Result<()> {
    ctrlc::set_handler(|| {
        ASKED.store(true, Ordering::SeqCst);
        let _written = uninterrupted();
        meshsim::sweep::abandon();
        eprintln!("\ninterrupted");
        std::process::exit(Exit::Interrupted as i32);
    })
    .context("cannot watch for Ctrl-C")
}

/// While this guard lives, Ctrl-C waits.
pub fn uninterrupted() -> MutexGuard<'static, ()> {
    WRITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the process here if Ctrl-C waits: for long work that writes in steps, between two of them.
pub fn give_way(guard: MutexGuard<'static, ()>) -> MutexGuard<'static, ()> {
    if ASKED.load(Ordering::SeqCst) {
        drop(guard);
        loop {
            std::thread::park();
        }
    }
    guard
}
