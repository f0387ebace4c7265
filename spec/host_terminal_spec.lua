-- Terminals and the interpreter in the hosts that wait in their own way.

local hosts = require "spec.support.hosts"

-- Types into a terminal and runs code that prints as it goes; says what came.
local WORK = [[
  local sb = assert(daytona.get(os.getenv "SANDBOX"))
  local pty = assert(sb:pty { cols = 77, rows = 11 })
  assert(pty:write "stty size; exit 4\n")
  local text, chunk = "", pty:read()
  while chunk do
    text, chunk = text .. chunk, pty:read()
  end
  say("size", text:match "11 77")
  say("code", (pty:wait()))
  local pieces = 0
  local r = assert(sb.interpreter:run("import time\nfor i in range(3): print(i, flush=True); time.sleep(0.05)", {
    on_stdout = function() pieces = pieces + 1 end,
  }))
  say("pieces", pieces)
  say("failed", r.error ~= nil)
]]

describe("terminals and the interpreter #host", function()
  local stage

  setup(function() stage = hosts.stage() end)
  teardown(function() stage:close() end)

  local function fine(said)
    assert.equal(0, said.exit, said.text)
    assert.same({ "11 77", 4, 3, "false" }, { said.size, said.code, said.pieces, said.failed }, said.text)
  end

  it("work in Neovim", function()
    fine(stage:run("neovim", "daytona.spawn(function()\n" .. WORK .. "\nvim.cmd 'qa!'\nend)"))
  end)

  it("work in LÖVE", function()
    fine(stage:run("love", [[
local work
function love.load()
  work = daytona.spawn(function()
]] .. WORK .. [[
  end)
end
function love.update()
  daytona.update(0.002)
  if work:done() then
    local _, err = work:wait()
    if err then say("error", err) end
    love.event.quit(err and 1 or 0)
  end
end
function love.draw() love.timer.sleep(0.002) end
]]))
  end)

  it("work on luv", function()
    fine(stage:run("luv", "local timer = uv.new_timer()\ntimer:start(10, 10, function() end)\n"
      .. "daytona.spawn(function()\n" .. WORK .. "\ntimer:close()\nend)\nuv.run()"))
  end)

  it("work in a thread of cqueues", function()
    fine(stage:run("cqueues", "local controller = cqueues.new()\ncontroller:wrap(function()\n" .. WORK
      .. "\nend)\nassert(controller:loop())"))
  end)
end)
