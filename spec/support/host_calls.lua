-- The calls that must be the same in every host: commands, jobs, sessions that are
-- followed, terminals and the interpreter. It knows nothing of hosts, and what it
-- says is the same in all of them. A file for Stage:work (hosts.lua).

local daytona, loop, say = ...

-- So often the host's own work must come round while a call waits.
local ROUNDS = 10

-- Seconds until something that must happen has happened.
local PATIENCE = 20

local sb, beats

-- Calls fn(...) when the host's own work has come round: who waits for the
-- consequence meanwhile gets it only if the host is not held up by that.
local function later(fn, ...)
  local from = beats()
  return daytona.spawn(function(...)
    while beats() < from + ROUNDS do daytona.sleep(0.002) end
    return fn(...)
  end, ...)
end

local function wait_until(fn, what)
  local limit = loop.now() + PATIENCE
  while not fn() do
    if loop.now() > limit then error(what .. " did not happen", 0) end
    daytona.sleep(0.02)
  end
end

--- What is printed arrives, and what is written does -------------------------------------

local function use_exec()
  local r = assert(sb:exec("cat; exit 3", { stdin = "typed" }))
  say("exec", r.result .. " " .. r.exit_code)
end

-- A job that is talked to: each answer arrives before the next word is sent.
local function use_popen()
  local job = assert(sb:popen("echo ready; while read -r x; do echo got $x; done; exit 4", { stdin = true }))
  local lines = { job:read() }
  for i = 1, 3 do
    local writing = later(job.write, job, i .. "\n")
    lines[#lines + 1] = job:read()
    assert(writing:wait())
  end
  local closing = later(job.close_stdin, job)
  lines[#lines + 1] = tostring(job:read())
  assert(closing:wait())
  local _, how, code = job:close()
  say("popen", table.concat(lines, ", ") .. ", " .. how .. " " .. code)
end

-- The same with a session's command, whose two streams are followed.
local function use_follow()
  local session = assert(sb:session())
  local command = assert(session:exec(
    "echo ready; read -r x; echo got $x; read -r x; echo got $x >&2; (exit 5)", { async = true, echo = false }))
  local next_line, lines = command:follow():lines(), {}
  local function read()
    local stream, line = next_line()
    lines[#lines + 1] = stream and stream .. " " .. line or "end"
  end
  read()
  for i = 1, 2 do
    local writing = later(command.input, command, tostring(i))
    read()
    assert(writing:wait())
  end
  read()
  say("follow", table.concat(lines, ", ") .. ", " .. command.exit_code)
  assert(session:delete())
end

local function read_until(pty, pattern)
  local text = ""
  repeat text = text .. assert(pty:read { timeout = PATIENCE }) until text:find(pattern)
end

local function use_pty()
  local pty = assert(sb:pty { cols = 77, rows = 11 })
  assert(pty:write "stty size\r")
  read_until(pty, "11 77")
  assert(pty:resize(99, 22))
  local writing = later(pty.write, pty, "stty size\r")
  read_until(pty, "22 99")
  assert(writing:wait())
  later(pty.write, pty, "exit 6\r")
  repeat until not pty:read()
  say("pty", (pty:wait()))
end

local function use_interpreter()
  local pieces = {}
  local r = assert(sb.interpreter:run("import time\nfor i in range(3): print(i, flush=True); time.sleep(0.05)", {
    on_stdout = function(piece) pieces[#pieces + 1] = piece:gsub("\n", "") end,
  }))
  say("interpreter", table.concat(pieces, ", ") .. (r.error and " failed" or ""))
end

--- A cancel reaches the sandbox -----------------------------------------------------------

-- What a task would do for ever: a command of its own, which first says that it is there.
local ENDLESS = {
  exec = function(command) return sb:exec(command) end,
  popen = function(command)
    return daytona.using(assert(sb:popen(command)), function(job) return job:read() end)
  end,
  follow = function(command)
    return daytona.using(assert(sb:session()), function(session)
      return assert(session:exec(command, { async = true })):follow():read()
    end)
  end,
  pty = function(command)
    return daytona.using(assert(sb:pty()), function(pty)
      assert(pty:write(command .. "\r"))
      local chunk, err
      repeat chunk, err = pty:read() until not chunk
      return nil, err
    end)
  end,
}

local function cancel(name, number)
  local endless = ("sleep 100%d"):format(number)
  local task = daytona.spawn(ENDLESS[name], "touch begun; exec " .. endless)
  wait_until(function() return sb.fs:exists "begun" end, name .. ": its begin")
  task:cancel()
  local _, err = task:wait(PATIENCE)
  if not daytona.is_error(err, "canceled") then error(name .. " ended with " .. tostring(err), 0) end
  wait_until(function() return sb:exec("pgrep -fx '" .. endless .. "'").result == "" end, name .. ": its end")
  assert(sb.fs:remove "begun")
end

local function cancel_each()
  local names = { "exec", "popen", "follow", "pty" }
  for i, name in ipairs(names) do cancel(name, i) end
  say("canceled", table.concat(names, ", "))
end

--- Nothing is left ------------------------------------------------------------------------

local function look_for_leftovers()
  say("left", #assert(sb:jobs()) + #assert(sb:sessions()) + #assert(sb:ptys()))
  local stats = loop.engine():stats()
  say("in_flight", stats.running + stats.queued)
end

return function(host_beats)
  beats = host_beats
  sb = assert(daytona.get(os.getenv "SANDBOX"))
  use_exec()
  use_popen()
  use_follow()
  use_pty()
  use_interpreter()
  cancel_each()
  look_for_leftovers()
end
