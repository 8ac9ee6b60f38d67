use callgate_policy::document::*;
fn main() {
    let texts: Vec<String> = std::env::args().skip(1).collect();
    for t in texts {
        let s = [Source::new(
            "a.yaml",
            t.replace("\\n", "\n").replace("\\t", "\t"),
        )];
        match load(&s, &LoadOptions::default()) {
            Err(LoadError::Findings(f)) => println!("{}", f.render(&s, false)),
            other => println!("{other:?}"),
        }
    }
}
