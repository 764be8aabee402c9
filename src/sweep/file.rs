//! The container of a shard's results: a header that says whose it is, frames, and a checksum over all of it at the end.
//!
//! A file is written beside its place, synced, renamed, and the folder synced, so under its own name it is whole. What happens to it
//! later (a disk, a copy that was cut short) the checksum finds. `docs/scale.md` says what every byte means.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tempfile::NamedTempFile;
use xxhash_rust::xxh3::Xxh3;

use crate::sweep::{Fault, told};

/// What such a file begins with: as in PNG, a byte that is no text, and line ends that a careless copy would change.
const MAGIC: [u8; 8] = *b"\x89MSW\r\n\x1a\n";
/// The version of the format.
const FORMAT: u16 = 1;
/// Bytes of the header: magic, format, kind, plan, shard, shards, first run, runs, checksum of these.
const HEADER_BYTES: usize = 8 + 2 + 2 + 8 + 4 + 4 + 8 + 8 + 8;
/// What stands in the place of a frame's length where no frame follows.
const END: u32 = u32::MAX;
/// Bytes behind the last frame: [`END`], how many frames there were, the checksum.
const TRAILER_BYTES: u64 = 4 + 8 + 8;
const BUFFER_BYTES: usize = 1 << 18;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The runs of a shard.
    Shard = 1,
    /// The warm-up that pilots found for one point.
    Pilot = 2,
}

/// Whose results a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it holds.
    pub kind: Kind,
    /// The digest of the plan.
    pub plan: u64,
    /// The shard, from 0; or the point whose pilots these are.
    pub index: u32,
    /// How many shards there are.
    pub count: u32,
    /// The first run in it, in the order of the plan.
    pub first_run: u64,
    /// How many runs there are in it.
    pub runs: u64,
}

impl Header {
    fn bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(FORMAT.to_le_bytes());
        bytes.extend((self.kind as u16).to_le_bytes());
        bytes.extend(self.plan.to_le_bytes());
        bytes.extend(self.index.to_le_bytes());
        bytes.extend(self.count.to_le_bytes());
        bytes.extend(self.first_run.to_le_bytes());
        bytes.extend(self.runs.to_le_bytes());
        bytes.extend(xxhash_rust::xxh3::xxh3_64(&bytes).to_le_bytes());
        bytes.try_into().expect("these are the bytes of a header")
    }

    fn of(bytes: &[u8; HEADER_BYTES]) -> Result<Header, Defect> {
        let mut rest = &bytes[8..];
        if bytes[..8] != MAGIC {
            return Err(Defect::Foreign("it is no file of a sweep".to_string()));
        }
        let format = u16::from_le_bytes(take(&mut rest));
        if format != FORMAT {
            return Err(Defect::Foreign(format!(
                "its format is version {format}, and this program knows version {FORMAT}"
            )));
        }
        let kind = u16::from_le_bytes(take(&mut rest));
        let header = Header {
            kind: if kind == Kind::Pilot as u16 {
                Kind::Pilot
            } else {
                Kind::Shard
            },
            plan: u64::from_le_bytes(take(&mut rest)),
            index: u32::from_le_bytes(take(&mut rest)),
            count: u32::from_le_bytes(take(&mut rest)),
            first_run: u64::from_le_bytes(take(&mut rest)),
            runs: u64::from_le_bytes(take(&mut rest)),
        };
        if header.bytes() != *bytes {
            return Err(Defect::Torn("its header does not fit its checksum".to_string()));
        }
        Ok(header)
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (taken, left) = rest.split_first_chunk().expect("a header is long enough");
    *rest = left;
    *taken
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Defect {
    /// There is none.
    Missing,
    /// It is not whole, or not as it was written.
    Torn(String),
    /// It is of something else.
    Foreign(String),
}

impl std::fmt::Display for Defect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Defect::Missing => f.write_str("missing"),
            Defect::Torn(reason) => write!(f, "corrupt: {reason}"),
            Defect::Foreign(reason) => write!(f, "foreign: {reason}"),
        }
    }
}

/// Files that are being written, so that an interrupt can take them away.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Takes away what is being written: for a process that ends now, without unwinding. Whoever begins another file waits for the end.
pub fn abandon() {
    let unfinished = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    unfinished.iter().for_each(|path| {
        // It may have been renamed this moment.
        let _ = std::fs::remove_file(path);
    });
    std::mem::forget(unfinished);
}

/// Makes a file beside `path`, to be renamed when it is whole.
pub(crate) fn beside(path: &Path) -> Result<Beside, Fault> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(path.file_name().unwrap_or_default());
    prefix.push(".");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(".tmp");
    // A temporary file is its owner's alone; a result is for whom the user's mask says.
    #[cfg(unix)]
    builder.permissions(<std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666));
    // Held until it is noted: there is no moment in which an interrupt would leave it behind.
    let mut unfinished = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    let file = builder.tempfile_in(folder).map_err(|error| told("write", path, &error))?;
    unfinished.push(file.path().to_path_buf());
    Ok(Beside {
        file: Some(file),
        place: path.to_path_buf(),
    })
}

/// A file beside its place.
#[derive(Debug)]
pub(crate) struct Beside {
    file: Option<NamedTempFile>,
    place: PathBuf,
}

impl Beside {
    pub(crate) fn file(&mut self) -> &mut File {
        self.file.as_mut().expect("it has not been placed").as_file_mut()
    }

    /// Gives it its name. What it holds and that it is there outlast a loss of power.
    pub(crate) fn place(mut self) -> Result<(), Fault> {
        let file = self.file.take().expect("it is placed once");
        let path = file.path().to_path_buf();
        let placed = file.as_file().sync_all().and_then(|()| {
            file.persist(&self.place).map_err(|error| error.error)?;
            sync_folder_of(&self.place)
        });
        forget(&path);
        placed.map_err(|error| told("write", &self.place, &error))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            forget(file.path());
        }
    }
}

fn forget(path: &Path) {
    let mut unfinished = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    unfinished.retain(|other| other != path);
}

/// A rename lasts once the folder is synced; only Unix lets a folder be opened for it.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Writes `bytes` to `path`, whole or not at all.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    let mut beside = beside(path)?;
    beside.file().write_all(bytes).map_err(|error| told("write", path, &error))?;
    beside.place()
}

/// Writes a file frame by frame.
pub struct FrameWriter {
    out: BufWriter<Hashed>,
    place: PathBuf,
    frames: u64,
}

impl FrameWriter {
    /// Begins a file whose place is `path`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn new(path: &Path, header: &Header) -> Result<FrameWriter, Fault> {
        let hashed = Hashed {
            beside: beside(path)?,
            hash: Xxh3::new(),
        };
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, hashed);
        out.write_all(&header.bytes()).map_err(|error| told("write", path, &error))?;
        Ok(FrameWriter {
            out,
            place: path.to_path_buf(),
            frames: 0,
        })
    }

    /// Adds a frame.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn frame(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let length = u32::try_from(bytes.len()).ok().filter(|&length| length != END);
        let length = length.ok_or_else(|| Fault::new("a result takes more than 4 GiB"))?;
        self.frames += 1;
        let written = self
            .out
            .write_all(&length.to_le_bytes())
            .and_then(|()| self.out.write_all(bytes));
        written.map_err(|error| told("write", &self.place, &error))
    }

    /// Ends the file and gives it its name. Gives its size in bytes.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> Result<u64, Fault> {
        let place = self.place.clone();
        let failed = |error: io::Error| told("write", &place, &error);
        self.out.write_all(&END.to_le_bytes()).map_err(failed)?;
        self.out.write_all(&self.frames.to_le_bytes()).map_err(failed)?;
        let mut hashed = self.out.into_inner().map_err(|error| failed(error.into_error()))?;
        let checksum = hashed.hash.digest();
        hashed.beside.file().write_all(&checksum.to_le_bytes()).map_err(failed)?;
        let size = hashed.beside.file().metadata().map_err(failed)?.len();
        hashed.beside.place()?;
        Ok(size)
    }
}

struct Hashed {
    beside: Beside,
    hash: Xxh3,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.beside.file().write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.beside.file().flush()
    }
}

/// Reads a file frame by frame and checks it on the way.
pub struct FrameReader {
    from: BufReader<File>,
    /// Of all bytes so far; `None` if it was opened in the middle.
    hash: Option<Xxh3>,
    header: Header,
    /// Where the next frame begins.
    place: u64,
    /// Bytes that are left for frames, their lengths included.
    left: u64,
    frames: u64,
    frame: Vec<u8>,
}

impl FrameReader {
    /// Opens a file.
    ///
    /// # Errors
    /// If it is not there, or its header is none.
    pub fn open(path: &Path) -> Result<FrameReader, Defect> {
        let file = File::open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Defect::Missing,
            _ => Defect::Torn(format!("it cannot be read: {error}")),
        })?;
        let size = file.metadata().map_or(0, |about| about.len());
        let mut from = BufReader::with_capacity(BUFFER_BYTES, file);
        let mut bytes = [0; HEADER_BYTES];
        from.read_exact(&mut bytes).map_err(broken)?;
        let header = Header::of(&bytes)?;
        let mut hash = Xxh3::new();
        hash.update(&bytes);
        let left = size.checked_sub(HEADER_BYTES as u64 + TRAILER_BYTES);
        Ok(FrameReader {
            from,
            hash: Some(hash),
            header,
            place: HEADER_BYTES as u64,
            left: left.ok_or_else(cut_short)?,
            frames: 0,
            frame: Vec::new(),
        })
    }

    /// Opens a file that [`FrameReader::open`] has found whole, where [`FrameReader::place`] was: what is left is not checked again.
    ///
    /// # Errors
    /// If it is not there, or has become shorter.
    pub fn open_at(path: &Path, place: u64) -> Result<FrameReader, Defect> {
        let mut reader = FrameReader::open(path)?;
        let skipped = place.checked_sub(HEADER_BYTES as u64).ok_or_else(cut_short)?;
        reader.left = reader.left.checked_sub(skipped).ok_or_else(cut_short)?;
        reader.from.seek(SeekFrom::Start(place)).map_err(broken)?;
        (reader.place, reader.hash) = (place, None);
        Ok(reader)
    }

    /// Where the next frame begins, in bytes from the start of the file.
    pub fn place(&self) -> u64 {
        self.place
    }

    /// Whose results these are.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next frame; `None` at the end, once the checksum has been found right.
    ///
    /// # Errors
    /// If the file is not as it was written.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, Defect> {
        let length = u32::from_le_bytes(self.read()?);
        if length == END {
            return self.end().map(|()| None);
        }
        let left = self.left.checked_sub(4 + u64::from(length));
        // A length is believed only where the file is long enough for it.
        self.left = left.ok_or_else(cut_short)?;
        self.frame.resize(length as usize, 0);
        self.from.read_exact(&mut self.frame).map_err(broken)?;
        if let Some(hash) = &mut self.hash {
            hash.update(&self.frame);
        }
        self.frames += 1;
        self.place += 4 + u64::from(length);
        Ok(Some(&self.frame))
    }

    fn end(&mut self) -> Result<(), Defect> {
        let frames = u64::from_le_bytes(self.read()?);
        let expected = self.hash.as_ref().map(Xxh3::digest);
        let mut checksum = [0; 8];
        self.from.read_exact(&mut checksum).map_err(broken)?;
        if expected.is_some_and(|expected| u64::from_le_bytes(checksum) != expected || frames != self.frames) {
            return Err(Defect::Torn("its checksum is wrong".to_string()));
        }
        match self.from.read(&mut [0]) {
            Ok(0) if self.left == 0 => Ok(()),
            _ => Err(Defect::Torn("something follows its end".to_string())),
        }
    }

    fn read<const N: usize>(&mut self) -> Result<[u8; N], Defect> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes).map_err(broken)?;
        if let Some(hash) = &mut self.hash {
            hash.update(&bytes);
        }
        Ok(bytes)
    }
}

fn cut_short() -> Defect {
    Defect::Torn("it has been cut short".to_string())
}

fn broken(error: io::Error) -> Defect {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => cut_short(),
        _ => Defect::Torn(format!("it cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header {
        kind: Kind::Shard,
        plan: 0x0123_4567_89ab_cdef,
        index: 3,
        count: 12,
        first_run: 30,
        runs: 2,
    };

    /// Reads a file from end to end.
    fn verify(path: &Path) -> Result<Header, Defect> {
        let mut reader = FrameReader::open(path)?;
        while reader.next_frame()?.is_some() {}
        Ok(*reader.header())
    }

    fn write(path: &Path) -> Vec<u8> {
        let mut writer = FrameWriter::new(path, &HEADER).expect("it can be written");
        writer.frame(b"one").expect("it can be written");
        writer.frame(&[7; 300]).expect("it can be written");
        let size = writer.finish().expect("it can be written");
        let bytes = std::fs::read(path).expect("a file");
        assert_eq!(bytes.len() as u64, size);
        bytes
    }

    #[test]
    fn frames_come_back_and_nothing_lies_beside() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.shard");
        write(&path);
        let mut reader = FrameReader::open(&path).expect("it is whole");
        assert_eq!(*reader.header(), HEADER);
        assert_eq!(reader.next_frame(), Ok(Some(&b"one"[..])));
        let second = reader.place();
        assert_eq!(reader.next_frame(), Ok(Some(&[7; 300][..])));
        assert_eq!(reader.next_frame(), Ok(None));
        let mut reader = FrameReader::open_at(&path, second).expect("it is whole");
        assert_eq!(reader.next_frame(), Ok(Some(&[7; 300][..])));
        assert_eq!(reader.next_frame(), Ok(None));
        assert!(FrameReader::open_at(&path, 1 << 20).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
        assert!(
            !UNFINISHED
                .lock()
                .expect("no panic")
                .iter()
                .any(|other| other.starts_with(folder.path()))
        );
    }

    #[test]
    fn every_flipped_bit_every_cut_and_every_addition_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.shard");
        let whole = write(&path);
        for at in 0..whole.len() {
            for bit in [0, 5] {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                std::fs::write(&path, &bytes).expect("it can be written");
                assert!(verify(&path).is_err(), "bit {bit} of byte {at}");
            }
            std::fs::write(&path, &whole[..at]).expect("it can be written");
            assert!(matches!(verify(&path), Err(Defect::Torn(_))), "cut at {at}");
        }
        std::fs::write(&path, [&whole[..], b"x"].concat()).expect("it can be written");
        assert!(matches!(verify(&path), Err(Defect::Torn(_))));
        std::fs::write(&path, &whole).expect("it can be written");
        assert_eq!(verify(&path), Ok(HEADER));
        std::fs::write(&path, "not one of ours, but a text that is as long as a header would be").expect("it can be written");
        assert!(matches!(verify(&path), Err(Defect::Foreign(_))));
        assert_eq!(verify(&folder.path().join("b.shard")), Err(Defect::Missing));
    }

    #[test]
    fn what_is_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        drop(FrameWriter::new(&folder.path().join("a.shard"), &HEADER).expect("it can be written"));
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }
}
