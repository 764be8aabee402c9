//! What is there of a sweep, and what has to be run again.

use std::path::Path;

use serde::Serialize;

use crate::sweep::file::Defect;
use crate::sweep::plan::{self, Plan};
use crate::sweep::{Fault, run, told};

/// The name of the document's shape.
pub const SCHEMA: &str = "meshsim/sweep-status/v1";

/// How a sweep stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The scenario's name.
    pub scenario: String,
    /// The digest of the plan.
    pub digest: String,
    /// How many shards there are to be.
    pub shards_total: usize,
    /// Those whose files are whole.
    pub complete: Vec<u32>,
    /// Those without a file.
    pub missing: Vec<u32>,
    /// Those whose files are not as they were written.
    pub corrupt: Vec<Broken>,
    /// Files that are of another plan, another shard, or of something else.
    pub foreign: Vec<Broken>,
    /// The shards to run again, as an engine's array takes them: `3,7-9`.
    pub array: String,
    /// Seconds of one core that they are expected to take.
    pub core_seconds: f64,
}

/// A file that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// The shard, if its name is that of one.
    pub shard: Option<u32>,
    /// The file's name.
    pub file: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Status {
    /// Whether all can be merged.
    pub fn is_complete(&self) -> bool {
        self.complete.len() == self.shards_total && self.foreign.is_empty()
    }

    /// The shards that have to be run again.
    pub fn to_run(&self) -> Vec<u32> {
        let broken = self.corrupt.iter().chain(&self.foreign).filter_map(|broken| broken.shard);
        let mut shards: Vec<u32> = self.missing.iter().copied().chain(broken).collect();
        shards.sort_unstable();
        shards
    }
}

/// Reads the plan of a folder of shards.
///
/// # Errors
/// If there is none that this version can read.
pub fn read_plan(folder: &Path) -> Result<Plan, Fault> {
    let path = folder.join(plan::FILE);
    let bytes = std::fs::read(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Fault::new(format!(
            "`{}` holds no `{}`: `meshsim sweep run` makes such a folder, and `meshsim sweep plan FILE -o` a lost plan",
            folder.display(),
            plan::FILE
        )),
        _ => told("read", &path, &error),
    })?;
    Plan::read(&bytes).map_err(|problem| Fault::new(format!("`{}` is no plan: {problem}", path.display())))
}

/// Looks at every shard of a folder, from end to end.
///
/// # Errors
/// If there is no plan in it.
pub fn of(folder: &Path) -> Result<Status, Fault> {
    let plan = read_plan(folder)?;
    look(&plan, folder)
}

/// Looks at every shard of `plan` in a folder.
///
/// # Errors
/// If the folder cannot be read.
pub fn look(plan: &Plan, folder: &Path) -> Result<Status, Fault> {
    look_at_each(plan, folder, |_, _, _| ())
}

/// The same; calls `begins` with each shard, each point that has runs in it, and the place of the first of its frames.
pub(crate) fn look_at_each(plan: &Plan, folder: &Path, mut begins: impl FnMut(u32, usize, u64)) -> Result<Status, Fault> {
    let mut status = Status {
        schema: SCHEMA.to_string(),
        scenario: plan.scenario.clone(),
        digest: plan.digest.clone(),
        shards_total: plan.shards.len(),
        complete: Vec::new(),
        missing: Vec::new(),
        corrupt: Vec::new(),
        foreign: Vec::new(),
        array: String::new(),
        core_seconds: 0.0,
    };
    for shard in 0..plan.shards.len() as u32 {
        let broken = |reason: String| Broken {
            shard: Some(shard),
            file: name_of(&run::path_of(Path::new(""), shard)),
            reason,
        };
        match run::check(plan, folder, shard, |point, place| begins(shard, point, place)) {
            Ok(()) => status.complete.push(shard),
            Err(Defect::Missing) => status.missing.push(shard),
            Err(Defect::Torn(reason)) => status.corrupt.push(broken(reason)),
            Err(Defect::Foreign(reason)) => status.foreign.push(broken(reason)),
        }
    }
    status.foreign.extend(strangers(plan, folder)?);
    let again = status.to_run();
    status.array = array(&again);
    let milliseconds = again
        .iter()
        .map(|&shard| (plan.shards[shard as usize].core_seconds * 1e3) as u64);
    status.core_seconds = milliseconds.sum::<u64>() as f64 / 1e3;
    Ok(status)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Files that have the name of a shard which the plan does not have.
fn strangers(plan: &Plan, folder: &Path) -> Result<Vec<Broken>, Fault> {
    let entries = std::fs::read_dir(folder).map_err(|error| told("read", folder, &error))?;
    let mut strangers = Vec::new();
    for entry in entries {
        let name = name_of(&entry.map_err(|error| told("read", folder, &error))?.path());
        let number = name.strip_prefix("shard-").and_then(|rest| rest.strip_suffix(".bin"));
        let Some(number) = number else { continue };
        let is_ours = number
            .parse()
            .is_ok_and(|shard: u32| (shard as usize) < plan.shards.len() && name == name_of(&run::path_of(Path::new(""), shard)));
        if !is_ours {
            strangers.push(Broken {
                shard: None,
                file: name,
                reason: format!("the plan has {} shards and none of this name", plan.shards.len()),
            });
        }
    }
    strangers.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(strangers)
}

/// Numbers as job arrays take them: `3,7-9`.
pub fn array(shards: &[u32]) -> String {
    let mut parts: Vec<(u32, u32)> = Vec::new();
    for &shard in shards {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == shard => *last = shard,
            _ => parts.push((shard, shard)),
        }
    }
    let parts = parts.iter().map(|&(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    parts.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::array;

    #[test]
    fn runs_of_numbers_are_ranges() {
        assert_eq!(array(&[]), "");
        assert_eq!(array(&[3]), "3");
        assert_eq!(array(&[3, 7, 8, 9]), "3,7-9");
        assert_eq!(array(&[0, 1, 3, 4, 6]), "0-1,3-4,6");
    }
}
