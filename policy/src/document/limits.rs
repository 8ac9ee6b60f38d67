//! How much a set of documents may be. A limit that is passed is a finding.

/// Bounds on what [`load`](super::load) reads. They keep one file from taking the
/// memory or the time of a server that must go on deciding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file. Default [`Limits::FILE_BYTES`].
    pub file_bytes: usize,
    /// Collections within collections. Default 32: the deepest field of the language,
    /// `spec.allow[].exception.expires`, stands at 5.
    pub depth: usize,
    /// Values of one file: scalars, lists and mappings. Default 4,000,000: a rule has
    /// about 10, and each takes some 60 bytes while its file is read.
    pub nodes: usize,
    /// Members that the groups of all rules stand for together. Default 1,000,000: every
    /// use of a group has its own entries in the compiled form, of some 100 bytes.
    pub members: usize,
    /// Findings that are kept to be shown, in the order of the files. Default 100:
    /// nobody reads more, and the first causes many of the rest.
    pub findings: usize,
}

impl Limits {
    /// 8 MiB: 60,000 rules of one line each, which one service never has. A Kubernetes
    /// object or ConfigMap ends at 1 MiB already.
    pub const FILE_BYTES: usize = 8 << 20;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: Self::FILE_BYTES,
            depth: 32,
            nodes: 4_000_000,
            members: 1_000_000,
            findings: 100,
        }
    }
}
