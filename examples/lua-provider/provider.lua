-- A plugin of fnox: each value is a file of one folder.
--
-- It shows the hooks (docs/providers/lua.md), not a safe place: the values are as safe as the folder. Lua's own `io` is
-- not there, so programs read and write the files. Values go to them by stdin, never by arguments.
--
--     [providers.shelf]
--     type = "lua"
--     plugin = "./examples/lua-provider"
--     options = { folder = "/srv/shelf" }

local hooks = {}

local function folder(ctx)
  local path = ctx.options.folder
  if type(path) ~= "string" or path:sub(1, 1) ~= "/" then
    fnox.invalid_error("the option `folder` must be an absolute path")
  end
  return path
end

-- A file's name that no reference can lead out of the folder with. A long one gets folders.
local function path(ctx, reference)
  local name = reference:gsub(".", function(byte)
    return string.format("%02x", byte:byte())
  end)
  return folder(ctx) .. "/x" .. name:gsub(("."):rep(200), "%0/x")
end

function hooks.get(ctx, reference)
  local file = path(ctx, reference)
  if not fnox.cmd.exec({ "test", "-f", file }).ok then
    return nil
  end
  return fnox.cmd.run({ "cat", file })
end

function hooks.put(ctx, key, value)
  local file = path(ctx, key)
  fnox.cmd.run({ "mkdir", "-p", (file:gsub("/[^/]*$", "")) })
  fnox.cmd.run({ "dd", "status=none", "of=" .. file }, { stdin = value })
  return key
end

function hooks.delete(ctx, key)
  local file = path(ctx, key)
  if not fnox.cmd.exec({ "test", "-f", file }).ok then
    return false
  end
  fnox.cmd.run({ "rm", file })
end

function hooks.test(ctx)
  if not fnox.cmd.exec({ "test", "-d", folder(ctx) }).ok then
    fnox.unavailable_error("there is no folder " .. folder(ctx))
  end
end

return hooks
