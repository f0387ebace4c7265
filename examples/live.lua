-- Output while it is printed: a job, read like a file of io.popen, and a command of
-- a session, whose two streams are followed.
--
--   lua5.4 examples/live.lua

local daytona = require "daytona"
local check = daytona.assert

-- Ctrl-C, SIGTERM and SIGHUP leave its scopes, which deletes what is in them, and say no more.
daytona.main(function()
  local client = check(require("daytona.devserver").client())

  local begin = os.time()
  local function say(what, text)
    print(("%2d s  %-8s %s"):format(os.difftime(os.time(), begin), what, text))
  end

  daytona.using(check(client:create { labels = { example = "live" } }), function(sb)
    -- A job runs on its own: it would go on if this program were to end here, and
    -- sb:job "count" would find it again.
    local job = check(sb:popen("for i in 1 2 3; do echo line $i; sleep 0.5; done", { id = "count" }))
    for line in job:lines() do say("job", line) end
    say("job", "ended: " .. table.concat({ select(2, job:close()) }, " "))

    -- A job that is talked to.
    local sorter = check(sb:popen("sort -n", { stdin = true }))
    for _, number in ipairs { 10, 9, 100 } do check(sorter:write(number .. "\n")) end
    check(sorter:close_stdin())
    say("sorted", (check(sorter:read "a"):gsub("\n", " ")))
    sorter:close()

    -- A session is a shell that stays; what runs in it is followed from the start.
    local session = check(sb:session "work")
    check(session:exec "cd /tmp; greeting=hello")
    local command = check(session:exec("echo $greeting from $PWD; sleep 0.5; echo oops >&2; false", { async = true }))
    for stream, line in command:follow():lines() do say(stream, line) end
    say("session", "exit code " .. command.exit_code)
  end)
end)
