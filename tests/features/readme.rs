use std::fs;

use crate::bench::root;

/// Every path that the README's map and ARCHITECTURE.md name exists.
#[test]
fn named_paths_exist() {
    for file in ["README.md", "ARCHITECTURE.md"] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let named = text.split('`').skip(1).step_by(2).filter(|word| {
            let top = ["host/", "plugins/", "wit/", "sdk/", "tests/"];
            top.iter().any(|top| word.starts_with(top)) && !word.contains(['*', '{', ' ', '…'])
        });
        let mut count = 0;
        for path in named {
            assert!(
                root().join(path).exists(),
                "{file} names `{path}`, which is not there"
            );
            count += 1;
        }
        assert!(count > 5, "{file} names only {count} paths");
    }
}
