//! The SPIFFE standards, clause by clause: our code, and what others make of the same.

use std::io::Write as _;

use callgate_tests::conformance::{
    self, GoAnswers, Subject, Vectors, answers_of_callgate, answers_of_the_crate,
};

fn as_the_tables_say(vectors: &Vectors, subject: Subject, answers: &conformance::AllAnswers) {
    let wrong = vectors.judge(subject, answers);
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn callgate_keeps_to_the_standards() {
    let vectors = Vectors::mint().unwrap();
    as_the_tables_say(&vectors, Subject::Callgate, &answers_of_callgate(&vectors));
}

#[test]
fn the_spiffe_crate_differs_only_where_it_is_known_to() {
    let vectors = Vectors::mint().unwrap();
    let answers = answers_of_the_crate(&vectors).unwrap();
    as_the_tables_say(&vectors, Subject::Crate, &answers);
}

#[test]
fn go_spiffe_differs_only_where_it_is_known_to() {
    let vectors = Vectors::mint().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    match conformance::ask_go(&vectors, scratch.path()).unwrap() {
        GoAnswers::Answers(answers) => as_the_tables_say(&vectors, Subject::Go, &answers),
        // Not by `eprintln!`, which nobody sees of a test that passes.
        GoAnswers::Unavailable(why) => {
            writeln!(std::io::stderr(), "SKIPPED: go-spiffe was not asked: {why}").unwrap();
        }
    }
}
