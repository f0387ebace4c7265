-- A command whose output is kept in the sandbox, so that a model is given the ends of
-- much output and can read the rest there; and what was printed is not lost when the
-- time is over.
--
-- One request in the ordinary case: the shell writes into a file, prints it (or its
-- ends) afterwards and removes it unless there is more in it than was printed.

local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local loop = require "daytona.loop"
local output = require "daytona.agent.output"
local shell = require "daytona.base.shell"
local task = require "daytona.loop.task"

local capture = {}

local FOLDER = "/tmp/.daytona-output"

-- Seconds between looks at what a command prints; bytes of one look.
local FIRST_LOOK, LOOK, LOOK_BYTES = 0.3, 1, 400

-- Prints the file $f, or its ends around a line that begins with the mark.
local REPORT = [[
lines=$(wc -l <"$f"); bytes=$(wc -c <"$f")
if [ "$lines" -le @LINES@ ] && [ "$bytes" -le @BYTES@ ]; then cat "$f"@REMOVE@
else
  head -n @HALF_LINES@ "$f" | head -c @HALF_BYTES@
  printf '\n%s %d %s\n' @MARK@ "$bytes" "$f"
  tail -n @HALF_LINES@ "$f" | tail -c @HALF_BYTES@
fi
]]

-- Where the folder cannot be written, the command runs all the same.
local RUN = [[
f=@FILE@
if { mkdir -p "${f%/*}" && : >"$f"; } 2>/dev/null; then
(eval @COMMAND@) >"$f" 2>&1
code=$?
@REPORT@
exit $code
fi
eval @COMMAND@
]]

local function new_mark()
  return (core.unique():gsub("[^%w]", ""))
end

local function fill(script, values)
  return (script:gsub("@([A-Z_]+)@", function(name) return values[name] end))
end

local function report(limits, mark, keep)
  return fill(REPORT, {
    REMOVE = keep and "" or '; rm -f "$f"', MARK = mark,
    LINES = ("%d"):format(limits.lines), BYTES = ("%d"):format(limits.bytes),
    HALF_LINES = ("%d"):format(math.floor(limits.lines / 2)), HALF_BYTES = ("%d"):format(math.floor(limits.bytes / 2)),
  })
end

-- What a report says: the text, and the file of which that is but the ends.
local function read_report(text, mark)
  local from, to, bytes, file = text:find("\n" .. mark .. " (%d+) ([^\n]+)\n")
  if not from then return output.clean(text), nil end
  local head, tail = text:sub(1, from - 1), text:sub(to + 1)
  local note = ("\n[... %d bytes left out; the whole output is in %s ...]\n"):format(
    math.max(tonumber(bytes) - #head - #tail, 0), file)
  return output.clean(head .. note .. tail), file
end

local function last_line(text)
  return text:match "([^\r\n]*%S[^\r\n]*)%s*$"
end

-- Tells the last line that was printed whenever it is another.
local function follow(sandbox, file, on_line)
  local pause, told = FIRST_LOOK, nil
  while loop.sleep(pause) do
    pause = LOOK
    local text = sandbox.fs:tail(file, { bytes = LOOK_BYTES })
    local line = text and last_line(text)
    if line and line ~= told then
      told = line
      on_line(output.clean(line))
    end
  end
end

local function after_timeout(sandbox, file, limits, mark)
  local script = ("f=%s\n[ -f \"$f\" ] || exit 0\n"):format(file) .. report(limits, mark)
  local rest = sandbox:exec(script, { timeout = 20 })
  return rest and rest.result or ""
end

-- Nobody will read what a command that was given up has printed.
local function forget(call)
  loop.shield(call.sandbox.exec, call.sandbox, "rm -f " .. call.file, { timeout = 10 })
end

local function perform(call)
  local result, err = call.sandbox:exec(call.script, call.options)
  if errors.is(err, "canceled") then forget(call) end
  return result, err
end

---@class daytona.Captured
---@field exit_code integer   of the shell; -1 when the time was over
---@field timed_out boolean
---@field text string         what it printed, or the ends of that
---@field file? string        where in the sandbox: all of it, when the text is but the ends

---Runs a command (shell text) and waits for its end. nil, err as `sandbox:exec`; a
---cancelled command is ended over there. What it leaves running in the background is
---not waited for.
---@param sandbox daytona.Sandbox
---@param command string
---@param opts { cwd?: string, env?: table<string, string>, timeout: number, lines?: integer, bytes?: integer, on_line?: fun(line: string) }
---@return daytona.Captured?
---@return daytona.Error|string|nil
function capture.run(sandbox, command, opts)
  if not command:find "%S" then return nil, "the command is empty" end
  local limits = { lines = opts.lines or output.LINES, bytes = opts.bytes or output.BYTES }
  local id = new_mark()
  local file, mark = FOLDER .. "/" .. id .. ".txt", "more" .. id
  local script = fill(RUN, { FILE = file, COMMAND = shell.quote(command), REPORT = report(limits, mark) })
  local watcher = opts.on_line and task.spawn(follow, sandbox, file, opts.on_line)
  local result, err = loop.guard(perform, forget, {
    sandbox = sandbox, script = script, file = file,
    options = { cwd = opts.cwd, env = opts.env, timeout = opts.timeout },
  })
  if watcher then watcher:cancel() end
  if not result then return nil, err end
  local text = result.timed_out and after_timeout(sandbox, file, limits, mark) or result.result
  local kept
  text, kept = read_report(text, mark)
  return { exit_code = result.exit_code, timed_out = result.timed_out, text = text, file = kept }
end

---What a job has printed (standard output), or the ends of that, as of a command.
---@param sandbox daytona.Sandbox
---@param job daytona.Job   that has ended
---@param opts { lines?: integer, bytes?: integer }
---@return daytona.Captured?
---@return daytona.Error?
function capture.of_job(sandbox, job, opts)
  local limits = { lines = opts.lines or output.LINES, bytes = opts.bytes or output.BYTES }
  local mark = "more" .. new_mark()
  local script = ('f="${HOME:-/tmp}/.daytona/lua-jobs/%s/out"\n'):format(job.id) .. report(limits, mark, true)
  local result, err = sandbox:exec(script, { timeout = 60 })
  if not result then return nil, err end
  local text, file = read_report(result.result, mark)
  return {
    exit_code = job.result.exit_code, timed_out = job.result.reason == "timed_out", text = text, file = file,
  }
end

return capture
