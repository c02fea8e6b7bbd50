use super::{Npm, cause, download_with};

fn npm() -> Npm {
    Npm {
        name: "folkmoot-nosuch".into(),
        version: "1.0.0".into(),
        sha256: "0".repeat(64),
        member: None,
    }
}

#[test]
fn without_npm_the_error_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("part");
    let error = download_with("npm-nosuch", &npm(), &part, &mut |_| {}).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no `npm` found, which comes with Node.js"
    );
}

#[cfg(unix)]
#[test]
fn an_archive_is_verified_and_its_member_taken() {
    use std::os::unix::fs::PermissionsExt;

    use super::super::entry::Members;
    use crate::digest::digest;

    // A client that packs one file, into the folder that its fifth word names.
    let folder = tempfile::tempdir().unwrap();
    let client = folder.path().join("npm");
    let script = "#!/bin/sh\n[ \"$2\" = folkmoot-nosuch@1.0.0 ] || { echo 'npm error code E404' >&2; exit 1; }\n\
                  mkdir package && echo '[]' > package/a.json && tar czf \"$5/x-1.0.0.tgz\" package\n\
                  cp \"$5/x-1.0.0.tgz\" \"$(dirname \"$0\")/kept\"\n";
    std::fs::write(&client, script).unwrap();
    std::fs::set_permissions(&client, PermissionsExt::from_mode(0o755)).unwrap();
    let client = client.to_str().unwrap();
    let part = folder.path().join("part");
    let mut npm = npm();
    npm.version = "2.0.0".into();
    let error = download_with(client, &npm, &part, &mut |_| {}).unwrap_err();
    assert!(error.to_string().ends_with(": code E404"), "{error}");

    npm.version = "1.0.0".into();
    let error = download_with(client, &npm, &part, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("wrong sha256"), "{error}");
    assert!(!part.exists());

    // An archive's digest changes with the second in which it is made, so the client is asked for one twice.
    let kept = folder.path().join("kept");
    std::fs::write(
        client,
        format!("#!/bin/sh\ncp {} \"$5/x-1.0.0.tgz\"\n", kept.display()),
    )
    .unwrap();
    npm.sha256 = digest(&kept).unwrap();
    npm.member = Some(Members::One("package/a.json".into()));
    download_with(client, &npm, &part, &mut |_| {}).unwrap();
    assert_eq!(std::fs::read_to_string(&part).unwrap(), "[]\n");
    npm.member = None;
    download_with(client, &npm, &part, &mut |_| {}).unwrap();
    assert_eq!(digest(&part).unwrap(), npm.sha256);
}

#[test]
fn the_cause_is_told_without_the_log() {
    let said = "npm error code E404\nnpm error 404 Not Found\nnpm error A complete log of this run is in: /x\n";
    assert_eq!(cause(said), "code E404; 404 Not Found");
    assert_eq!(cause("npm ERR! network\n"), "network");
    assert_eq!(cause("killed\n"), "killed");
}
