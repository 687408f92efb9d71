-- Runs before a plugin. The host hands over what is checked here; nothing of it stays reachable.
local check, log = ...
local raw_pcall, raw_xpcall, raw_setmetatable = pcall, xpcall, setmetatable
local rawget, error, type, select, concat = rawget, error, type, select, table.concat
local tostring, tonumber = tostring, tonumber
local rep, move = string.rep, table.move
local LARGEST = 64 * 1024 * 1024

-- The end of a plugin's time is no error that it can catch.
local function checked(...)
  check()
  return ...
end

function pcall(...)
  return checked(raw_pcall(...))
end

function xpcall(...)
  return checked(raw_xpcall(...))
end

-- No hook runs while a finalizer does, so that it could not be ended.
function setmetatable(value, metatable)
  if type(metatable) == "table" and rawget(metatable, "__gc") ~= nil then
    error("a plugin cannot have finalizers (`__gc`)", 2)
  end
  return raw_setmetatable(value, metatable)
end

-- Loops of C that no hook ends either.
function string.rep(text, count, separator)
  local length = #tostring(text) + #tostring(separator or "")
  -- Texts of digits are numbers too.
  local times = tonumber(count)
  if times and (times > LARGEST or times * length > LARGEST) then
    error("resulting string too large", 2)
  end
  return rep(text, count, separator)
end

function table.move(from, first, last, to, target)
  local lowest, highest = tonumber(first), tonumber(last)
  if lowest and highest and (lowest < -LARGEST or highest > LARGEST) then
    error("too many elements to move", 2)
  end
  return move(from, first, last, to, target)
end

function print(...)
  local texts = {}
  for index = 1, select("#", ...) do
    texts[index] = tostring((select(index, ...)))
  end
  log(concat(texts, "\t"))
end

string.dump = nil
load, loadfile, dofile, collectgarbage, warn = nil, nil, nil, nil, nil
