//! Revocations: whose identity, exactly.

use super::{
    super::{
        finding::{Finding, Quoted},
        raw::{self, Target, Written},
        revocation::{Revocation, Revoked},
    },
    Code, Compiler,
};

impl<'a> Compiler<'a, '_> {
    /// `None` if a finding was made of it, here or when it was read.
    pub(super) fn revocation(&mut self, raw: &'a raw::Revocation<'a>) -> Option<Revocation> {
        let revoked = match raw.target.as_ref()? {
            Target::Id(written) => self.revoked(written)?,
            Target::Certificate(sha256) => Revoked::Certificate(*sha256),
        };
        Some(Revocation {
            name: raw.name.as_ref()?.text.to_string(),
            revoked,
            reason: raw.reason.clone(),
            revoked_by: raw.revoked_by.clone(),
            expires: raw.expires,
            file: self.file(raw.span),
            line: self.line(raw.span),
        })
    }

    fn revoked(&mut self, written: &'a Written<'a>) -> Option<Revoked> {
        let id = if written.text.contains('/') {
            self.pattern(written)?.exact().cloned()
        } else {
            None
        };
        let Some(id) = id else {
            let message = format!("`{}` is not one identity", Quoted(&written.text));
            let finding = Finding::new(Code::NotExact, written.span, message);
            self.sink.push(finding.help(
                "a revocation names one exact identity, as in `/ns/shop/sa/checkout`; to refuse many, write a deny rule into the MeshPolicy",
            ));
            return None;
        };
        // What it belongs to may change without this document.
        Some(if written.text.starts_with('/') {
            Revoked::OwnIdentity(id.path().to_owned())
        } else {
            Revoked::Identity(id)
        })
    }
}
