-- The kit's programs on standard input and output (bin/daytona-mcp, bin/daytona-acp): how they
-- begin, and end.

local argv_of = require "daytona.agent.argv"

---Serves until the other side closes its end, or ends the program.
---@param argv string[]
---@param program { name: string, usage: string, options: table<string, "value"|"flag">, make: fun(given: table): table?, any }
---`make` returns the server and, where that is another, who is closed at the end; or nil and what is wrong
---@return integer status  of the program
return function(argv, program)
  local function fail(why)
    io.stderr:write(program.name, ": ", why, "\n")
    return 2
  end
  local given, why = argv_of.parse(argv, program.options)
  if not given then return fail(why .. "\n\n" .. program.usage) end
  if given.help then
    io.stdout:write(program.usage)
    return 0
  end
  -- Standard output is for messages; what a tool of the program's own prints is none.
  print = function(...) io.stderr:write(table.concat({ ... }, "\t"), "\n") end -- luacheck: ignore
  local server, holder = program.make(given)
  if not server then return fail(holder) end
  return require("daytona.agent.mcp.stdio").serve(program.name, server, holder or server)
end
