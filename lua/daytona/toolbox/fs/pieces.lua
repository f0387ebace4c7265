-- A large file into the sandbox over a line that breaks: what arrived before a cut is kept
-- over there, the rest is sent after it, and all of it is put together by one command. Until
-- something breaks it is one request, as for a small file.

local calls = require "daytona.toolbox.fs.calls"
local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local fetch = require "daytona.toolbox.fs.fetch"
local repeatable = require "daytona.toolbox.fs.repeatable"

local pieces = {}

---Files of more bytes than this go on where they were cut; smaller ones are sent again.
pieces.LARGE = 8 * 1024 * 1024

-- What stands before the daemon may keep a request until it has all of it, or take none
-- that is large: then it goes by so many bytes.
pieces.PART = 8 * 1024 * 1024

-- Where the pieces are: the path that they are to become, and this.
local FOLDER = "-pieces"

---One file on its way.
---@class daytona.Pieces
---@field package fs daytona.FileSystem
---@field package content daytona.Content
---@field package path string       where all of it is to be
---@field package opts table
---@field package clock daytona.Pace
---@field package send fun(content: table, path: string, opts: table, safe: boolean): { size: integer }?, daytona.Error?
---@field package list { path: string, size: integer }[]  what is there
---@field package at integer        bytes of it
---@field package whole boolean     all of the rest in one request
local Pieces = {}
Pieces.__index = Pieces

local REFUSED = { [411] = true, [413] = true, [502] = true, [503] = true, [504] = true }

-- Whether a file of this machine is as it was.
local function is_same(content)
  if not content.path then return true end
  local kind, size, _, seconds, nanoseconds = core.stat(content.path)
  local stamp = content.stamp
  return kind ~= nil and size == stamp.size and seconds == stamp.seconds and nanoseconds == stamp.nanoseconds
end

-- Bytes of a piece that arrived; nil, err when that cannot be known.
local function arrived(self, piece, err)
  if err.sent == false or err.status then return 0 end
  local info, why = repeatable.call(self.fs.sandbox, function()
    return calls.api.stat(self.fs, { path = piece.path },
      { timeout = self.clock:left(), idle_timeout = self.opts.idle_timeout or calls.TRANSFER_IDLE })
  end, self.clock)
  if info then return math.min(info.size, piece.size) end
  if errors.is(why, "not_found") then return 0 end
  return nil, why
end

-- The next request: a piece, and what is in it; nil, err.
local function next_piece(self)
  local content, at = self.content, self.at
  if at == 0 and self.whole then return { path = self.path, size = content.length or math.huge }, content end
  if not is_same(content) then
    return calls.failure("upload", "conflict", "the file changed while it was sent", content.path, fetch.CHANGED)
  end
  local size = (content.length or math.huge) - at
  if not self.whole then size = math.min(size, pieces.PART) end
  self.count = (self.count or 0) + 1
  local piece = { path = ("%s%s/%d"):format(self.path, FOLDER, self.count), size = size }
  local some, err = content.from(at, size)
  if not some then return nil, err end
  some.length = some.length or content.length and size
  return piece, some
end

-- Progress of all of it.
local function options_of(self)
  local opts, at, told = self.opts, self.at, self.opts.on_progress
  return {
    timeout = self.clock:left() or 0, idle_timeout = opts.idle_timeout,
    on_progress = told and function(done)
      local length = self.content.length
      told(length and math.min(at + done, length) or at + done, length)
    end,
  }
end

local function keep(self, piece, size)
  if size == 0 then return end
  self.list[#self.list + 1] = { path = piece.path, size = size }
  self.at = self.at + size
end

-- Sends what is not there yet. true, or nil, err. Tries that bring nothing are counted.
local function send_all(self)
  local most, tries = self.fs.sandbox:toolbox().max_retries, 0
  while not self.content.length or self.at < self.content.length do
    local piece, content = next_piece(self)
    if not piece then return nil, content end
    local info, err = self.send(content, piece.path, options_of(self), false)
    if info then
      keep(self, piece, content.length or info.size)
    else
      if not fetch.BROKEN[err.code] and not REFUSED[err.status] then return nil, err end
      local size = arrived(self, piece, err)
      if not size then return nil, err end
      keep(self, piece, size)
      if size == 0 and err.sent ~= false then self.whole = false end
      tries = size > 0 and 1 or tries + 1
      if tries > most then return nil, err end
      local fine, why = self.clock:try_again(tries, err)
      if not fine then return nil, why end
    end
  end
  return true
end

-- Only what was counted is taken of each: a request that was given up may still be at work.
-- What puts them together works by itself and is asked again and again whether it is done:
-- it may take longer than the line holds. So this can run often, even at once; one begins,
-- or begins anew where that one is gone. What it takes from stays until all of it is in
-- its place.
local JOIN = [[
to=%s from=%s
is_whole() { [ -f "$1" ] && [ "$(wc -c <"$1")" -eq %d ]; }
add() { head -c "$1" "$from/$2" >>"$all"; }
first() { head -c "$1" "$to" >>"$all"; }
join() {
  while [ ! -s "$from/pid" ]; do nap; done
  all=$from/all.$$
  { : >"$all" && %s && is_whole "$all" && mv -f "$all" "$to" && rm -rf "$from"; } ||
    { rm -f "$all"; : >"$from/failed"; }
}
nap() { sleep 0.1 2>/dev/null || sleep 1; }
is_gone() {
  pid=$(cat "$from/pid") && [ -n "$pid" ] && { ! kill -0 "$pid" || grep -q "^State:.*[ZX]" "/proc/$pid/status"; }
} 2>/dev/null
begin() {
  mkdir "$from/work" 2>/dev/null || return 0
  printf x >>"$from/begun"
  join </dev/null >"$from/said" 2>&1 &
  echo $! >"$from/pid"
}
begin
n=0
while [ -d "$from" ]; do
  if [ -e "$from/failed" ]; then cat "$from/said"; exit 1; fi
  [ $n -lt %d ] || exit 75
  if is_gone && [ -d "$from" ] && [ ! -e "$from/failed" ]; then
    [ "$(wc -c <"$from/begun")" -lt 3 ] || { echo "it is killed each time"; exit 1; }
    rm -rf "$from/work" "$from/pid"
    begin
  fi
  n=$((n + 1))
  nap
done
is_whole "$to"
]]

-- What the script ends with when it is not done yet; tenths of a second that it looks, at
-- first and after an answer was lost.
local AT_WORK = 75
pieces.LOOKS, pieces.FEW_LOOKS = 20, 3

local function script_of(self, looks)
  local folder, steps = calls.quoted(self.path .. FOLDER), {}
  for i, piece in ipairs(self.list) do
    local is_first = piece.path == self.path
    steps[i] = is_first and ("first %d"):format(piece.size)
      or ("add %d %s"):format(piece.size, piece.path:match("[^/]*$"))
  end
  return JOIN:format(calls.quoted(self.path), folder, self.content.length, table.concat(steps, " && "), looks)
end

local function join(self)
  local looks = pieces.LOOKS
  local function script(tries)
    if tries > 0 then looks = pieces.FEW_LOOKS end
    return script_of(self, looks)
  end
  while true do
    local result, err = repeatable.exec(self.fs.sandbox, script, self.clock)
    if not result then return nil, err end
    if result.exit_code == 0 then return true end
    if result.exit_code ~= AT_WORK then
      local text = result.result:match("([^\n]*)\n*$")
      local kind, code = calls.problem(text)
      return calls.failure("upload", kind or "io", "it could not be put together: " .. text, self.path, code)
    end
    local fine, why = self.clock:breathe()
    if not fine then return nil, why end
  end
end

---Sends content whose parts can be had again (it has `from`) by `send`, and puts it together
---at `path`, where nothing was. true, or nil, err, and then there may be something at the
---places that `pieces.places` tells.
---@param fs daytona.FileSystem
---@param content daytona.Content
---@param path string
---@param opts { idle_timeout?: number, on_progress?: function }
---@param clock daytona.Pace
---@param send function
---@return true?
---@return daytona.Error?
function pieces.send(fs, content, path, opts, clock, send)
  local self = setmetatable({
    fs = fs, content = content, path = path, opts = opts, clock = clock, send = send, list = {}, at = 0, whole = true,
  }, Pieces)
  local fine, err = send_all(self)
  if not fine then
    if self.count then err.sent = true end -- if not in the last try
    return nil, err
  end
  if not self.list[2] and self.list[1].path == path then return true end
  return join(self)
end

---Whether content goes in pieces, where it must.
---@param fs daytona.FileSystem
---@param content daytona.Content
---@return boolean
function pieces.can(fs, content)
  local connection = fs.sandbox:toolbox()
  if not connection or connection.max_retries == 0 or not content.from then return false end
  return content.raw_length ~= nil or (content.length or 0) > pieces.LARGE
end

---Where something is left when it fails.
---@param path string
---@return string[]
function pieces.places(path)
  return { path, path .. FOLDER }
end

return pieces
