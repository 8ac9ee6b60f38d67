//! Identities: Linkerd's are DNS names of service accounts, which have to be told as SPIFFE IDs.
//!
//! `ACCOUNT.NAMESPACE.serviceaccount.identity.CONTROL-PLANE.DOMAIN` becomes
//! `spiffe://DOMAIN/ns/NAMESPACE/sa/ACCOUNT`, the form that Istio and SPIRE's own examples have.

use callgate_policy::{CallerPattern, TrustDomain};

use crate::import::{
    Options,
    document::Span,
    draft::caller,
    fields::Word,
    formula::{Atom, Formula},
    report::{Finding, Kind},
    shape::{Segment, Shape},
    text::{self, Match},
};

/// Linkerd's own default trust domain.
pub(super) const DEFAULT: &str = "cluster.local";

/// What could not be read; the finding has been made.
pub(super) const UNREAD: Formula = Formula::Any(Vec::new());

const MARK: &str = ".serviceaccount.identity.";

/// One of `identities`: a name, or `*` and a part of names.
pub(super) fn name(word: Word<'_>, options: &Options) -> Formula {
    if word.text == "*" {
        return Formula::Is(word.span, Atom::Identified);
    }
    if word.text.starts_with("spiffe://") {
        return text::identity(word.text, Match::Exact, word.span);
    }
    let refuse = |kind, message: &str, instead: &str| {
        let message = format!("`{}`: {message}", word.text);
        Formula::gap(Finding::new(kind, word.span, message).instead(instead))
    };
    let dotted = format!(".{}", word.text);
    let Some((who, place)) = dotted.split_once(MARK) else {
        return refuse(
            Kind::Identity,
            "this is not the identity of a service account",
            "name the callers by their SPIFFE IDs",
        );
    };
    let domain = place.split_once('.').map_or("", |(_, domain)| domain);
    if !domains(options).any(|known| known == domain) {
        let instead =
            format!("give `--accept {domain}` if the mesh believes it; otherwise this is nobody");
        return refuse(
            Kind::Identity,
            "its trust domain is not one of the mesh",
            &instead,
        );
    }
    let who = who.trim_start_matches('.');
    let shape = Shape::exact([domain, "ns"]);
    let shape = match who.rsplit_once('.') {
        None if who == "*" => shape
            .then(Segment::Any)
            .then(Segment::Literal("sa".to_owned()))
            .then(Segment::Any),
        Some(("*", namespace)) => Shape::exact([domain, "ns", namespace, "sa"]).then(Segment::Any),
        Some((account, namespace)) if !who.contains('*') => {
            Shape::exact([domain, "ns", namespace, "sa", account])
        }
        _ => {
            return refuse(
                Kind::Wildcard,
                "a part of an account or a namespace",
                "list the callers",
            );
        }
    };
    one(shape, word.span)
}

/// A service account, in the mesh's own trust domain.
pub(super) fn account(namespace: &str, account: &str, at: Span, options: &Options) -> Formula {
    one(
        Shape::exact([own(options), "ns", namespace, "sa", account]),
        at,
    )
}

/// Every account of a namespace, in the mesh's own trust domain.
pub(super) fn namespace(namespace: &str, at: Span, options: &Options) -> Formula {
    one(
        Shape::exact([own(options), "ns", namespace, "sa"]).then(Segment::Any),
        at,
    )
}

fn own(options: &Options) -> &str {
    options
        .trust_domain
        .as_ref()
        .map_or(DEFAULT, TrustDomain::as_str)
}

fn domains(options: &Options) -> impl Iterator<Item = &str> {
    let others = options.accepted.iter().map(TrustDomain::as_str);
    std::iter::once(own(options)).chain(others)
}

fn one(shape: Shape, at: Span) -> Formula {
    let text = caller(&shape, None);
    if let Err(error) = CallerPattern::parse(&text, None) {
        let message = format!("no caller is called `{text}`: {error}");
        return Formula::gap(Finding::new(Kind::Identity, at, message));
    }
    Formula::Is(at, Atom::Callers(vec![shape]))
}
