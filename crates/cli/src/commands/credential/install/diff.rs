//! What changes in a file, and nothing else of it.

/// The lines that go and come, with the line at which they begin. No context: the lines around may be secrets.
pub(super) fn changed(path: &str, before: &str, after: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let pairs = old.iter().zip(&new);
    let head = pairs.take_while(|(one, other)| one == other).count();
    let pairs = old[head..].iter().rev().zip(new[head..].iter().rev());
    let tail = pairs.take_while(|(one, other)| one == other).count();
    let mut out = format!("--- {path}\n+++ {path}\n@@ line {} @@\n", head + 1);
    for (mark, lines) in [
        ('-', &old[head..old.len() - tail]),
        ('+', &new[head..new.len() - tail]),
    ] {
        for line in lines {
            out.push(mark);
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changed_lines_are_shown() {
        assert_eq!(
            changed("f", "secret\na\nsecret\n", "secret\nb\nc\nsecret\n"),
            "--- f\n+++ f\n@@ line 2 @@\n-a\n+b\n+c\n"
        );
        assert_eq!(changed("f", "", "a\n"), "--- f\n+++ f\n@@ line 1 @@\n+a\n");
        assert_eq!(
            changed("f", "a\na\n", "a\na\na\n"),
            "--- f\n+++ f\n@@ line 3 @@\n+a\n"
        );
    }
}
