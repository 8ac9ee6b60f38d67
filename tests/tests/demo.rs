//! The demo is a promise to newcomers, so it is tested like one.

use std::process::Command;

#[test]
fn every_step_is_answered_as_told() {
    let output = Command::new(env!("CARGO_BIN_EXE_demo"))
        .env_remove("KEEP")
        .output()
        .unwrap();
    let story = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{story}\n{complaint}");
    assert!(story.contains("14 of 14 steps answered as told"), "{story}");
    assert!(story.contains("DENIED no-rule"), "{story}");
    assert!(
        !story.contains('\u{1b}'),
        "colour, and not on a terminal:\n{story}"
    );
}
