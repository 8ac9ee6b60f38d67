//! Short names for identities: as short as they can be without standing for two.

use std::collections::HashMap;

use callgate_policy::{SpiffeId, spec::PolicySetSpec};

/// Segments of a short name: the last two say what kind of thing it is, as in `sa/orders`.
const SEGMENTS: usize = 2;

/// Short names among some identities.
#[derive(Clone, Debug, Default)]
pub struct ShortNames {
    /// Who ends in some segments; nobody if several do.
    endings: HashMap<String, Option<SpiffeId>>,
}

impl ShortNames {
    /// Names that are unique among `identities`.
    pub fn among<'i>(identities: impl IntoIterator<Item = &'i SpiffeId>) -> Self {
        let mut endings: HashMap<String, Option<SpiffeId>> = HashMap::new();
        for id in identities {
            for ending in path_endings(id.as_str()) {
                let owner = endings.entry(ending.to_owned());
                let owner = owner.or_insert_with(|| Some(id.clone()));
                if owner.as_ref() != Some(id) {
                    *owner = None;
                }
            }
        }
        Self { endings }
    }

    /// Names that are unique among those that documents write out, and `others`.
    pub fn of<'i>(spec: &'i PolicySetSpec, others: impl IntoIterator<Item = &'i SpiffeId>) -> Self {
        let of_mesh = spec.mesh.iter().flat_map(|mesh| {
            let rules = mesh.allow.iter().chain(&mesh.deny);
            let forwarders = mesh.trust.forwarders.iter().map(|one| &one.id);
            let gateways = mesh.trust.gateways.iter().map(|one| &one.id);
            rules.flat_map(callers).chain(forwarders).chain(gateways)
        });
        let of_services = spec.services.iter().flat_map(|service| {
            let rules = service.allow.iter().chain(&service.deny);
            rules.flat_map(callers).chain(&service.services)
        });
        Self::among(of_mesh.chain(of_services).chain(others))
    }

    /// `…/sa/orders`; all of it where no part would do.
    #[must_use]
    pub fn short(&self, id: &SpiffeId) -> String {
        let mut endings = path_endings(id.as_str());
        let unique = endings.find(|ending| {
            let owner = self.endings.get(*ending);
            owner.is_none_or(|owner| owner.as_ref() == Some(id))
        });
        unique.map_or_else(|| id.to_string(), |ending| format!("…{ending}"))
    }
}

fn callers(rule: &callgate_policy::spec::RuleSpec) -> impl Iterator<Item = &SpiffeId> {
    let patterns = rule.from.iter().flat_map(|from| from.callers.patterns());
    patterns.filter_map(|pattern| pattern.exact())
}

/// Ends of an ID's path that are not all of it, shortest first: `/sa/orders`,
/// `/shop/sa/orders`. The whole path is none, because it does not say its trust domain.
fn path_endings(id: &str) -> impl Iterator<Item = &str> {
    let path = id.splitn(4, '/').nth(3).unwrap_or_default();
    let start = id.len() - path.len();
    let slashes = path.rmatch_indices('/').skip(SEGMENTS - 1);
    slashes.filter_map(move |(at, _)| id.get(start + at..))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> SpiffeId {
        SpiffeId::parse(text).unwrap()
    }

    #[test]
    fn names_are_as_short_as_they_can_be() {
        let all = [
            id("spiffe://example.org/ns/shop/sa/orders"),
            id("spiffe://example.org/ns/shop/sa/web"),
            id("spiffe://example.org/ns/mail/sa/web"),
            id("spiffe://partner.example/ns/mail/sa/web"),
            id("spiffe://example.org/a"),
            id("spiffe://example.org/a/b"),
        ];
        let names = ShortNames::among(&all);
        let short: Vec<_> = all.iter().map(|id| names.short(id)).collect();
        assert_eq!(
            short,
            [
                "…/sa/orders",
                "…/shop/sa/web",
                "spiffe://example.org/ns/mail/sa/web",
                "spiffe://partner.example/ns/mail/sa/web",
                "spiffe://example.org/a",
                "spiffe://example.org/a/b",
            ]
        );
    }

    #[test]
    fn a_stranger_has_nobody_elses_name() {
        let names = ShortNames::among(&[id("spiffe://example.org/ns/shop/sa/orders")]);
        let stranger = id("spiffe://example.org/ns/evil/sa/orders");
        assert_eq!(names.short(&stranger), "…/evil/sa/orders");
        let other = id("spiffe://other.example/ns/shop/sa/orders");
        assert_eq!(names.short(&other), other.as_str());
    }

    #[test]
    fn no_two_have_one_name() {
        let parts = ["a", "b", "sa"];
        let mut all = Vec::new();
        for domain in ["x", "y"] {
            for one in parts {
                for two in parts {
                    all.push(id(&format!("spiffe://{domain}/{one}/{two}")));
                    all.push(id(&format!("spiffe://{domain}/ns/{one}/sa/{two}")));
                }
            }
        }
        let names = ShortNames::among(&all);
        let mut short: Vec<_> = all.iter().map(|id| names.short(id)).collect();
        short.sort();
        short.dedup();
        assert_eq!(short.len(), all.len());
    }
}
