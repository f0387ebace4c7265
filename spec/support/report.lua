-- Output handler for busted: says what failed, where and why, as it happens, what was
-- skipped, and ends with the line "N passed, N failed" that scripts/test adds up. For it
-- the files in which something failed are listed as well, and a file is kept of the
-- numbers up to now, the process, and what runs, should it not come to the end.

local function describe(kind, entry)
  local at = entry.trace or entry.element.trace or {}
  local message = entry.message
  if type(message) == "table" and not (getmetatable(message) or {}).__tostring then
    message = require("pl.pretty").write(message)
  end
  local text = { ("%s  %s"):format(kind, entry.name) }
  if at.short_src then
    text[2] = ("  %s:%d"):format(at.short_src, at.currentline or 0)
  end
  text[#text + 1] = "  " .. tostring(message or "no message"):gsub("\n", "\n  ")
  if entry.isError and at.traceback then
    text[#text + 1] = "  " .. at.traceback:gsub("\n", "\n  ")
  end
  return table.concat(text, "\n") .. "\n"
end

local function list_files(mark, ...)
  local out = assert(io.open(mark .. ".specs", "w"))
  for _, entries in ipairs { ... } do
    for _, entry in ipairs(entries) do
      local trace = entry.element.trace
      if trace then out:write(trace.short_src, "\n") end
    end
  end
  out:close()
end

return function(options)
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base"()
  local slow = tonumber(os.getenv("SPEC_SLOW") or "")

  local shown = {}
  local mark = os.getenv "DAYTONA_TEST_RUN"

  -- What has been added to a list since it was last shown.
  local function show(list, kind)
    for i = (shown[list] or 0) + 1, #list do
      io.stdout:write(describe(kind, list[i]), "\n")
    end
    shown[list] = #list
  end

  local function numbers()
    local line = ("%d passed, %d failed"):format(handler.successesCount,
      handler.failuresCount + handler.errorsCount)
    if handler.pendingsCount == 0 then return line end
    return ("%s, %d skipped"):format(line, handler.pendingsCount)
  end

  local function process()
    local stat = io.open "/proc/self/stat"
    if not stat then return "" end
    local pid = stat:read "*n"
    stat:close()
    return ("%d"):format(pid)
  end

  local pid = process()
  local function beat(what)
    if not mark then return end
    if handler.failuresCount + handler.errorsCount > 0 then list_files(mark, handler.failures, handler.errors) end
    local file = assert(io.open(mark .. ".beat", "w"))
    file:write(numbers(), "\n", pid, "\n", what, "\n")
    file:close()
  end

  function handler.fileStart(file)
    beat(file.name)
    return nil, true
  end

  function handler.testStart(element)
    beat(element.trace.short_src .. ": " .. handler.getFullName(element))
    return nil, true
  end

  function handler.testEnd(element, _, _, _)
    if slow and (element.duration or 0) >= slow then
      io.stdout:write(("%7.3f s  %s\n"):format(element.duration,
        handler.getFullName(element)))
    end
    show(handler.failures, "failed")
    show(handler.errors, "error")
    io.stdout:flush()
    beat "what is between two"
    return nil, true
  end

  function handler.suiteEnd()
    if not options.suppressPending then
      show(handler.pendings, "skipped")
    end
    show(handler.failures, "failed")
    show(handler.errors, "error")
    beat "its end"
    io.stdout:write(numbers(), "\n")
    io.stdout:flush()
    return nil, true
  end

  busted.subscribe({ "file", "start" }, handler.fileStart)
  busted.subscribe({ "test", "start" }, handler.testStart)
  busted.subscribe({ "test", "end" }, handler.testEnd)
  busted.subscribe({ "suite", "end" }, handler.suiteEnd)
  return handler
end
