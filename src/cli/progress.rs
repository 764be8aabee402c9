//! Progress on stderr: a bar on a terminal, elsewhere one plain line every few seconds; and what it all took at the end.
//!
//! The only place that looks at the clock: nothing of it gets into a result.

use std::cell::RefCell;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use meshsim::experiment::{Progress, Widest};

/// Between two lines where there is no terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(5);

/// Draws the progress of one experiment.
pub struct Drawer {
    name: String,
    begin: Instant,
    state: RefCell<State>,
}

struct State {
    bar: Option<ProgressBar>,
    plain: bool,
    told: Instant,
    cells: usize,
    done: usize,
    simulated: f64,
    requests: u64,
    events: u64,
    widest: Option<Widest>,
}

impl Drawer {
    /// A drawer that says nothing if `quiet`.
    pub fn new(name: &str, quiet: bool) -> Drawer {
        let terminal = io::stderr().is_terminal();
        let begin = now();
        let bar = (terminal && !quiet).then(|| {
            let bar = ProgressBar::no_length();
            let template = "{prefix} {bar:30} {pos}/{len} cells · {msg} · {elapsed}, {eta} left";
            bar.set_style(ProgressStyle::with_template(template).expect("a template that indicatif knows"));
            bar.set_prefix(name.to_string());
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        Drawer {
            name: name.to_string(),
            begin,
            state: RefCell::new(State {
                bar,
                plain: !terminal && !quiet,
                told: begin,
                cells: 0,
                done: 0,
                simulated: 0.0,
                requests: 0,
                events: 0,
                widest: None,
            }),
        }
    }

    /// Something happened.
    pub fn observe(&self, progress: Progress) {
        let mut state = self.state.borrow_mut();
        match progress {
            Progress::Started { cells } => {
                state.cells = cells;
                if let Some(bar) = &state.bar {
                    bar.set_length(cells as u64);
                    bar.set_message("starting");
                    bar.tick();
                }
            }
            Progress::Extended { cells } => {
                state.cells = cells.max(state.done);
                if let Some(bar) = &state.bar {
                    bar.set_length(state.cells as u64);
                }
            }
            Progress::CellDone {
                simulated,
                requests,
                events,
                widest,
            } => {
                state.done += 1;
                state.simulated += simulated.as_secs_f64();
                state.requests += requests;
                state.events += events;
                state.widest = widest.or(state.widest);
                self.show(&mut state);
            }
        }
    }

    fn show(&self, state: &mut State) {
        let seconds = self.begin.elapsed().as_secs_f64();
        let message = || {
            let rate = state.requests as f64 / seconds.max(1e-3);
            let widest = state.widest.map(|widest| {
                let percent = widest.relative * 100.0;
                format!(" · {} ± {percent:.*} %", widest.figure, usize::from(percent < 10.0))
            });
            let simulated = simulated(state.simulated);
            format!(
                "{simulated} simulated · {} requests/s{}",
                rounded(rate),
                widest.unwrap_or_default()
            )
        };
        if let Some(bar) = &state.bar {
            bar.set_message(message());
            bar.set_position(state.done as u64);
        } else if state.plain && state.told.elapsed() >= BETWEEN_LINES {
            let left = seconds / state.done as f64 * (state.cells - state.done) as f64;
            eprintln!(
                "{}: {}/{} cells · {} · {left:.0} s left",
                self.name,
                state.done,
                state.cells,
                message()
            );
            state.told = now();
        }
    }

    /// Takes the bar away and says nothing.
    pub fn discard(self) {
        if let Some(bar) = &self.state.into_inner().bar {
            bar.finish_and_clear();
        }
    }

    /// Takes the bar away and says what it took, unless it was to be quiet.
    pub fn finish(self) {
        let state = self.state.into_inner();
        if let Some(bar) = &state.bar {
            bar.finish_and_clear();
        }
        if state.bar.is_none() && !state.plain {
            return;
        }
        let seconds = self.begin.elapsed().as_secs_f64();
        eprintln!(
            "{}: {} cells, {} requests, {} simulated in {seconds:.2} s · {} requests/s · {} events/s",
            self.name,
            state.done,
            rounded(state.requests as f64),
            simulated(state.simulated),
            rounded(state.requests as f64 / seconds.max(1e-3)),
            rounded(state.events as f64 / seconds.max(1e-3)),
        );
    }
}

/// Draws the progress of work in equal steps.
pub struct Steps {
    name: String,
    all: usize,
    bar: Option<ProgressBar>,
    told: RefCell<Option<Instant>>,
}

impl Steps {
    /// `all` steps; says nothing if `quiet`.
    pub fn new(name: &str, all: usize, quiet: bool) -> Steps {
        let terminal = io::stderr().is_terminal();
        let bar = (terminal && !quiet).then(|| {
            let bar = ProgressBar::new(all as u64);
            let template = "{prefix} {bar:30} {pos}/{len} points · {elapsed}, {eta} left";
            bar.set_style(ProgressStyle::with_template(template).expect("a template that indicatif knows"));
            bar.set_prefix(name.to_string());
            bar
        });
        Steps {
            name: name.to_string(),
            all,
            bar,
            told: RefCell::new((!terminal && !quiet).then(now)),
        }
    }

    /// So many are done.
    pub fn observe(&self, done: usize) {
        if let Some(bar) = &self.bar {
            bar.set_position(done as u64);
        }
        let mut told = self.told.borrow_mut();
        if told.is_some_and(|told| told.elapsed() >= BETWEEN_LINES) {
            eprintln!("{}: {done}/{} points", self.name, self.all);
            *told = Some(now());
        }
    }

    /// Takes the bar away.
    pub fn finish(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the command line may look at the clock; results may not"
)]
fn now() -> Instant {
    Instant::now()
}

/// Three digits and a factor.
fn rounded(number: f64) -> String {
    match number {
        number if number >= 1e9 => format!("{:.2} G", number / 1e9),
        number if number >= 1e6 => format!("{:.2} M", number / 1e6),
        number if number >= 1e3 => format!("{:.1} k", number / 1e3),
        number => format!("{number:.0}"),
    }
}

fn simulated(seconds: f64) -> String {
    match seconds {
        seconds if seconds >= 7200.0 => format!("{:.1} h", seconds / 3600.0),
        seconds if seconds >= 120.0 => format!("{:.1} min", seconds / 60.0),
        seconds => format!("{seconds:.1} s"),
    }
}
