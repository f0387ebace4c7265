-- Where Lua 5.1, 5.2, 5.3, 5.4 and LuaJIT differ, as far as this library minds.
-- Every other file is written as if there were one Lua. Nothing here knows
-- what it is used for.

local compat = {}

---Which of the builds of the C module fits this Lua: "lua5.4", "luajit", ...
---@type string
compat.name = rawget(_G, "jit") and "luajit" or "lua" .. _VERSION:match("%d+%.%d+")

---The host that runs this Lua state, and is there from the beginning; nil for a program
---of its own.
---@type any
compat.embedded = rawget(_G, "ngx") or rawget(_G, "love") or rawget(_G, "vim")

---Whether a coroutine can yield across `pcall`: everywhere but on PUC Lua 5.1.
---@type boolean
compat.pcall_yields = compat.name ~= "lua5.1"

---Whether tables can have finalizers; else userdata alone do (PUC Lua 5.1, LuaJIT).
---@type boolean
compat.gc_tables = _VERSION ~= "Lua 5.1"

---A C module that is on `package.cpath`: `require` would look for a Lua file of that name in
---every folder first. nil where it is not found so, or somebody else says what it is.
---@param name string
---@return any
function compat.from_cpath(name)
  if package.loaded[name] or package.preload[name] or not package.searchpath then return nil end
  local path = package.searchpath(name, package.cpath)
  local open = path and package.loadlib(path, "luaopen_" .. name:gsub("%.", "_"))
  if not open then return nil end
  local module = open(name, path)
  package.loaded[name] = module
  return module
end

compat.unpack = table.unpack or rawget(_G, "unpack")

compat.pack = table.pack or function(...)
  return { n = select("#", ...), ... }
end

local running = coroutine.running

---The running coroutine, nil on the main thread.
---@return thread?
function compat.running()
  local co, is_main = running()
  if is_main then return nil end
  return co
end

---`coroutine.create`; 5.1 takes only functions written in Lua.
---@param fn function
---@return thread
compat.coroutine = compat.pcall_yields and coroutine.create or function(fn)
  if debug.getinfo(fn, "S").what ~= "C" then return coroutine.create(fn) end
  return coroutine.create(function(...) return fn(...) end)
end

-- Bitwise operators are syntax in 5.3, a library in LuaJIT (`bit`) and 5.2
-- (`bit32`), and absent from 5.1, where small sums are taken apart.

local function plain_band(a, b)
  local sum, bit = 0, 1
  while a > 0 and b > 0 do
    local abit, bbit = a % 2, b % 2
    sum = sum + abit * bbit * bit
    a, b, bit = (a - abit) / 2, (b - bbit) / 2, bit * 2
  end
  return sum
end

local function find_band()
  local lib = rawget(_G, "jit") and require "bit" or rawget(_G, "bit32")
  if lib then return lib.band end
  local chunk = (loadstring or load)("return function(a, b) return a & b end")
  return chunk and chunk() or plain_band
end

---The bits that two small non-negative integers share.
---@type fun(a: integer, b: integer): integer
compat.band = find_band()

---The bits that either of two small non-negative integers has.
---@param a integer
---@param b integer
---@return integer
function compat.bor(a, b)
  return a + b - compat.band(a, b)
end

-- 5.1 and 5.2 cannot say whether a coroutine may yield, so the stack is looked
-- at: a C function in it, other than those in `fine`, is in the way.
local function scan_yieldable(fine)
  local level = 2
  while true do
    local info = debug.getinfo(level, "Sf")
    if not info then return true end
    if info.what == "C" and not fine[info.func] then return false end
    level = level + 1
  end
end

local fine_in_52 = { [pcall] = true, [xpcall] = true, [coroutine.yield] = true }

---Whether the running coroutine can yield here. On 5.1 metamethods and
---iterators go unnoticed (the yield itself then fails).
---@return boolean
compat.isyieldable = coroutine.isyieldable or function()
  return scan_yieldable(compat.pcall_yields and fine_in_52 or {})
end

---What to tell somebody who waits where this Lua cannot yield.
---@type string
compat.yield_help = compat.pcall_yields
  and "a task cannot wait inside a function that C code calls (a callback of table.sort or "
    .. "string.gsub, a finalizer, require): move the call out of it"
  or "on Lua 5.1 a task cannot wait inside pcall, a metamethod, an iterator or a callback of "
    .. "C: move the call out of it, or run this on LuaJIT or Lua 5.2 or later"

return compat
