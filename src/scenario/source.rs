//! Where text comes from: scenario files and `--set` arguments, with places in them.
//!
//! A [`Span`] is a range of bytes of one source. Nothing here knows YAML.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::diagnostic::Diagnostics;

/// The most bytes that one scenario file may have: a thousand times more than any scenario written by hand.
pub const TEXT_MAX: usize = 16 << 20;

/// A range of bytes of one of the sources of a scenario.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Which source: 0 is the file, the others are arguments of the command line.
    pub source: u32,
    /// The first byte.
    pub start: u32,
    /// The byte behind the last.
    pub end: u32,
}

impl Span {
    /// The span from the start of `self` to the end of `last`, which must be of the same source.
    #[must_use]
    pub fn to(self, last: Span) -> Span {
        debug_assert_eq!(self.source, last.source);
        Span {
            end: last.end.max(self.end),
            ..self
        }
    }
}

/// A text with a name, and where its lines begin.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    text: String,
    directory: Option<PathBuf>,
    files: BTreeMap<String, String>,
    lines: Vec<u32>,
    kind: SourceKind,
}

/// What a source is, for how its places are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// A file (or a text in its stead).
    File,
    /// An argument of the command line.
    Argument,
}

impl Source {
    /// Reads a file; `-` is standard input.
    ///
    /// # Errors
    /// If it cannot be read, is larger than [`TEXT_MAX`], or is not UTF-8.
    pub fn read(path: &Path) -> Result<Source, Diagnostics> {
        let name = path.display().to_string();
        let mut problems = Diagnostics::new();
        let mut bytes = Vec::new();
        let limit = TEXT_MAX as u64 + 1;
        let read = if name == "-" {
            std::io::stdin().take(limit).read_to_end(&mut bytes)
        } else {
            std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
        };
        if let Err(error) = read {
            problems.cannot_read(&name, &error);
            return Err(problems);
        }
        if bytes.len() > TEXT_MAX {
            problems.text_too_large(&name, TEXT_MAX);
            return Err(problems);
        }
        match String::from_utf8(bytes) {
            Ok(text) => {
                let directory = path.parent().map(Path::to_path_buf);
                Ok(Source {
                    directory,
                    ..Source::from_text(&name, text)
                })
            }
            Err(error) => {
                problems.not_utf8(&name, error.utf8_error().valid_up_to());
                Err(problems)
            }
        }
    }

    /// A text that is already at hand. Files that it names are looked for in the current directory.
    pub fn from_text(name: &str, text: impl Into<String>) -> Source {
        Source::new(name, text.into(), SourceKind::File)
    }

    /// An argument of the command line: `option` is its name.
    pub(crate) fn argument(option: &str, text: String) -> Source {
        Source::new(option, text, SourceKind::Argument)
    }

    fn new(name: &str, text: String, kind: SourceKind) -> Source {
        // A byte order mark is no part of the text.
        let text = match text.strip_prefix('\u{feff}') {
            Some(rest) => rest.to_string(),
            None => text,
        };
        let lines = line_starts(&text);
        Source {
            name: name.to_string(),
            text,
            directory: None,
            files: BTreeMap::new(),
            lines,
            kind,
        }
    }

    /// The path as the user wrote it, or the option.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same text with files that it names, by what it calls them: these are not looked for.
    #[must_use]
    pub fn with_files(self, files: BTreeMap<String, String>) -> Source {
        Source { files, ..self }
    }

    /// The files given with the text.
    pub fn files(&self) -> &BTreeMap<String, String> {
        &self.files
    }

    /// Where files that the text names are looked for.
    pub fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    /// What it is.
    pub fn kind(&self) -> SourceKind {
        self.kind
    }

    /// How many lines it has; at least one.
    pub fn line_count(&self) -> usize {
        self.lines.len()
    }

    /// The line (from 0) that byte `offset` is in.
    pub fn line_of(&self, offset: usize) -> usize {
        self.lines
            .partition_point(|&start| start as usize <= offset)
            .saturating_sub(1)
    }

    /// The byte at which line `line` (from 0) begins; the end of the text behind the last.
    pub fn line_start(&self, line: usize) -> usize {
        self.lines.get(line).map_or(self.text.len(), |&start| start as usize)
    }

    /// Line and column of byte `offset`, both from 1; columns count characters.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let offset = self.floor_boundary(offset);
        let line = self.line_of(offset);
        let column = self.text[self.line_start(line)..offset].chars().count();
        (line + 1, column + 1)
    }

    /// The nearest byte at or before `offset` where a character begins.
    pub(crate) fn floor_boundary(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }
}

/// Lines end at `\n`: a lone `\r`, which YAML would allow, is refused with the other control characters.
fn line_starts(text: &str) -> Vec<u32> {
    let ends = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n');
    std::iter::once(0).chain(ends.map(|(at, _)| at as u32 + 1)).collect()
}

/// All sources that spans of one load point into.
#[derive(Clone, Debug, Default)]
pub struct Sources(Vec<Arc<Source>>);

impl Sources {
    /// Adds a source and gives the number that spans name it by.
    pub(crate) fn add(&mut self, source: Arc<Source>) -> u32 {
        self.0.push(source);
        self.0.len() as u32 - 1
    }

    /// The source that `span` points into.
    pub fn get(&self, span: Span) -> &Source {
        &self.0[span.source as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters() {
        let source = Source::from_text("x", "a: é\r\nb: ü1\nc");
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(5), (1, 5), "behind the two bytes of é");
        assert_eq!(source.position(7), (2, 1));
        assert_eq!(source.position(12), (2, 5));
        assert_eq!(source.position(source.text().len()), (3, 2));
        assert_eq!(source.line_count(), 3);
    }
}
