-- A long task that outlives this program: begun by one, watched and ended by another, which
-- sees its whole log from the beginning.
--
--   lua5.4 examples/long_task.lua begin           prints the sandbox's id, and ends
--   lua5.4 examples/long_task.lua watch ID        follows the log to its end, deletes the sandbox

local daytona = require "daytona"
local check = daytona.assert

-- Ctrl-C, SIGTERM and SIGHUP leave its scopes, which deletes what is in them, and say no more.
daytona.main(function()
  local client = check(daytona.client())
  local what, id = arg[1], arg[2]

  local TASK = "for i in 1 2 3 4 5; do echo step $i of 5; sleep 0.4; done; echo result 42 >result"

  if what == "begin" then
    -- Should nobody come back, it is stopped after an hour, and deleted then.
    local sb = check(client:create { labels = { example = "long_task" }, auto_stop_interval = 60, ephemeral = true })
    check(sb:popen(TASK, { id = "task" }))
    print(sb.id)
  elseif what == "watch" and id then
    local sb = check(client:get(id)) -- what was made elsewhere is not deleted by a scope
    local job = check(sb:job "task")
    for line in job:lines() do print(line) end
    local _, how, code = job:close()
    print(("ended: %s %d"):format(how, code))
    io.write((check(sb.fs:read "result")))
    check(sb:delete())
  else
    io.stderr:write "long_task.lua: begin, or watch ID\n"
    return 2
  end
end)
