//! What changes besides rules: who may ask, and what reaches a service.

use std::collections::BTreeMap;

use callgate_policy::{
    CallerPattern, SpiffeId, Timestamp,
    document::{Revocation, Revoked},
};

use super::{Direction, SettingChange, Version};

pub(super) fn changes(old: &Version, new: &Version, now: Timestamp) -> Vec<SettingChange> {
    let mut changes = gateways(old, new);
    changes.extend(override_headers(old, new));
    changes.extend(certificates(old, new, now));
    changes
}

/// Proxies that ask about services other than their own.
fn gateways(old: &Version, new: &Version) -> Vec<SettingChange> {
    let listed = |version: &Version| -> BTreeMap<SpiffeId, Vec<CallerPattern>> {
        let mesh = version.mesh().into_iter();
        let gateways = mesh.flat_map(|mesh| &mesh.trust.gateways);
        gateways
            .map(|one| (one.id.clone(), one.for_services.clone()))
            .collect()
    };
    let (before, after) = (listed(old), listed(new));
    let mut changes = Vec::new();
    let mut tell =
        |id: &SpiffeId, services: &[CallerPattern], others: &[CallerPattern], direction| {
            let word = match direction {
                Direction::Widened => "may now ask",
                Direction::Narrowed => "may no longer ask",
            };
            for pattern in services {
                if !others.iter().any(|other| other.covers(pattern)) {
                    changes.push(SettingChange {
                        direction: Some(direction),
                        text: format!("gateway {id} {word} about calls to {pattern}"),
                    });
                }
            }
        };
    for (id, services) in &after {
        let others = before.get(id).map_or(&[][..], |list| list);
        tell(id, services, others, Direction::Widened);
    }
    for (id, services) in &before {
        let others = after.get(id).map_or(&[][..], |list| list);
        tell(id, services, others, Direction::Narrowed);
    }
    changes
}

/// Headers by which a service takes a request for another than the one that was decided.
fn override_headers(old: &Version, new: &Version) -> Vec<SettingChange> {
    let kept = |version: &Version| -> BTreeMap<SpiffeId, bool> {
        let policies = version.services().iter();
        let all = policies.flat_map(|policy| {
            let services = policy.services.iter().cloned();
            services.map(|id| (id, policy.keep_override_headers))
        });
        all.collect()
    };
    let (before, after) = (kept(old), kept(new));
    let mut changes = Vec::new();
    for service in before
        .keys()
        .chain(after.keys().filter(|id| !before.contains_key(*id)))
    {
        let keeps = |list: &BTreeMap<SpiffeId, bool>| list.get(service).copied().unwrap_or(false);
        let (direction, word) = match (keeps(&before), keeps(&after)) {
            (false, true) => (Direction::Widened, "now reach"),
            (true, false) => (Direction::Narrowed, "no longer reach"),
            _ => continue,
        };
        changes.push(SettingChange {
            direction: Some(direction),
            text: format!(
                "headers that override method or URL (x-http-method-override, …) {word} {service}"
            ),
        });
    }
    changes
}

/// Certificates that are believed no longer, or again.
fn certificates(old: &Version, new: &Version, now: Timestamp) -> Vec<SettingChange> {
    let active = |version: &Version| -> BTreeMap<[u8; 32], (String, Option<Timestamp>)> {
        let all = version.revocations().iter();
        let of = |one: &Revocation| match one.revoked {
            Revoked::Certificate(hash) if one.is_active(now) => {
                Some((hash, (one.name.clone(), one.expires)))
            }
            _ => None,
        };
        all.filter_map(of).collect()
    };
    let (before, after) = (active(old), active(new));
    let mut changes = Vec::new();
    let mut tell = |hash: &[u8; 32], name: &str, direction, word| {
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        changes.push(SettingChange {
            direction: Some(direction),
            text: format!("certificate {hex} is {word} ({name})"),
        });
    };
    for (hash, (name, expires)) in &after {
        match before.get(hash) {
            None => tell(hash, name, Direction::Narrowed, "revoked"),
            Some((_, other)) if later(*other, *expires) => {
                tell(hash, name, Direction::Narrowed, "revoked for longer");
            }
            Some((_, other)) if later(*expires, *other) => {
                tell(hash, name, Direction::Widened, "revoked for less long");
            }
            Some(_) => {}
        }
    }
    for (hash, (name, _)) in before.iter().filter(|(hash, _)| !after.contains_key(*hash)) {
        tell(hash, name, Direction::Widened, "revoked no longer");
    }
    changes
}

/// Whether `other` ends later than `one`; what has no end, never does.
fn later(one: Option<Timestamp>, other: Option<Timestamp>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one < other,
        (Some(_), None) => true,
        (None, _) => false,
    }
}
