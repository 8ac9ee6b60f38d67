//! What changes in a request on its way to the service.

use callgate_wire::headers;

use crate::{
    Allow, Edit, Host, HostError, Section,
    request::{Change, Seen},
};

/// What changes in the headers of a request that goes on: what the caller may not
/// send goes first, so that the answer has the last word.
pub(crate) fn rewrite<H: Host>(host: &mut H, seen: &Seen, allow: &Allow) -> Result<(), HostError> {
    clean(host, seen, allow.keep_overrides)?;
    allow.edits.iter().try_for_each(|edit| apply(host, edit))
}

/// The same for a request that a lease lets go on.
pub(crate) fn name_caller<H: Host>(
    host: &mut H,
    seen: &Seen,
    keep_overrides: bool,
    (caller, decision): (&str, &str),
) -> Result<(), HostError> {
    clean(host, seen, keep_overrides)?;
    host.set_header(headers::CALLER.as_bytes(), caller.as_bytes())?;
    host.set_header(headers::DECISION.as_bytes(), decision.as_bytes())
}

fn clean<H: Host>(host: &mut H, seen: &Seen, keep_overrides: bool) -> Result<(), HostError> {
    if !keep_overrides {
        for name in seen.overrides() {
            host.remove(Section::Headers, name)?;
        }
    }
    let name = headers::CLIENT_CERT.as_bytes();
    match seen.client_cert().change() {
        Change::Keep => Ok(()),
        Change::Replace(value) => host.set_header(name, value.as_bytes()),
        Change::Remove => host.remove(Section::Headers, name),
    }
}

fn apply<H: Host>(host: &mut H, edit: &Edit) -> Result<(), HostError> {
    match edit {
        Edit::Set(name, value) => host.set_header(name.as_bytes(), value),
        Edit::Append(name, value) => host.append_header(name.as_bytes(), value),
        Edit::Remove(name) => host.remove(Section::Headers, name.as_bytes()),
        Edit::SetIfAbsent(name, value) | Edit::SetIfPresent(name, value) => {
            let wanted = matches!(edit, Edit::SetIfPresent(..));
            if has(host, name.as_bytes())? == wanted {
                host.set_header(name.as_bytes(), value)?;
            }
            Ok(())
        }
    }
}

fn has<H: Host>(host: &mut H, wanted: &[u8]) -> Result<bool, HostError> {
    let mut found = false;
    host.fields(Section::Headers, &mut |name, _| {
        found |= name.eq_ignore_ascii_case(wanted);
    })?;
    Ok(found)
}

pub(crate) fn strip_trailers<H: Host>(host: &mut H, keep_overrides: bool) -> Result<(), HostError> {
    let mut unwanted = Vec::new();
    host.fields(Section::Trailers, &mut |name, _| {
        let forged = headers::is_callgate(name) || headers::is_client_cert(name);
        if forged || (!keep_overrides && headers::overrides_request(name)) {
            unwanted.push(name.to_owned());
        }
    })?;
    unwanted
        .iter()
        .try_for_each(|name| host.remove(Section::Trailers, name))
}
