//! Who ran what, where and for how long: beside the shards, never in results. Whoever writes it knows the clock and the host.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::sweep::file::write_whole;
use crate::sweep::{Fault, told};

/// The name of the document's shape.
pub const SCHEMA: &str = "meshsim/provenance/v1";
/// The folder of the attempts, in that of the shards.
const FOLDER: &str = "provenance";
/// The document that a merge gathers them in.
const FILE: &str = "provenance.json";

/// One attempt at a shard. It is written when it begins and again when it ends: one that was killed has no end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The shard.
    pub shard: u32,
    /// `started`, `done` or `kept`.
    pub state: String,
    /// The name of the machine.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// The threads that it ran on.
    pub threads: usize,
    /// The version of meshsim.
    pub version: String,
    /// Seconds since 1970 when it began.
    pub began_unix_seconds: f64,
    /// How long it took.
    pub wall_seconds: Option<f64>,
    /// Bytes of the shard's file.
    pub bytes: Option<u64>,
}

/// All attempts, and the merge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The digest of the plan.
    pub plan: String,
    /// Where it was merged.
    pub merge_host: String,
    /// How long that took.
    pub merge_wall_seconds: f64,
    /// What the attempts took together.
    pub shards_wall_seconds: f64,
    /// The attempts, by shard and begin.
    pub attempts: Vec<Attempt>,
}

impl Attempt {
    /// Where this one is written. Processes of several hosts may have one number, so the begin is in the name too.
    fn place(&self, folder: &Path) -> PathBuf {
        let host: String = self
            .host
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
            .collect();
        let micros = (self.began_unix_seconds * 1e6) as u64;
        let name = format!("shard-{:05}.{host}.{}.{micros}.json", self.shard, self.pid);
        folder.join(FOLDER).join(name)
    }

    /// Writes it into a folder of shards.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), Fault> {
        let place = folder.join(FOLDER);
        std::fs::create_dir_all(&place).map_err(|error| told("make", &place, &error))?;
        let mut bytes = serde_json::to_vec_pretty(self).expect("an attempt has only text for keys");
        bytes.push(b'\n');
        write_whole(&self.place(folder), &bytes)
    }
}

/// All attempts at the shards of a folder. What cannot be read is left out: it is no part of any result.
pub fn attempts(folder: &Path) -> Vec<Attempt> {
    let entries = std::fs::read_dir(folder.join(FOLDER)).into_iter().flatten().flatten();
    let read = |entry: std::fs::DirEntry| -> Option<Attempt> { serde_json::from_slice(&std::fs::read(entry.path()).ok()?).ok() };
    let mut attempts: Vec<Attempt> = entries.filter_map(read).collect();
    attempts.sort_by(|a, b| {
        let began = a.began_unix_seconds.total_cmp(&b.began_unix_seconds);
        a.shard.cmp(&b.shard).then(began)
    });
    attempts
}

impl Provenance {
    /// Gathers the attempts of a folder after a merge.
    pub fn gather(folder: &Path, plan: &str, merge_host: &str, merge_wall_seconds: f64) -> Provenance {
        let attempts = attempts(folder);
        Provenance {
            schema: SCHEMA.to_string(),
            plan: plan.to_string(),
            merge_host: merge_host.to_string(),
            merge_wall_seconds,
            shards_wall_seconds: attempts.iter().filter_map(|attempt| attempt.wall_seconds).sum(),
            attempts,
        }
    }

    /// Writes it into the folder of shards.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), Fault> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("provenance has only text for keys");
        bytes.push(b'\n');
        write_whole(&folder.join(FILE), &bytes)
    }
}
