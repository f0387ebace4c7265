-- Files on their way out of a sandbox that is far away: they are packed (tar, gzip) over there, and
-- the stream is fetched while it grows and taken apart as it comes. Nothing is taken of a stream
-- that does not end well; what did not come is left to who asks for it file by file. Its names
-- and sizes are held against those of the list, and so is how much it may unpack to.

local calls = require "daytona.toolbox.fs.calls"
local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local fetch = require "daytona.toolbox.fs.fetch"
local loop = require "daytona.loop"
local new_latch = require "daytona.loop.latch"
local plan = require "daytona.toolbox.fs.plan"
local random = require "daytona.base.random"
local remotetree = require "daytona.toolbox.fs.remotetree"
local shell = require "daytona.base.shell"
local task = require "daytona.loop.task"
local untar = require "daytona.base.untar"

local archive = {}

-- What is nearer than this (seconds there and back) comes faster than it is packed; fewer bytes are
-- there before they would be packed.
local FAR, FEW = 0.015, 1024 * 1024

-- gzip's levels: one that is nearly as good as the best, and the fastest.
local BEST, FAST = 5, 1

-- The line may wait for the packer for so much of the time; of fewer bytes that tells nothing.
local PATIENCE, TELLING = 0.3, 256 * 1024

-- What was learnt of a connection: the level, or that the line is faster than any (false).
local level_of = setmetatable({}, { __mode = "k" })

-- Ways there and back before an answer's end in which the next is asked for.
local LEAD = 1.2

-- Bytes at a time: what they unpack to is not much more than a thousand times as many.
local SLICE = 16 * 1024

-- So many bytes at the end tell what became of tar.
local TAIL = 16

-- A stream of that many bytes may unpack to so many times what was sent, as an answer may.
local FREE, RATIO = 64 * 1024 * 1024, 100

-- Seconds that a whole archive is kept over there for a program that may be no more.
archive.KEPT = 3600

-- So many files are tried out, by so many bytes of each.
local SAMPLES, SAMPLE = 16, 32768

---Whether packing pays.
---@param connection daytona.Connection
---@param size integer  bytes of the files
---@param way { packs: boolean, distance?: number }
---@return boolean
function archive.pays(connection, size, way)
  return connection.compression and way.packs and size >= FEW and way.distance ~= nil and way.distance >= FAR
    and level_of[connection] ~= false
end

--- Scripts ----------------------------------------------------------------------------------

-- Begins to pack into a folder of its own, if there is room, and says so. What would not
-- become smaller is not packed. What became of tar stands behind the archive. Who packs takes all away after a
-- while: who asked for it may have been killed.
local BEGIN = [[
[ -z "$ZSH_VERSION" ] || emulate sh
umask 077
CDPATH=
cd -P -- $ROOT || exit
command -v tar >/dev/null && command -v gzip >/dev/null || { echo no; exit 0; }
find /tmp/. ! -name . -prune -name '$STAGING*' -mtime +0 -exec rm -rf -- {} + 2>/dev/null
sample() { for f do head -c $SAMPLE "$f"; done 2>/dev/null; }
set -- $FILES
raw=$(sample "$@" | wc -c) small=$(sample "$@" | gzip -1c | wc -c)
[ "$small" -lt $((raw / 10 * 9)) ] || { echo no; exit 0; }
room=$(df -Pk /tmp | { read -r line; read -r device all used room rest; echo "$room"; })
[ "$room" -ge $NEED ] && mkdir $DIR || { echo no; exit 0; }
cat >$DIR/list <<'list'
$LIST
list
pack() {
  { tar -cf - -T $DIR/list; echo "tar $?"; } |
    sh -c 'echo $$ >$DIR/pid; exec gzip -$LEVELc' >$DIR/tree.gz
  sleep $KEPT &
  { echo $! >$DIR/keeper && true >$DIR/done; } 2>/dev/null || kill $!
  wait
  rm -rf $DIR
}
: >$DIR/tree.gz
pack </dev/null >/dev/null 2>&1 &
echo $! >$DIR/packer
]]

-- Waits until there is more than so many bytes, and says whether it is all.
local WAIT = [[
is_gone() {
  [ -e $DIR/done ] && return
  pid=$(cat $DIR/packer) && { ! kill -0 "$pid" || grep -q "^State:.*[ZX]" "/proc/$pid/status"; }
} 2>/dev/null
nap() { sleep 0.02 2>/dev/null || sleep 1; }
size() { wc -c <$DIR/tree.gz; }
n=0
until is_gone || [ "$(size)" -gt $MORE ] || [ $n -ge 50 ]; do nap; n=$((n + 1)); done
if ! is_gone; then echo more; elif [ -e $DIR/done ]; then echo "done $(size)"; else echo gone; fi
]]

-- Ends the packer and takes all away, however often; who still packs finds no place for what it
-- would write at its end.
local STOP = '[ ! -d $DIR ] || { mv $DIR $DIR-gone; kill $(cat $DIR-gone/pid $DIR-gone/keeper); } 2>/dev/null; '
  .. "rm -rf $DIR-gone"

local STOP_TIMEOUT = 3

-- More than so many bytes are waited for at first, and after a request that brought less than that:
-- each costs the way there and back, in which the line is idle.
local FIRST, MORE = 256 * 1024, 512 * 1024

local function script_of(text, words)
  return (text:gsub("%$([A-Z]+)", function(name) return words[name] or "$" .. name end))
end

--- One archive ------------------------------------------------------------------------------

---One archive on its way.
---@class daytona.Archive
---@field package fs daytona.FileSystem
---@field package run daytona.SyncRun
---@field package from table<string, daytona.TreeEntry>
---@field package places table<string, string>  where each file goes
---@field package came table<string, true>
---@field package words table<string, any>  of the scripts
---@field package got integer       bytes that came
---@field package unpacked integer  bytes they were
---@field package most integer      bytes that they may be
---@field package waited number     seconds in which there was nothing to be fetched
---@field package ahead? { from: integer, turn: daytona.Latch, task: daytona.Task }  what was asked for ahead
local Archive = {}
Archive.__index = Archive

-- What is wrong with the stream, for which nobody here is to blame.
local function broken(self, why)
  return errors.new {
    kind = "protocol", code = "archive", operation = self.run.operation, message = "the archive: " .. why,
  }
end

local function local_problem(self, path, why)
  self.fatal = errors.new {
    kind = "io", operation = self.run.operation, what = self.run.root .. "/" .. path, message = why,
  }
  return nil, self.fatal
end

-- Where the files of the archive go.
local function target_of(self)
  local target, path = {}, nil
  function target.open(name, size)
    path = name:gsub("^%./", "")
    local place = self.places[path]
    if not place or self.came[path] or self.from[path].size ~= size then return false end
    local file, why = io.open(place, "wb")
    if not file then return local_problem(self, path, why) end
    self.file = file
    return true
  end
  function target.data(chunk)
    local fine, why = self.file:write(chunk)
    if not fine then return local_problem(self, path, why) end
    return true
  end
  function target.close()
    local file = self.file
    self.file = nil
    local fine, why = file:close()
    if not fine then return local_problem(self, path, why) end
    self.came[path] = true
    return true
  end
  return target
end

-- Unpacks what came. true, or nil, err.
local function take(self, chunk)
  for at = 1, #chunk, SLICE do
    local slice = #chunk <= SLICE and chunk or chunk:sub(at, at + SLICE - 1)
    local data, why = self.unpacker:write(slice)
    if not data then return nil, broken(self, why) end
    self.got, self.unpacked = self.got + #slice, self.unpacked + #data
    if self.unpacked > self.most or (self.unpacked > FREE and self.unpacked > RATIO * self.got) then
      return nil, broken(self, "it unpacks to more than it is to hold")
    end
    local fine
    fine, why = self.reader:feed(data)
    if not fine then return nil, errors.is(why) and why or broken(self, why) end
    if self.reader.is_over then self.tail = (self.tail .. data):sub(-TAIL) end
    fine, why = self.run.pace:breathe()
    if not fine then return nil, why end
  end
  if self.run.on_progress then self.run.on_progress(math.min(self.unpacked, self.total), self.total) end
  return true
end

local get

-- Asks for what is behind an answer that will have come by the time that a request takes to get there. Where
-- little came the packer is slower than the line: there may be nothing yet.
local function look_ahead(self, from, last)
  if self.ahead or not last or last - from < MORE then return end
  local rate = self.got / (loop.now() - self.began)
  if last - self.got > rate * self.run.way.distance * LEAD then return end
  local turn = new_latch()
  self.ahead = { from = last, turn = turn, task = task.spawn(get, self, last, turn):detach() }
end

-- Fetches what there is from an offset on. true; or nil, err. What comes waits until it is its turn, if that is
-- said.
function get(self, from, turn)
  local skip, wrong, last = 0, nil, nil
  local request = {
    operation = self.run.operation, with_headers = true, timeout = self.run.pace:left() or 0,
    idle_timeout = calls.TRANSFER_IDLE, headers = { Range = ("bytes=%d-"):format(from) },
  }
  function request.on_headers(transfer)
    local first, final = (transfer:header "content-range" or ""):match "^bytes (%d+)%-(%d+)"
    if transfer:status() ~= 206 then skip = from
    elseif tonumber(first) ~= from then wrong = broken(self, "another part came than was asked for")
    else last = tonumber(final) + 1 end
  end
  function request.sink(chunk)
    if turn then
      local fine, err = loop.join(turn)
      if not fine then return false, err end
    end
    if wrong then return false, wrong end
    local seen = math.min(skip, #chunk)
    skip = skip - seen
    local fine, err = take(self, seen > 0 and chunk:sub(seen + 1) or chunk)
    if not fine then return false, err end
    look_ahead(self, from, last)
  end
  local response, err = calls.api.download(self.fs, { path = self.dir .. "/tree.gz" }, request)
  if response then return true end
  return nil, err
end

-- Lets go of what was asked for ahead.
local function forget_ahead(self)
  if self.ahead then self.ahead.task:cancel() end
  self.ahead = nil
end

-- Fetches what there is behind what came. true; or nil, err.
local function get_more(self)
  local asked = self.ahead
  if not asked or asked.from ~= self.got then
    forget_ahead(self)
    return get(self, self.got)
  end
  self.ahead = nil
  asked.turn:open()
  local fine, err = asked.task:wait()
  if not fine then asked.task:cancel() end
  return fine, err
end

-- Runs one of the scripts: what it says, or nil, err.
local function ask(self, script)
  local result, err = self.fs.sandbox:exec(script_of(script, self.words), { timeout = self.run.pace:left() })
  if not result then return nil, err end
  return result.result
end

-- Waits for more than there is. true; or nil, err.
local function wait(self)
  local began = loop.now()
  self.words.MORE = ("%.0f"):format(self.got + MORE)
  local said, err = ask(self, WAIT)
  self.waited = self.waited + loop.now() - began
  if not said then return nil, err end
  local state, size = said:match "^(%a+) *(%d*)"
  if state == "more" or (state == "done" and tonumber(size) > self.got) then return true end
  return nil, broken(self, "it ends too early")
end

-- Until the stream is over. true, or nil, err. Tries that bring nothing are counted.
local function receive(self)
  local most, tries = self.fs.sandbox:toolbox().max_retries, 0
  while not self.reader.is_over or not self.unpacker:is_over() do
    local before = self.got
    local fine, err = get_more(self)
    local is_short = fine and self.got - before < FIRST or not fine and err.status == 416
    if is_short and not (self.reader.is_over and self.unpacker:is_over()) then fine, err = wait(self) end
    if not fine then
      tries = self.got > before and 1 or tries + 1
      if not fetch.BROKEN[err.code] or tries > most then return nil, err end
      fine, err = self.run.pace:try_again(tries, err)
      if not fine then return nil, err end
    end
  end
  forget_ahead(self)
  return true
end

-- What is too slow for this line is not tried again.
local function learn(self, connection)
  local seconds = loop.now() - self.began
  if self.got < TELLING or self.waited < PATIENCE * seconds then return end
  if self.words.LEVEL ~= FAST then
    level_of[connection] = FAST
  elseif self.unpacked / seconds < self.got / (seconds - self.waited) then
    level_of[connection] = false
  end
end

-- Forgets what changed while it was packed, where tar complained. true, or nil, err.
local function settle(self)
  if self.tail:find "tar 0\n$" then return true end
  local scan, err = remotetree.scan(self.fs.sandbox, self.run.operation, self.run.remote, { pace = self.run.pace })
  if not scan then return nil, err end
  for path in pairs(self.came) do
    local was, is = self.from[path], (scan.entries or {})[path]
    if not is or is.size ~= was.size or is.seconds ~= was.seconds or is.nanoseconds ~= was.nanoseconds then
      self.came[path] = nil
    end
  end
  return true
end

local function begin(self)
  self.began = loop.now()
  local said, err = ask(self, BEGIN .. WAIT)
  if not said then return nil, err end
  if not said:find "^more" and not said:find "^done" then return nil, broken(self, "there is none") end
  return true
end

local function perform(self, connection)
  local fine, err = begin(self)
  if fine then fine, err = receive(self) end
  if not fine then return nil, err end
  learn(self, connection)
  return settle(self)
end

local function tidy(self)
  return self.fs.sandbox:exec(script_of(STOP, self.words), { timeout = STOP_TIMEOUT })
end

-- Lets go of everything, here and there.
local function let_go(self)
  forget_ahead(self)
  if self.file then self.file:close() end
  self.file = nil
  loop.shield(tidy, self)
end

-- Folders that hold a file, at any depth, which is not wanted; "." is the root.
local function mixed_folders(run, from, places)
  local mixed = {}
  local function mark(path)
    local folder = plan.folder_of(path) or "."
    while folder and not mixed[folder] do
      mixed[folder] = true
      folder = folder ~= "." and (plan.folder_of(folder) or ".") or nil
    end
  end
  for _, path in ipairs(run.hidden) do mark(path) end
  for path, entry in pairs(from) do
    if entry.type ~= "directory" and not places[path] then mark(path) end
    local fine, err = run.pace:breathe()
    if not fine then return nil, err end
  end
  return mixed
end

-- What to name so that a file is packed: itself, or the upper of the folders in which everything is wanted.
local function name_for(path, mixed)
  if not mixed["."] then return "." end
  for stop in path:gmatch "()/" do
    local folder = path:sub(1, stop - 1)
    if not mixed[folder] then return "./" .. folder end
  end
  return "./" .. path
end

-- What is to be packed, by names that a list of lines can hold; some of the files, evenly by
-- bytes; bytes of all, and of the archive at most. nil, err without the time for it.
local function choose(run, from, places)
  local list, named, some, total, most, sum, step = {}, {}, {}, 0, 1024 * 1024, 0, 0
  local paths, err = run.pace:keys(places)
  if not paths then return nil, err end
  local mixed
  mixed, err = mixed_folders(run, from, places)
  if not mixed then return nil, err end
  for _, path in ipairs(paths) do total = total + from[path].size end
  for path in pairs(from) do most = most + 2 * #path + 4096 end
  most = most + total
  for _, path in ipairs(paths) do
    local name = name_for(path, mixed)
    if not named[name] and core.is_utf8(name) and not name:find "[\\\n]" then
      named[name], list[#list + 1] = true, name
    end
    sum = sum + from[path].size
    if sum > step and core.is_utf8(path) then
      some[#some + 1] = shell.quote("./" .. path)
      step = math.max(sum, step + total / SAMPLES)
    end
    local fine
    fine, err = run.pace:breathe()
    if not fine then return nil, err end
  end
  return { list = list, some = some, total = total, most = most }
end

-- Whether a failure is that of all of it, and not of this way.
local function is_final(self, err)
  return err == self.fatal or err.kind == "canceled" or (err.kind == "timeout" and self.run.pace:is_over())
end

---Fetches files of a tree, as far as that can be: which came, or nil, err.
---@param fs daytona.FileSystem
---@param run daytona.SyncRun
---@param from table<string, daytona.TreeEntry>
---@param places table<string, string>  of the files that are wanted: where each is to be here
---@return table<string, true>?
---@return daytona.Error?
---@return fun()? tidied  waits until it is tidied up over there
function archive.fetch(fs, run, from, places)
  local connection = fs.sandbox:toolbox()
  local chosen, err = choose(run, from, places)
  if not chosen then return nil, err end
  if not connection or not chosen.list[1] or not chosen.some[1] then return {} end
  local dir = "/tmp/" .. calls.STAGING .. random.hex(6)
  local self = setmetatable({
    fs = fs, run = run, from = from, places = places, came = {}, dir = dir, total = chosen.total, most = chosen.most,
    got = 0, unpacked = 0, waited = 0, tail = "", unpacker = core.unpacker(),
    words = {
      DIR = dir, ROOT = calls.quoted(run.remote), STAGING = calls.STAGING, SAMPLE = SAMPLE,
      FILES = table.concat(chosen.some, " "), NEED = ("%.0f"):format(chosen.total / 1024 + 1), MORE = FIRST,
      KEPT = archive.KEPT, LIST = table.concat(chosen.list, "\n"), LEVEL = level_of[connection] or BEST,
    },
  }, Archive)
  self.reader = untar.new(target_of(self))
  local fine
  fine, err = loop.guard(function() return perform(self, connection) end, function() let_go(self) end)
  self.unpacker:close()
  if fine then
    local tidying = task.spawn(tidy, self)
    return self.came, nil, function()
      if not tidying:wait() then loop.shield(tidy, self) end
    end
  end
  let_go(self)
  if is_final(self, err) then return nil, err end
  return {}
end

return archive
