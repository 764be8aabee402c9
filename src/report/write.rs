//! Files, written beside their places and renamed: a results folder is complete or not there.
//!
//! A folder that does not exist yet is made under another name and renamed as a whole. Into one that exists each file is
//! written beside its place first, and only when all are written are they renamed. Then drawings of an earlier run that this one
//! does not have are removed, as they would belong to other figures; what else lies there is left alone.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::report::chart;

/// The HTML page in a results folder.
pub const PAGE: &str = "report.html";
/// The folder of charts in a results folder.
pub const CHARTS: &str = "charts";

/// A file of a results folder: its path in it, and its bytes.
pub type NamedBytes = (String, Vec<u8>);

/// Writes all files into `folder`.
///
/// # Errors
/// Gives what the system says, with the path it says it of. No file has its final name then, unless it failed in renaming.
pub fn write_folder(folder: &Path, files: &[NamedBytes]) -> io::Result<()> {
    if folder.exists() {
        replace_files(folder, files)
    } else {
        make_folder(folder, files)
    }
}

/// Writes one file, and the folder that it is to lie in.
///
/// # Errors
/// Gives what the system says, with the path it says it of. The file is what it was then.
pub fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = beside(path)?;
    let write = || {
        if let Some(parent) = parent(path) {
            fs::create_dir_all(parent)?;
        }
        File::create(&beside)?.write_all(bytes)?;
        fs::rename(&beside, path)
    };
    let written = write().map_err(|error| told(&error, path));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&beside);
    }
    written
}

/// Makes `folder` with these files.
fn make_folder(folder: &Path, files: &[NamedBytes]) -> io::Result<()> {
    let beside = beside(folder)?;
    if let Some(parent) = parent(folder) {
        fs::create_dir_all(parent).map_err(|error| told(&error, parent))?;
    }
    let written = write_all(files, |name| beside.join(name))
        .and_then(|_| fs::rename(&beside, folder).map_err(|error| told(&error, folder)));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_dir_all(&beside);
    }
    written
}

/// Puts these files in the place of those in `folder`.
fn replace_files(folder: &Path, files: &[NamedBytes]) -> io::Result<()> {
    let place = |name: &str| {
        let place = folder.join(name);
        beside(&place)
    };
    let places = files.iter().map(|(name, _)| place(name)).collect::<io::Result<Vec<_>>>()?;
    let mut next = places.iter();
    let written = write_all(files, |_| next.next().expect("one place a file").clone()).and_then(|()| {
        files.iter().zip(&places).try_for_each(|((name, _), beside)| {
            let place = folder.join(name);
            fs::rename(beside, &place).map_err(|error| told(&error, &place))
        })
    });
    if written.is_err() {
        for beside in &places {
            let _ = fs::remove_file(beside);
        }
    }
    written?;
    remove_stale(folder, files)
}

/// Removes drawings that are not among `files`.
fn remove_stale(folder: &Path, files: &[NamedBytes]) -> io::Result<()> {
    let mut stale = vec![PAGE.to_string()];
    // Without such a folder there is nothing in it.
    for entry in fs::read_dir(folder.join(CHARTS)).into_iter().flatten() {
        if let Some(name) = entry?.file_name().to_str().filter(|name| chart::is_chart(name)) {
            stale.push(format!("{CHARTS}/{name}"));
        }
    }
    stale.retain(|name| files.iter().all(|(file, _)| file != name));
    stale
        .iter()
        .map(|name| folder.join(name))
        .try_for_each(|path| match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(told(&error, &path)),
            _ => Ok(()),
        })
}

fn write_all(files: &[NamedBytes], mut place: impl FnMut(&str) -> PathBuf) -> io::Result<()> {
    files.iter().try_for_each(|(name, bytes)| {
        let path = place(name);
        let write = || {
            if let Some(parent) = parent(&path) {
                fs::create_dir_all(parent)?;
            }
            File::create(&path)?.write_all(bytes)
        };
        write().map_err(|error| told(&error, &path))
    })
}

/// The name under which something is written before it gets its own.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| told(&io::Error::from(io::ErrorKind::InvalidInput), path))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.tmp", std::process::id()));
    Ok(path.with_file_name(hidden))
}

fn parent(path: &Path) -> Option<&Path> {
    path.parent().filter(|parent| !parent.as_os_str().is_empty())
}

/// The error with the path that it is about.
fn told(error: &io::Error, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(texts: &[(&str, &str)]) -> Vec<NamedBytes> {
        texts
            .iter()
            .map(|(name, text)| (name.to_string(), text.as_bytes().to_vec()))
            .collect()
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_new_folder_appears_whole() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("results/name");
        write_folder(&folder, &files(&[("a.json", "1"), ("charts/b.svg", "2")])).expect("it can be written");
        assert_eq!(fs::read_to_string(folder.join("charts/b.svg")).expect("a file"), "2");
        assert_eq!(names(&root.path().join("results")), ["name"]);
        assert_eq!(names(&folder), ["a.json", "charts"]);
    }

    #[test]
    fn other_files_in_the_folder_are_left_alone() {
        let root = tempfile::tempdir().expect("a folder");
        fs::write(root.path().join("mine.txt"), "mine").expect("a file");
        fs::write(root.path().join("a.json"), "old").expect("a file");
        write_folder(root.path(), &files(&[("a.json", "new"), ("charts/b.svg", "2")])).expect("it can be written");
        assert_eq!(fs::read_to_string(root.path().join("a.json")).expect("a file"), "new");
        assert_eq!(names(root.path()), ["a.json", "charts", "mine.txt"]);
        assert_eq!(names(&root.path().join("charts")), ["b.svg"]);
    }

    #[test]
    fn drawings_of_an_earlier_run_are_removed() {
        let root = tempfile::tempdir().expect("a folder");
        let earlier = [
            "a.json",
            "report.html",
            "charts/latency_cdf.web.svg",
            "charts/latency_cdf.svg",
            "charts/topology.png",
        ];
        write_folder(root.path(), &files(&earlier.map(|name| (name, "old")))).expect("it can be written");
        fs::write(root.path().join("charts/mine.svg"), "mine").expect("a file");
        write_folder(root.path(), &files(&[("a.json", "new"), ("charts/latency_cdf.svg", "new")])).expect("it can be written");
        assert_eq!(names(root.path()), ["a.json", "charts"]);
        assert_eq!(names(&root.path().join("charts")), ["latency_cdf.svg", "mine.svg"]);
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let root = tempfile::tempdir().expect("a folder");
        // The second file would need a folder where the first is a file.
        let broken = files(&[("a", "1"), ("a/b", "2")]);
        assert!(write_folder(&root.path().join("new"), &broken).is_err());
        assert_eq!(names(root.path()), [""; 0]);
        fs::write(root.path().join("a"), "old").expect("a file");
        assert!(write_folder(root.path(), &broken).is_err());
        assert_eq!(names(root.path()), ["a"]);
        assert_eq!(fs::read_to_string(root.path().join("a")).expect("a file"), "old");
    }
}
