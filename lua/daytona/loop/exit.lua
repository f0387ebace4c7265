-- `os.exit(code, true)` where a Lua state that is closed finalizes no tables (PUC Lua 5.1, LuaJIT):
-- there it is ours while scopes are open, and ends them before the program. The state is whole
-- then: in one that is being closed, what LuaJIT has compiled may stand still for ever.

local loop = require "daytona.loop"

local exit = {}

local theirs, ours

---Has `os.exit(code, true)` end scopes first.
---@param end_scopes fun()
function exit.watch(end_scopes)
  if ours then return end
  theirs = os.exit
  ours = function(code, close)
    if close then loop.shield(end_scopes) end
    return theirs(code, close)
  end
  os.exit = ours -- luacheck: ignore
end

---No scope is open: what was there before is there again, unless somebody else has put something in
---its place, which may call ours for ever.
function exit.unwatch()
  if os.exit ~= ours then return end
  os.exit = theirs -- luacheck: ignore
  ours = nil
end

return exit
