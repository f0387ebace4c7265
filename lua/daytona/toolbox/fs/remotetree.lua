-- A tree of files in a sandbox, looked at and changed by small scripts that any
-- POSIX shell with stat (coreutils or busybox) runs. What they answer is not
-- trusted: no path in it leads out of the tree.

local base64 = require "daytona.base.base64"
local errors = require "daytona.base.errors"
local calls = require "daytona.toolbox.fs.calls"
local loop = require "daytona.loop"
local repeatable = require "daytona.toolbox.fs.repeatable"
local shell = require "daytona.base.shell"

local remotetree = {}

---How the folders are called in which changes are prepared.
remotetree.STAGING = calls.STAGING

-- What a tree may be: longer paths are none to any system; more files are more than
-- memory is for. And bytes of a list of so many.
local LONGEST_PATH, MOST_FILES, LARGEST_LIST = 4095, 1000000, 512 * 1024 * 1024

local TOOLS = "find stat base64 tr"

-- Everything is encoded, because output is text to the daemon. A record ends
-- with "//" and a line end, which no path holds. The last one says whether all
-- folders could be looked into: what is gone when its turn comes is no failure. At the end
-- stands whether there is gzip, and when the script began and ended.
local LIST = [[
{ read -r began rest </proc/uptime; } 2>/dev/null || began=
for tool in %s; do command -v "$tool" >/dev/null || { echo "lacks $tool"; exit 0; }; done
about() {
  { read -r ended rest </proc/uptime; } 2>/dev/null || ended=
  if command -v gzip >/dev/null; then echo "gzip $began $ended"; else echo "plain $began $ended"; fi
}
CDPATH= root=%s
cd -P -- "$root" 2>/dev/null || {
  if [ -d "$root" ]; then echo closed; elif [ -e "$root" ]; then echo other; else echo none; fi
  about
  exit 0
}
echo tree
case $(stat -c %%.9Y . 2>/dev/null) in *.?????????) time=%%.9Y ;; *) time=%%Y ;; esac
{ find . -name '.daytona-sync-*' -prune -o ! -name . -exec stat -c "%%f %%s $time %%n//" -- {} + 2>/dev/null
  if [ $? = 0 ]; then echo 0; else
    find . -name '.daytona-sync-*' -prune -o -type d -exec sh -c '
      for f; do [ ! -d "$f" ] || { [ -r "$f" ] && [ -x "$f" ]; } || echo closed; done' sh {} + 2>/dev/null | wc -l
  fi; } | base64 | tr -d '\n'
echo
find . -name '.daytona-sync-*' -prune -o -type l -exec sh -c '
  for f; do printf "%%s\0" "$f"; readlink -- "$f"; printf "\0"; done' sh {} + 2>/dev/null | base64 | tr -d '\n'
echo
]]

local RULES = [[
find . -name '.daytona-sync-*' -prune -o -type f -name .gitignore -exec sh -c '
  for f; do printf "%s\0" "$f"; cat -- "$f"; printf "\0"; done' sh {} + 2>/dev/null | base64 | tr -d '\n'
echo
]]

local HASHES = [[
find . -name '.daytona-sync-*' -prune -o -type f -exec sha256sum -- {} + 2>/dev/null | base64 | tr -d '\n'
echo
]]

local TYPES = { [4] = "directory", [8] = "file", [10] = "link" }

local function is_inside(path)
  for part in (path .. "/"):gmatch("([^/]*)/") do
    if part == "" or part == "." or part == ".." then return false end
  end
  return not path:find("%z")
end

-- A record as an entry, or nil where such a file cannot be.
local function entry_of(hex, size, seconds, fraction)
  local mode, bytes, time = tonumber(hex, 16), tonumber(size), tonumber(seconds)
  if #hex > 8 or bytes >= 2 ^ 53 or math.abs(time) >= 2 ^ 53 or #fraction > 9 then return nil end
  local nanoseconds = tonumber(fraction) or 0
  if seconds:sub(1, 1) == "-" and nanoseconds > 0 then -- "-0.25" is 0.75 behind -1
    time, nanoseconds = time - 1, 1e9 - nanoseconds
  end
  return {
    type = TYPES[math.floor(mode / 4096)] or "other", size = bytes, mode = mode % 512,
    seconds = time, nanoseconds = nanoseconds,
  }
end

-- Why there is no tree: a text that says what is wrong with the list, or an error.
local function too_much(what)
  return nil, errors.new { kind = "too_large", code = "too_large", message = what }
end

-- Entries by path, and what find ended with (nil: the list is cut); or nil and why.
local function read_entries(text, pace)
  local tree, stop, n = {}, 1, 0
  for hex, size, seconds, fraction, path, after in text:gmatch("(%x+) (%d+) (%-?%d+)%.?(%d*) %./(.-)//\n()") do
    if #path > LONGEST_PATH then return too_much "a path in it is longer than a system takes" end
    if not is_inside(path) then return nil, "it names a file outside of the tree" end
    tree[path] = entry_of(hex, size, seconds, fraction)
    if not tree[path] then return nil, "it has a file of a size or time that cannot be" end
    stop, n = after, n + 1
    if n > MOST_FILES then return too_much "there are more files in it than this can do" end
    local fine, err = pace:breathe()
    if not fine then return nil, err end
  end
  return tree, tonumber(text:match("^ *(%d+)\n$", stop))
end

-- Whatever lies below something that is no directory is a lie.
local function has_parents(tree, pace)
  for path in pairs(tree) do
    local folder = path:match("^(.*)/[^/]*$")
    if folder and (not tree[folder] or tree[folder].type ~= "directory") then
      return nil, "a file in what is no directory"
    end
    local fine, err = pace:breathe()
    if not fine then return nil, err end
  end
  return true
end

local function pairs_of(text)
  return text:gmatch("%./([^%z]*)%z([^%z]*)%z")
end

-- Coreutils escape line ends in names, and say so by a backslash; busybox goes on
-- in the next line.
local function read_hashes(tree, text, pace)
  local hash, escaped, path
  local function done()
    if escaped == "\\" then path = path:gsub("\\(.)", { n = "\n", r = "\r", ["\\"] = "\\" }) end
    if tree[path] then tree[path].hash = hash end
  end
  for line in text:gmatch("([^\n]*)\n") do
    local mark, digits, name = line:match("^(\\?)(%x+) [ *]%./(.*)$")
    if digits and #digits == 64 then
      if path then done() end
      escaped, hash, path = mark, digits, name
    elseif path then
      path = path .. "\n" .. line
    end
    local fine, err = pace:breathe()
    if not fine then return nil, err end
  end
  if path then done() end
  return true
end

-- nil and an error, of what is wrong with a list, or is one already.
local function broken(sandbox, operation, root, why)
  if not errors.is(why) then why = errors.new { kind = "protocol", message = "the list of files: " .. why } end
  why.operation, why.what, why.sandbox = operation, root, sandbox
  return nil, why
end

-- What the last line says of the way there: seconds that a question took which was not the
-- script's time, as far as that can be told.
local function way_of(text, seconds)
  local packer, began, ended = text:match "^(%a+) ([%d.]+) ([%d.]+)$"
  if not packer then return { packs = text:find "^gzip" ~= nil } end
  return { packs = packer == "gzip", distance = math.max(seconds - (tonumber(ended) - tonumber(began)), 0) }
end

-- What an answer means that holds no tree: a result of `scan`, or an error.
local function without_tree(sandbox, operation, root, answer, seconds)
  local said, about = answer:match("^(%a+)\n([^\n]*)\n?$")
  if said == "none" or said == "other" or said == "closed" then
    return { complete = true, instead = said, way = way_of(about, seconds) }
  end
  local lacking = answer:match("^lacks (%w+)\n$")
  if not lacking then return select(2, broken(sandbox, operation, root, "it is not what was asked for")) end
  return errors.new {
    kind = "unsupported", operation = operation, what = root, sandbox = sandbox,
    message = "the sandbox has no program '" .. lacking .. "', which this needs",
  }
end

-- What the command prints that lists a tree: its parts; or nil and an error or what is
-- there in place of a tree.
local function list(sandbox, operation, root, wanted)
  local tools = TOOLS .. (wanted.hashes and " sha256sum " or " ") .. (wanted.tools or "")
  local script = LIST:format(tools, calls.quoted(root))
    .. (wanted.rules and RULES or "echo\n") .. (wanted.hashes and HASHES or "echo\n") .. "about\n"
  local asked
  local result, err = repeatable.call(sandbox, function()
    asked = loop.now()
    return sandbox:exec(script, { check = true, timeout = wanted.pace:left(), max_bytes = LARGEST_LIST })
  end, wanted.pace)
  if not result then
    if err.kind == "process_timeout" then err = select(2, wanted.pace:over()) end
    err.operation, err.what = operation, root
    return nil, err
  end
  local seconds = loop.now() - asked
  local parts = { result.result:match("^(%a+)\n([^\n]*)\n([^\n]*)\n([^\n]*)\n([^\n]*)\n([^\n]*)\n?$") }
  if not parts[1] then return nil, without_tree(sandbox, operation, root, result.result, seconds) end
  parts.way = way_of(parts[6], seconds)
  return parts
end

-- The parts as a tree, and whether all of it could be read; or nil and why.
local function read_tree(parts, wanted)
  local text = base64.decode(parts[2])
  if not text then return nil, "it is malformed" end
  local tree, status = read_entries(text, wanted.pace)
  if not tree then return nil, status end
  if not status then return nil, "it is cut" end
  local fine, why = has_parents(tree, wanted.pace)
  if not fine then return nil, why end
  for path, target in pairs_of(base64.decode(parts[3]) or "") do
    if tree[path] and tree[path].type == "link" then tree[path].target = target:gsub("\n$", "") end
    fine, why = wanted.pace:breathe()
    if not fine then return nil, why end
  end
  for path, rules in pairs_of(base64.decode(parts[4]) or "") do
    wanted.rules:add(path:match("^(.*)/[^/]*$") or "", rules)
  end
  fine, why = read_hashes(tree, base64.decode(parts[5]) or "", wanted.pace)
  if not fine then return nil, why end
  return tree, status == 0
end

---What is below `root` in the sandbox, by one command: entries by path, and
---whether all of it could be read. Entries are nil when there is no such
---directory: then what is there instead follows, "none", "other" or "closed" (one
---that may not be entered).
---@param sandbox daytona.Sandbox
---@param operation string
---@param root string
---@param wanted { pace: daytona.Pace, hashes?: boolean, rules?: daytona.Gitignore, tools?: string }  tools: needed later
---@return { entries: table<string, daytona.TreeEntry>?, complete: boolean, instead: string?, way: { packs: boolean, distance: number? } }?
---@return daytona.Error?
function remotetree.scan(sandbox, operation, root, wanted)
  local parts, other = list(sandbox, operation, root, wanted)
  if not parts then
    if errors.is(other) then return nil, other end
    return other
  end
  local tree, complete = read_tree(parts, wanted)
  if not tree then return broken(sandbox, operation, root, complete) end
  return { entries = tree, complete = complete, way = parts.way }
end

-- So many names go into one line.
local BATCH = 200

-- Lines of `command names... suffix`; nothing more of them once the time is over.
local function batches(lines, command, names, suffix)
  for i = 1, #names, BATCH do
    if lines.problem then return end
    local words = {}
    for j = i, math.min(i + BATCH - 1, #names) do words[#words + 1] = shell.quote(names[j]) end
    lines[#lines + 1] = command .. " " .. table.concat(words, " ") .. (suffix and " " .. suffix or "")
    lines.problem = select(2, lines.pace:breathe())
  end
end

-- How the script ends when there is a folder where a file is to be, or the other
-- way round; and when it is run once more.
local CONFLICT, BEGUN = 73, 74

---The code of an error that says that the change is being made, or was.
remotetree.BEGUN = "FILE_CHANGE_BEGUN"

-- `put` moves things into a folder, over what is there. Another may have been at
-- work since the tree was looked at: a folder that is gone is made again, in one
-- that has come to be goes what belongs there, and modes of what is gone do not
-- matter.
local CHANGE = ([[
[ -z "$ZSH_VERSION" ] || emulate sh
CDPATH=
set -e
merge() (
  to=$2/${1##*/}
  a=$([ -L "$1" ] || [ ! -d "$1" ] || echo folder)
  b=$([ -L "$to" ] || [ ! -d "$to" ] || echo folder)
  if [ "$a$b" = folderfolder ]; then
    for f in "$1"/* "$1"/.[!.]* "$1"/..?*; do
      if [ -e "$f" ] || [ -L "$f" ]; then merge "$f" "$to" || exit; fi
    done
  elif [ "$a" != "$b" ] && { [ -e "$to" ] || [ -L "$to" ]; }; then
    echo "$to"
    exit CONFLICT
  else
    mkdir -p -- "$2" && mv -f -- "$1" "$2/"
  fi
)
put() {
  to=$1; shift
  mv -f -- "$@" "$to/" 2>/dev/null && return
  for f; do
    if [ -e "$f" ] || [ -L "$f" ]; then merge "$f" "$to" || exit; fi
  done
}
mode() {
  to=$1; shift
  chmod "$to" -- "$@" 2>/dev/null && return
  for f; do [ ! -e "$f" ] || chmod "$to" -- "$f" || exit; done
}
]]):gsub("CONFLICT", CONFLICT)

-- What was left, more than a day ago, by a client that was killed.
local STALE = "find . ! -name . -prune -name '" .. remotetree.STAGING
  .. "*' -mtime +0 -exec rm -rf -- {} + 2>/dev/null || :"

-- Kind, code and text of what a command complained of.
local function reason_in(err)
  for line in (err.result or ""):gmatch("[^\n]+") do
    local kind, code = calls.problem(line)
    if kind then return kind, code, line end
  end
  -- Where a part of a block could be written tar does not ask why the rest could not.
  local cut = (err.result or ""):match("[^\n]*: Wrote only [^\n]*")
  if cut then return "io", "FILE_NO_SPACE", cut end
  return "io", nil, err.message
end

-- A script that has a folder begins once, however often it is sent.
local ONCE = "mkdir %s/begun 2>/dev/null || exit " .. BEGUN .. "\necho $$ >%s/begun/pid"

-- What undoes, however the script ends, what it has to do for a while: its folder goes
-- away, folders that were opened get their modes, the lower ones first.
local function at_the_end(lines, staging, opened)
  lines[#lines + 1] = "finish() {\n:"
  if staging then lines[#lines + 1] = "rm -rf " .. staging end
  for i = #opened, 1, -1 do
    local folder = opened[i]
    lines[#lines + 1] = ("chmod %o -- %s 2>/dev/null || :"):format(folder.mode, shell.quote("./" .. folder.path))
  end
  lines[#lines + 1] = "}\ntrap finish EXIT\ntrap 'exit 1' HUP INT TERM"
end

local function open_folders(lines, opened)
  local paths = {}
  for i, folder in ipairs(opened) do paths[i] = "./" .. folder.path end
  batches(lines, "chmod u+rwx --", paths, "2>/dev/null || :")
end

-- Of a pipe only the end of its last command is known.
local UNPACK = [[
exec 3>&1
{ gzip -dc <%s/tree.tar 2>&3 || : >%s/broken; } | tar -xpo -f - -C %s/tree 2>&1
[ ! -e %s/broken ]
]]

local function unpack_tree(lines, staging, packed)
  lines[#lines + 1] = STALE
  lines[#lines + 1] = "mkdir " .. staging .. "/tree"
  if packed then
    lines[#lines + 1] = UNPACK:gsub("%%s", staging)
  else
    lines[#lines + 1] = "tar -xpo -f " .. staging .. "/tree.tar -C " .. staging .. "/tree 2>&1"
  end
end

local function move_all(lines, staging, moves)
  for folder, paths in pairs(moves) do
    local from = {}
    for i, path in ipairs(paths) do from[i] = staging .. "/tree/" .. path end
    batches(lines, "put " .. shell.quote(folder == "" and "." or "./" .. folder), from)
  end
end

local function script_of(root, change)
  local lines = { CHANGE .. "cd -P -- " .. calls.quoted(root), pace = change.pace }
  if change.staging then lines[2] = ONCE:gsub("%%s", change.staging) end
  at_the_end(lines, change.staging, change.opened)
  open_folders(lines, change.opened)
  if change.staging then unpack_tree(lines, change.staging, change.packed) end
  batches(lines, "rm -rf --", change.replaced)
  move_all(lines, change.staging, change.moves)
  for mode, paths in pairs(change.modes) do batches(lines, ("mode %o"):format(mode), paths) end
  batches(lines, "rm -f --", change.files)
  batches(lines, "rmdir -- ", change.folders, "2>/dev/null || :")
  if lines.problem then return nil, lines.problem end
  return table.concat(lines, "\n")
end

---What a tree is to become.
---@class daytona.TreeChange
---@field staging? string                  the name of the folder with tree.tar
---@field packed? boolean                  that is a gzip stream
---@field moves table<string, string[]>    paths in the archive by the folder they go into
---@field replaced string[]                removed before that
---@field modes table<integer, string[]>
---@field opened { path: string, mode: integer }[]  folders to be made writable meanwhile, and their modes then
---@field files string[]                   removed
---@field folders string[]                 removed where they are empty
---@field pace daytona.Pace

---Changes a tree by one command. Of others at work on it at the same time the last
---one wins, file by file. kind "conflict" when they made a folder where this has a
---file, or the other way round; else "io", "forbidden" or what `exec` gives.
---@param sandbox daytona.Sandbox
---@param root string
---@param change daytona.TreeChange
---@return true?
---@return daytona.Error?
function remotetree.apply(sandbox, root, change)
  local script, problem = script_of(root, change)
  if not script then return nil, problem end
  local result, err = sandbox:exec(script, { check = true, timeout = change.pace:left() })
  if result then return true end
  if err.kind == "process_timeout" then return change.pace:over() end
  if not errors.is(err, "exit") then return nil, err end
  if err.exit_code == BEGUN then
    return nil, errors.new { kind = "conflict", code = remotetree.BEGUN, cause = err,
                             message = "it is not known what became of the change" }
  end
  if err.exit_code == CONFLICT then
    return nil, errors.new { kind = "conflict", cause = err,
                             message = "another made a folder where a file is to be, or the other way round" }
  end
  local kind, code, reason = reason_in(err)
  return nil, errors.new { kind = kind, code = code, message = "over there: " .. reason, cause = err }
end

-- Looks for about two seconds at what became of a change, and takes away what is left of one
-- whose shell is gone.
local SETTLE = [[
CDPATH=
cd -P -- $ROOT 2>/dev/null || { echo over; exit 0; }
nap() { sleep 0.1 2>/dev/null || sleep 1; }
is_gone() {
  pid=$(cat $STAGING/begun/pid) && [ -n "$pid" ] && { ! kill -0 "$pid" || grep -q "^State:.*[ZX]" "/proc/$pid/status"; }
} 2>/dev/null
n=0
while [ -d $STAGING ]; do
  if mkdir $STAGING/begun 2>/dev/null; then rmdir $STAGING/begun; echo new; exit 0; fi
  if is_gone || { [ $n -ge 20 ] && [ ! -s $STAGING/begun/pid ]; }; then rm -rf $STAGING; break; fi
  [ $n -lt 20 ] || { echo work; exit 0; }
  n=$((n + 1))
  nap
done
echo over
]]

---Waits until a change whose answer was lost is no longer at work: "new", it has not begun, or
---"over", it has ended in whatever way.
---@param sandbox daytona.Sandbox
---@param root string
---@param change daytona.TreeChange  one with a folder
---@return "new"|"over"|nil
---@return daytona.Error?
function remotetree.settle(sandbox, root, change)
  local words = { ROOT = calls.quoted(root), STAGING = change.staging }
  local script = SETTLE:gsub("%$(%u+)", words)
  while true do
    local result, err = repeatable.exec(sandbox, function() return script end, change.pace)
    if not result then return nil, err end
    local said = result.result:match "^%a+"
    if said == "new" or said == "over" then return said end
    if said ~= "work" then return broken(sandbox, nil, root, "it is not what was asked for") end
    local fine, why = change.pace:breathe()
    if not fine then return nil, why end
  end
end

return remotetree
