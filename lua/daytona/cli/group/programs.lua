-- exec, run, ssh: what runs in a sandbox as if it ran here.

local output = require "daytona.cli.output"

local programs = {}

local TIME_OVER = 124

local function to_stderr(chunk)
  io.stderr:write(chunk)
end

-- The exit status that a result stands for.
local function status_of(result, err)
  if not result then return nil, err end
  if not result.timed_out then return result.exit_code % 256 end
  io.stderr:write("daytona-lua: the time was over, and the program was ended\n")
  return TIME_OVER
end

-- One word is a line of shell, more are a program and its arguments.
local function command_of(words)
  return #words == 1 and words[1] or words
end

local function live_options(given)
  return {
    cwd = given.cwd, env = given.env, timeout = given.timeout or 0, on_stdout = output.write, on_stderr = to_stderr,
  }
end

-- With input that is still to come.
local function exec_fed(box, command, opts, text)
  local live = require "daytona.toolbox.exec_live"
  return require("daytona.cli.input").feed(text, function(on_job)
    opts.stdin, opts.on_job = true, on_job
    return live(box, command, opts, opts.timeout)
  end)
end

---@param call daytona.cli.Call
function programs.exec(call)
  local given, command = call.options, command_of(call.rest)
  local box, err = call:box()
  if not box then return nil, err end
  local input, opts = require "daytona.cli.input", live_options(given)
  if given.no_stdin or not input.is_given() then return status_of(box:exec(command, opts)) end
  local text, whole = input.beginning()
  if not whole then return status_of(exec_fed(box, command, opts, text)) end
  opts.stdin = text ~= "" and text or nil
  return status_of(box:exec(command, opts))
end

local LANGUAGES = { py = "python", js = "javascript", mjs = "javascript", ts = "typescript" }

-- The text of a local file, "-" for standard input; nil, err.
local function source_of(name)
  local file, why = io.stdin, nil
  if name ~= "-" then file, why = io.open(name, "rb") end
  local text
  if file then text, why = file:read "*a" end
  if text then return text end
  return nil, require("daytona.base.errors").new { kind = "io", operation = "run", message = tostring(why) }
end

---@param call daytona.cli.Call
function programs.run(call)
  local given, name = call.options, call.args[2]
  local code, err = source_of(name)
  if not code then return nil, err end
  local box
  box, err = call:box()
  if not box then return nil, err end
  local opts = live_options(given)
  opts.cwd, opts.argv, opts.language = nil, call.rest, given.language or LANGUAGES[name:match "%.(%w+)$" or ""]
  return status_of(box:run(code, opts))
end

-- A shell at this terminal, as long as it lasts; its exit status.
local function shell(box)
  local terminal, err = box:pty { env = { TERM = os.getenv "TERM" or "xterm-256color" } }
  if not terminal then return nil, err end
  return require("daytona.loop.closing").using(terminal, function(pty)
    local code, why = pty:interact()
    if code then return code % 256 end
    return nil, why
  end)
end

local function print_access(box, given)
  local access, err = box.ssh:access { expires_in = given.expires }
  if not access then return nil, err end
  if given.json then output.json(access) else output.write(access.ssh_command .. "\n") end
end

---@param call daytona.cli.Call
function programs.ssh(call)
  local box, err = call:box()
  if not box then return nil, err end
  if call.options.print or call.options.json then return print_access(box, call.options) end
  if not output.is_terminal(0) then
    error("ssh: standard input is no terminal; exec passes it on", 0)
  end
  return shell(box)
end

return programs
