//! `x-forwarded-client-cert`.

use anyhow::{Result, ensure};
use callgate_wire::xfcc::{Element, Xfcc, without_chains};

/// A header that parses has no `Chain` left once it is taken out, keeps everything else
/// in order, and is the same header when it is written and read again. One that does not
/// parse stays one with anything behind it that begins an element of its own.
///
/// # Errors
/// When the parser is wrong.
pub fn client_cert_header(bytes: &[u8]) -> Result<()> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Ok(());
    };
    let Ok(header) = Xfcc::parse(text) else {
        return Ok(());
    };
    ensure!(!header.elements().is_empty(), "`{text}` has no element");

    let doubled = format!("{text},{text}");
    let twice = Xfcc::parse(&doubled)?;
    ensure!(
        twice.elements().len() == 2 * header.elements().len(),
        "`{doubled}`"
    );
    ensure!(
        twice.chain() == header.chain(),
        "`{doubled}` has another chain"
    );

    let text_of = |element: Option<&Element<'_>>| element.map(Element::to_text);
    ensure!(
        text_of(twice.forwarded()) == text_of(header.forwarded().or(header.own()))
            && text_of(twice.own()) == text_of(header.own()),
        "`{doubled}` is told apart wrongly"
    );
    two_elements(&header)?;

    let Some(stripped) = without_chains(header.elements()) else {
        return Ok(());
    };
    let again = Xfcc::parse(&stripped)?;
    ensure!(
        again.elements().iter().all(|e| e.value("Chain").is_none()),
        "`{stripped}`"
    );
    ensure!(
        without_chains(again.elements()).as_deref() == Some(stripped.as_str()),
        "`{stripped}`"
    );
    for key in ["By", "Hash", "Cert", "Subject", "URI", "DNS"] {
        let values = |header: &Xfcc<'_>| -> Vec<String> {
            header
                .elements()
                .iter()
                .filter_map(|e| e.value(key))
                .map(Into::into)
                .collect()
        };
        ensure!(
            values(&header) == values(&again),
            "`{key}` of `{text}` and of `{stripped}`"
        );
    }
    Ok(())
}

/// What the filter tells the server: the elements that count, and no other text.
fn two_elements(header: &Xfcc<'_>) -> Result<()> {
    let (Some(forwarded), Some(own)) = (header.forwarded(), header.own()) else {
        return Ok(());
    };
    let told = format!("{},{}", forwarded.to_text(), own.to_text());
    let again = Xfcc::parse(&told)?;
    ensure!(again.elements().len() == 2, "`{told}`");
    let same = |a: Option<&Element<'_>>, b: &Element<'_>| a.is_some_and(|a| a == b);
    ensure!(
        same(again.forwarded(), forwarded) && same(again.own(), own),
        "`{told}`"
    );
    Ok(())
}
