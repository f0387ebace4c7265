-- A workflow that is the same in every host: two commands beside each other, what they said
-- together, a run that fails and one that is cancelled. A file for Stage:work (hosts.lua).

local daytona, loop, say = ...

local BOX = '{{ $["box"].data.id }}'

local function command(id, text, after)
  return { id = id, component = "executeCommand", sandbox = BOX, command = text, after = after,
    env = id == "both" and { A = "{{ $.left.data.result }}", B = "{{ $.right.data.exitCode }}" } or nil }
end

local function all()
  local run = daytona.assert(daytona.workflow.run {
    { id = "box", component = "createSandbox" },
    command("left", "touch left; while [ ! -e right ]; do sleep 0.02; done; printf met", "box"),
    command("right", "touch right; while [ ! -e left ]; do sleep 0.02; done; exit 3", "box"),
    command("both", "printf '%s %s' \"$A\" \"$B\"", { "left", "right.failed" }),
    { component = "deleteSandbox", sandbox = BOX },
  })
  say("both", run.results.both.data.result)
  say("deleted", run.results.deleteSandbox.data.deleted)
end

local function failing()
  local _, err = daytona.workflow.run {
    { id = "box", component = "createSandbox" },
    { component = "executeCommand", sandbox = BOX, command = "x", cwd = "/none" },
  }
  say("failed", err.what .. " " .. err.kind)
end

local function cancelled()
  local begun = require("daytona.loop.latch")()
  local job = daytona.spawn(daytona.workflow.run, {
    { id = "box", component = "createSandbox" }, command("long", "sleep 1000"),
  }, { on_step = function() begun:open() end })
  loop.join(begun)
  job:cancel()
  local _, err = job:wait()
  say("cancelled", err.kind)
end

return function(beats)
  all()
  failing()
  cancelled()
  local left = 0
  for box in daytona.each() do
    if box.id ~= os.getenv "SANDBOX" and not box.state:find "^destroy" then left = left + 1 end
  end
  say("left", left)
  say("beats", beats() > 20 and "many" or beats())
end
