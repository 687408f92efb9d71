//! `fnox provider add --plugin`: providers that are other people's code.
//!
//! Adding one writes the entry and nothing else. Nothing is run, not even to ask what it can do, and nothing is fetched: a
//! plugin is looked for where a run would look for it, so that what is missing is told here, and not when a secret is needed.

use std::path::{Path, PathBuf};

use fnox_config::fields::resolve_path;
use fnox_config::spec::ProviderSpec;
use fnox_providers::backend::external;
use fnox_providers::plugins::{self, Installed, MAIN};

use crate::app::App;
use crate::commands::plugin as installed;
use crate::error::CliError;

/// What `--plugin` names.
#[derive(Debug)]
pub(super) struct Plugin {
    pub(super) spec: &'static ProviderSpec,
    /// What the type's key is, and what it says.
    pub(super) key: &'static str,
    pub(super) text: String,
    /// What is missing before it can be used.
    pub(super) missing: Option<String>,
    /// What somebody else needs to use it too.
    pub(super) note: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Lua,
    External,
}

impl Kind {
    fn of(spec: &'static ProviderSpec) -> Result<Self, CliError> {
        match spec.name {
            "lua" => Ok(Self::Lua),
            "external" => Ok(Self::External),
            other => Err(CliError::Usage {
                message: format!("providers of type `{other}` are part of fnox"),
                help: Some(
                    "`--plugin` is for the types `lua` and `external`; leave one of both out"
                        .to_owned(),
                ),
            }),
        }
    }

    fn plugin(self, text: String) -> Result<Plugin, CliError> {
        let (name, key) = match self {
            Self::Lua => ("lua", "plugin"),
            Self::External => ("external", "program"),
        };
        let spec = ProviderSpec::find(name).ok_or_else(|| super::unknown_type(name))?;
        Ok(Plugin {
            spec,
            key,
            text,
            missing: None,
            note: None,
        })
    }
}

/// What the text names, as `file` will say it. Without a type it is told by what is there.
pub(super) fn named(
    app: &App,
    text: &str,
    spec: Option<&'static ProviderSpec>,
    file: &Path,
) -> Result<Plugin, CliError> {
    let kind = spec.map(Kind::of).transpose()?;
    if plugins::is_path(text) {
        return at_path(app, text, kind, file);
    }
    if !plugins::is_name(text) {
        return Err(CliError::Usage {
            message: format!("`{}` names no plugin", text.escape_debug()),
            help: Some(
                "give the name of a plugin or of a program, or a path such as `./shelf`".to_owned(),
            ),
        });
    }
    by_name(app, text, kind)
}

fn at_path(app: &App, text: &str, kind: Option<Kind>, file: &Path) -> Result<Plugin, CliError> {
    let path = resolve_path(text, &app.cwd, app.folders.home());
    let is_folder = path.join(MAIN).is_file();
    let ends_in_lua = path
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("lua"));
    let is_program = fnox_system::is_program(&path);
    let found = match kind {
        Some(Kind::Lua) => is_folder || path.is_file(),
        Some(Kind::External) => is_program,
        None => is_folder || is_program || path.is_file() && ends_in_lua,
    };
    if !found {
        return Err(CliError::Usage {
            message: format!("there is no plugin at {}", path.display()),
            help: Some(format!(
                "a plugin in Lua is a folder with `{MAIN}`, or a file; a program must be executable"
            )),
        });
    }
    let is_lua = is_folder || ends_in_lua;
    match kind.unwrap_or(if is_lua { Kind::Lua } else { Kind::External }) {
        Kind::Lua => Kind::Lua.plugin(as_written(app, text, &path, file)?),
        // A relative path would be another program in another folder.
        Kind::External => Kind::External.plugin(utf8(&path.components().collect::<PathBuf>())?),
    }
}

/// A path as a file of the configuration says it: relative ones start at its folder, and not where the command ran.
fn as_written(app: &App, text: &str, path: &Path, file: &Path) -> Result<String, CliError> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    if text.starts_with('~') || Path::new(text).is_absolute() || folder == app.cwd {
        return Ok(text.to_owned());
    }
    let path: PathBuf = path.components().collect();
    match path.strip_prefix(folder) {
        Ok(below) => Ok(format!("./{}", utf8(below)?)),
        Err(_) => utf8(&path),
    }
}

fn utf8(path: &Path) -> Result<String, CliError> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| CliError::usage(format!("the path {} is not UTF-8", path.display())))
}

/// Whether there is a plugin in Lua of a name.
enum InLua {
    Installed { source: Option<String> },
    Declared,
    Absent,
}

fn by_name(app: &App, name: &str, kind: Option<Kind>) -> Result<Plugin, CliError> {
    let declared = installed::declared(app)?;
    let in_lua = in_lua(app, name, declared.contains_key(name))?;
    let program = external::find_program(name, &app.env);
    let kind = match (kind, &in_lua, &program) {
        (Some(kind), _, _) => kind,
        (None, InLua::Absent, Ok(_)) => Kind::External,
        (None, InLua::Absent, Err(_)) => return Err(absent(name)),
        (None, _, Err(_)) => Kind::Lua,
        (None, _, Ok(program)) => {
            return Err(CliError::Usage {
                message: format!("`{name}` is a plugin in Lua, and {program} is a program"),
                help: Some("say which one: give the type, `lua` or `external`".to_owned()),
            });
        }
    };
    let mut plugin = kind.plugin(name.to_owned())?;
    match (kind, in_lua, program) {
        (Kind::External, _, Err(error)) => plugin.missing = Some(error.message),
        (Kind::Lua, InLua::Declared, _) => {
            plugin.missing = Some(format!(
                "the plugin `{name}` is not installed yet: `fnox plugin install {name}` fetches it"
            ));
        }
        (Kind::Lua, InLua::Absent, _) => {
            plugin.missing = Some(format!(
                "there is no plugin `{name}` yet: `fnox plugin install {name} SOURCE` fetches one, `fnox plugin link {name} PATH` takes a folder of yours"
            ));
        }
        (
            Kind::Lua,
            InLua::Installed {
                source: Some(source),
            },
            _,
        ) if !declared.contains_key(name) => {
            plugin.note = Some(format!(
                "Who else uses this file needs its source: `{name} = \"{source}\"` in `[plugins]`"
            ));
        }
        _ => {}
    }
    Ok(plugin)
}

fn in_lua(app: &App, name: &str, is_declared: bool) -> Result<InLua, CliError> {
    let lock = plugins::read_lock(&app.folders.plugins);
    let mut lock = lock.map_err(|error| installed::failed(error.to_string()))?;
    Ok(match lock.plugins.remove(name) {
        Some(Installed::Linked { .. }) => InLua::Installed { source: None },
        Some(Installed::Fetched { source, .. }) => InLua::Installed {
            source: Some(source),
        },
        None if is_declared => InLua::Declared,
        None if plugins::by_hand(&app.folders.config, name).is_dir() => {
            InLua::Installed { source: None }
        }
        None => InLua::Absent,
    })
}

fn absent(name: &str) -> CliError {
    CliError::Usage {
        message: format!("there is no plugin `{name}`"),
        help: Some(format!(
            "looked for: an installed or declared plugin in Lua (`fnox plugin list`), and a program `{}{name}` on PATH. With a type, `lua` or `external`, it need not be there yet",
            external::PREFIX
        )),
    }
}
