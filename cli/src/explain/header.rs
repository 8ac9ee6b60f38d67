//! Headers, as arguments.

use callgate_policy::document::Header;

/// A header of the request: `x-purpose=reporting`.
pub(crate) fn header(text: &str) -> Result<Header, String> {
    let (name, value) = text.split_once('=').ok_or("a header is NAME=VALUE")?;
    Header::new(name, value).map_err(|error| format!("a header is NAME=VALUE: {error}"))
}

#[cfg(test)]
mod tests {
    use super::header;

    #[test]
    fn a_header_is_a_name_and_a_value() {
        let told = header("X-Purpose=a=b").unwrap();
        assert_eq!((told.name(), told.value()), ("x-purpose", "a=b"));
        for text in ["x", "=x", "a b=c", ""] {
            assert!(header(text).is_err(), "{text}");
        }
    }
}
