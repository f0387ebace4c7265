-- A task of three steps for an agent, which must be solved in every host by the same code:
-- a program is written, run, and what it printed is read. It knows nothing of hosts. A file
-- for Stage:work (hosts.lua); the model is a scripted one.

local daytona, loop, say = ...

return function(beats)
  local before = beats()
  local agent = assert(daytona.agent {
    tools = "coding", sandbox = os.getenv "SANDBOX", driver = os.getenv "DRIVER", model = "scripted",
    base_url = os.getenv "MODEL_URL",
  })
  local seen, text = {}, {}
  for event in agent:run "Write a program that squares numbers, run it, and say what it printed." do
    if event.type == "text" then text[#text + 1] = event.text end
    if event.type == "result" then seen[#seen + 1] = event.name .. (event.result.ok and "" or " failed") end
    if event.type == "result" and event.name == "bash" then say("printed", event.result.text:match "%d+ %d+ %d+") end
    if event.type == "done" then say("done", event.reason .. " " .. event.steps) end
  end
  say("calls", table.concat(seen, " "))
  say("text", (table.concat(text):gsub("\n", " ")))
  say("beats", beats() - before > 5 and "many" or "few")
  local stats = loop.engine():stats()
  say("in_flight", stats.running + stats.queued)
end
