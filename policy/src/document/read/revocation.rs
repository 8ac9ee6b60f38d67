//! `Revocation`: an identity or a certificate that is believed no longer.

use super::{
    super::{
        Code,
        finding::{Finding, Quoted, Sink},
        raw::{Revocation, Target, Written},
        source::Span,
        time::parse_time,
        yaml::{Entry, Node},
    },
    Fields, Shape, What,
    exception::invalid_time,
    text,
    values::{prose, unquoted},
};

pub(super) const SHAPE: Shape = Shape {
    name: "a `Revocation`",
    known: &["id", "certificateSha256", "reason", "revokedBy", "expires"],
    required: &["reason", "revokedBy"],
};

/// Characters of each text: a paragraph, as for exceptions.
const LONGEST: usize = 1_024;

/// Reads `spec`; `None` if nothing can be said of it.
pub(super) fn read<'s>(
    name: Option<Written<'s>>,
    span: Span,
    spec: Node<'s>,
    sink: &mut Sink,
) -> Option<Revocation<'s>> {
    let mut fields = Fields::open(spec, What::Field("spec"), &SHAPE, sink)?;
    let target = target(&mut fields, sink);
    let mut words = |field| {
        let entry = fields.take(field)?;
        prose(entry.value, What::Field(field), LONGEST, sink)
    };
    let (reason, revoked_by) = (words("reason"), words("revokedBy"));
    let expires = fields.take("expires");
    Some(Revocation {
        name,
        span,
        target,
        reason: reason.unwrap_or_default(),
        revoked_by: revoked_by.unwrap_or_default(),
        expires: expires.and_then(|entry| {
            let written = unquoted(entry.value, What::Field("expires"), sink)?;
            let time = parse_time(&written.text);
            time.map_err(|error| sink.push(invalid_time(&written, error)))
                .ok()
        }),
    })
}

/// Exactly one of the two: of a document that had both, one reader would take the
/// first and one the second.
fn target<'s>(fields: &mut Fields<'s>, sink: &mut Sink) -> Option<Target<'s>> {
    match (fields.take("id"), fields.take("certificateSha256")) {
        (Some(id), None) => text(id.value, What::Field("id"), sink).map(Target::Id),
        (None, Some(certificate)) => fingerprint(certificate, sink).map(Target::Certificate),
        (Some(id), Some(certificate)) => {
            let message = "one `Revocation` revokes either an identity or a certificate";
            let finding = Finding::new(Code::SeveralTargets, certificate.key_span, message);
            sink.push(
                finding
                    .related(id.key_span, "the identity")
                    .help("write two documents"),
            );
            None
        }
        (None, None) => {
            if fields.lacks("id") && fields.lacks("certificateSha256") {
                let message = "a `Revocation` needs `id` or `certificateSha256`";
                sink.push(Finding::new(Code::MissingField, fields.start(), message));
            }
            None
        }
    }
}

fn fingerprint(entry: Entry<'_>, sink: &mut Sink) -> Option<[u8; 32]> {
    let written = text(entry.value, What::Field("certificateSha256"), sink)?;
    let parsed = parse_fingerprint(&written.text);
    if parsed.is_none() {
        let message = format!(
            "`{}` is not the SHA-256 of a certificate",
            Quoted(&written.text)
        );
        let finding = Finding::new(Code::InvalidFingerprint, written.span, message);
        let bare: String = written.text.chars().filter(|c| *c != ':').collect();
        sink.push(match parse_fingerprint(&bare) {
            Some(_) => finding.label(format!("write it without colons: `{bare}`")),
            None => finding.help(
                "it has 64 hexadecimal digits; `openssl x509 -outform DER | sha256sum` prints it",
            ),
        });
    }
    parsed
}

/// 64 hexadecimal digits, of either case.
fn parse_fingerprint(text: &str) -> Option<[u8; 32]> {
    let mut fingerprint = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, digits) in fingerprint.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(fingerprint)
}
