//! The codes of findings. A code never changes its meaning and is never used again.

use std::fmt;

/// What kind of finding it is: below 100 the text and its YAML, from 100 the shape of
/// a document, from 200 rules, from 300 what documents say to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Code {
    /// `CG001`: the file is not UTF-8.
    NotUtf8,
    /// `CG002`: the file has more bytes than [`Limits::file_bytes`](super::Limits).
    FileTooLarge,
    /// `CG003`: collections are nested deeper than [`Limits::depth`](super::Limits).
    NestedTooDeep,
    /// `CG004`: the file has more values than [`Limits::nodes`](super::Limits).
    TooManyValues,
    /// `CG005`: not well-formed YAML. The rest of the file was not read.
    Syntax,
    /// `CG006`: a character that a reader does not see or sees elsewhere than it
    /// stands: controls, a lone carriage return, bidirectional formatting.
    HiddenCharacter,
    /// `CG007`: a YAML tag (`!x`). What follows a tag is not what it looks like.
    Tag,
    /// `CG008`: a YAML anchor or alias (`&x`, `*x`), or a merge key (`<<`).
    Alias,
    /// `CG009`: a key that stands twice in one mapping. YAML readers differ in which
    /// of the two they take.
    DuplicateKey,
    /// `CG010`: a key that is not a string.
    KeyNotString,
    /// `CG011`: a value that is null, written or by leaving it out.
    Null,
    /// `CG012`: an empty text, list or mapping where something must be said.
    Empty,

    /// `CG101`: a value of another type than the field has.
    WrongType,
    /// `CG102`: an unquoted text that YAML 1.1 or 1.2 reads as a boolean, a number or
    /// a date where the field is text. Other readers of the same file would not see it.
    NotQuoted,
    /// `CG103`: a field that this kind of document does not have.
    UnknownField,
    /// `CG104`: a field that must be there is not.
    MissingField,
    /// `CG105`: a value that is none of the few that the field knows.
    UnknownValue,
    /// `CG106`: another `apiVersion` than `callgate.dev/v1alpha1`.
    ApiVersion,
    /// `CG107`: a `kind` that this release does not load.
    UnknownKind,
    /// `CG108`: a name that breaks the rules for names.
    InvalidName,
    /// `CG109`: a text that is too long or has control characters.
    InvalidText,
    /// `CG110`: not a point in time: RFC 3339 with time and offset.
    InvalidTime,

    /// `CG201`: not a SPIFFE ID, nor a pattern of one, nor a group's name.
    InvalidCaller,
    /// `CG202`: a relative identity, and nothing says which trust domain is meant.
    NoTrustDomain,
    /// `CG203`: not a trust domain's name.
    InvalidTrustDomain,
    /// `CG204`: a wildcard, a capture or a group where one exact identity must stand.
    NotExact,
    /// `CG205`: not an operation: `METHOD /path`, `GRPC package.Service/Method`, …
    InvalidOperation,
    /// `CG206`: a name captured in `from` that does not bind. A caller that skips the
    /// capture would be let into everybody's.
    UnboundCapture,
    /// `CG207`: a capture among the members of a group.
    CaptureInGroup,
    /// `CG208`: an exception that lacks some of its four fields.
    IncompleteException,
    /// `CG209`: an exception on a deny rule.
    ExceptionOnDeny,
    /// `CG210`: a `when` condition, which this release does not decide.
    WhenUnsupported,
    /// `CG211`: two rules of one document with the same name.
    DuplicateRule,

    /// `CG301`: two documents of one kind with the same name.
    DuplicateDocument,
    /// `CG302`: two documents, or one twice, for one service.
    DuplicateService,
    /// `CG303`: more than one `MeshPolicy`.
    SecondMeshPolicy,
    /// `CG304`: a group that no document defines.
    UnknownGroup,
    /// `CG305`: the trust domain given to the loader is not the `MeshPolicy`'s.
    TrustDomainConflict,
    /// `CG306`: a Shadow document where the `MeshPolicy` forbids it.
    ShadowForbidden,
    /// `CG307`: the set is larger than the compiled form can hold, mostly because of
    /// groups: see [`Limits::members`](super::Limits).
    SetTooLarge,
}

impl Code {
    /// Every code, in order.
    pub const ALL: [Self; 40] = [
        Self::NotUtf8,
        Self::FileTooLarge,
        Self::NestedTooDeep,
        Self::TooManyValues,
        Self::Syntax,
        Self::HiddenCharacter,
        Self::Tag,
        Self::Alias,
        Self::DuplicateKey,
        Self::KeyNotString,
        Self::Null,
        Self::Empty,
        Self::WrongType,
        Self::NotQuoted,
        Self::UnknownField,
        Self::MissingField,
        Self::UnknownValue,
        Self::ApiVersion,
        Self::UnknownKind,
        Self::InvalidName,
        Self::InvalidText,
        Self::InvalidTime,
        Self::InvalidCaller,
        Self::NoTrustDomain,
        Self::InvalidTrustDomain,
        Self::NotExact,
        Self::InvalidOperation,
        Self::UnboundCapture,
        Self::CaptureInGroup,
        Self::IncompleteException,
        Self::ExceptionOnDeny,
        Self::WhenUnsupported,
        Self::DuplicateRule,
        Self::DuplicateDocument,
        Self::DuplicateService,
        Self::SecondMeshPolicy,
        Self::UnknownGroup,
        Self::TrustDomainConflict,
        Self::ShadowForbidden,
        Self::SetTooLarge,
    ];

    /// The code as it is printed, such as `CG009`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotUtf8 => "CG001",
            Self::FileTooLarge => "CG002",
            Self::NestedTooDeep => "CG003",
            Self::TooManyValues => "CG004",
            Self::Syntax => "CG005",
            Self::HiddenCharacter => "CG006",
            Self::Tag => "CG007",
            Self::Alias => "CG008",
            Self::DuplicateKey => "CG009",
            Self::KeyNotString => "CG010",
            Self::Null => "CG011",
            Self::Empty => "CG012",
            Self::WrongType => "CG101",
            Self::NotQuoted => "CG102",
            Self::UnknownField => "CG103",
            Self::MissingField => "CG104",
            Self::UnknownValue => "CG105",
            Self::ApiVersion => "CG106",
            Self::UnknownKind => "CG107",
            Self::InvalidName => "CG108",
            Self::InvalidText => "CG109",
            Self::InvalidTime => "CG110",
            Self::InvalidCaller => "CG201",
            Self::NoTrustDomain => "CG202",
            Self::InvalidTrustDomain => "CG203",
            Self::NotExact => "CG204",
            Self::InvalidOperation => "CG205",
            Self::UnboundCapture => "CG206",
            Self::CaptureInGroup => "CG207",
            Self::IncompleteException => "CG208",
            Self::ExceptionOnDeny => "CG209",
            Self::WhenUnsupported => "CG210",
            Self::DuplicateRule => "CG211",
            Self::DuplicateDocument => "CG301",
            Self::DuplicateService => "CG302",
            Self::SecondMeshPolicy => "CG303",
            Self::UnknownGroup => "CG304",
            Self::TrustDomainConflict => "CG305",
            Self::ShadowForbidden => "CG306",
            Self::SetTooLarge => "CG307",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
