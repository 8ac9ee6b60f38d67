//! Inputs that are nearly right.
//!
//! Random bytes end at the first line of any parser. Where no coverage guides them,
//! they are used as instructions instead: which seed to take, and what to do to it.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};

/// Pieces that parsers here treat as something special.
const PIECES: [&[u8]; 40] = [
    b"/",
    b"//",
    b"/./",
    b"/../",
    b"..",
    b"%2F",
    b"%2f",
    b"%25",
    b"%00",
    b"%61",
    b"%C3%A9",
    b"%",
    b"\\",
    b";",
    b"#",
    b"?",
    b" ",
    b"\t",
    b"\n",
    b"\r\n",
    b"\0",
    b"*",
    b"**",
    b"{x}",
    b"{",
    b"}",
    b"spiffe://",
    b"SPIFFE://",
    b"@",
    b":",
    b"\xc3\xa9",
    b"\xff",
    b"\"",
    b",",
    b"=",
    b"- ",
    b"  ",
    b"-----BEGIN CERTIFICATE-----",
    b"null",
    b"!tag ",
];

/// The checked-in inputs of a target, and what becomes of them.
#[derive(Debug)]
pub struct Corpus(Vec<Vec<u8>>);

impl Corpus {
    /// Reads the corpus of `target`.
    ///
    /// # Errors
    /// When there is none.
    pub fn read(target: &str) -> Result<Self> {
        let folder = ["tests", "__fuzz__", target, "corpus"];
        let folder: PathBuf = [env!("CARGO_MANIFEST_DIR")]
            .into_iter()
            .chain(folder)
            .collect();
        let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        let mut seeds = Vec::new();
        for entry in entries {
            seeds.push(fs::read(entry?.path())?);
        }
        // So that the same bytes mean the same input on every machine.
        seeds.sort();
        ensure!(!seeds.is_empty(), "`{}` is empty", folder.display());
        Ok(Self(seeds))
    }

    /// Seeds that cannot be checked in, such as certificates.
    ///
    /// # Errors
    /// When there is none.
    pub fn of(seeds: Vec<Vec<u8>>) -> Result<Self> {
        ensure!(!seeds.is_empty(), "no seed");
        Ok(Self(seeds))
    }

    /// A seed, changed as `instructions` say: the first byte picks it, each four more are
    /// one change.
    #[must_use]
    pub fn mutant(&self, instructions: &[u8]) -> Vec<u8> {
        let Some((first, changes)) = instructions.split_first() else {
            return Vec::new();
        };
        let mut mutant = self.seed(*first).to_vec();
        // A few changes are a near miss; a hundred are noise.
        for change in changes.chunks_exact(4).take(6) {
            if let [kind, high, low, what] = *change {
                let at = usize::from(u16::from_be_bytes([high, low])) % (mutant.len() + 1);
                self.change(&mut mutant, kind, at, what);
            }
        }
        mutant
    }

    fn seed(&self, number: u8) -> &[u8] {
        let index = usize::from(number) % self.0.len();
        self.0.get(index).map_or(&[], Vec::as_slice)
    }

    fn change(&self, mutant: &mut Vec<u8>, kind: u8, at: usize, what: u8) {
        let end = mutant.len().min(at + usize::from(what % 16));
        match kind % 7 {
            0 => drop(mutant.drain(at..end)),
            1 => insert(
                mutant,
                at,
                PIECES
                    .get(usize::from(what) % PIECES.len())
                    .unwrap_or(&PIECES[0]),
            ),
            2 => insert(mutant, at, &[what]),
            3 => mutant
                .iter_mut()
                .skip(at)
                .take(1)
                .for_each(|byte| *byte ^= 1 << (what % 8)),
            4 => mutant
                .iter_mut()
                .skip(at)
                .take(1)
                .for_each(|byte| *byte = what),
            5 => {
                let copied: Vec<u8> = mutant.iter().skip(at).take(end - at).copied().collect();
                insert(mutant, at, &copied);
            }
            _ => {
                let other = self.seed(what);
                let tail: Vec<u8> = other.iter().skip(at % (other.len() + 1)).copied().collect();
                mutant.truncate(at);
                mutant.extend(tail);
            }
        }
    }
}

fn insert(into: &mut Vec<u8>, at: usize, what: &[u8]) {
    into.splice(at..at, what.iter().copied());
}
