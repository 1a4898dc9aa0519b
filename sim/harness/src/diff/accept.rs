//! A reviewed folder becomes the baseline: whole, or not at all.

use crate::error::Error;
use crate::results::{CHECKSUMS, hidden};
use crate::saved::Saved;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

/// Puts a copy of a folder in the place of a baseline that is whole.
///
/// # Errors
/// When the baseline is kept in part only, or the disk refuses; the baseline then stands as it was.
pub(super) fn replace_saved(baseline: &Saved, with: &Saved) -> Result<String, Error> {
    if !baseline.absent.is_empty() {
        let kept = baseline.sums.len() - baseline.absent.len();
        let message = format!(
            "{} keeps {kept} of its {} files: a whole folder would not be the same kind of baseline",
            baseline.path.display(),
            baseline.sums.len()
        );
        let hint = "copy the files by hand (scripts/reproduce.sh --update does it for results/reference/compare)";
        return Err(Error::data(message, hint));
    }
    replace(&baseline.path, with)
}

/// Puts a copy of a folder where a baseline is, or is to be.
///
/// # Errors
/// When the disk refuses; what stood there then stands as it was.
pub(super) fn replace(place: &Path, with: &Saved) -> Result<String, Error> {
    copy_into(place, with).map_err(|e| {
        let message = format!("cannot write {}: {e}", place.display());
        Error::io(
            message,
            "nothing was changed; make the folder above it writable",
        )
    })?;
    Ok(format!(
        "accepted: {} is now {}\n",
        place.display(),
        with.path.display()
    ))
}

fn copy_into(place: &Path, with: &Saved) -> io::Result<()> {
    let name = place.file_name().and_then(OsStr::to_str);
    let name = name.ok_or_else(|| io::Error::other("it has no name"))?;
    let parent = match place.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent)?;
    let partial = hidden(parent, name, "partial");
    let files = with.sums.keys().map(String::as_str).chain([CHECKSUMS]);
    let copied = files.into_iter().try_for_each(|file| {
        let to = partial.join(file);
        fs::create_dir_all(to.parent().expect("it is in a folder"))?;
        fs::copy(with.path.join(file), &to)?;
        fs::File::open(&to)?.sync_all()
    });
    let published = copied.and_then(|()| publish(place, &partial, &hidden(parent, name, "old")));
    if published.is_err() {
        fs::remove_dir_all(&partial).ok();
    }
    published
}

/// Moves the old folder aside, the new one into place, and only then removes the old one.
fn publish(place: &Path, partial: &Path, old: &Path) -> io::Result<()> {
    let replaces = place.exists();
    if replaces {
        fs::rename(place, old)?;
    }
    if let Err(error) = fs::rename(partial, place) {
        if replaces {
            fs::rename(old, place).ok();
        }
        return Err(error);
    }
    if replaces {
        fs::remove_dir_all(old).ok();
    }
    Ok(())
}
