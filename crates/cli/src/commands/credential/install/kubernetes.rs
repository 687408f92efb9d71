//! A user in a kubeconfig (kubernetes.io, "Organizing Cluster Access Using kubeconfig Files" and "client-go credential
//! plugins").
//!
//! The file is YAML that people edit too, so it is changed as text: one entry is put into the list `users`, or exchanged
//! there. Then both texts are read as YAML, and the change is refused unless it is this one and nothing else.

use serde_json::{Value, json};

use super::file::Edit;
use super::refused;
use crate::error::CliError;

pub(super) fn edited(
    text: &str,
    name: &str,
    words: &[String],
    tell_cluster: bool,
) -> Result<Edit, CliError> {
    let wrong = |reason: &str| refused("the kubeconfig", reason);
    let before = parse(text).ok_or_else(|| wrong("it is no YAML mapping"))?;
    let entry = entry(name, words, tell_cluster);
    let known = users(&before).iter().position(|user| user["name"] == name);
    if let Some(number) = known
        && !is_own(&users(&before)[number])
    {
        return Err(wrong(&format!("it has a user `{name}` that is not fnox's")));
    }
    let after = inserted(text, name, &entry, known.is_some())
        .ok_or_else(|| wrong("its list of users is not in block style; add the user by hand"))?;
    let mut wanted = before;
    let mut list = users(&wanted).to_vec();
    match known {
        Some(number) => list[number] = entry,
        None => list.insert(0, entry),
    }
    wanted["users"] = Value::Array(list);
    for (key, value) in [("apiVersion", "v1"), ("kind", "Config")] {
        if text.trim().is_empty() {
            wanted[key] = json!(value);
        }
    }
    if parse(&after).as_ref() != Some(&wanted) {
        return Err(wrong(
            "the user cannot be added without touching something else",
        ));
    }
    Ok(Edit::of(after))
}

fn entry(name: &str, words: &[String], tell_cluster: bool) -> Value {
    json!({
        "name": name,
        "user": {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": words.first(),
                "args": words.get(1..),
                "interactiveMode": "Never",
                "provideClusterInfo": tell_cluster,
            },
        },
    })
}

fn parse(text: &str) -> Option<Value> {
    if text.trim().is_empty() {
        return Some(json!({}));
    }
    serde_saphyr::from_str::<Value>(text)
        .ok()
        .filter(Value::is_object)
}

fn users(document: &Value) -> &[Value] {
    document["users"].as_array().map_or(&[], Vec::as_slice)
}

fn is_own(user: &Value) -> bool {
    let args = user["user"]["exec"]["args"].as_array();
    args.is_some_and(|args| args.iter().any(|arg| arg == "credential"))
        && args.is_some_and(|args| args.iter().any(|arg| arg == "--project"))
}

/// The text with the entry at the beginning of the list, or in the place of the one of its name.
fn inserted(text: &str, name: &str, entry: &Value, is_known: bool) -> Option<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let Some(users) = lines.iter().position(|line| line.starts_with("users:")) else {
        if text.trim().is_empty() {
            lines = vec!["apiVersion: v1".to_owned(), "kind: Config".to_owned()];
        }
        lines.push("users:".to_owned());
        lines.extend(block(entry, 0));
        return Some(lines.join("\n") + "\n");
    };
    let value = lines[users]["users:".len()..].split(" #").next()?.trim();
    match value {
        "" => {}
        "[]" | "null" | "~" => lines[users].truncate("users:".len()),
        _ => return None,
    }
    let indent_of = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let is_item = |line: &str| line.trim_start_matches(' ').starts_with("- ") || line.trim() == "-";
    let is_inside = |line: &str| {
        line.trim().is_empty()
            || line.starts_with([' ', '#'])
            || line.starts_with("- ")
            || line == "-"
    };
    let end = lines[users + 1..]
        .iter()
        .position(|line| !is_inside(line))
        .map_or(lines.len(), |length| users + 1 + length);
    let first = (users + 1..end).find(|number| is_item(&lines[*number]));
    let indent = first.map_or(0, |first| indent_of(&lines[first]));
    if !is_known {
        let rest = lines.split_off(users + 1);
        lines.extend(block(entry, indent));
        lines.extend(rest);
        return Some(lines.join("\n") + "\n");
    }
    let starts: Vec<usize> = (users + 1..end)
        .filter(|number| is_item(&lines[*number]) && indent_of(&lines[*number]) == indent)
        .collect();
    for (place, start) in starts.iter().enumerate() {
        let mut stop = starts.get(place + 1).copied().unwrap_or(end);
        // Comments and gaps before the next entry are not this one's.
        while stop > start + 1 {
            let line = lines[stop - 1].trim();
            if !line.is_empty() && !line.starts_with('#') {
                break;
            }
            stop -= 1;
        }
        let one = lines[*start..stop].join("\n");
        let own: Option<Value> = serde_saphyr::from_str(&one).ok();
        if own.is_some_and(|own| own[0]["name"] == name) {
            lines.splice(*start..stop, block(entry, indent));
            return Some(lines.join("\n") + "\n");
        }
    }
    None
}

/// An entry of a list in block style. Texts are quoted as JSON, which YAML 1.2 reads (YAML 1.2.2 section 1.3).
fn block(entry: &Value, indent: usize) -> Vec<String> {
    let exec = &entry["user"]["exec"];
    let mut lines = vec![
        format!("- name: {}", entry["name"]),
        "  user:".to_owned(),
        "    exec:".to_owned(),
        format!("      apiVersion: {}", exec["apiVersion"]),
        format!("      command: {}", exec["command"]),
        "      args:".to_owned(),
    ];
    for arg in exec["args"].as_array().into_iter().flatten() {
        lines.push(format!("      - {arg}"));
    }
    lines.push(format!(
        "      interactiveMode: {}",
        exec["interactiveMode"]
    ));
    lines.push(format!(
        "      provideClusterInfo: {}",
        exec["provideClusterInfo"]
    ));
    let space = " ".repeat(indent);
    lines.iter().map(|line| format!("{space}{line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(lease: &str) -> Vec<String> {
        [
            "/a \"b/fnox",
            "credential",
            "--project",
            "/p: #x",
            "kubernetes",
            lease,
        ]
        .map(str::to_owned)
        .to_vec()
    }

    fn edit(text: &str) -> String {
        edited(text, "fnox-k", &words("k"), false).unwrap().text
    }

    #[test]
    fn a_user_is_added_and_exchanged_in_every_block_style() {
        for text in [
            "",
            "apiVersion: v1\nkind: Config\n",
            "users: []\nkind: Config\n",
            "users: null # none\n",
            "users:\nkind: Config\n",
            "kind: Config\nusers:\n- name: a\n  user:\n    token: t # secret\n\n# about b\n- name: b\n  user: {}\ncurrent-context: c\n",
            "users:\n    - user:\n        token: t\n      name: a\n    -\n      name: b\ncontexts: []\n",
        ] {
            let once = edit(text);
            assert_eq!(edit(&once), once, "{text}");
            for line in text.lines().filter(|line| !line.starts_with("users: ")) {
                assert!(once.lines().any(|own| own == line), "{line} of {text}");
            }
            let other = edited(&once, "fnox-k", &words("other"), true).unwrap().text;
            assert_eq!(other.lines().count(), once.lines().count());
            assert!(other.contains("\"other\"") && other.contains("provideClusterInfo: true"));
        }
    }

    #[test]
    fn what_is_not_ours_stays() {
        for text in [
            "- a\n",
            "users: [{name: a}]\n",
            "{\"users\": []}",
            "users:\n- name: fnox-k\n  user: {token: t}\n",
            "users: &x\n- name: a\n",
            "a: |\n  text\nusers:\n\t- name: a\n",
            "---\nkind: Config\n---\nkind: Config\n",
        ] {
            let error = edited(text, "fnox-k", &words("k"), false)
                .unwrap_err()
                .to_string();
            assert!(error.contains("left as it is"), "{text}: {error}");
        }
    }
}
