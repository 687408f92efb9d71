//! The template language of defaults and of providers' settings: what Tera has for texts and lists, in its words
//! (<https://keats.github.io/tera/docs/>, "Built-ins"), so that a `fnox.toml` with templates means the same here.
//!
//! The engine is minijinja. It reads the same tags and expressions; its own filters take arguments by place, Tera's by
//! name, and these are Tera's. Not there: filters of dates, numbers and HTML, `matching`, macros and other files.

#![expect(
    clippy::needless_pass_by_value,
    reason = "the engine hands arguments over, whatever a filter does with them"
)]

use std::sync::Arc;

use fnox_core::Env;
use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};

/// The engine, with the variables of `env`.
pub(super) fn environment(env: &Env) -> Environment<'static> {
    let mut engine = Environment::new();
    // A misspelt name is an error, not an empty text; a condition may ask for one.
    engine.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    engine.set_keep_trailing_newline(true);
    engine.add_filter("default", default);
    engine.add_filter("replace", replace);
    engine.add_filter("join", join);
    engine.add_filter("truncate", truncate);
    engine.add_filter("split", split);
    engine.add_filter("trim_start", |text: String| text.trim_start().to_owned());
    engine.add_filter("trim_end", |text: String| text.trim_end().to_owned());
    engine.add_filter("trim_start_matches", trim_start_matches);
    engine.add_filter("trim_end_matches", trim_end_matches);
    engine.add_filter("nth", nth);
    engine.add_filter("slice", slice);
    engine.add_filter("concat", concat);
    engine.add_filter("slugify", slugify);
    engine.add_filter("as_str", |value: Value| value.to_string());
    engine.add_test("starting_with", |text: String, part: String| {
        text.starts_with(&part)
    });
    engine.add_test("ending_with", |text: String, part: String| {
        text.ends_with(&part)
    });
    engine.add_test("containing", containing);
    let env = Arc::new(env.clone());
    engine.add_function("get_env", move |arguments: Kwargs| {
        get_env(&env, &arguments)
    });
    engine
}

fn default(value: Value, arguments: Kwargs) -> Result<Value, Error> {
    let other: Value = arguments.get("value")?;
    arguments.assert_all_used()?;
    Ok(if value.is_undefined() { other } else { value })
}

fn replace(text: String, arguments: Kwargs) -> Result<String, Error> {
    let (from, to): (String, String) = (arguments.get("from")?, arguments.get("to")?);
    arguments.assert_all_used()?;
    Ok(text.replace(&from, &to))
}

fn join(list: Value, arguments: Kwargs) -> Result<String, Error> {
    let between: Option<String> = arguments.get("sep")?;
    arguments.assert_all_used()?;
    let texts: Vec<String> = list.try_iter()?.map(|it| it.to_string()).collect();
    Ok(texts.join(&between.unwrap_or_default()))
}

fn truncate(text: String, arguments: Kwargs) -> Result<String, Error> {
    let length: Option<usize> = arguments.get("length")?;
    let end: Option<String> = arguments.get("end")?;
    arguments.assert_all_used()?;
    let Some((at, _)) = text.char_indices().nth(length.unwrap_or(255)) else {
        return Ok(text);
    };
    Ok(format!("{}{}", &text[..at], end.as_deref().unwrap_or("…")))
}

fn split(text: String, arguments: Kwargs) -> Result<Vec<String>, Error> {
    let pattern: String = arguments.get("pat")?;
    arguments.assert_all_used()?;
    Ok(text.split(&pattern).map(str::to_owned).collect())
}

fn trim_start_matches(text: String, arguments: Kwargs) -> Result<String, Error> {
    let pattern: String = arguments.get("pat")?;
    arguments.assert_all_used()?;
    Ok(text.trim_start_matches(&pattern).to_owned())
}

fn trim_end_matches(text: String, arguments: Kwargs) -> Result<String, Error> {
    let pattern: String = arguments.get("pat")?;
    arguments.assert_all_used()?;
    Ok(text.trim_end_matches(&pattern).to_owned())
}

fn nth(list: Value, arguments: Kwargs) -> Result<Value, Error> {
    let at: usize = arguments.get("n")?;
    arguments.assert_all_used()?;
    Ok(list.try_iter()?.nth(at).unwrap_or_default())
}

/// Of a list from `start` to before `end`; a negative one counts from its end.
fn slice(list: Value, arguments: Kwargs) -> Result<Vec<Value>, Error> {
    let (start, end): (Option<i64>, Option<i64>) = (arguments.get("start")?, arguments.get("end")?);
    arguments.assert_all_used()?;
    let items: Vec<Value> = list.try_iter()?.collect();
    let place = |at: i64| {
        let at = if at < 0 {
            i64::try_from(items.len()).unwrap_or(i64::MAX) + at
        } else {
            at
        };
        usize::try_from(at).unwrap_or(0).min(items.len())
    };
    let (start, end) = (place(start.unwrap_or(0)), end.map_or(items.len(), place));
    Ok(items.get(start..end).unwrap_or_default().to_vec())
}

/// A list and one thing more, or all of another list.
fn concat(list: Value, arguments: Kwargs) -> Result<Vec<Value>, Error> {
    let with: Value = arguments.get("with")?;
    arguments.assert_all_used()?;
    let mut items: Vec<Value> = list.try_iter()?.collect();
    if with.kind() == ValueKind::Seq {
        items.extend(with.try_iter()?);
    } else {
        items.push(with);
    }
    Ok(items)
}

/// In small letters, with a dash for everything that is no letter and no digit of ASCII.
fn slugify(text: String) -> String {
    let lower = text.to_ascii_lowercase();
    let words = lower.split(|letter: char| !letter.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join("-")
}

fn containing(whole: Value, part: Value) -> Result<bool, Error> {
    match (whole.as_str(), part.as_str()) {
        (Some(text), Some(part)) => Ok(text.contains(part)),
        _ if whole.kind() == ValueKind::Map => Ok(!whole.get_item(&part)?.is_undefined()),
        _ => Ok(whole.try_iter()?.any(|it| it == part)),
    }
}

fn get_env(env: &Env, arguments: &Kwargs) -> Result<Value, Error> {
    let (name, other): (String, Option<Value>) =
        (arguments.get("name")?, arguments.get("default")?);
    arguments.assert_all_used()?;
    let value = env.var(&name).map(Value::from);
    value.or(other).ok_or_else(|| {
        let message = format!("the environment variable `{name}` is not set");
        Error::new(ErrorKind::UndefinedError, message)
    })
}
