//! When faults begin and how long they last, those that come after others included.

use crate::scenario::decode::Field;
use crate::scenario::schema::Document;
use crate::scenario::schema::fault::Fault;
use crate::time::Duration;

/// The times of one fault, from the start of the run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// When it begins; `None`: the fault that it comes after has no known end, or it could not be read.
    pub(crate) begin: Option<Duration>,
    /// How long it lasts each time; [`Duration::MAX`]: to the end.
    pub(crate) lasts: Duration,
    /// When the last of it is over, if that is known.
    end: Option<Duration>,
}

/// The times of all faults, in the order of the file.
pub(crate) fn times_of_faults(document: &Document) -> Vec<Times> {
    let mut known: Vec<(Option<&String>, Times)> = Vec::new();
    for field in document.faults.iter().filter_map(Field::get).flatten() {
        let times = field.get().map_or(UNKNOWN, |fault| times_of(fault, &known));
        let name = field.get().and_then(|fault| fault.name.as_ref()?.get());
        known.push((name, times));
    }
    known.into_iter().map(|(_, times)| times).collect()
}

const UNKNOWN: Times = Times {
    begin: None,
    lasts: Duration::MAX,
    end: None,
};

fn given<T: Copy>(field: &Option<Field<T>>) -> Option<T> {
    field.as_ref()?.get().copied()
}

fn times_of(fault: &Fault, before: &[(Option<&String>, Times)]) -> Times {
    let at = given(&fault.at).unwrap_or(Duration::ZERO);
    let after = fault.after.as_ref().and_then(Field::get);
    let begin = match after {
        None => Some(at),
        Some(name) => {
            let named = before.iter().rev().find(|(other, _)| *other == Some(name));
            let last = before.last().filter(|_| named.is_none() && name == "previous");
            named.or(last).and_then(|(_, times)| times.end).map(|end| end + at)
        }
    };
    let down = fault
        .restart
        .as_ref()
        .and_then(Field::get)
        .and_then(|restart| given(&restart.down));
    let until = given(&fault.until);
    let repeats = fault.every.is_some() || fault.random.is_some();
    let mut lasts = given(&fault.lasts).or(down).unwrap_or(Duration::MAX);
    if let (Some(until), Some(begin), false) = (until, begin, repeats) {
        lasts = lasts.min(until - begin);
    }
    let end = match repeats {
        true => until,
        false => begin.filter(|_| lasts != Duration::MAX).map(|begin| begin + lasts),
    };
    Times { begin, lasts, end }
}
