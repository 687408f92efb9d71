//! A state of Lua that can compute, and nothing else.
//!
//! - Only text is loaded, never bytecode, and there is no `load`: what a plugin is can be read.
//! - No `io`, `os`, `debug`, `package`, `coroutine`. (Hooks belong to one coroutine; a plugin needs none.)
//! - 64 MiB of memory, five hundred million instructions, and the time of one call of a provider. The end of them passes
//!   through `pcall`, and finalizers, in which no hook runs, are refused.

use std::cell::Cell;
use std::rc::Rc;

use mlua::chunk::ChunkMode;
use mlua::{HookTriggers, Lua, LuaOptions, StdLib, VmState};

use super::Stop;
use super::failure::Raised;
use crate::error::ErrorKind;

const MEMORY: usize = 64 * 1024 * 1024;

/// How many instructions run between two looks at the clock.
const STEP: u32 = 10_000;

/// How many such steps a plugin has.
const STEPS: u64 = 50_000;

const PRELUDE: &str = include_str!("prelude.lua");

/// A new state. `log` gets what the plugin prints.
pub(super) fn state<L>(stop: Stop, log: L) -> mlua::Result<Lua>
where
    L: Fn(&str) + 'static,
{
    let libraries = StdLib::TABLE | StdLib::STRING | StdLib::UTF8 | StdLib::MATH;
    let lua = Lua::new_with(libraries, LuaOptions::default())?;
    lua.set_memory_limit(MEMORY)?;
    let steps = Rc::new(Cell::new(0_u64));
    let judge = {
        let steps = Rc::clone(&steps);
        move || {
            if stop.is_due() {
                return Err(ended("it did not answer in time"));
            }
            if steps.get() > STEPS {
                return Err(ended("it takes too many steps"));
            }
            Ok(())
        }
    };
    let check = lua.create_function({
        let judge = judge.clone();
        move |_, ()| judge()
    })?;
    let print = lua.create_function(move |_, text: mlua::LuaString| {
        log(&text.to_string_lossy());
        Ok(())
    })?;
    lua.load(PRELUDE)
        .set_name("=prelude")
        .set_mode(ChunkMode::Text)
        .call::<()>((check, print))?;
    let triggers = HookTriggers::new().every_nth_instruction(STEP);
    lua.set_hook(triggers, move |_, _| {
        steps.set(steps.get() + 1);
        judge().map(|()| VmState::Continue)
    })?;
    Ok(lua)
}

fn ended(reason: &str) -> mlua::Error {
    Raised::new(
        ErrorKind::Unavailable,
        format!("the plugin was ended: {reason}"),
    )
    .into_lua()
}
