-- Files that wait beside their place over there until they are whole, and then take it by
-- a rename: until then an old file stays as it is. Its permissions and owner are kept, a
-- link is followed. What cannot be replaced so (a device, a pipe, a file with several
-- names or of somebody else) is written to instead.
--
-- A file that waits goes away only when it is in its place: where the answer to a move is
-- lost, that tells what was done from what is still to be done.

local calls = require "daytona.toolbox.fs.calls"
local errors = require "daytona.base.errors"
local loop = require "daytona.loop"
local random = require "daytona.base.random"
local repeatable = require "daytona.toolbox.fs.repeatable"
local shell = require "daytona.base.shell"

local place = {}

-- Seconds that a failure may take to tidy up over there.
local CLEAN_TIMEOUT = 3

-- So many files are moved in one go.
local BATCH = 200

-- `one NUMBER FROM TO` puts a file in its place, or says what went wrong; `like OLD NEW`
-- makes a file be as the one that it is to replace, and fails where there can be none. A
-- further try (`again`) takes what is gone for done, and gives nothing to a pipe or a device,
-- which may have it already: "?" says so. The one before may still be at work,
-- so nothing is emptied before there is something to be read.
local FUNCTIONS = [[
[ -z "$ZSH_VERSION" ] || emulate sh
CDPATH=
bad=
tell() { bad=1; printf '%s %s\n' "$1" "$(printf %s "$2" | tail -n 1)"; }
is_done() { [ -n "$again" ] && [ ! -e "$1" ]; }
is_taken() { [ -n "$again" ] && [ -e "$1" ] && [ ! -f "$1" ] && [ ! -d "$1" ]; }
like() {
  [ -f "$1" ] && seen=$(stat -c '%h %a %u:%g' "$1" 2>/dev/null) && [ "${seen%% *}" = 1 ] || return
  seen=${seen#* }
  chown "${seen#* }" "$2" 2>/dev/null && chmod "${seen% *}" "$2"
}
over() {
  to=$2
  if [ -L "$to" ]; then to=$(readlink -f "$to" && echo .) || return; to=${to%??}; fi
  if [ -d "$to" ]; then echo "is a directory"; return 1; fi
  if [ -e "$to" ] && [ ! -w "$to" ]; then echo "permission denied"; return 1; fi
  if [ ! -e "$to" ] || like "$to" "$1"; then mv -f "$1" "$to"; else cat <"$1" >"$to"; fi
}
one() {
  is_done "$2" && return
  if is_taken "$3"; then tell "$1" "?"; return; fi
  said=$(over "$2" "$3" 2>&1) && rm -f "$2" || is_done "$2" || tell "$1" "$said"
}
]]

-- The same of many, by few programs. `put I FROM TO` notes the I-th of a batch whose numbers
-- begin behind `base`, or puts it at once where its place is no plain file's; `put_all` puts the
-- others: those without an old file, then by owner and mode those with one that has no other
-- name. What is left by any of that is put one by one, which also finds out why.
local FUNCTIONS_OF_MANY = [[
is_plain() { [ ! -L "$1" ] && [ -f "$1" ] && [ -w "$1" ]; }
put() {
  is_done "$2" && return
  eval "from$1=\$2 to$1=\$3"
  if is_plain "$3"; then old="$old $1" olds=$((olds + 1))
  elif [ -e "$3" ] || [ -L "$3" ]; then one $((base + $1)) "$2" "$3"
  else new="$new $1"; fi
}
on() {
  words=
  for i in $3; do words="$words \"\$$2$i\""; done
  eval "$1 $words $4" 2>/dev/null
}
rest() {
  for o in $1; do eval "[ ! -e \"\$from$o\" ] || one $((base + o)) \"\$from$o\" \"\$to$o\""; done
}
move() { [ -z "$1" ] || on "mv -f" from "$1" '"$into"'; }
be_like() { on "chown ${2#*/}" from "$1" && on "chmod ${2%/*}" from "$1"; }
put_old() {
  [ -n "$old" ] || return 0
  set -- $(on "stat -c '%h %a/%u:%g .'" to "$old")
  kinds=
  if [ $# = $((3 * olds)) ]; then
    for o in $old; do
      case "$1 $kinds " in 1*" $2 "*) ;; 1\ *) kinds="$kinds $2" ;; esac
      eval "kind$o=$1/$2"
      shift 3
    done
  fi
  for kind in $kinds; do
    some=
    for o in $old; do eval "[ \$kind$o != 1/$kind ]" || some="$some $o"; done
    be_like "$some" "$kind" && move "$some"
  done
  rest "$old"
}
put_all() {
  move "$new"
  rest "$new"
  put_old
  old= new= olds=0
}
old= new= olds=0
]]

--- Names -----------------------------------------------------------------------------------

-- Where files wait that go into the folder of `path`, and that folder: both end in "/" or
-- are empty.
local function around(path, mark)
  local folder = path:match("^(.*/)[^/]*$") or ""
  if folder:find("^%s") then folder = "./" .. folder end -- which the daemon would trim
  return folder .. calls.STAGING .. mark, folder
end

---Where the content of one file waits.
---@param path string
---@return string
function place.beside(path)
  return (around(path, random.hex(6)))
end

---Where the contents of many files wait, by their paths: each in a folder beside its
---own, under its own name unless the daemon would trim that.
---@class daytona.Waiting
---@field package groups { folder: string, from: string, items: { path: string, name: string }[] }[]
---@field places table<string, string>  where each waits, by path
local Waiting = {}
Waiting.__index = Waiting

---@param paths string[]
---@param pace daytona.Pace
---@return daytona.Waiting?
---@return daytona.Error?
function place.beside_each(paths, pace)
  local self = setmetatable({ groups = {}, places = {} }, Waiting)
  local mark, of_folder = random.hex(6), {}
  for i, path in ipairs(paths) do
    if not self.places[path] then
      local from, folder = around(path, mark)
      local group = of_folder[folder]
      if not group then
        group = { folder = folder, from = from .. "-" .. #self.groups, items = {} }
        of_folder[folder], self.groups[#self.groups + 1] = group, group
      end
      local name = path:match("[^/]*$")
      if name:find("%s$") or name == "." or name == ".." then name = ".." .. i end
      group.items[#group.items + 1] = { path = path, name = name }
      self.places[path] = group.from .. "/" .. name
    end
    local fine, err = pace:breathe()
    if not fine then return nil, err end
  end
  return self
end

---Takes those out that are not to be put in their places: they go away with the rest.
---@param dropped table<string, any>  true of their paths
function Waiting:drop(dropped)
  for _, group in ipairs(self.groups) do
    local kept = {}
    for _, item in ipairs(group.items) do
      if not dropped[item.path] then kept[#kept + 1] = item end
    end
    group.items = kept
  end
end

--- Scripts ---------------------------------------------------------------------------------

local quoted = calls.quoted

-- Lines that move some files of a group, whose numbers begin behind `base`. true, or nil, err.
local function move_some(lines, items, base, pace)
  lines[#lines + 1] = "base=" .. base
  for i, item in ipairs(items) do
    local name = item.path:match("[^/]*$")
    local from, to = '"$from"/' .. shell.quote(item.name), '"$into"' .. shell.quote(name)
    -- Those that wait under another name cannot be moved with the others.
    lines[#lines + 1] = name == item.name and ("put %d %s %s"):format(i, from, to)
      or ("one %d %s %s"):format(base + i, from, to)
    local fine, err = pace:breathe()
    if not fine then return nil, err end
  end
  lines[#lines + 1] = "put_all"
  return true
end

local function script_of(groups, pace)
  local lines, number = { FUNCTIONS_OF_MANY }, 0
  for _, group in ipairs(groups) do
    lines[#lines + 1] = "from=" .. quoted(group.from) .. " into=" .. quoted(group.folder)
    for first = 1, #group.items, BATCH do
      local items = {}
      for i = first, math.min(first + BATCH - 1, #group.items) do items[#items + 1] = group.items[i] end
      local fine, err = move_some(lines, items, number + first - 1, pace)
      if not fine then return nil, err end
    end
    number = number + #group.items
    lines[#lines + 1] = '[ -n "$bad" ] || rm -rf "$from"'
  end
  return table.concat(lines, "\n")
end

--- After a failure -------------------------------------------------------------------------

-- Seconds between looks for what may still arrive.
local PAUSES = { 0, 0.05, 0.2 }

local function remove(self, paths, may_arrive)
  local limit = loop.now() + CLEAN_TIMEOUT
  for i = 1, may_arrive and #PAUSES or 1 do
    if PAUSES[i] > 0 then loop.sleep(PAUSES[i]) end
    local gone = true
    for _, path in ipairs(paths) do
      local left = limit - loop.now()
      if left <= 0 then return end
      local _, err = calls.api.remove(self, { path = path, recursive = true }, { timeout = left })
      gone = gone and not errors.is(err, "not_found")
    end
    if gone then return end
  end
end

local function folders_of(waiting)
  local paths = {}
  for i, group in ipairs(waiting.groups) do paths[i] = group.from end
  return paths
end

---Takes away what waits for nothing any more, whatever becomes of that.
---@param self daytona.FileSystem
---@param waiting string|string[]|daytona.Waiting
---@param err any  why; what left nothing on its way leaves nothing there
function place.discard(self, waiting, err)
  local is_ours = errors.is(err)
  if is_ours and err.sent == false then return end
  local paths = type(waiting) == "string" and { waiting } or waiting
  if getmetatable(waiting) == Waiting then paths = folders_of(waiting) end
  loop.shield(remove, self, paths, not (is_ours and err.status))
end

--- Running them ----------------------------------------------------------------------------

-- What a line of the script says of a file, as an error.
local function problem_of(operation, path, text)
  local kind, code = calls.problem(text)
  text = text:gsub("^mv: ", ""):gsub("^cat: ", "")
  return errors.new { kind = kind or "invalid", code = code, operation = operation, what = path, message = text }
end

-- What a script prints, of the last try, and the error of the one before; nil, err when it
-- did not end.
local function run(self, operation, path, script, clock)
  local result, err = repeatable.exec(self.sandbox, function(tries)
    return (tries > 0 and "again=1\n" or "again=\n") .. FUNCTIONS .. script
  end, clock)
  if result then return result.result, err end
  err.operation, err.what, err.sandbox = operation, path, self.sandbox
  return nil, err
end

-- Without a shell the daemon itself moves, but never over a file that is there.
local function move_by_daemon(self, from, to, clock)
  local moved, err = repeatable.call(self.sandbox, function(tries)
    if tries > 0 then
      local waits, why = calls.api.stat(self, { path = from }, { timeout = clock:left() })
      if not waits then
        if errors.is(why, "not_found") then return true end
        return nil, why
      end
    end
    local moved, err = self:move(from, to)
    if not moved and errors.is(err, "conflict") then
      local removed
      removed, err = self:remove(to)
      if removed then moved, err = self:move(from, to) end
    end
    return moved, err
  end, clock)
  if not moved then return nil, err end
  return true
end

local function lacks_shell(err)
  return err.code == "PROCESS_START_FAILED"
end

---Puts a file that waits in its place. true, or nil, err: then it may still wait.
---@param self daytona.FileSystem
---@param operation string
---@param from string
---@param path string
---@param clock daytona.Pace
---@return true?
---@return daytona.Error?
function place.put(self, operation, from, path, clock)
  local said, err = run(self, operation, path, ("one 1 %s %s"):format(quoted(from), quoted(path)), clock)
  if said then
    local text = said:match("^1 ([^\n]*)")
    if not text then return true end
    if text == "?" and err then return nil, err end
    return nil, problem_of(operation, path, text)
  end
  if not lacks_shell(err) then return nil, err end
  return move_by_daemon(self, from, path, clock)
end

-- One after the other, by the daemon: errors by path.
local function put_by_daemon(self, waiting, clock)
  local problems = {}
  for _, group in ipairs(waiting.groups) do
    for _, item in ipairs(group.items) do
      local _, err = move_by_daemon(self, group.from .. "/" .. item.name, item.path, clock)
      problems[item.path] = err
    end
    self:remove(group.from, { recursive = true })
  end
  return problems
end

---Puts all files that wait in their places, with one command, and takes away what could not
---be put. Errors by path; or nil, err when that is not known.
---@param self daytona.FileSystem
---@param operation string
---@param waiting daytona.Waiting
---@param pace daytona.Pace
---@return table<string, daytona.Error>?
---@return daytona.Error?
function place.put_each(self, operation, waiting, pace)
  local script, problem = script_of(waiting.groups, pace)
  if not script then return nil, problem end
  local said, err = run(self, operation, nil, script, pace)
  if not said then
    if lacks_shell(err) then return put_by_daemon(self, waiting, pace) end
    return nil, err
  end
  local by_number, problems = {}, {}
  for number, text in said:gmatch("(%d+) ([^\n]*)\n") do by_number[tonumber(number)] = text end
  local number = 0
  for _, group in ipairs(waiting.groups) do
    for _, item in ipairs(group.items) do
      number = number + 1
      local text = by_number[number]
      if text == "?" and err then problems[item.path] = err
      elseif text then problems[item.path] = problem_of(operation, item.path, text) end
    end
  end
  if next(problems) then loop.shield(remove, self, folders_of(waiting)) end
  return problems
end

return place
