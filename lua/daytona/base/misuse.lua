-- Misuse: a mistake of the program's, raised as a string at the line outside this library
-- from which the call came; and who catches what is raised. Loaded with the first: programs
-- that are right have none.

local misuse = {}

-- The folder of this library, with a slash at its end.
local HERE = debug.getinfo(1, "S").source:match("^(.*[/\\])base[/\\]") or "@daytona/"

local function outside(info)
  return info.source ~= "=[C]" and info.source ~= "=(tail call)" and info.source:sub(1, #HERE) ~= HERE
end

-- The level, for a function called from here, of the first function that is
-- not part of this library; nil when there is none.
local function callers_level(least)
  local level = least + 1
  while true do
    local info = debug.getinfo(level, "S")
    if not info then return nil end
    if outside(info) then return level end
    level = level + 1
  end
end

---Set by the tasks: the function that the running one was made of, if any.
---@type fun(): function?
misuse.task_function = nil

-- A function that ends in `return sb:exec(...)` is gone when that call is looked into.
-- In a task it is at least known which one it was.
local function in_task(text)
  local fn = misuse.task_function and misuse.task_function()
  local info = fn and debug.getinfo(fn, "S")
  if not info or not outside(info) then return text end
  return ("in the function of %s:%d: %s"):format(info.short_src, info.linedefined, text)
end

---Raises a formatted string at the line outside this library from which the call came.
---Where a task's function has left no line, its own is named.
---@param level integer  1: the function that called who calls this may itself be outside; more: skip so many
---@param fmt string
---@param ... any
function misuse.raise(level, fmt, ...)
  local text = select("#", ...) > 0 and string.format(fmt, ...) or fmt
  local found = callers_level(level + 1)
  if not found then error(in_task(text), 0) end
  -- callers_level counts from its own frame; error counts from this one, and
  -- both are one level below the function asked for.
  error(text, found - 1)
end

---Whether one of the functions that run in this thread catches what is raised.
---@return boolean
function misuse.is_caught()
  local level = 3
  while true do
    local info = debug.getinfo(level, "f")
    if not info then return false end
    if info.func == pcall or info.func == xpcall then return true end
    level = level + 1
  end
end

return misuse
