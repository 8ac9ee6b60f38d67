//! Whether two texts say the same.

use callgate_policy::document::syntax::{Node, Syntax, Value};

/// The same documents with the same texts, and the same comments in the same order.
pub(super) fn say_the_same(one: &Syntax<'_>, other: &Syntax<'_>) -> bool {
    let comments = |syntax: &Syntax<'_>| -> Vec<String> {
        let comments = syntax.comments.iter();
        comments.map(|comment| comment.text.to_owned()).collect()
    };
    one.documents.len() == other.documents.len()
        && one
            .documents
            .iter()
            .zip(&other.documents)
            .all(|(a, b)| is_same(a, b, false))
        && comments(one) == comments(other)
}

/// `condition`: of a `when`, white space at its end says nothing.
fn is_same(one: &Node<'_>, other: &Node<'_>, condition: bool) -> bool {
    match (&one.value, &other.value) {
        (Value::Text(a), Value::Text(b)) => {
            a.text == b.text || (condition && a.text.trim() == b.text.trim())
        }
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b, false))
        }
        (Value::Map(a), Value::Map(b)) => {
            let mut pairs = a.iter().zip(b);
            a.len() == b.len()
                && pairs
                    .all(|(a, b)| a.key == b.key && is_same(&a.value, &b.value, a.key == "when"))
        }
        _ => false,
    }
}
