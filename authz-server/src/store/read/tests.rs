use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    path::Path,
};

use super::*;

fn names(sources: &[Source]) -> Vec<&str> {
    sources.iter().map(Source::name).collect()
}

fn write(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn documents_are_found_at_every_depth_and_sorted_by_name() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["web.yml", "shop/orders.yaml", "a.yaml", "shop/eu/tax.yaml"] {
        write(dir.path(), name, name);
    }
    let sources = read_sources(dir.path()).unwrap();
    assert_eq!(
        names(&sources),
        ["a.yaml", "shop/eu/tax.yaml", "shop/orders.yaml", "web.yml"]
    );
    assert_eq!(sources[2].text(), "shop/orders.yaml");
}

#[test]
fn tests_dot_entries_and_other_files_are_skipped() {
    let dir = tempfile::tempdir().unwrap();
    for name in [
        "orders.yaml",
        "orders_test.yaml",
        "shop/web_test.yml",
        ".hidden.yaml",
        ".git/config.yaml",
        "README.md",
        "yaml",
    ] {
        write(dir.path(), name, "");
    }
    symlink("nowhere", dir.path().join("dangling.md")).unwrap();
    assert_eq!(names(&read_sources(dir.path()).unwrap()), ["orders.yaml"]);
    assert_eq!(
        names(&read_tests(dir.path()).unwrap()),
        ["orders_test.yaml", "shop/web_test.yml"]
    );
}

#[test]
fn a_config_map_volume_is_read_through_its_visible_links() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "..2027_01_01/orders.yaml", "old");
    write(dir.path(), "..2027_01_02/orders.yaml", "new");
    symlink("..2027_01_01", dir.path().join("..data")).unwrap();
    symlink("..data/orders.yaml", dir.path().join("orders.yaml")).unwrap();
    let text = || {
        let sources = read_sources(dir.path()).unwrap();
        assert_eq!(names(&sources), ["orders.yaml"]);
        sources[0].text().to_owned()
    };
    assert_eq!(text(), "old");
    symlink("..2027_01_02", dir.path().join("..tmp")).unwrap();
    fs::rename(dir.path().join("..tmp"), dir.path().join("..data")).unwrap();
    assert_eq!(text(), "new");
}

#[test]
fn nothing_to_read_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "orders_test.yaml", "");
    assert!(matches!(
        read_sources(dir.path()),
        Err(ReadError::Empty { .. })
    ));
    let tests = tempfile::tempdir().unwrap();
    write(tests.path(), "orders.yaml", "");
    assert!(matches!(
        read_tests(tests.path()),
        Err(ReadError::Empty { .. })
    ));
    let missing = dir.path().join("missing");
    let error = read_sources(&missing).unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
}

#[test]
fn what_cannot_be_read_whole_names_its_path() {
    type Make = fn(&Path);
    let cases: [(&str, Make, &str); 6] = [
        (
            "dangling link",
            |dir| symlink("nowhere", dir.join("bad.yaml")).unwrap(),
            "bad.yaml",
        ),
        (
            "a name that is not UTF-8",
            |dir| fs::write(dir.join(OsStr::from_bytes(b"\xff.yaml")), "").unwrap(),
            "is not UTF-8",
        ),
        (
            "a file of more than 8 MiB",
            |dir| fs::write(dir.join("bad.yaml"), vec![b'#'; 8_388_609]).unwrap(),
            "bad.yaml` has more than 8388608 bytes",
        ),
        (
            "more than 64 MiB together",
            |dir| {
                for i in 0..65 {
                    let file = fs::File::create(dir.join(format!("{i}.yaml"))).unwrap();
                    file.set_len(1_048_576).unwrap();
                }
            },
            "more than 67108864 bytes together",
        ),
        (
            "a socket",
            |dir| drop(std::os::unix::net::UnixListener::bind(dir.join("bad.yaml")).unwrap()),
            "bad.yaml` is not a file",
        ),
        (
            "a link to its own directory",
            |dir| symlink(".", dir.join("loop")).unwrap(),
            "directories deep",
        ),
    ];
    for (name, make, expected) in cases {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "good.yaml", "");
        make(dir.path());
        let error = read_sources(dir.path()).expect_err(name);
        assert!(error.to_string().contains(expected), "{name}: {error}");
    }
}
