-- The command line, bin/daytona-lua: finds the command, checks what was typed, runs it, and
-- tells how that went. What there is stands in commands.lua, what it does in a file a group (group/).
--
-- Exit status: 0; 1 what was asked for failed; 2 it was not understood; 128 and the number
-- of the signal that ended it. `exec`, `run` and `ssh` end as what they ran did, with 124
-- when its time was over, and with 125 when it could not be run, or its end not be told.

local commands = require "daytona.cli.commands"
local output = require "daytona.cli.output"
local words = require "daytona.cli.words"

local cli = {}

local MISUSE = 2

---What a command is called with.
---@class daytona.cli.Call
---@field command daytona.cli.Command
---@field options table<string, any>  as typed, "-" as "_"
---@field args string[]
---@field rest string[]               what follows "--", or the last argument
local Call = {}
Call.__index = Call

---The client of the environment's account; nil, err.
---@return daytona.Client?
---@return daytona.Error?
function Call.client()
  return require("daytona.control.client").default()
end

---The sandbox that the first argument names; nil, err.
---@return daytona.Sandbox?
---@return daytona.Error?
function Call:box()
  local client, err = self.client()
  if not client then return nil, err end
  return client:get(self.args[1])
end

-- One line about what went wrong, on standard error.
local function say(text)
  io.stdout:flush()
  io.stderr:write("daytona-lua: ", (text:gsub("%s+$", "")), "\n")
end

local function misunderstood(text, command)
  say(("%s (daytona-lua help%s)"):format(text, command and " " .. command.name or ""))
  return MISUSE
end

local function is_signal(raised)
  return require("daytona.loop.interrupt").ended(raised)
end

-- The status of a program that an error ended: a signal's, wrong use of the library, which
-- is what options of a command become, an error of the library, or a mistake of ours.
local function status_of(raised, command)
  local errors = require "daytona.base.errors"
  if errors.is(raised) then
    say(tostring(raised))
    return command.failure or 1
  end
  local signal = require("daytona.loop.main").status_of(raised)
  if signal then return signal end
  local text = tostring(raised)
  if text:find "%.lua:%d+:" then
    say(text)
    return command.failure or 1
  end
  return misunderstood(text, command)
end

local function perform(call)
  local status, err = require("daytona.cli.group." .. call.command.group)[call.command.method](call)
  if err then error(err, 0) end
  output.finish()
  return status
end

local function traced(raised)
  local is_bug = type(raised) == "string" and raised:find "%.lua:%d+:" and not is_signal(raised)
  return is_bug and debug.traceback(raised, 2) or raised
end

local function execute(call)
  if call.command.group ~= "about" then require("daytona.loop.interrupt").trap() end
  local fine, result = xpcall(function() return perform(call) end, traced)
  if fine then return result or 0 end
  return status_of(result, call.command)
end

---Runs the command line.
---@param argv string[]
---@return integer exit status
function cli.run(argv)
  local command, first, why = commands.find(argv)
  if not command then return misunderstood(why) end
  local typed
  typed, why = words.parse(command, argv, first)
  if not typed then return misunderstood(command.name .. ": " .. why, command) end
  if typed.options.help then typed, command = { options = {}, args = { command.name } }, commands.named.help end
  return execute(setmetatable({
    command = command, options = typed.options, args = typed.args, rest = typed.rest,
  }, Call))
end

return cli
