-- An agent in twenty lines: a model, a sandbox of its own, a task.
--
--   OPENAI_API_KEY=... OPENAI_MODEL=... lua5.4 examples/agent.lua clone user/repo and run its tests
--   (or ANTHROPIC_API_KEY and ANTHROPIC_MODEL; without any: scripts/demo-agent)

local daytona = require "daytona"

-- Ctrl-C, SIGTERM and SIGHUP leave its scopes, which deletes what is in them, and say no more.
daytona.main(function()
  local client = daytona.assert(require("daytona.devserver").client())
  local agent = daytona.assert(daytona.agent { tools = "coding", client = client, limits = { steps = 40 } })
  local task = arg[1] and table.concat(arg, " ") or "print the primes below 30 by a program of your own"

  for event in agent:run(task) do
    if event.type == "text" then
      io.write(event.text)
    elseif event.type == "call" then
      print(("\n> %s %s"):format(event.name, event.arguments))
    elseif event.type == "result" then
      print((event.result.text:gsub("\n*$", "")))
    elseif event.type == "done" then
      print(("\n[%s: %d steps, %d tokens written]"):format(event.reason, event.steps, event.usage.output))
    end
    io.flush()
  end
end)
