//! The help texts, all of them, as a person reads them.

use crate::support::{ok, sandbox};

#[test]
fn help_of_every_command() {
    let sandbox = sandbox().with_env("COLUMNS", "100");
    let mut paths = vec![Vec::new()];
    collect(&fnox_cli::command(), &mut Vec::new(), &mut paths);
    let mut all = String::new();
    for path in paths {
        let mut arguments: Vec<&str> = path.iter().map(String::as_str).collect();
        all += &["=== fnox ", &arguments.join(" "), "\n"].concat();
        arguments.push("-h");
        all += &ok(&sandbox, &arguments);
        all += "\n";
    }
    insta::assert_snapshot!("help_of_every_command", all);
}

fn collect(command: &clap::Command, path: &mut Vec<String>, out: &mut Vec<Vec<String>>) {
    for subcommand in command
        .get_subcommands()
        .filter(|subcommand| !subcommand.is_hide_set())
    {
        path.push(subcommand.get_name().to_owned());
        out.push(path.clone());
        collect(subcommand, path, out);
        path.pop();
    }
}

/// A line end in the middle of a paragraph leaves half a line where the terminal is narrower than whoever wrote it thought.
#[test]
fn no_paragraph_has_a_line_end_of_its_own() {
    for width in [80, 100] {
        let mut command = fnox_cli::command().term_width(width);
        command.build();
        let mut early = Vec::new();
        ends_early(&mut command, width, &mut early);
        assert!(early.is_empty(), "at {width}: {early:#?}");
    }
}

/// The lines of prose after which the next one's first word had room. A line may end where a sentence does.
fn ends_early(command: &mut clap::Command, width: usize, out: &mut Vec<String>) {
    let name = command.get_bin_name().unwrap_or_default().to_owned();
    for text in [command.render_help(), command.render_long_help()].map(|text| text.to_string()) {
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.windows(2) {
            let [line, next] = pair else { continue };
            let is_prose = |line: &str| !line.is_empty() && !line.starts_with(' ');
            if !is_prose(line) || !is_prose(next) || line.ends_with(['.', ':']) {
                continue;
            }
            let word = next.split(' ').next().unwrap_or_default();
            if line.chars().count() + 1 + word.chars().count() <= width {
                out.push(format!("{name}: {line}"));
            }
        }
    }
    for subcommand in command.get_subcommands_mut() {
        ends_early(subcommand, width, out);
    }
}

#[test]
fn completion_scripts_need_nothing_and_complete_names() {
    let sandbox = sandbox();
    sandbox.write("fnox.toml", "[secrets]\nAPI_KEY = { default = \"x\" }\n[leases.aws]\ntype = \"command\"\ncreate_command = \"touch ran\"\n[profiles.production]\n");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell", "nu"] {
        assert!(
            ok(&sandbox, &["completion", shell]).contains("fnox"),
            "{shell}"
        );
    }
    let complete = |words: &[&str]| {
        let index = (words.len() - 1).to_string();
        let mut arguments = vec!["--"];
        arguments.extend(words);
        let run = sandbox
            .run(&arguments)
            .env("COMPLETE", "bash")
            .env("_CLAP_COMPLETE_INDEX", &index)
            .env("_CLAP_IFS", "\n")
            .env("_CLAP_COMPLETE_COMP_TYPE", "9")
            .env("_CLAP_COMPLETE_SPACE", "true")
            .finish()
            .succeeds();
        run.stdout
    };
    assert_eq!(complete(&["fnox", "get", "AP"]), "API_KEY");
    assert_eq!(complete(&["fnox", "lease", "create", "a"]), "aws");
    assert_eq!(complete(&["fnox", "-P", "pr"]), "production");
    assert!(complete(&["fnox", "exe"]).contains("exec"));
    assert!(
        !sandbox.project().join("ran").exists(),
        "completion ran a command"
    );
}
