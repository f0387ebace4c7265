-- A tree of files into a sandbox: what differs goes in one archive, and is put in its
-- place by one command, file by file, each by a rename.

local body = require "daytona.toolbox.fs.body"
local calls = require "daytona.toolbox.fs.calls"
local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local fetch = require "daytona.toolbox.fs.fetch"
local localtree = require "daytona.toolbox.fs.localtree"
local loop = require "daytona.loop"
local packing = require "daytona.toolbox.fs.packing"
local place = require "daytona.toolbox.fs.place"
local plan = require "daytona.toolbox.fs.plan"
local random = require "daytona.base.random"
local remotetree = require "daytona.toolbox.fs.remotetree"
local tar = require "daytona.base.tar"
local upload = require "daytona.toolbox.fs.upload"

local up = {}

-- A file changed so recently may change again within the same second: its time
-- is sent to the nanosecond.
local FRESH = 4

-- The archive of what is to be sent, as a body; nil, err when there was no time.
local function archive(run, paths, tree)
  local entries = {}
  local fine, err = run.pace:each(paths, function(path)
    local is_file = tree[path].type == "file"
    entries[#entries + 1] = {
      path = is_file and run.root .. "/" .. path or nil, length = is_file and tree[path].size or 0, again = true,
    }
  end)
  if not fine then return nil, err end
  return body.new(entries, {
    head = function(i) return tar.header(paths[i], tree[paths[i]]) end,
    size = function(i) return tar.size(paths[i], tree[paths[i]]) end,
    foot = function(i) return tar.padding(entries[i].length) end,
    tail = tar.ENDING,
    exact = true,
    fail = function(i, what, why)
      if what == "read" then
        return errors.new { kind = "io", code = "source", operation = run.operation, what = paths[i], message = why }
      end
      return errors.new { kind = "conflict", code = run.CHANGED, operation = run.operation, what = paths[i],
                          message = "the file changed while it was sent" }
    end,
  })
end

-- What moves where: only what has its folder over there already is moved itself,
-- the rest comes with it.
local function moves_of(run, made, to)
  local moves = {}
  local fine, err = run.pace:each(made.send, function(path)
    local folder = plan.folder_of(path) or ""
    if folder == "" or (to[folder] and to[folder].type == "directory") then
      moves[folder] = moves[folder] or {}
      table.insert(moves[folder], path)
    end
  end)
  if not fine then return nil, err end
  return moves
end

-- A folder that may not be written to could not be moved: it gets its mode last.
local function open_folders(run, made, from)
  return run.pace:each(made.send, function(path)
    local entry = from[path]
    if entry.type == "directory" and entry.mode ~= plan.opened_mode(entry.mode) then
      made.modes[entry.mode] = made.modes[entry.mode] or {}
      table.insert(made.modes[entry.mode], path)
      entry.mode = plan.opened_mode(entry.mode)
    end
  end)
end

local function mark_fresh(run, made, from)
  local now = os.time()
  return run.pace:each(made.send, function(path)
    local entry = from[path]
    entry.exact = entry.type == "file" and now - entry.seconds < FRESH and entry.nanoseconds > 0
  end)
end

-- What is sent after a cut is to be of the same files.
local function unchanged(run, made, from)
  return run.pace:each(made.send, function(path)
    local entry, kind, size, _, seconds, nanoseconds = from[path], core.lstat(run.root .. "/" .. path)
    if entry.type ~= "file" or entry.changed then return end
    entry.changed = kind ~= "file" or size ~= entry.size or seconds ~= entry.seconds
      or nanoseconds ~= entry.nanoseconds
  end)
end

-- The archive from a byte on.
local function begin_at(run, made, from, source, at)
  local fine, err = unchanged(run, made, from)
  if not fine then return nil, err end
  for _, path in ipairs(made.send) do
    if from[path].changed then
      return nil, errors.new { kind = "conflict", code = run.CHANGED, operation = run.operation, what = path,
                               message = "the file changed while it was sent" }
    end
  end
  source:rewind()
  local rest = ""
  while at > 0 do
    rest, err = source:next()
    if not rest then return nil, err end
    rest, at = rest:sub(at + 1), at - math.min(at, #rest)
    fine, err = run.pace:breathe()
    if not fine then return nil, err end
  end
  return rest
end

-- The archive as it is.
local function plain_content(run, made, from, source, length)
  local content = { source = function() return source:next() end, length = length }
  function content.from(at, size)
    local chunk, err = begin_at(run, made, from, source, at)
    if not chunk then return nil, err end
    return { source = function()
      if size == 0 then return nil end
      local why
      if chunk == "" then chunk, why = source:next() end
      if not chunk then return nil, why end
      local now = chunk:sub(1, size)
      chunk, size = chunk:sub(#now + 1), size - #now
      return now
    end }
  end
  return content
end

-- The archive packed.
local function packed_content(run, made, from, source, length, connection)
  local told = run.on_progress
  local content = packing.content({
    source = function() return source:next() end, length = length,
    again = function()
      local fine, err = begin_at(run, made, from, source, 0)
      if not fine then return nil, err end
      return function() return source:next() end
    end,
  }, connection)
  return content, told and function() told(content.given, length) end
end

local function content_of(self, run, made, from, source, length)
  local connection = self.sandbox:toolbox()
  run.packed = connection and run.way.packs and packing.pays(connection, length, run.way.distance)
  if run.packed then return packed_content(run, made, from, source, length, connection) end
  return plain_content(run, made, from, source, length), run.on_progress
end

local function send_archive(self, run, made, from, staging)
  local fine, why = mark_fresh(run, made, from)
  if not fine then return nil, why end
  local source, err = archive(run, made.send, from)
  if not source then return nil, err end
  local length
  length, err = source:length(run.pace)
  if not length then return nil, err end
  local content, on_progress = content_of(self, run, made, from, source, length)
  local sent
  sent, err = upload.stage(self, content, run.remote .. "/" .. staging .. "/tree.tar", { on_progress = on_progress },
    run.pace)
  source:close()
  if not sent then return nil, err end
  if content.sent then content.sent() end
  return true
end

-- Puts all in its place. Where the answer is lost, it is done again only if it has not begun; else
-- `run.lost` says that it has to be looked at once more.
local function apply(self, run, made, to, staging)
  local moves, err = moves_of(run, made, to)
  if not moves then return nil, err end
  local wanted = {
    staging = staging, packed = run.packed, moves = moves, replaced = made.replaced, modes = made.modes,
    opened = made.opened, files = made.files, folders = made.folders, pace = run.pace,
  }
  local connection, tries = self.sandbox:toolbox(), 0
  local most = connection and connection.max_retries or 0
  while true do
    local done
    done, err = remotetree.apply(self.sandbox, run.remote, wanted)
    if done then return true end
    local is_lost = fetch.BROKEN[err.code] or err.code == remotetree.BEGUN
    tries = tries + 1
    if not is_lost or tries > most then return nil, err end
    local fine, why = run.pace:try_again(tries, err)
    if not fine then return nil, why end
    local state = "over"
    if staging then state, why = remotetree.settle(self.sandbox, run.remote, wanted) end
    if not state then return nil, why end
    run.lost = state == "over"
    if run.lost then return nil, err end
  end
end

-- Sends what is to be sent and puts all in its place. true, or nil, err.
local function change(self, run, made, from, to)
  local opened, late = open_folders(run, made, from)
  if not opened then return nil, late end
  local staging = made.send[1] and calls.STAGING .. random.hex(6) or nil
  local function clean(err)
    if staging then place.discard(self, run.remote .. "/" .. staging, err) end
  end
  local function go()
    if staging then
      local sent, problem = send_archive(self, run, made, from, staging)
      if not sent then return nil, problem end
    end
    return apply(self, run, made, to, staging)
  end
  local fine, err = loop.guard(go, function() clean() end)
  if fine then return true end
  clean(err)
  -- The staging folder is nobody's business.
  if not err.what or err.what:find(calls.STAGING, 1, true) then err.what = run.remote end
  return nil, err
end

-- Both trees: that of this machine, and what is over there; or nil, err.
local function look(self, run)
  local from, why = localtree.scan(run.root, run.ignore, run.gitignore, run.pace)
  if not from then return run:failure(why, "io", run.root) end
  local scan, err = remotetree.scan(self.sandbox, run.operation, run.remote,
    { hashes = run.checksum, pace = run.pace, tools = "tar" })
  if not scan then return nil, err end
  if scan.instead and scan.instead ~= "none" then return run:no_directory(scan.instead) end
  run.way = scan.way
  return from, scan
end

---Makes the folder in the sandbox like that of this machine. Where it is not known what became
---of it, the third result is what was to be done.
---@param self daytona.FileSystem
---@param run daytona.SyncRun
---@return daytona.SyncResult?
---@return daytona.Error?
---@return daytona.SyncResult? lost
function up.perform(self, run)
  local from, scan = look(self, run)
  if not from then return nil, scan end
  local to = scan.entries or {}
  local fine, err = run:hide(to)
  if not fine then return nil, err end
  local made
  made, err = run:plan(from, to)
  if not made then return nil, err end
  local result = run:result(made, from, "uploaded")
  for _, path in ipairs(made.send) do
    if from[path].type == "file" then result.bytes = result.bytes + from[path].size end
  end
  if not plan.is_empty(made) then
    fine, err = change(self, run, made, from, to)
  elseif scan.instead then
    fine, err = self:mkdir(run.remote)
  end
  if not fine then return nil, err, run.lost and result or nil end
  return result
end

return up
