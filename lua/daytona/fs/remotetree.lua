-- A tree of files in a sandbox, looked at and changed by small scripts that any
-- POSIX shell with stat (coreutils or busybox) runs. What they answer is not
-- trusted: no path in it leads out of the tree.

local base64 = require "daytona.base64"
local errors = require "daytona.errors"
local shell = require "daytona.shell"

local remotetree = {}

---How the folders are called in which changes are prepared.
remotetree.STAGING = ".daytona-sync-"

-- Everything is encoded, because output is text to the daemon. A record ends
-- with "//" and a line end, which no path holds.
local LIST = [[
CDPATH=
cd -P -- %s 2>/dev/null || { if [ -e %s ]; then echo other; else echo none; fi; exit 0; }
echo tree
case $(stat -c %%.9Y . 2>/dev/null) in *.?????????) time=%%.9Y ;; *) time=%%Y ;; esac
{ find . -name '.daytona-sync-*' -prune -o ! -name . -exec stat -c "%%f %%s $time %%n//" -- {} + 2>/dev/null
  echo "$?"; } | base64 | tr -d '\n'
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
  local tree, stop = {}, 1
  for hex, size, seconds, fraction, path, after in text:gmatch("(%x+) (%d+) (%-?%d+)%.?(%d*) %./(.-)//\n()") do
    if not is_inside(path) then return nil, "it names a file outside of the tree" end
    local mode = tonumber(hex, 16)
    tree[path] = {
      type = TYPES[math.floor(mode / 4096)] or "other", size = tonumber(size), mode = mode % 512,
      seconds = tonumber(seconds), nanoseconds = tonumber(fraction) or 0,
    }
    stop = after
  end
  return tree, tonumber(text:match("^(%d+)\n$", stop))
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

local function read_hashes(tree, text)
  for escaped, hash, path in text:gmatch("(\\?)(%x+) [ *]%./([^\n]*)\n") do
    if escaped ~= "" then
      path = path:gsub("\\(.)", { n = "\n", r = "\r", ["\\"] = "\\" })
    end
    if tree[path] and #hash == 64 then tree[path].hash = hash end
  end
end

local function broken(sandbox, operation, root, why)
  return nil, errors.new {
    kind = "protocol", operation = operation, what = root, sandbox = sandbox, message = "the list of files: " .. why,
  }
end

---What is below `root` in the sandbox, by one command: entries by path, and
---whether all of it could be read. Entries are nil when there is no such
---directory: then what is there instead follows, "none" or "other".
---@param sandbox daytona.Sandbox
---@param operation string
---@param root string
---@param wanted { hashes?: boolean, rules?: daytona.Gitignore, timeout?: number }
---@return { entries: table<string, daytona.TreeEntry>?, complete: boolean, instead: string? }?
---@return daytona.Error?
function remotetree.scan(sandbox, operation, root, wanted)
  local place = remotetree.quoted(root)
  local script = LIST:format(place, place) .. (wanted.rules and RULES or "echo\n")
    .. (wanted.hashes and HASHES or "echo\n")
  local result, err = sandbox:exec(script, { check = true, timeout = wanted.timeout, max_bytes = 1024 * 1024 * 1024 })
  if not result then
    err.operation, err.what = operation, root
    return nil, err
  end
  local said, entries, links, rules, hashes = result.result:match("^(%a+)\n([^\n]*)\n([^\n]*)\n([^\n]*)\n([^\n]*)\n$")
  if not said then
    said = result.result:match("^(%a+)\n$")
    if said == "none" or said == "other" then return { complete = true, instead = said } end
    return broken(sandbox, operation, root, "it is not what was asked for")
  end
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

---Changes a tree by one command.
---@param sandbox daytona.Sandbox
---@param root string
---@param change { staging?: string, moves: table<string, string[]>, replaced: string[], modes: table<integer, string[]>, files: string[], folders: string[], timeout?: number }  staging: the name of the folder with tree.tar; moves: paths in the archive by the folder they go into; replaced, files, folders: what is removed
---@return true?
---@return daytona.Error?
function remotetree.apply(sandbox, root, change)
  local lines = { "CDPATH=", "set -e", "cd -P -- " .. remotetree.quoted(root) }
  local staging = change.staging
  local function add(text) lines[#lines + 1] = text end
  if staging then
    add("trap 'rm -rf " .. staging .. "' EXIT")
    add "trap 'exit 1' HUP INT TERM"
    add("mkdir " .. staging .. "/tree")
    add("tar -xpo -f " .. staging .. "/tree.tar -C " .. staging .. "/tree 2>&1")
  end
  batches(lines, "rm -rf --", change.replaced)
  for folder, paths in pairs(change.moves) do
    local from = {}
    for i, path in ipairs(paths) do from[i] = staging .. "/tree/" .. path end
    batches(lines, "mv -f --", from, shell.quote("./" .. folder .. "/"))
  end
  for mode, paths in pairs(change.modes) do
    batches(lines, ("chmod %o --"):format(mode), paths)
  end
  batches(lines, "rm -f --", change.files)
  batches(lines, "rmdir -- ", change.folders, "2>/dev/null || :")
  local result, err = sandbox:exec(table.concat(lines, "\n"), { check = true, timeout = change.timeout })
  if not result then return nil, err end
  return true
end

return remotetree
