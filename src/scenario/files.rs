//! Files that a scenario names: read once for all its variants, within limits, from beside the scenario.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

/// The most bytes that a file of values may have.
const BYTES_MAX: u64 = 256 << 20;

/// The files read so far.
#[derive(Default)]
pub(crate) struct Files {
    directory: Option<PathBuf>,
    texts: BTreeMap<String, Result<String, String>>,
}

impl Files {
    /// Files beside the scenario in `directory`; those that are `given` with it are not looked for.
    pub(crate) fn new(directory: Option<&Path>, given: &BTreeMap<String, String>) -> Files {
        let given = given.iter().map(|(name, text)| (name.clone(), Ok(text.clone())));
        Files {
            directory: directory.map(Path::to_path_buf),
            texts: given.collect(),
        }
    }

    /// Name and text of each that could be read.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts
            .iter()
            .filter_map(|(name, text)| Some((name.as_str(), text.as_deref().ok()?)))
    }

    /// The text of the file that the scenario calls `name`.
    ///
    /// # Errors
    /// Says why there is none, as a lowercase fragment.
    pub(crate) fn read(&mut self, name: &str) -> Result<String, String> {
        if let Some(text) = self.texts.get(name) {
            return text.clone();
        }
        let path = self.path(name);
        let text = read(&path).map_err(|problem| format!("cannot read `{}`: {problem}", path.display()));
        self.texts.insert(name.to_string(), text.clone());
        text
    }

    /// The paths of all files read, those that could not be read included.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.texts.keys().map(|name| self.path(name)).collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.as_deref().unwrap_or(Path::new("")).join(name)
    }

    /// Absorbs the names and texts of all files read.
    pub(crate) fn digest(&self, hasher: &mut Xxh3) {
        for (name, text) in &self.texts {
            for part in [name.as_str(), text.as_deref().unwrap_or("")] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part.as_bytes());
            }
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    let about = std::fs::metadata(path).map_err(|error| error.to_string())?;
    // A pipe or a device may never end.
    if !about.is_file() {
        return Err("it is not a file".to_string());
    }
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| error.to_string())?;
    if text.len() as u64 > BYTES_MAX {
        return Err(format!("it is larger than {} MiB", BYTES_MAX >> 20));
    }
    Ok(text)
}
