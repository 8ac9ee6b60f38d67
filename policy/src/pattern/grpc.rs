//! gRPC methods: `package.Service/Method` and `package.Service/*`.

use super::{
    PatternError, PatternErrorKind as Kind,
    path::{MAX_BYTES, PathPattern},
    source::Part,
};

/// The path that a gRPC call has (gRPC over HTTP/2, "Requests": `Service-Name` and
/// method name, case-sensitive).
pub(super) fn parse(part: Part<'_>) -> Result<PathPattern, PatternError> {
    let Some((service, method)) = part.text.split_once('/') else {
        let error = part.error(Kind::Grpc);
        return Err(if is_service(part.text) {
            error.suggest(|| part.replaced(&format!("{}/*", part.text)))
        } else {
            error
        });
    };
    if service.is_empty() {
        let error = part.error(Kind::Grpc);
        return Err(match part.text.strip_prefix('/') {
            Some(rest) if rest.contains('/') => error.suggest(|| part.replaced(rest)),
            _ => error,
        });
    }
    let method = match method {
        "*" => None,
        name if is_identifier(name) => Some(name),
        _ => return Err(part.error(Kind::Grpc)),
    };
    if !is_service(service) {
        return Err(part.error(Kind::Grpc));
    }
    if part.text.len() > MAX_BYTES {
        return Err(part.error(Kind::TooLong));
    }
    Ok(PathPattern::grpc(service, method))
}

/// A full name in the protobuf language: identifiers with dots between them.
fn is_service(text: &str) -> bool {
    text.split('.').all(is_identifier)
}

fn is_identifier(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.chars().all(word)
}
