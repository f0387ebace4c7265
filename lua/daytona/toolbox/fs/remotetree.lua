-- A tree of files in a sandbox, looked at and changed by small scripts that any
-- POSIX shell with stat (coreutils or busybox) runs. What they answer is not
-- trusted: no path in it leads out of the tree.

local base64 = require "daytona.base.base64"
local errors = require "daytona.base.errors"
local calls = require "daytona.toolbox.fs.calls"
local localtree = require "daytona.toolbox.fs.localtree"
local shell = require "daytona.base.shell"

local remotetree = {}

---How the folders are called in which changes are prepared.
remotetree.STAGING = ".daytona-sync-"

local TOOLS = "find stat base64 tr"

-- Everything is encoded, because output is text to the daemon. A record ends
-- with "//" and a line end, which no path holds. The last one says whether all
-- folders could be looked into: what is gone when its turn comes is no failure.
local LIST = [[
for tool in %s; do command -v "$tool" >/dev/null || { echo "lacks $tool"; exit 0; }; done
CDPATH= root=%s
cd -P -- "$root" 2>/dev/null || {
  if [ -d "$root" ]; then echo closed; elif [ -e "$root" ]; then echo other; else echo none; fi
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

---A path that a shell's `cd` takes for nothing else.
---@param path string
---@return string
function remotetree.quoted(path)
  if not path:find("^/") then path = "./" .. path end
  return shell.quote(path)
end

local TYPES = { [4] = "directory", [8] = "file", [10] = "link" }

local function is_inside(path)
  for part in (path .. "/"):gmatch("([^/]*)/") do
    if part == "" or part == "." or part == ".." then return false end
  end
  return not path:find("%z")
end

local function read_entries(text)
  local tree, stop, breathe = {}, 1, localtree.breather()
  for hex, size, seconds, fraction, path, after in text:gmatch("(%x+) (%d+) (%-?%d+)%.?(%d*) %./(.-)//\n()") do
    if not is_inside(path) then return nil, "it names a file outside of the tree" end
    local mode = tonumber(hex, 16)
    tree[path] = {
      type = TYPES[math.floor(mode / 4096)] or "other", size = tonumber(size), mode = mode % 512,
      seconds = tonumber(seconds), nanoseconds = tonumber(fraction) or 0,
    }
    stop = after
    breathe()
  end
  return tree, tonumber(text:match("^ *(%d+)\n$", stop))
end

-- Whatever lies below something that is no directory is a lie.
local function has_parents(tree)
  for path in pairs(tree) do
    local folder = path:match("^(.*)/[^/]*$")
    if folder and (not tree[folder] or tree[folder].type ~= "directory") then return false end
  end
  return true
end

local function pairs_of(text)
  return text:gmatch("%./([^%z]*)%z([^%z]*)%z")
end

-- Coreutils escape line ends in names, and say so by a backslash; busybox goes on
-- in the next line.
local function read_hashes(tree, text)
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
  end
  if path then done() end
end

local function broken(sandbox, operation, root, why)
  return nil, errors.new {
    kind = "protocol", operation = operation, what = root, sandbox = sandbox, message = "the list of files: " .. why,
  }
end

-- What an answer means that holds no tree.
local function without_tree(sandbox, operation, root, answer)
  local said = answer:match("^(%a+)\n$")
  if said == "none" or said == "other" or said == "closed" then return { complete = true, instead = said } end
  local lacking = answer:match("^lacks (%w+)\n$")
  if not lacking then return broken(sandbox, operation, root, "it is not what was asked for") end
  return nil, errors.new {
    kind = "unsupported", operation = operation, what = root, sandbox = sandbox,
    message = "the sandbox has no program '" .. lacking .. "', which this needs",
  }
end

---What is below `root` in the sandbox, by one command: entries by path, and
---whether all of it could be read. Entries are nil when there is no such
---directory: then what is there instead follows, "none", "other" or "closed" (one
---that may not be entered).
---@param sandbox daytona.Sandbox
---@param operation string
---@param root string
---@param wanted { hashes?: boolean, rules?: daytona.Gitignore, timeout?: number, tools?: string }  tools: needed later
---@return { entries: table<string, daytona.TreeEntry>?, complete: boolean, instead: string? }?
---@return daytona.Error?
function remotetree.scan(sandbox, operation, root, wanted)
  local tools = TOOLS .. (wanted.hashes and " sha256sum " or " ") .. (wanted.tools or "")
  local script = LIST:format(tools, remotetree.quoted(root))
    .. (wanted.rules and RULES or "echo\n") .. (wanted.hashes and HASHES or "echo\n")
  local result, err = sandbox:exec(script, { check = true, timeout = wanted.timeout, max_bytes = 1024 * 1024 * 1024 })
  if not result then
    err.operation, err.what = operation, root
    return nil, err
  end
  local said, entries, links, rules, hashes = result.result:match("^(%a+)\n([^\n]*)\n([^\n]*)\n([^\n]*)\n([^\n]*)\n$")
  if not said then return without_tree(sandbox, operation, root, result.result) end
  local text = base64.decode(entries)
  if not text then return broken(sandbox, operation, root, "it is malformed") end
  local tree, status = read_entries(text)
  if not tree then return broken(sandbox, operation, root, status) end
  if not status then return broken(sandbox, operation, root, "it is cut") end
  if not has_parents(tree) then return broken(sandbox, operation, root, "a file in what is no directory") end
  for path, target in pairs_of(base64.decode(links) or "") do
    if tree[path] and tree[path].type == "link" then tree[path].target = target:gsub("\n$", "") end
  end
  for path, rule_text in pairs_of(base64.decode(rules) or "") do
    wanted.rules:add(path:match("^(.*)/[^/]*$") or "", rule_text)
  end
  read_hashes(tree, base64.decode(hashes) or "")
  return { entries = tree, complete = status == 0 }
end

-- Lines of `command names... suffix`, some hundred names each.
local function batches(lines, command, names, suffix)
  for i = 1, #names, 200 do
    local words = {}
    for j = i, math.min(i + 199, #names) do words[#words + 1] = shell.quote(names[j]) end
    lines[#lines + 1] = command .. " " .. table.concat(words, " ") .. (suffix and " " .. suffix or "")
  end
end

-- How the script ends when there is a folder where a file is to be, or the other
-- way round.
local CONFLICT = 73

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
  return "io", nil, err.message
end

---Changes a tree by one command. Of others at work on it at the same time the last
---one wins, file by file. kind "conflict" when they made a folder where this has a
---file, or the other way round; else "io", "forbidden" or what `exec` gives.
---@param sandbox daytona.Sandbox
---@param root string
---@param change { staging?: string, moves: table<string, string[]>, replaced: string[], modes: table<integer, string[]>, files: string[], folders: string[], timeout?: number }  staging: the name of the folder with tree.tar; moves: paths in the archive by the folder they go into; replaced, files, folders: what is removed
---@return true?
---@return daytona.Error?
function remotetree.apply(sandbox, root, change)
  local lines = { CHANGE .. "cd -P -- " .. remotetree.quoted(root) }
  local staging = change.staging
  local function add(text) lines[#lines + 1] = text end
  if staging then
    add(STALE)
    add("trap 'rm -rf " .. staging .. "' EXIT")
    add "trap 'exit 1' HUP INT TERM"
    add("mkdir " .. staging .. "/tree")
    add("tar -xpo -f " .. staging .. "/tree.tar -C " .. staging .. "/tree 2>&1")
  end
  batches(lines, "rm -rf --", change.replaced)
  for folder, paths in pairs(change.moves) do
    local from = {}
    for i, path in ipairs(paths) do from[i] = staging .. "/tree/" .. path end
    batches(lines, "put " .. shell.quote(folder == "" and "." or "./" .. folder), from)
  end
  for mode, paths in pairs(change.modes) do
    batches(lines, ("mode %o"):format(mode), paths)
  end
  batches(lines, "rm -f --", change.files)
  batches(lines, "rmdir -- ", change.folders, "2>/dev/null || :")
  local result, err = sandbox:exec(table.concat(lines, "\n"), { check = true, timeout = change.timeout })
  if result then return true end
  if not errors.is(err, "exit") then return nil, err end
  if err.exit_code == CONFLICT then
    return nil, errors.new { kind = "conflict", cause = err,
                             message = "another made a folder where a file is to be, or the other way round" }
  end
  local kind, code, reason = reason_in(err)
  return nil, errors.new { kind = kind, code = code, message = "over there: " .. reason, cause = err }
end

return remotetree
