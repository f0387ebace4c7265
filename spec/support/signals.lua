-- What programs leave that are ended from outside: real ones, on the local server, which make,
-- use and delete sandboxes without an end until a signal strikes them at a random moment.
--
--   local rows = require("spec.support.signals").run { lua = "lua5.4", runs = 8, twice = 25, seed = 1 }
--   for each row: name, runs, made (sandboxes), left (after the end of each run), still (left
--   after a reap), cleans (whether nothing may be left without one)

local shell = require "daytona.base.shell"

-- One sandbox after the other, or three at a time in tasks. ENDING is how it ends by itself.
local PROGRAM = [[
local url, key, kind, ending = ...
local daytona = require "daytona"
daytona.trap()
local client = daytona.assert(daytona.new { api_url = url, api_key = key })
local turns = 0
local function turn()
  return daytona.using(daytona.assert(client:create()), function(sb)
    print(daytona.assert(sb:exec "sleep 0.1; echo used").result)
    io.stdout:flush()
    turns = turns + 1
    if turns == 3 and ending == "close" then os.exit(1, true) end
    if turns == 3 and ending == "exit" then os.exit(1) end
    return true
  end)
end
while true do
  if kind == "one" then turn() else daytona.assert(daytona.map({ 1, 2, 3, 4, 5, 6 }, turn, { concurrency = 3 })) end
end
]]

-- `signals` are sent 30 ms after each other; `sink` reads what is printed, `ending` is the program's own:
-- `is_closing` does not end what other tasks are just creating or deleting, so it is tried without.
local CASES = {
  { name = "Ctrl-C", signals = { "INT" } },
  { name = "Ctrl-C twice", signals = { "INT", "INT" } },
  { name = "TERM", signals = { "TERM" } },
  { name = "HUP", signals = { "HUP" } },
  { name = "| head", sink = "head -n 2" },
  { name = "os.exit(1, true)", ending = "close", is_closing = true },
  { name = "os.exit(1)", ending = "exit", leaves = true },
  { name = "KILL", signals = { "KILL" }, leaves = true },
}

-- Runs the program until it has ended.
local function run(self, case, kind, delay)
  local server = self.service.server
  local words = { self.lua, self.file, server.api_url, server.api_key, kind, case.ending or "" }
  for i, word in ipairs(words) do words[i] = shell.quote(word) end
  local command = self.environment .. table.concat(words, " ")
  if case.sink then
    command = ("{ %s 2>/dev/null; } | %s"):format(command, case.sink)
  else
    command = "echo $$; exec " .. command .. " 2>/dev/null"
  end
  local pipe = io.popen(command)
  if case.signals then
    local pid = pipe:read "*l"
    os.execute(("sleep %.3f"):format(delay))
    for _, name in ipairs(case.signals) do os.execute(("kill -%s %s; sleep 0.03"):format(name, pid)) end
  end
  pipe:read "*a"
  pipe:close()
end

local function run_case(self, case, runs)
  local row = { name = case.name, runs = runs, left = 0, still = 0, cleans = not case.leaves }
  for i = 1, runs do
    run(self, case, (case.is_closing or i % 2 == 0) and "one" or "tasks", 0.02 + self.latest * math.random())
    local left = self.service:sandboxes()
    row.left = row.left + left
    if left > 0 then
      assert(self.service.client:reap())
      row.still = row.still + self.service:sandboxes()
    end
  end
  return row
end

local signals = {}

---Runs each case so often; signals strike within `latest` seconds (2.5), `on_row` hears of each row as it is known.
function signals.run(opts)
  local service = require("spec.support.service").start()
  local self = { lua = opts.lua, service = service, file = os.tmpname(), latest = opts.latest or 2.5 }
  local file = assert(io.open(self.file, "w"))
  file:write(PROGRAM)
  file:close()
  self.environment = "env LUA_PATH='./lua/?.lua;./lua/?/init.lua;;' LUA_CPATH='./build/" .. opts.lua .. "/?.so;;' "
  math.randomseed(opts.seed)
  local rows = {}
  for _, case in ipairs(CASES) do
    local before = service:count("POST", "/sandbox")
    local row = run_case(self, case, case.name == "Ctrl-C twice" and opts.twice or opts.runs)
    row.made = service:count("POST", "/sandbox") - before
    rows[#rows + 1] = row
    if opts.on_row then opts.on_row(row) end
  end
  os.remove(self.file)
  service:stop()
  return rows
end

return signals
