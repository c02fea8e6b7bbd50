use std::fs;
use std::path::Path;
use std::process::Command;

use crate::bench::{folkmoot, model_file, root, stderr, stdout};

/// Something that a chapter tells its reader to do.
enum Step {
    /// Put this into a file.
    Write { file: String, text: String },
    /// Type these lines.
    Type(String),
}

/// The steps of a chapter: blocks of `sh` are typed, other blocks are the files that the line before names.
fn steps(text: &str) -> Vec<Step> {
    let (mut steps, mut named) = (Vec::new(), None);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let text = block.join("\n") + "\n";
            match (language, named.take()) {
                ("sh", None) => steps.push(Step::Type(text)),
                (_, Some(file)) => steps.push(Step::Write { file, text }),
                (language, None) => panic!("a block of {language} without a file's name"),
            }
        } else if !line.is_empty() {
            let name = line
                .strip_prefix('`')
                .and_then(|rest| rest.strip_suffix("`:"));
            named = name.map(str::to_owned);
        }
    }
    steps
}

/// Every chapter, followed to the letter in an empty folder: the files compile, every command succeeds, and what
/// the guide promises to be seen is seen.
#[test]
fn the_guide_can_be_followed() {
    model_file();
    let guide = root().join("sdk/guide");
    let mut chapters: Vec<_> = fs::read_dir(&guide)
        .unwrap()
        .map(|own| own.unwrap().path())
        .collect();
    chapters.retain(|path| path.file_name().unwrap() != "README.md");
    chapters.sort();
    let contents = fs::read_to_string(guide.join("README.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let program = folkmoot(folder.path()).get_program().to_owned();
    let path = Path::new(&program).parent().unwrap().display().to_string()
        + ":"
        + &std::env::var("PATH").unwrap();
    let mut typed = String::new();
    for chapter in &chapters {
        let name = chapter.file_name().unwrap().to_string_lossy();
        assert!(
            contents.contains(&format!("]({name})")),
            "{name} is not in the contents"
        );
        let steps = steps(&fs::read_to_string(chapter).unwrap());
        assert!(
            steps.iter().any(|step| matches!(step, Step::Type(_))),
            "{name}"
        );
        for step in steps {
            match step {
                Step::Write { file, text } => {
                    let file = folder.path().join(file);
                    fs::create_dir_all(file.parent().unwrap()).unwrap();
                    fs::write(file, text).unwrap();
                }
                Step::Type(lines) => {
                    let mut shell = Command::new("bash");
                    shell
                        .args(["-euo", "pipefail", "-c", &lines])
                        .env("PATH", &path);
                    let output = shell.current_dir(folder.path()).output().unwrap();
                    let said = format!("{}{}", stdout(&output), stderr(&output));
                    assert!(output.status.success(), "{name}: {lines}\n{said}");
                    typed += &said;
                }
            }
        }
    }
    for seen in [
        "Longest norm c that an update may have",
        "recorded updates of a fine-tune",
        "killed and resumed after every round",
        "\"clipped\":",
        "examples in another order",
    ] {
        assert!(typed.contains(seen), "`{seen}` is not seen in:\n{typed}");
    }
    assert!(!typed.contains("BROKEN"), "{typed}");
}
