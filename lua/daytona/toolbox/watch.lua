-- Watching for the end of a session's command. The daemon's word is not always enough: a
-- shell that dies (`exit`, `set -e`) leaves older daemons waiting for ever, and a proxy may
-- cut a quiet request. So the end is looked for, seldomer and seldomer, and in longer
-- silences the shell itself is asked for.

local api = require "daytona.toolbox.session_calls"
local errors = require "daytona.base.errors"
local loop = require "daytona.loop"

local watch = {}

-- The session of the program that the sandbox was started with.
watch.ENTRYPOINT = "entrypoint"

-- Seconds: the first look comes so long after the last sign of life; each later
-- one when the silence has lasted a quarter as long again, but soon enough.
local FIRST_LOOK, GROWTH, LONGEST_WAIT = 0.03, 0.25, 1

-- Seconds of silence after which the shell itself is asked for, and again each
-- time the silence has doubled.
watch.first_probe = 2

-- Seconds that a look may take: on a line that is lost without a word nothing comes back.
watch.look_timeout = 10

-- So many looks may fail in a row.
local FAILED_LOOKS = 5

-- Who follows a command hears of its end from the daemon. After that it is
-- looked at only for its shell's sake, and all such looks of a program fall on the
-- same moments, so many seconds apart: in between nothing wakes it.
local MOMENTS = 20

-- Before that, those who are told look by turns, so many a second, as in a program that follows
-- thousands nothing else would get done; who had to wait longer than this hears it from the daemon.
local LOOKS_A_SECOND, LONGEST_QUEUE = 250, 1
watch.next_turn = 0 -- on the clock of `loop.now`

-- Nor is a shell asked by each of those who wonder at the same moment. Seconds
-- after which others come for the answer; that it counts; that it may take.
local COME_AGAIN, RECENT, PROBE_TIMEOUT = 1, 1.5, 10

---Looks whether a command has ended, seldomer and seldomer.
---@class daytona.Watch
---@field next number  when to look again, on the clock of `loop.now`
---@field told boolean  the daemon tells of the end, unless the shell died
---@field look_timeout? number  seconds, where less than the usual ones are left for a look
---@field turn? boolean  it has one, at `next`
local Watch = {}
Watch.__index = Watch

---@param command daytona.Command
---@param told boolean
---@param since? number  of what has been silent since that time
---@return daytona.Watch
function watch.new(command, told, since)
  local self = setmetatable({ command = command, told = told, failures = 0 }, Watch)
  self:active()
  self.since = since or self.since
  return self
end

---There was a sign of life.
function Watch:active()
  local now = loop.now()
  local first = now + FIRST_LOOK
  self.since, self.next = now, self.told and watch.next_turn > first and watch.next_turn or first
  self.probe_after, self.turn = watch.first_probe, nil
end

-- What the daemon says of a command.
local function fetch(command, timeout)
  local session = command.session.id
  if session ~= watch.ENTRYPOINT then
    return api.command(command, { session = session }, { what = command.id, timeout = timeout })
  end
  local answer, err = api.entrypoint(command, nil, { what = session, timeout = timeout })
  if not answer then return nil, err end
  return type(answer.commands) == "table" and answer.commands[1] or {}
end

---Asks for a command's exit code, which is then set; false while it runs; nil, err when
---that cannot be had.
---@param command daytona.Command
---@param timeout? number  seconds
---@return integer|false|nil
---@return daytona.Error?
function watch.ask(command, timeout)
  local raw, err = fetch(command, timeout)
  if not raw then return nil, err end
  if type(raw.exit_code) ~= "number" then return false end
  command.exit_code = raw.exit_code
  return raw.exit_code
end

local ask = watch.ask

-- The shell is dead, and its last command had no exit code. It may have been
-- written just before; or all of the session was deleted.
local function bury(command)
  command.session.ended = true
  local code, err = ask(command)
  if err and errors.is(err, "not_found") then return nil, err end
  if not code then command.exit_code = -1 end
  return true
end

---Asks whether the command has ended: as `look`.
---@return boolean?
---@return daytona.Error?
function Watch:has_ended()
  local code, err = ask(self.command, math.min(self.look_timeout or watch.look_timeout, watch.look_timeout))
  if code then return true end
  self.failures = code == false and 0 or self.failures + 1
  -- An exit code that is just being written is a 500 of old daemons.
  if code == false or (self.failures <= FAILED_LOOKS and (err.retryable or err.kind == "server")) then return false end
  return nil, err
end

-- Whether the shell lives: true, false, or nil when somebody else is asking it.
local function is_shell_alive(session)
  local now = loop.now()
  if session.ended then return false end
  if session.alive_at and now - session.alive_at < RECENT then return true end
  if session.asked_at and now - session.asked_at < PROBE_TIMEOUT then return nil end
  session.asked_at = now
  local alive = session:is_alive()
  session.asked_at, session.alive_at = nil, alive and loop.now() or nil
  return alive ~= false
end

local function next_look(self)
  local now = loop.now()
  local silence = now - self.since
  if self.told and silence >= watch.first_probe then return math.ceil((now + silence) / MOMENTS) * MOMENTS end
  return now + math.min(math.max(silence * GROWTH, FIRST_LOOK), LONGEST_WAIT)
end

-- Whether it is its turn to look; else `next` says when it is, or may be.
local function has_turn(self)
  local now = loop.now()
  if self.turn then
    self.turn = nil
    return true
  elseif watch.next_turn <= now then
    watch.next_turn = now + 1 / LOOKS_A_SECOND
    return true
  end
  self.next, self.turn = watch.next_turn, watch.next_turn < now + LONGEST_QUEUE
  if self.turn then watch.next_turn = watch.next_turn + 1 / LOOKS_A_SECOND end
  return false
end

---Does what is due. true when the command has ended (its `exit_code` is set), false
---when not or not known, nil and an error when that will not be known.
---@return boolean?
---@return daytona.Error?
function Watch:look()
  local command = self.command
  local has_shell = command.session.id ~= watch.ENTRYPOINT
  local silence = loop.now() - self.since
  if not (self.told and has_shell and silence >= watch.first_probe) then
    if self.told and not has_turn(self) then return false end
    local over, err = self:has_ended()
    if over ~= false then return over, err end
  end
  self.next = next_look(self)
  if has_shell and silence >= self.probe_after then
    local alive = is_shell_alive(command.session)
    if alive == false then return bury(command) end
    if alive then self.probe_after = 2 * silence else self.next = loop.now() + COME_AGAIN end
  end
  return false
end

---Waits until a command has ended, which has been silent since that time: its exit code;
---nil, err, of kind "timeout" after `deadline`.
---@param command daytona.Command
---@param deadline? number  on the clock of loop.now
---@param since number
---@return integer?
---@return daytona.Error?
function watch.wait(command, deadline, since)
  local self = watch.new(command, false, since)
  while not command.exit_code do
    local ended, err = self:look()
    if ended == nil then return nil, err end
    local now = loop.now()
    if not ended and deadline and now >= deadline then
      return nil, errors.new {
        kind = "timeout", code = "wait", operation = "wait", sandbox = command.sandbox, what = command.id,
        message = "the command was still running when the time was over",
      }
    elseif not ended then
      local fine, why = loop.sleep(math.max(math.min(self.next, deadline or self.next) - now, 0))
      if not fine then return nil, why end
    end
  end
  return command.exit_code
end

return watch
