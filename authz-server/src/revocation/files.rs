//! The revocations that a directory holds, file by file.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs, io,
    path::PathBuf,
    thread::sleep,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use callgate_policy::document::{LoadOptions, Revocation, Source, load_revocations};
use ring::digest::{SHA256, digest};

use crate::{
    store::{Listed, ReadError, list_each, read},
    svid::{Fingerprint, fingerprint},
};

/// Revocations that count. Each takes some 600 bytes with its entries in the maps, so
/// they are at most 60 MB; a mesh that has more to revoke should replace its CA.
const MAX_REVOCATIONS: usize = 100_000;
/// Looks at something that never holds still; then it is taken as it is.
const MAX_RESTLESS: u32 = 5;
/// How long a file that changed may change again and look the same: the coarsest time
/// stamps are those of FAT, 2 s.
const COARSE_SECONDS: i64 = 2;
/// How long a file must not have changed before what it no longer says is dropped. What
/// is new counts at once; what is missing may only not be written yet.
const LINGER_SECONDS: i64 = 2;
/// Faults that are told; the first explain the others.
const MAX_FAULTS: usize = 20;

/// Reads the revocations of a directory, each file by itself, and remembers them. What
/// cannot be read, or is not in order, leaves in effect what that file said before,
/// until it is mended or removed; what a file just stopped saying stays for two seconds.
#[derive(Debug)]
pub struct RevocationFiles {
    directory: PathBuf,
    options: LoadOptions,
    files: BTreeMap<String, Known>,
    /// What could not be listed or read, at the last look.
    unreadable: Vec<String>,
    /// Looks in a row at which something did not hold still.
    restless: u32,
    pub(super) linger_seconds: i64,
}

/// A file as it was last read.
#[derive(Debug)]
struct Known {
    listed: Listed,
    /// Seconds since 1970.
    read_at: i64,
    text: Fingerprint,
    /// What it says.
    said: Vec<Revocation>,
    /// What it said before.
    kept: Vec<Revocation>,
    findings: Vec<String>,
}

/// What came of a look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The revocations, or what is wrong with them, are not what they were.
    pub changed: bool,
    /// Something was just being written: worth another look soon.
    pub restless: bool,
}

impl RevocationFiles {
    /// The files below `directory`, none of which is read yet.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            options: LoadOptions::default(),
            files: BTreeMap::new(),
            unreadable: Vec::new(),
            restless: 0,
            linger_seconds: LINGER_SECONDS,
        }
    }

    /// Reads every file that is new or changed, and forgets those that are gone. Either
    /// must be the same for `quiet`, so that a file that is being written is not taken
    /// for a short one, nor one that is being renamed for one that is gone.
    pub fn look(&mut self, quiet: Duration) -> Look {
        let (mut listed, mut faults) = list_each(&self.directory);
        let mut restless = HashSet::new();
        let differs = self.differs(&listed, &faults);
        if differs && !quiet.is_zero() {
            sleep(quiet);
            let before: HashMap<String, Listed> = by_name(listed);
            (listed, faults) = list_each(&self.directory);
            restless = listed
                .iter()
                .filter(|one| before.get(&one.name) != Some(*one))
                .map(|one| one.name.clone())
                .collect();
            // A name that is gone only now may be back at the next look.
            let now: HashSet<&str> = listed.iter().map(|one| one.name.as_str()).collect();
            let gone = before
                .into_keys()
                .filter(|name| !now.contains(name.as_str()));
            restless.extend(gone);
        }
        self.restless = match restless.len() {
            0 => 0,
            _ if self.restless < MAX_RESTLESS => self.restless + 1,
            _ => {
                restless.clear();
                0
            }
        };
        Look {
            changed: self.take(listed, &faults, &restless),
            restless: !restless.is_empty(),
        }
    }

    /// Every revocation that counts, whether it has lapsed or not.
    pub fn revocations(&self) -> impl Iterator<Item = &Revocation> {
        self.files.values().flat_map(Known::revocations)
    }

    /// What is wrong, a line each; the first 20.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let findings = self.files.values().flat_map(|known| &known.findings);
        let mut faults: Vec<String> = self.unreadable.iter().chain(findings).cloned().collect();
        let mut first: HashMap<&str, &Revocation> = HashMap::new();
        for one in self.revocations() {
            let same = first.entry(&one.name).or_insert(one);
            if (&same.file, same.line) != (&one.file, one.line) {
                faults.push(format!(
                    "{}:{}: a second Revocation with the name `{}`, first in {}:{}; both have effect",
                    one.file, one.line, one.name, same.file, same.line
                ));
            }
        }
        faults.truncate(MAX_FAULTS);
        faults
    }

    fn differs(&self, listed: &[Listed], faults: &[ReadError]) -> bool {
        let known = |one: &Listed| self.files.get(&one.name).is_some_and(|k| k.listed == *one);
        !faults.is_empty() || listed.len() != self.files.len() || !listed.iter().all(known)
    }

    /// Whether anything is different then.
    fn take(
        &mut self,
        listed: Vec<Listed>,
        faults: &[ReadError],
        restless: &HashSet<String>,
    ) -> bool {
        let mut unreadable: Vec<String> = faults.iter().map(ToString::to_string).collect();
        if listed.is_empty() && !self.files.is_empty() && faults.is_empty() {
            // Not even a policy: a directory that is not there, not one that revokes nobody.
            let dir = self.directory.clone();
            unreadable.push(ReadError::Empty { dir }.to_string());
        }
        let is_there = !listed.is_empty();
        let names: HashSet<String> = listed.iter().map(|one| one.name.clone()).collect();
        let mut changed = false;
        for one in listed {
            if !restless.contains(&one.name) {
                match self.read(one) {
                    Ok(differs) => changed |= differs,
                    Err(error) => unreadable.push(error.to_string()),
                }
            }
        }
        if is_there && restless.is_empty() {
            changed |= self.forget(|name| !names.contains(name), !faults.is_empty());
        }
        unreadable.truncate(MAX_FAULTS);
        changed |= self.unreadable != unreadable;
        self.unreadable = unreadable;
        changed
    }

    /// Forgets files that are gone. If not everything could be listed, it takes more
    /// than not being listed to be gone.
    fn forget(&mut self, is_gone: impl Fn(&str) -> bool, doubtful: bool) -> bool {
        let mut changed = false;
        self.files.retain(|name, known| {
            let gone = is_gone(name)
                && (!doubtful
                    || fs::symlink_metadata(&known.listed.path)
                        .is_err_and(|error| error.kind() == io::ErrorKind::NotFound));
            changed |= gone && known.says_something();
            !gone
        });
        changed
    }

    /// Reads a file, if it may have changed. Whether it then says something else.
    fn read(&mut self, listed: Listed) -> Result<bool, ReadError> {
        let read_at = seconds();
        let linger = self.linger_seconds;
        if let Some(known) = self.files.get_mut(&listed.name)
            && known.listed == listed
            && !known.is_doubtful()
        {
            return Ok(known.drop_kept(linger, read_at));
        }
        let source = read(&listed)?;
        let text = fingerprint(digest(&SHA256, source.text().as_bytes()).as_ref());
        if let Some(known) = self.files.get_mut(&listed.name)
            && known.text == text
        {
            (known.listed, known.read_at) = (listed, read_at);
            return Ok(known.drop_kept(linger, read_at));
        }
        let before = self.files.remove(&listed.name);
        let (said, kept, findings) = self.load(&source, before.as_ref());
        let mut known = Known {
            read_at,
            text,
            said,
            kept,
            findings,
            listed: listed.clone(),
        };
        known.drop_kept(linger, read_at);
        let differs = known.says_something() || before.is_some_and(|one| one.says_something());
        self.files.insert(listed.name, known);
        Ok(differs)
    }

    /// What a file says now, what it said before and no longer says, and what is wrong.
    fn load(
        &self,
        source: &Source,
        before: Option<&Known>,
    ) -> (Vec<Revocation>, Vec<Revocation>, Vec<String>) {
        let loaded = load_revocations(source, &self.options);
        let mut said = loaded.revocations;
        let mut findings: Vec<String> = loaded.findings.iter().map(ToString::to_string).collect();
        let names: HashSet<&str> = said.iter().map(|one| one.name.as_str()).collect();
        let earlier = before.into_iter().flat_map(Known::revocations);
        let kept = earlier.filter(|one| !names.contains(one.name.as_str()));
        let mut kept: Vec<Revocation> = kept.cloned().collect();
        let left = MAX_REVOCATIONS.saturating_sub(self.revocations().count());
        if said.len() + kept.len() > left {
            findings.push(format!(
                "{}: more than {MAX_REVOCATIONS} revocations; some have no effect",
                source.name()
            ));
            said.truncate(left);
            kept.truncate(left - said.len());
        }
        (said, kept, findings)
    }
}

impl Known {
    fn revocations(&self) -> impl Iterator<Item = &Revocation> {
        self.said.iter().chain(&self.kept)
    }

    fn says_something(&self) -> bool {
        self.revocations().next().is_some() || !self.findings.is_empty()
    }

    /// Drops what the file said before, once it is in order and has held still. Whether
    /// there was something to drop.
    fn drop_kept(&mut self, linger_seconds: i64, now: i64) -> bool {
        let still_since = now.saturating_sub(self.listed.changed.0);
        if self.kept.is_empty() || !self.findings.is_empty() || still_since < linger_seconds {
            return false;
        }
        self.kept.clear();
        true
    }

    /// Whether it may have changed since it was read, and still look the same.
    const fn is_doubtful(&self) -> bool {
        self.listed.changed.0.saturating_add(COARSE_SECONDS) >= self.read_at
    }
}

fn by_name(listed: Vec<Listed>) -> HashMap<String, Listed> {
    let named = listed.into_iter().map(|one| (one.name.clone(), one));
    named.collect()
}

fn seconds() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since_epoch.unwrap_or_default().as_secs()).unwrap_or(i64::MAX)
}
