//! The codes of findings. A code never changes its meaning and is never used again.

use std::fmt;

/// One list of codes: the enum, its numbers and what they mean cannot part ways.
macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal,)+) => {
        /// What kind of finding it is: below 100 the text and its YAML, from 100 the
        /// shape of a document, from 200 rules, from 300 what documents say to each other, from 400
        /// revocations, from 500 what is in order, but probably not what was meant, from 600 tests
        /// of policies.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Code {
            /// Every code, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The code as it is printed, such as `CG009`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }

            /// What it means, for people: a line or a few.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim_ascii_start(),)+
                }
            }
        }
    };
}

codes! {
    /// The file is not UTF-8.
    NotUtf8 = "CG001",
    /// The file has more bytes than one may have.
    FileTooLarge = "CG002",
    /// Lists and mappings are nested deeper than they may be.
    NestedTooDeep = "CG003",
    /// The file has more values than one may have.
    TooManyValues = "CG004",
    /// Not well-formed YAML. The rest of the file was not read.
    Syntax = "CG005",
    /// A character that a reader does not see, or sees elsewhere than it stands: controls,
    /// a lone carriage return, bidirectional formatting.
    HiddenCharacter = "CG006",
    /// A YAML tag, `!x`. What follows a tag is not what it looks like: `when: !has(x)` would
    /// lose the whole condition.
    Tag = "CG007",
    /// A YAML anchor or alias, `&x` and `*x`, or a merge key, `<<`.
    Alias = "CG008",
    /// A key that stands twice in one mapping. Readers of YAML differ in which of the two
    /// they take.
    DuplicateKey = "CG009",
    /// A key that is not a text.
    KeyNotString = "CG010",
    /// A value that is null, written or by leaving it out: `exception: # later` would make a
    /// rule permanent.
    Null = "CG011",
    /// An empty text, list or mapping where something must be said.
    Empty = "CG012",

    /// A value of another type than the field has.
    WrongType = "CG101",
    /// An unquoted text that readers of YAML take for a boolean, a number or a date, where
    /// the field is text.
    NotQuoted = "CG102",
    /// A field that this kind of document does not have.
    UnknownField = "CG103",
    /// A field that must be there is not.
    MissingField = "CG104",
    /// A value that is none of the few that the field knows.
    UnknownValue = "CG105",
    /// Another `apiVersion` than `callgate.dev/v1alpha1`.
    ApiVersion = "CG106",
    /// A `kind` that this release does not load.
    UnknownKind = "CG107",
    /// A name that breaks the rules for names.
    InvalidName = "CG108",
    /// A text that is too long or has control characters.
    InvalidText = "CG109",
    /// Not a point in time: RFC 3339 with date, time and offset.
    InvalidTime = "CG110",
    /// Not a length of time: a whole number and `d` or `h`.
    InvalidDuration = "CG111",
    /// Not a directory within the one that holds the policies.
    InvalidDirectory = "CG112",

    /// Not a SPIFFE ID, nor a pattern of one, nor the name of a group.
    InvalidCaller = "CG201",
    /// A relative identity, and nothing says which trust domain is meant.
    NoTrustDomain = "CG202",
    /// Not the name of a trust domain.
    InvalidTrustDomain = "CG203",
    /// A wildcard, a capture or a group where one exact identity must stand.
    NotExact = "CG204",
    /// Not an operation: `METHOD /path`, `GRPC package.Service/Method`, `WEBSOCKET /path`.
    InvalidOperation = "CG205",
    /// A name captured in `from` that does not bind: a caller that skips the capture would
    /// be let into everybody's.
    UnboundCapture = "CG206",
    /// A capture among the members of a group.
    CaptureInGroup = "CG207",
    /// An exception that lacks some of its four fields.
    IncompleteException = "CG208",
    /// An exception on a deny rule.
    ExceptionOnDeny = "CG209",
    // CG210 was `when` before there were conditions.
    /// Two rules of one document with the same name.
    DuplicateRule = "CG211",
    /// A capture where there is nothing that could bind it.
    IdleCapture = "CG212",
    /// An alias that is none: the other name is the same.
    AliasOfItself = "CG213",
    /// A `when` that is not CEL, or not the part of it that conditions have.
    WhenSyntax = "CG214",
    /// A variable, a field or a function that conditions do not have.
    WhenUnknown = "CG215",
    /// Values in a `when` whose types do not go together, or a result that is neither true
    /// nor false.
    WhenType = "CG216",
    /// A header that a `when` may not read, or that no request has by this name.
    WhenHeader = "CG217",
    /// A `when`, or a part of one, that is the same whatever the request.
    WhenConstant = "CG218",
    /// A `when` that is larger, or may take longer, than one may.
    WhenTooCostly = "CG219",

    /// Two documents of one kind with the same name, whatever their namespaces.
    DuplicateDocument = "CG301",
    /// Two documents for one service, or one document that names it twice.
    DuplicateService = "CG302",
    /// More than one `MeshPolicy`.
    SecondMeshPolicy = "CG303",
    /// A group that no document defines.
    UnknownGroup = "CG304",
    /// The trust domain that was given is not the one of the `MeshPolicy`.
    TrustDomainConflict = "CG305",
    /// A Shadow document where the `MeshPolicy` forbids it.
    ShadowForbidden = "CG306",
    /// The set is larger than the compiled form can hold, mostly because large groups are
    /// used by many rules.
    SetTooLarge = "CG307",
    /// Two entries of one list of the `MeshPolicy` about the same.
    DuplicateEntry = "CG308",
    /// An identity of a trust domain that the `MeshPolicy` does not accept: no such caller
    /// ever gets in.
    UnacceptedTrustDomain = "CG309",
    /// An exception that lasts longer than the `MeshPolicy` lets one.
    ExceptionTooLong = "CG310",
    /// An allow rule whose `from` is as wide as the `MeshPolicy` forbids.
    ForbiddenFrom = "CG311",
    /// A document for a service whose policy, by the `MeshPolicy`, others write.
    NotAnAuthor = "CG312",

    /// Not the SHA-256 of a certificate: 64 hexadecimal digits.
    InvalidFingerprint = "CG401",
    /// A revocation of an identity and of a certificate at once.
    SeveralTargets = "CG402",

    /// A rule, or a line of one, that no call can ever meet, so that whoever reads it believes
    /// in an access that is not there. Mend it, or remove it.
    NeverMatches = "CG501",
    /// A rule, or an entry of one, that changes nothing, because another one says the same and
    /// perhaps more. Whoever removes one of the two, to take an access away, is surprised by the
    /// other. Keep the narrower one if the wider was not meant.
    Needless = "CG502",
    /// An allow rule of which a deny rule leaves nothing. Deny rules come first, whatever order
    /// they are written in: whom this rule was to admit is refused.
    DeniedWhole = "CG503",
    /// A deny rule that cuts a hole into a wide allow rule, by the letters of a path. Paths are
    /// compared with case; a framework that does not (`/Admin` is `/admin` to it) serves what
    /// was to be denied. Allow what is needed by name instead, so that nothing else is open.
    CarvedOut = "CG504",
    /// A `from` that is as wide as a whole trust domain: every workload there is, those of
    /// tomorrow included. Name the callers, or a namespace, or say by a suppression why
    /// everybody may.
    WholeTrustDomain = "CG505",
    /// A capture that takes in what another line gives a meaning of its own: `{order}` is also
    /// `7:refund` where there is `/orders/{order}:refund`, so who may do the first may do the
    /// second.
    CaptureTakesVerb = "CG506",
    /// An identity that was not seen in the decision log given with `--log`: a slip in a name, or
    /// an access that nobody uses.
    UnseenIdentity = "CG507",
    /// An exception that ends within the time given with `--expiring-within`, 14 days unless it is
    /// given. From then on its callers are refused.
    ExpiringException = "CG508",
    /// An exception that has ended: its rule no longer matches anything. Remove the rule, or have
    /// the exception approved anew.
    ExpiredException = "CG509",
    /// A text that was to be replaced, such as `owner: TODO`. Callers who are refused are told to
    /// ask the owner.
    Placeholder = "CG510",
    /// A `CallerGroup` that no rule names. Who is added to it gets nothing.
    UnusedGroup = "CG511",
    /// A comment that begins with `callgate:` and is not understood. It is written
    /// `# callgate: allow CG505 and the reason`: the code of a warning, then why it is fine here;
    /// on the line that is warned of, or alone on the line above what it holds for. What is an
    /// error cannot be allowed.
    InvalidSuppression = "CG598",
    /// A suppression of a warning that is not there, or no longer. Remove it, or it will hide
    /// the next one.
    UnusedSuppression = "CG599",

    /// Not a request of a test: a method and a path, `GET /orders/7`, with values and not
    /// with patterns.
    InvalidRequest = "CG601",
    /// Not a header of a request.
    InvalidHeader = "CG602",
    /// An expectation that nothing can ever meet.
    ImpossibleExpectation = "CG603",
    /// Two cases of one test with the same name.
    DuplicateCase = "CG604",
    /// A document in a file of tests that is no test: nobody would read it there.
    NotATest = "CG605",
    /// A case that stands for more calls than one may.
    CaseTooLarge = "CG606",
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The documents load; it is probably not what was meant.
    Warning,
    /// The set does not load.
    Error,
}

impl Severity {
    /// `error` or `warning`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Code {
    /// How much findings of this code matter.
    #[must_use]
    pub fn severity(self) -> Severity {
        if (Self::NeverMatches..=Self::UnusedSuppression).contains(&self) {
            Severity::Warning
        } else {
            Severity::Error
        }
    }

    /// The code that is printed as `text`, such as `CG009`.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|code| code.as_str() == text)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
